import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { buildSchedule, dealTurns, SCHEDULE_TURNS } from '../../../src/core/balance/schedule.ts'
import { Xoshiro128 } from '../../../src/core/random.ts'

const scheduleOf = (...weights: number[]): number[] => Array.from(buildSchedule(Float64Array.from(weights)))
const sum = (values: ArrayLike<number>): number => Array.from(values).reduce((total, value) => total + value, 0)

describe('a schedule', () => {
  test('interleaves', () => {
    assert.deepEqual(scheduleOf(2, 1, 1), [0, 1, 0, 2])
    assert.deepEqual(scheduleOf(5, 1, 1), [0, 0, 0, 1, 0, 0, 2])
    assert.deepEqual(scheduleOf(1, 3), [1, 1, 0, 1])
  })

  test('is exact and as short as can be for whole-number weights', () => {
    assert.deepEqual(Array.from(dealTurns(Float64Array.of(100, 200, 300))), [1, 2, 3])
    assert.equal(scheduleOf(...Array.from({ length: 50 }, (_, i) => i + 1)).length, (50 * 51) / 2)
  })

  test('never has a member a whole turn ahead of or behind its share, after any number of turns', () => {
    const chance = new Xoshiro128(1)
    for (let trial = 0; trial < 40; trial++) {
      const weights = Float64Array.from({ length: 2 + chance.below(20) }, () =>
        trial % 2 === 0 ? 1 + chance.below(30) : chance.unit() * 10 + 0.01,
      )
      const turns = dealTurns(weights)
      const schedule = buildSchedule(weights)
      const shares = Float64Array.from(turns, (count) => count / schedule.length)
      const taken = new Int32Array(weights.length)
      let furthest = 0
      for (const [time, index] of schedule.entries()) {
        taken[index]!++
        for (let member = 0; member < weights.length; member++) {
          furthest = Math.max(furthest, Math.abs(taken[member]! - shares[member]! * (time + 1)))
        }
      }
      assert.ok(furthest < 1, `weights ${weights.join()}: ${furthest} turns`)
      assert.deepEqual(taken, turns)
    }
  })

  test('is at most max(8192, 4 n) + n long, misses shares by less than 1 / max(8192, 4 n), and leaves nobody out', () => {
    const chance = new Xoshiro128(2)
    for (const count of [2, 3, 100, 1000, 3000]) {
      for (const spreadOfWeights of [1, 6]) {
        const weights = Float64Array.from({ length: count }, () => 10 ** (chance.unit() * spreadOfWeights))
        const turns = dealTurns(weights)
        const target = Math.max(SCHEDULE_TURNS, 4 * count)
        const length = sum(turns)
        assert.ok(length <= target + count, `${length} turns for ${count}`)
        const total = sum(weights)
        const starving = weights.filter((weight) => (weight / total) * target < 1).length
        for (let index = 0; index < count; index++) {
          assert.ok(turns[index]! >= 1)
          const exact = weights[index]! / total
          // Members that get their only turn out of mercy make the cycle longer for the others.
          const tolerance = 1 / target + (exact * starving) / target
          if (turns[index]! > 1) assert.ok(Math.abs(turns[index]! / length - exact) < tolerance)
        }
        if (starving === 0) assert.equal(length, target)
      }
    }
  })

  test('bears any weights: huge, tiny, nearly equal', () => {
    for (const weights of [
      [1e308, 1e308],
      [5e-324, 1],
      [1, 1e300],
      [1, 1 + Number.EPSILON],
      [2 ** 53, 1],
      [Number.MIN_VALUE, Number.MIN_VALUE * 2],
    ]) {
      const turns = dealTurns(Float64Array.from(weights))
      assert.ok(
        turns.every((count) => count >= 1) && sum(turns) <= SCHEDULE_TURNS + 2,
        `${weights.join()}: ${turns.join()}`,
      )
      assert.equal(scheduleOf(...weights).length, sum(turns))
    }
  })

  test('for 10 000 different weights is built in well under a second', () => {
    const chance = new Xoshiro128(3)
    const weights = Float64Array.from({ length: 10_000 }, () => chance.unit() + 0.1)
    const start = performance.now()
    buildSchedule(weights)
    assert.ok(performance.now() - start < 500)
  })
})
