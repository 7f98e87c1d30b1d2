/** What a histogram tells apart. Two with the same shape can be merged. */
export interface HistogramShape {
  /** What is below counts as one bucket. A power of two is taken: the next one down. Default 2^-10. */
  readonly lowest?: number
  /** What is at or above counts as one bucket. A power of two is taken: the next one up. Default 2^22 (70 minutes in ms). */
  readonly highest?: number
}

/** One bucket that holds something: counts of values in [from, to). */
export interface HistogramBucket {
  readonly from: number
  readonly to: number
  readonly count: number
}

/** Each power of two is cut into 32 equal parts, at most 1/32 of the value wide: the middle is within 1.6 % of it. */
const PARTS_BITS = 5
const PARTS = 1 << PARTS_BITS

const bits = new DataView(new ArrayBuffer(8))

/**
 * A log-linear histogram (as HdrHistogram's, https://github.com/HdrHistogram/HdrHistogram): quantiles within 1.6 % of the
 * value wherever it lies in the range, constant memory (8 KiB by default), constant cost, no allocation per value.
 *
 * A bucket's number is the exponent and the first five bits of the fraction of the double, so that no logarithm is taken.
 * For the simulator and reports; one thread.
 */
export class Histogram {
  /** Values counted. */
  count = 0
  /** Their exact sum, but for rounding. */
  sum = 0
  /** The least, Infinity when empty. */
  min = Number.POSITIVE_INFINITY
  /** The greatest, -Infinity when empty. */
  max = Number.NEGATIVE_INFINITY
  /** Values left out: NaN, below 0, infinite. */
  rejected = 0
  /** By bucket; the first holds what is below the range, the last what is above. Doubles: exact to 2^53. */
  readonly #counts: Float64Array
  readonly #firstKey: number
  readonly #lowest: number
  readonly #highest: number

  /** Throws a RangeError unless 0 < lowest < highest < Infinity. */
  constructor(shape: HistogramShape = {}) {
    const { lowest = 2 ** -10, highest = 2 ** 22 } = shape
    // Doubles below 2^-1022 have no exponent of their own.
    if (!(lowest >= 2 ** -1000 && highest > lowest && highest <= 2 ** 1000)) {
      throw new RangeError(`a histogram from ${lowest} to ${highest}`)
    }
    const firstExponent = Math.floor(Math.log2(lowest))
    const lastExponent = Math.ceil(Math.log2(highest))
    this.#lowest = 2 ** firstExponent
    this.#highest = 2 ** lastExponent
    this.#firstKey = keyOf(this.#lowest)
    this.#counts = new Float64Array((lastExponent - firstExponent) * PARTS + 2)
  }

  /** Counts a value, `times` times. */
  record(value: number, times = 1): void {
    if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) {
      this.rejected += times
      return
    }
    const bucket = this.#bucketOf(value)
    this.#counts[bucket] = this.#counts[bucket]! + times
    this.count += times
    this.sum += value * times
    if (value < this.min) this.min = value
    if (value > this.max) this.max = value
  }

  /** NaN when empty. */
  get mean(): number {
    return this.sum / this.count
  }

  /**
   * The value at rank ⌈q · count⌉, q in [0, 1]: within 1.6 % while it is in the range, below or above the range the least or
   * the greatest seen. 0 and 1 give the exact least and greatest. NaN when empty.
   */
  quantile(q: number): number {
    if (this.count === 0 || Number.isNaN(q)) return Number.NaN
    const rank = Math.ceil(q * this.count)
    if (rank <= 1) return this.min
    if (rank >= this.count) return this.max
    let seen = 0
    let bucket = 0
    while (bucket < this.#counts.length - 1) {
      seen += this.#counts[bucket]!
      if (seen >= rank) break
      bucket++
    }
    if (bucket === 0) return this.min
    if (bucket === this.#counts.length - 1) return this.max
    const middle = (this.#lowerEdge(bucket) + this.#lowerEdge(bucket + 1)) / 2
    return Math.max(this.min, Math.min(this.max, middle))
  }

  /** Adds what another has counted, as if it had been recorded here. Throws a RangeError when the shapes differ. */
  merge(other: Histogram): void {
    if (other.#lowest !== this.#lowest || other.#highest !== this.#highest) {
      throw new RangeError(
        `histograms of different shapes: ${this.#lowest} to ${this.#highest}, ${other.#lowest} to ${other.#highest}`,
      )
    }
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      this.#counts[bucket] = this.#counts[bucket]! + other.#counts[bucket]!
    }
    this.count += other.count
    this.sum += other.sum
    this.rejected += other.rejected
    this.min = Math.min(this.min, other.min)
    this.max = Math.max(this.max, other.max)
  }

  /** Forgets everything; the memory stays. */
  clear(): void {
    this.#counts.fill(0)
    this.count = 0
    this.sum = 0
    this.rejected = 0
    this.min = Number.POSITIVE_INFINITY
    this.max = Number.NEGATIVE_INFINITY
  }

  /** The buckets that hold something, in order. The first may begin at 0 and the last end at Infinity. */
  buckets(): HistogramBucket[] {
    const found: HistogramBucket[] = []
    for (const [bucket, count] of this.#counts.entries()) {
      if (count > 0) found.push({ from: this.#lowerEdge(bucket), to: this.#lowerEdge(bucket + 1), count })
    }
    return found
  }

  #bucketOf(value: number): number {
    if (value < this.#lowest) return 0
    if (value >= this.#highest) return this.#counts.length - 1
    return keyOf(value) - this.#firstKey + 1
  }

  #lowerEdge(bucket: number): number {
    if (bucket === 0) return 0
    if (bucket >= this.#counts.length) return Number.POSITIVE_INFINITY
    const part = bucket - 1
    return this.#lowest * 2 ** (part >>> PARTS_BITS) * (1 + (part & (PARTS - 1)) / PARTS)
  }
}

/** Exponent and the first bits of the fraction, side by side: one more is the next bucket. `value` > 0. */
function keyOf(value: number): number {
  bits.setFloat64(0, value)
  return bits.getUint32(0) >>> (20 - PARTS_BITS)
}
