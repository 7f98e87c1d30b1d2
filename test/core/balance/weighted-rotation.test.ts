import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Accept } from '../../../src/core/balance/picker.ts'
import { PICKERS } from '../../../src/core/balance/registry.ts'
import { WeightedRotation } from '../../../src/core/balance/weighted-rotation.ts'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { acceptAll, membersOf } from '../../contract/members.ts'
import { prepare } from '../../contract/pickers.ts'

function rotationOf(weights: readonly number[], seed = 1): WeightedRotation {
  const rotation = new WeightedRotation(new Xoshiro128(seed))
  rotation.update(Float64Array.from(weights), weights.length, new Int32Array(weights.length).fill(-1))
  return rotation
}

const take = (rotation: WeightedRotation, count: number, accept: Accept = acceptAll): number[] =>
  Array.from({ length: count }, () => rotation.take(accept))
const countsOf = (turns: readonly number[], size: number): number[] => {
  const counts = Array.from({ length: size }, () => 0)
  for (const position of turns) counts[position]!++
  return counts
}

describe('a weighted rotation', () => {
  test('gives everyone one turn per lap where weights are equal, from a random start in a random order', () => {
    const orders = new Set<string>()
    for (let seed = 0; seed < 20; seed++) {
      const rotation = rotationOf([1, 1, 1, 1, 1], seed)
      const lap = take(rotation, 5)
      assert.deepEqual(new Set(lap), new Set([0, 1, 2, 3, 4]))
      for (let again = 0; again < 10; again++) assert.deepEqual(take(rotation, 5), lap)
      orders.add(lap.join())
    }
    assert.ok(orders.size > 10, `${orders.size} orders in 20 workers`)
  })

  test('spreads 5, 1, 1 as nginx does: the turns of the heavy one are at most three in a row', () => {
    for (let seed = 0; seed < 50; seed++) {
      const rotation = rotationOf([5, 1, 1], seed)
      take(rotation, 7)
      const turns = take(rotation, 700)
      assert.deepEqual(countsOf(turns, 3), [500, 100, 100])
      assert.ok(!turns.join('').includes('0000000'), 'seven in a row')
      for (const light of [1, 2]) {
        const at = turns.flatMap((position, turn) => (position === light ? [turn] : []))
        for (let i = 1; i < at.length; i++)
          assert.ok(at[i]! - at[i - 1]! <= 13, 'a window is 7 turns: gaps are below two')
      }
    }
  })

  test('over any stretch no member is two turns off its share, for any weights', () => {
    const chance = new Xoshiro128(4)
    for (let trial = 0; trial < 60; trial++) {
      const size = 2 + chance.below(trial % 10 === 0 ? 300 : 12)
      const weights = Array.from({ length: size }, () =>
        trial % 2 === 0 ? 1 + chance.below(20) : 10 ** (chance.unit() * 3),
      )
      const total = weights.reduce((sum, weight) => sum + weight, 0)
      const rotation = rotationOf(weights, trial)
      // Until the first window of each is over: turns in which nobody's was open were skipped.
      take(rotation, Math.ceil((2 * total) / Math.min(...weights)))
      const counts = weights.map(() => 0)
      const lowest = weights.map(() => 0)
      const highest = weights.map(() => 0)
      for (let turn = 1; turn <= 3000; turn++) {
        counts[rotation.take(acceptAll)]!++
        for (let position = 0; position < size; position++) {
          const lag = (turn * weights[position]!) / total - counts[position]!
          lowest[position] = Math.min(lowest[position]!, lag)
          highest[position] = Math.max(highest[position]!, lag)
        }
      }
      for (let position = 0; position < size; position++) {
        const range = highest[position]! - lowest[position]!
        assert.ok(range < 2.000_001, `weights ${weights.slice(0, 8).join()}: ${range} turns`)
      }
    }
  })

  test('is exact for weights that no list of turns could hold', () => {
    const weights = [1, Math.PI, Math.E * 100, 1e-3]
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    const turns = 1_000_000
    const counts = countsOf(take(rotationOf(weights), turns), weights.length)
    for (const [position, weight] of weights.entries()) {
      assert.ok(Math.abs(counts[position]! - (turns * weight) / total) < 3, `${counts.join()}`)
    }
  })

  test('gives the turns of a vetoed member to the others by weight, and it has none to make up for afterwards', () => {
    const rotation = rotationOf([4, 2, 1, 1])
    const without = countsOf(
      take(rotation, 4000, (position) => position !== 0),
      4,
    )
    assert.deepEqual(without, [0, 2000, 1000, 1000])
    const after = countsOf(take(rotation, 80), 4)
    assert.ok(Math.abs(after[0]! - 40) <= 2, after.join())
  })

  test('where nearly all are vetoed goes straight to one that is not, and nobody has turns to make up for', () => {
    const weights = [0.001, ...Array.from({ length: 500 }, () => 1)]
    const rotation = rotationOf(weights)
    for (let i = 0; i < 20; i++)
      assert.equal(
        rotation.take((position) => position === 0),
        0,
      )
    const after = countsOf(take(rotation, 5000), weights.length)
    assert.ok(
      after.slice(1).every((count) => Math.abs(count - 10) <= 2),
      'each its ten',
    )
  })

  test('with nobody accepted asks about everyone a few times at most', () => {
    const rotation = rotationOf(Array.from({ length: 100 }, (_, i) => 1 + i))
    let asked = 0
    assert.equal(
      rotation.take(() => ++asked < 0),
      -1,
    )
    assert.ok(asked <= 200, `${asked}`)
  })

  test('keeps the place of each over other weights: the next turns are nearly those that would have come', () => {
    const weights = Float64Array.from({ length: 50 }, (_, i) => 1 + (i % 5))
    const one = rotationOf([...weights], 9)
    const other = rotationOf([...weights], 9)
    take(one, 333)
    take(other, 333)
    other.reweigh(weights.map((weight) => weight * 7))
    assert.deepEqual(take(other, 500), take(one, 500), 'the same shares in other units change nothing')
  })

  test('bears any weights', () => {
    for (const weights of [
      [1e308, 1e308],
      [5e-324, 1],
      [1, 1e300],
      [0, 1],
      [Number.NaN, 3, Number.POSITIVE_INFINITY],
    ]) {
      const counts = countsOf(take(rotationOf(weights), 100), weights.length)
      for (const [position, weight] of weights.entries()) {
        if (!(weight > 0 && weight < Infinity)) assert.equal(counts[position], 0)
      }
    }
  })
})

describe('weighted-round-robin', () => {
  test('in several workers does not send the same request of each to the same endpoint', () => {
    const size = 20
    const workers = Array.from(
      { length: 50 },
      (_, seed) =>
        prepare(
          PICKERS['weighted-round-robin'],
          Array.from({ length: size }, () => 1),
          { seed },
        ).picker,
    )
    for (let request = 0; request < 10; request++) {
      const counts = countsOf(
        workers.map((picker) => picker.pick(0, acceptAll)),
        size,
      )
      assert.ok(Math.max(...counts) <= 12, `request ${request}: ${counts.join()}`)
    }
  })

  test('a change of members leaves the turns of the others as they were', () => {
    const { picker } = prepare(
      PICKERS['weighted-round-robin'],
      Array.from({ length: 10 }, () => 1),
    )
    const lap = Array.from({ length: 10 }, () => picker.pick(0, acceptAll))
    // The last leaves.
    picker.update(membersOf(Array.from({ length: 9 }, () => 1)))
    const next = Array.from({ length: 9 }, () => picker.pick(0, acceptAll))
    assert.deepEqual(
      next,
      lap.filter((position) => position !== 9),
    )
  })
})
