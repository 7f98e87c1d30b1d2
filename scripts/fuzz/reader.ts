/**
 * Reads a stream of messages with the codec, whole or in pieces, and notes all it is told as numbers: the same bytes
 * must leave the same notes. The first message is kept in a form that can be compared with the reference.
 */
import { ChunkedDecoder, type ChunkSink } from '../../src/http1/chunked.ts'
import { Framing, type MessageHead, MethodId, RequestHead, type ResponseHead } from '../../src/http1/head.ts'
import { NO_ERROR, ParseStatus } from '../../src/http1/parse-status.ts'
import { RequestHeadParser } from '../../src/http1/request-head-parser.ts'
import { ResponseHeadParser } from '../../src/http1/response-head-parser.ts'

export interface FuzzLimits {
  readonly requestLineBytes: number
  readonly headBytes: number
  readonly fieldCount: number
  readonly trailerBytes: number
}

export const FUZZ_LIMITS = { requestLineBytes: 8192, headBytes: 32_768, fieldCount: 100 }
/** Larger than every input, but for the fields. */
export const WIDE_LIMITS: FuzzLimits = { ...FUZZ_LIMITS, trailerBytes: 8192 }
const MARGIN = 2

/** How far a stream came. */
export const Ended = {
  /** The bytes ran out in the middle of a message. */
  INCOMPLETE: 0,
  /** The bytes ended where a message ended. */
  COMPLETE: 1,
  REFUSED: 2,
} as const

const Phase = { HEAD: 0, LENGTH: 1, CHUNKED: 2, CLOSE: 3 } as const

export interface FirstMessage {
  readonly head: RequestHead | ResponseHead
  readonly body: string
  readonly trailers: MessageHead | null
  readonly end: number
}

export class StreamReader implements ChunkSink {
  /** What was told so far; `notes[0, noteCount)`. */
  readonly notes: Int32Array = new Int32Array(8192)
  noteCount = 0
  ended: number = Ended.INCOMPLETE
  /** After REFUSED. */
  error: number = NO_ERROR
  /** Messages that were read to their end, bodies included. */
  messages = 0
  /** Called when the first head is whole, while it is valid. */
  onFirstHead: ((head: RequestHead | ResponseHead) => void) | null = null
  /** Called when the first message is whole, while its head and trailers are valid. */
  onFirstMessage: ((message: FirstMessage) => void) | null = null

  readonly #isRequest: boolean
  readonly #requests = new RequestHeadParser(FUZZ_LIMITS)
  readonly #responses = new ResponseHeadParser(WIDE_LIMITS)
  readonly #decoder = new ChunkedDecoder(WIDE_LIMITS)
  #phase: number = Phase.HEAD
  #heads = 0
  #left = 0
  #bodyHash = 0
  #bodyLength = 0
  #body = ''
  #keepsBody = false
  #scratch = Buffer.alloc(0)

  constructor(kind: 'request' | 'response') {
    this.#isRequest = kind === 'request'
  }

  /** From the next stream on. */
  setLimits(limits: FuzzLimits): void {
    this.#requests.limits = limits
    this.#responses.limits = limits
    this.#decoder.limits = limits
  }

  /** Reads `bytes[0, length)` cut at `cuts`, which ascend. `isHead`: responses answer HEAD. */
  read(bytes: Buffer, length: number, cuts: readonly number[], isHead: boolean): void {
    this.#begin(isHead)
    if (cuts.length === 0) this.#feed(bytes, 0, length, 0)
    else {
      let from = 0
      for (let i = 0; i <= cuts.length && this.ended !== Ended.REFUSED; i++) {
        const to = i < cuts.length ? cuts[i]! : length
        this.#feedPiece(bytes, from, to)
        from = to
      }
    }
    if (this.ended === Ended.REFUSED) return
    const isIdle = this.#isRequest ? this.#requests.idle : this.#responses.idle
    if (this.#phase === Phase.CLOSE) this.#endMessage(length, null)
    this.ended = this.#phase === Phase.HEAD && isIdle ? Ended.COMPLETE : Ended.INCOMPLETE
  }

  /** A piece is copied, and spoilt when the codec has had it: nobody may look at it later. */
  #feedPiece(bytes: Buffer, from: number, to: number): void {
    const size = to - from
    if (this.#scratch.length < size + 2 * MARGIN) this.#scratch = Buffer.alloc(2 * size + 2 * MARGIN, '\n')
    const scratch = this.#scratch
    bytes.copy(scratch, MARGIN, from, to)
    this.#feed(scratch, MARGIN, MARGIN + size, from - MARGIN)
    scratch.fill(0x0a, 0, size + 2 * MARGIN)
  }

  #begin(isHead: boolean): void {
    this.noteCount = 0
    this.ended = Ended.INCOMPLETE
    this.error = NO_ERROR
    this.messages = 0
    this.#heads = 0
    this.#phase = Phase.HEAD
    this.#keepsBody = this.onFirstMessage !== null
    this.#requests.reset()
    this.#responses.reset()
    this.#responses.expect(isHead ? MethodId.HEAD : MethodId.GET)
    this.#decoder.reset()
  }

