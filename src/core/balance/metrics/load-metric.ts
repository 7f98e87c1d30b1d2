import type { Members, PickerDeps } from '../picker.ts'

/**
 * Says how loaded an endpoint is; which one to take is a picker's matter. Lower is better; whoever compares divides by weight.
 *
 * State is by slot with the endpoint's id remembered: it outlives changes of membership and weight, and another id at a slot
 * starts anew. Times are milliseconds by the clock of `PickerDeps.now`.
 */
export interface LoadMetric {
  readonly name: string
  /** Whether `began` and `ended` teach it anything. */
  readonly learns: boolean
  /** New members: room for their slots, and a new start for those that have another owner. */
  update(members: Members): void
  /** Writes the cost of one more request at each of `slots` into `out`: entries [0, size) of both. Allocates nothing. */
  fill(slots: Int32Array, size: number, out: Float64Array, now: number): void
  /** The same for one slot. */
  cost(slot: number, now: number): number
  /** A request was sent to `slot`. */
  began(slot: number, now: number): void
  /** A request that began is over. `outcome`: see `Outcome`. */
  ended(slot: number, now: number, latencyMs: number, outcome: number): void
  /** What `cost` is made of, for explanations. */
  parts(slot: number, now: number): Readonly<Record<string, number>>
}

/** A row of the registry of metrics. */
export interface MetricEntry {
  readonly name: string
  readonly summary: string
  /** Its options and what they mean. */
  readonly options: Readonly<Record<string, string>>
  create(deps: PickerDeps, options: Readonly<Record<string, unknown>>): LoadMetric
}
