import { AskedMembers } from './asked-members.ts'
import type { AcceptMember, ConsistentMap, MapMembers } from './consistent-map.ts'
import type { HashFunction } from './hash-function.ts'
import { GOLDEN, mix32 } from './mix.ts'
import { murmur3 } from './murmur3.ts'
import { checkWhole, createIndexArray, firstSeed, hasWeight, rankById, secondSeed } from './ranked-members.ts'
import { SortedPoints } from './sorted-points.ts'

const DEFAULT_VIRTUAL_NODES = 150
const MOST_VIRTUAL_NODES = 100_000
const DEFAULT_MOST_POINTS = 2 ** 21
/** What one member can ask for; far more than it can get. */
const MOST_WANTED = 2 ** 30
/** By then every member is down to one point. */
const MOST_HALVINGS = 30
/** Points that `find` walks before it asks the members directly, besides two per member. */
const SPARE_STEPS = 64

export interface HashRingOptions {
  /** Points of a member of weight 1; those of another are in proportion, rounded, at least one. 1 to 100 000, default 150. */
  readonly virtualNodes?: number
  /** Of ids, not of keys. Default murmur3. */
  readonly hash?: HashFunction
  /**
   * Bound on all points, at about 7 bytes each. Where weights ask for more, all counts are halved until they fit (a
   * member keeps at least one), which moves keys at the moment it happens. 1 to 2^26, default 2^21 (14 MB).
   */
  readonly mostPoints?: number
}

/**
 * Consistent hashing on a ring of 2^32 positions with virtual nodes: a key belongs to the first point at or clockwise of
 * its own position. Only the keys of who leaves or is refused move, and they go where they would go without it.
 *
 * Point j of a member is two mixes of the two hashes of its id and of j: no string is built or hashed per point, and the
 * points are as good as independent. A member's first k points do not depend on how many it has, so a change of its
 * weight moves keys only to it or from it.
 *
 * Memory: 6 bytes a point (8 above 65 536 members), up to one byte of index, 13 bytes a member. Lookup: one read of the
 * index and a few points. `find` walks at most 2n + 64 points, then asks the members that it did not meet and compares
 * the points of those that accept; it asks no member twice. Its order is clockwise throughout.
 * Source: Karger et al. 1997 (https://doi.org/10.1145/258533.258660); virtual nodes as in libketama.
 */
export class HashRing implements ConsistentMap {
  readonly #hash: HashFunction
  readonly #virtualNodes: number
  readonly #mostPoints: number
  // By index, an entry for every member, those without weight too.
  readonly #ids: string[]
  #first: Int32Array
  #second: Int32Array
  /** Points that the weight asks for; 0 without weight. */
  #wanted: Int32Array
  #asked = new AskedMembers(0)
  #size = 0
  #halvings = 0
  #points = new SortedPoints(new Uint32Array(0), new Uint16Array(0))

