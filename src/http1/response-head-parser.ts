/**
 * Bytes → response heads (RFC 9112 sections 4 to 6), as strict as for requests: an endpoint that is confused or taken
 * over must not get to choose which response the next client receives.
 *
 *     status-line = HTTP-version SP status-code SP [ reason-phrase ] CRLF, then the field section
 *
 * Nothing may stand before the status line. A 1xx is a head of its own; the caller feeds on for the final one.
 */
import { ERROR_INDEX } from '../core/errors.ts'
import { CR, LF, NINE, SP, ZERO } from './bytes.ts'
import { FIELD_TEXT } from './character-classes.ts'
import { ConnectionField } from './connection-field.ts'
import { Framing, ResponseHead } from './head.ts'
import { At as AtHead, type HeadLimits, HeadParser } from './head-parser.ts'
import { MethodId } from './methods.ts'
import { NO_ERROR, Step } from './parse-status.ts'
import { saysHttp11, VERSION_BYTES, versionProblem } from './version.ts'

export { ParseStatus } from './parse-status.ts'

const {
  EK_BAD_CONTENT_LENGTH,
  EK_BAD_FIELD_VALUE,
  EK_BAD_RESPONSE,
  EK_BARE_CR,
  EK_BARE_LF,
  EK_HEAD_TOO_LARGE,
  EK_RESPONSE_HEAD_TOO_LARGE,
  EK_TOO_MANY_FIELDS,
} = ERROR_INDEX

export type ResponseLimits = HeadLimits

/** What comes next. */
const At = {
  ...AtHead,
  /** `HTTP/1.x` SP. */
  VERSION: AtHead.FIRST_OF_LINE,
  /** Three digits. */
  STATUS: 3,
  /** The SP behind the status, or the CR of a line without a reason. */
  STATUS_END: 4,
  REASON: 5,
  LINE_LF: 6,
} as const

export class ResponseHeadParser extends HeadParser<ResponseHead, ResponseLimits> {
  /** After `ERROR`: the index of the rule that is broken, in the words for requests; for counting and logging. */
  problem: number = NO_ERROR
  /** What the responses answer; set by `expect`. */
  readonly request: { method: number } = { method: MethodId.GET }

  constructor(limits: ResponseLimits) {
    super(new ResponseHead(), limits, new ConnectionField('response'))
  }

  /** Says which method the next response answers, a `MethodId`: one to HEAD has no body, whatever its fields say. */
  expect(method: number): void {
    this.request.method = method
  }

  protected override begin(): void {
    super.begin()
    this.problem = NO_ERROR
    this.head.status = 0
  }

  protected override readStartLine(bytes: Buffer, from: number, stop: number): number {
    const head = this.head
    let position = from
    let at = this.at
    if (at === At.START) {
      if (position === stop) return Step.STARVED
      head.start = position
      this.mark = position
      at = At.VERSION
    }

    // Not repeated: each part is followed by the next one, and left by `break` where the bytes run out.
    for (;;) {
      if (at === At.VERSION) {
        const version = this.mark
        const isWhole = position === version && position + VERSION_BYTES <= stop
        if (isWhole && saysHttp11(bytes, position)) position += VERSION_BYTES
        while (position < stop && position < version + VERSION_BYTES) {
          const problem = versionProblem(bytes[position]!, position - version)
          if (problem !== NO_ERROR) return this.broken(problem)
          position++
        }
        if (position === stop) break
        if (bytes[position] !== SP) return this.broken(wrongInLine(bytes[position]!))
        head.versionMinor = bytes[version + 7] === ZERO ? 0 : 1
        position++
        this.mark = position
        at = At.STATUS
      }

      if (at === At.STATUS) {
        while (position < stop && position < this.mark + 3) {
          const byte = bytes[position]!
          if (byte < ZERO || byte > NINE) return this.broken(wrongInLine(byte))
          head.status = head.status * 10 + (byte - ZERO)
          position++
        }
        if (position < this.mark + 3) break
        // RFC 9110 section 15: the first digit is a class, and there are five.
        if (head.status < 100 || head.status > 599) return this.broken(EK_BAD_RESPONSE)
        at = At.STATUS_END
      }

      if (at === At.STATUS_END) {
        if (position === stop) break
        const byte = bytes[position]!
        // Small servers leave out the reason together with its SP. Nothing is ambiguous in that, and our own line has it.
        if (byte === SP) position++
        else if (byte !== CR) return this.broken(wrongInLine(byte))
        head.reasonStart = position
        at = At.REASON
      }

      if (at === At.REASON) {
        while (position < stop && FIELD_TEXT[bytes[position]!] === 1) position++
        if (position === stop) break
        const byte = bytes[position]!
        if (byte !== CR) return this.broken(byte === LF ? EK_BARE_LF : EK_BAD_FIELD_VALUE)
        head.reasonEnd = position
        position++
        at = At.LINE_LF
      }

      if (at === At.LINE_LF) {
        if (position === stop) break
        if (bytes[position] !== LF) return this.broken(EK_BARE_CR)
        return position + 1
      }
    }

    this.at = at
    return Step.STARVED
  }

  protected override finish(end: number): number {
    const head = this.head
    const { isChunked, contentLength } = this.framing
    const { method } = this.request
    const { status } = head
    head.end = end

    const hasNeverBody = status < 200 || status === 204
    // RFC 9110 section 8.6: no Content-Length there. A zero is often sent and true; another number promises bytes that
    // the next response would be taken for.
    if (hasNeverBody && contentLength > 0) return EK_BAD_CONTENT_LENGTH

    this.finishConnection()
    head.contentLength = 0
    // RFC 9112 section 6.3, in its order.
    const isBodiless = hasNeverBody || status === 304 || method === MethodId.HEAD
    if (isBodiless || (method === MethodId.CONNECT && status < 300)) {
      head.framing = Framing.NONE
      // Some servers send the empty chunked body that they announce on a 204, some do not: nothing may follow either.
      if (hasNeverBody && isChunked) head.keepAlive = false
    } else if (isChunked) {
      head.framing = Framing.CHUNKED
    } else if (contentLength >= 0) {
      head.framing = Framing.LENGTH
      head.contentLength = contentLength
    } else {
      head.framing = Framing.CLOSE
      head.keepAlive = false
    }
    return NO_ERROR
  }

  protected override blame(problem: number): void {
    this.problem = problem
    const isSize = problem === EK_HEAD_TOO_LARGE || problem === EK_TOO_MANY_FIELDS
    this.error = isSize ? EK_RESPONSE_HEAD_TOO_LARGE : EK_BAD_RESPONSE
  }
}

function wrongInLine(byte: number): number {
  return byte === LF ? EK_BARE_LF : EK_BAD_RESPONSE
}
