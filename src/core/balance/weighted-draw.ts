import type { Xoshiro128 } from '../random.ts'
import type { Accept, Members } from './picker.ts'

/**
 * Draws members with probability in proportion to weight, in constant time at any size.
 *
 * Equal weights need no table. Others use Walker's alias method as built by Vose (https://doi.org/10.1109/32.92917):
 * column i stands for member i with probability threshold / 2^32 and else for its alias, so a draw is two numbers and one
 * comparison. Members without weight are not in the table at all and cannot be drawn by a rounding error.
 */
export class WeightedDraw {
  /** Members with weight. `index` below is in [0, size). */
  size = 0
  /** All of them have the same weight. */
  isUniform = true
  /** By index. */
  positions = new Int32Array(0)
  slots = new Int32Array(0)
  weights = new Float64Array(0)
  /** By column: threshold, alias; side by side, as both are needed. */
  #columns = new Uint32Array(0)
  /** Room to build the table in. */
  #stacks = new Int32Array(0)
  #shares = new Float64Array(0)
  readonly #generator: Xoshiro128

  constructor(generator: Xoshiro128) {
    this.#generator = generator
  }

  /** Copies the members that have weight and rebuilds the table: O(n). */
  update(members: Members): void {
    const { count } = members
    const positions = new Int32Array(count)
    const slots = new Int32Array(count)
    const weights = new Float64Array(count)
    let size = 0
    for (let position = 0; position < count; position++) {
      const weight = members.weights[position]!
      if (!(weight > 0 && weight < Number.POSITIVE_INFINITY)) continue
      positions[size] = position
      slots[size] = members.slots[position]!
      weights[size] = weight
      size++
    }
    this.size = size
    this.positions = positions.subarray(0, size)
    this.slots = slots.subarray(0, size)
    this.weights = weights.subarray(0, size)
    this.#columns = new Uint32Array(0)
    this.#weigh()
  }

  /** Other weights for the same members, by index: all above 0 and finite. O(n); allocates nothing after the first time. */
  reweigh(weights: Float64Array): void {
    for (let index = 0; index < this.size; index++) this.weights[index] = weights[index]!
    this.#weigh()
  }

  /** The index of a member drawn by weight. Only while `size` > 0. */
  draw(): number {
    const index = this.#generator.below(this.size)
    if (this.isUniform) return index
    const columns = this.#columns
    return this.#generator.int32() >>> 0 < columns[2 * index]! ? index : columns[2 * index + 1]!
  }

  /** How many draws are worth making before a scan is cheaper: one costs about an eighth of a scan's share. */
  get patience(): number {
    return 16 + (this.size >>> 3)
  }

  /**
   * The index of a member drawn by weight among those that are accepted and are not `except` (-1: no exception); -1 when
   * there is none. Draws and rejects at first, then scans; either way the chances are in proportion to weight.
   */
  drawAccepted(accept: Accept, except: number): number {
    const { size, positions } = this
    if (size === 0) return -1
    for (let left = this.patience; left > 0; left--) {
      const index = this.draw()
      if (index !== except && accept(positions[index]!)) return index
    }
    return this.#scanAccepted(accept, except)
  }

  /** A reservoir of one: the i-th accepted weight replaces what is held with probability w_i / (w_1 + … + w_i). */
  #scanAccepted(accept: Accept, except: number): number {
    const { size, positions, weights } = this
    let chosen = -1
    let total = 0
    for (let index = 0; index < size; index++) {
      if (index === except || !accept(positions[index]!)) continue
      const weight = weights[index]!
      total += weight
      if (chosen < 0 || this.#generator.unit() * total < weight) chosen = index
    }
    return chosen
  }

  #weigh(): void {
    const { size, weights } = this
    this.isUniform = true
    for (let index = 1; index < size && this.isUniform; index++) this.isUniform = weights[index] === weights[0]
    if (!this.isUniform) this.#buildAliases()
  }

  #buildAliases(): void {
    const { size, weights } = this
    if (this.#columns.length === 0) {
      this.#columns = new Uint32Array(2 * size)
      this.#stacks = new Int32Array(size)
      this.#shares = new Float64Array(size)
    }
    const columns = this.#columns
    // A column that is full stands for itself either way.
    for (let cell = 0; cell < 2 * size; cell++) columns[cell] = cell >>> 1
    // Scaled by the largest first, so that the sum of huge weights cannot overflow.
    let largest = 0
    for (const weight of weights) largest = Math.max(largest, weight)
    let sum = 0
    for (const weight of weights) sum += weight / largest
    // One array, two stacks: columns below the mean from the left, the others from the right.
    const stacks = this.#stacks
    const shares = this.#shares
    let small = 0
    let large = size
    for (let index = 0; index < size; index++) {
      const share = (weights[index]! / largest / sum) * size
      shares[index] = share
      if (share < 1) stacks[small++] = index
      else stacks[--large] = index
    }
    while (small > 0 && large < size) {
      const poor = stacks[--small]!
      const rich = stacks[large]!
      columns[2 * poor] = Math.min(Math.round(shares[poor]! * TWO_32), TWO_32 - 1)
      columns[2 * poor + 1] = rich
      shares[rich] = shares[rich]! + shares[poor]! - 1
      if (shares[rich] < 1) {
        large++
        stacks[small++] = rich
      }
    }
    // What is left in either stack is full but for rounding.
  }
}

const TWO_32 = 0x1_0000_0000
