import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { tierLoads, zoneShares } from '../../../../src/core/balance/modifiers/spillover.ts'
import { Xoshiro128 } from '../../../../src/core/random.ts'

function loads(fit: readonly number[], factor = 1.4): number[] {
  const out = new Float64Array(fit.length)
  tierLoads(Float64Array.from(fit), new Float64Array(fit.length).fill(100), fit.length, factor, out)
  return Array.from(out)
}

function shares(
  fit: readonly number[],
  total: readonly number[],
  own = 0,
  callers: readonly number[] = fit.map(() => 1 / fit.length),
): number[] {
  const out = new Float64Array(fit.length)
  zoneShares(Float64Array.from(fit), Float64Array.from(total), Float64Array.from(callers), fit.length, own, 1.4, out)
  return Array.from(out)
}

function near(actual: readonly number[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length)
  for (const [index, value] of actual.entries()) {
    assert.ok(Math.abs(value - expected[index]!) < 1e-9, `${actual.join(' ')} is not ${expected.join(' ')}`)
  }
}

describe('priority tiers', () => {
  test("spill by Envoy's rule, without its rounding to whole percents", () => {
    // Two tiers, by their fit percentage.
    near(loads([100, 100]), [1, 0])
    near(loads([72, 72]), [1, 0])
    near(loads([71, 71]), [0.994, 0.006])
    near(loads([50, 50]), [0.7, 0.3])
    near(loads([25, 100]), [0.35, 0.65])
    near(loads([25, 25]), [0.5, 0.5])
    near(loads([0, 100]), [0, 1])
    // Three.
    near(loads([72, 0, 0]), [1, 0, 0])
    near(loads([25, 25, 75]), [0.35, 0.35, 0.3])
    near(loads([25, 25, 25]), [0.35, 0.35, 0.3])
    near(loads([25, 25, 20]), [0.35 / 0.98, 0.35 / 0.98, 0.28 / 0.98])
    near(loads([5, 0, 65]), [0.07 / 0.98, 0, 0.91 / 0.98])
  })

  test('have no share at all when nobody is fit', () => {
    near(loads([0, 0]), [0, 0])
  })

  test('always share out everything while anybody is fit', () => {
    const chance = new Xoshiro128(1)
    for (let trial = 0; trial < 1000; trial++) {
      const fit = Array.from({ length: 1 + chance.below(5) }, () => chance.below(4) * chance.below(35))
      const sum = loads(fit).reduce((total, load) => total + load, 0)
      assert.ok(Math.abs(sum - (fit.some((each) => each > 0) ? 1 : 0)) < 1e-9, fit.join())
    }
  })
})

describe('zones', () => {
  test('keep everything at home while the own zone is whole and has its share of capacity', () => {
    near(shares([100, 100, 100], [100, 100, 100]), [1, 0, 0])
    near(shares([300, 100, 100], [300, 100, 100]), [1, 0, 0])
  })

  test('spill what the own zone lacks, to those that have room', () => {
    // The own zone has 20 % of capacity and a third of the callers: 0.6 at home. Zone 1 has less room than its own callers need.
    near(shares([20, 30, 50], [20, 30, 50]), [0.6, 0, 0.4])
  })

  test('with every zone by these shares each gets requests in proportion to its capacity', () => {
    const total = [20, 30, 50]
    const got = [0, 0, 0]
    for (const own of [0, 1, 2]) {
      for (const [zone, share] of shares(total, total, own).entries()) got[zone]! += share / 3
    }
    near(got, [0.2, 0.3, 0.5])
  })

  test('keep everything while 1 / 1.4 of the own zone is fit, and then spill in proportion', () => {
    near(shares([72, 100], [100, 100]), [1, 0])
    near(shares([50, 100], [100, 100]), [0.7, 0.3])
    near(shares([10, 100], [100, 100]), [0.14, 0.86])
    near(shares([0, 100], [100, 100]), [0, 1])
  })

  test('spill smoothly as the own zone is lost: no step is larger than its part of the zone times 1.4', () => {
    let before = 1
    for (let fit = 100; fit >= 0; fit--) {
      const local = shares([fit, 100, 100], [100, 100, 100])[0]!
      assert.ok(before - local <= 0.014 + 1e-9 && local <= before, `${fit}: ${before} to ${local}`)
      before = local
    }
    assert.equal(before, 0)
  })

  test('a zone that is lost gets nothing, and the others share by their room', () => {
    near(shares([0, 0, 100], [100, 100, 100]), [0, 0, 1])
    near(shares([0, 100, 300], [100, 100, 300]), [0, 0, 1])
    near(shares([100, 0, 100], [100, 100, 100]), [1, 0, 0])
  })

  test('without an own zone go by fit weight', () => {
    near(shares([50, 100, 0], [100, 100, 100], -1), [1 / 3, 2 / 3, 0])
  })

  test('know how callers spread where they are told', () => {
    // Three in four callers are here, with half of the capacity.
    near(shares([100, 100], [100, 100], 0, [0.75, 0.25]), [2 / 3, 1 / 3])
  })

  test('always share out everything while anybody is fit', () => {
    const chance = new Xoshiro128(2)
    for (let trial = 0; trial < 2000; trial++) {
      const size = 1 + chance.below(5)
      const total = Array.from({ length: size }, () => 1 + chance.below(100))
      const fit = total.map((each) => (chance.below(3) === 0 ? 0 : chance.below(each + 1)))
      const result = shares(fit, total, chance.below(size + 1) - 1)
      const sum = result.reduce((all, share) => all + share, 0)
      assert.ok(
        Math.abs(sum - (fit.some((each) => each > 0) ? 1 : 0)) < 1e-9,
        `${fit.join()} of ${total.join()}: ${result.join()}`,
      )
      for (const [zone, share] of result.entries()) assert.ok(share >= 0 && (fit[zone]! > 0 || share === 0))
    }
  })
})
