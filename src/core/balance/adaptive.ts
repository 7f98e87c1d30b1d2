import type { Xoshiro128 } from '../random.ts'
import { EwmaColumns, type EwmaStorage } from '../signals/ewma.ts'
import { ADAPTIVE_SCORE, DEFAULT_SIGNAL_TTL_MS } from '../signals/score-presets.ts'
import { freshnessAt, type ScoreDefinition, Scorer, type SignalColumns } from '../signals/scorer.ts'
import { explain, percent } from './explanation.ts'
import { MemberIndex } from './member-index.ts'
import { numberOption } from './options.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps, PickerEntry, SignalColumn } from './picker.ts'
import { Outcome, seededGenerator } from './picker.ts'
import { scoreWithOptions } from './score-options.ts'
import { WeightedDraw } from './weighted-draw.ts'

/** Document 000 draws among so many. */
const BEST = 3
/** Up to this many endpoints all are compared. */
const FULL_SCAN_MAX = 128
/** How many are drawn above that. */
const SAMPLES = 16
/** Age at which a sample of latency or reliability counts 1/e. */
const LEARNING_MS = 10_000
/** Successes that an endpoint is believed to have had before the first: one failure is no verdict. */
const BELIEVED_SUCCESSES = 4
/** Keeps divisions by reliability within bounds. */
const LEAST_RELIABILITY = 0.01
/** The latency at which document 000's latency factor is one half. */
const HALF_LATENCY_MS = 100
/** Draws among the best are by score; one whose score is 0 is not left out altogether. */
const LEAST_SCORE = 1e-6
const TWO_32 = 0x1_0000_0000

/** Signals by the names of the preset: order of `Scorer.columns`. */
interface Inputs {
  readonly load: number
  readonly latency: number
  readonly reliability: number
  readonly available: number
  readonly total: number
  readonly proximity: number
}

/**
 * Document 000's adaptive balancer: a score of load, latency, reliability, capacity and proximity (`ADAPTIVE_SCORE`), and a draw
 * by score × weight among the three best that are accepted. Above `FULL_SCAN_MAX` endpoints the three are the best of
 * `SAMPLES` drawn by weight.
 *
 * Where the signals come from:
 * - load: what is in flight over all workers, with the request to place, as a share x of the capacity; where no capacity is
 *   known x = (o + 1) / (o + 1 + w · m), with o in flight, weight w and m the mean of (o + 1) / w over the pool: one half at the
 *   mean. Where the endpoint reports `utilization` or else `cpu`, the mean of that and x: reports alone would send
 *   everything to the same three until the next one.
 * - capacity: what is free of it, (capacity - in flight) / capacity; the signal `capacity`, else the option `capacity` × weight, in
 *   requests in flight. With neither the factor is missing, and its weight is shared out among the others.
 * - latency and reliability: learnt from answers by this worker, over about `LEARNING_MS`. A failure counts for reliability
 *   only, and latency counts as (100 ms + latency) / reliability - 100 ms, so that the factor is multiplied by what was learnt of
 *   reliability: quick errors do not attract. Of whom nothing is known, or nothing new for a minute, is believed to be as the
 *   mean of the pool. A reported `reliability` is an upper bound.
 * - proximity: the signal of that name; where it is missing its weight is shared out.
 *
 * All but what is in flight is gathered every `refreshMs`; what is in flight is looked at anew for each pick: score = a - b · x.
 */
class AdaptivePicker implements Picker {
  readonly #deps: PickerDeps
  readonly #loads: Int32Array
  readonly #generator: Xoshiro128
  readonly #draw: WeightedDraw
  readonly #index = new MemberIndex()
  readonly #scorer: Scorer
  readonly #inputs: Inputs
  readonly #loadWeight: number
  readonly #capacityWeight: number
  readonly #totalWeight: number
  readonly #capacity: number
  readonly #refreshMs: number
  #signals: Record<'utilization' | 'cpu' | 'capacity' | 'reliability' | 'proximity', SignalColumn>
  /** By position. */
  #latencies = emptyEwma(0)
  #successes = emptyEwma(0)
  #latency: EwmaColumns
  #success: EwmaColumns
  /** What the scorer reads, by position. */
  #columns: SignalColumns
  /** By index of the draw: score = base - slope · x. */
  #base = new Float64Array(0)
  #slopes = new Float64Array(0)
  #confidences = new Float64Array(0)
  /** By index: 1 / capacity, 0 where none is known. */
  #perCapacity = new Float64Array(0)
  /** By index: the scores of this pick, -1: vetoed. */
  #scores = new Float64Array(0)
  /** Indices of those that have the lowest score that still is among the best. */
  #ties = new Int32Array(0)
  /** Indices of the best, and their scores; entries [0, #found). */
  readonly #best = new Int32Array(BEST)
  readonly #bestScores = new Float64Array(BEST)
  #found = 0
  /** [0]: when the scores were made; [1]: m of this pick; [2]: m for the next. In an array, as fields would be boxed. */
  readonly #numbers = Float64Array.of(0, 1, 1)

