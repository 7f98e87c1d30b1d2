/** A median, and where the true one lies with a chance of at least 95 %. */
export interface MedianInterval {
  readonly median: number
  /** -Infinity and Infinity with fewer than six values: they cannot tell. */
  readonly lower: number
  readonly upper: number
}

const CONFIDENCE = 0.95

/**
 * The median of independent values with the interval from order statistics: values k and n + 1 - k in order enclose it unless fewer than k
 * of n fair coins show heads, whatever the distribution. At 20 values those are the 6th and the 15th (95.9 %). NaN for no values.
 */
export function medianInterval(values: readonly number[]): MedianInterval {
  const sorted = [...values].sort((a, b) => a - b)
  const { length } = sorted
  if (length === 0) return { median: Number.NaN, lower: Number.NaN, upper: Number.NaN }
  const median = (sorted[(length - 1) >> 1]! + sorted[length >> 1]!) / 2
  // The largest k with P(fewer than k heads) <= 2.5 %.
  let k = 0
  let term = 0.5 ** length
  for (let below = term; below <= (1 - CONFIDENCE) / 2; below += term) {
    k++
    term *= (length - k + 1) / k
  }
  if (k === 0) return { median, lower: Number.NEGATIVE_INFINITY, upper: Number.POSITIVE_INFINITY }
  return { median, lower: sorted[k - 1]!, upper: sorted[length - k]! }
}
