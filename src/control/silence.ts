/** The watchdog's tick, and about that of whom it watches. */
export const TICK_MS = 250

/**
 * For how many of the watchdog's own ticks a thread has given no sign of life. Own ticks, not a clock: a machine that was paused,
 * or a process that was stopped, adds one and hangs nobody.
 */
export class Silence {
  #seen: number
  #ticks = 0

  /** `signs`: the count of signs of life so far. */
  constructor(signs = 0) {
    this.#seen = signs
  }

  /** One tick of the watchdog; returns how many there have been since the last sign. */
  tick(signs: number): number {
    this.#ticks = signs === this.#seen ? this.#ticks + 1 : 0
    this.#seen = signs
    return this.#ticks
  }
}
