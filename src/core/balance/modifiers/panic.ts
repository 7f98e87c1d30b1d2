import { isWeight, percent } from '../explanation.ts'
import { numberOption } from '../options.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps } from '../picker.ts'
import { explainInner, Modifier } from './modifier.ts'
import { Recount } from './recount.ts'

export interface PanicOptions {
  /**
   * Health is ignored while a smaller share of the members with weight is healthy: 0 (never) to 1. There is no default but
   * off. Envoy's is 0.5, which suits large fleets, where half of them failing at once is more likely a broken check, and the
   * healthy rest would break under everything; of three servers with two dead it would send two requests in three to
   * dead ones, where a small pool is expected to carry on with the last.
   */
  readonly threshold: number
}

const acceptNone: Accept = () => false

/**
 * Keeps requests from unhealthy endpoints, unless so few are healthy that health is ignored.
 *
 * The caller's veto must leave health out then: it says what may not be taken even in a panic (draining, tried before, no
 * connection free), `isHealthy` the rest. The share is counted anew after one pick per eight members, see `Recount`.
 */
export class PanicPicker extends Modifier {
  readonly #now: () => number
  readonly #threshold: number
  readonly #isHealthy: (slot: number) => boolean
  readonly #recount = new Recount()
  #slots = new Int32Array(0)
  #weights = new Float64Array(0)
  #size = 0
  #healthy = 0
  #isPanic = false
  #accept: Accept = acceptNone
  readonly #acceptHealthy: Accept = (position) => this.#isHealthy(this.#slots[position]!) && this.#accept(position)

  /** Throws a RangeError for a threshold out of range. */
  constructor(inner: Picker, deps: PickerDeps, options: PanicOptions, isHealthy: (slot: number) => boolean) {
    super(inner)
    this.#now = deps.now
    this.#threshold = numberOption({ ...options }, 'threshold', Number.NaN, 0, 1)
    this.#isHealthy = isHealthy
  }

  update(members: Members): void {
    this.#slots = members.slots.slice(0, members.count)
    this.#weights = members.weights.slice(0, members.count)
    this.#recount.reset()
    this.inner.update(members)
  }

  pick(key: number, accept: Accept): number {
    this.#countWhenDue()
    if (this.#isPanic) return this.inner.pick(key, accept)
    this.#accept = accept
    const position = this.inner.pick(key, this.#acceptHealthy)
    this.#accept = acceptNone
    return position
  }

  override admits(position: number, accept: Accept): boolean {
    this.#countWhenDue()
    if (this.#isPanic) return super.admits(position, accept)
    this.#accept = accept
    const isAdmitted = super.admits(position, this.#acceptHealthy)
    this.#accept = acceptNone
    return isAdmitted
  }

  explain(key: number, accept: Accept): Explanation {
    this.#countWhenDue()
    if (this.#isPanic) {
      const told = explainInner(this.inner, key, accept)
      return {
        ...told,
        reason: `${told.reason}; panic: only ${this.#healthy} of ${this.#size} are healthy, below ${percent(this.#threshold)}, so health is ignored`,
      }
    }
    this.#accept = accept
    const told = explainInner(this.inner, key, this.#acceptHealthy)
    this.#accept = acceptNone
    return {
      ...told,
      reason: `${told.reason}; ${this.#healthy} of ${this.#size} are healthy`,
      candidates: told.candidates.map((candidate) => {
        const isHealthy = this.#isHealthy(this.#slots[candidate.position]!)
        return { ...candidate, parts: { ...candidate.parts, healthy: isHealthy ? 1 : 0 } }
      }),
    }
  }

  #countWhenDue(): void {
    const count = this.#slots.length
    if (!this.#recount.isDue(count, this.#now())) return
    let size = 0
    let healthy = 0
    for (let position = 0; position < count; position++) {
      if (!isWeight(this.#weights[position]!)) continue
      size++
      if (this.#isHealthy(this.#slots[position]!)) healthy++
    }
    this.#size = size
    this.#healthy = healthy
    this.#isPanic = healthy < this.#threshold * size
  }
}
