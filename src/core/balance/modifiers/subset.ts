import { combine } from '../../hash/mix.ts'
import { firstSeed, secondSeed } from '../../hash/ranked-members.ts'
import { isWeight } from '../explanation.ts'
import { numberOption } from '../options.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps } from '../picker.ts'
import { explainInner, Modifier } from './modifier.ts'
import { Recount } from './recount.ts'
import { subMembers } from './tiers-and-zones.ts'

export interface SubsetOptions {
  /** The name of this balancer, another one on each instance. */
  readonly instance: string
  /** Endpoints to use while there are so many that are accepted, from 1. */
  readonly size: number
  /**
   * Requests that this balancer (this worker) wants to have in flight per endpoint, 0.1 to 1e6: with more the subset grows beyond
   * `size`. Default: it does not grow. A balancer that outgrows a subset of fixed size breaks it while others idle.
   */
  readonly perEndpoint?: number
}

/** The inner picker gets other members at most so often, but when nobody of the subset is accepted. */
const LEAST_STEP_MS = 500
/** A peak of concurrency is remembered for so long: e^(-age / this) of it. */
const PEAK_MS = 10_000

const acceptNone: Accept = () => false

/**
 * Uses some of the endpoints only, so that many balancers need not hold connections to all.
 *
 * Members are ranked by a hash of instance and id (rendezvous): the subset is the first of them up to `size` that are accepted. So
 * each instance has its own, the same after a restart, and when an endpoint fails or leaves, the next in rank stands in for it
 * and nobody else's place changes. Chosen over subsets dealt out in rounds, which cover endpoints exactly evenly but need every
 * instance to be numbered and move most of all subsets when one joins: here the number of instances that use an endpoint is
 * binomial, at 100 instances with 20 of 100 endpoints each 20 ± 4. Weights count within the subset.
 *
 * With `perEndpoint` it is an aperture: at least ⌈concurrency / perEndpoint⌉, where concurrency is the recent peak of what this
 * worker has in flight; it grows at once and shrinks over some `PEAK_MS`.
 */
export class SubsetPicker extends Modifier {
  readonly #now: () => number
  readonly #first: number
  readonly #second: number
  readonly #size: number
  readonly #perEndpoint: number
  readonly #recount = new Recount()
  #members: Members = { count: 0, slots: new Int32Array(0), weights: new Float64Array(0), ids: [] }
  /** Positions with weight, by rank. */
  #ranked = new Int32Array(0)
  /** By position; only of those with weight. */
  #rankOf = new Int32Array(0)
  /** The subset is the first so many of them. */
  #width = 0
  /** [0]: when the inner picker got members last; [1]: peak of what is in flight from here, [2]: as of. */
  readonly #numbers = new Float64Array(3)
  #inFlight = 0
  #accept: Accept = acceptNone
  readonly #acceptRank: Accept = (rank) => this.#accept(this.#ranked[rank]!)

