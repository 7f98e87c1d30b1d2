import { SUBJECTS_MAX } from './event-queue.ts'

/** Where an attempt is. */
export const AttemptState = {
  FREE: 0,
  /** On its way to the endpoint, or its answer on the way back. */
  TRAVELLING: 1,
  WAITING: 2,
  SERVED: 3,
  /** At an endpoint that will never answer. */
  LOST: 4,
} as const

/** Attempts at a time, at most. */
const ATTEMPTS_MAX = Math.min(2 ** 24, SUBJECTS_MAX)

/**
 * All attempts that are under way, as columns. A place is used again after `release`. The arrays are replaced when the pool grows: read
 * them from here each time.
 */
export class AttemptPool {
  live = 0
  state = new Uint8Array(0)
  /** Whose it is; -1: nobody waits for it any more. */
  request = new Int32Array(0)
  worker = new Int32Array(0)
  endpoint = new Int32Array(0)
  /** Of its request, for caches. */
  key = new Int32Array(0)
  /** When the balancer began it, and when it reached the endpoint. */
  beganMs = new Float64Array(0)
  reachedMs = new Float64Array(0)
  /** Before service what there is to do, in milliseconds at speed 1. */
  work = new Float64Array(0)
  /** In service: what the endpoint's own clock shows when it is done. */
  finishClock = new Float64Array(0)
  /** Neighbours in the endpoint's waiting line, -1 at its ends; `next` links free places too. */
  next = new Int32Array(0)
  previous = new Int32Array(0)
  /** One of `Outcome`, once it is known. */
  outcome = new Uint8Array(0)
  /** 1: paid for by the retry budget. */
  isBudgeted = new Uint8Array(0)
  /** At the endpoint when it came, itself not counted. */
  loadBefore = new Int32Array(0)
  /** An event of this kind means something only at just this time; NaN: never. */
  timeoutAt = new Float64Array(0)
  cancelAt = new Float64Array(0)
  #free = -1

  /** A free place, or -1 when there are too many. All of its columns are the caller's to set, but for the timers. */
  take(): number {
    if (this.#free < 0 && !this.#grow()) return -1
    const attempt = this.#free
    this.#free = this.next[attempt]!
    this.state[attempt] = AttemptState.TRAVELLING
    this.timeoutAt[attempt] = Number.NaN
    this.cancelAt[attempt] = Number.NaN
    this.live++
    return attempt
  }

  release(attempt: number): void {
    this.state[attempt] = AttemptState.FREE
    this.timeoutAt[attempt] = Number.NaN
    this.cancelAt[attempt] = Number.NaN
    this.next[attempt] = this.#free
    this.#free = attempt
    this.live--
  }

  #grow(): boolean {
    const from = this.state.length
    const length = Math.max(1024, from * 2)
    if (length > ATTEMPTS_MAX) return false
    this.state = copied(this.state, new Uint8Array(length))
    this.request = copied(this.request, new Int32Array(length))
    this.worker = copied(this.worker, new Int32Array(length))
    this.endpoint = copied(this.endpoint, new Int32Array(length))
    this.key = copied(this.key, new Int32Array(length))
    this.beganMs = copied(this.beganMs, new Float64Array(length))
    this.reachedMs = copied(this.reachedMs, new Float64Array(length))
    this.work = copied(this.work, new Float64Array(length))
    this.finishClock = copied(this.finishClock, new Float64Array(length))
    this.next = copied(this.next, new Int32Array(length))
    this.previous = copied(this.previous, new Int32Array(length))
    this.outcome = copied(this.outcome, new Uint8Array(length))
    this.isBudgeted = copied(this.isBudgeted, new Uint8Array(length))
    this.loadBefore = copied(this.loadBefore, new Int32Array(length))
    this.timeoutAt = copied(this.timeoutAt, new Float64Array(length))
    this.cancelAt = copied(this.cancelAt, new Float64Array(length))
    for (let place = length - 1; place >= from; place--) {
      this.next[place] = this.#free
      this.#free = place
    }
    return true
  }
}

type Column = Uint8Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Float64Array<ArrayBuffer>

/** `to`, which is longer, with what is in `from` at its beginning. */
export function copied<T extends Column>(from: T, to: T): T {
  to.set(from)
  return to
}
