import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConcurrencyLimit } from '../../../src/core/resilience/concurrency-limit.ts'

/** Starts as many as it allows; returns how many. */
function fill(limit: ConcurrencyLimit): number {
  let started = 0
  while (limit.tryAcquire()) started++
  return started
}

describe('a concurrency limit', () => {
  test('lets as many begin as it says, and one more for each that ends', () => {
    const limit = new ConcurrencyLimit({ initial: 5 })
    assert.equal(fill(limit), 5)
    limit.onIgnored()
    assert.equal(fill(limit), 1)
    assert.equal(limit.inFlight, 5)
  })

  test('grows by about one per round of good answers while it is in use', () => {
    const limit = new ConcurrencyLimit({ initial: 10 })
    for (let round = 0; round < 10; round++) {
      const started = fill(limit)
      for (let i = 0; i < started; i++) limit.onAnswer(round * 10, round * 10 + 5)
    }
    assert.ok(limit.limit >= 14 && limit.limit <= 20, `${limit.limit}`)
  })

  test('does not grow while less than half of it is in use', () => {
    const limit = new ConcurrencyLimit({ initial: 10 })
    for (let i = 0; i < 1000; i++) {
      limit.tryAcquire()
      limit.onAnswer(i, i + 1)
    }
    assert.equal(limit.limit, 10)
  })

  test('falls by a tenth on overload, once per round however many fail together', () => {
    const limit = new ConcurrencyLimit({ initial: 100 })
    fill(limit)
    for (let i = 0; i < 50; i++) limit.onOverload(0, 10)
    assert.equal(limit.limit, 90)
    // Began after the fall, and failed too.
    limit.onOverload(11, 20)
    assert.equal(limit.limit, 81)
  })

  test('takes a slow answer for overload', () => {
    const limit = new ConcurrencyLimit({ initial: 100, latencyMs: 50 })
    fill(limit)
    limit.onAnswer(0, 50)
    assert.equal(limit.limit, 100)
    limit.onAnswer(0, 51)
    assert.equal(limit.limit, 90)
  })

  test('stays between its least and greatest value', () => {
    const limit = new ConcurrencyLimit({ initial: 3, min: 2, max: 4 })
    for (let i = 0; i < 100; i++) {
      limit.tryAcquire()
      limit.onOverload(i, i)
    }
    assert.equal(limit.limit, 2)
    for (let i = 100; i < 300; i++) {
      const started = fill(limit)
      for (let one = 0; one < started; one++) limit.onAnswer(i, i)
    }
    assert.equal(limit.limit, 4)
  })

  test('comes close to what a server bears: 16 at once, beyond which it is slow', () => {
    const limit = new ConcurrencyLimit({ initial: 100, latencyMs: 12 })
    for (let round = 1; round <= 200; round++) {
      const started = fill(limit)
      const tookMs = 10 * Math.max(1, started / 16)
      for (let i = 0; i < started; i++) limit.onAnswer(round * 1000, round * 1000 + tookMs)
    }
    assert.ok(limit.limit >= 14 && limit.limit <= 21, `${limit.limit}`)
  })

  test('an end too many does no harm', () => {
    const limit = new ConcurrencyLimit()
    limit.onIgnored()
    assert.equal(limit.inFlight, 0)
  })

  test('refuses options that make no sense', () => {
    for (const options of [
      { min: 0 },
      { min: 5, max: 4 },
      { initial: 5000 },
      { latencyMs: 0 },
      { decrease: 1 },
      { min: 1.5 },
    ]) {
      assert.throws(() => new ConcurrencyLimit(options), RangeError)
    }
  })
})
