import type { Xoshiro128 } from '../random.ts'
import { explain } from './explanation.ts'
import { LeastIndex } from './least-index.ts'
import { SlotOwners, slotsNeeded } from './metrics/slot-owners.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps } from './picker.ts'
import { seededGenerator } from './picker.ts'
import { WeightedDraw } from './weighted-draw.ts'

/** After so many vetoes in one pick it is cheaper to look at every endpoint. */
const VETOES_MAX = 32

/**
 * Exact least-requests at any size in O(log n), for one owner: what is in flight is what `began` and `ended` tell, so the index of
 * costs is always right. (Other workers would change a shared count behind its back.) A vetoed endpoint is taken out for the
 * rest of the pick; who is out for long is better given weight 0, or every pick meets it again.
 */
export class IndexedLeastRequestsPicker implements Picker {
  readonly #generator: Xoshiro128
  readonly #draw: WeightedDraw
  readonly #owners = new SlotOwners((slot) => {
    this.#own[slot] = 0
  })
  /** In flight, by slot. */
  #own = new Int32Array(0)
  /** By slot: index, -1 for none. */
  #indices = new Int32Array(0)
  #costs = new LeastIndex(0)
  /** Taken out during a pick. */
  readonly #vetoed = new Int32Array(VETOES_MAX)

  constructor(deps: PickerDeps) {
    this.#generator = seededGenerator(deps)
    this.#draw = new WeightedDraw(this.#generator)
  }

  update(members: Members): void {
    this.#draw.update(members)
    const slots = slotsNeeded(members, this.#own.length)
    if (slots > this.#own.length) {
      const own = new Int32Array(slots)
      own.set(this.#own)
      this.#own = own
      this.#indices = new Int32Array(slots)
    }
    this.#owners.update(members)
    const { size } = this.#draw
    this.#indices.fill(-1)
    this.#costs = new LeastIndex(size)
    for (let index = 0; index < size; index++) {
      this.#indices[this.#draw.slots[index]!] = index
      this.#costs.costs[index] = this.#costOf(index)
    }
    this.#costs.rebuild()
  }

  #weigh(index: number): void {
    this.#costs.costs[index] = this.#costOf(index)
    this.#costs.changed(index)
  }

  #costOf(index: number): number {
    const { slots, weights } = this.#draw
    return (this.#own[slots[index]!]! + 1) / weights[index]!
  }

  pick(_key: number, accept: Accept): number {
    const { positions } = this.#draw
    const costs = this.#costs
    const index = costs.find(this.#generator)
    if (index < 0) return -1
    return accept(positions[index]!) ? positions[index]! : this.#pickAnother(index, accept)
  }

  #pickAnother(first: number, accept: Accept): number {
    const { positions } = this.#draw
    const costs = this.#costs
    const vetoed = this.#vetoed
    let index = first
    let count = 0
    while (index >= 0 && count < VETOES_MAX && !accept(positions[index]!)) {
      vetoed[count++] = index
      costs.costs[index] = Number.POSITIVE_INFINITY
      costs.changed(index)
      index = costs.find(this.#generator)
    }
    for (let place = 0; place < count; place++) this.#weigh(vetoed[place]!)
    if (index >= 0 && count === VETOES_MAX) index = this.#scan(accept)
    return index < 0 ? -1 : positions[index]!
  }

  #scan(accept: Accept): number {
    const { size, positions } = this.#draw
    let least = Number.POSITIVE_INFINITY
    let equals = 0
    let chosen = -1
    for (let index = 0; index < size; index++) {
      const cost = this.#costs.costs[index]!
      if (cost > least || !accept(positions[index]!)) continue
      equals = cost < least ? 1 : equals + 1
      least = cost
      if (equals === 1 || this.#generator.below(equals) === 0) chosen = index
    }
    return chosen
  }

  began(slot: number): void {
    this.#count(slot, 1)
  }

  ended(slot: number): void {
    if (slot < this.#own.length && this.#own[slot]! > 0) this.#count(slot, -1)
  }

  #count(slot: number, change: number): void {
    if (!(slot < this.#own.length)) return
    this.#own[slot] = this.#own[slot]! + change
    const index = this.#indices[slot]!
    if (index >= 0) this.#weigh(index)
  }

  explain(key: number, accept: Accept): Explanation {
    const position = this.pick(key, accept)
    const { size, positions, slots, weights } = this.#draw
    const indices = new Map<number, number>()
    for (let index = 0; index < size; index++) indices.set(positions[index]!, index)
    return explain({
      position,
      reason:
        position < 0
          ? 'no endpoint with weight is accepted'
          : `the lowest (requests in flight from here + 1) / weight of all ${size} that are accepted; among equals by chance`,
      looked: [...indices.keys()],
      size,
      accept,
      weightOf: (each) => weights[indices.get(each)!]!,
      costOf: (each) => this.#costs.costs[indices.get(each)!]!,
      partsOf: (each) => ({ ownInFlight: this.#own[slots[indices.get(each)!]!]! }),
    })
  }
}