  /** Throws a RangeError for options out of range. */
  constructor(inner: Picker, deps: PickerDeps, options: SubsetOptions) {
    super(inner)
    const given = { ...options }
    this.#now = deps.now
    this.#first = firstSeed(options.instance)
    this.#second = secondSeed(options.instance)
    this.#size = Math.round(numberOption(given, 'size', Number.NaN, 1, 1e6))
    this.#perEndpoint = numberOption(given, 'perEndpoint', Number.POSITIVE_INFINITY, 0.1, 1e6)
    if (this.#perEndpoint < Number.POSITIVE_INFINITY) {
      this.began = (slot) => {
        this.#inFlight++
        if (this.#inFlight > this.#numbers[1]!) this.#numbers[1] = this.#inFlight
        inner.began?.(slot)
      }
      this.ended = (slot, latencyMs, outcome) => {
        if (this.#inFlight > 0) this.#inFlight--
        inner.ended?.(slot, latencyMs, outcome)
      }
    }
  }

  update(members: Members): void {
    const { count, ids, weights } = members
    this.#members = subMembers(
      members,
      Array.from({ length: count }, (_, position) => position),
    )
    const ranks: { readonly position: number; readonly first: number; readonly second: number }[] = []
    for (let position = 0; position < count; position++) {
      if (!isWeight(weights[position]!)) continue
      const id = ids[position]!
      const first = combine(this.#first, firstSeed(id))
      ranks.push({ position, first, second: combine(this.#second, secondSeed(id)) })
    }
    ranks.sort((a, b) => a.first - b.first || a.second - b.second)
    this.#ranked = Int32Array.from(ranks, ({ position }) => position)
    this.#rankOf = new Int32Array(count)
    for (const [rank, { position }] of ranks.entries()) this.#rankOf[position] = rank
    this.#widen(Math.min(ranks.length, Math.max(this.#width, this.#target(this.#now()))))
    this.#recount.reset()
  }

  pick(key: number, accept: Accept): number {
    this.#fitWhenDue(accept)
    const rank = this.#pickRank(key, accept)
    if (rank >= 0) return this.#ranked[rank]!
    if (!this.#widenToAccepted(accept)) return -1
    return this.#ranked[this.#pickRank(key, accept)]!
  }

  /** A session may be bound to an endpoint outside of the subset, since before it changed: only the caller's veto counts there. */
  override admits(position: number, accept: Accept): boolean {
    const rank = this.#rankOf[position]!
    if (this.#ranked[rank] !== position || rank >= this.#width) return accept(position)
    this.#accept = accept
    const isAdmitted = super.admits(rank, this.#acceptRank)
    this.#accept = acceptNone
    return isAdmitted
  }

  explain(key: number, accept: Accept): Explanation {
    this.#fitWhenDue(accept)
    const ranked = this.#ranked
    const acceptRank: Accept = (rank) => accept(ranked[rank]!)
    let told = explainInner(this.inner, key, acceptRank)
    if (told.position < 0 && this.#widenToAccepted(accept)) told = explainInner(this.inner, key, acceptRank)
    return {
      ...told,
      position: told.position < 0 ? -1 : ranked[told.position]!,
      reason: `${told.reason}; from a subset of ${this.#width} of ${ranked.length}`,
      candidates: told.candidates.map((candidate) => ({
        ...candidate,
        position: ranked[candidate.position]!,
        parts: { ...candidate.parts, subsetRank: candidate.position },
      })),
      others: ranked.length - told.candidates.length,
    }
  }

  #pickRank(key: number, accept: Accept): number {
    this.#accept = accept
    const rank = this.inner.pick(key, this.#acceptRank)
    this.#accept = acceptNone
    return rank
  }

  /** How many accepted endpoints there should be. */
  #target(now: number): number {
    const numbers = this.#numbers
    const faded = numbers[1]! * Math.exp((numbers[2]! - now) / PEAK_MS)
    const peak = Math.max(this.#inFlight, faded)
    numbers[1] = peak
    numbers[2] = now
    return Math.max(this.#size, Math.ceil(peak / this.#perEndpoint))
  }

  #fitWhenDue(accept: Accept): void {
    const now = this.#now()
    if (!this.#recount.isDue(this.#width, now)) return
    const target = this.#target(now)
    const size = this.#ranked.length
    let width = 0
    for (let accepted = 0; width < size && accepted < target; width++) {
      if (accept(this.#ranked[width]!)) accepted++
    }
    if (width !== this.#width && now - this.#numbers[0]! >= LEAST_STEP_MS) this.#widen(width)
  }

  /** When nobody of the subset is accepted: up to the first who is. False when there is none. */
  #widenToAccepted(accept: Accept): boolean {
    for (let rank = this.#width; rank < this.#ranked.length; rank++) {
      if (!accept(this.#ranked[rank]!)) continue
      this.#widen(rank + 1)
      return true
    }
    return false
  }

  #widen(width: number): void {
    this.#numbers[0] = this.#now()
    this.#width = width
    this.inner.update(subMembers(this.#members, this.#ranked.subarray(0, width)))
  }
}
