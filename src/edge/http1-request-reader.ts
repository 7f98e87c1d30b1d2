/**
 * Reads the requests in the bytes of one HTTP/1.1 connection: heads, bodies in either framing, and what came too early of
 * the next request, which waits here. Knows no socket, no timer and no exchange: it tells a sink, and is told how to go on.
 */
import { ERROR_INDEX } from '../core/errors.ts'
import { ChunkedDecoder, type ChunkSink } from '../http1/chunked.ts'
import { Framing, type RequestHead } from '../http1/head.ts'
import { keptFields } from '../http1/kept-fields.ts'
import { ParseStatus } from '../http1/parse-status.ts'
import { RequestHeadParser } from '../http1/request-head-parser.ts'
import type { ListenerPlan } from '../pool/plan.ts'

/** What comes next. WHOLE: the request is read, and what follows waits for its answer. OVER: nothing is wanted any more. */
const Part = { HEAD: 0, BODY: 1, WHOLE: 2, TUNNEL: 3, OVER: 4 } as const

const SMALL_CHUNK_BYTES = 512
/** As much may wait of the next requests; reading on so far shows whether the client is still there. */
const HOLD_BYTES = 64 * 1024
const TRAILER_BYTES = 8192
const CUT_NOTHING = new Uint8Array(256)

/** The connection whose requests are read. Bytes of bodies are owned: they may be kept. */
export interface RequestSink {
  /** False as long as no further request may begin. */
  readonly mayBegin: boolean
  /** Bytes of a head came, and more are to come. */
  headBegun(): void
  headRefused(error: number): void
  /** A whole head, borrowed for the call. False: it was answered, its body is read by the next turn or not at all. */
  requestBegun(head: RequestHead): boolean
  /** What of the body came with the head was passed on: it may all leave together. */
  requestReady(): void
  bodyData(bytes: Buffer): void
  /** Trailers as text, each with its CRLF. */
  requestEnd(trailers: string): void
  bodyRefused(error: number): void
  /** Bytes wait, until `readHeld` or `dropHeld`. Full: no more should come. */
  heldBack(isFull: boolean): void
  /** So many bytes came behind the end of what is wanted. */
  unwanted(size: number): void
}

/** A parser that no connection is in the middle of a head with. */
let spareParser: RequestHeadParser | null = null

export class Http1RequestReader implements ChunkSink {
  readonly #sink: RequestSink
  /** Whose limits count, as they are now. */
  readonly #listener: { readonly plan: ListenerPlan }
  #part: number = Part.HEAD
  #parser: RequestHeadParser | null = null
  #decoder: ChunkedDecoder | null = null
  #isChunked = false
  /** Of a body with a length: bytes still to come. Of one in chunks: bytes that came. */
  #bytes = 0
  /** Small chunks of one read, put together: a body that comes byte by byte must not cost a buffer and a write for each. */
  #gathered: Buffer | null = null
  #gatheredBytes = 0
  #held: Buffer | null = null
  #heldBytes = 0

  constructor(sink: RequestSink, listener: { readonly plan: ListenerPlan }) {
    this.#sink = sink
    this.#listener = listener
  }

  /** The request has a body that is not read to its end. */
  get isInBody(): boolean {
    return this.#part === Part.BODY
  }

  /** Nothing of the request is still to come: false also where it was refused in the middle. */
  get isWhole(): boolean {
    return this.#part === Part.WHOLE || this.#part === Part.TUNNEL
  }

  get hasHeld(): boolean {
    return this.#held !== null
  }

  /** `bytes` are borrowed for the call: what is to outlive it is copied. */
  read(bytes: Buffer): void {
    if (this.#held !== null) return this.#holdBack(bytes, 0, false)
    switch (this.#part) {
      case Part.HEAD:
        return this.#read(bytes, false)
      case Part.OVER:
        return this.#sink.unwanted(bytes.length)
      default:
        return this.#read(Buffer.from(bytes), true)
    }
  }

  #read(bytes: Buffer, isOwned: boolean): void {
    let start = 0
    // Each turn of the loop takes one part of a request, or all there is.
    while (start < bytes.length) {
      switch (this.#part) {
        case Part.HEAD:
          if (!this.#sink.mayBegin) return this.#holdBack(bytes, start, isOwned)
          start = this.#readHead(bytes, start, isOwned)
          break
        case Part.BODY:
          if (!isOwned) return this.#read(Buffer.from(bytes.subarray(start)), true)
          start = this.#readBody(bytes, start)
          break
        case Part.WHOLE:
          return this.#holdBack(bytes, start, isOwned)
        case Part.TUNNEL:
          this.#sink.bodyData(owned(bytes, start, isOwned))
          return
        default:
          this.#sink.unwanted(bytes.length - start)
          return
      }
    }
  }

  /** Reads what waits. */
  readHeld(): void {
    const held = this.#held
    if (held === null) return
    const size = this.#heldBytes
    this.dropHeld()
    this.#read(held.subarray(0, size), true)
  }

  dropHeld(): void {
    this.#held = null
    this.#heldBytes = 0
  }

  /** The request was answered and read to its end: the next one may come. */
  next(): void {
    this.#part = Part.HEAD
  }

  /** From here on bytes are no requests; what waits belongs to the tunnel already. */
  startTunnel(): void {
    this.#part = Part.TUNNEL
    this.readHeld()
  }

  /** The request ends here, whatever was to come of it: what comes now is counted and dropped. */
  stop(): void {
    this.#part = Part.OVER
    this.dropHeld()
  }

  #readHead(bytes: Buffer, start: number, isOwned: boolean): number {
    const parser = this.#parser ?? takeParser(this.#listener.plan.limits)
    const status = parser.feed(bytes, start, bytes.length)
    if (status === ParseStatus.MORE) {
      this.#parser = parser
      if (!parser.idle) this.#sink.headBegun()
      return bytes.length
    }
    this.#parser = null
    spareParser = parser
    if (status === ParseStatus.ERROR) {
      const { error } = parser
      parser.reset()
      this.#part = Part.OVER
      this.#sink.headRefused(error)
      return bytes.length
    }
    return this.#begin(parser.head, bytes, parser.consumed, isOwned)
  }

