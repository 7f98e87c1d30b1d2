import { MemberIndex } from '../member-index.ts'
import { numberOption } from '../options.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps } from '../picker.ts'
import { explainInner, Modifier } from './modifier.ts'

export interface SlowStartOptions {
  /** How long it takes until an endpoint has its full weight, in milliseconds. */
  readonly windowMs: number
  /** 1: weight grows in a straight line; above: fast at first; below: slowly at first. 0.1 to 10, default 1. */
  readonly aggression?: number
  /** The share of its weight with which it begins. 0.001 to 1, default 0.1. */
  readonly minShare?: number
}

/** Weights change at most so often: hash pickers rebuild their tables. */
const LEAST_STEP_MS = 500
/** And not more often than so many times in the window. */
const STEPS = 20

/**
 * The part of its weight that an endpoint has `elapsedMs` after it joined: max(minShare, (elapsed / window) ^ (1 / aggression)).
 * Envoy's formula, but that it counts the first second as a whole one.
 */
export function slowStartShare(elapsedMs: number, windowMs: number, aggression: number, minShare: number): number {
  if (elapsedMs >= windowMs) return 1
  return Math.max(minShare, (Math.max(0, elapsedMs) / windowMs) ** (1 / aggression))
}

/**
 * Gives endpoints that join or recover a part of their weight, which grows over a window: caches are cold, code is not yet
 * compiled, connections are to be opened.
 *
 * By weight and not by a veto now and then, as pickers that look at load would give all they may to the empty newcomer. The
 * members of the first update have their full weight: when the balancer starts there is nobody warmer. Weights change in steps,
 * each of which is an `update` of the inner picker; outside of a window there is no cost but one comparison.
 */
export class SlowStartPicker extends Modifier {
  readonly #now: () => number
  readonly #windowMs: number
  readonly #aggression: number
  readonly #minShare: number
  readonly #stepMs: number
  readonly #index = new MemberIndex()
  #members: Members | null = null
  #isWarming = false
  /** By position. */
  #sinceMs = new Float64Array(0)
  #shares = new Float64Array(0)
  readonly #steppedMs = new Float64Array(1)

  /** Throws a RangeError for options out of range. */
  constructor(inner: Picker, deps: PickerDeps, options: SlowStartOptions) {
    super(inner)
    const given = { ...options }
    this.#now = deps.now
    this.#windowMs = numberOption(given, 'windowMs', Number.NaN, 1, 86_400_000)
    this.#aggression = numberOption(given, 'aggression', 1, 0.1, 10)
    this.#minShare = numberOption(given, 'minShare', 0.1, 0.001, 1)
    this.#stepMs = Math.max(LEAST_STEP_MS, this.#windowMs / STEPS)
  }

  update(members: Members): void {
    const { count } = members
    const isFirst = this.#members === null
    const former = this.#index.update(members)
    const now = this.#now()
    this.#sinceMs = Float64Array.from(former, (before, position) => {
      const told = members.sinceMs?.[position]
      if (told !== undefined) return told
      return before >= 0 ? this.#sinceMs[before]! : isFirst ? 0 : now
    })
    this.#members = {
      ...members,
      slots: members.slots.slice(0, count),
      weights: members.weights.slice(0, count),
      ids: members.ids.slice(0, count),
    }
    this.#step(this.#members, now)
  }

  pick(key: number, accept: Accept): number {
    this.#stepWhenDue()
    return this.inner.pick(key, accept)
  }

  explain(key: number, accept: Accept): Explanation {
    this.#stepWhenDue()
    const told = explainInner(this.inner, key, accept)
    const warming = this.#shares.filter((share) => share < 1).length
    if (warming === 0) return told
    return {
      ...told,
      reason: `${told.reason}; ${warming} in slow start`,
      candidates: told.candidates.map((candidate) => {
        const share = this.#shares[candidate.position]!
        return share < 1 ? { ...candidate, parts: { ...candidate.parts, slowStartShare: share } } : candidate
      }),
    }
  }

  #stepWhenDue(): void {
    if (!this.#isWarming) return
    const now = this.#now()
    if (now - this.#steppedMs[0]! >= this.#stepMs) this.#step(this.#members!, now)
  }

  #step(members: Members, now: number): void {
    this.#steppedMs[0] = now
    this.#shares = this.#sinceMs.map((sinceMs) =>
      sinceMs === 0 ? 1 : slowStartShare(now - sinceMs, this.#windowMs, this.#aggression, this.#minShare),
    )
    this.#isWarming = this.#shares.some((share) => share < 1)
    this.inner.update({
      ...members,
      weights: members.weights.map((weight, position) => weight * this.#shares[position]!),
    })
  }
}
