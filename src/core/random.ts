/**
 * xoshiro128** by Blackman and Vigna (https://prng.di.unimi.it): fast, equidistributed in four dimensions, period 2^128 - 1.
 * For choices among endpoints, not for secrets. The same seed gives the same sequence everywhere.
 */
export class Xoshiro128 {
  /** A typed array: three times as fast as four fields, and nothing is ever boxed. */
  readonly #state: Int32Array

  /** Takes the low 32 bits of `seed`; any value will do. */
  constructor(seed: number) {
    // The one state that xoshiro cannot leave is all zeroes: 1 keeps it away.
    const next = splitmix32(seed)
    this.#state = Int32Array.of(next(), next(), next(), next() | 1)
  }

  /** The next 32 random bits, as Int32. */
  int32(): number {
    const state = this.#state
    const b = state[1]!
    const product = Math.imul(b, 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9)
    const c = state[2]! ^ state[0]!
    const d = state[3]! ^ b
    state[0] = state[0]! ^ d
    state[1] = b ^ c
    state[2] = c ^ (b << 9)
    state[3] = (d << 11) | (d >>> 21)
    return result
  }

  /** A whole number in [0, n), each exactly as likely as the others; n from 1 to 2^21. */
  below(n: number): number {
    // Lemire's multiplication with rejection (https://arxiv.org/abs/1805.10941). The product of 32 and 21 bits is exact.
    let product = (this.int32() >>> 0) * n
    let low = product >>> 0
    if (low < n) {
      const threshold = (TWO_32 - n) % n
      while (low < threshold) {
        product = (this.int32() >>> 0) * n
        low = product >>> 0
      }
    }
    return (product / TWO_32) | 0
  }

  /** A number in [0, 1) of 53 random bits. */
  unit(): number {
    return ((this.int32() >>> 5) * 0x400_0000 + (this.int32() >>> 6)) / 0x20_0000_0000_0000
  }
}

/** A seeded stand-in for `Math.random`. */
export function createRandom(seed: number): () => number {
  const generator = new Xoshiro128(seed)
  return () => generator.unit()
}

const TWO_32 = 0x1_0000_0000

/** Spreads a seed over a state (Steele, Lea and Flood's splitmix, in 32 bits). */
function splitmix32(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x9e37_79b9) | 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0_aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97)
    return mixed ^ (mixed >>> 15)
  }
}
