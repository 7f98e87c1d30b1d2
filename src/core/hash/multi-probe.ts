import { AskedMembers } from './asked-members.ts'
import type { AcceptMember, ConsistentMap, MapMembers } from './consistent-map.ts'
import { GOLDEN, mix32 } from './mix.ts'
import { checkWhole, createIndexArray, RankedMembers } from './ranked-members.ts'
import { SortedPoints } from './sorted-points.ts'

const TWO_32 = 0x1_0000_0000
const DEFAULT_PROBES = 21
const MOST_PROBES = 1_000
/** Points that a lookup walks before it compares the members directly, besides two per member. */
const SPARE_STEPS = 64
/** Times 2^32 still a number. */
const MOST_STRETCHED = 1e290

export interface MultiProbeOptions {
  /** Positions tried per key: k gives a worst share of about 1 + 1/k times the mean. 1 to 1 000, default 21 (5 %). */
  readonly probes?: number
}

/**
 * Multi-probe consistent hashing: one point per member on a ring of 2^32 positions; a key looks from k positions and
 * belongs to the member that is nearest clockwise from any of them. In 25 bytes or so a member, at k times the lookup, it
 * bounds the largest share as well as a ring with a thousand points for each does. It does not bound the least: members
 * that stand close behind another get less than theirs (standard deviation about 15 % with 21 probes).
 *
 * Weights divide the distance: the least of distance / weight wins, over all members and not only the nearest point of a
 * probe, so shares are in proportion to any weights, and a change of one weight moves keys only to or from its member.
 * Only the keys of who leaves or is refused move, and they go where they would go without it.
 *
 * A lookup walks on from each probe while a point could still win: one step for equal weights, about largest/mean steps
 * for others. Where few accept, it stops after 2n + 64 steps and compares the members that accept one by one, in
 * O(n + k × accepting); it asks no refused member twice.
 * Source: Appleton and O'Reilly 2015, https://arxiv.org/abs/1505.00062; weights are ours.
 */
export class MultiProbeMap implements ConsistentMap {
  readonly size: number
  readonly #points: SortedPoints
  /** By point: 1 / weight, scaled so that the least is 1. */
  readonly #stretches: Float64Array
  /** Where the key looks from; filled and read within one lookup. */
  readonly #probes: Uint32Array
  readonly #refused: AskedMembers

  /** O(n log n). Throws a RangeError for `probes` out of range or when two members with weight have one id. */
  constructor(members: MapMembers, options: MultiProbeOptions = {}) {
    const probes = options.probes ?? DEFAULT_PROBES
    checkWhole('probes', probes, 1, MOST_PROBES)
    const ranked = new RankedMembers(members)
    const positions = Uint32Array.from(ranked.first, (seed, rank) => mix32(mix32(seed) ^ ranked.second[rank]!))
    const owners = createIndexArray(ranked.size, members.ids.length)
    owners.set(ranked.indexes)
    this.size = ranked.size
    this.#points = SortedPoints.sorting(positions, owners, members.ids.length)
    this.#stretches = Float64Array.from(this.#points.owners, (index) => {
      return Math.min(MOST_STRETCHED, ranked.largestWeight / members.weights[index]!)
    })
    this.#probes = new Uint32Array(probes)
    this.#refused = new AskedMembers(members.ids.length)
  }

  get bytes(): number {
    return this.#points.bytes + this.#stretches.byteLength + this.#probes.byteLength + this.#refused.bytes
  }

  owner(key: number): number {
    return this.#search(key, undefined)
  }

  find(key: number, accept: AcceptMember): number {
    this.#refused.begin()
    return this.#search(key, accept)
  }

  #search(key: number, accept: AcceptMember | undefined): number {
    const points = this.#points
    const { positions, owners, count } = points
    if (count === 0) return -1
    const stretches = this.#stretches
    const refused = this.#refused
    const probes = this.#probes
    // Mixed before the steps too, so that keys next to each other do not look from the same places.
    let next = mix32(key + GOLDEN)
    let best = Number.POSITIVE_INFINITY
    let chosen = -1
    let steps = 2 * count + SPARE_STEPS
    for (let probe = 0; probe < probes.length; probe++) {
      next = (next + GOLDEN) | 0
      const position = mix32(next)
      probes[probe] = position
      let at = points.locate(position)
      for (let round = count; round > 0; round--) {
        const distance = (positions[at]! - position) >>> 0
        // No stretch is below 1: from here on nothing is nearer.
        if (distance >= best) break
        if (steps-- === 0) return this.#compareAll(accept, next, probe + 1)
        const stretched = distance * stretches[at]!
        if (stretched < best) {
          const index = owners[at]!
          if (accept === undefined || (!refused.has(index) && accept(index))) {
            best = stretched
            chosen = index
          } else {
            refused.add(index)
          }
        }
        if (++at === count) at = 0
      }
    }
    return chosen
  }

  /** The same answer without the walk: `known` probes are set, `next` made the last of them. */
  #compareAll(accept: AcceptMember | undefined, next: number, known: number): number {
    const { positions, owners, count } = this.#points
    const refused = this.#refused
    const probes = this.#probes
    for (let probe = known, step = next; probe < probes.length; probe++) {
      step = (step + GOLDEN) | 0
      probes[probe] = mix32(step)
    }
    let best = Number.POSITIVE_INFINITY
    let chosen = -1
    for (let at = 0; at < count; at++) {
      const index = owners[at]!
      if (accept !== undefined && (refused.has(index) || !accept(index))) continue
      const position = positions[at]!
      let least = TWO_32
      for (let probe = 0; probe < probes.length; probe++) {
        least = Math.min(least, (position - probes[probe]!) >>> 0)
      }
      const stretched = least * this.#stretches[at]!
      if (stretched >= best) continue
      best = stretched
      chosen = index
    }
    return chosen
  }
}
