import { createIndexArray, type IndexArray } from './ranked-members.ts'

/** The most and the fewest top bits of the index. With no bit at all the shift would be 32, which means 0. */
const MOST_BITS = 20
const FEWEST_BITS = 1

/**
 * Points on the circle of 2^32 positions in ascending order, each with the member that owns it, and an index by the top
 * bits of the position, so that finding the next point clockwise is a look at the index and a step or two, not a binary
 * search of 17. Positions are close to evenly spread because they are hashes; the index relies on that for speed only.
 */
export class SortedPoints {
  readonly count: number
  /** Ascending; equal ones in the order of their owners' ids. */
  readonly positions: Uint32Array
  /** By point: index of the member. */
  readonly owners: IndexArray
  /** By the top bits of a position: the first point in that stretch of the circle; one entry more for the end. */
  readonly #starts: Uint32Array
  readonly #shift: number

  /** Of points in order. O(n). */
  constructor(positions: Uint32Array, owners: IndexArray) {
    this.count = positions.length
    this.positions = positions
    this.owners = owners
    this.#shift = shiftFor(positions.length)
    this.#starts = countStretches(positions, this.#shift)
  }

  /**
   * Of points in any order; points at one position keep the order they have here. O(n): a scatter into the stretches of
   * the index, each of which has few points, then an insertion sort that never moves a point out of its stretch.
   */
  static sorting(positions: Uint32Array, owners: IndexArray, memberCount: number): SortedPoints {
    const count = positions.length
    const shift = shiftFor(count)
    const starts = countStretches(positions, shift)
    const sorted = new Uint32Array(count)
    const sortedOwners = createIndexArray(count, memberCount)
    for (let from = 0; from < count; from++) {
      const position = positions[from]!
      const to = starts[position >>> shift]!++
      sorted[to] = position
      sortedOwners[to] = owners[from]!
    }
    for (let from = 1; from < count; from++) {
      const position = sorted[from]!
      let to = from
      if (sorted[to - 1]! <= position) continue
      const owner = sortedOwners[from]!
      for (; to > 0 && sorted[to - 1]! > position; to--) {
        sorted[to] = sorted[to - 1]!
        sortedOwners[to] = sortedOwners[to - 1]!
      }
      sorted[to] = position
      sortedOwners[to] = owner
    }
    return new SortedPoints(sorted, sortedOwners)
  }

  get bytes(): number {
    return this.positions.byteLength + this.owners.byteLength + this.#starts.byteLength
  }

  /** The first point at or clockwise of `position` (a uint32). Only while there is a point. */
  locate(position: number): number {
    const stretch = position >>> this.#shift
    const { positions } = this
    const end = this.#starts[stretch + 1]!
    let at = this.#starts[stretch]!
    while (at < end && positions[at]! < position) at++
    return at === this.count ? 0 : at
  }
}

/** Four to eight points for each entry of the index: at most one byte of index per point. */
function shiftFor(count: number): number {
  const bits = 29 - Math.clz32(count)
  return 32 - Math.min(MOST_BITS, Math.max(FEWEST_BITS, bits))
}

function countStretches(positions: Uint32Array, shift: number): Uint32Array {
  const starts = new Uint32Array(2 ** (32 - shift) + 1)
  for (const position of positions) {
    const next = (position >>> shift) + 1
    starts[next] = starts[next]! + 1
  }
  for (let stretch = 1; stretch < starts.length; stretch++) starts[stretch] = starts[stretch]! + starts[stretch - 1]!
  return starts
}
