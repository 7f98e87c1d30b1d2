import type { AcceptMember, ConsistentMap, MapMembers } from '../hash/consistent-map.ts'
import { HashRing } from '../hash/ring.ts'
import { explain, isWeight } from './explanation.ts'
import type { Accept, Explanation, Members, Picker } from './picker.ts'
import { EXPLAINED_CANDIDATES } from './picker.ts'

/** A map that has taken a change in place. `ids`: its members by index from now on. */
export interface AdjustedMap {
  readonly ids: readonly string[]
}

/** How a hash picker has its map made. */
export interface MapMaker {
  /** What the map is, for explanations. */
  readonly name: string
  /** Throws when an option is wrong; with members also when they are too many for it. */
  build(members: MapMembers): ConsistentMap
  /**
   * Takes changes into the map that is there, so that it is the map which `build` would make of the new members; null when it
   * cannot, and then it is as it was. Absent: it never can.
   */
  adjust?(map: ConsistentMap, changes: MapChanges, size: number): AdjustedMap | null
}

/** What differs between the members that a map has and those that it should have. */
export interface MapChanges {
  readonly gone: readonly string[]
  /** Newcomers, and members with another weight. */
  readonly weights: ReadonlyMap<string, number>
}

/** More changes than this at once are no cheaper than a new map. */
const MOST_ADJUSTED = 8

const acceptNone: Accept = () => false

/**
 * A picker over any consistent map: the owner of the key, or where it is refused the next one in the key's own order. Needs
 * nothing of `PickerDeps`, so all workers and instances with the same members agree.
 *
 * The map is made of the ids and weights of the members with weight, and made anew only when one of those changes: not for
 * another order, other slots, or members without weight that come and go. Where the map cannot be made (too many members
 * for its table, a formula of the user's that fails), a ring with the default options takes its place until it can; the
 * explanation of a pick says so. Of two members with one id only the first counts.
 */
export class HashPicker implements Picker {
  readonly #maker: MapMaker
  #map: ConsistentMap
  /** Why it is not the maker's; null: it is. */
  #problem: string | null = null
  /** What the map was made of: members with weight, by index of the map. */
  #ids: readonly string[] = []
  #mapWeights = new Float64Array(0)
  /** By index of the map. */
  #positions = new Int32Array(0)
  /** Every index of the map is the position. */
  #isDirect = true
  /** By position; for explanations. */
  #weights = new Float64Array(0)
  #accept: Accept = acceptNone
  readonly #acceptIndex: AcceptMember = (index) => this.#accept(this.#positions[index]!)

  /** Throws what the maker says of its options. */
  constructor(maker: MapMaker) {
    this.#maker = maker
    this.#map = maker.build({ ids: [], weights: [] })
  }

  /** Memory of the map and of what leads to it, without the ids. */
  get bytes(): number {
    return this.#map.bytes + this.#positions.byteLength + this.#mapWeights.byteLength + this.#weights.byteLength
  }

  /** The map as it is now. Its indexes are those of the members with weight in an order of its own. */
  get map(): ConsistentMap {
    return this.#map
  }

  update(members: Members): void {
    this.#weights = members.weights.slice(0, members.count)
    const positions = new Map<string, number>()
    for (let position = 0; position < members.count; position++) {
      const id = members.ids[position]!
      if (isWeight(members.weights[position]!) && !positions.has(id)) positions.set(id, position)
    }
    this.#follow(positions)
    this.#isDirect = true
    this.#positions = new Int32Array(this.#ids.length)
    for (let index = 0; index < this.#ids.length; index++) {
      const position = positions.get(this.#ids[index]!)!
      this.#positions[index] = position
      if (position !== index) this.#isDirect = false
    }
  }

  pick(key: number, accept: Accept): number {
    // An Int32 whatever comes in: a uint32 above 2^31 would be a boxed double in every function that it passes.
    if (this.#isDirect) return this.#map.find(key | 0, accept)
    this.#accept = accept
    const index = this.#map.find(key | 0, this.#acceptIndex)
    this.#accept = acceptNone
    return index < 0 ? -1 : this.#positions[index]!
  }

  explain(key: number, accept: Accept): Explanation {
    const position = this.pick(key, accept)
    const order = this.#orderOf(key, position)
    const places = new Map(order.map((each, place) => [each, place + 1]))
    const isShown = position < 0 || places.has(position)
    if (!isShown) order[order.length - 1] = position
    const total = this.#mapWeights.reduce((sum, weight) => sum + weight, 0)
    const owner = order[0]
    const name = `${this.#maker.name}${this.#problem === null ? '' : ` (a ring in its place: ${this.#problem})`}`
    const hex = `0x${(key >>> 0).toString(16).padStart(8, '0')}`
    let reason = `the owner of key ${hex} on the ${name}`
    if (position < 0) reason = 'no endpoint with weight is accepted'
    else if (position !== owner) {
      const place = isShown ? `number ${places.get(position)}` : `beyond number ${EXPLAINED_CANDIDATES}`
      reason = `the first accepted one, ${place} in the order of key ${hex} on the ${name}, whose owner is refused`
    }
    return explain({
      position,
      reason,
      looked: order,
      size: this.#ids.length,
      accept,
      weightOf: (candidate) => this.#weights[candidate]!,
      // Its place in the key's order, the owner's being 1.
      costOf: (candidate) => places.get(candidate) ?? EXPLAINED_CANDIDATES + 1,
      partsOf: (candidate) => ({ shareByWeight: this.#weights[candidate]! / total }),
    })
  }

  /** The first of a key's own order of members, up to the picked one, as positions. */
  #orderOf(key: number, picked: number): number[] {
    const order: number[] = []
    const listed = new Set<number>()
    while (order.length < EXPLAINED_CANDIDATES) {
      const index = this.#map.find(key | 0, (candidate) => !listed.has(candidate))
      if (index < 0) break
      listed.add(index)
      const position = this.#positions[index]!
      order.push(position)
      if (position === picked) break
    }
    return order
  }

  /** Makes the map, `#ids` and `#mapWeights` those of the members in `positions`, which come with their positions by id. */
  #follow(positions: ReadonlyMap<string, number>): void {
    const gone = this.#ids.filter((id) => !positions.has(id))
    const weights = new Map<string, number>()
    const known = new Map(this.#ids.map((id, index) => [id, this.#mapWeights[index]!]))
    for (const [id, position] of positions) {
      if (known.get(id) !== this.#weights[position]!) weights.set(id, this.#weights[position]!)
    }
    if (gone.length === 0 && weights.size === 0) return
    if (this.#problem === null && gone.length + weights.size <= MOST_ADJUSTED) {
      const adjusted = this.#maker.adjust?.(this.#map, { gone, weights }, positions.size) ?? null
      if (adjusted !== null) {
        this.#ids = adjusted.ids.slice()
        this.#mapWeights = Float64Array.from(this.#ids, (id) => this.#weights[positions.get(id)!]!)
        return
      }
    }
    this.#ids = [...positions.keys()]
    this.#mapWeights = Float64Array.from(positions.values(), (position) => this.#weights[position]!)
    this.#rebuild()
  }

  #rebuild(): void {
    const members: MapMembers = { ids: this.#ids, weights: this.#mapWeights }
    this.#problem = null
    try {
      this.#map = this.#maker.build(members)
    } catch (error) {
      // Whatever it is, user formulas included: a pool must not go down for it.
      this.#problem = error instanceof Error ? error.message : String(error)
      this.#map = new HashRing(members)
    }
  }
}
