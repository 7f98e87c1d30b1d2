import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { TOKEN_BUCKET_WORDS, TokenBuckets } from '../../../src/core/resilience/token-bucket.ts'
import { assertAllocatesNothing } from '../../contract/bytes-per-call.ts'

const SECOND = 1_000_000
/** Microseconds since 1970, in 2026. */
const NOW = 1_790_000_000_000_000

describe('a token bucket', () => {
  test('by hand: 2 per second, 3 at once: three at 0, then one each half second', () => {
    const buckets = new TokenBuckets(1, { limit: 2, periodUs: SECOND, burst: 3 })
    const at = (us: number): [boolean, number, number] => [
      buckets.tryTake(0, NOW + us),
      buckets.remaining,
      buckets.retryAfterUs,
    ]
    assert.deepEqual(at(0), [true, 2, 0])
    assert.deepEqual(at(0), [true, 1, 0])
    assert.deepEqual(at(0), [true, 0, 0])
    assert.deepEqual(at(0), [false, 0, 500_000])
    assert.deepEqual(at(499_999), [false, 0, 1])
    assert.deepEqual(at(500_000), [true, 0, 0])
    assert.deepEqual(at(999_999), [false, 0, 1])
    assert.deepEqual(at(2_000_000), [true, 2, 0])
    assert.deepEqual(at(60_000_000), [true, 2, 0])
  })

  test('is as a bucket that is filled drop by drop, in exact fractions', () => {
    const chance = new Xoshiro128(71)
    for (const [limit, periodUs, burst] of [
      [3, 1000, 5],
      [7, 1_000_000, 7],
      [1, 7, 1],
      [1_000_000, 999_983, 10],
      [13, 11, 4],
    ] as const) {
      const buckets = new TokenBuckets(1, { limit, periodUs, burst })
      // Tokens in 1/period, as whole numbers: each microsecond brings `limit` of them.
      let tokens = BigInt(burst) * BigInt(periodUs)
      let last = NOW
      for (let i = 0; i < 3000; i++) {
        const now = last + chance.below(Math.max(2, Math.ceil((2 * periodUs) / limit)))
        tokens += BigInt(now - last) * BigInt(limit)
        last = now
        const full = BigInt(burst) * BigInt(periodUs)
        if (tokens > full) tokens = full
        const cost = chance.below(Math.min(burst, 3) + 1)
        const price = BigInt(cost) * BigInt(periodUs)
        const wanted = tokens >= price
        assert.equal(buckets.tryTake(0, now, cost), wanted, `${limit} per ${periodUs}, step ${i}`)
        if (wanted) tokens -= price
        else assert.equal(BigInt(buckets.retryAfterUs), (price - tokens + BigInt(limit) - 1n) / BigInt(limit))
        assert.equal(BigInt(buckets.remaining), tokens / BigInt(periodUs))
      }
    }
  })

  test('keeps its rate exactly where a token takes no whole number of microseconds', () => {
    const buckets = new TokenBuckets(1, { limit: 3, periodUs: SECOND, burst: 1 })
    let taken = 0
    for (let us = 0; us < 1000 * SECOND; us += 333_333) if (buckets.tryTake(0, NOW + us)) taken++
    const each = new TokenBuckets(1, { limit: 3, periodUs: SECOND, burst: 1 })
    let count = 0
    for (let us = 0; us <= 1000 * SECOND; us += each.retryAfterUs || 1) if (each.tryTake(0, NOW + us)) count++
    // One of the burst, and at the exact instants 1 000 more for every third of a second... less what whole steps miss.
    assert.ok(count >= 2999 && count <= 3001, `${count}`)
    assert.ok(taken <= 3001, `${taken}`)
  })

  test('never gives more than burst + rate · time in any stretch of time', () => {
    const chance = new Xoshiro128(72)
    const buckets = new TokenBuckets(1, { limit: 10, periodUs: SECOND, burst: 4 })
    const given: number[] = []
    let now = NOW
    for (let i = 0; i < 5000; i++) {
      now += chance.below(60_000)
      if (buckets.tryTake(0, now)) given.push(now)
    }
    for (let first = 0; first < given.length; first++) {
      for (let last = first; last < Math.min(given.length, first + 50); last++) {
        const us = given[last]! - given[first]!
        assert.ok(last - first + 1 <= 4 + (us * 10) / SECOND)
      }
    }
  })

  test('refuses what costs more than the burst for ever, and takes nothing', () => {
    const buckets = new TokenBuckets(1, { limit: 2, periodUs: SECOND, burst: 3 })
    assert.equal(buckets.tryTake(0, NOW, 4), false)
    assert.deepEqual([buckets.retryAfterUs, buckets.remaining], [Number.POSITIVE_INFINITY, 3])
    assert.equal(buckets.tryTake(0, NOW, Number.NaN), false)
    assert.equal(buckets.tryTake(0, NOW, 3), true)
  })

  test('is not locked by a clock that jumps back by a year', () => {
    const buckets = new TokenBuckets(1, { limit: 2, periodUs: SECOND, burst: 3 })
    buckets.tryTake(0, NOW, 3)
    const then = NOW - 365 * 86_400 * SECOND
    assert.equal(buckets.tryTake(0, then), false)
    assert.equal(buckets.retryAfterUs, 500_000)
    assert.equal(
      buckets.tryTake(0, then + 500_000),
      false,
      'what is refused is not stored: the debt is counted from the new time',
    )
    buckets.tryTake(0, NOW)
  })

  test('keeps buckets apart, in a state that the caller may own', () => {
    const state = new Float64Array(3 * TOKEN_BUCKET_WORDS)
    const options = { limit: 1, periodUs: SECOND }
    assert.equal(new TokenBuckets(3, options, state).tryTake(1, NOW), true)
    const again = new TokenBuckets(3, options, state)
    assert.deepEqual(
      [0, 1, 2].map((bucket) => again.tryTake(bucket, NOW)),
      [true, false, true],
    )
  })

  test('refuses options that make no sense or would not stay exact', () => {
    for (const options of [
      { limit: 0, periodUs: 1 },
      { limit: 1.5, periodUs: 1 },
      { limit: 1, periodUs: 0 },
      { limit: 1, periodUs: 2e12 },
      { limit: 1, periodUs: 1, burst: 0 },
      { limit: 1, periodUs: 1e12, burst: 1e6 },
    ]) {
      assert.throws(() => new TokenBuckets(1, options), RangeError, JSON.stringify(options))
    }
    assert.throws(() => new TokenBuckets(2, { limit: 1, periodUs: 1 }, new Float64Array(3)), RangeError)
  })

  test('allocates nothing', () => {
    const buckets = new TokenBuckets(4, { limit: 7, periodUs: SECOND, burst: 3 })
    assertAllocatesNothing((calls) => {
      for (let i = 0; i < calls; i++) buckets.tryTake(i & 3, i * 100)
    })
  })
})