  /** All of it within one event: the head's view stays valid until the request is on its way. */
  #begin(head: RequestHead, bytes: Buffer, bodyStart: number, isOwned: boolean): number {
    this.#isChunked = head.framing === Framing.CHUNKED
    this.#bytes = this.#isChunked ? 0 : head.contentLength
    const hasBody = this.#isChunked || (head.framing === Framing.LENGTH && head.contentLength > 0)
    this.#part = hasBody ? Part.BODY : Part.WHOLE
    if (this.#isChunked) this.#startChunks()
    if (!this.#sink.requestBegun(head)) return bodyStart
    // What of the body is at hand leaves in one write with the head.
    let next = bodyStart
    if (hasBody && bodyStart < bytes.length) {
      if (isOwned) next = this.#readBody(bytes, bodyStart)
      else next += this.#readBody(Buffer.from(bytes.subarray(bodyStart)), 0)
    }
    this.#sink.requestReady()
    return next
  }

  #startChunks(): void {
    this.#decoder ??= new ChunkedDecoder({
      trailerBytes: TRAILER_BYTES,
      fieldCount: this.#listener.plan.limits.fieldCount,
    })
    this.#decoder.reset()
  }

  /** The offset behind what belonged to the body. */
  #readBody(bytes: Buffer, start: number): number {
    if (this.#isChunked) return this.#readChunks(bytes, start)
    const take = Math.min(this.#bytes, bytes.length - start)
    this.#bytes -= take
    this.#bodyPiece(bytes, start, start + take)
    if (this.#bytes === 0) this.#endRequest('')
    return start + take
  }

  #readChunks(bytes: Buffer, start: number): number {
    const decoder = this.#decoder!
    const status = decoder.feed(bytes, start, bytes.length, this)
    this.#passGathered()
    if (status === ParseStatus.MORE) return bytes.length
    if (status === ParseStatus.ERROR) {
      this.#part = Part.OVER
      this.#sink.bodyRefused(decoder.error)
      return bytes.length
    }
    this.#endRequest(decoder.trailers.count === 0 ? '' : keptFields(decoder.trailers, CUT_NOTHING))
    return decoder.consumed
  }

  /** A piece of a chunked body. */
  chunkData(bytes: Buffer, start: number, end: number): void {
    this.#bytes += end - start
    const { bodyBytes } = this.#listener.plan.limits
    if (bodyBytes > 0 && this.#bytes > bodyBytes) {
      if (this.#part === Part.OVER) return
      this.#part = Part.OVER
      this.#sink.bodyRefused(ERROR_INDEX.EK_BODY_TOO_LARGE)
    } else if (end - start < SMALL_CHUNK_BYTES) {
      // What follows in these bytes is no more than they are.
      this.#gathered ??= Buffer.allocUnsafe(bytes.length - start)
      this.#gatheredBytes += bytes.copy(this.#gathered, this.#gatheredBytes, start, end)
    } else {
      this.#passGathered()
      this.#bodyPiece(bytes, start, end)
    }
  }

  #passGathered(): void {
    const gathered = this.#gathered
    if (gathered === null) return
    const size = this.#gatheredBytes
    this.#gathered = null
    this.#gatheredBytes = 0
    // What is kept for long must not hold on to a buffer that is mostly empty.
    if (size * 2 < gathered.length) this.#bodyPiece(Buffer.from(gathered.subarray(0, size)), 0, size)
    else this.#bodyPiece(gathered, 0, size)
  }

  #bodyPiece(bytes: Buffer, start: number, end: number): void {
    if (end === start || this.#part === Part.OVER) return
    this.#sink.bodyData(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end))
  }

  #endRequest(trailers: string): void {
    if (this.#part === Part.OVER) return
    this.#part = Part.WHOLE
    this.#sink.requestEnd(trailers)
  }

  /** Bytes of a next request while one is open: answered in order, so it waits, and so does the client. */
  #holdBack(bytes: Buffer, start: number, isOwned: boolean): void {
    const size = bytes.length - start
    const held = this.#held
    if (held === null) {
      this.#held = owned(bytes, start, isOwned)
    } else {
      // Room doubles: a client that sends byte by byte must not have all of it copied each time.
      const needed = this.#heldBytes + size
      const room = held.length >= needed ? held : Buffer.allocUnsafe(2 * needed)
      if (room !== held) held.copy(room, 0, 0, this.#heldBytes)
      bytes.copy(room, this.#heldBytes, start)
      this.#held = room
    }
    this.#heldBytes += size
    this.#sink.heldBack(this.#heldBytes >= HOLD_BYTES)
  }
}

/** The bytes from `start` on, to keep. */
function owned(bytes: Buffer, start: number, isOwned: boolean): Buffer {
  const rest = start === 0 ? bytes : bytes.subarray(start)
  return isOwned ? rest : Buffer.from(rest)
}

function takeParser(limits: ListenerPlan['limits']): RequestHeadParser {
  const parser = spareParser ?? new RequestHeadParser(limits)
  spareParser = null
  parser.limits = limits
  return parser
}
