import type { Xoshiro128 } from '../../core/random.ts'
import { exponential } from './distributions.ts'

/** When requests come. */
export type Arrivals =
  | { readonly kind: 'poisson' }
  /** One after the other at even distances. */
  | { readonly kind: 'paced' }
  /**
   * A Poisson process that switches between two rates (MMPP): `factor` times as many requests in a burst as in between, bursts of
   * `onMs` and pauses of `offMs` on average, both exponential; the mean rate is the scenario's. `factor` Infinity: on and off.
   * `apart`: every balancer has bursts of its own.
   */
  | {
      readonly kind: 'bursts'
      readonly factor: number
      readonly onMs: number
      readonly offMs: number
      readonly apart?: boolean
    }
  /** At these times, in order, from 0; then it is over. */
  | { readonly kind: 'trace'; readonly atMs: ArrayLike<number> }

/** What is wrong with arrivals, or null. */
export function arrivalsProblem(arrivals: Arrivals): string | null {
  if (arrivals.kind === 'bursts') {
    if (!(arrivals.factor >= 1)) return `factor is ${arrivals.factor}, it must be at least 1`
    if (!(arrivals.onMs > 0 && arrivals.offMs > 0)) return `onMs is ${arrivals.onMs}, offMs is ${arrivals.offMs}`
  }
  if (arrivals.kind === 'trace') {
    const { atMs } = arrivals
    for (let index = 0; index < atMs.length; index++) {
      if (!(atMs[index]! >= (index === 0 ? 0 : atMs[index - 1]!))) return `arrival ${index} is at ${atMs[index]}`
    }
  }
  return null
}

/** One stream of arrivals. */
export interface ArrivalStream {
  /** The time of the arrival after the one at `now`; Infinity: there is none. `rate`: per millisecond, on average. */
  next(now: number, rate: number): number
}

/** Begins a stream. Its chances are its own. */
export function createStream(arrivals: Arrivals, chance: Xoshiro128): ArrivalStream {
  switch (arrivals.kind) {
    case 'poisson':
      return { next: (now, rate) => now + exponential(chance) / rate }
    case 'paced':
      return { next: (now, rate) => now + 1 / rate }
    case 'bursts':
      return createBursts(arrivals.factor, arrivals.onMs, arrivals.offMs, chance)
    case 'trace': {
      const { atMs } = arrivals
      let index = 0
      return { next: () => (index < atMs.length ? atMs[index++]! : Number.POSITIVE_INFINITY) }
    }
  }
}

function createBursts(factor: number, onMs: number, offMs: number, chance: Xoshiro128): ArrivalStream {
  const onShare = onMs / (onMs + offMs)
  // Relative to the mean: onShare · high + (1 - onShare) · low = 1 with high = factor · low.
  const low = factor === Number.POSITIVE_INFINITY ? 0 : 1 / (onShare * factor + 1 - onShare)
  const high = factor === Number.POSITIVE_INFINITY ? 1 / onShare : factor * low
  let isOn = chance.unit() < onShare
  let switchAt = exponential(chance) * (isOn ? onMs : offMs)
  return {
    next(now, rate) {
      let from = now
      for (;;) {
        const relative = isOn ? high : low
        const at = relative === 0 ? Number.POSITIVE_INFINITY : from + exponential(chance) / (rate * relative)
        if (at <= switchAt) return at
        // Exponential times have no memory: what is left of this one may be drawn anew at the other rate.
        from = switchAt
        isOn = !isOn
        switchAt += exponential(chance) * (isOn ? onMs : offMs)
      }
    },
  }
}
