import type { Xoshiro128 } from '../random.ts'
import { explain } from './explanation.ts'
import { IndexedLeastRequestsPicker } from './indexed-least-requests.ts'
import { booleanOption } from './options.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps, PickerEntry } from './picker.ts'
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
  /** Indices of the latest sample, entries [0, #sampled); -1: all were compared. */
  readonly #sample = new Int32Array(SAMPLES)
  #sampled = -1

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
    this.#sampled = -1
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
      this.#sample[samples++] = index
      if (cost < lowest) {
        lowest = cost
        equals = 1
        chosen = index
      } else if (cost === lowest && this.#generator.below(++equals) === 0) {
        chosen = index
      }
    }
    // Nearly all vetoed: look at every one.
    if (chosen < 0) return this.#least(accept)
    this.#sampled = samples
    return chosen
  }

  explain(key: number, accept: Accept): Explanation {
    const position = this.pick(key, accept)
    const { size, positions, slots, weights } = this.#draw
    const isSample = this.#sampled >= 0
    const indices = new Map<number, number>()
    for (let i = 0; i < (isSample ? this.#sampled : size); i++) {
      const index = isSample ? this.#sample[i]! : i
      indices.set(positions[index]!, index)
    }
    const costOf = (each: number): number => {
      const index = indices.get(each)!
      return (this.#loads[slots[index]!]! + 1) / weights[index]!
    }
    const equals =
      position < 0 ? 0 : [...indices.keys()].filter((each) => costOf(each) === costOf(position) && accept(each)).length
    const among = isSample ? `${indices.size} accepted ones drawn by weight from ${size}` : `all ${size}`
    const lowest = `the lowest (requests in flight + 1) / weight of ${among}`
    return explain({
      position,
      reason:
        position < 0
          ? 'no endpoint with weight is accepted'
          : equals > 1
            ? `one of ${equals} with ${lowest}, drawn by chance`
            : lowest,
      looked: [...indices.keys()],
      size,
      accept,
      weightOf: (each) => weights[indices.get(each)!]!,
      costOf,
      partsOf: (each) => ({ inFlight: this.#loads[slots[indices.get(each)!]!]! }),
    })
  }
}

const shared: Pick<PickerEntry, 'cost' | 'options' | 'create'> = {
  cost: `one comparison per endpoint up to ${FULL_SCAN_MAX}, then ${SAMPLES} draws`,
  options: {
    exact: `true: compare every endpoint however many there are; default false: above ${FULL_SCAN_MAX} a sample of ${SAMPLES}`,
    index:
      'true: exact at any number of endpoints in some 200 ns, by an index over what this picker alone has in flight; only for programs that use the library, where one owner sends all requests: a config with it is refused; default false: what all workers have in flight',
  },
  create: (deps, options) =>
    booleanOption(options, 'index')
      ? new IndexedLeastRequestsPicker(deps)
      : new LeastRequestsPicker(deps, booleanOption(options, 'exact')),
}

export const leastRequestsEntry: PickerEntry = {
  name: 'least-requests',
  summary: 'The default for most pools: slow or busy endpoints get less by themselves.',
  state: 'none of its own; loads are read from the shared endpoint table. With `index`: 24 to 48 bytes per endpoint',
  source: 'nginx least_conn, HAProxy leastconn',
  ...shared,
}

export const weightedLeastRequestsEntry: PickerEntry = {
  name: 'weighted-least-requests',
  summary:
    'Another name for least-requests, which always counts weights: the lowest (requests in flight + 1) / weight, so an endpoint of weight 2 has twice as many in flight.',
  state: 'as least-requests',
  source: 'Linux Virtual Server wlc',
  ...shared,
}
