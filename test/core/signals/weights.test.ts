import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { shareOut, weightsFromLoads, wholeWeights } from '../../../src/core/signals/weights.ts'

const sum = (values: ArrayLike<number>): number => Array.from(values).reduce((total, value) => total + value, 0)
const near = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) < 1e-9, `${actual}, not ${expected}`)

describe("004's weights", () => {
  test('by hand: loads 0.45 and 0.25 with ε 0.05 are worth 2 and 10/3, of 200: 75 and 125', () => {
    const weights = weightsFromLoads([0.45, 0.25])
    near(weights[0]!, 75)
    near(weights[1]!, 125)
  })

  test('by hand: three nodes, one so loaded that it is raised to the minimum and the others share the rest', () => {
    // ε 0.1: worths 1/0.1 = 10, 1/0.2 = 5, 1/10 = 0.1 of 300: the third would get 300 · 0.1 / 15.1 = 1.99. It gets 10, and
    // 290 are divided 2 : 1.
    const weights = weightsFromLoads([0, 0.1, 9.9], { epsilon: 0.1 })
    near(weights[0]!, (290 * 2) / 3)
    near(weights[1]!, 290 / 3)
    assert.equal(weights[2], 10)
  })

  test('by hand: raising one can push the next below the minimum, which is raised too', () => {
    // Of 300 with 50 at least, worths 100, 20, 1: 247.9, 49.6, 2.5. The last is raised; of 250 the second gets 41.7, and is raised.
    const weights = shareOut(Float64Array.of(100, 20, 1), 300, 50)
    assert.deepEqual(Array.from(weights), [200, 50, 50])
  })

  test('sum to base · n, hold the minimum, and order as the loads do, whatever these are', () => {
    const load = fc.oneof(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1e308, noNaN: true }),
      fc.constantFrom(0, Number.POSITIVE_INFINITY, Number.NaN, -1),
    )
    fc.assert(
      fc.property(fc.array(load, { minLength: 1, maxLength: 60 }), fc.integer({ min: 0, max: 100 }), (loads, min) => {
        const weights = weightsFromLoads(loads, { min })
        assert.ok(Math.abs(sum(weights) - 100 * loads.length) < 1e-6, `sum ${sum(weights)}`)
        for (const [index, weight] of weights.entries()) {
          assert.ok(weight >= min - 1e-9, `${weight} below ${min}`)
          for (const [other, otherWeight] of weights.entries()) {
            if (loads[index]! < loads[other]!) assert.ok(weight >= otherWeight - 1e-9)
          }
        }
        const whole = wholeWeights(weights)
        assert.equal(sum(whole), 100 * loads.length)
        for (const [index, weight] of whole.entries()) {
          assert.ok(Number.isInteger(weight) && weight >= min)
          assert.ok(Math.abs(weight - weights[index]!) <= 1 + 1e-6)
        }
      }),
      { seed: 4 },
    )
  })

  test('above the minimum are in proportion to 1 / (load + ε)', () => {
    const loads = [0.1, 0.2, 0.3, 0.9]
    const weights = weightsFromLoads(loads, { min: 0, epsilon: 0.02 })
    for (const [index, load] of loads.entries()) near(weights[index]! * (load + 0.02), weights[0]! * 0.12)
  })

  test('a node whose load is not known gets the base weight, and all do when none is known', () => {
    near(weightsFromLoads([0.9, Number.NaN, 0.1], { min: 0 })[1]!, 100)
    assert.deepEqual(Array.from(weightsFromLoads([Number.NaN, Number.NaN])), [100, 100])
    assert.deepEqual(Array.from(weightsFromLoads([])), [])
  })

  test('equal loads get equal weights, all at infinity too', () => {
    assert.deepEqual(Array.from(weightsFromLoads([0.5, 0.5, 0.5])), [100, 100, 100])
    const dead = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
    assert.deepEqual(Array.from(weightsFromLoads(dead)), [100, 100])
  })

  test('as whole numbers give what is left over to those that lost most', () => {
    assert.deepEqual(Array.from(wholeWeights(Float64Array.of(33.4, 33.3, 33.3))), [34, 33, 33])
    assert.deepEqual(Array.from(wholeWeights(Float64Array.of(10.2, 10.7, 9.1))), [10, 11, 9])
    assert.throws(() => wholeWeights(Float64Array.of(1.25, 1)), RangeError)
  })

  test('refuse settings that cannot be met', () => {
    assert.throws(() => weightsFromLoads([1], { min: 101 }), /min is 101/)
    assert.throws(() => weightsFromLoads([1], { epsilon: 0 }), /epsilon is 0/)
    assert.throws(() => weightsFromLoads([1], { base: Number.NaN }), /base is NaN/)
    assert.throws(() => shareOut(Float64Array.of(1, 1), 10, 6), /2 times at least 6/)
  })
})
