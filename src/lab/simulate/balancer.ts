import type { Accept, Members, Picker, PickerDeps } from '../../core/balance/picker.ts'
import { CodelQueue } from '../../core/resilience/codel.ts'
import { RetryBudget } from '../../core/resilience/retry-budget.ts'
import type { Fleet } from './fleet.ts'
import type { RequestPool } from './request-pool.ts'
import type { Scenario } from './scenario.ts'

/** Makes the picker to be tried. `truth`: the fleet as it is, which no real picker can see. */
export type CreatePicker = (deps: PickerDeps, truth: Fleet) => Picker

/** One balancer: what it believes of the fleet, and what it has in flight. */
export class Balancer {
  /** Its workers' pickers. */
  readonly pickers: Picker[] = []
  /** In flight by endpoint, as this balancer counts. */
  readonly loads: Int32Array
  /** Member by position. */
  slots = new Int32Array(0)
  readonly budget: RetryBudget
  /** Requests that found no endpoint with room; null: they fail. */
  readonly queue: CodelQueue<number> | null
  /** When it learns of things, as a factor of the mean delay. */
  readonly lateness: number
  /** The caller's veto, for `request`. */
  readonly accept: Accept
  /** Of the pick that is being made. -1: no veto but fitness and room. */
  request = -1
  readonly #isPresent: Uint8Array
  readonly #isFit: Uint8Array
  readonly #weights: Float64Array
  readonly #ids: readonly string[]
  readonly #maxInFlight: number

  /** `ids`: names of the endpoints. `lateness`: from 0.5 to 1.5. */
  constructor(scenario: Scenario, fleet: Fleet, requests: RequestPool, ids: readonly string[], lateness: number) {
    this.loads = new Int32Array(fleet.size)
    this.lateness = lateness
    this.#ids = ids
    this.#isFit = new Uint8Array(fleet.size).fill(1)
    this.#isPresent = Uint8Array.from(fleet.groupOf, (group) => (scenario.groups[group]!.isAbsent === true ? 0 : 1))
    this.#weights = Float64Array.from(fleet.groupOf, (group) => scenario.groups[group]!.weight ?? 1)
    this.#maxInFlight = scenario.queue?.maxInFlight ?? Number.POSITIVE_INFINITY
    this.budget = new RetryBudget(scenario.retries?.budget)
    this.queue = scenario.queue === undefined ? null : new CodelQueue<number>(scenario.queue)
    this.accept = (position) => {
      const slot = this.slots[position]!
      if (this.#isFit[slot] === 0 || this.loads[slot]! >= this.#maxInFlight) return false
      const { request } = this
      if (request < 0) return true
      const first = request * requests.stride
      for (let at = first + requests.tries[request]!; at-- > first; ) if (requests.tried[at] === slot) return false
      return true
    }
  }

  /** It may give this endpoint a further request. */
  hasRoom(slot: number): boolean {
    return this.#isFit[slot] === 1 && this.#isPresent[slot] === 1 && this.loads[slot]! < this.#maxInFlight
  }

  setPresent(slot: number, isPresent: boolean): void {
    this.#isPresent[slot] = isPresent ? 1 : 0
  }

  setFit(slot: number, isFit: boolean): void {
    this.#isFit[slot] = isFit ? 1 : 0
  }

  setWeight(slot: number, weight: number): void {
    this.#weights[slot] = weight
  }

  /** Tells the pickers who is there. */
  update(): void {
    const members = this.#members()
    this.slots = members.slots.slice()
    for (const picker of this.pickers) picker.update(members)
  }

  #members(): Members {
    const slots = Int32Array.from(this.#isPresent.keys()).filter((slot) => this.#isPresent[slot] === 1)
    return {
      count: slots.length,
      slots,
      weights: Float64Array.from(slots, (slot) => this.#weights[slot]!),
      ids: Array.from(slots, (slot) => this.#ids[slot]!),
    }
  }
}
