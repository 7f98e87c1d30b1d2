import type { WorkerContext } from './context.ts'
import type { DownstreamStream } from './downstream-stream.ts'
import { Exchange } from './exchange.ts'

/** A burst leaves no more than this many behind. */
const MAX_IDLE = 1024

/** Exchanges for reuse: an idle connection has none, and a request makes no garbage of one. */
export class ExchangePool {
  readonly #context: WorkerContext
  readonly #startAttempt: (exchange: Exchange) => void
  readonly #idle: Exchange[] = []

  /** `startAttempt` chooses an endpoint and sends an exchange there; given by the composition root, as it closes a circle. */
  constructor(context: WorkerContext, startAttempt: (exchange: Exchange) => void) {
    this.#context = context
    this.#startAttempt = startAttempt
  }

  take(downstream: DownstreamStream): Exchange {
    const exchange = this.#idle.pop() ?? new Exchange(this.#context, this.#startAttempt)
    exchange.serve(downstream)
    return exchange
  }

  /** The exchange is over, and nobody refers to it any more. */
  giveBack(exchange: Exchange): void {
    if (exchange.isBroken) return
    exchange.clear()
    if (this.#idle.length < MAX_IDLE) this.#idle.push(exchange)
  }
}
