import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { Histogram } from '../../../src/core/signals/histogram.ts'
import { assertAllocatesNothing } from '../../contract/bytes-per-call.ts'

const QUANTILES = [0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1]

/** The value at rank ⌈q · n⌉ of sorted values. */
function exact(sorted: Float64Array, q: number): number {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)]!
}

describe('a histogram', () => {
  test('has quantiles within 1.6 % of the exact ones, over nine orders of magnitude', () => {
    const chance = new Xoshiro128(41)
    for (const draw of [
      () => 10 ** (chance.unit() * 9 - 2.9),
      () => -Math.log(1 - chance.unit()) * 40,
      () => 1 + chance.unit() * 0.01,
      () => 7,
      () => 2 ** (chance.below(20) - 8),
    ]) {
      const values = Float64Array.from({ length: 20_001 }, draw)
      const histogram = new Histogram()
      for (const value of values) histogram.record(value)
      values.sort()
      for (const q of QUANTILES) {
        const wanted = exact(values, q)
        const found = histogram.quantile(q)
        assert.ok(Math.abs(found - wanted) <= wanted / 63, `${q}: ${found}, not ${wanted}`)
      }
      assert.equal(histogram.quantile(0), values[0])
      assert.equal(histogram.quantile(1), values.at(-1))
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      assert.ok(Math.abs(histogram.mean - mean) < 1e-9 * mean)
    }
  })

  test('is the same merged from parts as recorded at once', () => {
    const chance = new Xoshiro128(42)
    const whole = new Histogram()
    const parts = [new Histogram(), new Histogram(), new Histogram()]
    for (let i = 0; i < 5000; i++) {
      const value = chance.unit() ** 4 * 1000
      whole.record(value)
      parts[chance.below(3)]!.record(value)
    }
    const merged = new Histogram()
    for (const part of parts) merged.merge(part)
    assert.deepEqual(merged.buckets(), whole.buckets())
    for (const q of QUANTILES) assert.equal(merged.quantile(q), whole.quantile(q))
    assert.deepEqual([merged.count, merged.min, merged.max], [whole.count, whole.min, whole.max])
    assert.ok(Math.abs(merged.sum - whole.sum) < 1e-6)
    assert.throws(() => merged.merge(new Histogram({ lowest: 1, highest: 64 })), /different shapes: .* 1 to 64/)
  })

  test('puts every value into the bucket that holds it', () => {
    const chance = new Xoshiro128(43)
    const edges = [0, 1e-320, 1, 1 + 1 / 32, 1.999, 2, 2 ** -10, 2 ** 22, 2 ** 22 - 1, 1e300]
    const values = [...edges, ...Array.from({ length: 2000 }, () => 10 ** (chance.unit() * 12 - 5))]
    for (const value of values) {
      const histogram = new Histogram()
      histogram.record(value)
      const [bucket, ...others] = histogram.buckets()
      assert.equal(others.length, 0)
      assert.ok(
        bucket !== undefined && bucket.from <= value && value < bucket.to,
        `${value}: ${JSON.stringify(bucket)}`,
      )
      assert.equal(histogram.quantile(0.5), value)
    }
  })

  test('counts what is out of range at its ends, and keeps what is no measure apart', () => {
    const histogram = new Histogram({ lowest: 1, highest: 1000 })
    for (const value of [0, 0.5, 0.5, 5000, 9000]) histogram.record(value)
    for (const value of [-1, Number.NaN, Number.POSITIVE_INFINITY]) histogram.record(value)
    assert.equal(histogram.count, 5)
    assert.equal(histogram.rejected, 3)
    assert.deepEqual(histogram.buckets(), [
      { from: 0, to: 1, count: 3 },
      { from: 1024, to: Number.POSITIVE_INFINITY, count: 2 },
    ])
    assert.equal(histogram.quantile(0.3), 0)
    assert.equal(histogram.quantile(0.8), 9000)
  })

  test('counts many at once as one by one', () => {
    const one = new Histogram()
    const other = new Histogram()
    for (let i = 0; i < 10; i++) one.record(3)
    other.record(3, 10)
    assert.deepEqual(one.buckets(), other.buckets())
    assert.deepEqual([one.sum, one.count], [other.sum, other.count])
  })

  test('knows nothing when empty, and again after it was cleared', () => {
    const histogram = new Histogram()
    histogram.record(4)
    histogram.clear()
    assert.ok(Number.isNaN(histogram.quantile(0.5)) && Number.isNaN(histogram.mean))
    assert.deepEqual(histogram.buckets(), [])
    assert.equal(histogram.max, Number.NEGATIVE_INFINITY)
  })

  test('refuses a range that is none', () => {
    for (const [lowest, highest] of [
      [0, 1],
      [2, 1],
      [1, Number.POSITIVE_INFINITY],
      [Number.NaN, 1],
    ] as const) {
      assert.throws(() => new Histogram({ lowest, highest }), RangeError)
    }
  })

  test('allocates nothing per value', () => {
    const histogram = new Histogram()
    const values = Float64Array.from({ length: 1024 }, (_, i) => 1.01 ** i)
    assertAllocatesNothing((calls) => {
      for (let i = 0; i < calls; i++) histogram.record(values[i & 1023]!)
    })
  })
})
