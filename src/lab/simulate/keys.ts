import { combine } from '../../core/hash/mix.ts'
import type { Xoshiro128 } from '../../core/random.ts'

/** Which keys requests have: numbers in [0, count). */
export type KeySpec =
  | { readonly count: number; readonly distribution: 'uniform' }
  /** The i-th key has a share in proportion to i^-exponent. `exponent` above 0, default 1. */
  | { readonly count: number; readonly distribution: 'zipf'; readonly exponent?: number }
  /** These, one after the other, and again from the first. */
  | { readonly count: number; readonly distribution: 'replayed'; readonly order: ArrayLike<number> }

/** What is wrong with keys, or null. */
export function keysProblem(spec: KeySpec): string | null {
  const { count } = spec
  if (!(Number.isInteger(count) && count >= 1 && count <= 2 ** 30)) return `count is ${count}`
  if (spec.distribution === 'zipf' && !((spec.exponent ?? 1) > 0)) return `exponent is ${spec.exponent}`
  if (spec.distribution === 'replayed') {
    const { order } = spec
    if (order.length === 0) return 'there are none to replay'
    for (let index = 0; index < order.length; index++) {
      if (!(order[index]! >= 0 && order[index]! < count)) return `key ${index} is ${order[index]}, count is ${count}`
    }
  }
  return null
}

/** Draws key numbers in [0, count). */
export function createKeySampler(spec: KeySpec, chance: Xoshiro128): () => number {
  const { count } = spec
  switch (spec.distribution) {
    case 'uniform':
      return () => Math.floor(chance.unit() * count)
    case 'zipf':
      return createZipfSampler(count, spec.exponent ?? 1, chance)
    case 'replayed': {
      const { order } = spec
      let index = -1
      return () => {
        index = (index + 1) % order.length
        return order[index]!
      }
    }
  }
}

/** The 32-bit hash that stands for a key, as a `HashFunction` would make it of the key's text. For one salt a bijection. */
export function hashOfKey(key: number, salt = 0): number {
  return combine(salt, key)
}

/**
 * Zipf's law without a table, in constant time: rejection from the integral of the density.
 * Source: Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions", ACM
 * TOMACS 6(3), 1996; names as there.
 */
function createZipfSampler(count: number, exponent: number, chance: Xoshiro128): () => number {
  // H(x) = ∫ t^-exponent dt, without the constant; the limit at exponent 1 is the logarithm.
  const integral = (x: number): number => (exponent === 1 ? Math.log(x) : (x ** (1 - exponent) - 1) / (1 - exponent))
  const inverse = (u: number): number =>
    exponent === 1 ? Math.exp(u) : Math.max(0, 1 + u * (1 - exponent)) ** (1 / (1 - exponent))
  const density = (x: number): number => x ** -exponent
  const first = integral(1.5) - 1
  const last = integral(count + 0.5)
  const shortcut = 2 - inverse(integral(2.5) - density(2))
  return () => {
    for (;;) {
      const u = last + chance.unit() * (first - last)
      const x = inverse(u)
      const k = Math.min(count, Math.max(1, Math.round(x)))
      if (k - x <= shortcut || u >= integral(k + 0.5) - density(k)) return k - 1
    }
  }
}
