/** However few picks there are, counts are at most so old when one is made. */
const LONGEST_AGE_MS = 100

/**
 * When to look at every member again: after one pick per eight members, so that the look costs each pick about as much as
 * eight members, and not later than `LONGEST_AGE_MS` after the last.
 */
export class Recount {
  #left = 0
  readonly #countedMs = new Float64Array(1)

  /** The next pick counts. */
  reset(): void {
    this.#left = 0
  }

  /** Asked once per pick; when true the caller counts now. */
  isDue(size: number, now: number): boolean {
    if (--this.#left > 0 && now - this.#countedMs[0]! < LONGEST_AGE_MS) return false
    this.#left = Math.max(1, size >> 3)
    this.#countedMs[0] = now
    return true
  }
}
