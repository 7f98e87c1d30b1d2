import type { AcceptMember, ConsistentMap, MapMembers } from './consistent-map.ts'
import { RankedMembers } from './ranked-members.ts'

/**
 * Weighted rendezvous hashing (highest random weight): every member has a score for every key, the highest owns it.
 * Shares match weights exactly but for chance, only the keys of who leaves or is refused move, and a refused member's
 * keys spread over the others by weight. The price is O(n) per lookup: for some hundreds of members at most.
 *
 * `find` is one pass too and asks each member at most once. Logarithms of engines may differ in the last bit, which
 * matters only where two scores are equal to 15 digits.
 * Source: Thaler and Ravishankar 1998; the weighted score -w / ln u: Schindelhauer and Schomaker 2005.
 */
export class RendezvousMap implements ConsistentMap {
  readonly #members: RankedMembers

  /** O(n log n). Throws a RangeError when two members with weight have one id. */
  constructor(members: MapMembers) {
    this.#members = new RankedMembers(members)
  }

  get size(): number {
    return this.#members.size
  }

  get bytes(): number {
    return this.#members.bytes
  }

  owner(key: number): number {
    return this.#members.best(key, undefined, undefined)
  }

  find(key: number, accept: AcceptMember): number {
    return this.#members.best(key, accept, undefined)
  }
}
