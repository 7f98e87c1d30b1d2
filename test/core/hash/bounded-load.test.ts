import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { loadBound } from '../../../src/core/hash/bounded-load.ts'
import { EVERY_MAP, fleet, keys } from './every-map.ts'

describe('loadBound', () => {
  test('is the formula of the paper, worked by hand', () => {
    assert.equal(loadBound(1.25, 0, 1, 10), 1) // 1.25 × 1 / 10 = 0.125
    assert.equal(loadBound(1.25, 99, 1, 10), 13) // 12.5
    assert.equal(loadBound(2, 99, 1, 10), 20)
    assert.equal(loadBound(1, 9, 3, 10), 3)
    assert.equal(loadBound(1, 10, 3, 10), 4) // 3.3
    // Whole numbers but for the rounding of 9/11, of 1.1 and of 5/6.
    assert.equal(loadBound(1, 76, 9, 11), 63)
    assert.equal(loadBound(1.1, 11, 5, 6), 11)
    assert.equal(loadBound(1.25, 5, 0, 3), 0)
    assert.throws(() => loadBound(0.9, 1, 1, 1), /must be at least 1, not 0.9/)
    assert.throws(() => loadBound(Number.NaN, 1, 1, 1), /must be at least 1/)
  })

  test('always leaves somebody below it', () => {
    const weights = fc.array(fc.double({ min: 0.01, max: 100, noNaN: true }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(weights, fc.nat(100_000), (all, total) => {
        const sum = all.reduce((a, b) => a + b)
        const room = all.reduce((bounds, weight) => bounds + loadBound(1, total, weight, sum), 0)
        assert.ok(room > total, `${room} for ${total}`)
      }),
    )
  })

  for (const { name, build } of EVERY_MAP) {
    test(`as a veto of the ${name} places everything and nobody is above it`, () => {
      const weights = [1, 2, 1, 4, 1, 1]
      const total = 10
      const map = build(fleet(6, weights))
      const loads = new Int32Array(6)
      const of = keys(2000)
      for (const [placed, key] of of.entries()) {
        const member = map.find(key, (index) => loads[index]! < loadBound(1.25, placed, weights[index]!, total))
        assert.ok(member >= 0)
        loads[member]!++
        assert.ok(loads[member]! <= loadBound(1.25, placed, weights[member]!, total))
      }
      for (const [i, load] of loads.entries()) assert.ok(load <= Math.ceil((1.25 * 2000 * weights[i]!) / total))
    })
  }
})
