/**
 * One request of a client and its answer, whatever the protocols on either side.
 * It owns the flow of both bodies: what is kept for a replay, who has to wait for whom, and when it is over.
 */
import { ERROR_INDEX } from '../core/errors.ts'
import { Framing, type MessageHead, MethodId, type RequestHead, type ResponseHead } from '../http1/head.ts'
import { latin1 } from '../http1/latin1.ts'
import { isIdempotent } from '../http1/methods.ts'
import { Counter } from '../observe/counters.ts'
import type { WorkerContext } from './context.ts'
import type { DownstreamStream } from './downstream-stream.ts'
import type { LeasedBuffer } from './leased-buffers.ts'
import type { WorkerEndpoint, WorkerPool } from './pick-endpoint.ts'
import { recordMetrics } from './record-metrics.ts'
import { failExchange } from './respond.ts'
import type { Route } from './route-table.ts'
import { Deadline } from './timers.ts'
import { Tunnel } from './tunnel.ts'
import type { OutgoingRequest, UpstreamAttempt, UpstreamStream } from './upstream-stream.ts'

/** Body bytes held while there is no connection to give them to; then the client is asked to wait. */
const HOLD_BYTES = 64 * 1024
const MAX_PIECES = 64
const MAX_ATTEMPTS = 16
const NO_BYTES = Buffer.alloc(0)

/** An attempt, as its exchange knows it. */
export interface ExchangeAttempt extends UpstreamAttempt {
  readonly upstream: UpstreamStream | null
  begin(endpoint: WorkerEndpoint, nowMs: number): void
  /** The exchange is over or goes on without this attempt. */
  cancel(): void
}

export class Exchange extends Deadline implements OutgoingRequest {
  readonly context: WorkerContext
  readonly #startAttempt: (exchange: Exchange) => void
  /** Null while it waits in the pool. */
  #downstream: DownstreamStream | null = null
  isOver = false
  isBroken = false
  startedAt = 0

  // The request.
  method = 0
  isIdempotent = false
  isHead = false
  versionMinor = 1
  framing: number = Framing.NONE
  upgrade = ''
  isExpecting = false
  requestId = ''
  /** The head as it goes upstream, without the blank line; kept until the answer begins, for a replay. */
  upstreamHead = ''
  /** The client sent no host: the endpoint's own name stands in. */
  lacksHost = false
  requestEnded = false
  requestTrailers = ''
  /** Body bytes: held for a connection, then kept for a replay as long as they fit. */
  readonly body: Buffer[] = []
  bodyBytes = 0
  canReplay = true
  isRequestPaused = false
  bytesReceived = 0

  // For the access log alone: the head's bytes, which outlive the parser's view of them.
  headBytes: Buffer = NO_BYTES
  methodStart = 0
  methodEnd = 0
  pathStart = 0
  pathEnd = 0
  authorityStart = 0
  authorityEnd = 0
  loggedFields: (string | null)[] | null = null

  // The way it took.
  route: Route | null = null
  pool: WorkerPool | null = null
  /** What a hash picker goes by; 0 where the pool's has none. */
  hashKey = 0
  /** Why an endpoint was picked, for the answer: null where nobody asked. */
  explanation: string | null = null
  attempt: ExchangeAttempt | null = null
  /** One that has ended, for the next: a request makes no garbage of it. */
  #spareAttempt: ExchangeAttempt | null = null
  attempts = 0
  /** Table slots of the endpoints that were tried. */
  readonly tried: Int32Array = new Int32Array(MAX_ATTEMPTS)
  lastError = -1

  // The answer.
  responseStarted = false
  responseEnded = false
  status = 0
  bytesSent = 0
  connectMs = -1
  firstByteMs = -1
  /** Why it ended badly, an `ERROR_INDEX`; -1 where it did not. */
  error = -1
  endpointId = ''
  tunnel: Tunnel | null = null

  constructor(context: WorkerContext, startAttempt: (exchange: Exchange) => void) {
    super()
    this.context = context
    this.#startAttempt = startAttempt
  }

