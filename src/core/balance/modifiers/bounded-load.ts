import { loadBound } from '../../hash/bounded-load.ts'
import { isWeight } from '../explanation.ts'
import { numberOption } from '../options.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps } from '../picker.ts'
import { explainInner, Modifier } from './modifier.ts'
import { Recount } from './recount.ts'

export interface BoundedLoadOptions {
  /** How far above its fair share of what is in flight an endpoint may go, 1 to 100; 1.25 is usual. */
  readonly factor: number
}

const acceptNone: Accept = () => false

/**
 * Vetoes endpoints that would have more in flight than `factor` × their share by weight of what is in flight over all that are
 * accepted (see `loadBound`). For hash pickers: a popular key's owner sheds what is too much to the next in the key's own order.
 *
 * What is in flight in total is counted anew after one pick per eight members (see `Recount`), so it may be out by an eighth of
 * a request per member and worker. Where by such an error nobody is below the bound, the bound is let go for that pick.
 */
export class BoundedLoadPicker extends Modifier {
  readonly #loads: Int32Array
  readonly #now: () => number
  readonly #factor: number
  readonly #recount = new Recount()
  #slots = new Int32Array(0)
  #weights = new Float64Array(0)
  /** Over those accepted at the last count: in flight, and weight. */
  #total = 0
  readonly #totalWeight = new Float64Array(1)
  #accept: Accept = acceptNone
  readonly #acceptBounded: Accept = (position) => this.#isBelowBound(position) && this.#accept(position)

  /** Throws a RangeError for a factor out of range. */
  constructor(inner: Picker, deps: PickerDeps, options: BoundedLoadOptions) {
    super(inner)
    this.#loads = deps.loads
    this.#now = deps.now
    this.#factor = numberOption({ ...options }, 'factor', Number.NaN, 1, 100)
  }

  update(members: Members): void {
    this.#slots = members.slots.slice(0, members.count)
    this.#weights = members.weights.slice(0, members.count)
    this.#recount.reset()
    this.inner.update(members)
  }

  pick(key: number, accept: Accept): number {
    this.#countWhenDue(accept)
    this.#accept = accept
    const position = this.inner.pick(key, this.#acceptBounded)
    this.#accept = acceptNone
    return position >= 0 ? position : this.inner.pick(key, accept)
  }

  override admits(position: number, accept: Accept): boolean {
    this.#countWhenDue(accept)
    return this.#isBelowBound(position) && super.admits(position, accept)
  }

  explain(key: number, accept: Accept): Explanation {
    this.#countWhenDue(accept)
    this.#accept = accept
    let told = explainInner(this.inner, key, this.#acceptBounded)
    this.#accept = acceptNone
    const isLetGo = told.position < 0
    if (isLetGo) told = explainInner(this.inner, key, accept)
    return {
      ...told,
      reason: `${told.reason}; ${isLetGo ? 'nobody accepted is below the bound of load, which does not count then' : `load bounded to ${this.#factor} × the fair share of ${this.#total} in flight`}`,
      candidates: told.candidates.map((candidate) => ({
        ...candidate,
        isVetoed: !accept(candidate.position),
        parts: {
          ...candidate.parts,
          inFlight: this.#loads[this.#slots[candidate.position]!]!,
          bound: this.#boundOf(candidate.position),
        },
      })),
    }
  }

  #boundOf(position: number): number {
    return loadBound(this.#factor, this.#total, this.#weights[position]!, this.#totalWeight[0]!)
  }

  #isBelowBound(position: number): boolean {
    return this.#loads[this.#slots[position]!]! < this.#boundOf(position)
  }

  #countWhenDue(accept: Accept): void {
    const count = this.#slots.length
    if (!this.#recount.isDue(count, this.#now())) return
    let total = 0
    let totalWeight = 0
    for (let position = 0; position < count; position++) {
      const weight = this.#weights[position]!
      if (!isWeight(weight) || !accept(position)) continue
      total += this.#loads[this.#slots[position]!]!
      totalWeight += weight
    }
    this.#total = total
    this.#totalWeight[0] = totalWeight
  }
}
