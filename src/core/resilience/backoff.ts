/** Waiting between attempts. */
export interface BackoffOptions {
  /** Upper bound of the wait before the first retry. Above 0; default 25. */
  readonly baseMs?: number
  /** Upper bound of every wait. At least `baseMs`; default 1 000. */
  readonly maxMs?: number
  /** What the bound is multiplied with from one retry to the next, at least 1; default 2. */
  readonly factor?: number
  /**
   * `full` (default): anywhere from 0 to the bound; `equal`: from half of it; `none`: the bound itself. Full jitter spreads
   * clients that failed together best (M. Brooker, https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
   */
  readonly jitter?: 'full' | 'equal' | 'none'
}

/**
 * Milliseconds to wait before a retry: exponential, with jitter, bounded. `retry`: 0 for the first. `unit`: a random number
 * in [0, 1) from the caller.
 */
export class Backoff {
  readonly #baseMs: number
  readonly #maxMs: number
  readonly #factor: number
  readonly #jitter: 'full' | 'equal' | 'none'

  /** Throws a RangeError for options out of range. */
  constructor(options: BackoffOptions = {}) {
    const { baseMs = 25, maxMs = 1000, factor = 2, jitter = 'full' } = options
    if (!(baseMs > 0)) throw new RangeError(`baseMs is ${baseMs}, it must be above 0`)
    if (!(maxMs >= baseMs && maxMs < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`maxMs is ${maxMs}, it must be at least baseMs ${baseMs} and finite`)
    }
    if (!(factor >= 1 && factor < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`factor is ${factor}, it must be at least 1`)
    }
    this.#baseMs = baseMs
    this.#maxMs = maxMs
    this.#factor = factor
    this.#jitter = jitter
  }

  /** The longest wait before this retry: min(maxMs, baseMs · factor^retry). */
  boundMs(retry: number): number {
    // Infinity for a large retry, and so the maximum.
    return Math.min(this.#maxMs, this.#baseMs * this.#factor ** Math.max(0, retry))
  }

  /** The wait itself. */
  delayMs(retry: number, unit: number): number {
    const bound = this.boundMs(retry)
    switch (this.#jitter) {
      case 'full':
        return unit * bound
      case 'equal':
        return (bound * (1 + unit)) / 2
      case 'none':
        return bound
    }
  }
}
