import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { RetryBudget } from '../../../src/core/resilience/retry-budget.ts'
import { assertAllocatesNothing } from '../../contract/bytes-per-call.ts'

function take(budget: RetryBudget, times: number, nowMs: number): number {
  let taken = 0
  for (let i = 0; i < times; i++) if (budget.tryTake(nowMs)) taken++
  return taken
}

describe('a retry budget', () => {
  test('allows a fifth of the requests of the window', () => {
    const budget = new RetryBudget({ minInFlight: 0 })
    for (let i = 0; i < 104; i++) budget.onRequest(1000 + i)
    assert.equal(take(budget, 100, 2000), 20)
    budget.onRequest(2000)
    assert.equal(take(budget, 100, 2000), 1)
  })

  test('forgets requests and retries as the window passes', () => {
    const budget = new RetryBudget({ minInFlight: 0, windowMs: 1000 })
    for (let i = 0; i < 50; i++) budget.onRequest(0)
    assert.equal(take(budget, 100, 0), 10)
    for (let i = 0; i < 50; i++) budget.onRequest(500)
    assert.equal(take(budget, 100, 500), 10)
    // The first fifty and their retries are gone; those of 500 are there.
    assert.equal(take(budget, 100, 1000), 0)
    assert.equal(take(budget, 100, 5000), 0)
  })

  test('allows three in flight in a pool without requests, and one more when one ends', () => {
    const budget = new RetryBudget()
    assert.equal(take(budget, 10, 0), 3)
    assert.equal(budget.inFlight, 3)
    budget.onRetryEnd()
    assert.equal(take(budget, 10, 0), 1)
  })

  test('does not let retries that fail at once go on for ever under that allowance', () => {
    const budget = new RetryBudget({ minPerSecond: 2, windowMs: 1000 })
    let taken = 0
    for (let i = 0; i < 1000; i++) {
      if (!budget.tryTake(100)) continue
      taken++
      budget.onRetryEnd()
    }
    assert.equal(taken, 2)
  })

  test('bounds what retrying adds to a dead pool: 20 % however long it lasts', () => {
    const budget = new RetryBudget({ minPerSecond: 0 })
    let attempts = 0
    const requests = 60_000
    for (let i = 0; i < requests; i++) {
      const now = i
      budget.onRequest(now)
      attempts++
      for (let retry = 0; retry < 3 && budget.tryTake(now); retry++) {
        attempts++
        budget.onRetryEnd()
      }
    }
    // Where a tenth of the window falls out, its retries fall out with it.
    assert.ok(attempts <= requests * 1.2 + 1 && attempts > requests * 1.19, `${attempts}`)
  })

  test('is full again after a reset, but for what is in flight', () => {
    const budget = new RetryBudget()
    take(budget, 3, 0)
    budget.reset()
    assert.equal(budget.tryTake(0), false)
    budget.onRetryEnd()
    assert.equal(budget.tryTake(0), true)
  })

  test('refuses options that make no sense', () => {
    for (const options of [
      { ratio: 1.1 },
      { ratio: Number.NaN },
      { minInFlight: -1 },
      { minPerSecond: -1 },
      { windowMs: 5 },
    ]) {
      assert.throws(() => new RetryBudget(options), RangeError)
    }
  })

  test('allocates nothing', () => {
    const budget = new RetryBudget()
    assertAllocatesNothing((calls) => {
      for (let i = 0; i < calls; i++) {
        budget.onRequest(i)
        if (budget.tryTake(i)) budget.onRetryEnd()
      }
    })
  })
})
