import { AskedMembers } from './asked-members.ts'
import type { AcceptMember, ConsistentMap, MapMembers } from './consistent-map.ts'
import { GOLDEN, mix32 } from './mix.ts'
import { checkWhole, createIndexArray, type IndexArray, RankedMembers } from './ranked-members.ts'

const DEFAULT_TABLE_SIZE = 65_537
/** Position × size must stay below 2^53 for the exact product in `#slotOf`, and building in milliseconds. */
const LARGEST_TABLE_SIZE = 2 ** 21
const TWO_32 = 0x1_0000_0000
/** Further entries that `find` looks at before it scores all members. */
const MOST_JUMPS = 64

export interface MaglevOptions {
  /**
   * Entries of the table, a prime; for shares within 1 % a hundred times the number of members. 2 to 2^21, default 65 537
   * (the paper's small size; its large one is 655 373).
   */
  readonly tableSize?: number
}

/**
 * Maglev hashing: a table of prime size that the members fill in turns, each by its own permutation, so that shares are
 * within one entry of the weights. A lookup is one multiplication and one read, whatever the size.
 *
 * A member that leaves moves its own keys and a few of the others' (under 1 % of all keys, measured with 3 to 1 000
 * members): the price of the even table. A member that is refused moves only its own: `find` then looks at other entries
 * of the table, chosen by hashing the key again, so its keys spread over the others by weight; after 64 of them it takes
 * the best by weighted rendezvous, O(n). It asks no member twice.
 *
 * Weights set how often a member has a turn, rounded, so one with less than half an entry to its share has none and is
 * only found when others are refused. Memory: 2 bytes an entry (4 above 65 536 members), 21 bytes a member. Building: one
 * pass over the entries with about ln M tries each.
 * Source: Eisenbud et al., "Maglev", NSDI 2016, section 3.4.
 */
export class MaglevMap implements ConsistentMap {
  readonly #members: RankedMembers
  readonly #tableSize: number
  /** table: length M, value = index of the member. */
  readonly #table: IndexArray
  readonly #asked: AskedMembers

  /**
   * Throws a RangeError when the table size is no prime in its range, when there are more members with weight than
   * entries, or when two of them have one id.
   */
  constructor(members: MapMembers, options: MaglevOptions = {}) {
    const tableSize = options.tableSize ?? DEFAULT_TABLE_SIZE
    checkWhole('tableSize', tableSize, 2, LARGEST_TABLE_SIZE)
    if (!isPrime(tableSize)) throw new RangeError(`tableSize must be a prime, not ${tableSize}`)
    const ranked = new RankedMembers(members)
    if (ranked.size > tableSize) {
      throw new RangeError(`a Maglev table of ${tableSize} entries is too small for ${ranked.size} members`)
    }
    this.#members = ranked
    this.#tableSize = tableSize
    this.#asked = new AskedMembers(members.ids.length)
    const offsets = Int32Array.from(ranked.first, (seed) => mix32(seed) % tableSize)
    const skips = Int32Array.from(ranked.second, (seed) => 1 + (mix32(seed) % (tableSize - 1)))
    const byRank = fillMaglevTable(offsets, skips, ranked.weights, tableSize)
    this.#table = createIndexArray(byRank.length, members.ids.length)
    for (let entry = 0; entry < byRank.length; entry++) this.#table[entry] = ranked.indexes[byRank[entry]!]!
  }

  get size(): number {
    return this.#members.size
  }

  get bytes(): number {
    return this.#table.byteLength + this.#members.bytes + this.#asked.bytes
  }

  owner(key: number): number {
    return this.#members.size === 0 ? -1 : this.#table[this.#slotOf(key)]!
  }

  find(key: number, accept: AcceptMember): number {
    const owner = this.owner(key)
    if (owner < 0 || accept(owner)) return owner
    return this.#findOther(owner, key, accept)
  }

