/**
 * HalfSipHash-1-3 with 64 bits of output over 16 bytes: a keyed hash whose values nobody can predict or steer without the
 * key, in 32-bit operations alone. Source: SipHash by Aumasson and Bernstein, and their 32-bit variant HalfSipHash.
 *
 * The result is left in `low` and `high` (Int32 each), so that hashing allocates nothing.
 */
export class HalfSipHash {
  low = 0
  high = 0
  readonly #k0: number
  readonly #k1: number

  constructor(k0: number, k1: number) {
    this.#k0 = k0 | 0
    this.#k1 = k1 | 0
  }

  /** Hashes the first 16 bytes of `bytes`. */
  hash16(bytes: Uint8Array): void {
    const k0 = this.#k0
    const k1 = this.#k1
    let v0 = k0
    let v1 = k1 ^ 0xee
    let v2 = 0x6c796765 ^ k0
    let v3 = 0x74656462 ^ k1
    // Four words of input, then one that holds the length; 3 rounds finish each half of the output.
    for (let step = 0; step < 11; step++) {
      let word = 0
      if (step < 4) {
        const at = step * 4
        word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
      } else if (step === 4) {
        word = 16 << 24
      } else if (step === 5) {
        v2 ^= 0xee
      } else if (step === 8) {
        this.low = v1 ^ v3
        v1 ^= 0xdd
      }
      v3 ^= word
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
      v0 ^= word
    }
    this.high = v1 ^ v3
  }
}
