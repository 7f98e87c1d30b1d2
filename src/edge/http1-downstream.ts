/**
 * The client's side over HTTP/1.1: one socket, one exchange at a time, answered in order.
 * Writes the answers and decides how the connection goes on: kept, closed, lingering, turned into a tunnel, out of time.
 * What its bytes mean is read by `http1-request-reader.ts`.
 */
import type * as net from 'node:net'
import { ERROR_INDEX } from '../core/errors.ts'
import { Framing, type MessageHead, type RequestHead, type ResponseHead } from '../http1/head.ts'
import { latin1 } from '../http1/latin1.ts'
import { writeLastChunk, writeResponseHead } from '../http1/write-response.ts'
import { Counter, errorCounter } from '../observe/counters.ts'
import type { AddressSet } from './client-address.ts'
import type { WorkerContext } from './context.ts'
import type { DownstreamConnection, DownstreamStream, ListenerContext } from './downstream-stream.ts'
import type { Exchange } from './exchange.ts'
import type { ExchangePool } from './exchange-pool.ts'
import { explainField } from './explain-field.ts'
import type { ForwardedCache } from './forwarded.ts'
import { Http1RequestReader, type RequestSink } from './http1-request-reader.ts'
import { type LeasedBuffer, LeasedBuffers } from './leased-buffers.ts'
import { handleRequest } from './request-path.ts'
import { failExchange, reasonOf, refuseHead } from './respond.ts'
import { Deadline } from './timers.ts'

/**
 * IDLE: between requests. HEAD: in the middle of a head. OPEN: an exchange runs. DISCARD: answered, the rest of the body is
 * still to come. LINGER: answered for the last time, waiting for the client to close.
 */
const State = { IDLE: 0, HEAD: 1, OPEN: 2, DISCARD: 3, LINGER: 4, CLOSED: 5 } as const

const SMALL_BODY_BYTES = 2048
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

/** Up to this size `allocUnsafe` slices its own pool, which is as cheap as it gets. */
const POOLED_BYTES = Buffer.poolSize >>> 1
const copyBuffers = new LeasedBuffers(64 * 1024, 16 * 1024 * 1024)

export class Http1Downstream extends Deadline implements DownstreamConnection, DownstreamStream, RequestSink {
  readonly listener: ListenerContext
  readonly clientAddress: string
  isTrusted: boolean
  readonly scheme = 'http'
  forwardedCache: ForwardedCache | null = null
  readonly #context: WorkerContext
  readonly #exchanges: ExchangePool
  readonly #socket: net.Socket
  readonly #reader: Http1RequestReader
  /** What `isTrusted` was judged by. */
  #trusted: AddressSet
  /** The one that is open; an idle connection has none. */
  #exchange: Exchange | null = null
  /** The client has to take something before more is written. */
  #isWaiting = false
  #hasWaited = false
  #state: number = State.IDLE
  #requests = 0
  #hasEnded = false