  /** The client's side. Only an exchange that is in use has one. */
  get downstream(): DownstreamStream {
    if (this.#downstream === null) throw new Error('an exchange that is not in use was asked for its client')
    return this.#downstream
  }

  serve(downstream: DownstreamStream): void {
    this.#downstream = downstream
  }

  /** Chooses an endpoint and sends the request there: the first time, and for every repetition. */
  startAttempt(): void {
    this.#startAttempt(this)
  }

  takeSpareAttempt(): ExchangeAttempt | null {
    const attempt = this.#spareAttempt
    this.#spareAttempt = null
    return attempt
  }

  /** The attempt has let go of its endpoint and connection. */
  keepSpareAttempt(attempt: ExchangeAttempt): void {
    this.#spareAttempt = attempt
  }

  /** Takes over from the parser what the exchange needs of the head for longer than this event. */
  begin(head: RequestHead, nowMs: number): void {
    this.isOver = false
    this.startedAt = nowMs
    this.method = head.method
    this.isHead = head.method === MethodId.HEAD
    this.isIdempotent = isIdempotent(head.method)
    this.versionMinor = head.versionMinor
    this.framing = head.framing
    this.isExpecting = head.expectContinue
    this.requestEnded = head.framing === Framing.NONE || (head.framing === Framing.LENGTH && head.contentLength === 0)
    this.bytesReceived = head.end - head.start
    const { counters, accessLog } = this.context
    counters[Counter.EXCHANGES]! += 1
    counters[Counter.EXCHANGES_OPEN]! += 1
    if (accessLog !== null) this.#remember(head, accessLog.fields)
    const { exchangeMs } = this.downstream.listener.plan.timeouts
    if (exchangeMs > 0) this.context.timers.arm(this, exchangeMs)
  }

  /** The head was refused by the parser, or never came whole: there is an answer to give, and nothing else. */
  beginUnread(nowMs: number): void {
    this.isOver = false
    this.startedAt = nowMs
    this.method = 0
    this.versionMinor = 1
    this.isHead = false
    this.requestEnded = true
    this.context.counters[Counter.EXCHANGES_OPEN]! += 1
  }

  /** The tunnel's idle time or the time of the whole exchange is over. */
  expire(): void {
    try {
      this.#expire()
    } catch (error) {
      this.breakOff(error)
    }
  }

  #expire(): void {
    if (this.isOver) return
    if (this.tunnel !== null) {
      if (!this.tunnel.isIdle()) return this.tunnel.rearm()
      if (!this.requestEnded) this.error = ERROR_INDEX.EK_TUNNEL_IDLE
      return this.cutShort()
    }
    failExchange(this, ERROR_INDEX.EK_EXCHANGE_TIMEOUT)
  }

  // ------------------------------------------------------------------ the request's body, from the client's side

  /** A piece of the body, owned. */
  relayRequestBody(bytes: Buffer): void {
    this.bytesReceived += bytes.length
    const { attempt } = this
    if (this.isOver || this.responseEnded) return
    if (this.tunnel !== null) this.tunnel.touch()
    if (attempt?.upstream != null && attempt.hasSentHead) {
      if (this.canReplay && !this.responseStarted) this.#keep(bytes, this.#replayBytes())
      if (!attempt.upstream.data(bytes)) this.#pauseRequest()
      return
    }
    this.#push(bytes)
    this.bodyBytes += bytes.length
    if (this.bodyBytes >= HOLD_BYTES) this.#pauseRequest()
  }

  /** The request is complete. Trailers as text, each with its CRLF. In a tunnel: the client ended its side. */
  requestEnd(trailers: string): void {
    if (this.requestEnded || this.isOver) return
    this.requestEnded = true
    this.requestTrailers = trailers
    if (this.tunnel !== null) this.tunnel.clientEnded()
    const { attempt } = this
    if (attempt?.upstream != null && attempt.hasSentHead) attempt.upstream.end(trailers)
  }

  /** The endpoint takes more of the request. */
  requestDrained(): void {
    if (!this.isRequestPaused || this.isOver) return
    this.isRequestPaused = false
    this.downstream.resumeRequest()
  }

