const FIRST_MS = 100
const MOST_MS = 10_000
/** A thread that lived this long starts with a clean sheet. */
const HEALTHY_MS = 60_000

/** How long to wait before a dead thread is replaced: not at all the first time, then 100 ms doubling to 10 s. */
export class RestartDelay {
  #deaths = 0

  /** `livedMs`: from when it was ready until it died, 0 when it never was. */
  next(livedMs: number): number {
    if (livedMs >= HEALTHY_MS) this.#deaths = 0
    const delay = this.#deaths === 0 ? 0 : Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(this.#deaths - 1, 20))
    this.#deaths += 1
    return delay
  }
}
