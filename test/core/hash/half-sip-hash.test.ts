import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { HalfSipHash } from '../../../src/core/hash/half-sip-hash.ts'
import { Xoshiro128 } from '../../../src/core/random.ts'

/** HalfSipHash with 64 bits of output as the paper states it: any length, any number of rounds. Low half first. */
function reference(bytes: Uint8Array, k0: number, k1: number, compress: number, finish: number): [number, number] {
  let [v0, v1, v2, v3] = [k0, k1 ^ 0xee, 0x6c79_6765 ^ k0, 0x7465_6462 ^ k1]
  const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by))
  const rounds = (count: number): void => {
    for (let i = 0; i < count; i++) {
      v0 = (v0 + v1) | 0
      v1 = rotate(v1, 5) ^ v0
      v0 = rotate(v0, 16)
      v2 = (v2 + v3) | 0
      v3 = rotate(v3, 8) ^ v2
      v0 = (v0 + v3) | 0
      v3 = rotate(v3, 7) ^ v0
      v2 = (v2 + v1) | 0
      v1 = rotate(v1, 13) ^ v2
      v2 = rotate(v2, 16)
    }
  }
  const whole = bytes.length & ~3
  for (let at = 0; at <= whole; at += 4) {
    let word = at === whole ? bytes.length << 24 : 0
    for (let i = 0; i < 4 && at + i < bytes.length; i++) word |= bytes[at + i]! << (8 * i)
    v3 ^= word
    rounds(compress)
    v0 ^= word
  }
  v2 ^= 0xee
  rounds(finish)
  const low = v1 ^ v3
  v1 ^= 0xdd
  rounds(finish)
  return [low, v1 ^ v3]
}

const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i)

describe('HalfSipHash-1-3', () => {
  test('the reference below gives the published 2-4 vectors', () => {
    const hex = (length: number): string => {
      const out = Buffer.alloc(8)
      const [low, high] = reference(counting(length), 0x0302_0100, 0x0706_0504, 2, 4)
      out.writeInt32LE(low, 0)
      out.writeInt32LE(high, 4)
      return out.toString('hex')
    }
    assert.equal(hex(0), '218d1f59b9b83cc8')
    assert.equal(hex(1), 'be552412f8387315')
    assert.equal(hex(8), 'edfee820bce4858c')
    assert.equal(hex(16), '7336aad25f7bf3b5')
  })

  test('is the reference with 1 and 3 rounds', () => {
    const chance = new Xoshiro128(1)
    for (let trial = 0; trial < 500; trial++) {
      const key = [chance.int32(), chance.int32()] as const
      const bytes = Uint8Array.from({ length: 16 }, () => chance.below(256))
      const hash = new HalfSipHash(...key)
      hash.hash16(bytes)
      assert.deepEqual([hash.low, hash.high], reference(bytes, ...key, 1, 3))
    }
  })

  test('every bit of input and of key changes every bit of output about half the time', () => {
    const chance = new Xoshiro128(2)
    const trials = 400
    for (let bit = 0; bit < 128 + 64; bit += 7) {
      const flips = new Int32Array(64)
      for (let trial = 0; trial < trials; trial++) {
        const bytes = Uint8Array.from({ length: 16 }, () => chance.below(256))
        const key = [chance.int32(), chance.int32()]
        const before = new HalfSipHash(key[0]!, key[1]!)
        before.hash16(bytes)
        if (bit < 128) bytes[bit >> 3]! ^= 1 << (bit & 7)
        else key[(bit - 128) >> 5]! ^= 1 << (bit & 31)
        const after = new HalfSipHash(key[0]!, key[1]!)
        after.hash16(bytes)
        for (let out = 0; out < 32; out++) {
          flips[out]! += ((before.low ^ after.low) >>> out) & 1
          flips[out + 32]! += ((before.high ^ after.high) >>> out) & 1
        }
      }
      // Six standard deviations of a fair coin.
      for (const [out, count] of flips.entries()) {
        assert.ok(
          Math.abs(count - trials / 2) < 6 * Math.sqrt(trials / 4),
          `bit ${bit} of input, ${out} of output: ${count}`,
        )
      }
    }
  })
})