  /** The held body was given to a connection; from here on it is kept only for a replay. */
  bodySent(): void {
    if (this.bodyBytes > this.#replayBytes()) this.#forgetBody()
    this.requestDrained()
  }

  // ------------------------------------------------------------------ the answer, from the endpoint's side

  interim(head: ResponseHead): void {
    if (head.status === 100) this.isExpecting = false
    // RFC 9110 section 15.2: nothing of the kind for HTTP/1.0.
    if (this.versionMinor === 0) return
    this.context.counters[Counter.RESPONSES_1XX]! += 1
    this.downstream.interim(head)
  }

  respond(head: ResponseHead, bytes: Buffer, start: number, end: number, isLast: boolean): boolean {
    this.responseStarted = true
    this.status = head.status
    this.#forgetBody()
    return this.downstream.respond(head, bytes, start, end, isLast)
  }

  switchProtocols(head: ResponseHead, upgrade: string): void {
    this.responseStarted = true
    this.status = 101
    this.#forgetBody()
    this.tunnel = new Tunnel(this.context, this, this.downstream.listener.plan.timeouts, upgrade)
    // What follows the request's end is the tunnel's first flow.
    this.requestEnded = false
    this.downstream.switchProtocols(head, upgrade)
  }

  relayResponseBody(bytes: Buffer, start: number, end: number, lease: LeasedBuffer | null): boolean {
    if (this.tunnel !== null) this.tunnel.fromEndpoint(bytes, start, end)
    return this.downstream.data(bytes, start, end, lease)
  }

  responseEnd(trailers: MessageHead | null): void {
    if (this.responseEnded || this.isOver) return
    this.responseEnded = true
    this.downstream.end(trailers)
  }

  /** The client takes more of the answer. */
  responseDrained(): void {
    this.attempt?.upstream?.resume()
  }

  // ------------------------------------------------------------------ ends

  /** The client's side has sent the whole answer (or a cut one) and lets go. Called once by every downstream codec. */
  finish(): void {
    if (this.isOver) return
    this.isOver = true
    const { attempt, context } = this
    try {
      if (attempt !== null) {
        this.attempt = null
        attempt.cancel()
      }
      if (this.tunnel !== null) this.tunnel.close()
    } finally {
      context.timers.remove(this)
      recordMetrics(this)
    }
  }

  /** The client went away, or broke its own request, with nobody left to answer. */
  abort(error: number): void {
    if (this.isOver) return
    if (this.tunnel === null || error !== ERROR_INDEX.EK_CLIENT_CLOSED) this.error = error
    this.finish()
  }

  /** Nothing sensible can follow what was sent already. */
  cutShort(): void {
    if (this.isOver) return
    const { downstream } = this
    downstream.cut()
    this.finish()
  }

  /** A bug of ours met it: it ends, and its object is not used again, as nobody knows what it is in the middle of. */
  breakOff(error: unknown): void {
    this.isBroken = true
    this.context.internalErrors.report(error)
    try {
      failExchange(this, ERROR_INDEX.EK_INTERNAL)
    } catch (another) {
      this.context.internalErrors.report(another)
      this.#downstream?.abandon()
    }
  }

  /** As new, for the next request of whatever connection; what is idle holds on to nobody's bytes. `isOver` stays. */
  clear(): void {
    this.#downstream = null
    this.framing = Framing.NONE
    this.upgrade = ''
    this.isExpecting = false
    this.requestId = ''
    this.upstreamHead = ''
    this.lacksHost = false
    this.requestEnded = false
    this.requestTrailers = ''
    if (this.body.length > 0) this.body.length = 0
    this.bodyBytes = 0
    this.canReplay = true
    this.isRequestPaused = false
    this.bytesReceived = 0
    this.headBytes = NO_BYTES
    this.loggedFields = null
    this.route = null
    this.pool = null
    this.hashKey = 0
    this.explanation = null
    this.attempts = 0
    this.lastError = -1
    this.responseStarted = false
    this.responseEnded = false
    this.status = 0
    this.bytesSent = 0
    this.connectMs = -1
    this.firstByteMs = -1
    this.error = -1
    this.endpointId = ''
    this.tunnel = null
  }

  wasTried(slot: number): boolean {
    for (let i = 0; i < this.attempts; i++) if (this.tried[i] === slot) return true
    return false
  }

  noteTried(slot: number): void {
    this.tried[this.attempts++ % MAX_ATTEMPTS] = slot
  }

  forgetTried(slot: number): void {
    for (let i = 0; i < this.attempts; i++) if (this.tried[i] === slot) this.tried[i] = -1
  }

  #pauseRequest(): void {
    if (this.isRequestPaused || this.requestEnded) return
    this.isRequestPaused = true
    this.downstream.pauseRequest()
  }

  /** How much of a body is worth keeping: nothing when no further attempt is allowed. */
  #replayBytes(): number {
    if (this.pool === null) return 0
    const { max, bufferBytes } = this.pool.plan.retries
    return this.attempts > max ? 0 : bufferBytes
  }

  #keep(bytes: Buffer, bound: number): void {
    this.bodyBytes += bytes.length
    if (this.bodyBytes > bound) return this.#forgetBody()
    this.#push(bytes)
  }

  /** Bounded in pieces as well: a buffer costs more than the one byte that may be in it. */
  #push(bytes: Buffer): void {
    if (this.body.length >= MAX_PIECES) {
      const whole = Buffer.concat(this.body)
      this.body.length = 0
      this.body.push(whole)
    }
    this.body.push(bytes)
  }

  #forgetBody(): void {
    if (this.bodyBytes === 0) return
    this.body.length = 0
    this.bodyBytes = 0
    this.canReplay = false
  }

  #remember(head: RequestHead, fields: readonly string[]): void {
    // A head that came in pieces lies in the parser's own buffer, which the next message overwrites.
    const base = head.start
    this.headBytes = Buffer.from(head.bytes.subarray(base, head.end))
    this.methodStart = head.methodStart - base
    this.methodEnd = head.methodEnd - base
    this.pathStart = head.pathStart - base
    this.pathEnd = head.pathEnd - base
    this.authorityStart = head.authorityStart - base
    this.authorityEnd = head.authorityEnd - base
    if (fields.length === 0) return
    this.loggedFields = fields.map((name) => {
      const index = head.find(name)
      return index < 0 ? null : head.value(index)
    })
  }

  /** Text of the remembered head, for the access log. */
  remembered(start: number, end: number): string {
    return latin1(this.headBytes, start, end)
  }
}
