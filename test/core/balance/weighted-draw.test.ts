import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { WeightedDraw } from '../../../src/core/balance/weighted-draw.ts'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { chanceOfDeviation } from '../../contract/chi-square.ts'
import { acceptAll, membersOf } from '../../contract/members.ts'

function drawOver(weights: number[], seed = 1): WeightedDraw {
  const draw = new WeightedDraw(new Xoshiro128(seed))
  draw.update(membersOf(weights))
  return draw
}

function chanceByWeight(weights: number[], draws: number, next: () => number): number {
  const counts = new Float64Array(weights.length)
  for (let i = 0; i < draws; i++) counts[next()]!++
  const sum = weights.reduce((total, weight) => total + weight, 0)
  return chanceOfDeviation(
    counts,
    weights.map((weight) => (weight / sum) * draws),
  )
}

describe('a weighted draw', () => {
  test('follows the weights, whatever they are', () => {
    const chance = new Xoshiro128(8)
    for (const weights of [
      [1, 2],
      [1, 1, 1, 1, 5],
      [0.1, 100, 3, 7],
      [1e300, 2e300, 1e300],
      [1e-300, 3e-300],
      Array.from({ length: 500 }, () => 0.5 + chance.unit()),
    ]) {
      const draw = drawOver(weights)
      const found = chanceByWeight(weights, 300_000, () => draw.positions[draw.draw()]!)
      assert.ok(found > 1e-4, `${weights.slice(0, 5).join()}: ${found}`)
    }
  })

  test('follows the weights of those that are accepted, also when it has to scan for them', () => {
    const weights = Array.from({ length: 400 }, (_, position) => (position % 100 === 7 ? 1 + position / 100 : 1000))
    const wanted = weights.map((weight, position) => (position % 100 === 7 ? weight : 0))
    const draw = drawOver(weights, 3)
    let questions = 0
    const found = chanceByWeight(
      wanted,
      20_000,
      () =>
        draw.positions[
          draw.drawAccepted((position) => {
            questions++
            return position % 100 === 7
          }, -1)
        ]!,
    )
    assert.ok(found > 1e-4, `${found}`)
    assert.ok(questions > 20_000 * draw.patience, 'most of these draws end in a scan')
  })

  test('never draws the exception', () => {
    const draw = drawOver([1, 1000])
    for (let i = 0; i < 100; i++) assert.equal(draw.drawAccepted(acceptAll, 1), 0)
    assert.equal(drawOver([5]).drawAccepted(acceptAll, 0), -1)
  })

  test('knows only members with weight', () => {
    const draw = drawOver([0, 3, Number.NaN, 3, -1])
    assert.deepEqual([draw.size, draw.isUniform, Array.from(draw.positions)], [2, true, [1, 3]])
  })
})
