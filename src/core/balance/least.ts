import type { Xoshiro128 } from '../random.ts'
import { explain } from './explanation.ts'
import { LeastIndex } from './least-index.ts'
import { expectedDelayMetricEntry } from './metrics/expected-delay.ts'
import type { LoadMetric } from './metrics/load-metric.ts'
import { responseTimeEntry } from './metrics/response-time.ts'
import { slotsNeeded } from './metrics/slot-owners.ts'
import { booleanOption } from './options.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps, PickerEntry } from './picker.ts'
import { seededGenerator } from './picker.ts'
import { WeightedDraw } from './weighted-draw.ts'

/** Up to this many endpoints all are compared at each pick; from here on the index costs less. */
const FULL_SCAN_MAX = 128
/** Above: how many costs are worked out anew at each pick, in turns, because time has passed or other workers did something. */
const SWEPT = 8
/** How often the least of the index may turn out dearer than it was noted, before it is taken all the same. */
const LOOKS_MAX = 16
/** After so many vetoes in one pick chance finds one that is accepted sooner. */
const VETOES_MAX = 32

/**
 * Takes the endpoint with the lowest cost / weight by a metric that learns; among equals each is as likely as the others.
 *
 * Up to `FULL_SCAN_MAX` endpoints, or with the option `exact`, all are compared. Above, costs lie in an index (`LeastIndex`): those
 * of an endpoint are worked out anew when a request begins or ends there, when it is found to be the least, and at the latest
 * after n / `SWEPT` picks. What can be overlooked for that long is an endpoint that became cheaper through time alone or through
 * other workers; the shared loads should have changed before `began` and `ended` are told. (Samples of 16 to 32, also with a memory of
 * the best ones, cost about as much, and in a simulation of 100 balancers over 1000 endpoints had a p99 20 to 40 % worse.)
 */
class LeastPicker implements Picker {
  readonly #metric: LoadMetric
  readonly #now: () => number
  readonly #generator: Xoshiro128
  readonly #draw: WeightedDraw
  readonly #isExact: boolean
  #comparesAll = true
  /** 1 / weight, by index. */
  #inverseWeights = new Float64Array(0)
  /** By index. */
  #costs: Float64Array = new Float64Array(0)
  /** Room for the indices of equals. */
  #lowest = new Int32Array(0)
  #index = new LeastIndex(0)
  /** By slot: index, -1 for none. */
  #indices = new Int32Array(0)
  /** Where the sweep goes on. */
  #next = 0
  readonly #swept = new Int32Array(SWEPT)
  readonly #sweptCosts = new Float64Array(SWEPT)
  readonly #slot = new Int32Array(1)
  readonly #slotCost = new Float64Array(1)
  /** Taken out during a pick. */
  readonly #vetoed = new Int32Array(VETOES_MAX)

  constructor(deps: PickerDeps, metric: LoadMetric, isExact: boolean) {
    this.#metric = metric
    this.#now = deps.now
    this.#generator = seededGenerator(deps)
    this.#draw = new WeightedDraw(this.#generator)
    this.#isExact = isExact
  }

  update(members: Members): void {
    const draw = this.#draw
    draw.update(members)
    this.#metric.update(members)
    const { size, slots, weights } = draw
    this.#comparesAll = this.#isExact || size <= FULL_SCAN_MAX
    this.#inverseWeights = weights.map((weight) => 1 / weight)
    if (this.#comparesAll) {
      this.#costs = new Float64Array(size)
      this.#lowest = new Int32Array(size)
      return
    }
    this.#index = new LeastIndex(size)
    this.#costs = this.#index.costs
    this.#indices = new Int32Array(slotsNeeded(members, this.#indices.length)).fill(-1)
    for (let index = 0; index < size; index++) this.#indices[slots[index]!] = index
    this.#next = 0
    this.#weighAll()
    this.#index.rebuild()
  }

  pick(_key: number, accept: Accept): number {
    const { size, positions } = this.#draw
    if (size === 0) return -1
    let index: number
    if (this.#comparesAll) {
      this.#weighAll()
      index = this.#least(accept)
    } else {
      index = this.#leastOfIndex(accept)
    }
    return index < 0 ? -1 : positions[index]!
  }