  /** Bytes that came unwanted, behind an answer. */
  #discarded = 0
  #isReadingHeld = false
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
    exchanges: ExchangePool,
    listener: ListenerContext,
    socket: net.Socket,
    clientAddress: string,
  ) {
    super()
    this.#context = context
    this.#exchanges = exchanges
    this.listener = listener
    this.#socket = socket
    this.#reader = new Http1RequestReader(this, listener)
    this.clientAddress = clientAddress
    this.#trusted = listener.trusted
    this.isTrusted = listener.trusted.has(clientAddress)
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
    const owner = this[OWNER]
    try {
      owner.#onData(bytes)
    } catch (error) {
      owner.#contain(error)
    }
  }

  static #drainEvent(this: OwnedSocket): void {
    const owner = this[OWNER]
    try {
      owner.#onDrain()
    } catch (error) {
      owner.#contain(error)
    }
  }

  static #endEvent(this: OwnedSocket): void {
    const owner = this[OWNER]
    try {
      owner.#onEnd()
    } catch (error) {
      owner.#contain(error)
    }
  }

  static #closeEvent(this: OwnedSocket): void {
    const owner = this[OWNER]
    try {
      owner.#onClose()
    } catch (error) {
      owner.#contain(error)
    }
  }

  static #timeoutEvent(this: OwnedSocket): void {
    const owner = this[OWNER]
    try {
      owner.#onTimeout()
    } catch (error) {
      owner.#contain(error)
    }
  }

  static #finishEvent(this: OwnedSocket): void {
    const owner = this[OWNER]
    try {
      owner.#onFinish()
    } catch (error) {
      owner.#contain(error)
    }
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
    if (this.#state === State.OPEN && this.#reader.isInBody)
      this.#context.timers.arm(this, this.listener.plan.timeouts.bodyIdleMs)
    this.#reader.read(bytes)
  }

  /** A client that does not read its answers gets no further ones: else they would pile up here. */
  get mayBegin(): boolean {
    return !this.#socket.writableNeedDrain
  }

  headBegun(): void {
    if (this.#state !== State.IDLE) return
    this.#state = State.HEAD
    this.#context.timers.arm(this, this.listener.plan.timeouts.headMs)
  }

  headRefused(error: number): void {
    const exchange = this.#begin(null)
    exchange.beginUnread(this.#context.timers.clock())
    refuseHead(exchange, error)
  }

  requestBegun(head: RequestHead): boolean {
    const exchange = this.#begin(head)
    exchange.begin(head, this.#context.timers.clock())
    return handleRequest(this.#context, exchange, head)
  }

  requestReady(): void {
    let exchange = this.#exchange
    if (exchange !== null && !exchange.isOver && this.#state === State.OPEN) exchange.startAttempt()
    exchange = this.#exchange
    if (exchange === null || this.#state !== State.OPEN || !this.#reader.isInBody || this.#isPaused) return
    // A client that waits for a 100 owes nothing until it has come, unless it has not waited.
    if (!exchange.isExpecting || exchange.bodyBytes > 0)
      this.#context.timers.arm(this, this.listener.plan.timeouts.bodyIdleMs)
  }

  bodyData(bytes: Buffer): void {
    if (this.#state === State.OPEN) this.#exchange!.relayRequestBody(bytes)
    else if (this.#state === State.DISCARD) {
      this.#discarded += bytes.length
      if (this.#discarded > DISCARD_BYTES) this.#linger()
    }
  }

  requestEnd(trailers: string): void {
    if (this.#state === State.DISCARD) return this.#next()
    if (this.#state !== State.OPEN) return
    this.#context.timers.disarm(this)
    this.#exchange!.requestEnd(trailers)
  }

  bodyRefused(error: number): void {
    this.#mustClose = true
    if (this.#state === State.OPEN) failExchange(this.#exchange!, error)
    else this.#linger()
  }

  heldBack(isFull: boolean): void {
    // Between requests it is us who wait, so the client's time stands still.
    if (this.#state !== State.OPEN) this.#context.timers.disarm(this)
    if (isFull) this.#pause()
  }

  unwanted(size: number): void {
    if (this.#state !== State.LINGER) return
    this.#discarded += size
    if (this.#discarded > LINGER_BYTES) this.#drop(ERROR_INDEX.EK_SEND_TIMEOUT)
  }

  /** The part of a request's beginning that is the connection's. */
  #begin(head: RequestHead | null): Exchange {
    const { listener } = this
    this.#state = State.OPEN
    this.#requests++
    // From the second answer on, small writes must not wait for the acknowledgement of earlier ones.
    if (this.#requests === 2) this.#socket.setNoDelay(true)
    if (this.#trusted !== listener.trusted) this.#judgeTrust()
    const { requestsPerConnection } = listener.plan.limits
    this.#mustClose =
      head === null ||
      !head.keepAlive ||
      this.#context.isDraining ||
      listener.isDraining ||
      (requestsPerConnection > 0 && this.#requests >= requestsPerConnection)
    this.#isLastAsked = head !== null && !head.keepAlive
    this.#isAnswerWhole = false
    const exchange = this.#exchanges.take(this)
    this.#exchange = exchange
    this.#context.timers.disarm(this)
    return exchange
  }

  /** A reload came since: what it says of this client counts from this request on. */
  #judgeTrust(): void {
    this.#trusted = this.listener.trusted
    this.isTrusted = this.#trusted.has(this.clientAddress)
  }

  // ------------------------------------------------------------------ DownstreamStream

  interim(head: ResponseHead): void {
    this.#write(writeResponseHead(head, ''))
    if (head.status === 100 && this.#reader.isInBody && !this.#isPaused)
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
    if (exchange.explanation !== null) addition += explainField(exchange.explanation)
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
    this.#socket.setNoDelay(true)
    this.#context.timers.disarm(this)
    this.#write(writeResponseHead(head, `connection: upgrade\r\nupgrade: ${upgrade}\r\n`))
    this.#reader.startTunnel()
    if (this.#hasEnded) this.#exchange?.requestEnd('')
    this.#readOn()
  }

  data(bytes: Buffer, start: number, end: number, lease: LeasedBuffer | null): boolean {
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
    const { isHead, explanation } = this.#exchange!
    const why = explanation === null ? '' : explainField(explanation)
    const fields = `content-type: text/plain; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(text)}\r\n${why}`
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
    if (this.#reader.hasHeld) return
    if (this.#reader.isInBody && this.#state === State.OPEN)
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

  #writeBytes(bytes: Buffer, start: number, end: number, lease: LeasedBuffer | null): boolean {
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
    if (this.#mustTakeFirst) this.#pause()
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
    this.#readOn()
  }

  #onDrain(): void {
    this.#hasTaken()
    this.#exchange?.responseDrained()
    if (this.#reader.hasHeld) this.#readHeld()
  }

  // ------------------------------------------------------------------ how the connection goes on

  /** Ends the exchange, if one is open, and gives its object back for another. */
  #letGo(error = -1): void {
    const exchange = this.#exchange
    if (exchange === null) return
    this.#exchange = null
    if (error >= 0) exchange.abort(error)
    else exchange.finish()
    this.#exchanges.giveBack(exchange)
  }

  /**
   * The answer is written: the exchange is over, the request may not be. A bug here is the connection's, whoever's event it is:
   * the exchange is over for everybody else, and nobody would ever come back to this client.
   */
  #finish(): void {
    try {
      this.#goOn()
    } catch (error) {
      this.#contain(error)
    }
  }

  #goOn(): void {
    this.#letGo()
    if (this.#state !== State.OPEN) return
    if (this.#mustClose) {
      // A client that asked for the close sends nothing more, so there is nothing a plain close could reset.
      const isDone = this.#isLastAsked && this.#reader.isWhole && !this.#reader.hasHeld
      if (isDone && this.#socket.writableLength === 0) this.#socket.destroy()
      else this.#linger()
      return
    }
    if (!this.#reader.isInBody) return this.#next()
    this.#state = State.DISCARD
    this.#discarded = 0
    this.#context.timers.arm(this, LINGER_MS)
    this.#resume()
  }

  #next(): void {
    this.#state = State.IDLE
    this.#reader.next()
    this.#context.timers.arm(this, this.listener.plan.timeouts.keepAliveMs)
    if (this.#reader.hasHeld) {
      // Not from within the write of the answer before: each pipelined request gets its own turn.
      queueMicrotask(() => {
        try {
          this.#readHeld()
        } catch (error) {
          this.#contain(error)
        }
      })
    } else if (this.#isReadingHeld) return
    else if (this.#hasEnded) this.#linger()
    else if (this.#context.isDraining || this.listener.isDraining) this.#linger()
    else this.#resume()
  }

  #readHeld(): void {
    if (!this.#reader.hasHeld || (this.#state !== State.IDLE && this.#state !== State.HEAD)) return
    const { headMs, keepAliveMs } = this.listener.plan.timeouts
    this.#context.timers.arm(this, this.#state === State.HEAD ? headMs : keepAliveMs)
    this.#isReadingHeld = true
    this.#reader.readHeld()
    this.#isReadingHeld = false
    // The client's end came behind these bytes.
    if (this.#hasEnded) this.#onEnd()
    else this.#readOn()
  }

  /** Unless bytes of a next request wait already, or the endpoint does not take what came. */
  #readOn(): void {
    if (!this.#reader.hasHeld && this.#exchange?.isRequestPaused !== true) this.#resume()
  }

  /** Nothing is wanted of such a client, and its bytes would renew the time that it has for taking. */
  get #mustTakeFirst(): boolean {
    return this.#isWaiting && !this.#isInTunnel && !this.#reader.isInBody
  }

  #pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.#socket.pause()
  }

  #resume(): void {
    if (!this.#isPaused || this.#mustTakeFirst) return
    this.#isPaused = false
    this.#socket.resume()
  }

  /** Ends the connection at once. A body that only the close would end must not look whole when part of it is unsent. */
  #drop(error: number): void {
    const isUnsent = this.#exchange !== null || this.#socket.writableLength > 0
    const isCut = isUnsent && this.#answerFraming === Framing.CLOSE && !this.#isInTunnel
    this.#state = State.CLOSED
    this.#reader.stop()
    if (this.#exchange !== null) this.#letGo(error)
    else if (isUnsent) this.#context.counters[errorCounter(error)]! += 1
    if (isCut) this.#reset()
    else this.#socket.destroy()
  }

  abandon(): void {
    this.#state = State.CLOSED
    this.#reader.stop()
    this.#socket.destroy()
  }

  /** A bug of ours met this connection. What it left half done ends with it: the exchange, then the connection. */
  #contain(error: unknown): void {
    const exchange = this.#exchange
    this.#mustClose = true
    this.#reader.stop()
    if (exchange !== null && !exchange.isOver) return exchange.breakOff(error)
    this.#context.internalErrors.report(error)
    this.#context.counters[errorCounter(ERROR_INDEX.EK_INTERNAL)]! += 1
    this.abandon()
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
    this.#reader.stop()
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
        else if (this.#reader.isInBody) {
          this.#letGo(ERROR_INDEX.EK_BODY_CUT_SHORT)
          this.abandon()
        } else {
          // Half-closed: it may still wait for the answer, or it has gone. It gets some time.
          if (!this.#reader.hasHeld) this.#mustClose = true
          this.#context.timers.arm(this, Math.max(1, this.listener.plan.timeouts.halfCloseMs))
        }
        break
      case State.IDLE:
        if (!this.#reader.hasHeld) this.#socket.destroySoon()
        break
      default:
        this.#socket.destroySoon()
    }
  }

  #onClose(): void {
    this.#state = State.CLOSED
    this.#reader.stop()
    try {
      this.#letGo(ERROR_INDEX.EK_CLIENT_CLOSED)
    } finally {
      this.#context.timers.remove(this)
      this.listener.closed(this)
    }
  }

  /** The time of the current phase of reading is over. */
  expire(): void {
    try {
      this.#expire()
    } catch (error) {
      this.#contain(error)
    }
  }

  #expire(): void {
    switch (this.#state) {
      case State.HEAD:
        this.headRefused(ERROR_INDEX.EK_HEAD_TIMEOUT)
        break
      case State.OPEN:
        if (this.#hasEnded) {
          if (this.#exchange?.responseStarted === true) return
          this.#letGo(ERROR_INDEX.EK_CLIENT_CLOSED)
          this.abandon()
        } else if (this.#reader.isInBody) {
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

function ignoreError(): void {}
