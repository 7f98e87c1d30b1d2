import type { Xoshiro128 } from '../random.ts'

/**
 * Finds the least of many costs, each of the equals as likely as the others, in O(log n); a change of one cost is O(log n) too.
 *
 * A complete binary tree in two arrays: `mins[node]` is the least cost below the node, `counts[node]` how many have it. Node 1 is
 * the root, the children of k are 2k and 2k + 1, leaf i is `leaves` + i. 12 bytes per node, two to four nodes per cost.
 */
export class LeastIndex {
  /** By index; after a change of one call `changed`, of all `rebuild`. Infinite ones are never found: all are at first. */
  readonly costs: Float64Array
  readonly #leaves: number
  readonly #mins: Float64Array
  readonly #counts: Int32Array

  constructor(size: number) {
    this.#leaves = 2 ** Math.ceil(Math.log2(Math.max(1, size)))
    this.#mins = new Float64Array(2 * this.#leaves).fill(Number.POSITIVE_INFINITY)
    this.#counts = new Int32Array(2 * this.#leaves)
    this.costs = this.#mins.subarray(this.#leaves, this.#leaves + size)
  }

  /** The cost at `index` is another. */
  changed(index: number): void {
    const mins = this.#mins
    const counts = this.#counts
    let node = this.#leaves + index
    counts[node] = mins[node]! < Number.POSITIVE_INFINITY ? 1 : 0
    while (node > 1) {
      node >>= 1
      const left = mins[2 * node]!
      const right = mins[2 * node + 1]!
      const least = left < right ? left : right
      const count = (left === least ? counts[2 * node]! : 0) + (right === least ? counts[2 * node + 1]! : 0)
      // Above here nothing changes.
      if (mins[node] === least && counts[node] === count) return
      mins[node] = least
      counts[node] = count
    }
  }

  /** Any cost may be another: O(n). */
  rebuild(): void {
    const mins = this.#mins
    const counts = this.#counts
    for (let node = 2 * this.#leaves - 1; node >= this.#leaves; node--) {
      counts[node] = mins[node]! < Number.POSITIVE_INFINITY ? 1 : 0
    }
    for (let node = this.#leaves - 1; node >= 1; node--) {
      const left = mins[2 * node]!
      const right = mins[2 * node + 1]!
      const least = left < right ? left : right
      mins[node] = least
      counts[node] = (left === least ? counts[2 * node]! : 0) + (right === least ? counts[2 * node + 1]! : 0)
    }
  }

  /** An index with the least cost, -1 when all are infinite. */
  find(generator: Xoshiro128): number {
    const mins = this.#mins
    const counts = this.#counts
    const equals = counts[1]!
    if (equals === 0) return -1
    // One draw decides among all equals: it is the rank of the one to take.
    let rank = equals === 1 ? 0 : generator.below(equals)
    const least = mins[1]!
    let node = 1
    while (node < this.#leaves) {
      node *= 2
      if (mins[node] !== least) node++
      else if (rank >= counts[node]!) {
        rank -= counts[node]!
        node++
      }
    }
    return node - this.#leaves
  }
}
