import type { Xoshiro128 } from '../random.ts'
import type { Accept, Members, Picker, PickerDeps, PickerEntry } from './picker.ts'
import { seededGenerator } from './picker.ts'
import { WeightedDraw } from './weighted-draw.ts'

/** Up to this many endpoints all are compared: a few tenths of a microsecond. */
const FULL_SCAN_MAX = 256

/** How many are drawn above that. The least of 16 draws is among the emptiest 18 % nineteen times out of twenty. */
const SAMPLES = 16

/**
 * Takes the endpoint with the lowest (load + 1) / weight, where load is what is in flight in all workers; among equals each
 * is as likely as the others.
 *
 * Up to `FULL_SCAN_MAX` endpoints, or with the option `exact`, all are compared. Above, `SAMPLES` are drawn by weight.
 */
class LeastRequestsPicker implements Picker {
  readonly #loads: Int32Array
  readonly #generator: Xoshiro128
  readonly #draw: WeightedDraw
  readonly #isExact: boolean
  /** Room for the indices of equals. */
  #lowest = new Int32Array(0)

  constructor(deps: PickerDeps, isExact: boolean) {
    this.#loads = deps.loads
    this.#generator = seededGenerator(deps)
    this.#draw = new WeightedDraw(this.#generator)
    this.#isExact = isExact
  }

  update(members: Members): void {
    this.#draw.update(members)
    this.#lowest = new Int32Array(this.#draw.size)
  }

  pick(_key: number, accept: Accept): number {
    const { size, positions } = this.#draw
    const index = size <= FULL_SCAN_MAX || this.#isExact ? this.#least(accept) : this.#leastOfSample(accept)
    return index < 0 ? -1 : positions[index]!
  }

  /** At first without asking for vetoes, as most picks meet none: only those that turn out lowest are asked about. */
  #least(accept: Accept): number {
    const { positions } = this.#draw
    const lowest = this.#lowest
    for (let left = this.#findLowest(null); left > 0; left--) {
      const at = this.#generator.below(left)
      const index = lowest[at]!
      if (accept(positions[index]!)) return index
      lowest[at] = lowest[left - 1]!
    }
    const found = this.#findLowest(accept)
    return found === 0 ? -1 : lowest[this.#generator.below(found)]!
  }

  /** Gathers the members of least cost in `#lowest`; returns how many. Null: vetoes are not asked for. */
  #findLowest(accept: Accept | null): number {
    const { size, positions, slots, weights, isUniform } = this.#draw
    const loads = this.#loads
    const lowest = this.#lowest
    let least = Number.POSITIVE_INFINITY
    let found = 0
    for (let index = 0; index < size; index++) {
      const work = loads[slots[index]!]! + 1
      const cost = isUniform ? work : work / weights[index]!
      if (cost > least || (accept !== null && !accept(positions[index]!))) continue
      if (cost < least) {
        least = cost
        found = 0
      }
      lowest[found++] = index
    }
    return found
  }

  #leastOfSample(accept: Accept): number {
    const { slots, weights, positions, patience } = this.#draw
    const loads = this.#loads
    let chosen = -1
    let lowest = Number.POSITIVE_INFINITY
    let equals = 0
    let samples = 0
    for (let left = patience; left > 0 && samples < SAMPLES; left--) {
      const index = this.#draw.draw()
      const cost = (loads[slots[index]!]! + 1) / weights[index]!
      if (!accept(positions[index]!)) continue
      samples++
      if (cost < lowest) {
        lowest = cost
        equals = 1
        chosen = index
      } else if (cost === lowest && this.#generator.below(++equals) === 0) {
        chosen = index
      }
    }
    // Nearly all vetoed: look at every one.
    return chosen < 0 ? this.#least(accept) : chosen
  }
}

export const leastRequestsEntry: PickerEntry = {
  name: 'least-requests',
  summary: 'The default for most pools: slow or busy endpoints get less by themselves.',
  cost: `one comparison per endpoint up to ${FULL_SCAN_MAX}, then ${SAMPLES} draws`,
  state: 'none of its own; loads are read from the shared endpoint table',
  source: 'nginx least_conn, HAProxy leastconn',
  options: {
    exact: `true: compare every endpoint however many there are; default false: above ${FULL_SCAN_MAX} a sample of ${SAMPLES}`,
  },
  create: (deps, options) => new LeastRequestsPicker(deps, options['exact'] === true),
}
