import type { Xoshiro128 } from '../../random.ts'
import { grownFloat64 } from './slot-owners.ts'

/** Above this multiple of the fleet's mean an endpoint practically gets no requests, so nothing more is learnt of it. */
export const SUSPECT = 2
/** So many good answers in a row, and the past no longer holds. One is luck: one in six at an endpoint that is 10 times as slow. */
const GOOD_IN_A_ROW = 3
/** The first wait for a trial; it doubles with each one that goes wrong. */
const FIRST_WAIT_MS = 1000
export const LONGEST_WAIT_MS = 2000
/** Where requests fail a trial costs an error, not a delay. */
export const LONGEST_WAIT_FAILING_MS = 16_000
/** Trials may take one request in this many, so that however many slow endpoints there are the 99th percentile is not theirs … */
const PICKS_PER_TRIAL = 400
/** … or one in this time where requests are few. */
const MS_PER_TRIAL = 60_000
/** What was not used in quiet times: so that the first trials after an endpoint became slow come when they are due. */
const SAVED_TRIALS = 4
/** Who is a little slower than the mean and was not heard of for this long is tried too, after the suspects. */
const STALE_MS = 2000
/** A trial that is due costs this part of the mean, so that it is the next request; a suspect's and a newcomer's comes first. */
export const TRIAL_DISCOUNT = 1 / 1024
export const STALE_DISCOUNT = 1 / 64

/** Columns of a row. */
const DUE_AT = 0
const WAIT_MS = 1
const STREAK = 2
const IS_RUNNING = 3
const ROW = 4

/**
 * Who is tried again. An endpoint that was slow and is well again looks slow for as long as nobody asks it, so a picker that
 * learns from answers alone gives it next to nothing for minutes. Here a suspect with nothing in flight is sent one request when
 * it is due, at first after a second, then about every two; so is one that is merely behind the others and gets nothing while
 * there is little to do. A good answer makes the next trial due at once, and three in a row settle it: the metric forgets what
 * was before. So a recovered endpoint is back some seconds after its recovery, and trials that go wrong together cost one request
 * in 400. Waits are spread by chance, or several balancers would try together.
 */
export class Trials {
  readonly #generator: Xoshiro128
  #rows = new Float64Array(0)
  /** Trials that may begin now; when that was; one cell each. */
  readonly #budget = Float64Array.of(1, 0)

  constructor(generator: Xoshiro128) {
    this.#generator = generator
  }

  grow(slots: number): void {
    this.#rows = grownFloat64(this.#rows, slots * ROW)
  }

  /** Forgets a slot. `delayMs`: its first trial comes at a random time within it. */
  reset(slot: number, now: number, delayMs: number): void {
    const row = slot * ROW
    this.#rows.fill(0, row, row + ROW)
    this.#rows[row + DUE_AT] = now + delayMs * this.#generator.unit()
    this.#rows[row + WAIT_MS] = FIRST_WAIT_MS
  }

  get isAffordable(): boolean {
    return this.#budget[0]! >= 1
  }

  /** May an endpoint with nothing in flight that is slower than the mean, or was never asked, be tried? `isAffordable`: as above, once for many slots. */
  isDue(slot: number, now: number, isAffordable: boolean): boolean {
    const row = slot * ROW
    return this.#rows[row + DUE_AT]! <= now && (isAffordable || this.#rows[row + STREAK]! > 0)
  }

  /** A request began somewhere: pays into the budget. */
  passed(now: number): void {
    const budget = this.#budget
    const since = budget[1] === 0 ? 0 : Math.max(0, now - budget[1]!)
    budget[0] = Math.min(SAVED_TRIALS, budget[0]! + 1 / PICKS_PER_TRIAL + since / MS_PER_TRIAL)
    budget[1] = now
  }

  /** The request that now goes to this endpoint is its trial. */
  begin(slot: number): void {
    const row = slot * ROW
    this.#rows[row + IS_RUNNING] = 1
    if (this.#rows[row + STREAK] === 0) this.#budget[0] = Math.max(0, this.#budget[0]! - 1)
  }

  /** Whether the answer that comes now is that of a trial. */
  isRunning(slot: number): boolean {
    return this.#rows[slot * ROW + IS_RUNNING] === 1
  }

  /** The answer of a suspect, or of a trial. True: it has shown itself well, forget what was before. */
  judge(slot: number, isGood: boolean, now: number, longestWaitMs: number): boolean {
    const rows = this.#rows
    const row = slot * ROW
    const wasTrial = rows[row + IS_RUNNING] === 1
    rows[row + IS_RUNNING] = 0
    if (isGood) {
      const streak = rows[row + STREAK]! + 1
      rows[row + DUE_AT] = now
      rows[row + STREAK] = streak
      if (streak < GOOD_IN_A_ROW) return false
      this.settle(slot, now)
      return true
    }
    rows[row + STREAK] = 0
    // Answers to what was sent before it became suspect say nothing new: they only put the trial off.
    if (wasTrial) rows[row + WAIT_MS] = Math.min(longestWaitMs, rows[row + WAIT_MS]! * 2)
    rows[row + DUE_AT] = now + rows[row + WAIT_MS]! * (0.5 + this.#generator.unit())
    return false
  }

  /** A trial was cancelled: it says nothing. */
  abandon(slot: number): void {
    this.#rows[slot * ROW + IS_RUNNING] = 0
  }

  /** The answer of one that is not suspect, or no longer. */
  settle(slot: number, now: number): void {
    const row = slot * ROW
    this.#rows[row + DUE_AT] = now + STALE_MS
    this.#rows[row + WAIT_MS] = FIRST_WAIT_MS
    this.#rows[row + STREAK] = 0
    this.#rows[row + IS_RUNNING] = 0
  }
}
