import type { Xoshiro128 } from '../random.ts'
import { explain } from './explanation.ts'
import type { LoadMetric } from './metrics/load-metric.ts'
import { peakEwmaMetricEntry } from './metrics/peak-ewma.ts'
import { METRICS, metricOption } from './metrics/registry.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps, PickerEntry } from './picker.ts'
import { seededGenerator } from './picker.ts'
import { WeightedDraw } from './weighted-draw.ts'

/**
 * The power of two choices: draws two different endpoints by weight and takes the one with the lower cost / weight, where
 * the cost is a load metric's; ties go to a fair coin.
 *
 * Both draws are by weight among those that are accepted, the second among those that are not the first. (Drawing the
 * second as "the next one if it is the same" is the well-known way to favour the neighbours.)
 */
export class P2cPicker implements Picker {
  readonly #metric: LoadMetric
  readonly #now: () => number
  readonly #generator: Xoshiro128
  readonly #draw: WeightedDraw
  /** Indices of the latest pair, -1 where there was none; and their slots and costs. */
  readonly #pair = Int32Array.of(-1, -1)
  readonly #slots = new Int32Array(2)
  readonly #costs = new Float64Array(2)

  constructor(deps: PickerDeps, metric: LoadMetric) {
    this.#metric = metric
    this.#now = deps.now
    this.#generator = seededGenerator(deps)
    this.#draw = new WeightedDraw(this.#generator)
  }

  update(members: Members): void {
    this.#draw.update(members)
    this.#metric.update(members)
  }

  pick(_key: number, accept: Accept): number {
    const { positions, slots, weights, size } = this.#draw
    const pair = this.#pair
    const first = this.#draw.drawAccepted(accept, -1)
    pair[0] = first
    pair[1] = -1
    if (first < 0) return -1
    const second = size === 2 ? this.#other(first, accept) : this.#draw.drawAccepted(accept, first)
    pair[1] = second
    if (second < 0) return positions[first]!
    const costs = this.#costs
    this.#slots[0] = slots[first]!
    this.#slots[1] = slots[second]!
    this.#metric.fill(this.#slots, 2, costs, this.#now())
    // Multiplied crosswise: no division, and what is equal stays equal.
    const firstCost = costs[0]! * weights[second]!
    const secondCost = costs[1]! * weights[first]!
    if (firstCost < secondCost) return positions[first]!
    if (firstCost > secondCost) return positions[second]!
    return positions[this.#generator.int32() < 0 ? first : second]!
  }

  /** Of two there is nothing to draw: and a heavy one would be drawn again and again. */
  #other(first: number, accept: Accept): number {
    return accept(this.#draw.positions[1 - first]!) ? 1 - first : -1
  }

  began(slot: number): void {
    if (this.#metric.learns) this.#metric.began(slot, this.#now())
  }

  ended(slot: number, latencyMs: number, outcome: number): void {
    if (this.#metric.learns) this.#metric.ended(slot, this.#now(), latencyMs, outcome)
  }

  explain(key: number, accept: Accept): Explanation {
    const position = this.pick(key, accept)
    const now = this.#now()
    const { positions, slots, weights, size } = this.#draw
    const pair = [...this.#pair].filter((index) => index >= 0)
    const indices = new Map(pair.map((index) => [positions[index]!, index]))
    const costOf = (each: number): number =>
      this.#costs[this.#pair.indexOf(indices.get(each)!)]! / weights[indices.get(each)!]!
    const [first, second] = [...indices.keys()]
    let reason = 'no endpoint with weight is accepted'
    if (second !== undefined) {
      reason =
        costOf(first!) === costOf(second)
          ? `of two drawn by weight both have the same ${this.#metric.name} cost / weight: a coin decided`
          : `of two drawn by weight the one with the lower ${this.#metric.name} cost / weight`
    } else if (first !== undefined) reason = 'the only endpoint that is accepted'
    return explain({
      position,
      reason,
      looked: [...indices.keys()],
      size,
      accept,
      weightOf: (each) => weights[indices.get(each)!]!,
      costOf: pair.length === 2 ? costOf : null,
      partsOf: (each) => ({ ...this.#metric.parts(slots[indices.get(each)!]!, now) }),
    })
  }
}

export const p2cEntry: PickerEntry = {
  name: 'p2c',
  summary: 'Many endpoints: nearly as even as least-requests at a constant cost, and no stampede to the emptiest one.',
  cost: 'constant at any size',
  state:
    'an alias table per worker where weights differ; loads are read from the shared endpoint table; what its metric learns, per worker',
  source: 'Mitzenmacher 2001; Finagle P2C',
  options: {
    metric: `what is compared: ${Object.values(METRICS)
      .map(({ name, summary }) => `\`${name}\` (${summary})`)
      .join(', ')}; default \`requests\``,
    ...peakEwmaMetricEntry.options,
  },
  create: (deps, options) => new P2cPicker(deps, metricOption(options, 'requests').create(deps, options)),
}

export const peakEwmaEntry: PickerEntry = {
  name: 'peak-ewma',
  summary: 'Two choices by response time: leaves an endpoint at its first slow answer and comes back to it cautiously.',
  cost: 'constant at any size',
  state: 'peaks per worker, some 70 bytes per endpoint; loads are read from the shared endpoint table',
  source: 'Finagle PeakEwma, with a guard so that fast errors do not attract',
  options: peakEwmaMetricEntry.options,
  create: (deps, options) => new P2cPicker(deps, peakEwmaMetricEntry.create(deps, options)),
}
