/**
 * The endpoint's side over HTTP/1.1: one socket, one attempt at a time.
 * Reads go through one buffer of the worker (`onread`), so an idle connection owns no read buffer
 * and the bytes handed on are borrowed; only a large body is read into a buffer that may be kept.
 */
import * as net from 'node:net'
import { ERROR_INDEX } from '../core/errors.ts'
import { ChunkedDecoder, type ChunkSink } from '../http1/chunked.ts'
import { Framing } from '../http1/head.ts'
import { latin1 } from '../http1/latin1.ts'
import { ParseStatus } from '../http1/parse-status.ts'
import { ResponseHeadParser } from '../http1/response-head-parser.ts'
import type { WorkerContext } from './context.ts'
import { type LeasedBuffer, LeasedBuffers } from './leased-buffers.ts'
import { Deadline } from './timers.ts'
import type { Endpoint, UpstreamConnection } from './upstream-connections.ts'
import type { UpstreamAttempt } from './upstream-stream.ts'

const Phase = { CONNECTING: 0, IDLE: 1, HEAD: 2, BODY: 3, TUNNEL: 4, CLOSED: 5 } as const

/** A body up to this size goes out in one string with its head; larger ones never become strings. */
const SMALL_BODY_BYTES = 2048
const READ_BUFFER_BYTES = 16 * 1024
const TRAILER_BYTES = 8192
/** Heads that only announce the answer; an endpoint that sends more has nothing to say. */
const MAX_INTERIMS = 32
/** How long an endpoint that has ended a tunnel may take for what it was sent before. */
const LAST_BYTES_MS = 2000

/** A body with this much to come is worth a buffer of its own. */
const LARGE_BYTES = 16 * 1024

/** One per worker thread: every byte is passed on or copied before the next read. */
const sharedBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)
/** Large enough that system calls stop mattering, small enough to stay in the second-level cache. */
const largeBuffers = new LeasedBuffers(256 * 1024, 64 * 1024 * 1024)

/** A parser that no connection is in the middle of a head with. */
let spareParser: ResponseHeadParser | null = null

export class Http1Upstream extends Deadline implements UpstreamConnection, ChunkSink {
  readonly #context: WorkerContext
  readonly #endpoint: Endpoint
  readonly #socket: net.Socket
  readonly #openedAt: number
  #phase: number = Phase.CONNECTING
  #attempt: UpstreamAttempt | null = null
  #requests = 0
  #hasLeft = false
  usedAt = 0

  // The request.
  #requestFraming: number = Framing.NONE
  #isRequestSent = false
  /** Runs while the endpoint does not take what was written. */
  #stall: StallDeadline | null = null

  // The answer.
  #parser: ResponseHeadParser | null = null
  #decoder: ChunkedDecoder | null = null
  #framing: number = Framing.NONE
  #left = 0
  #mayKeep = false
  #wantsMore = true
  #isPaused = false
  #hasAnswerBegun = false
  #interims = 0
  /** Where the next read goes: the shared buffer, or the one leased for a large body. */
  #readTarget: Buffer = sharedBuffer
  #lease: LeasedBuffer | null = null