  #weighAll(): void {
    const { size, slots, isUniform } = this.#draw
    const costs = this.#costs
    this.#metric.fill(slots, size, costs, this.#now())
    if (isUniform) return
    const inverse = this.#inverseWeights
    for (let index = 0; index < size; index++) costs[index] = costs[index]! * inverse[index]!
  }

  /** At first without asking for vetoes, as most picks meet none: only those that turn out lowest are asked about. */
  #least(accept: Accept): number {
    const { positions } = this.#draw
    const lowest = this.#lowest
    for (let left = this.#findLowest(null); left > 0; left--) {
      const at = left === 1 ? 0 : this.#generator.below(left)
      const index = lowest[at]!
      if (accept(positions[index]!)) return index
      lowest[at] = lowest[left - 1]!
    }
    const found = this.#findLowest(accept)
    return found === 0 ? -1 : lowest[this.#generator.below(found)]!
  }

  /** Gathers the members of least cost in `#lowest`; returns how many. Null: vetoes are not asked for. */
  #findLowest(accept: Accept | null): number {
    const { size, positions } = this.#draw
    const costs = this.#costs
    const lowest = this.#lowest
    let least = Number.POSITIVE_INFINITY
    let found = 0
    for (let index = 0; index < size; index++) {
      const cost = costs[index]!
      if (cost > least || (accept !== null && !accept(positions[index]!))) continue
      if (cost < least) {
        least = cost
        found = 0
      }
      lowest[found++] = index
    }
    return found
  }

  #leastOfIndex(accept: Accept): number {
    const { positions } = this.#draw
    const now = this.#now()
    this.#sweep(now)
    const costs = this.#costs
    const vetoed = this.#vetoed
    let vetoes = 0
    let index = this.#index.find(this.#generator)
    for (let looks = 1; index >= 0; ) {
      const noted = costs[index]!
      this.#weigh(index, now)
      if (costs[index]! > noted && looks < LOOKS_MAX) {
        looks++
      } else if (accept(positions[index]!) || vetoes === VETOES_MAX) {
        break
      } else {
        vetoed[vetoes++] = index
        costs[index] = Number.POSITIVE_INFINITY
        this.#index.changed(index)
      }
      index = this.#index.find(this.#generator)
    }
    for (let place = 0; place < vetoes; place++) this.#weigh(vetoed[place]!, now)
    if (vetoes === VETOES_MAX && !accept(positions[index]!)) return this.#draw.drawAccepted(accept, -1)
    return index
  }

  #sweep(now: number): void {
    const { size, slots, isUniform } = this.#draw
    const costs = this.#costs
    const swept = this.#swept
    const sweptCosts = this.#sweptCosts
    const from = this.#next
    const count = Math.min(SWEPT, size - from)
    for (let place = 0; place < count; place++) swept[place] = slots[from + place]!
    this.#metric.fill(swept, count, sweptCosts, now)
    for (let place = 0; place < count; place++) {
      const index = from + place
      const cost = isUniform ? sweptCosts[place]! : sweptCosts[place]! * this.#inverseWeights[index]!
      if (costs[index] === cost) continue
      costs[index] = cost
      this.#index.changed(index)
    }
    this.#next = from + count === size ? 0 : from + count
  }

  /** Notes the cost of one as it is now. */
  #weigh(index: number, now: number): void {
    this.#slot[0] = this.#draw.slots[index]!
    this.#metric.fill(this.#slot, 1, this.#slotCost, now)
    this.#costs[index] = this.#draw.isUniform ? this.#slotCost[0]! : this.#slotCost[0]! * this.#inverseWeights[index]!
    this.#index.changed(index)
  }

  began(slot: number): void {
    const now = this.#now()
    this.#metric.began(slot, now)
    if (!this.#comparesAll) this.#weighSlot(slot, now)
  }

  ended(slot: number, latencyMs: number, outcome: number): void {
    const now = this.#now()
    this.#metric.ended(slot, now, latencyMs, outcome)
    if (!this.#comparesAll) this.#weighSlot(slot, now)
  }

  #weighSlot(slot: number, now: number): void {
    const index = slot < this.#indices.length ? this.#indices[slot]! : -1
    if (index >= 0) this.#weigh(index, now)
  }

  explain(key: number, accept: Accept): Explanation {
    const position = this.pick(key, accept)
    const now = this.#now()
    const { positions, slots, weights, size } = this.#draw
    // What the pick compared. Not worked out anew: that would bring the metric's state further on than the pick did.
    const costs = this.#costs
    const indices = new Map<number, number>()
    for (let index = 0; index < size; index++) indices.set(positions[index]!, index)
    const costOf = (each: number): number => costs[indices.get(each)!]!
    const equals = [...indices.keys()].filter(
      (each) => position >= 0 && costOf(each) === costOf(position) && accept(each),
    ).length
    const how = this.#comparesAll ? `all ${size} were compared` : `by the index of all ${size}`
    const lowest = `the lowest ${this.#metric.name} cost / weight that is accepted (${how})`
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
      partsOf: (each) => ({ ...this.#metric.parts(slots[indices.get(each)!]!, now) }),
    })
  }
}

const EXACT_OPTION = `true: work out every cost at every pick however many endpoints there are; default false: above ${FULL_SCAN_MAX} an index, in which costs are worked out anew when something happens and in turns`
const COST = `some 5 ns per endpoint up to ${FULL_SCAN_MAX}, then about 1 µs at any size, what it learns included`

export const leastResponseTimeEntry: PickerEntry = {
  name: 'least-response-time',
  summary: 'Servers of different speed: the lowest average response time × requests in flight.',
  cost: COST,
  state: 'averages per worker, some 170 bytes per endpoint; loads are read from the shared endpoint table',
  source: 'nginx least_time; Finagle',
  options: { ...responseTimeEntry.options, exact: EXACT_OPTION },
  create: (deps, options) =>
    new LeastPicker(deps, responseTimeEntry.create(deps, options), booleanOption(options, 'exact')),
}

export const expectedDelayEntry: PickerEntry = {
  name: 'expected-delay',
  summary:
    'Servers of different or changing speed, and several balancers: counts what is silent and what fails, and comes back to who recovers.',
  cost: COST,
  state: 'estimates per worker, some 230 bytes per endpoint; loads are read from the shared endpoint table',
  source: "Evenkeel: Little's law with a prior, and trials of what looks slow",
  options: { exact: EXACT_OPTION },
  create: (deps, options) =>
    new LeastPicker(deps, expectedDelayMetricEntry.create(deps, options), booleanOption(options, 'exact')),
}
