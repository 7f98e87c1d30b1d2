/**
 * One try of an exchange at one endpoint: from the choice to the last byte of the answer, or to the error that ends it.
 * Several may run for one exchange once hedging comes; an exchange listens to its current one only.
 */
import { ERROR_INDEX } from '../core/errors.ts'
import type { MessageHead, ResponseHead } from '../http1/head.ts'
import type { WorkerContext } from './context.ts'
import type { Exchange } from './exchange.ts'
import type { WorkerEndpoint } from './pools.ts'
import type { RelayBuffer } from './relay-buffers.ts'
import { failExchange } from './respond.ts'
import { mayRepeat } from './retry.ts'
import type { UpstreamStream } from './streams.ts'

export class Attempt {
  readonly exchange: Exchange
  readonly context: WorkerContext
  endpoint: WorkerEndpoint
  startedAt: number
  upstream: UpstreamStream | null = null
  /** It runs on a kept-alive connection. */
  isReused = false
  hasSentHead = false
  #isSettled = false
  #bytesReceived = 0

  constructor(exchange: Exchange, endpoint: WorkerEndpoint, nowMs: number) {
    this.exchange = exchange
    this.context = exchange.context
    this.endpoint = endpoint
    this.startedAt = nowMs
  }

  /** The object serves the next attempt of the same connection: one request makes no garbage of it. */
  begin(endpoint: WorkerEndpoint, nowMs: number): void {
    this.endpoint = endpoint
    this.startedAt = nowMs
    this.upstream = null
    this.isReused = false
    this.hasSentHead = false
    this.#isSettled = false
    this.#bytesReceived = 0
  }

  // ------------------------------------------------------------------ told by the upstream codec

  connected(): void {
    const { context, endpoint } = this
    context.table.connectSucceeded(endpoint.slot, endpoint.generation)
    this.exchange.connectMs = context.timers.clock() - this.startedAt
  }

  interim(head: ResponseHead): void {
    this.exchange.interim(head)
  }

  /** False: hold the answer back until `resume`. */
  respond(head: ResponseHead, bytes: Buffer, start: number, end: number, isLast: boolean): boolean {
    this.#answered(end - start)
    return this.exchange.respond(head, bytes, start, end, isLast)
  }

  switchProtocols(head: ResponseHead, upgrade: string): void {
    this.#answered(0)
    this.exchange.switchProtocols(head, upgrade)
  }

  data(bytes: Buffer, start: number, end: number, lease: RelayBuffer | null): boolean {
    this.#bytesReceived += end - start
    return this.exchange.responseData(bytes, start, end, lease)
  }

  /** The answer is complete, and the connection has let go of the attempt already, so that the next request may take it. */
  end(trailers: MessageHead | null): void {
    const { exchange } = this
    this.upstream = null
    this.#settle(exchange.status)
    exchange.attempt = null
    exchange.spareAttempt = this
    exchange.responseEnd(trailers)
  }

  /** The attempt came to nothing. `error` is an `ERROR_INDEX`. */
  failed(error: number): void {
    const { exchange, context, endpoint } = this
    if (this.#isSettled) return
    this.upstream = null
    const { slot, generation } = endpoint
    if (error === ERROR_INDEX.EK_CONNECT_FAILED || error === ERROR_INDEX.EK_CONNECT_TIMEOUT)
      context.table.connectFailed(slot, generation, endpoint.pool.plan.passive.failures, Date.now())
    this.#settle(0)
    if (exchange.attempt !== this) return
    exchange.attempt = null
    exchange.spareAttempt = this
    exchange.lastError = error
    if (mayRepeat(exchange, error, endpoint)) context.startAttempt(exchange)
    else failExchange(exchange, error)
  }

  // ------------------------------------------------------------------ told by the exchange

  /** The exchange is over or goes on without this attempt. */
  cancel(): void {
    const { upstream } = this
    this.upstream = null
    if (!this.#isSettled) this.#settle(this.exchange.responseStarted ? this.exchange.status : -1)
    this.exchange.spareAttempt = this
    if (upstream !== null) upstream.cancel()
  }

  #answered(bytes: number): void {
    this.#bytesReceived += bytes
    this.exchange.firstByteMs = this.context.timers.clock() - this.startedAt
  }

  /** Gives back what the attempt held; a status of 0 is a failure, -1 neither success nor failure. */
  #settle(status: number): void {
    this.#isSettled = true
    const { context, endpoint, exchange } = this
    const { slot, generation } = endpoint
    if (status > 0) {
      const { firstByteMs, bytesReceived } = exchange
      context.table.record(context.index, slot, generation, status, firstByteMs, this.#bytesReceived, bytesReceived)
    } else if (status === 0) context.table.recordFailure(context.index, slot, generation)
    // Last: as long as the count is held, the slot cannot pass to another endpoint.
    context.table.release(context.index, slot, generation)
  }
}
