import type { OrcaReport } from '../signals/orca-report.ts'
import { type OrcaWeightOptions, type OrcaWeightStorage, OrcaWeights } from '../signals/orca-weights.ts'
import { isWeight, weightedPositions } from './explanation.ts'
import { MemberIndex } from './member-index.ts'
import { numberOption } from './options.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps, PickerEntry, SignalColumn } from './picker.ts'
import { seededGenerator } from './picker.ts'
import { WeightedRotation } from './weighted-rotation.ts'
import { explainRotation } from './weighted-round-robin.ts'

/** gRFC A58 does not allow shorter. */
const LEAST_UPDATE_MS = 100

/**
 * Smooth weighted rotation by weights that endpoints' own load reports give, as gRPC's weighted_round_robin (gRFC A58):
 * weight = rps / (utilization + eps / rps × penalty), times the configured weight. A weight counts once its endpoint has
 * reported for the blackout period, and until it expires; who has none gets the mean of the others, and with fewer than two
 * known all are equal. New weights are taken over at most once per `updateMs` and keep everyone's place in the rotation.
 */
class OrcaPicker implements Picker {
  readonly #deps: PickerDeps
  readonly #rotation: WeightedRotation
  readonly #index = new MemberIndex()
  readonly #options: OrcaWeightOptions
  readonly #updateMs: number
  readonly #metricNames: readonly string[]
  #rps: SignalColumn
  #eps: SignalColumn
  #utilization: SignalColumn
  #metrics: readonly SignalColumn[] = []
  /** Columns by position. */
  #storage: OrcaWeightStorage = emptyStorage(0)
  #learnt: OrcaWeights
  /** By position: time of the report that was last taken in. */
  #seenMs = new Float64Array(0)
  #configured = new Float64Array(0)
  /** Positions with a configured weight, and what was learnt of each. */
  #positions = new Int32Array(0)
  #reported = new Float64Array(0)
  #weights = new Float64Array(0)
  #known = 0
  readonly #updatedMs = new Float64Array(1)
  /** One for all, as none is kept. */
  readonly #report: OrcaReport = { utilization: new Map(), requestCost: new Map(), namedMetrics: new Map() }

  constructor(deps: PickerDeps, options: OrcaWeightOptions, updateMs: number, metricNames: readonly string[]) {
    this.#deps = deps
    this.#rotation = new WeightedRotation(seededGenerator(deps))
    this.#options = options
    this.#updateMs = updateMs
    this.#metricNames = metricNames
    this.#learnt = new OrcaWeights(0, options, this.#storage)
    this.#rps = deps.signals.column('rps')
    this.#eps = deps.signals.column('eps')
    this.#utilization = deps.signals.column('utilization')
  }

  update(members: Members): void {
    const { signals } = this.#deps
    this.#rps = signals.column('rps')
    this.#eps = signals.column('eps')
    this.#utilization = signals.column('utilization')
    this.#metrics = this.#metricNames.map((name) => signals.column(name))
    const former = this.#index.update(members)
    const carry = (column: Float64Array): Float64Array<ArrayBuffer> =>
      Float64Array.from(former, (before) => (before < 0 ? 0 : column[before]!))
    const { weights, updatedMs, sinceMs } = this.#storage
    this.#storage = { weights: carry(weights), updatedMs: carry(updatedMs), sinceMs: carry(sinceMs) }
    this.#seenMs = carry(this.#seenMs)
    this.#learnt = new OrcaWeights(members.count, this.#options, this.#storage)
    this.#configured = members.weights.slice(0, members.count)
    this.#positions = Int32Array.from(weightedPositions(this.#configured, members.count))
    this.#reported = new Float64Array(this.#positions.length)
    this.#weights = new Float64Array(members.count)
    this.#gather(this.#deps.now())
    this.#rotation.update(this.#weights, members.count, former)
  }

