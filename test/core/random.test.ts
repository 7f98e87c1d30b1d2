import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createRandom, Xoshiro128 } from '../../src/core/random.ts'
import { chanceOfDeviation } from '../contract/chi-square.ts'

const MASK = 0xffff_ffffn
const rotate = (x: bigint, by: bigint): bigint => ((x << by) | (x >> (32n - by))) & MASK

/** The algorithm as its authors state it, in big integers. */
function* reference(state: bigint[]): Generator<number, never> {
  for (;;) {
    const result = (rotate((state[1]! * 5n) & MASK, 7n) * 9n) & MASK
    const shifted = (state[1]! << 9n) & MASK
    state[2]! ^= state[0]!
    state[3]! ^= state[1]!
    state[1]! ^= state[2]!
    state[0]! ^= state[3]!
    state[2]! ^= shifted
    state[3] = rotate(state[3]!, 11n)
    yield Number(result)
  }
}

function take(generator: Generator<number, never>, count: number): number[] {
  return Array.from({ length: count }, () => generator.next().value)
}

/** splitmix in 32 bits, the constants of its best known mixer. */
function seedState(seed: number): bigint[] {
  let state = BigInt.asUintN(32, BigInt(seed))
  const next = (): bigint => {
    state = (state + 0x9e37_79b9n) & MASK
    let mixed = ((state ^ (state >> 16n)) * 0x21f0_aaadn) & MASK
    mixed = ((mixed ^ (mixed >> 15n)) * 0x735a_2d97n) & MASK
    return mixed ^ (mixed >> 15n)
  }
  return [next(), next(), next(), next() | 1n]
}

describe('xoshiro128**', () => {
  test('is the published algorithm', () => {
    assert.deepEqual(take(reference([1n, 2n, 3n, 4n]), 5), [11_520, 0, 5_927_040, 70_819_200, 2_031_721_883])
    for (const seed of [0, 1, -1, 123_456_789, 2 ** 32 - 1]) {
      const generator = new Xoshiro128(seed)
      const expected = reference(seedState(seed))
      for (let i = 0; i < 1000; i++) assert.equal(generator.int32() >>> 0, expected.next().value)
    }
  })

  test('below(n) is uniform over [0, n)', () => {
    for (const n of [1, 2, 3, 10, 257, 1000]) {
      const generator = new Xoshiro128(n)
      const counts = new Float64Array(n)
      for (let i = 0; i < 300_000; i++) counts[generator.below(n)]!++
      const chance = chanceOfDeviation(
        counts,
        counts.map(() => 300_000 / n),
      )
      assert.ok(chance > 1e-4, `${n}: ${chance}`)
    }
  })

  test('below(n) stays in range at its largest n', () => {
    const generator = new Xoshiro128(5)
    for (let i = 0; i < 10_000; i++) {
      const value = generator.below(2 ** 21)
      assert.ok(Number.isInteger(value) && value >= 0 && value < 2 ** 21)
    }
  })

  test('unit() fills [0, 1) evenly and finely', () => {
    const generator = new Xoshiro128(6)
    const counts = new Float64Array(100)
    for (let i = 0; i < 200_000; i++) {
      const value = generator.unit()
      assert.ok(value >= 0 && value < 1)
      counts[Math.floor(value * 100)]!++
    }
    assert.ok(
      chanceOfDeviation(
        counts,
        counts.map(() => 2000),
      ) > 1e-4,
    )
    assert.ok(Array.from({ length: 100 }, () => generator.unit()).some((value) => (value * 2 ** 40) % 1 !== 0))
  })

  test('createRandom gives the same sequence for the same seed and another for another', () => {
    const sequence = (seed: number): number[] => {
      const random = createRandom(seed)
      return Array.from({ length: 20 }, random)
    }
    assert.deepEqual(sequence(9), sequence(9))
    assert.notDeepEqual(sequence(9), sequence(10))
  })
})
