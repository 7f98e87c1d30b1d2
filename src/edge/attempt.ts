/**
 * One try of an exchange at one endpoint: from the choice to the last byte of the answer, or to the error that ends it.
 * Several may run for one exchange once hedging comes; an exchange listens to its current one only.
 */
import { Outcome, type Picker } from '../core/balance/picker.ts'
import { ERROR_INDEX } from '../core/errors.ts'
import type { MessageHead, ResponseHead } from '../http1/head.ts'
import { SHARED_CLOCK_OFFSET_MS } from '../memory/shared-clock.ts'
import type { WorkerContext } from './context.ts'
import type { DownstreamStream } from './downstream-stream.ts'
import type { Exchange, ExchangeAttempt } from './exchange.ts'
import type { LeasedBuffer } from './leased-buffers.ts'
import type { WorkerEndpoint } from './pick-endpoint.ts'
import { failExchange } from './respond.ts'
import { mayRepeat } from './retry.ts'
import type { UpstreamStream } from './upstream-stream.ts'

export class Attempt implements ExchangeAttempt {
  readonly exchange: Exchange
  readonly context: WorkerContext
  /** Null before it begins and from its end on: what is kept for reuse holds on to nothing of an old plan. */
  #endpoint: WorkerEndpoint | null = null
  /** The picker that heard of its begin and will hear of its end; null where it does not want to. */
  #learner: Picker | null = null
  startedAt = 0
  upstream: UpstreamStream | null = null
  isReused = false
  hasSentHead = false
  #bytesReceived = 0

  constructor(exchange: Exchange) {
    this.exchange = exchange
    this.context = exchange.context
  }

  /** The object serves the next attempt of the same exchange: one request makes no garbage of it. */
  begin(endpoint: WorkerEndpoint, nowMs: number): void {
    this.#endpoint = endpoint
    this.startedAt = nowMs
    this.upstream = null
    this.isReused = false
    this.hasSentHead = false
    this.#bytesReceived = 0
    const { learner } = endpoint.pool
    this.#learner = learner
    if (learner !== null) this.#tellBegan(learner, endpoint.slot)
  }

  // ------------------------------------------------------------------ told by the upstream codec

  get downstream(): DownstreamStream {
    return this.exchange.downstream
  }

  get tunnelIdleMs(): number {
    return this.exchange.downstream.listener.plan.timeouts.tunnelIdleMs
  }

  carriedBy(upstream: UpstreamStream, isReused: boolean): void {
    this.upstream = upstream
    this.isReused = isReused
    if (isReused) this.exchange.connectMs = 0
  }

  connected(): void {
    const endpoint = this.#endpoint
    if (endpoint === null) return
    const { context } = this
    context.table.connectSucceeded(endpoint.slot, endpoint.generation)
    this.exchange.connectMs = context.timers.clock() - this.startedAt
  }

  interim(head: ResponseHead): void {
    this.exchange.interim(head)
  }

  /** False: hold the answer back until `resume`. */
  respond(head: ResponseHead, bytes: Buffer, start: number, end: number, isLast: boolean): boolean {
    this.#answered(head, end - start)
    return this.exchange.respond(head, bytes, start, end, isLast)
  }

  switchProtocols(head: ResponseHead, upgrade: string): void {
    this.#answered(head, 0)
    this.exchange.switchProtocols(head, upgrade)
  }

  data(bytes: Buffer, start: number, end: number, lease: LeasedBuffer | null): boolean {
    this.#bytesReceived += end - start
    return this.exchange.relayResponseBody(bytes, start, end, lease)
  }

  end(trailers: MessageHead | null): void {
    const { exchange } = this
    this.upstream = null
    if (trailers !== null) this.#readReport(trailers)
    this.#settle(exchange.status, exchange.status >= 500 ? Outcome.FAILED : Outcome.OK)
    exchange.attempt = null
    exchange.keepSpareAttempt(this)
    exchange.responseEnd(trailers)
  }