  /** The whole part of M × mixed / 2^32: even without a division. */
  #slotOf(key: number): number {
    return Math.floor((mix32(key) * this.#tableSize) / TWO_32)
  }

  #findOther(owner: number, key: number, accept: AcceptMember): number {
    const asked = this.#asked
    asked.begin()
    asked.add(owner)
    let left = this.#members.size - 1
    // Mixed first, so that the way of a key has nothing to do with the way of the next.
    let next = mix32(key ^ GOLDEN)
    for (let jumps = MOST_JUMPS; jumps > 0 && left > 0; jumps--) {
      next = (next + GOLDEN) | 0
      const candidate = this.#table[this.#slotOf(next)]!
      if (asked.has(candidate)) continue
      if (accept(candidate)) return candidate
      asked.add(candidate)
      left--
    }
    return left === 0 ? -1 : this.#members.best(key, accept, asked)
  }
}

/**
 * Fills a Maglev table: entry = rank of its member, by the permutations (offset + j × skip) mod `size`. Member i has turns
 * in proportion to its weight, turn t (from 0) in round ⌈(t + ½) × largest weight / w_i⌉, so that its number of entries is
 * its share rounded and equal weights take turns as in the paper; within a round, members keep their order.
 *
 * Empty without members. `offsets` are in [0, size), `skips` in [1, size), weights above 0; `size` is prime.
 */
export function fillMaglevTable(
  offsets: ArrayLike<number>,
  skips: ArrayLike<number>,
  weights: ArrayLike<number>,
  size: number,
): IndexArray {
  const count = offsets.length
  if (count === 0) return new Uint16Array(0)
  const table = createIndexArray(size, count)
  const permutation = Int32Array.from(offsets)
  // One bit an entry: an eighth of a kilobyte per thousand stays in the nearest cache during the many tries.
  const taken = new Int32Array((size + 31) >>> 5)
  const rounds = new Turns(weights, size)
  let rank = rounds.next()
  for (let filled = 0; filled < size; filled++) {
    const skip = skips[rank]!
    let entry = permutation[rank]!
    while ((taken[entry >>> 5]! & (1 << (entry & 31))) !== 0) {
      entry += skip
      if (entry >= size) entry -= size
    }
    taken[entry >>> 5] = taken[entry >>> 5]! | (1 << (entry & 31))
    table[entry] = rank
    entry += skip
    permutation[rank] = entry >= size ? entry - size : entry
    rank = rounds.next()
  }
  return table
}

/**
 * Who is next: a calendar with a list of members for each round, so that a turn costs the same however weights differ. The
 * heaviest has a turn in every round, so there are at most as many rounds as entries.
 */
class Turns {
  /** By member: largest weight / own weight, from 1. */
  readonly #periods: Float64Array
  readonly #rounds: number
  /** By round: first and last member of its list; -1: none. By member: the next in the same list, and turns had. */
  readonly #heads: Int32Array
  readonly #tails: Int32Array
  readonly #followers: Int32Array
  readonly #turns: Int32Array
  #round = 0

  constructor(weights: ArrayLike<number>, entries: number) {
    let largest = 0
    for (let rank = 0; rank < weights.length; rank++) largest = Math.max(largest, weights[rank]!)
    this.#periods = Float64Array.from(weights, (weight) => largest / weight)
    this.#rounds = entries + 1
    this.#heads = new Int32Array(this.#rounds + 1).fill(-1)
    this.#tails = new Int32Array(this.#rounds + 1).fill(-1)
    this.#followers = new Int32Array(weights.length)
    this.#turns = new Int32Array(weights.length)
    for (let rank = 0; rank < weights.length; rank++) this.#enter(rank)
  }

  next(): number {
    let rank = this.#heads[this.#round]!
    while (rank < 0) rank = this.#heads[++this.#round]!
    this.#heads[this.#round] = this.#followers[rank]!
    this.#enter(rank)
    return rank
  }

  #enter(rank: number): void {
    const turn = this.#turns[rank]!
    this.#turns[rank] = turn + 1
    const round = Math.ceil((turn + 0.5) * this.#periods[rank]!)
    if (round > this.#rounds) return
    this.#followers[rank] = -1
    if (this.#heads[round]! < 0) this.#heads[round] = rank
    else this.#followers[this.#tails[round]!] = rank
    this.#tails[round] = rank
  }
}

function isPrime(value: number): boolean {
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false
  return value > 1
}
