/**
 * The client's side over HTTP/1.1: one socket, one exchange at a time, answered in order.
 * Reads heads and bodies, hands them to the exchange, writes the answers, and decides how the connection goes on.
 */
import type * as net from 'node:net'
import { ERROR_INDEX } from '../core/errors.ts'
import { ChunkedDecoder, type ChunkSink } from '../http1/chunked.ts'
import { Framing, type MessageHead, type RequestHead, type ResponseHead } from '../http1/head.ts'
import { keptFields } from '../http1/kept-fields.ts'
import { latin1 } from '../http1/latin1.ts'
import { ParseStatus } from '../http1/parse-status.ts'
import { RequestParser } from '../http1/request-parser.ts'
import { writeLastChunk, writeResponseHead } from '../http1/write-response.ts'
import { Counter, errorCounter } from '../observe/counters.ts'
import type { WorkerContext } from './context.ts'
import type { Exchange } from './exchange.ts'
import type { ForwardedCache } from './forwarded.ts'
import type { ListenerContext } from './listener.ts'
import { type RelayBuffer, RelayBuffers } from './relay-buffers.ts'
import { handleRequest } from './request-path.ts'
import { failExchange, reasonOf, refuseHead } from './respond.ts'
import type { DownstreamStream } from './streams.ts'
import { Deadline } from './timers.ts'

/** IDLE: between requests. HEAD: in the middle of one. OPEN: an exchange runs. LINGER: answered, waiting for the client to close. */
const State = { IDLE: 0, HEAD: 1, OPEN: 2, DISCARD: 3, LINGER: 4, CLOSED: 5 } as const

const SMALL_BODY_BYTES = 2048
const SMALL_CHUNK_BYTES = 512
const TRAILER_BYTES = 8192
/** How long, and for how many bytes, a closing connection is still read, so that our last answer is not lost to a reset. */
const LINGER_MS = 2000
const LINGER_BYTES = 1024 * 1024
/** A request that was answered early is read to its end if that is no more than this. */
const DISCARD_BYTES = 256 * 1024
/**
 * How long an idle connection may still bring a request when it is to close: one that is on its way would be lost, and
 * whoever is asked often learns of the end by his answer instead.
 */
const DRAIN_IDLE_MS = 500
const CUT_NOTHING = new Uint8Array(256)

/** Up to this size `allocUnsafe` slices its own pool, which is as cheap as it gets. */
const POOLED_BYTES = Buffer.poolSize >>> 1
const copyBuffers = new RelayBuffers(64 * 1024, 16 * 1024 * 1024)

let spareParser: RequestParser | null = null

export class Http1Downstream extends Deadline implements DownstreamStream, ChunkSink {
  readonly listener: ListenerContext
  readonly clientAddress: string
  readonly isTrusted: boolean
  readonly scheme = 'http'
  forwardedCache: ForwardedCache | null = null
  readonly #context: WorkerContext
  readonly #socket: net.Socket
  /** The one that is open; an idle connection has none. */
  #exchange: Exchange | null = null
  /** The client has to take something before more is written. */
  #isWaiting = false
  #hasWaited = false
  #state: number = State.IDLE
  #parser: RequestParser | null = null
  #decoder: ChunkedDecoder | null = null
  #requests = 0
  #hasEnded = false

  // The request being read.
  #framing: number = Framing.NONE
  #left = 0
  #discarded = 0
  /** Small chunks of one read, put together: a body that comes byte by byte must not cost a buffer and a write for each. */
  #gathered: Buffer | null = null
  #gatheredBytes = 0
  /** Bytes behind the current request, of the next one. */
  #pending: Buffer | null = null
  #isReadingPending = false
  #isPaused = false

  // The answer being written.
  #answerFraming: number = Framing.NONE
  #isAnswerWhole = false
  #mustClose = false
  /** The client itself said that this request is its last. */
  #isLastAsked = false
  #isInTunnel = false

