export interface TokenBucketOptions {
  /** So many per period in the long run. A whole number from 1 to 10^9. */
  readonly limit: number
  /** In whole microseconds, 1 to 10^12 (11 days). */
  readonly periodUs: number
  /** So many at once after a pause. A whole number from 1 to 10^6; default: `limit` (at most 10^6). */
  readonly burst?: number
}

/** Numbers that one bucket keeps: the theoretical arrival time in µs, and its fraction in 1/limit µs. All zero: full. */
export const TOKEN_BUCKET_WORDS = 2

/**
 * Token buckets by the generic cell rate algorithm (ITU-T I.371, virtual scheduling): instead of tokens, one time is kept per bucket, the
 * theoretical arrival time (TAT) at which it is full again. A request of cost c conforms if TAT + c·T − now <= burst·T, where
 * T = period / limit is the time of one token; then TAT becomes max(TAT, now) + c·T. No timer refills anything.
 *
 * Times are whole microseconds: since 1970 they stay exact in a double until the year 2255. (Nanoseconds would have ended
 * in 1970, after 104 days.) T is seldom whole, so its fraction is kept as a whole number of 1/limit µs: the long-run rate is
 * exact, for ever.
 *
 * Many buckets of one setting are one object; bucket i keeps its two numbers at 2i in `state`. Nothing allocates: what a
 * check found besides yes and no stands in `retryAfterUs` and `remaining`, until the next check.
 */
export class TokenBuckets {
  /** After a refusal: microseconds until the same cost conforms; Infinity when it never does. 0 after a yes. */
  retryAfterUs = 0
  /** Tokens left after the last check. */
  remaining = 0
  readonly #limit: number
  readonly #periodUs: number
  readonly #burst: number
  readonly #state: Float64Array

  /** `buckets`: how many. Throws a RangeError for options out of range or a state that is too short. */
  constructor(buckets: number, options: TokenBucketOptions, state?: Float64Array) {
    const { limit, periodUs, burst = Math.min(limit, MAX_BURST) } = options
    if (!isWholeFrom1(limit, 1e9)) throw new RangeError(`limit is ${limit}, it must be a whole number from 1 to 10^9`)
    if (!isWholeFrom1(periodUs, 1e12)) {
      throw new RangeError(`periodUs is ${periodUs}, it must be a whole number from 1 to 10^12`)
    }
    if (!isWholeFrom1(burst, MAX_BURST))
      throw new RangeError(`burst is ${burst}, it must be a whole number from 1 to 10^6`)
    // Costs are turned into time as cost · period, which must be exact.
    if (burst * periodUs > Number.MAX_SAFE_INTEGER)
      throw new RangeError(`burst ${burst} of a period of ${periodUs} µs is too long`)
    this.#limit = limit
    this.#periodUs = periodUs
    this.#burst = burst
    this.#state = state ?? new Float64Array(buckets * TOKEN_BUCKET_WORDS)
    if (this.#state.length < buckets * TOKEN_BUCKET_WORDS)
      throw new RangeError(`state is too short for ${buckets} buckets`)
  }

  /**
   * Takes `cost` tokens of a bucket, all or none. `nowUs`: microseconds of a clock that begins at or above 0; fractions are
   * cut off. `cost`: a whole number >= 0. A clock that jumps back cannot lock a bucket: it is then empty at worst.
   */
  tryTake(bucket: number, nowUs: number, cost = 1): boolean {
    const at = bucket * TOKEN_BUCKET_WORDS
    const state = this.#state
    const limit = this.#limit
    const now = Math.floor(nowUs)
    let tat = state[at]!
    let fraction = state[at + 1]!
    if (tat < now) {
      tat = now
      fraction = 0
    }
    // How far the bucket is from full, as whole microseconds and 1/limit µs; at most the burst.
    const fullUs = Math.floor((this.#burst * this.#periodUs) / limit)
    const fullFraction = (this.#burst * this.#periodUs) % limit
    if (tat - now > fullUs || (tat - now === fullUs && fraction > fullFraction)) {
      tat = now + fullUs
      fraction = fullFraction
    }
    if (!(cost <= this.#burst)) {
      this.retryAfterUs = Number.POSITIVE_INFINITY
      this.remaining = this.#tokensIn(fullUs - (tat - now), fullFraction - fraction)
      return false
    }
    const costUs = Math.floor((cost * this.#periodUs) / limit)
    let nextFraction = fraction + ((cost * this.#periodUs) % limit)
    let next = tat + costUs
    if (nextFraction >= limit) {
      nextFraction -= limit
      next++
    }
    const overUs = next - now - fullUs
    const overFraction = nextFraction - fullFraction
    if (overUs > 0 || (overUs === 0 && overFraction > 0)) {
      // The fraction of a microsecond is waited for in full.
      this.retryAfterUs = overUs + (overFraction > 0 ? 1 : 0)
      this.remaining = this.#tokensIn(fullUs - (tat - now), fullFraction - fraction)
      return false
    }
    state[at] = next
    state[at + 1] = nextFraction
    this.retryAfterUs = 0
    this.remaining = this.#tokensIn(-overUs, -overFraction)
    return true
  }

  /** Whole tokens that fit in this much time. */
  #tokensIn(us: number, fraction: number): number {
    return Math.max(0, Math.floor((us * this.#limit + fraction) / this.#periodUs))
  }
}

const MAX_BURST = 1e6

function isWholeFrom1(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= max
}
