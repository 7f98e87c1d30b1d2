import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { combine, mix32 } from '../../../src/core/hash/mix.ts'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { chanceOfDeviation } from '../../contract/chi-square.ts'

describe('mix32', () => {
  test('is the finaliser of MurmurHash3', () => {
    // With no bytes the hash is the mixed seed, of which these values are published.
    assert.equal(mix32(0), 0)
    assert.equal(mix32(1), 0x514e_28b7)
    assert.equal(mix32(0xffff_ffff), 0x81f1_6f39)
    assert.equal(mix32(-1), 0x81f1_6f39)
  })

  test('can be undone, so no two numbers become one', () => {
    const chance = new Xoshiro128(4)
    for (let trial = 0; trial < 10_000; trial++) {
      const value = chance.int32() >>> 0
      assert.equal(unmix(mix32(value)), value)
    }
  })
})

/** The inverse: each step undone, in reverse. The multipliers are the inverses modulo 2^32. */
function unmix(value: number): number {
  let x = value ^ (value >>> 16)
  x = Math.imul(x, 0x7ed1_b41d)
  x ^= (x >>> 13) ^ (x >>> 26)
  x = Math.imul(x, 0xa5cb_9243)
  return (x ^ (x >>> 16)) >>> 0
}

describe('combine', () => {
  test('spreads pairs of small numbers evenly over every byte', () => {
    for (const shift of [0, 8, 16, 24]) {
      const counts = new Float64Array(256)
      for (let a = 0; a < 256; a++) for (let b = 0; b < 256; b++) counts[(combine(a, b) >>> shift) & 255]!++
      assert.ok(chanceOfDeviation(counts, new Float64Array(256).fill(256)) > 1e-4, `bits from ${shift}`)
    }
  })

  test('depends on the order and tells apart all seconds for one first', () => {
    assert.notEqual(combine(1, 2), combine(2, 1))
    assert.equal(new Set(Array.from({ length: 10_000 }, (_, b) => combine(7, b))).size, 10_000)
    assert.equal(new Set(Array.from({ length: 10_000 }, (_, a) => combine(a, 7))).size, 10_000)
  })
})
