import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LeastIndex } from '../../../src/core/balance/least-index.ts'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { chanceOfDeviation } from '../../contract/chi-square.ts'

test('finds one of least cost after any change, and nothing among infinite costs', () => {
  const chance = new Xoshiro128(1)
  for (const size of [1, 2, 3, 64, 100, 1000]) {
    const index = new LeastIndex(size)
    assert.equal(index.find(chance), -1)
    const costs = new Array<number>(size).fill(Number.POSITIVE_INFINITY)
    for (let change = 0; change < 2000; change++) {
      const at = chance.below(size)
      const cost = chance.below(8) === 0 ? Number.POSITIVE_INFINITY : chance.below(5)
      costs[at] = cost
      index.costs[at] = cost
      if (change % 100 === 0) index.rebuild()
      else index.changed(at)
      const least = Math.min(...costs)
      const found = index.find(chance)
      assert.equal(found < 0 ? Number.POSITIVE_INFINITY : costs[found], least)
    }
  }
})

test('each of the equals is as likely as the others, wherever they lie', () => {
  const chance = new Xoshiro128(5)
  for (const size of [2, 3, 10, 100]) {
    const index = new LeastIndex(size)
    for (let at = 0; at < size; at++) index.costs[at] = at % 7 === 3 ? 1 : 0
    index.rebuild()
    const counts = new Float64Array(size)
    const draws = 200_000
    for (let i = 0; i < draws; i++) counts[index.find(chance)]!++
    const equals = counts.filter((_, at) => at % 7 !== 3).length
    const expected = Array.from(counts, (_, at) => (at % 7 === 3 ? 0 : draws / equals))
    assert.ok(chanceOfDeviation(counts, expected) > 1e-4, `${size}: ${counts.join()}`)
  }
})
