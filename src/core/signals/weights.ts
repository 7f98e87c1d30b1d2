/** How 004's weights are made of loads. */
export interface WeightOptions {
  /** The sum is this times the number of nodes. Above 0; default 100. */
  readonly base?: number
  /** No node gets less, so that none is starved of the traffic that would show it to be better. 0 to `base`; default 10. */
  readonly min?: number
  /**
   * ε in weight ∝ 1 / (load + ε), 10^-9 to 1; 004 gives no value. It bounds how much an idle node gets over a full one:
   * (1 + ε) / ε, 21 times at the default of 0.05.
   */
  readonly epsilon?: number
}

const DEFAULTS = { base: 100, min: 10, epsilon: 0.05 } as const

/**
 * Weights from loads as document 004 has them: weight ∝ 1 / (load + ε), none below `min`, sum = base · n.
 *
 * `loads`: 0 is idle; below 0 counts as 0, infinite gets the least. A load that is NaN is not known: that node gets the mean
 * of what the others are worth, which is the base weight unless the minimum took some of it. Throws a RangeError for options out of
 * range. O(n log n).
 */
export function weightsFromLoads(loads: ArrayLike<number>, options: WeightOptions = {}): Float64Array {
  const { base, min, epsilon } = { ...DEFAULTS, ...options }
  checkWeightOptions(base, min, epsilon)
  const worths = Float64Array.from(loads, (load) => 1 / (Math.max(0, load) + epsilon))
  let sum = 0
  let known = 0
  for (const worth of worths) {
    if (Number.isNaN(worth)) continue
    sum += worth
    known++
  }
  // Nothing known at all: all alike.
  const mean = known > 0 ? sum / known : 1
  return shareOut(
    worths.map((worth) => (Number.isNaN(worth) ? mean : worth)),
    base * worths.length,
    min,
  )
}

/**
 * Divides `total` in proportion to `worths` (finite, >= 0) with nobody below `min`: those that would be are raised to it, and
 * what the others have left is divided anew, until it is so for all (water-filling). Cutting at the minimum alone would make
 * the sum too large; scaling afterwards would push some below the minimum again. Needs min · n <= total.
 */
export function shareOut(worths: Float64Array, total: number, min: number): Float64Array {
  const size = worths.length
  if (min * size > total) throw new RangeError(`${size} times at least ${min} is more than ${total}`)
  // The least worthy first: if anyone is raised, then a first part of this order.
  const order = Array.from(worths.keys()).sort((a, b) => worths[a]! - worths[b]! || a - b)
  const largest = size === 0 ? 0 : worths[order[size - 1]!]!
  if (largest === 0) return new Float64Array(size).fill(total / size)
  // Scaled by the largest, so that no sum overflows; from the small end, so that none is lost beside large ones.
  const rest = new Float64Array(size + 1)
  for (let at = size - 1; at >= 0; at--) rest[at] = rest[at + 1]! + worths[order[at]!]! / largest
  const result = new Float64Array(size)
  let raised = 0
  while (raised < size) {
    const level = (total - raised * min) / rest[raised]!
    if ((worths[order[raised]!]! / largest) * level >= min) {
      for (let at = raised; at < size; at++) result[order[at]!] = (worths[order[at]!]! / largest) * level
      break
    }
    result[order[raised]!] = min
    raised++
  }
  return result
}

/**
 * Whole weights with the same sum: all are cut, and what is missing goes one by one to those that lost most (largest
 * remainder; among equals to the first). None falls below a whole `min` that it kept before. The sum must be within 10^-6 of
 * a whole number.
 */
export function wholeWeights(weights: Float64Array): Float64Array {
  let sum = 0
  let cutSum = 0
  // What rounding of doubles left a hair below a whole number is that number.
  const cut = weights.map((weight) => Math.floor(weight + 1e-9))
  for (const [index, weight] of weights.entries()) {
    sum += weight
    cutSum += cut[index]!
  }
  const total = Math.round(sum)
  if (!(Math.abs(sum - total) <= 1e-6 * Math.max(1, total))) throw new RangeError(`the weights sum to ${sum}`)
  const order = Array.from(weights.keys()).sort((a, b) => weights[b]! - cut[b]! - (weights[a]! - cut[a]!) || a - b)
  for (let at = 0; at < total - cutSum; at++) {
    const index = order[at]!
    cut[index] = cut[index]! + 1
  }
  return cut
}

/** Throws a RangeError for what `WeightOptions` does not allow. */
export function checkWeightOptions(base: number, min: number, epsilon: number): void {
  if (!(base > 0 && base < Number.POSITIVE_INFINITY)) throw new RangeError(`base is ${base}, it must be above 0`)
  if (!(min >= 0 && min <= base)) throw new RangeError(`min is ${min}, it must be from 0 to the base ${base}`)
  if (!(epsilon >= 1e-9 && epsilon <= 1)) throw new RangeError(`epsilon is ${epsilon}, it must be from 10^-9 to 1`)
}