  /** O(points + n log n). Throws a RangeError for an option out of its range, or when two members have one id. */
  constructor(members: MapMembers, options: HashRingOptions = {}) {
    this.#hash = options.hash ?? murmur3
    this.#virtualNodes = options.virtualNodes ?? DEFAULT_VIRTUAL_NODES
    this.#mostPoints = options.mostPoints ?? DEFAULT_MOST_POINTS
    checkWhole('virtualNodes', this.#virtualNodes, 1, MOST_VIRTUAL_NODES)
    checkWhole('mostPoints', this.#mostPoints, 1, 2 ** 26)
    if (members.ids.length !== members.weights.length) {
      throw new RangeError(`there are ${members.ids.length} ids but ${members.weights.length} weights`)
    }
    this.#ids = [...members.ids]
    this.#first = Int32Array.from(this.#ids, (id) => firstSeed(id, this.#hash))
    this.#second = Int32Array.from(this.#ids, secondSeed)
    this.#wanted = Int32Array.from(this.#ids, (_, index) => this.#pointsFor(members.weights[index]))
    this.#build()
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#points.bytes + 3 * this.#first.byteLength + this.#asked.bytes
  }

  /** Names of the members by index. */
  get ids(): readonly string[] {
    return this.#ids
  }

  /** Points of all members. */
  get pointCount(): number {
    return this.#points.count
  }

  owner(key: number): number {
    const points = this.#points
    return points.count === 0 ? -1 : points.owners[points.locate(mix32(key))]!
  }

  find(key: number, accept: AcceptMember): number {
    const owner = this.owner(key)
    if (owner < 0 || accept(owner)) return owner
    return this.#findAfter(owner, mix32(key), accept)
  }

  /**
   * Adds a member, or gives one that is there another weight; returns its index: a new one comes last. Without weight it
   * has an index but no points. The ring is then what it would be if it were built anew. O(points).
   */
  add(id: string, weight: number): number {
    const known = this.#ids.indexOf(id)
    const index = known < 0 ? this.#ids.push(id) - 1 : known
    const wanted = this.#pointsFor(weight)
    if (known < 0) {
      this.#first = appended(this.#first, firstSeed(id, this.#hash))
      this.#second = appended(this.#second, secondSeed(id))
      this.#wanted = appended(this.#wanted, wanted)
    } else {
      this.#wanted[index] = wanted
    }
    this.#replace(index, index)
    return index
  }

  /**
   * Removes a member; the indexes of those after it go down by one, as in an array. False when there is no such member.
   * O(points).
   */
  remove(id: string): boolean {
    const index = this.#ids.indexOf(id)
    if (index < 0) return false
    this.#ids.splice(index, 1)
    this.#first = without(this.#first, index)
    this.#second = without(this.#second, index)
    this.#wanted = without(this.#wanted, index)
    this.#replace(index, -1)
    return true
  }

  #pointsFor(weight: number | undefined): number {
    if (!hasWeight(weight)) return 0
    return Math.min(MOST_WANTED, Math.max(1, Math.round(this.#virtualNodes * weight)))
  }

  #countOf(index: number): number {
    const wanted = this.#wanted[index]!
    return wanted === 0 ? 0 : Math.max(1, wanted >>> this.#halvings)
  }

  /** Sets size, halvings and marks after a change of members; returns the number of points. */
  #measure(): number {
    this.#asked = new AskedMembers(this.#ids.length)
    this.#size = 0
    for (const wanted of this.#wanted) if (wanted > 0) this.#size++
    for (this.#halvings = 0; ; this.#halvings++) {
      let total = 0
      for (let index = 0; index < this.#ids.length; index++) total += this.#countOf(index)
      if (total <= this.#mostPoints || this.#halvings === MOST_HALVINGS) return total
    }
  }

  #build(): void {
    const ids = this.#ids
    const total = this.#measure()
    const positions = new Uint32Array(total)
    const owners = createIndexArray(total, ids.length)
    let at = 0
    // In order of id, which settles who comes first where two points meet.
    for (const index of rankById({ ids, weights: new Uint8Array(ids.length).fill(1) })) {
      for (let j = this.#countOf(index); j > 0; j--) {
        positions[at] = this.#pointAt(index, j - 1)
        owners[at++] = index
      }
    }
    this.#points = SortedPoints.sorting(positions, owners, ids.length)
  }

  /**
   * Merges the points of member `added` into those that stay; -1: nobody was added. The points of index `dropped` go. Where
   * that member is gone, the indexes after it have moved down.
   */
  #replace(dropped: number, added: number): void {
    const halvings = this.#halvings
    const total = this.#measure()
    if (this.#halvings !== halvings) {
      this.#build()
      return
    }
    const ids = this.#ids
    const { positions: oldPositions, owners: oldOwners, count } = this.#points
    const fresh = new Uint32Array(added < 0 ? 0 : this.#countOf(added))
    for (let j = 0; j < fresh.length; j++) fresh[j] = this.#pointAt(added, j)
    fresh.sort()
    const positions = new Uint32Array(total)
    const owners = createIndexArray(total, ids.length)
    let taken = 0
    let to = 0
    for (let from = 0; from < count; from++) {
      const old = oldOwners[from]!
      if (old === dropped) continue
      const owner = added < 0 && old > dropped ? old - 1 : old
      const position = oldPositions[from]!
      while (taken < fresh.length) {
        const next = fresh[taken]!
        if (next > position || (next === position && ids[owner]! < ids[added]!)) break
        positions[to] = next
        owners[to++] = added
        taken++
      }
      positions[to] = position
      owners[to++] = owner
    }
    for (; taken < fresh.length; taken++) {
      positions[to] = fresh[taken]!
      owners[to++] = added
    }
    this.#points = new SortedPoints(positions, owners)
  }

  #pointAt(index: number, j: number): number {
    return mix32(mix32(this.#first[index]! + Math.imul(j, GOLDEN)) ^ this.#second[index]!)
  }

  /** Walks on clockwise from a refused owner. */
  #findAfter(owner: number, position: number, accept: AcceptMember): number {
    const points = this.#points
    const asked = this.#asked
    const { owners, count } = points
    asked.begin()
    asked.add(owner)
    let left = this.#size - 1
    let at = points.locate(position)
    for (let steps = 2 * this.#size + SPARE_STEPS; steps > 0 && left > 0; steps--) {
      if (++at === count) at = 0
      const next = owners[at]!
      if (asked.has(next)) continue
      if (accept(next)) return next
      asked.add(next)
      left--
    }
    return left === 0 ? -1 : this.#findNearest(position, accept)
  }

  /**
   * The same order without the walk, for when few accept: the nearest point clockwise among those of the members that
   * were not met yet and accept. With a accepting members of equal weight the walk comes to this with a chance of e^-2a.
   */
  #findNearest(position: number, accept: AcceptMember): number {
    const ids = this.#ids
    let chosen = -1
    let least = 0
    for (let index = 0; index < ids.length; index++) {
      const count = this.#countOf(index)
      if (count === 0 || this.#asked.has(index) || !accept(index)) continue
      for (let j = 0; j < count; j++) {
        const distance = (this.#pointAt(index, j) - position) >>> 0
        if (chosen >= 0 && (distance > least || (distance === least && ids[index]! >= ids[chosen]!))) continue
        chosen = index
        least = distance
      }
    }
    return chosen
  }
}

function appended(array: Int32Array, value: number): Int32Array {
  const longer = new Int32Array(array.length + 1)
  longer.set(array)
  longer[array.length] = value
  return longer
}

function without(array: Int32Array, index: number): Int32Array {
  const shorter = new Int32Array(array.length - 1)
  shorter.set(array.subarray(0, index))
  shorter.set(array.subarray(index + 1), index)
  return shorter
}
