import type { Xoshiro128 } from '../../core/random.ts'

/** How long something takes, in milliseconds. */
export type Distribution =
  | { readonly kind: 'constant'; readonly meanMs: number }
  | { readonly kind: 'exponential'; readonly meanMs: number }
  /** `sigma`: standard deviation of the logarithm; 1 has p99 / mean = 6.2. */
  | { readonly kind: 'lognormal'; readonly meanMs: number; readonly sigma: number }
  /** Short ones, and a share `longRatio` of long ones. `exponential`: each of the two is exponential around its mean, not constant. */
  | {
      readonly kind: 'bimodal'
      readonly shortMs: number
      readonly longMs: number
      readonly longRatio: number
      readonly exponential?: boolean
    }
  /** Values that were measured, each as likely as the others. */
  | { readonly kind: 'measured'; readonly valuesMs: ArrayLike<number> }
  /** These, one after the other, and again from the first. */
  | { readonly kind: 'replayed'; readonly valuesMs: ArrayLike<number> }

/** The mean, exactly. */
export function meanOf(distribution: Distribution): number {
  switch (distribution.kind) {
    case 'constant':
    case 'exponential':
    case 'lognormal':
      return distribution.meanMs
    case 'bimodal':
      return distribution.shortMs * (1 - distribution.longRatio) + distribution.longMs * distribution.longRatio
    case 'measured':
    case 'replayed': {
      const { valuesMs } = distribution
      let sum = 0
      for (let index = 0; index < valuesMs.length; index++) sum += valuesMs[index]!
      return sum / valuesMs.length
    }
  }
}

/** What is wrong with a distribution, or null. */
export function distributionProblem(distribution: Distribution): string | null {
  const isTime = (value: number): boolean => value >= 0 && Number.isFinite(value)
  switch (distribution.kind) {
    case 'constant':
    case 'exponential':
      return isTime(distribution.meanMs) ? null : `meanMs is ${distribution.meanMs}`
    case 'lognormal':
      if (!isTime(distribution.meanMs)) return `meanMs is ${distribution.meanMs}`
      return isTime(distribution.sigma) ? null : `sigma is ${distribution.sigma}`
    case 'bimodal': {
      const { shortMs, longMs, longRatio } = distribution
      if (!isTime(shortMs) || !isTime(longMs)) return `shortMs is ${shortMs}, longMs is ${longMs}`
      return longRatio >= 0 && longRatio <= 1 ? null : `longRatio is ${longRatio}, it must be from 0 to 1`
    }
    case 'measured':
    case 'replayed': {
      const { valuesMs } = distribution
      if (valuesMs.length === 0) return 'there are no measured values'
      for (let index = 0; index < valuesMs.length; index++) {
        if (!isTime(valuesMs[index]!)) return `measured value ${index} is ${valuesMs[index]}`
      }
      return null
    }
  }
}

/** Draws from a distribution with a generator of its own. */
export function createSampler(distribution: Distribution, chance: Xoshiro128): () => number {
  switch (distribution.kind) {
    case 'constant': {
      const { meanMs } = distribution
      return () => meanMs
    }
    case 'exponential': {
      const { meanMs } = distribution
      return () => meanMs * exponential(chance)
    }
    case 'lognormal': {
      const { meanMs, sigma } = distribution
      // E[e^(mu + sigma z)] = e^(mu + sigma² / 2).
      const scale = meanMs * Math.exp((-sigma * sigma) / 2)
      return () => scale * Math.exp(sigma * normal(chance))
    }
    case 'bimodal': {
      const { shortMs, longMs, longRatio } = distribution
      if (distribution.exponential === true) {
        return () => (chance.unit() < longRatio ? longMs : shortMs) * exponential(chance)
      }
      return () => (chance.unit() < longRatio ? longMs : shortMs)
    }
    case 'measured': {
      const values = Float64Array.from(distribution.valuesMs)
      return () => values[Math.floor(chance.unit() * values.length)]!
    }
    case 'replayed': {
      const { valuesMs } = distribution
      let index = -1
      return () => {
        index = (index + 1) % valuesMs.length
        return valuesMs[index]!
      }
    }
  }
}

/** Exponential with mean 1. */
export function exponential(chance: Xoshiro128): number {
  // 1 - unit() is in (0, 1], where the logarithm is finite.
  return -Math.log(1 - chance.unit())
}

/** Standard normal, by Box and Muller; the second value of a pair is not kept, so that a draw depends on nothing before it. */
function normal(chance: Xoshiro128): number {
  return Math.sqrt(2 * exponential(chance)) * Math.cos(2 * Math.PI * chance.unit())
}
