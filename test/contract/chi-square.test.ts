import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chanceOfDeviation } from './chi-square.ts'

test('the chance of a deviation is that of the tables', () => {
  // One, nine and 999 degrees of freedom at the 5 %, 1 % and 0.01 % points of the chi-square distribution.
  for (const [kinds, statistic, chance] of [
    [2, 3.841459, 0.05],
    [2, 15.13671, 1e-4],
    [10, 21.66599, 0.01],
    [10, 4.168159, 0.9],
    [1000, 1073.643, 0.05],
  ] as const) {
    const expected = new Float64Array(kinds).fill(1e6)
    const observed = expected.slice()
    // Two counts apart by as much as makes the statistic.
    const apart = Math.sqrt((statistic * 1e6) / 2)
    observed[0] = observed[0]! + apart
    observed[1] = observed[1]! - apart
    assert.ok(Math.abs(chanceOfDeviation(observed, expected) / chance - 1) < 1e-3, `${kinds}: ${chance}`)
  }
})

test('what is expected never to occur has no chance when it does', () => {
  assert.equal(chanceOfDeviation([5, 5, 1], [5.5, 5.5, 0]), 0)
  assert.equal(chanceOfDeviation([5, 5, 0], [5, 5, 0]), 1)
})