  failed(error: number): void {
    const { exchange, context } = this
    const endpoint = this.#endpoint
    if (endpoint === null) return
    this.upstream = null
    const { slot, generation } = endpoint
    if (error === ERROR_INDEX.EK_CONNECT_FAILED || error === ERROR_INDEX.EK_CONNECT_TIMEOUT)
      context.table.connectFailed(slot, generation, endpoint.pool.plan.passive.failures, Date.now())
    this.#settle(0, Outcome.FAILED)
    if (exchange.attempt !== this) return
    exchange.attempt = null
    exchange.keepSpareAttempt(this)
    exchange.lastError = error
    if (mayRepeat(exchange, error, endpoint)) exchange.startAttempt()
    else failExchange(exchange, error)
  }

  broken(error: unknown): void {
    const { exchange, upstream } = this
    this.upstream = null
    try {
      this.#settle(-1, Outcome.CANCELLED)
      // Perhaps not the one that the bug was met on: it must not send what was answered already.
      upstream?.cancel()
    } finally {
      if (exchange.attempt === this) exchange.attempt = null
      if (exchange.isOver) this.context.internalErrors.report(error)
      else exchange.breakOff(error)
    }
  }

  // ------------------------------------------------------------------ told by the exchange

  cancel(): void {
    const { exchange, upstream } = this
    this.upstream = null
    this.#settle(exchange.responseStarted ? exchange.status : -1, Outcome.CANCELLED)
    exchange.keepSpareAttempt(this)
    if (upstream !== null) upstream.cancel()
  }

  #answered(head: ResponseHead, bytes: number): void {
    this.#bytesReceived += bytes
    this.exchange.firstByteMs = this.context.timers.clock() - this.startedAt
    this.#readReport(head)
  }

  #readReport(head: MessageHead): void {
    const endpoint = this.#endpoint
    if (endpoint === null) return
    const { reports } = endpoint.pool
    if (reports !== null) reports.read(head, endpoint.slot, this.context.timers.nowMs + SHARED_CLOCK_OFFSET_MS)
  }

  /** A picker that fails to learn goes on to pick: the exchange has nothing to do with it. */
  #tellBegan(learner: Picker, slot: number): void {
    try {
      learner.began?.(slot)
    } catch (error) {
      this.context.internalErrors.report(error)
    }
  }

  /**
   * The latency told is the time to the head of the answer, connecting included: it is what the endpoint has in its hand, where
   * the time to the end is the client's line and the size of the body. Without an answer: the time until it was given up.
   */
  #tellEnded(learner: Picker, slot: number, outcome: number): void {
    const { exchange, context } = this
    const latencyMs = exchange.responseStarted ? exchange.firstByteMs : context.timers.clock() - this.startedAt
    try {
      learner.ended?.(slot, latencyMs > 0 ? latencyMs : 0, outcome)
    } catch (error) {
      context.internalErrors.report(error)
    }
  }

  /**
   * Gives back what the attempt held, once; a status of 0 is a failure, -1 neither success nor failure. `outcome` is what a
   * picker that learns is told.
   */
  #settle(status: number, outcome: number): void {
    const endpoint = this.#endpoint
    if (endpoint === null) return
    this.#endpoint = null
    const { context, exchange } = this
    const { slot, generation } = endpoint
    const learner = this.#learner
    if (learner !== null) {
      this.#learner = null
      this.#tellEnded(learner, slot, outcome)
    }
    try {
      if (status > 0) {
        const { firstByteMs, bytesReceived } = exchange
        context.table.record(context.index, slot, generation, status, firstByteMs, this.#bytesReceived, bytesReceived)
      } else if (status === 0) context.table.recordFailure(context.index, slot, generation)
    } finally {
      // Last, as the slot cannot pass to another endpoint as long as the count is held; and whatever happens.
      context.table.release(context.index, slot, generation)
    }
  }
}
