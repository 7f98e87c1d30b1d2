import { EwmaColumns } from '../../signals/ewma.ts'
import { numberOption } from '../options.ts'
import type { Members, PickerDeps } from '../picker.ts'
import { Outcome, seededGenerator } from '../picker.ts'
import { FleetMean } from './fleet-mean.ts'
import type { LoadMetric, MetricEntry } from './load-metric.ts'
import { grownFloat64, SlotOwners, slotsNeeded } from './slot-owners.ts'
import { LONGEST_WAIT_FAILING_MS, LONGEST_WAIT_MS, STALE_DISCOUNT, SUSPECT, TRIAL_DISCOUNT, Trials } from './trials.ts'

const DEFAULT_DECAY_MS = 10_000
/** A failure counts as an answer that took this many times the mean. */
const FAILURE_COST = 10
/** A new endpoint's first request comes within this time, at once where nothing is known of any. */
const FIRST_REQUEST_MS = 1000

/**
 * The moving average of an endpoint's response times, older ones counting less (e^(−age / decay)), times what it would then
 * have in flight. To begin with an endpoint is believed to be as the mean of the fleet; that belief counts as one answer, or in a
 * large fleet the one with the luckiest first answer would draw everything. A failure counts as ten times the mean, so that
 * fast errors do not attract. What looks slow is tried again: see `Trials`.
 */
class ResponseTimeMetric implements LoadMetric {
  readonly name = 'response-time'
  readonly learns = true
  readonly #loads: Int32Array
  readonly #deps: PickerDeps
  readonly #decayMs: number
  readonly #fleet = new FleetMean()
  readonly #trials: Trials
  readonly #owners = new SlotOwners((slot) => this.#reset(slot))
  #sums = new Float64Array(0)
  #masses = new Float64Array(0)
  #atMs = new Float64Array(0)
  /** In flight from here: while it is not 0 there is something to wait for. */
  #own = new Int32Array(0)
  #averages: EwmaColumns

  constructor(deps: PickerDeps, decayMs: number) {
    this.#deps = deps
    this.#loads = deps.loads
    this.#decayMs = decayMs
    this.#trials = new Trials(seededGenerator(deps))
    this.#averages = new EwmaColumns(0, decayMs)
  }

  update(members: Members): void {
    const slots = slotsNeeded(members, this.#own.length)
    if (slots > this.#own.length) {
      this.#sums = grownFloat64(this.#sums, slots)
      this.#masses = grownFloat64(this.#masses, slots)
      this.#atMs = grownFloat64(this.#atMs, slots)
      const own = new Int32Array(slots)
      own.set(this.#own)
      this.#own = own
      this.#averages = new EwmaColumns(slots, this.#decayMs, {
        sums: this.#sums,
        masses: this.#masses,
        atMs: this.#atMs,
      })
      this.#trials.grow(slots)
    }
    this.#owners.update(members)
  }

  #reset(slot: number): void {
    this.#averages.reset(slot)
    this.#own[slot] = 0
    this.#trials.reset(slot, this.#deps.now(), this.#fleet.isKnown ? FIRST_REQUEST_MS : 0)
  }

  fill(slots: Int32Array, size: number, out: Float64Array, now: number): void {
    const loads = this.#loads
    const sums = this.#sums
    const masses = this.#masses
    const own = this.#own
    const trials = this.#trials
    const mean = this.#fleet.value
    const suspect = SUSPECT * mean
    const isKnown = this.#fleet.isKnown
    const isAffordable = trials.isAffordable
    for (let index = 0; index < size; index++) {
      const slot = slots[index]!
      const mass = masses[slot]!
      let average = (sums[slot]! + mean) / (mass + 1)
      if (own[slot] === 0 && (average > mean || (mass === 0 && isKnown)) && trials.isDue(slot, now, isAffordable)) {
        average = mean * (average > suspect || mass === 0 ? TRIAL_DISCOUNT : STALE_DISCOUNT)
      }
      out[index] = average * (loads[slot]! + 1)
    }
  }

  cost(slot: number, now: number): number {
    const out = new Float64Array(1)
    this.fill(Int32Array.of(slot), 1, out, now)
    return out[0]!
  }

  began(slot: number, now: number): void {
    const own = this.#own
    if (!(slot < own.length)) return
    this.#trials.passed(now)
    if (own[slot] === 0 && this.#isTried(slot) && this.#trials.isDue(slot, now, this.#trials.isAffordable)) {
      this.#trials.begin(slot)
    }
    own[slot] = own[slot]! + 1
  }

  ended(slot: number, now: number, latencyMs: number, outcome: number): void {
    const own = this.#own
    if (!(slot < own.length)) return
    if (own[slot]! > 0) own[slot] = own[slot]! - 1
    if (outcome === Outcome.CANCELLED || Number.isNaN(latencyMs - latencyMs)) {
      this.#trials.abandon(slot)
      return
    }
    const wasSuspect = this.#isSuspect(slot)
    const mean = this.#fleet.value
    const isFailure = outcome === Outcome.FAILED
    if (isFailure) this.#averages.record(slot, Math.max(latencyMs, FAILURE_COST * mean), now)
    else {
      this.#averages.record(slot, latencyMs, now)
      this.#fleet.add(latencyMs)
    }
    if (!this.#isSuspect(slot) && !this.#trials.isRunning(slot)) return this.#trials.settle(slot, now)
    const isGood = !isFailure && latencyMs <= (wasSuspect ? SUSPECT * mean : mean)
    const longest = isFailure ? LONGEST_WAIT_FAILING_MS : LONGEST_WAIT_MS
    if (this.#trials.judge(slot, isGood, now, longest)) {
      this.#averages.reset(slot)
      this.#averages.record(slot, Math.min(latencyMs, mean), now)
    }
  }

  /** Whether a request to it would be a trial, if one is due. */
  #isTried(slot: number): boolean {
    return (this.#masses[slot] === 0 && this.#fleet.isKnown) || this.#average(slot) > this.#fleet.value
  }

  #isSuspect(slot: number): boolean {
    return this.#average(slot) > SUSPECT * this.#fleet.value
  }

  #average(slot: number): number {
    return (this.#sums[slot]! + this.#fleet.value) / (this.#masses[slot]! + 1)
  }

  parts(slot: number, now: number): Record<string, number> {
    const mean = this.#fleet.value
    const isSuspect = this.#isSuspect(slot)
    return {
      averageMs: this.#average(slot),
      evidence: this.#averages.mass(slot, now),
      inFlight: this.#loads[slot]!,
      fleetMeanMs: mean,
      ...(isSuspect ? { isSuspect: 1 } : {}),
    }
  }
}

export const responseTimeEntry: MetricEntry = {
  name: 'response-time',
  summary: 'moving average of response times × (requests in flight + 1)',
  options: {
    decayMs: `response-time: age at which an answer counts 37 %, in ms; default ${DEFAULT_DECAY_MS}`,
  },
  create: (deps, options) =>
    new ResponseTimeMetric(deps, numberOption(options, 'decayMs', DEFAULT_DECAY_MS, 1, 3_600_000)),
}