  /** `offset`: what a position in `bytes` lacks to one in the stream. */
  #feed(bytes: Buffer, start: number, end: number, offset: number): void {
    let position = start
    while (position < end) {
      if (this.#phase === Phase.HEAD) {
        const parser = this.#isRequest ? this.#requests : this.#responses
        const status = parser.feed(bytes, position, end)
        if (status === ParseStatus.MORE) return
        if (status === ParseStatus.ERROR) return this.#refuse(this.#isRequest ? parser.error : this.#responses.problem)
        position = parser.consumed
        this.#headDone(parser.head, position + offset)
      } else if (this.#phase === Phase.CHUNKED) {
        const status = this.#decoder.feed(bytes, position, end, this)
        if (status === ParseStatus.MORE) return
        if (status === ParseStatus.ERROR) return this.#refuse(this.#decoder.error)
        position = this.#decoder.consumed
        this.#noteFields(this.#decoder.trailers)
        this.#endMessage(position + offset, this.#decoder.trailers)
      } else {
        const taken = this.#phase === Phase.CLOSE ? end - position : Math.min(this.#left, end - position)
        this.chunkData(bytes, position, position + taken)
        this.#left -= taken
        position += taken
        if (this.#phase === Phase.LENGTH && this.#left === 0) this.#endMessage(position + offset, null)
      }
    }
  }

  chunkData(bytes: Buffer, start: number, end: number): void {
    for (let i = start; i < end; i++) this.#bodyHash = Math.imul(this.#bodyHash ^ bytes[i]!, 0x0100_0193)
    this.#bodyLength += end - start
    if (this.#keepsBody) this.#body += bytes.toString('latin1', start, end)
  }

  #refuse(error: number): void {
    this.ended = Ended.REFUSED
    this.error = error
    this.#note(-1)
    this.#note(error)
    // The data that came before is the same, however it was cut.
    this.#note(this.#bodyHash)
    this.#note(this.#bodyLength)
  }

  #headDone(head: RequestHead | ResponseHead, position: number): void {
    this.#heads++
    this.#bodyHash = 0x811c_9dc5
    this.#bodyLength = 0
    this.#body = ''
    this.#note(position)
    this.#noteHead(head)
    if (this.#heads === 1) this.onFirstHead?.(head)
    switch (head.framing) {
      case Framing.CHUNKED:
        this.#phase = Phase.CHUNKED
        break
      case Framing.CLOSE:
        this.#phase = Phase.CLOSE
        break
      case Framing.LENGTH:
        this.#left = head.contentLength
        this.#phase = Phase.LENGTH
        if (this.#left === 0) this.#endMessage(position, null)
        break
      default:
        this.#endMessage(position, null)
    }
  }

  #endMessage(position: number, trailers: MessageHead | null): void {
    this.#phase = Phase.HEAD
    this.#note(position)
    this.#note(this.#bodyHash)
    this.#note(this.#bodyLength)
    if (this.messages++ === 0) {
      const head = this.#isRequest ? this.#requests.head : this.#responses.head
      this.onFirstMessage?.({ head, body: this.#body, trailers, end: position })
    }
    this.#keepsBody = false
  }

  #noteHead(head: RequestHead | ResponseHead): void {
    const { start } = head
    this.#note(head.end - start)
    this.#note(head.fieldsStart - start)
    this.#note(head.framing)
    this.#note(head.contentLength)
    this.#note(Math.floor(head.contentLength / 0x1_0000_0000))
    this.#note((head.keepAlive ? 1 : 0) | (head.upgrade ? 2 : 0) | (head.regular ? 4 : 0) | (head.versionMinor << 3))
    if (head instanceof RequestHead) {
      this.#note(head.method)
      this.#note(head.methodEnd - start)
      this.#note(head.targetForm)
      this.#note(head.targetStart - start)
      this.#note(head.targetEnd - start)
      this.#note(head.pathStart - start)
      this.#note(head.queryStart - start)
      this.#note(head.pathEnd - start)
      this.#note(head.targetFlags)
      this.#note(head.authorityStart - start)
      this.#note(head.authorityEnd - start)
      this.#note(head.hostIndex)
      this.#note(head.expectContinue ? 1 : 0)
    } else {
      this.#note(head.status)
      this.#note(head.reasonStart - start)
      this.#note(head.reasonEnd - start)
    }
    this.#noteFields(head)
  }

  #noteFields(head: MessageHead): void {
    const { bytes, start, end, count } = head
    let hash = 0x811c_9dc5
    if (count > 0) for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x0100_0193)
    this.#note(hash)
    this.#note(count)
    for (let i = 0; i < count; i++) {
      this.#note(head.nameStart[i]! - start)
      this.#note(head.nameEnd[i]! - start)
      this.#note(head.valueStart[i]! - start)
      this.#note(head.valueEnd[i]! - start)
      this.#note(head.id[i]! | (head.flags[i]! << 8))
    }
  }

  #note(number: number): void {
    if (this.noteCount < this.notes.length) this.notes[this.noteCount++] = number
  }
}

/** Did two readers note the same? */
export function isSame(a: StreamReader, b: StreamReader): boolean {
  if (a.ended !== b.ended || a.noteCount !== b.noteCount) return false
  for (let i = 0; i < a.noteCount; i++) if (a.notes[i] !== b.notes[i]) return false
  return true
}
