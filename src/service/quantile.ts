/**
 * Estimates a quantile from bucket counts, as Prometheus's `histogram_quantile` does: linear within the bucket that holds it.
 *
 * @param bounds upper bounds in ascending order; `counts` has one entry more, for what is above the last.
 * @param quantile 0 to 1.
 * @returns null without observations; the last bound when the quantile lies above it (then it is "at least").
 */
export function bucketQuantile(bounds: readonly number[], counts: readonly number[], quantile: number): number | null {
  let total = 0
  for (const count of counts) total += count
  if (total === 0) return null
  const rank = quantile * total
  let below = 0
  for (let i = 0; i < bounds.length; i++) {
    const count = counts[i] ?? 0
    if (count > 0 && below + count >= rank) {
      const lower = i === 0 ? 0 : bounds[i - 1]!
      return lower + (bounds[i]! - lower) * Math.max(0, (rank - below) / count)
    }
    below += count
  }
  return bounds.at(-1) ?? null
}