  pick(_key: number, accept: Accept): number {
    const now = this.#deps.now()
    if (now - this.#updatedMs[0]! >= this.#updateMs && this.#gather(now)) this.#rotation.reweigh(this.#weights)
    return this.#rotation.take(accept)
  }

  explain(key: number, accept: Accept): Explanation {
    // Before the story begins, so that the shares told are those of the pick.
    const now = this.#deps.now()
    if (now - this.#updatedMs[0]! >= this.#updateMs && this.#gather(now)) this.#rotation.reweigh(this.#weights)
    const told = explainRotation(this.#rotation, this.#weights, accept, () => this.pick(key, accept))
    const candidates = told.candidates.map((candidate) => ({
      ...candidate,
      weight: this.#configured[candidate.position]!,
      parts: { ...candidate.parts, ...this.#partsOf(candidate.position, now) },
    }))
    const known =
      this.#known < 2
        ? `${this.#known} with a weight of its own, so configured weights alone count`
        : `${this.#known} of ${this.#positions.length} with weights of their own`
    return { ...told, candidates, reason: `${told.reason}; by load reports (${known})` }
  }

  #partsOf(position: number, now: number): Record<string, number> {
    const slot = this.#index.slots[position]!
    const parts: Record<string, number> = {
      effectiveWeight: this.#weights[position]!,
      reportedWeight: this.#learnt.weightOf(position, now),
    }
    if (this.#rps.atMs[slot]! > 0) {
      parts['rps'] = this.#rps.values[slot]!
      parts['eps'] = this.#eps.values[slot]!
      parts['utilization'] = this.#utilizationOf(slot)
      parts['ageMs'] = now - this.#rps.atMs[slot]!
    }
    return parts
  }

  /** Takes new reports in and makes the weights of them; false when they are as before. */
  #gather(now: number): boolean {
    this.#updatedMs[0] = now
    const positions = this.#positions
    const reported = this.#reported
    const seenMs = this.#seenMs
    for (let index = 0; index < positions.length; index++) {
      const position = positions[index]!
      const slot = this.#index.slots[position]!
      const atMs = this.#rps.atMs[slot]!
      if (!(atMs > 0) || atMs === seenMs[position]) continue
      seenMs[position] = atMs
      const report = this.#report
      report.rps = this.#rps.values[slot]!
      report.eps = this.#eps.atMs[slot]! > 0 ? this.#eps.values[slot]! : 0
      report.applicationUtilization = this.#utilizationOf(slot)
      this.#learnt.report(position, report, atMs)
    }
    this.#known = this.#learnt.weightsOf(positions, positions.length, now, reported)
    let isChanged = false
    for (let index = 0; index < positions.length; index++) {
      const position = positions[index]!
      const product = this.#configured[position]! * reported[index]!
      const weight = isWeight(product) ? product : this.#configured[position]!
      if (weight === this.#weights[position]) continue
      this.#weights[position] = weight
      isChanged = true
    }
    return isChanged
  }

  /** The largest of the metrics asked for where one is above 0, else `utilization`. */
  #utilizationOf(slot: number): number {
    let largest = 0
    for (let index = 0; index < this.#metrics.length; index++) {
      const { values, atMs } = this.#metrics[index]!
      if (atMs[slot]! > 0 && values[slot]! > largest) largest = values[slot]!
    }
    if (largest > 0) return largest
    return this.#utilization.atMs[slot]! > 0 ? this.#utilization.values[slot]! : 0
  }
}

function emptyStorage(length: number): OrcaWeightStorage {
  return {
    weights: new Float64Array(length),
    updatedMs: new Float64Array(length),
    sinceMs: new Float64Array(length),
  }
}

function namesOption(options: Readonly<Record<string, unknown>>, name: string): readonly string[] {
  const value = options[name]
  if (value === undefined) return []
  if (Array.isArray(value) && value.every((entry) => typeof entry === 'string' && entry !== '')) return value
  throw new RangeError(`${name} is ${JSON.stringify(value)}, it must be a list of names`)
}

export const orcaEntry: PickerEntry = {
  name: 'orca',
  summary: 'Servers that report their load with each answer (gRPC, ORCA): each gets what keeps utilisation equal.',
  cost: 'constant at any size; weights are made anew at most once per updateMs',
  state: 'per worker: a rotation as in weighted-round-robin, and the weight reported by each endpoint with its times',
  source: 'gRFC A58 client-side weighted round robin; ORCA load reports',
  options: {
    blackoutMs: 'an endpoint must have reported for this long before its own weight counts; default 10000',
    expirationMs: 'a weight that is older no longer counts; default 180000',
    updateMs: `how often weights are made anew, from ${LEAST_UPDATE_MS}; default 1000`,
    errorUtilizationPenalty: 'failed requests / requests × this is added to the utilisation; default 1',
    metrics: 'names of signals, the largest of which counts instead of utilization where it is above 0; default none',
  },
  create: (deps, options) =>
    new OrcaPicker(
      deps,
      {
        blackoutMs: numberOption(options, 'blackoutMs', 10_000, 0, 3_600_000),
        expirationMs: numberOption(options, 'expirationMs', 180_000, 1, 86_400_000),
        errorUtilizationPenalty: numberOption(options, 'errorUtilizationPenalty', 1, 0, 1e6),
      },
      numberOption(options, 'updateMs', 1000, LEAST_UPDATE_MS, 3_600_000),
      namesOption(options, 'metrics'),
    ),
}
