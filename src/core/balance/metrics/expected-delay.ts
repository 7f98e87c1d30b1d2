import type { Members, PickerDeps } from '../picker.ts'
import { Outcome, seededGenerator } from '../picker.ts'
import { FleetMean } from './fleet-mean.ts'
import type { LoadMetric, MetricEntry } from './load-metric.ts'
import { grownFloat64, SlotOwners, slotsNeeded } from './slot-owners.ts'
import { LONGEST_WAIT_FAILING_MS, LONGEST_WAIT_MS, STALE_DISCOUNT, SUSPECT, TRIAL_DISCOUNT, Trials } from './trials.ts'

/** What an answer leaves of those before it: some 20 count. */
const KEEP = 0.95
/** What was learnt fades with this time, failures with the second. */
const EVIDENCE_DECAY_MS = 60_000
const FAILURE_DECAY_MS = 10_000
/** What a failure costs, in mean response times. */
const FAILURE_COST = 10
const FAILURES_MAX = 16
/** Fading is worked out anew after this time: the evidence is off by less than 1 %, the failures by less than 5 %. */
const REFRESH_MS = 500
/** How many mean answers a trial that went well is worth. */
const SETTLED_EVIDENCE = 3
/** A new endpoint's first request comes within this time, at once where nothing is known of any. */
const FIRST_REQUEST_MS = 1000

/** Columns of a row: one cache line. */
const SUM = 0
const MASS = 1
const SILENCE = 2
/** When all columns were right. */
const AT = 3
const OWN = 4
/** 1 / (MASS + 1). */
const INVERSE = 5
const FAILURES = 6
const ROW = 8

/**
 * Expected delay: (o + 1) · s, where o is what the whole machine has in flight at the endpoint and s an estimate of its
 * response time:
 *
 *   s = (M·w + S + G) / (W·w + 1) + 10·G·f·v      w = e^(−dt / 60 s), v = e^(−dt / 10 s), dt: time since
 *
 * With an answer that took x: M ← 0.95·M + min(x, 5G), W ← 0.95·W + 1, f ← f / 2, S ← 0. With a failure: f ← min(16, 2·f + 1),
 * M and W only fade, so that fast errors do not attract. G is the fleet's mean over about 200 answers: a belief for where
 * there is no evidence, and it counts as one answer.
 *
 * S is the silence: ∫ o dt since the last answer, where o is what this worker has in flight. By Little's law it is one mean
 * response time per answer on average, however many are in flight, so it shifts all endpoints alike; it grows without bound
 * while an endpoint that should answer does not. (The form of this that sums the ages of what is in flight counts long queues
 * twice: at 40 in flight an endpoint looks twice as slow as it is, and weights are not kept.)
 *
 * What looks slow is tried again: see `Trials`.
 */
class ExpectedDelayMetric implements LoadMetric {
  readonly name = 'expected-delay'
  readonly learns = true
  readonly #loads: Int32Array
  readonly #deps: PickerDeps
  readonly #fleet = new FleetMean()
  readonly #trials: Trials
  readonly #owners = new SlotOwners((slot) => this.#reset(slot))
  #rows = new Float64Array(0)

  constructor(deps: PickerDeps) {
    this.#deps = deps
    this.#loads = deps.loads
    this.#trials = new Trials(seededGenerator(deps))
  }

  update(members: Members): void {
    const slots = slotsNeeded(members, this.#rows.length / ROW)
    this.#rows = grownFloat64(this.#rows, slots * ROW)
    this.#trials.grow(slots)
    this.#owners.update(members)
  }

  #reset(slot: number): void {
    const row = slot * ROW
    const now = this.#deps.now()
    this.#rows.fill(0, row, row + ROW)
    this.#rows[row + AT] = now
    this.#rows[row + INVERSE] = 1
    this.#trials.reset(slot, now, this.#fleet.isKnown ? FIRST_REQUEST_MS : 0)
  }

  fill(slots: Int32Array, size: number, out: Float64Array, now: number): void {
    const loads = this.#loads
    const rows = this.#rows
    const trials = this.#trials
    const mean = this.#fleet.value
    const isKnown = this.#fleet.isKnown
    const isAffordable = trials.isAffordable
    const suspect = SUSPECT * mean
    const failureCost = FAILURE_COST * mean
    const refreshBefore = now - REFRESH_MS
    for (let index = 0; index < size; index++) {
      const slot = slots[index]!
      const row = slot * ROW
      if (rows[row + AT]! < refreshBefore) this.#advance(row, now)
      const own = rows[row + OWN]!
      const inverse = rows[row + INVERSE]!
      let delay =
        (rows[row + SUM]! + rows[row + SILENCE]! + own * (now - rows[row + AT]!) + mean) * inverse +
        failureCost * rows[row + FAILURES]!
      if (own === 0 && (delay > mean || (inverse === 1 && isKnown)) && trials.isDue(slot, now, isAffordable)) {
        delay = mean * (delay > suspect || inverse === 1 ? TRIAL_DISCOUNT : STALE_DISCOUNT)
      }
      out[index] = delay * (loads[slot]! + 1)
    }
  }

  cost(slot: number, now: number): number {
    const out = new Float64Array(1)
    this.fill(Int32Array.of(slot), 1, out, now)
    return out[0]!
  }

