import type { WorkerContext } from './context.ts'
import { Exchange } from './exchange.ts'
import type { DownstreamStream } from './streams.ts'

/** A burst leaves no more than this many behind. */
const MAX_IDLE = 1024

/** Exchanges for reuse: an idle connection has none, and a request makes no garbage of one. */
export class ExchangePool {
  /** Asked when the first exchange is made: the context owns the pool. */
  readonly #context: () => WorkerContext
  readonly #idle: Exchange[] = []

  constructor(context: () => WorkerContext) {
    this.#context = context
  }

  take(downstream: DownstreamStream): Exchange {
    const exchange = this.#idle.pop()
    if (exchange === undefined) return new Exchange(this.#context(), downstream)
    exchange.downstream = downstream
    return exchange
  }

  /** The exchange is over, and nobody refers to it any more. */
  giveBack(exchange: Exchange): void {
    exchange.clear()
    if (this.#idle.length < MAX_IDLE) this.#idle.push(exchange)
  }
}
