import { AskedMembers } from './asked-members.ts'
import type { AcceptMember, ConsistentMap, MapMembers } from './consistent-map.ts'
import { GOLDEN, mix32 } from './mix.ts'
import { RankedMembers } from './ranked-members.ts'

/** 2862933555777941757, the multiplier of the paper's generator, in halves. */
const MULTIPLIER_HIGH = 0x27bb_2ee6
const MULTIPLIER_LOW = 0x87b0_b0fd
const TWO_31 = 0x8000_0000
const TWO_32 = 0x1_0000_0000
/** Buckets tried before all members are scored. */
const MOST_TRIES = 64
/** Keeps the draw for rejection apart from the upper half of the key. */
const DRAW_SALT = 0x6c62_272e

/**
 * Jump consistent hash: the bucket in [0, buckets) of the 64-bit key `high` × 2^32 + `low`, exactly as in the paper, without
 * BigInt. With one bucket more or less at the end, 1/n of the keys move. Needs 1 ≤ buckets < 2^31; O(ln buckets).
 * Source: Lamping and Veach 2014, https://arxiv.org/abs/1406.2294
 */
export function jumpHash(high: number, low: number, buckets: number): number {
  let h = high | 0
  let l = low | 0
  let bucket = 0
  for (;;) {
    // key ← key × multiplier + 1 modulo 2^64, in 32-bit halves.
    h = (Math.imul(h, MULTIPLIER_LOW) + Math.imul(l, MULTIPLIER_HIGH) + highProduct(l, MULTIPLIER_LOW)) | 0
    l = (Math.imul(l, MULTIPLIER_LOW) + 1) | 0
    if (l === 0) h = (h + 1) | 0
    // key >> 33 is the upper half without its last bit.
    const jump = (bucket + 1) * (TWO_31 / ((h >>> 1) + 1))
    if (jump >= buckets) return bucket
    bucket = Math.floor(jump) | 0
  }
}

/** The upper 32 bits of the product of two uint32, in 16-bit parts, as an Int32. */
function highProduct(a: number, b: number): number {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const bLow = b & 0xffff
  const bHigh = b >>> 16
  const low = Math.imul(aLow, bLow) >>> 16
  // Each product is at most (2^16 - 1)^2, so that 16 bits more still fit in 32.
  const middle = (Math.imul(aHigh, bLow) >>> 0) + low
  const other = (Math.imul(aLow, bHigh) >>> 0) + (middle & 0xffff)
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (other >>> 16)) | 0
}

/**
 * Jump consistent hash over members in order of id: no table at all, shares even to a fraction of a percent.
 *
 * Buckets have no names, so it is for members that come and go at the end of the order of ids (`shard-001`, `shard-002`, …):
 * when the last one leaves only its keys move; when another does, all members after it move up by one and most keys of
 * theirs move. A member that is merely refused moves only its own keys, which spread over the others by weight: `find`
 * hashes the key again, up to 64 times, then takes the best by weighted rendezvous, O(n). It asks no member twice.
 *
 * Weights by rejection: bucket b keeps a key with the chance w_b / largest w, drawn from the key, and otherwise the key is
 * hashed again. Lookups take largest/mean times as long; beyond 64 tries rendezvous decides, which keeps the shares
 * exact. A change of the largest weight moves keys everywhere. Memory: 29 bytes a member.
 */
export class JumpMap implements ConsistentMap {
  readonly #members: RankedMembers
  /** By rank: the chance to keep a key, times 2^32. */
  readonly #chances: Float64Array
  readonly #asked: AskedMembers

  /** O(n log n). Throws a RangeError when two members with weight have one id. */
  constructor(members: MapMembers) {
    const ranked = new RankedMembers(members)
    this.#members = ranked
    this.#chances = ranked.weights.map((weight) => (weight / ranked.largestWeight) * TWO_32)
    this.#asked = new AskedMembers(members.ids.length)
  }

  get size(): number {
    return this.#members.size
  }

  get bytes(): number {
    return this.#members.bytes + this.#chances.byteLength + this.#asked.bytes
  }

  owner(key: number): number {
    if (this.#members.size === 0) return -1
    for (let attempt = 0; attempt < MOST_TRIES; attempt++) {
      const index = this.#try(key, attempt)
      if (index >= 0) return index
    }
    return this.#members.best(key, undefined, undefined)
  }

  find(key: number, accept: AcceptMember): number {
    const members = this.#members
    const asked = this.#asked
    asked.begin()
    let left = members.size
    for (let attempt = 0; attempt < MOST_TRIES && left > 0; attempt++) {
      const index = this.#try(key, attempt)
      if (index < 0 || asked.has(index)) continue
      if (accept(index)) return index
      asked.add(index)
      left--
    }
    return left === 0 ? -1 : members.best(key, accept, asked)
  }

  /** The member that the key falls on at this attempt; -1: the draw went against it. */
  #try(key: number, attempt: number): number {
    const members = this.#members
    // Bijections of the key at each attempt: two keys never become one. Int32, as half of all uint32 would be boxed.
    const low = mix32(mix32(key + GOLDEN) + Math.imul(attempt, GOLDEN)) | 0
    const high = mix32(low ^ GOLDEN) | 0
    const rank = jumpHash(high, low, members.size)
    if (!members.isUniform && mix32(high ^ DRAW_SALT) >= this.#chances[rank]!) return -1
    return members.indexes[rank]!
  }
}
