import { numberOption } from '../options.ts'
import type { Members, PickerDeps } from '../picker.ts'
import { Outcome } from '../picker.ts'
import { FleetMean } from './fleet-mean.ts'
import type { LoadMetric, MetricEntry } from './load-metric.ts'
import { grownFloat64, SlotOwners, slotsNeeded } from './slot-owners.ts'

const DEFAULT_DECAY_MS = 10_000
/** A failure counts as an answer that took this many times the mean, or twice the peak … */
const FAILURE_COST = 10
/** … but no more than this many times the mean. */
const FAILURE_COST_MAX = 160
/** The decay of a peak is worked out anew once in this part of the decay time: off by less than 2 %. */
const REFRESH = 1 / 64

/** Columns of a row. */
const PEAK = 0
/** When `PEAK` was right. */
const AT = 1
/** When this worker last heard of the endpoint, or began to wait for it. */
const HEARD_AT = 2
const OWN = 3
const ROW = 4

/**
 * Finagle's PeakEwma: the cost of an endpoint rises at once to a slow answer and decays from there, e^(−dt / decay), towards
 * faster ones; times what it would have in flight.
 *
 * Three things differ from Finagle's. A failure counts as an answer of ten times the mean, or twice the peak, up to 160 times: there
 * a fast error looks like a fast server and attracts. While this worker waits for an endpoint the cost is at least the time since
 * it was last heard of: there the cost of one that has gone silent decays, and it looks better the longer it is silent. An
 * endpoint without answers is believed to be as the mean of the fleet; there it costs nothing, then with one request in
 * flight nearly everything.
 */
class PeakEwmaMetric implements LoadMetric {
  readonly name = 'peak-ewma'
  readonly learns = true
  readonly #loads: Int32Array
  readonly #inverseDecay: number
  readonly #refreshMs: number
  readonly #fleet = new FleetMean()
  readonly #owners = new SlotOwners((slot) => this.#rows.fill(0, slot * ROW, slot * ROW + ROW))
  #rows = new Float64Array(0)

  constructor(deps: PickerDeps, decayMs: number) {
    this.#loads = deps.loads
    this.#inverseDecay = 1 / decayMs
    this.#refreshMs = decayMs * REFRESH
  }

  update(members: Members): void {
    const slots = slotsNeeded(members, this.#rows.length / ROW)
    this.#rows = grownFloat64(this.#rows, slots * ROW)
    this.#owners.update(members)
  }

  fill(slots: Int32Array, size: number, out: Float64Array, now: number): void {
    const loads = this.#loads
    const rows = this.#rows
    const mean = this.#fleet.value
    const refreshBefore = now - this.#refreshMs
    for (let index = 0; index < size; index++) {
      const slot = slots[index]!
      const row = slot * ROW
      const at = rows[row + AT]!
      const own = rows[row + OWN]!
      if (at < refreshBefore && at > 0 && own === 0) this.#decay(row, now)
      let peak = at > 0 ? rows[row + PEAK]! : mean
      const silence = now - rows[row + HEARD_AT]!
      if (silence > peak && own > 0) peak = silence
      out[index] = peak * (loads[slot]! + 1)
    }
  }

  cost(slot: number, now: number): number {
    const out = new Float64Array(1)
    this.fill(Int32Array.of(slot), 1, out, now)
    return out[0]!
  }

  /** Only while nothing of ours is in flight: who keeps us waiting is forgiven nothing. */
  #decay(row: number, now: number): void {
    const rows = this.#rows
    const elapsed = now - rows[row + AT]!
    rows[row + AT] = now
    if (elapsed > 0) rows[row + PEAK] = rows[row + PEAK]! * Math.exp(-elapsed * this.#inverseDecay)
  }

  began(slot: number, now: number): void {
    const rows = this.#rows
    const row = slot * ROW
    if (!(row < rows.length)) return
    if (rows[row + OWN] === 0) {
      if (rows[row + AT]! > 0) this.#decay(row, now)
      rows[row + HEARD_AT] = now
    }
    rows[row + OWN] = rows[row + OWN]! + 1
  }

  ended(slot: number, now: number, latencyMs: number, outcome: number): void {
    const rows = this.#rows
    const row = slot * ROW
    if (!(row < rows.length)) return
    if (rows[row + OWN]! > 0) rows[row + OWN] = rows[row + OWN]! - 1
    if (outcome === Outcome.CANCELLED || Number.isNaN(latencyMs - latencyMs)) return
    const mean = this.#fleet.value
    const peak = rows[row + PEAK]!
    let sample = latencyMs
    if (outcome === Outcome.FAILED) {
      sample = Math.max(latencyMs, Math.min(FAILURE_COST_MAX * mean, Math.max(FAILURE_COST * mean, 2 * peak)))
    } else {
      this.#fleet.add(latencyMs)
    }
    if (sample > peak || rows[row + AT] === 0) rows[row + PEAK] = sample
    else {
      const weight = Math.exp(-Math.max(0, now - rows[row + AT]!) * this.#inverseDecay)
      rows[row + PEAK] = peak * weight + sample * (1 - weight)
    }
    rows[row + AT] = now
    rows[row + HEARD_AT] = now
  }

  parts(slot: number, now: number): Record<string, number> {
    const row = slot * ROW
    const rows = this.#rows
    return {
      ...(rows[row + AT]! > 0 ? { peakMs: rows[row + PEAK]! } : {}),
      ...(rows[row + OWN]! > 0 ? { silentMs: now - rows[row + HEARD_AT]! } : {}),
      inFlight: this.#loads[slot]!,
      fleetMeanMs: this.#fleet.value,
    }
  }
}

export const peakEwmaMetricEntry: MetricEntry = {
  name: 'peak-ewma',
  summary: 'the latest peak of response times, decaying, × (requests in flight + 1)',
  options: { decayMs: `peak-ewma: time in which a peak decays to 37 %, in ms; default ${DEFAULT_DECAY_MS}` },
  create: (deps, options) => new PeakEwmaMetric(deps, numberOption(options, 'decayMs', DEFAULT_DECAY_MS, 1, 3_600_000)),
}
