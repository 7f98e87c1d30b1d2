import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { Ewma, EwmaColumns } from '../../../src/core/signals/ewma.ts'
import { assertAllocatesNothing } from '../../contract/bytes-per-call.ts'

const near = (actual: number, expected: number, tolerance = 1e-12): void =>
  assert.ok(Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected)), `${actual}, not ${expected}`)

describe('a time-decayed average', () => {
  test('by hand: a sample of half-life age counts half', () => {
    const ewma = new Ewma(10 / Math.LN2)
    ewma.record(100, 1000)
    assert.equal(ewma.mean, 100)
    ewma.record(40, 1010)
    // (100 · ½ + 40) / (½ + 1)
    near(ewma.mean, 60)
    ewma.record(10, 1030)
    // (100 / 8 + 40 / 4 + 10) / (1/8 + 1/4 + 1)
    near(ewma.mean, 32.5 / 1.375)
    near(ewma.mass(1030), 1.375)
    near(ewma.mass(1040), 0.6875)
  })

  test('is what the definition says for samples at any times', () => {
    const chance = new Xoshiro128(11)
    const tau = 250
    const ewma = new Ewma(tau)
    const samples: { value: number; at: number }[] = []
    let now = 5
    for (let i = 0; i < 500; i++) {
      now += chance.below(4) === 0 ? 0 : chance.unit() * 100
      const value = chance.unit() * 1000
      samples.push({ value, at: now })
      ewma.record(value, now)
      const mass = samples.reduce((sum, { at }) => sum + Math.exp((at - now) / tau), 0)
      const total = samples.reduce((sum, sample) => sum + sample.value * Math.exp((sample.at - now) / tau), 0)
      near(ewma.mean, total / mass, 1e-9)
    }
  })

  test('gives samples of one instant the same weight, in any order', () => {
    const one = new Ewma(100)
    const other = new Ewma(100)
    for (const value of [1, 2, 9]) one.record(value, 50)
    for (const value of [9, 1, 2]) other.record(value, 50)
    assert.equal(one.mean, 4)
    assert.equal(other.mean, 4)
  })

  test('is NaN before the first sample, survives any pause, and takes no harm from a clock that jumps back', () => {
    const ewma = new Ewma(10)
    assert.ok(Number.isNaN(ewma.mean))
    assert.equal(ewma.mass(5), 0)
    ewma.record(5, 1000)
    ewma.record(7, 900)
    assert.equal(ewma.mean, 6)
    ewma.record(3, 1e12)
    assert.equal(ewma.mean, 3)
  })

  test('leaves out what is not finite', () => {
    const ewma = new Ewma(10)
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) ewma.record(value, 1)
    assert.equal(ewma.mass(1), 0)
  })

  test('keeps slots apart, and forgets one that is reset', () => {
    const columns = new EwmaColumns(3, 100)
    columns.record(0, 10, 1)
    columns.record(2, 30, 1)
    assert.deepEqual(
      [0, 1, 2].map((slot) => columns.mean(slot)),
      [10, Number.NaN, 30],
    )
    columns.reset(2)
    assert.ok(Number.isNaN(columns.mean(2)))
    assert.equal(columns.mean(0), 10)
  })

  test('refuses a time constant that is none, and columns that are too short', () => {
    for (const tau of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) assert.throws(() => new Ewma(tau), RangeError)
    const short = { sums: new Float64Array(2), masses: new Float64Array(2), atMs: new Float64Array(1) }
    assert.throws(() => new EwmaColumns(2, 10, short), RangeError)
  })

  test('allocates nothing', () => {
    const columns = new EwmaColumns(8, 100)
    const clock = Float64Array.of(1.5)
    assertAllocatesNothing((calls) => {
      for (let i = 0; i < calls; i++) {
        clock[0]! += 0.25
        columns.record(i & 7, i, clock[0]!)
      }
    })
  })
})
