import type { Xoshiro128 } from '../random.ts'
import type { Accept, Members, Picker, PickerDeps, PickerEntry } from './picker.ts'
import { seededGenerator } from './picker.ts'
import { WeightedDraw } from './weighted-draw.ts'

/**
 * The power of two choices: draws two different endpoints by weight and takes the one with the lower (load + 1) / weight,
 * where load is what is in flight in all workers; ties go to a fair coin.
 *
 * Both draws are by weight among those that are accepted, the second among those that are not the first. (Drawing the
 * second as "the next one if it is the same" is the well-known way to favour the neighbours.)
 */
class P2cPicker implements Picker {
  readonly #loads: Int32Array
  readonly #generator: Xoshiro128
  readonly #draw: WeightedDraw

  constructor(deps: PickerDeps) {
    this.#loads = deps.loads
    this.#generator = seededGenerator(deps)
    this.#draw = new WeightedDraw(this.#generator)
  }

  update(members: Members): void {
    this.#draw.update(members)
  }

  pick(_key: number, accept: Accept): number {
    const { positions, slots, weights, size } = this.#draw
    const first = this.#draw.drawAccepted(accept, -1)
    if (first < 0) return -1
    const second = size === 2 ? this.#other(first, accept) : this.#draw.drawAccepted(accept, first)
    if (second < 0) return positions[first]!
    // Multiplied crosswise: no division, and what is equal stays equal.
    const firstCost = (this.#loads[slots[first]!]! + 1) * weights[second]!
    const secondCost = (this.#loads[slots[second]!]! + 1) * weights[first]!
    if (firstCost < secondCost) return positions[first]!
    if (firstCost > secondCost) return positions[second]!
    return positions[this.#generator.int32() < 0 ? first : second]!
  }

  /** Of two there is nothing to draw: and a heavy one would be drawn again and again. */
  #other(first: number, accept: Accept): number {
    return accept(this.#draw.positions[1 - first]!) ? 1 - first : -1
  }
}

export const p2cEntry: PickerEntry = {
  name: 'p2c',
  summary: 'Many endpoints: nearly as even as least-requests at a constant cost, and no stampede to the emptiest one.',
  cost: 'constant at any size',
  state: 'an alias table per worker where weights differ; loads are read from the shared endpoint table',
  source: 'Mitzenmacher 2001; Finagle P2C',
  options: {},
  create: (deps) => new P2cPicker(deps),
}
