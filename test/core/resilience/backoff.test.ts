import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { Backoff } from '../../../src/core/resilience/backoff.ts'

describe('backoff', () => {
  test('doubles its bound up to the maximum, also after very many retries', () => {
    const backoff = new Backoff({ baseMs: 100, maxMs: 1000 })
    assert.deepEqual(
      [0, 1, 2, 3, 4, 50, 5000].map((retry) => backoff.boundMs(retry)),
      [100, 200, 400, 800, 1000, 1000, 1000],
    )
  })

  test('with full jitter is anywhere below the bound, evenly', () => {
    const chance = new Xoshiro128(61)
    const backoff = new Backoff({ baseMs: 100, maxMs: 1000 })
    const tenths = new Int32Array(10)
    for (let i = 0; i < 20_000; i++) tenths[Math.floor(backoff.delayMs(2, chance.unit()) / 40)]!++
    for (const count of tenths) assert.ok(Math.abs(count - 2000) < 200, tenths.join())
  })

  test('with equal jitter waits for half at least, with none for all', () => {
    const equal = new Backoff({ baseMs: 100, maxMs: 1000, jitter: 'equal' })
    assert.deepEqual(
      [0, 0.5].map((unit) => equal.delayMs(1, unit)),
      [100, 150],
    )
    assert.equal(new Backoff({ baseMs: 100, maxMs: 1000, jitter: 'none' }).delayMs(1, 0.7), 200)
  })

  test('refuses options that make no sense', () => {
    for (const options of [
      { baseMs: 0 },
      { baseMs: 10, maxMs: 5 },
      { maxMs: Number.POSITIVE_INFINITY },
      { factor: 0.5 },
      { factor: Number.NaN },
    ]) {
      assert.throws(() => new Backoff(options), RangeError)
    }
  })
})
