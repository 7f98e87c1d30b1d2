import type { AskedMembers } from './asked-members.ts'
import type { AcceptMember, MapMembers } from './consistent-map.ts'
import type { HashFunction } from './hash-function.ts'
import { GOLDEN, mix32 } from './mix.ts'
import { murmur3, murmur3OfString } from './murmur3.ts'

/** Any number but 0, which the default hash has as its seed: the two hashes of an id must not agree. */
const SECOND_SEED = 0x5bd1_e995
const TWO_32 = 0x1_0000_0000

/** Members above this index need four bytes instead of two in a table. */
const LARGEST_UINT16 = 0xffff

/** Indexes of members in a table. */
export type IndexArray = Uint16Array | Uint32Array

/** A table for indexes below `count`, in as few bytes as hold them. */
export function createIndexArray(length: number, count: number): IndexArray {
  return count - 1 > LARGEST_UINT16 ? new Uint32Array(length) : new Uint16Array(length)
}

/** True for weights that take part. */
export function hasWeight(weight: number | undefined): weight is number {
  return weight !== undefined && weight > 0 && weight < Number.POSITIVE_INFINITY
}

/**
 * Two independent 32-bit hashes of an id: together its identity. One alone is shared by two of 10 000 members with a
 * chance of 1 %, and then one of them would never get a key.
 */
export function firstSeed(id: string, hash: HashFunction = murmur3): number {
  return hash.ofString(id)
}

/** The other half of an id's identity. */
export function secondSeed(id: string): number {
  return murmur3OfString(id, SECOND_SEED)
}

/**
 * The members with weight, in order of id, with the two hashes of each: what every map is built from. Also the order in
 * which members take over from each other that needs no table (`best`).
 */
export class RankedMembers {
  readonly size: number
  /** By rank: the position in `MapMembers`. */
  readonly indexes: Int32Array
  /** By rank. */
  readonly first: Int32Array
  readonly second: Int32Array
  readonly weights: Float64Array
  /** All have the same weight. */
  readonly isUniform: boolean
  readonly largestWeight: number

  /** O(n log n). Throws a RangeError when the arrays differ in length or two members with weight have one id. */
  constructor(members: MapMembers) {
    const { ids, weights } = members
    const ranks = rankById(members)
    this.size = ranks.length
    this.indexes = Int32Array.from(ranks)
    this.first = Int32Array.from(ranks, (index) => firstSeed(ids[index]!))
    this.second = Int32Array.from(ranks, (index) => secondSeed(ids[index]!))
    this.weights = Float64Array.from(ranks, (index) => weights[index]!)
    let largest = 0
    for (const weight of this.weights) largest = Math.max(largest, weight)
    this.largestWeight = largest
    this.isUniform = this.weights.every((weight) => weight === largest)
  }

  get bytes(): number {
    return this.indexes.byteLength + this.first.byteLength + this.second.byteLength + this.weights.byteLength
  }

  /**
   * The index of the member with the best score for this key among those that `asked` does not hold and `accept` accepts;
   * -1 when there is none. Asks only members that beat the best so far: about ln n of them when all are accepted, at most
   * all of them.
   *
   * Weighted rendezvous: the score is -w / ln u, with u in (0, 1) from one mix of key and member, so that the chance to
   * win is in proportion to w, and a member's score does not depend on who else is there. Compared is its negative
   * inverse, -ln u / w, where less is better. O(n), one mix per member. Equal weights need no logarithm; others only for
   * the few members that pass the bound 1 - u ≤ -ln u.
   * Source: Thaler and Ravishankar 1998; weights as in Schindelhauer and Schomaker 2005.
   */
  best(key: number, accept: AcceptMember | undefined, asked: AskedMembers | undefined): number {
    // The first of the two mixes: once for all members. As an Int32, as half of all uint32 would be boxed on the way.
    const mixed = mix32(key + GOLDEN) | 0
    return this.isUniform ? this.#bestOfEqual(mixed, accept, asked) : this.#bestByWeight(mixed, accept, asked)
  }

  #bestOfEqual(mixed: number, accept: AcceptMember | undefined, asked: AskedMembers | undefined): number {
    const { size, indexes, first, second } = this
    let chosen = -1
    let best = -1
    for (let rank = 0; rank < size; rank++) {
      const score = mix32((mixed ^ first[rank]!) + second[rank]!)
      if (score <= best) continue
      const index = indexes[rank]!
      if (asked?.has(index) === true || accept?.(index) === false) continue
      best = score
      chosen = index
    }
    return chosen
  }

  #bestByWeight(mixed: number, accept: AcceptMember | undefined, asked: AskedMembers | undefined): number {
    const { size, indexes, first, second, weights } = this
    let chosen = -1
    let best = Number.POSITIVE_INFINITY
    for (let rank = 0; rank < size; rank++) {
      const u = (mix32((mixed ^ first[rank]!) + second[rank]!) + 0.5) / TWO_32
      const weight = weights[rank]!
      if (1 - u >= best * weight) continue
      const cost = -Math.log(u) / weight
      // The cost of a vanishing weight may be Infinity too: better than nobody.
      if (cost >= best && chosen >= 0) continue
      const index = indexes[rank]!
      if (asked?.has(index) === true || accept?.(index) === false) continue
      best = cost
      chosen = index
    }
    return chosen
  }
}

/** Indexes of the members with weight, in order of id. Throws as `RankedMembers` does. */
export function rankById(members: MapMembers): number[] {
  const { ids, weights } = members
  if (ids.length !== weights.length) {
    throw new RangeError(`there are ${ids.length} ids but ${weights.length} weights`)
  }
  const ranks: number[] = []
  for (let index = 0; index < ids.length; index++) if (hasWeight(weights[index])) ranks.push(index)
  ranks.sort((a, b) => (ids[a]! < ids[b]! ? -1 : ids[a]! > ids[b]! ? 1 : 0))
  for (let rank = 1; rank < ranks.length; rank++) {
    const id = ids[ranks[rank]!]!
    if (id === ids[ranks[rank - 1]!]) throw new RangeError(`two members have the id ${JSON.stringify(id)}`)
  }
  return ranks
}

/** Throws a RangeError unless `value` is a whole number in [least, most]. */
export function checkWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw new RangeError(`${name} must be a whole number from ${least} to ${most}, not ${value}`)
}