  constructor(deps: PickerDeps, definition: ScoreDefinition, capacity: number, refreshMs: number) {
    this.#deps = deps
    this.#loads = deps.loads
    this.#generator = seededGenerator(deps)
    this.#draw = new WeightedDraw(this.#generator)
    this.#scorer = new Scorer(definition)
    const { columns } = this.#scorer
    this.#inputs = {
      load: columns.indexOf('load'),
      latency: columns.indexOf('latency'),
      reliability: columns.indexOf('reliability'),
      available: columns.indexOf('availableCapacity'),
      total: columns.indexOf('totalCapacity'),
      proximity: columns.indexOf('proximity'),
    }
    const weightOf = (name: string): number => definition.signals.find((signal) => signal.name === name)!.weight
    this.#loadWeight = weightOf('load')
    this.#capacityWeight = weightOf('availableCapacity')
    this.#totalWeight = definition.signals.reduce((sum, { weight }) => sum + weight, 0)
    this.#capacity = capacity
    this.#refreshMs = refreshMs
    this.#signals = this.#readSignals()
    this.#columns = this.#scorer.createColumns(0)
    this.#latency = new EwmaColumns(0, LEARNING_MS, this.#latencies)
    this.#success = new EwmaColumns(0, LEARNING_MS, this.#successes)
  }

  update(members: Members): void {
    const { count } = members
    const former = this.#index.update(members)
    this.#latencies = carryEwma(this.#latencies, former)
    this.#successes = carryEwma(this.#successes, former)
    this.#latency = new EwmaColumns(count, LEARNING_MS, this.#latencies)
    this.#success = new EwmaColumns(count, LEARNING_MS, this.#successes)
    this.#columns = this.#scorer.createColumns(count)
    this.#signals = this.#readSignals()
    this.#draw.update(members)
    const { size } = this.#draw
    this.#base = new Float64Array(size)
    this.#slopes = new Float64Array(size)
    this.#confidences = new Float64Array(size)
    this.#perCapacity = new Float64Array(size)
    this.#scores = new Float64Array(size)
    this.#ties = new Int32Array(size)
    this.#refresh(this.#deps.now())
  }

  pick(_key: number, accept: Accept): number {
    const now = this.#deps.now()
    if (now - this.#numbers[0]! >= this.#refreshMs) this.#refresh(now)
    this.#numbers[1] = this.#numbers[2]!
    const { positions, size } = this.#draw
    if (size <= FULL_SCAN_MAX) this.#findBest(accept)
    else this.#findBestOfSample(accept)
    const chosen = this.#drawAmongBest()
    return chosen < 0 ? -1 : positions[chosen]!
  }

  ended(slot: number, latencyMs: number, outcome: number): void {
    const position = this.#index.positionOf(slot)
    if (position < 0 || outcome === Outcome.CANCELLED) return
    const now = this.#deps.now()
    const isSuccess = outcome === Outcome.OK
    this.#success.record(position, isSuccess ? 1 : 0, now)
    if (isSuccess && latencyMs >= 0) this.#latency.record(position, latencyMs, now)
  }

  explain(key: number, accept: Accept): Explanation {
    const position = this.pick(key, accept)
    const { positions, weights, size } = this.#draw
    const indexOf = new Map(Array.from(positions, (member, index) => [member, index]))
    const best = Array.from(this.#best.subarray(0, this.#found))
    const total = best.reduce((sum, index, at) => sum + this.#bestScores[at]! * weights[index]!, 0)
    const chanceOf = (index: number): number => {
      const at = best.indexOf(index)
      return at < 0 ? 0 : (this.#bestScores[at]! * weights[index]!) / total
    }
    const costOf = (member: number): number => 1 - this.#scoreOf(indexOf.get(member)!)
    const isAll = size <= FULL_SCAN_MAX
    return explain({
      position,
      reason:
        position < 0
          ? 'no endpoint with weight is accepted'
          : `score ${(1 - costOf(position)).toFixed(3)}: one of the ${best.length} best of ${isAll ? `all ${size}` : `${SAMPLES} drawn by weight`}, drawn with a chance of ${percent(chanceOf(indexOf.get(position)!))}`,
      looked: Array.from(positions).filter((member) => isAll || best.includes(indexOf.get(member)!) || !accept(member)),
      size,
      accept,
      weightOf: (member) => weights[indexOf.get(member)!]!,
      costOf,
      partsOf: (member) => ({
        ...this.#partsOf(indexOf.get(member)!, member),
        chance: chanceOf(indexOf.get(member)!),
      }),
    })
  }

  #partsOf(index: number, position: number): Record<string, number> {
    const busy = this.#busyOf(index)
    const parts: Record<string, number> = { inFlight: this.#loads[this.#draw.slots[index]!]!, busy }
    for (const part of this.#scorer.explain(this.#columns, position, this.#numbers[0]!).parts) {
      if (part.normalised !== null) parts[part.name] = part.contribution
    }
    // The columns hold what would be with nothing in flight.
    parts['busyCosts'] = -this.#slopes[index]! * busy
    return parts
  }

  /** The three best of all, in `#best`: at first without asking for vetoes, as most picks meet none. */
  #findBest(accept: Accept): void {
    this.#scoreAll(null)
    this.#gatherBest()
    const { positions } = this.#draw
    let isVetoed = false
    for (let at = 0; at < this.#found && !isVetoed; at++) isVetoed = !accept(positions[this.#best[at]!]!)
    if (!isVetoed) return
    this.#scoreAll(accept)
    this.#gatherBest()
  }

  #scoreAll(accept: Accept | null): void {
    const { size, positions, slots, weights } = this.#draw
    const loads = this.#loads
    const scores = this.#scores
    const base = this.#base
    const slopes = this.#slopes
    const perCapacity = this.#perCapacity
    const mean = this.#numbers[1]!
    let work = 0
    let weightSum = 0
    for (let index = 0; index < size; index++) {
      const one = loads[slots[index]!]! + 1
      const weight = weights[index]!
      work += one
      weightSum += weight
      const share = one * perCapacity[index]!
      const busy = share === 0 ? one / (one + weight * mean) : share < 1 ? share : 1
      const score = base[index]! - slopes[index]! * busy
      scores[index] = accept === null || accept(positions[index]!) ? Math.max(0, score) : -1
    }
    this.#numbers[2] = work / weightSum
  }

  /** Fills `#best` from `#scores`; which of equals get in is chance. */
  #gatherBest(): void {
    const { size } = this.#draw
    const scores = this.#scores
    let first = -1
    let second = -1
    let third = -1
    for (let index = 0; index < size; index++) {
      const score = scores[index]!
      if (score <= third) continue
      if (score > first) {
        third = second
        second = first
        first = score
      } else if (score > second) {
        third = second
        second = score
      } else {
        third = score
      }
    }
    // With fewer than three accepted the bar is below all of them.
    const ties = this.#ties
    let tied = 0
    let found = 0
    for (let index = 0; index < size; index++) {
      const score = scores[index]!
      if (score < 0 || score < third) continue
      if (score > third) found = this.#add(found, index)
      else ties[tied++] = index
    }
    while (found < BEST && tied > 0) {
      const at = this.#generator.below(tied)
      const index = ties[at]!
      found = this.#add(found, index)
      ties[at] = ties[--tied]!
    }
    this.#found = found
  }

  /** No scores are passed between functions: each double that is may be a new object. */
  #add(found: number, index: number): number {
    this.#best[found] = index
    this.#bestScores[found] = Math.max(this.#scores[index]!, LEAST_SCORE)
    return found + 1
  }

  /** The three best of some drawn by weight. Asks for a veto only about those that would get in. */
  #findBestOfSample(accept: Accept): void {
    const { slots, weights, positions, patience } = this.#draw
    const best = this.#best
    const bestScores = this.#bestScores
    let found = 0
    let samples = 0
    let work = 0
    let weightSum = 0
    for (let left = patience; left > 0 && (samples < SAMPLES || found === 0); left--) {
      const index = this.#draw.draw()
      samples++
      work += this.#loads[slots[index]!]! + 1
      weightSum += weights[index]!
      this.#rate(index)
      const score = Math.max(LEAST_SCORE, this.#scores[index]!)
      let at = found
      while (at > 0 && bestScores[at - 1]! < score) at--
      if (at >= BEST || this.#isAmongBest(index, found)) continue
      if (!accept(positions[index]!)) continue
      if (found < BEST) found++
      for (let to = found - 1; to > at; to--) {
        best[to] = best[to - 1]!
        bestScores[to] = bestScores[to - 1]!
      }
      best[at] = index
      bestScores[at] = score
    }
    this.#numbers[2] = work / weightSum
    this.#found = found
    // Nearly all vetoed: look at every one.
    if (found === 0) {
      this.#scoreAll(accept)
      this.#gatherBest()
    }
  }

  #isAmongBest(index: number, found: number): boolean {
    for (let at = 0; at < found; at++) if (this.#best[at] === index) return true
    return false
  }

  #drawAmongBest(): number {
    const best = this.#best
    const found = this.#found
    if (found <= 1) return found === 1 ? best[0]! : -1
    const { weights } = this.#draw
    let total = 0
    let chosen = -1
    for (let at = 0; at < found; at++) {
      const share = this.#bestScores[at]! * weights[best[at]!]!
      total += share
      if (chosen < 0 || (this.#generator.int32() >>> 0) * total < share * TWO_32) chosen = best[at]!
    }
    return chosen
  }

  /** Writes the score of one into `#scores`. */
  #rate(index: number): void {
    const one = this.#loads[this.#draw.slots[index]!]! + 1
    const share = one * this.#perCapacity[index]!
    const busy = share === 0 ? one / (one + this.#draw.weights[index]! * this.#numbers[1]!) : share < 1 ? share : 1
    this.#scores[index] = Math.max(0, this.#base[index]! - this.#slopes[index]! * busy)
  }

  /** For explanations. */
  #scoreOf(index: number): number {
    return Math.max(0, this.#base[index]! - this.#slopes[index]! * this.#busyOf(index))
  }

  #busyOf(index: number): number {
    const one = this.#loads[this.#draw.slots[index]!]! + 1
    const share = one * this.#perCapacity[index]!
    return share === 0 ? one / (one + this.#draw.weights[index]! * this.#numbers[1]!) : Math.min(1, share)
  }

  #readSignals(): Record<'utilization' | 'cpu' | 'capacity' | 'reliability' | 'proximity', SignalColumn> {
    const { signals } = this.#deps
    return {
      utilization: signals.column('utilization'),
      cpu: signals.column('cpu'),
      capacity: signals.column('capacity'),
      reliability: signals.column('reliability'),
      proximity: signals.column('proximity'),
    }
  }

  /** Makes `#base` and `#slopes` of all signals but what is in flight. */
  #refresh(now: number): void {
    this.#numbers[0] = now
    const { positions, slots, weights, size } = this.#draw
    const { values, atMs } = this.#columns
    const { load, latency, reliability, available, total, proximity } = this.#inputs
    const { utilization, cpu, capacity } = this.#signals
    const slopes = this.#slopes
    const meanLatency = this.#meanLatency(now)
    for (let index = 0; index < size; index++) {
      const position = positions[index]!
      const slot = slots[index]!
      const report = utilization.atMs[slot]! > 0 ? utilization : cpu
      const believed = report.atMs[slot]! > 0 ? freshnessAt(now - report.atMs[slot]!, DEFAULT_SIGNAL_TTL_MS) / 2 : 0
      values[load]![position] = believed > 0 ? believed * Math.max(0, Math.min(1, report.values[slot]!)) : 0
      atMs[load]![position] = now

      const learnt = this.#reliabilityOf(position, now)
      const own = this.#latency.mass(position, now) > 0 ? this.#latency.mean(position) : meanLatency
      const age = now - this.#latencies.atMs[position]!
      const trust = freshnessAt(age, DEFAULT_SIGNAL_TTL_MS)
      const expected = trust * own + (1 - trust) * meanLatency
      values[latency]![position] = (HALF_LATENCY_MS + expected) / learnt - HALF_LATENCY_MS
      atMs[latency]![position] = Number.isNaN(expected) ? 0 : now

      const told = this.#signals.reliability
      values[reliability]![position] = told.atMs[slot]! > 0 ? Math.min(told.values[slot]!, learnt) : learnt
      atMs[reliability]![position] = now

      const limit =
        capacity.atMs[slot]! > 0 && capacity.values[slot]! > 0
          ? capacity.values[slot]!
          : this.#capacity * weights[index]!
      const isLimited = limit > 0 && limit < Number.POSITIVE_INFINITY
      this.#perCapacity[index] = isLimited ? 1 / limit : 0
      values[available]![position] = limit
      values[total]![position] = limit
      atMs[available]![position] = isLimited ? now : 0

      values[proximity]![position] = this.#signals.proximity.values[slot]!
      atMs[proximity]![position] = this.#signals.proximity.atMs[slot]!
      // What is in flight counts fully in the load, or half beside a fresh report; and in the free capacity.
      slopes[index] = this.#loadWeight * (1 - believed) + (isLimited ? this.#capacityWeight : 0)
    }
    this.#scorer.scoreAll(this.#columns, positions, size, now, this.#base, this.#confidences)
    for (let index = 0; index < size; index++) {
      const known = this.#confidences[index]! * this.#totalWeight
      slopes[index] = known > 0 ? slopes[index]! / known : 0
    }
  }

  /** Over those that answered within the time to live; NaN when nobody did. */
  #meanLatency(now: number): number {
    const { positions, size } = this.#draw
    let sum = 0
    let known = 0
    for (let index = 0; index < size; index++) {
      const position = positions[index]!
      const heardMs = this.#latencies.atMs[position]!
      if (!(heardMs > 0) || now - heardMs > DEFAULT_SIGNAL_TTL_MS) continue
      sum += this.#latency.mean(position)
      known++
    }
    return sum / known
  }

  /** The share of successes, with some believed ones among them, which remain when evidence fades. */
  #reliabilityOf(position: number, now: number): number {
    const mass = this.#success.mass(position, now)
    if (!(mass > 0)) return 1
    const share = (mass * this.#success.mean(position) + BELIEVED_SUCCESSES) / (mass + BELIEVED_SUCCESSES)
    return Math.max(LEAST_RELIABILITY, share)
  }
}

