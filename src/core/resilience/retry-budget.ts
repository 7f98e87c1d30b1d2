import { clearWindow, countInWindow, sumOfWindow, type WindowShape, windowWords } from './windowed-counts.ts'

export interface RetryBudgetOptions {
  /** Retries may be this share of the requests of the window. 0 to 1, default 0.2. */
  readonly ratio?: number
  /** So many may be in flight whatever the share says, so that a quiet pool can retry at all. Default 3. */
  readonly minInFlight?: number
  /**
   * How many per second that allowance covers, over the window. Default 10. Without it, retries that fail at once are never more than
   * one in flight, and every request of a broken pool would be retried.
   */
  readonly minPerSecond?: number
  /** Length of the window; default 10 s. */
  readonly windowMs?: number
}

const BUCKETS = 10
const Field = { REQUESTS: 0, RETRIES: 1 } as const

/**
 * How many retries a pool may make: a share of its requests over a sliding window, and a few in any case. It bounds what
 * retrying adds to a failure: with 20 %, a dead pool sees 1.2 times its traffic and not (1 + retries) times.
 * Sources: Finagle's RetryBudget (share and least rate over a window), Envoy's retry_budget (20 %, 3 in flight).
 *
 * `onRequest` for each first attempt; `tryTake` before each retry, and after a yes `onRetryEnd` exactly once. Requests count
 * when they begin. Nothing allocates.
 */
export class RetryBudget {
  readonly #ratio: number
  readonly #minInFlight: number
  readonly #minPerWindow: number
  readonly #shape: WindowShape
  readonly #words: Int32Array
  #inFlight = 0

  /** Throws a RangeError for options out of range. */
  constructor(options: RetryBudgetOptions = {}) {
    const { ratio = 0.2, minInFlight = 3, minPerSecond = 10, windowMs = 10_000 } = options
    if (!(ratio >= 0 && ratio <= 1)) throw new RangeError(`ratio is ${ratio}, it must be from 0 to 1`)
    if (!(minInFlight >= 0)) throw new RangeError(`minInFlight is ${minInFlight}`)
    if (!(minPerSecond >= 0)) throw new RangeError(`minPerSecond is ${minPerSecond}`)
    if (!(windowMs >= BUCKETS && windowMs < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`windowMs is ${windowMs}, it must be at least ${BUCKETS}`)
    }
    this.#ratio = ratio
    this.#minInFlight = minInFlight
    this.#minPerWindow = (minPerSecond * windowMs) / 1000
    this.#shape = { buckets: BUCKETS, fields: 2, bucketMs: windowMs / BUCKETS }
    this.#words = new Int32Array(windowWords(this.#shape))
  }

  /** Retries that were taken and have not ended. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** A request's first attempt begins. */
  onRequest(nowMs: number): void {
    countInWindow(this.#words, 0, this.#shape, Field.REQUESTS, nowMs)
  }

  /** May one retry begin? If so it is counted. */
  tryTake(nowMs: number): boolean {
    const retries = sumOfWindow(this.#words, 0, this.#shape, Field.RETRIES, nowMs)
    const requests = sumOfWindow(this.#words, 0, this.#shape, Field.REQUESTS, nowMs)
    const isInShare = retries + 1 <= this.#ratio * requests
    if (!isInShare && (this.#inFlight >= this.#minInFlight || retries + 1 > this.#minPerWindow)) return false
    countInWindow(this.#words, 0, this.#shape, Field.RETRIES, nowMs)
    this.#inFlight++
    return true
  }

  /** A retry that was taken has ended, however. */
  onRetryEnd(): void {
    if (this.#inFlight > 0) this.#inFlight--
  }

  /** Forgets the window; what is in flight stays. */
  reset(): void {
    clearWindow(this.#words, 0, this.#shape)
  }
}
