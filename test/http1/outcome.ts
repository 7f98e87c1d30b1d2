/** What a parser makes of bytes, as plain data: the same however the bytes were cut. */
import { ERROR_CODES, type ErrorCode } from '../../src/core/errors.ts'
import { ChunkedDecoder } from '../../src/http1/chunked.ts'
import { type MessageHead, MethodId } from '../../src/http1/head.ts'
import { ParseStatus, RequestHeadParser } from '../../src/http1/request-head-parser.ts'
import { ResponseHeadParser } from '../../src/http1/response-head-parser.ts'
import { normalHost, normalPath } from '../../src/http1/target.ts'

export const REQUEST_LIMITS = { requestLineBytes: 8192, headBytes: 32_768, fieldCount: 100 }
export const RESPONSE_LIMITS = { headBytes: 65_536, fieldCount: 200 }
export const CHUNKED_LIMITS = { trailerBytes: 8192, fieldCount: 100 }

/** Nothing more is needed: the message is whole after `consumed` bytes, and this is what it says. */
export interface Done {
  readonly status: 'done'
  readonly consumed: number
  readonly message: Readonly<Record<string, unknown>>
}

export type Outcome =
  | Done
  | { readonly status: 'more' }
  /** `seen`: how many bytes were fed when the error came, at most; exact when they were fed one at a time. */
  | { readonly status: 'error'; readonly code: ErrorCode; readonly seen: number }

/** Everything that takes bytes and says how far it came. */
interface Feedable {
  readonly consumed: number
  readonly error: number
}

/**
 * Feeds `bytes` cut at the given positions (ascending). Every piece is a buffer of its own, with other bytes around it,
 * and is overwritten once the parser asked for more: a parser that still looks at it says something else.
 */
export function feedCut(
  parser: Feedable,
  feed: (bytes: Buffer, start: number, end: number) => number,
  bytes: Buffer,
  cuts: readonly number[],
  describe: () => Record<string, unknown>,
): Outcome {
  let from = 0
  for (const to of [...cuts, bytes.length]) {
    const margin = 3
    const piece = Buffer.alloc(to - from + 2 * margin, '\n')
    bytes.copy(piece, margin, from, to)
    const status = feed(piece, margin, piece.length - margin)
    if (status === ParseStatus.DONE) {
      return { status: 'done', consumed: from + parser.consumed - margin, message: describe() }
    }
    if (status === ParseStatus.ERROR) return { status: 'error', code: codeOf(parser.error), seen: to }
    piece.fill('!')
    from = to
  }
  return { status: 'more' }
}

export function requestOutcome(
  text: string | Buffer,
  cuts: readonly number[] = [],
  parser: RequestHeadParser = new RequestHeadParser(REQUEST_LIMITS),
): Outcome {
  const feed = (bytes: Buffer, start: number, end: number) => parser.feed(bytes, start, end)
  return feedCut(parser, feed, toBytes(text), cuts, () => describeRequest(parser))
}

export function responseOutcome(
  text: string | Buffer,
  cuts: readonly number[] = [],
  method: number = MethodId.GET,
  parser: ResponseHeadParser = new ResponseHeadParser(RESPONSE_LIMITS),
): Outcome {
  parser.expect(method)
  const feed = (bytes: Buffer, start: number, end: number) => parser.feed(bytes, start, end)
  const outcome = feedCut(parser, feed, toBytes(text), cuts, () => describeResponse(parser))
  // The rule tells more than "bad response".
  return outcome.status === 'error' ? { ...outcome, code: codeOf(parser.problem) } : outcome
}

export function chunkedOutcome(
  text: string | Buffer,
  cuts: readonly number[] = [],
  decoder: ChunkedDecoder = new ChunkedDecoder(CHUNKED_LIMITS),
): Outcome {
  let data = ''
  const sink = {
    chunkData(bytes: Buffer, start: number, end: number) {
      data += bytes.toString('latin1', start, end)
    },
  }
  const feed = (bytes: Buffer, start: number, end: number) => decoder.feed(bytes, start, end, sink)
  return feedCut(decoder, feed, toBytes(text), cuts, () => ({ data, trailers: fieldsOf(decoder.trailers) }))
}

export function everyByte(bytes: Buffer | string): number[] {
  return Array.from({ length: Math.max(0, bytes.length - 1) }, (_, i) => i + 1)
}

export function toBytes(text: string | Buffer): Buffer {
  return typeof text === 'string' ? Buffer.from(text, 'latin1') : text
}

export function codeOf(index: number): ErrorCode {
  const code = ERROR_CODES[index]
  if (code === undefined) throw new Error(`there is no error ${index}`)
  return code
}

function describeRequest({ head }: RequestHeadParser): Record<string, unknown> {
  return {
    ...describeHead(head),
    method: head.text(head.methodStart, head.methodEnd),
    methodId: head.method,
    target: head.text(head.targetStart, head.targetEnd),
    form: head.targetForm,
    path: head.text(head.pathStart, head.pathEnd),
    query: head.text(head.queryStart, head.pathEnd),
    authority: head.text(head.authorityStart, head.authorityEnd),
    flags: head.targetFlags,
    normalPath: normalPath(head),
    normalHost: normalHost(head),
    hostIndex: head.hostIndex,
    expectContinue: head.expectContinue,
  }
}

function describeResponse({ head }: ResponseHeadParser): Record<string, unknown> {
  return { ...describeHead(head), status: head.status, reason: head.text(head.reasonStart, head.reasonEnd) }
}

function describeHead(head: MessageHead): Record<string, unknown> {
  return {
    head: head.text(head.start, head.end),
    fieldText: head.text(head.fieldsStart, head.end),
    fields: fieldsOf(head),
    versionMinor: head.versionMinor,
    keepAlive: head.keepAlive,
    upgrade: head.upgrade,
    framing: head.framing,
    contentLength: head.contentLength,
    regular: head.regular,
  }
}

function fieldsOf(head: MessageHead): unknown[] {
  return Array.from({ length: head.count }, (_, i) => [head.name(i), head.value(i), head.id[i], head.flags[i]])
}
