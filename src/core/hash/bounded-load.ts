/** A share that is whole but for rounding must not be rounded up to one more. */
const ROUNDING = 1 - 2 ** -48

/**
 * How many requests a member may have in flight, counted with the one to place: ⌈c × (m + 1) × w / W⌉, at least 1.
 *
 * - `factor` c, from 1: how far above its fair share a member may go. 1.25 is usual; nearer to 1 is more even but
 *   moves more keys off their owners (in the order of 1 / (c - 1)² for each that comes or goes).
 * - `total` m: requests in flight over all members that may be chosen, without the one to place.
 * - `weight` w and `totalWeight` W: of the member, and of all members that may be chosen. Members that are unfit count in
 *   neither, or there may be nobody below the bound; with c ≥ 1 there always is somebody.
 *
 * For the veto of a consistent map: `map.find(key, (i) => loads[i] < loadBound(c, m, weights[i], W))`. A key then stays
 * with its owner until that one is full, and goes on in its own fixed order.
 *
 * Throws a RangeError for a factor below 1. A member without weight has the bound 0.
 * Source: Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018, arXiv:1608.01350.
 */
export function loadBound(factor: number, total: number, weight: number, totalWeight: number): number {
  if (!(factor >= 1)) throw new RangeError(`the factor of a load bound must be at least 1, not ${factor}`)
  if (!(weight > 0) || !(totalWeight > 0)) return 0
  return Math.max(1, Math.ceil(factor * (total + 1) * (weight / totalWeight) * ROUNDING))
}