  constructor(context: WorkerContext, endpoint: Endpoint) {
    super()
    this.#context = context
    this.#endpoint = endpoint
    this.#openedAt = context.timers.nowMs
    const { address } = endpoint.plan
    const onread = {
      buffer: () => this.#readTarget,
      callback: (size: number, bytes: Uint8Array) => {
        const attempt = this.#attempt
        try {
          return this.#onRead(size, bytes as Buffer)
        } catch (error) {
          this.#contain(error, attempt)
          return false
        }
      },
    }
    const socket =
      address.kind === 'unix'
        ? net.connect({ path: address.path, onread })
        : net.connect({ host: address.host, port: address.port, onread, autoSelectFamily: false })
    this.#socket = socket
    socket.on('connect', () => this.#guarded(() => this.#onConnect()))
    socket.on('drain', () => this.#guarded(() => this.#onDrain()))
    socket.on('end', () => this.#guarded(() => this.#onEnd()))
    socket.on('error', ignoreError) // 'close' follows and says it all
    socket.on('close', () => this.#guarded(() => this.#onClose()))
  }

  // ------------------------------------------------------------------ the attempt

  start(attempt: UpstreamAttempt): void {
    this.#attempt = attempt
    this.#isRequestSent = false
    this.#hasAnswerBegun = false
    this.#interims = 0
    this.#requests++
    if (this.#phase === Phase.CONNECTING) {
      this.#context.timers.arm(this, this.#endpoint.pool.plan.timeouts.connectMs)
      return
    }
    this.#phase = Phase.HEAD
    this.#context.timers.disarm(this) // the deadline of its idle time
    // From the second request on, small writes must not wait for the acknowledgement of earlier ones.
    if (this.#requests === 2) this.#socket.setNoDelay(true)
    this.#sendHead(attempt)
  }

  data(bytes: Buffer): boolean {
    // The client did not wait for the 100: the endpoint has the whole body before its time begins.
    if (this.#phase === Phase.HEAD && !this.#isRequestSent) this.#context.timers.disarm(this)
    const isRoom = this.#writeBody(bytes)
    if (!isRoom) this.#stalled()
    return isRoom
  }

  /** Neither closed nor closing: what is written may arrive. */
  get isUsable(): boolean {
    return !this.#socket.destroyed && this.#socket.writable
  }

  end(trailers: string): void {
    if (this.#phase === Phase.TUNNEL) {
      this.#socket.end()
      return
    }
    if (this.#requestFraming === Framing.CHUNKED) this.#socket.write(`0\r\n${trailers}\r\n`, 'latin1')
    this.#requestSent()
  }

  pause(): void {
    this.#isPaused = true
    this.#socket.pause()
    this.#context.timers.disarm(this)
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#wantsMore = true
    this.#armForAnswer()
    this.#socket.resume()
  }

  cancel(): void {
    this.#attempt = null
    this.close()
  }

  close(): void {
    this.#socket.destroy()
    this.#leave()
  }

  expire(): void {
    this.#guarded(() => this.#expire())
  }

  #expire(): void {
    const attempt = this.#attempt
    const phase = this.#phase
    this.#attempt = null
    this.close()
    if (attempt === null) return // an idle connection's time is over
    if (phase === Phase.CONNECTING) attempt.failed(ERROR_INDEX.EK_CONNECT_TIMEOUT)
    else if (phase === Phase.HEAD) attempt.failed(ERROR_INDEX.EK_FIRST_BYTE_TIMEOUT)
    else attempt.failed(ERROR_INDEX.EK_RESPONSE_TIMEOUT)
  }

  // ------------------------------------------------------------------ sending

  #sendHead(attempt: UpstreamAttempt): void {
    const { exchange } = attempt
    const socket = this.#socket
    const head = exchange.lacksHost
      ? `${exchange.upstreamHead}host: ${this.#endpoint.authority}\r\n\r\n`
      : `${exchange.upstreamHead}\r\n`
    attempt.hasSentHead = true
    this.#requestFraming = exchange.framing
    const { body } = exchange
    if (body.length === 0) socket.write(head, 'latin1')
    else if (body.length === 1 && exchange.bodyBytes <= SMALL_BODY_BYTES && exchange.framing === Framing.LENGTH)
      socket.write(head + latin1(body[0]!, 0, exchange.bodyBytes), 'latin1')
    else {
      socket.cork()
      socket.write(head, 'latin1')
      for (const piece of body) this.#writeBody(piece)
      socket.uncork()
    }
    exchange.bodySent()
    if (exchange.requestEnded) return this.end(exchange.requestTrailers)
    socket.setNoDelay(true) // more writes follow
    if (exchange.isExpecting) this.#armForAnswer()
  }

  #writeBody(bytes: Buffer): boolean {
    const socket = this.#socket
    if (this.#requestFraming !== Framing.CHUNKED || this.#phase === Phase.TUNNEL) return socket.write(bytes)
    socket.cork()
    socket.write(`${bytes.length.toString(16)}\r\n`, 'latin1')
    socket.write(bytes)
    const isRoom = socket.write('\r\n', 'latin1')
    socket.uncork()
    return isRoom
  }

  #requestSent(): void {
    this.#isRequestSent = true
    if (this.#stall === null) this.#armForAnswer()
  }

  /**
   * The endpoint takes nothing more for now: from the first such write on, its time runs until it has taken all. Less than
   * that cannot be seen: the kernel asks for more only when a good part (Linux: a third) of its own buffer is free again.
   */
  #stalled(): void {
    if (this.#stall !== null) return
    const attempt = this.#attempt
    if (attempt === null) return
    const { sendIdleMs } = this.#endpoint.pool.plan.timeouts
    this.#stall = new StallDeadline(this)
    this.#context.timers.arm(this.#stall, this.#phase === Phase.TUNNEL ? attempt.tunnelIdleMs : sendIdleMs)
  }

  stallExpired(): void {
    this.#guarded(() => {
      const attempt = this.#attempt
      this.#attempt = null
      this.close()
      attempt?.failed(ERROR_INDEX.EK_SEND_STALLED)
    })
  }

  #unstall(): void {
    if (this.#stall === null) return
    this.#context.timers.remove(this.#stall)
    this.#stall = null
  }

  #armForAnswer(): void {
    const { timers } = this.#context
    const { firstByteMs, responseIdleMs } = this.#endpoint.pool.plan.timeouts
    const mustAnswer = this.#isRequestSent || this.#attempt?.exchange.isExpecting === true
    if (this.#phase === Phase.HEAD && mustAnswer) timers.arm(this, firstByteMs)
    else if (this.#phase === Phase.BODY && !this.#isPaused) timers.arm(this, responseIdleMs)
    else timers.disarm(this)
  }

  #onDrain(): void {
    const attempt = this.#attempt
    this.#unstall()
    if (attempt === null) return
    this.#armForAnswer()
    attempt.exchange.requestDrained()
  }

  // ------------------------------------------------------------------ reading

  #onConnect(): void {
    const attempt = this.#attempt
    if (attempt === null) return this.close()
    this.#phase = Phase.HEAD
    this.#context.timers.disarm(this)
    attempt.connected()
    this.#sendHead(attempt)
  }

  /** `size` bytes were read. False pauses the socket. */
  #onRead(size: number, bytes: Buffer): boolean {
    const attempt = this.#attempt
    if (attempt === null) {
      // Nobody asked: an answer here would be taken for the next request's.
      this.close()
      return false
    }
    this.#wantsMore = true
    switch (this.#phase) {
      case Phase.HEAD:
        this.#readHead(attempt, bytes, size)
        break
      case Phase.BODY:
        this.#context.timers.arm(this, this.#endpoint.pool.plan.timeouts.responseIdleMs)
        this.#readBody(attempt, bytes, 0, size)
        break
      case Phase.TUNNEL:
        this.#wantsMore = attempt.data(bytes, 0, size, this.#lease)
        break
      default:
        this.close()
        return false
    }
    if (this.#lease !== null || size === bytes.length) this.#chooseReadTarget(size)
    if (this.#wantsMore) return true
    this.#isPaused = true
    this.#context.timers.disarm(this)
    return false
  }

  /** A large flow gets a buffer of its own as long as it flows; whoever waits, or is done, gives it back. */
  #chooseReadTarget(size: number): void {
    const isLarge =
      this.#phase === Phase.BODY && this.#framing === Framing.LENGTH ? this.#left >= LARGE_BYTES : size >= LARGE_BYTES
    const mayLease = isLarge && this.#wantsMore && this.#attempt !== null
    const before = this.#lease
    if (before !== null) {
      if (mayLease && !before.isShared) return
      before.release()
    }
    this.#lease = mayLease ? largeBuffers.take() : null
    this.#readTarget = this.#lease?.bytes ?? sharedBuffer
  }

  #readHead(attempt: UpstreamAttempt, bytes: Buffer, size: number): void {
    this.#hasAnswerBegun = true
    let start = 0
    while (start < size) {
      const parser = this.#parser ?? takeParser(this.#endpoint)
      parser.expect(attempt.exchange.method)
      const status = parser.feed(bytes, start, size)
      if (status === ParseStatus.MORE) {
        this.#parser = parser
        return
      }
      this.#parser = null
      spareParser = parser
      if (status === ParseStatus.ERROR) {
        const { error } = parser
        parser.reset()
        return this.#broken(attempt, error)
      }
      start = parser.consumed
      const { head } = parser
      if (head.status >= 200) return this.#answered(attempt, parser, bytes, start, size)
      if (head.status === 101) return this.#switched(attempt, parser, bytes, start, size)
      this.#interims++
      if (this.#interims > MAX_INTERIMS) return this.#broken(attempt, ERROR_INDEX.EK_BAD_RESPONSE)
      attempt.interim(head)
      if (this.#attempt !== attempt) return
      // The 100 has come: now it is the client's turn. Else the time of the final answer goes on: hints are no answer.
      if (head.status === 100 && !this.#isRequestSent) this.#context.timers.disarm(this)
    }
  }

  #answered(attempt: UpstreamAttempt, parser: ResponseHeadParser, bytes: Buffer, start: number, size: number): void {
    const { head } = parser
    this.#phase = Phase.BODY
    this.#framing = head.framing
    this.#mayKeep = head.keepAlive && head.framing !== Framing.CLOSE
    const available = size - start
    if (head.framing === Framing.NONE || head.framing === Framing.LENGTH) {
      const length = head.framing === Framing.NONE ? 0 : head.contentLength
      if (available >= length) {
        // Bytes behind the answer belong to nothing that was asked.
        if (available > length) this.#mayKeep = false
        attempt.respond(head, bytes, start, start + length, true)
        return this.#complete(attempt)
      }
      this.#left = length - available
      this.#wantsMore = attempt.respond(head, bytes, start, size, false)
    } else if (head.framing === Framing.CLOSE) this.#wantsMore = attempt.respond(head, bytes, start, size, false)
    else {
      const { downstream } = attempt
      downstream.cork()
      this.#wantsMore = attempt.respond(head, bytes, start, start, false)
      this.#decoder ??= new ChunkedDecoder({
        trailerBytes: TRAILER_BYTES,
        fieldCount: this.#endpoint.pool.plan.limits.responseFieldCount,
      })
      this.#decoder.reset()
      if (available > 0) this.#readBody(attempt, bytes, start, size)
      downstream.uncork()
    }
    if (this.#attempt === attempt) this.#context.timers.arm(this, this.#endpoint.pool.plan.timeouts.responseIdleMs)
  }

  #readBody(attempt: UpstreamAttempt, bytes: Buffer, start: number, size: number): void {
    if (this.#framing === Framing.CHUNKED) return this.#readChunks(attempt, bytes, start, size)
    if (this.#framing === Framing.CLOSE) {
      this.#wantsMore = attempt.data(bytes, start, size, this.#lease)
      return
    }
    const take = Math.min(this.#left, size - start)
    this.#left -= take
    this.#wantsMore = attempt.data(bytes, start, start + take, this.#lease)
    if (this.#left > 0 || this.#attempt !== attempt) return
    if (start + take < size) this.#mayKeep = false
    this.#complete(attempt)
  }

  #readChunks(attempt: UpstreamAttempt, bytes: Buffer, start: number, size: number): void {
    const decoder = this.#decoder!
    const { downstream } = attempt
    downstream.cork()
    const status = decoder.feed(bytes, start, size, this)
    downstream.uncork()
    if (this.#attempt !== attempt) return
    if (status === ParseStatus.ERROR) return this.#broken(attempt, ERROR_INDEX.EK_BAD_RESPONSE_CHUNK)
    if (status === ParseStatus.MORE) return
    if (decoder.consumed < size) this.#mayKeep = false
    this.#complete(attempt)
  }

  /** A piece of a chunked body. */
  chunkData(bytes: Buffer, start: number, end: number): void {
    if (this.#attempt !== null && !this.#attempt.data(bytes, start, end, this.#lease)) this.#wantsMore = false
  }

  /** The whole answer was passed on: the connection goes back before the exchange ends, so that a next request finds it. */
  #complete(attempt: UpstreamAttempt): void {
    const trailers = this.#framing === Framing.CHUNKED ? this.#decoder!.trailers : null
    this.#attempt = null
    this.#phase = Phase.IDLE
    this.#wantsMore = true
    const isUnsent = !this.#isRequestSent || this.#socket.writableLength > 0
    if (!this.#mayKeep || isUnsent || this.#isWornOut() || !this.#endpoint.connections.keep(this)) this.close()
    else {
      this.usedAt = this.#context.timers.nowMs
      if (this.#isPaused) {
        this.#isPaused = false
        this.#socket.resume()
      }
      this.#context.timers.arm(this, this.#endpoint.pool.plan.timeouts.keepAliveMs)
    }
    attempt.end(trailers)
  }

  #isWornOut(): boolean {
    const { maxRequests, maxAgeMs } = this.#endpoint.pool.plan.connections
    if (maxRequests > 0 && this.#requests >= maxRequests) return true
    return maxAgeMs > 0 && this.#context.timers.nowMs - this.#openedAt >= maxAgeMs
  }

  #switched(attempt: UpstreamAttempt, parser: ResponseHeadParser, bytes: Buffer, start: number, size: number): void {
    const { exchange } = attempt
    const { head } = parser
    const field = head.find('upgrade')
    const upgrade = field < 0 ? '' : head.value(field)
    // RFC 9110 section 7.8: only what the client offered, and not in the middle of its request.
    if (exchange.upgrade === '' || !offers(exchange.upgrade, upgrade) || !this.#isRequestSent)
      return this.#broken(attempt, ERROR_INDEX.EK_UNEXPECTED_UPGRADE)
    this.#phase = Phase.TUNNEL
    this.#socket.setNoDelay(true)
    this.#context.timers.disarm(this)
    attempt.switchProtocols(head, upgrade)
    if (start < size && this.#attempt === attempt) this.#wantsMore = attempt.data(bytes, start, size, this.#lease)
  }

  #broken(attempt: UpstreamAttempt, error: number): void {
    this.#attempt = null
    this.#wantsMore = true
    this.close()
    attempt.failed(error)
  }

  // ------------------------------------------------------------------ ends

  #onEnd(): void {
    const attempt = this.#attempt
    if (attempt === null) return this.close()
    if (this.#phase === Phase.BODY && this.#framing === Framing.CLOSE) {
      this.#attempt = null
      this.close()
      return attempt.end(null)
    }
    if (this.#phase === Phase.TUNNEL) {
      this.#attempt = null
      // What the client still sends has nowhere to go once the endpoint has closed; its own end was passed on before.
      // The socket closes by itself when it has sent the rest, to an endpoint that still reads.
      this.#context.timers.arm(this, LAST_BYTES_MS)
      return attempt.end(null)
    }
    this.#lost(attempt)
  }

  #onClose(): void {
    this.#context.timers.remove(this)
    this.#unstall()
    this.#leave()
    this.#lease?.release()
    this.#lease = null
    const attempt = this.#attempt
    if (attempt !== null) this.#lost(attempt)
    this.#phase = Phase.CLOSED
  }

  /** Handles an event that comes from outside: whatever throws in it must not end the worker. */
  #guarded(handle: () => void): void {
    const attempt = this.#attempt
    try {
      handle()
    } catch (error) {
      this.#contain(error, attempt)
    }
  }

  /** A bug of ours met this connection, and maybe the attempt that it carried when the event began. Both end. */
  #contain(error: unknown, attempt: UpstreamAttempt | null): void {
    this.#attempt = null
    this.close()
    if (attempt !== null) attempt.broken(error)
    else this.#context.internalErrors.report(error)
  }

  /** Gives the place back: at once, so that a new connection may take it. */
  #leave(): void {
    if (this.#hasLeft) return
    this.#hasLeft = true
    this.#endpoint.connections.closed(this)
  }

  /** The connection is gone under an attempt. */
  #lost(attempt: UpstreamAttempt): void {
    this.#attempt = null
    this.close()
    if (this.#phase === Phase.CONNECTING) attempt.failed(ERROR_INDEX.EK_CONNECT_FAILED)
    else if (this.#phase !== Phase.HEAD) attempt.failed(ERROR_INDEX.EK_RESPONSE_CUT_SHORT)
    else if (attempt.isReused && !this.#hasAnswerBegun) attempt.failed(ERROR_INDEX.EK_REUSED_CLOSED)
    else attempt.failed(ERROR_INDEX.EK_UPSTREAM_CLOSED)
  }
}

class StallDeadline extends Deadline {
  readonly #owner: Http1Upstream

  constructor(owner: Http1Upstream) {
    super()
    this.#owner = owner
  }

  expire(): void {
    this.#owner.stallExpired()
  }
}

/** `offer` is the client's Upgrade field: a list of protocols. */
function offers(offer: string, protocol: string): boolean {
  const wanted = protocol.trim().toLowerCase()
  return (
    wanted !== '' &&
    offer
      .toLowerCase()
      .split(',')
      .some((one) => one.trim() === wanted)
  )
}

function takeParser(endpoint: Endpoint): ResponseHeadParser {
  const { responseHeadBytes, responseFieldCount } = endpoint.pool.plan.limits
  const parser = spareParser
  spareParser = null
  if (
    parser !== null &&
    parser.limits.headBytes === responseHeadBytes &&
    parser.limits.fieldCount === responseFieldCount
  )
    return parser
  return new ResponseHeadParser({ headBytes: responseHeadBytes, fieldCount: responseFieldCount })
}

function ignoreError(): void {}
