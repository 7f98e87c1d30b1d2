/**
 * Counts over a sliding window, as plain words that may lie in shared memory: the window is cut into buckets, and as time
 * goes on the oldest is emptied and used again. So a count covers between `buckets − 1` and `buckets` of them: the window,
 * less a tenth at most with ten.
 *
 * Layout from `at`: number of the newest bucket, then per bucket one word per field. All zero: nothing counted.
 */
export interface WindowShape {
  /** At least 2. */
  readonly buckets: number
  /** Counts side by side in each bucket. */
  readonly fields: number
  /** Length of one bucket, at least 1. */
  readonly bucketMs: number
}

/** Words that a window takes. */
export function windowWords(shape: WindowShape): number {
  return 1 + shape.buckets * shape.fields
}

/** Adds to a field of the newest bucket. A count stays at 2^31 − 1 when it gets there. */
export function countInWindow(words: Int32Array, at: number, shape: WindowShape, field: number, nowMs: number): void {
  const bucket = advanceWindow(words, at, shape, nowMs)
  const word = at + 1 + slotOf(bucket, shape.buckets) * shape.fields + field
  if (words[word]! < 0x7fff_ffff) words[word] = words[word]! + 1
}

/** The sum of a field over the window that ends now. */
export function sumOfWindow(words: Int32Array, at: number, shape: WindowShape, field: number, nowMs: number): number {
  advanceWindow(words, at, shape, nowMs)
  let sum = 0
  for (let slot = 0; slot < shape.buckets; slot++) sum += words[at + 1 + slot * shape.fields + field]!
  return sum
}

/** Forgets all counts. */
export function clearWindow(words: Int32Array, at: number, shape: WindowShape): void {
  words.fill(0, at + 1, at + windowWords(shape))
}

/**
 * Empties what has left the window; returns the number of the newest bucket. Time that goes backwards by less than the window
 * counts as no time; by more, it is another clock, and the window begins anew.
 */
function advanceWindow(words: Int32Array, at: number, shape: WindowShape, nowMs: number): number {
  const { buckets, fields } = shape
  const newest = words[at]!
  // As Int32, and compared by difference: it may run over, after 2^31 buckets.
  const bucket = Math.floor(nowMs / shape.bucketMs) | 0
  const steps = (bucket - newest) | 0
  if (steps <= 0 && steps > -buckets) return newest
  const stale = steps < 0 ? buckets : Math.min(steps, buckets)
  for (let step = 0; step < stale; step++) {
    const first = at + 1 + slotOf((bucket - step) | 0, buckets) * fields
    for (let field = 0; field < fields; field++) words[first + field] = 0
  }
  words[at] = bucket
  return bucket
}

function slotOf(bucket: number, buckets: number): number {
  return (bucket >>> 0) % buckets
}