function emptyEwma(length: number): EwmaStorage {
  return { sums: new Float64Array(length), masses: new Float64Array(length), atMs: new Float64Array(length) }
}

function carryEwma(storage: EwmaStorage, former: Int32Array): EwmaStorage {
  const carry = (column: Float64Array): Float64Array =>
    Float64Array.from(former, (before) => (before < 0 ? 0 : column[before]!))
  return { sums: carry(storage.sums), masses: carry(storage.masses), atMs: carry(storage.atMs) }
}

export const adaptiveEntry: PickerEntry = {
  name: 'adaptive',
  summary: 'Several things count at once: load, latency, reliability, capacity and distance, weighed as one score.',
  cost: `two to three comparisons per endpoint up to ${FULL_SCAN_MAX}, then ${SAMPLES} draws; scores are made once per refreshMs`,
  state: 'per worker: latency and reliability of each endpoint; signals and loads are read from shared columns',
  source: 'document 000, AdaptiveBalancer',
  options: {
    weights: '{ load, latency, reliability, capacity, proximity }; default 0.3, 0.25, 0.2, 0.15, 0.1',
    capacity: 'requests in flight, times weight, that fill an endpoint which reports no capacity; default: unknown',
    refreshMs: 'how often everything but what is in flight is looked at, from 10; default 100',
  },
  create: (deps, options) =>
    new AdaptivePicker(
      deps,
      scoreWithOptions(ADAPTIVE_SCORE, options, { capacity: 'availableCapacity' }),
      numberOption(options, 'capacity', Number.POSITIVE_INFINITY, 1, 1e9),
      numberOption(options, 'refreshMs', 100, 10, 3_600_000),
    ),
}
