/** The mean forgets: this many answers back counts 1/e. */
const MEMORY_ANSWERS = 200
/** From this many answers on a single one counts at most `OUTLIER` times the mean. */
const SETTLED_ANSWERS = 10
const OUTLIER = 5
/** Below a clock's step every answer takes no time at all, and a cost of 0 would hide what is in flight. */
const LEAST_MS = 0.05
/** Until the first answer any number will do, as all endpoints have the same. */
const UNKNOWN_MS = 1

/** What an answer of this pool takes on average: what is believed of an endpoint before anything is known of it. */
export class FleetMean {
  #answers = 0
  /** One cell: a field would be boxed at every change. */
  readonly #mean = Float64Array.of(UNKNOWN_MS)

  get isKnown(): boolean {
    return this.#answers > 0
  }

  /** Milliseconds, above 0. */
  get value(): number {
    return this.#mean[0]!
  }

  /** How much an answer of `valueMs` may count: outliers are cut. */
  cut(valueMs: number): number {
    const most = OUTLIER * this.#mean[0]!
    return this.#answers >= SETTLED_ANSWERS && valueMs > most ? most : valueMs
  }

  add(valueMs: number): void {
    const value = this.cut(valueMs)
    if (this.#answers < MEMORY_ANSWERS) this.#answers++
    const before = this.#answers === 1 ? 0 : this.#mean[0]!
    this.#mean[0] = Math.max(LEAST_MS, before + (value - before) / this.#answers)
  }
}
