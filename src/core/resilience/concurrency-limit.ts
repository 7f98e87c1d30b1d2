export interface ConcurrencyLimitOptions {
  /** Never below this, so that there is always something to learn from. A whole number >= 1; default 1. */
  readonly min?: number
  /** Never above this. Default 1 000. */
  readonly max?: number
  /** To begin with. Default 20, within `min` and `max`. */
  readonly initial?: number
  /** An answer that takes longer counts as a sign of overload. Above 0; Infinity: only drops do. Default Infinity. */
  readonly latencyMs?: number
  /** The limit is multiplied with this on overload. Above 0, below 1; default 0.9. */
  readonly decrease?: number
}

/**
 * How many requests may run at once, found out as TCP does (additive increase, multiplicative decrease: Chiu and Jain 1989;
 * as in Netflix' concurrency-limits): a round of good answers adds one, a sign of overload takes a tenth.
 *
 * Two rules keep it honest. It grows only while at least half of it is in use: a limit that nobody fills proves nothing.
 * And it falls at most once per round: a request that began before the last fall ran under the old limit and says nothing
 * about the new one; without that, one burst of timeouts would take it to the minimum.
 */
export class ConcurrencyLimit {
  readonly #min: number
  readonly #max: number
  readonly #latencyMs: number
  readonly #decrease: number
  /** With its fraction: 1/limit per good answer is one per round. */
  #limit: number
  #inFlight = 0
  #fellAtMs = Number.NEGATIVE_INFINITY

  /** Throws a RangeError for options out of range. */
  constructor(options: ConcurrencyLimitOptions = {}) {
    const { min = 1, max = 1000, latencyMs = Number.POSITIVE_INFINITY, decrease = 0.9 } = options
    if (!(Number.isInteger(min) && min >= 1)) throw new RangeError(`min is ${min}, it must be a whole number from 1`)
    if (!(Number.isInteger(max) && max >= min))
      throw new RangeError(`max is ${max}, it must be a whole number from min`)
    const initial = options.initial ?? Math.max(min, Math.min(max, 20))
    if (!(initial >= min && initial <= max)) throw new RangeError(`initial is ${initial}, it must be from min to max`)
    if (!(latencyMs > 0)) throw new RangeError(`latencyMs is ${latencyMs}, it must be above 0`)
    if (!(decrease > 0 && decrease < 1)) throw new RangeError(`decrease is ${decrease}, it must be between 0 and 1`)
    this.#min = min
    this.#max = max
    this.#latencyMs = latencyMs
    this.#decrease = decrease
    this.#limit = initial
  }

  /** A whole number from `min` to `max`. */
  get limit(): number {
    return Math.floor(this.#limit)
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** May one more begin? If so it is counted in. */
  tryAcquire(): boolean {
    if (this.#inFlight >= this.limit) return false
    this.#inFlight++
    return true
  }

  /** One that was counted in has ended well, as far as it goes: its latency is judged. */
  onAnswer(startedAtMs: number, nowMs: number): void {
    const used = this.#end()
    if (nowMs - startedAtMs > this.#latencyMs) this.#fall(startedAtMs, nowMs)
    else if (used * 2 >= this.limit) this.#limit = Math.min(this.#max, this.#limit + 1 / this.#limit)
  }

  /** One that was counted in was refused by the endpoint (503, 429) or timed out. */
  onOverload(startedAtMs: number, nowMs: number): void {
    this.#end()
    this.#fall(startedAtMs, nowMs)
  }

  /** One that was counted in ended for a reason of its own (the client left): nothing is learnt. */
  onIgnored(): void {
    this.#end()
  }

  /** Returns how many there were with it. */
  #end(): number {
    const used = this.#inFlight
    if (used > 0) this.#inFlight = used - 1
    return used
  }

  #fall(startedAtMs: number, nowMs: number): void {
    if (startedAtMs < this.#fellAtMs) return
    this.#fellAtMs = nowMs
    this.#limit = Math.max(this.#min, this.#limit * this.#decrease)
  }
}