  constructor(
    context: WorkerContext,
    listener: ListenerContext,
    socket: net.Socket,
    client: { address: string; isTrusted: boolean },
  ) {
    super()
    this.#context = context
    this.listener = listener
    this.#socket = socket
    this.clientAddress = client.address
    this.isTrusted = client.isTrusted
    const owned = socket as OwnedSocket
    owned[OWNER] = this
    // Shared functions: five closures less per connection.
    socket.on('data', Http1Downstream.#dataEvent)
    socket.on('drain', Http1Downstream.#drainEvent)
    socket.on('end', Http1Downstream.#endEvent)
    socket.on('error', ignoreError) // 'close' follows
    socket.on('close', Http1Downstream.#closeEvent)
    context.timers.arm(this, listener.plan.timeouts.headMs)
  }

  static #dataEvent(this: OwnedSocket, bytes: Buffer): void {
    this[OWNER].#onData(bytes)
  }

  static #drainEvent(this: OwnedSocket): void {
    this[OWNER].#onDrain()
  }

  static #endEvent(this: OwnedSocket): void {
    this[OWNER].#onEnd()
  }

  static #closeEvent(this: OwnedSocket): void {
    this[OWNER].#onClose()
  }

  static #timeoutEvent(this: OwnedSocket): void {
    this[OWNER].#onTimeout()
  }

  static #finishEvent(this: OwnedSocket): void {
    this[OWNER].#onFinish()
  }

  /** Busy connections close after their answer, idle ones soon. */
  drain(): void {
    this.#mustClose = true
    if (this.#state === State.IDLE) this.#context.timers.arm(this, DRAIN_IDLE_MS)
  }

  /** What runs is cut off, and must not look complete. */
  destroy(): void {
    this.#drop(ERROR_INDEX.EK_DRAIN_DEADLINE)
  }

  // ------------------------------------------------------------------ reading

  #onData(bytes: Buffer): void {
    this.#context.counters[Counter.BYTES_RECEIVED]! += bytes.length
    this.#read(bytes, 0)
  }

  #read(bytes: Buffer, from: number): void {
    let start = from
    // Each turn of the loop takes one whole request, or all there is.
    while (start < bytes.length) {
      switch (this.#state) {
        case State.IDLE:
        case State.HEAD:
          // A client that does not read its answers gets no further ones: else they would pile up here.
          if (this.#socket.writableNeedDrain) {
            this.#holdBack(bytes, start)
            return
          }
          start = this.#readHead(bytes, start)
          break
        case State.OPEN:
          if (this.#framing !== Framing.NONE) start = this.#readBody(bytes, start)
          else {
            this.#holdBack(bytes, start)
            return
          }
          break
        case State.DISCARD:
          start = this.#readBody(bytes, start)
          break
        case State.LINGER:
          this.#discarded += bytes.length - start
          if (this.#discarded > LINGER_BYTES) this.#drop(ERROR_INDEX.EK_SEND_TIMEOUT)
          return
        default:
          return
      }
    }
  }

  #readHead(bytes: Buffer, start: number): number {
    const parser = this.#parser ?? takeParser(this.listener)
    const status = parser.feed(bytes, start, bytes.length)
    if (status === ParseStatus.MORE) {
      this.#parser = parser
      if (this.#state === State.IDLE && !parser.idle) {
        this.#state = State.HEAD
        this.#context.timers.arm(this, this.listener.plan.timeouts.headMs)
      }
      return bytes.length
    }
    this.#parser = null
    spareParser = parser
    if (status === ParseStatus.ERROR) {
      const { error } = parser
      parser.reset()
      this.#begin(null)
      refuseHead(this.#exchange!, error)
      return bytes.length
    }
    const { head } = parser
    this.#begin(head)
    return this.#startExchange(head, bytes, parser.consumed)
  }

  #begin(head: RequestHead | null): void {
    this.#state = State.OPEN
    this.#requests++
    // From the second answer on, small writes must not wait for the acknowledgement of earlier ones.
    if (this.#requests === 2) this.#socket.setNoDelay(true)
    const { requestsPerConnection } = this.listener.plan.limits
    this.#mustClose =
      head === null ||
      !head.keepAlive ||
      this.#context.isDraining ||
      this.listener.isDraining ||
      (requestsPerConnection > 0 && this.#requests >= requestsPerConnection)
    this.#isLastAsked = head !== null && !head.keepAlive
    this.#framing = head === null ? Framing.NONE : head.framing
    this.#isAnswerWhole = false
    const exchange = this.#context.exchanges.take(this)
    this.#exchange = exchange
    const nowMs = this.#context.timers.clock()
    this.#context.timers.disarm(this)
    if (head === null) exchange.beginUnread(nowMs)
    else exchange.begin(head, nowMs)
  }

  /** Everything here runs within one event: the head's view stays valid until the request is on its way. */
  #startExchange(head: RequestHead, bytes: Buffer, bodyStart: number): number {
    const exchange = this.#exchange!
    if (this.#framing === Framing.LENGTH) {
      this.#left = head.contentLength
      if (this.#left === 0) this.#endRequest('')
    } else if (this.#framing === Framing.CHUNKED) this.#startChunks()
    if (!handleRequest(this.#context, exchange, head)) return bodyStart
    // What of the body is at hand leaves in one write with the head.
    let next = bodyStart
    if (this.#framing !== Framing.NONE && bodyStart < bytes.length) next = this.#readBody(bytes, bodyStart)
    if (!exchange.isOver && this.#state === State.OPEN) this.#context.startAttempt(exchange)
    // A client that waits for a 100 owes nothing until it has come.
    if (this.#framing !== Framing.NONE && this.#state === State.OPEN && !this.#isPaused && !exchange.isExpecting)
      this.#context.timers.arm(this, this.listener.plan.timeouts.bodyIdleMs)
    return next
  }

  #startChunks(): void {
    this.#left = 0
    this.#decoder ??= new ChunkedDecoder({
      trailerBytes: TRAILER_BYTES,
      fieldCount: this.listener.plan.limits.fieldCount,
    })
    this.#decoder.reset()
  }

  /** The offset behind what belonged to the body. */
  #readBody(bytes: Buffer, start: number): number {
    if (this.#state === State.OPEN && !this.#isInTunnel)
      this.#context.timers.arm(this, this.listener.plan.timeouts.bodyIdleMs)
    if (this.#isInTunnel) {
      this.#exchange!.requestData(start === 0 ? bytes : bytes.subarray(start))
      return bytes.length
    }
    if (this.#framing === Framing.CHUNKED) return this.#readChunks(bytes, start)
    const take = Math.min(this.#left, bytes.length - start)
    this.#left -= take
    this.#bodyPiece(bytes, start, start + take)
    if (this.#left === 0) this.#endRequest('')
    return start + take
  }

  #readChunks(bytes: Buffer, start: number): number {
    const decoder = this.#decoder!
    const status = decoder.feed(bytes, start, bytes.length, this)
    this.#passGathered()
    if (status === ParseStatus.MORE) return bytes.length
    if (status === ParseStatus.ERROR) {
      this.#framing = Framing.NONE
      this.#mustClose = true
      if (this.#state === State.OPEN) failExchange(this.#exchange!, decoder.error)
      else this.#linger()
      return bytes.length
    }
    this.#endRequest(decoder.trailers.count === 0 ? '' : keptFields(decoder.trailers, CUT_NOTHING))
    return decoder.consumed
  }

  /** A piece of a chunked body. */
  chunkData(bytes: Buffer, start: number, end: number): void {
    this.#left += end - start
    const { bodyBytes } = this.listener.plan.limits
    if (bodyBytes > 0 && this.#left > bodyBytes && this.#state === State.OPEN) {
      this.#mustClose = true
      failExchange(this.#exchange!, ERROR_INDEX.EK_BODY_TOO_LARGE)
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
    if (end === start) return
    if (this.#state === State.OPEN)
      this.#exchange!.requestData(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end))
    else if (this.#state === State.DISCARD) {
      this.#discarded += end - start
      if (this.#discarded > DISCARD_BYTES) this.#linger()
    }
  }

  #endRequest(trailers: string): void {
    this.#framing = Framing.NONE
    if (this.#state === State.DISCARD) return this.#next()
    if (this.#state !== State.OPEN) return
    this.#context.timers.disarm(this)
    this.#exchange!.requestEnd(trailers)
  }

  /** Bytes of a next request while one is open: answered in order, so it waits, and so does the client. */
  #holdBack(bytes: Buffer, start: number): void {
    const rest = start === 0 ? bytes : bytes.subarray(start)
    this.#pending = this.#pending === null ? rest : Buffer.concat([this.#pending, rest])
    // Between requests it is us who wait, so the client's time stands still.
    if (this.#state !== State.OPEN) this.#context.timers.disarm(this)
    this.#pause()
  }

  // ------------------------------------------------------------------ DownstreamStream

  interim(head: ResponseHead): void {
    this.#write(writeResponseHead(head, ''))
    if (head.status === 100 && this.#framing !== Framing.NONE && !this.#isPaused)
      this.#context.timers.arm(this, this.listener.plan.timeouts.bodyIdleMs)
  }

  respond(head: ResponseHead, bytes: Buffer, start: number, end: number, isLast: boolean): boolean {
    const exchange = this.#exchange!
    let framing = head.framing
    let addition = ''
    if (framing === Framing.CHUNKED || framing === Framing.CLOSE) {
      if (exchange.versionMinor === 1) {
        framing = Framing.CHUNKED
        addition = 'transfer-encoding: chunked\r\n'
      } else {
        framing = Framing.CLOSE
        this.#mustClose = true
      }
    }
    // The client may or may not send the body it asked leave for: what it sends next could not be told apart.
    if (exchange.isExpecting && !exchange.requestEnded) this.#mustClose = true
    this.#answerFraming = framing
    this.#isAnswerWhole = isLast
    const text = writeResponseHead(head, addition + this.#connectionField())
    const size = end - start
    if (size === 0) return this.#write(text)
    if (framing === Framing.CHUNKED || size > SMALL_BODY_BYTES) {
      const socket = this.#socket
      socket.cork()
      this.#write(text)
      const isRoom = this.data(bytes, start, end, null)
      socket.uncork()
      return isRoom
    }
    return this.#write(text + latin1(bytes, start, end))
  }

  switchProtocols(head: ResponseHead, upgrade: string): void {
    this.#isInTunnel = true
    this.#framing = Framing.CLOSE
    this.#socket.setNoDelay(true)
    this.#context.timers.disarm(this)
    this.#write(writeResponseHead(head, `connection: upgrade\r\nupgrade: ${upgrade}\r\n`))
    // What came behind the request meanwhile belongs to the tunnel.
    const pending = this.#pending
    this.#pending = null
    if (pending !== null) this.#exchange!.requestData(pending)
    if (this.#hasEnded) this.#exchange?.requestEnd('')
    this.#readOn()
  }

  data(bytes: Buffer, start: number, end: number, lease: RelayBuffer | null): boolean {
    const size = end - start
    if (size === 0) return true
    if (this.#answerFraming !== Framing.CHUNKED || this.#isInTunnel) return this.#writeBytes(bytes, start, end, lease)
    if (size <= SMALL_BODY_BYTES) return this.#write(`${size.toString(16)}\r\n${latin1(bytes, start, end)}\r\n`)
    const socket = this.#socket
    socket.cork()
    this.#write(`${size.toString(16)}\r\n`)
    this.#writeBytes(bytes, start, end, lease)
    const isRoom = this.#write('\r\n')
    socket.uncork()
    return isRoom
  }

  end(trailers: MessageHead | null): void {
    if (this.#isInTunnel) this.#mustClose = true
    else if (this.#answerFraming === Framing.CHUNKED && !this.#isAnswerWhole) this.#write(writeLastChunk(trailers))
    this.#finish()
  }

  answer(status: number, text: string, mustClose: boolean): void {
    if (mustClose) this.#mustClose = true
    const { isHead } = this.#exchange!
    const fields = `content-type: text/plain; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(text)}\r\n`
    this.#answerFraming = Framing.LENGTH
    this.#write(
      `HTTP/1.1 ${status} ${reasonOf(status)}\r\n${fields}${this.#connectionField()}\r\n${isHead ? '' : text}`,
    )
    this.#finish()
  }

  cut(): void {
    // A missing last chunk or too few bytes are noticed; where only the close ends a body, a reset has to say it.
    if (this.#isInTunnel) this.#socket.destroy()
    else if (this.#answerFraming === Framing.CLOSE) this.#reset()
    else this.#linger()
  }

  pauseRequest(): void {
    this.#context.timers.disarm(this)
    this.#pause()
  }

  resumeRequest(): void {
    if (this.#pending !== null) return
    if (this.#framing !== Framing.NONE && !this.#isInTunnel && this.#state === State.OPEN)
      this.#context.timers.arm(this, this.listener.plan.timeouts.bodyIdleMs)
    this.#resume()
  }

  cork(): void {
    this.#socket.cork()
  }

  uncork(): void {
    this.#socket.uncork()
  }

  // ------------------------------------------------------------------ writing

  #connectionField(): string {
    if (this.#mustClose) return 'connection: close\r\n'
    return this.#exchange!.versionMinor === 0 ? 'connection: keep-alive\r\n' : ''
  }

  #write(text: string): boolean {
    this.#context.counters[Counter.BYTES_SENT]! += text.length
    this.#exchange!.bytesSent += text.length
    return this.#socket.write(text, 'latin1') || this.#mustWait()
  }

  #writeBytes(bytes: Buffer, start: number, end: number, lease: RelayBuffer | null): boolean {
    const size = end - start
    this.#context.counters[Counter.BYTES_SENT]! += size
    this.#exchange!.bytesSent += size
    if (lease === null) return this.#writeCopy(bytes, start, end) || this.#mustWait()
    lease.hold()
    return this.#socket.write(bytes.subarray(start, end), lease.release) || this.#mustWait()
  }

  /** Borrowed bytes that the write may still need after this event. */
  #writeCopy(bytes: Buffer, start: number, end: number): boolean {
    const size = end - start
    const own = size > POOLED_BYTES && size <= copyBuffers.bufferBytes ? copyBuffers.take() : null
    if (own === null) {
      const copy = Buffer.allocUnsafe(size)
      bytes.copy(copy, 0, start, end)
      return this.#socket.write(copy)
    }
    bytes.copy(own.bytes, 0, start, end)
    return this.#socket.write(own.bytes.subarray(0, size), own.release)
  }

  #mustWait(): boolean {
    if (this.#isWaiting) return false
    this.#isWaiting = true
    const socket = this.#socket
    if (!this.#hasWaited) {
      this.#hasWaited = true
      socket.on('timeout', Http1Downstream.#timeoutEvent)
    }
    // The socket's own timeout, as it alone knows of progress within a write: who reads slowly still reads.
    const { sendIdleMs, tunnelIdleMs } = this.listener.plan.timeouts
    socket.setTimeout(this.#isInTunnel ? tunnelIdleMs : sendIdleMs)
    return false
  }

  /** Everything that was written has left. */
  #hasTaken(): void {
    if (!this.#isWaiting) return
    this.#isWaiting = false
    this.#socket.setTimeout(0)
  }

  #onDrain(): void {
    this.#hasTaken()
    this.#exchange?.responseDrained()
    if (this.#pending !== null) this.#readPending()
  }

  // ------------------------------------------------------------------ how the connection goes on

  /** Ends the exchange, if one is open, and gives its object back for another. */
  #letGo(error = -1): void {
    const exchange = this.#exchange
    if (exchange === null) return
    this.#exchange = null
    if (error >= 0) exchange.abort(error)
    else exchange.finish()
    this.#context.exchanges.giveBack(exchange)
  }

  /** The answer is written: the exchange is over, the request may not be. */
  #finish(): void {
    this.#letGo()
    if (this.#state !== State.OPEN) return
    if (this.#mustClose) {
      // A client that asked for the close sends nothing more, so there is nothing a plain close could reset.
      const isDone = this.#isLastAsked && this.#framing === Framing.NONE && this.#pending === null
      if (isDone && this.#socket.writableLength === 0) this.#socket.destroy()
      else this.#linger()
      return
    }
    if (this.#framing === Framing.NONE) return this.#next()
    this.#state = State.DISCARD
    this.#discarded = 0
    this.#context.timers.arm(this, LINGER_MS)
    this.#resume()
  }

  #next(): void {
    this.#state = State.IDLE
    this.#context.timers.arm(this, this.listener.plan.timeouts.keepAliveMs)
    if (this.#pending !== null) {
      // Not from within the write of the answer before: each pipelined request gets its own turn.
      queueMicrotask(() => this.#readPending())
    } else if (this.#isReadingPending) return
    else if (this.#hasEnded) this.#linger()
    else if (this.#context.isDraining || this.listener.isDraining) this.#linger()
    else this.#resume()
  }

  #readPending(): void {
    const pending = this.#pending
    if (pending === null || (this.#state !== State.IDLE && this.#state !== State.HEAD)) return
    this.#pending = null
    const { headMs, keepAliveMs } = this.listener.plan.timeouts
    this.#context.timers.arm(this, this.#state === State.HEAD ? headMs : keepAliveMs)
    this.#isReadingPending = true
    this.#read(pending, 0)
    this.#isReadingPending = false
    // The client's end came behind these bytes.
    if (this.#hasEnded) this.#onEnd()
    else this.#readOn()
  }

  /** Unless bytes of a next request wait already, or the endpoint does not take what came. */
  #readOn(): void {
    if (this.#pending === null && this.#exchange?.isRequestPaused !== true) this.#resume()
  }

  #pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.#socket.pause()
  }

  #resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#socket.resume()
  }

  /** Ends the connection at once. A body that only the close would end must not look whole when part of it is unsent. */
  #drop(error: number): void {
    const isUnsent = this.#exchange !== null || this.#socket.writableLength > 0
    const isCut = isUnsent && this.#answerFraming === Framing.CLOSE && !this.#isInTunnel
    this.#state = State.CLOSED
    if (this.#exchange !== null) this.#letGo(error)
    else if (isUnsent) this.#context.counters[errorCounter(error)]! += 1
    if (isCut) this.#reset()
    else this.#socket.destroy()
  }

  #reset(): void {
    // A unix socket knows no reset: node throws.
    if (this.listener.plan.address.kind === 'unix') this.#socket.destroy()
    else this.#socket.resetAndDestroy()
  }

  /** Says that nothing more comes and reads on for a while: closing with bytes unread would reset what the client has yet to read. */
  #linger(): void {
    if (this.#state >= State.LINGER) return
    this.#state = State.LINGER
    this.#discarded = 0
    this.#pending = null
    const socket = this.#socket
    if (socket.writableLength > 0) {
      // What is still to be sent has the time that sending has.
      this.#context.timers.disarm(this)
      this.#mustWait()
      socket.once('finish', Http1Downstream.#finishEvent)
    } else this.#context.timers.arm(this, LINGER_MS)
    if (this.#hasEnded) {
      socket.destroySoon()
      return
    }
    socket.end()
    this.#resume()
  }

  /** Everything was sent; the client has yet to close. */
  #onFinish(): void {
    this.#hasTaken()
    if (this.#state === State.LINGER) this.#context.timers.arm(this, LINGER_MS)
  }

  /** The client ended its side. */
  #onEnd(): void {
    this.#hasEnded = true
    switch (this.#state) {
      case State.OPEN:
        if (this.#isInTunnel) this.#exchange?.requestEnd('')
        else if (this.#framing !== Framing.NONE) {
          this.#letGo(ERROR_INDEX.EK_BODY_CUT_SHORT)
          this.#state = State.CLOSED
          this.#socket.destroy()
        } else {
          // Half-closed: it may still wait for the answer, or it has gone. It gets some time.
          if (this.#pending === null) this.#mustClose = true
          this.#context.timers.arm(this, Math.max(1, this.listener.plan.timeouts.halfCloseMs))
        }
        break
      case State.IDLE:
        if (this.#pending === null) this.#socket.destroySoon()
        break
      default:
        this.#socket.destroySoon()
    }
  }

  #onClose(): void {
    this.#state = State.CLOSED
    this.#pending = null
    this.#letGo(ERROR_INDEX.EK_CLIENT_CLOSED)
    this.#context.timers.remove(this)
    this.listener.closed(this)
  }

  /** The time of the current phase of reading is over. */
  expire(): void {
    switch (this.#state) {
      case State.HEAD:
        this.#begin(null)
        refuseHead(this.#exchange!, ERROR_INDEX.EK_HEAD_TIMEOUT)
        break
      case State.OPEN:
        if (this.#hasEnded) {
          if (this.#exchange?.responseStarted === true) return
          this.#letGo(ERROR_INDEX.EK_CLIENT_CLOSED)
          this.#state = State.CLOSED
          this.#socket.destroy()
        } else if (this.#framing !== Framing.NONE && !this.#isInTunnel) {
          this.#mustClose = true
          failExchange(this.#exchange!, ERROR_INDEX.EK_BODY_TIMEOUT)
        }
        break
      case State.IDLE:
      case State.DISCARD:
        this.#linger()
        break
      default:
        this.#socket.destroy()
    }
  }

  /** The client has taken nothing for too long. */
  #onTimeout(): void {
    if (!this.#isWaiting) return
    this.#drop(ERROR_INDEX.EK_SEND_TIMEOUT)
  }
}

const OWNER = Symbol('owner')

interface OwnedSocket extends net.Socket {
  [OWNER]: Http1Downstream
}

function takeParser(listener: ListenerContext): RequestParser {
  const parser = spareParser ?? new RequestParser(listener.plan.limits)
  spareParser = null
  parser.limits = listener.plan.limits
  return parser
}

function ignoreError(): void {}