  began(slot: number, now: number): void {
    const rows = this.#rows
    const row = slot * ROW
    if (!(row < rows.length)) return
    this.#advance(row, now)
    const trials = this.#trials
    trials.passed(now)
    if (rows[row + OWN] === 0 && this.#isTried(row) && trials.isDue(slot, now, trials.isAffordable)) trials.begin(slot)
    rows[row + OWN] = rows[row + OWN]! + 1
  }

  ended(slot: number, now: number, latencyMs: number, outcome: number): void {
    const rows = this.#rows
    const row = slot * ROW
    if (!(row < rows.length)) return
    this.#advance(row, now)
    if (rows[row + OWN]! > 0) rows[row + OWN] = rows[row + OWN]! - 1
    const mean = this.#fleet.value
    if (outcome === Outcome.CANCELLED || Number.isNaN(latencyMs - latencyMs)) {
      // What was waited stays as a signal until the next answer, but counts no more than one answer may.
      rows[row + SILENCE] = this.#fleet.cut(rows[row + SILENCE]!)
      this.#trials.abandon(slot)
      return
    }
    const wasSuspect = this.#isSuspect(row)
    const isFailure = outcome === Outcome.FAILED
    rows[row + SILENCE] = 0
    if (isFailure) {
      rows[row + FAILURES] = Math.min(FAILURES_MAX, 2 * rows[row + FAILURES]! + 1)
      this.#learn(row, rows[row + SUM]! * KEEP, rows[row + MASS]! * KEEP)
    } else {
      rows[row + FAILURES] = rows[row + FAILURES]! / 2
      this.#learn(row, rows[row + SUM]! * KEEP + this.#fleet.cut(latencyMs), rows[row + MASS]! * KEEP + 1)
      this.#fleet.add(latencyMs)
    }
    const isSuspect = this.#isSuspect(row)
    if (!isSuspect && !this.#trials.isRunning(slot)) {
      this.#trials.settle(slot, now)
      return
    }
    const isGood = !isFailure && latencyMs <= (wasSuspect ? SUSPECT * mean : mean)
    const longest = isFailure ? LONGEST_WAIT_FAILING_MS : LONGEST_WAIT_MS
    if (this.#trials.judge(slot, isGood, now, longest)) {
      rows[row + FAILURES] = 0
      this.#learn(row, SETTLED_EVIDENCE * mean, SETTLED_EVIDENCE)
    }
  }

  /** Brings a row to `now`. */
  #advance(row: number, now: number): void {
    const rows = this.#rows
    const elapsed = now - rows[row + AT]!
    if (elapsed <= 0) return
    rows[row + AT] = now
    rows[row + SILENCE] = rows[row + SILENCE]! + rows[row + OWN]! * elapsed
    if (rows[row + FAILURES]! > 0) {
      rows[row + FAILURES] = rows[row + FAILURES]! * Math.exp(elapsed * (-1 / FAILURE_DECAY_MS))
    }
    if (rows[row + MASS]! > 0) {
      const keep = Math.exp(elapsed * (-1 / EVIDENCE_DECAY_MS))
      this.#learn(row, rows[row + SUM]! * keep, rows[row + MASS]! * keep)
    }
  }

  #learn(row: number, sum: number, mass: number): void {
    const rows = this.#rows
    rows[row + SUM] = sum
    rows[row + MASS] = mass
    rows[row + INVERSE] = 1 / (mass + 1)
  }

  /** Whether a request to it would be a trial, if one is due. */
  #isTried(row: number): boolean {
    return (this.#rows[row + MASS] === 0 && this.#fleet.isKnown) || this.#delay(row) > this.#fleet.value
  }

  #isSuspect(row: number): boolean {
    return this.#delay(row) > SUSPECT * this.#fleet.value
  }

  /** As of when the row was brought forward. */
  #delay(row: number): number {
    const rows = this.#rows
    const mean = this.#fleet.value
    return (
      (rows[row + SUM]! + rows[row + SILENCE]! + mean) * rows[row + INVERSE]! +
      FAILURE_COST * mean * rows[row + FAILURES]!
    )
  }

  parts(slot: number, now: number): Record<string, number> {
    const rows = this.#rows
    const row = slot * ROW
    const silenceMs = rows[row + SILENCE]! + rows[row + OWN]! * (now - rows[row + AT]!)
    const mean = this.#fleet.value
    const failureMs = FAILURE_COST * mean * rows[row + FAILURES]!
    const estimateMs = (rows[row + SUM]! + silenceMs + mean) * rows[row + INVERSE]!
    return {
      estimateMs,
      silenceMs,
      failureMs,
      evidence: rows[row + MASS]!,
      inFlight: this.#loads[slot]!,
      ownInFlight: rows[row + OWN]!,
      fleetMeanMs: mean,
      ...(estimateMs + failureMs > SUSPECT * mean ? { isSuspect: 1 } : {}),
    }
  }
}

export const expectedDelayMetricEntry: MetricEntry = {
  name: 'expected-delay',
  summary: 'estimated response time, with what is in flight and failures, × (requests in flight + 1)',
  options: {},
  create: (deps) => new ExpectedDelayMetric(deps),
}
