import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MultiProbeMap } from '../../../src/core/hash/multi-probe.ts'
import { HashRing } from '../../../src/core/hash/ring.ts'
import { fleet, keys, tally } from './every-map.ts'

/** Largest count over mean, as a mean over fleets. */
function worst(count: number, probes: number, fleets: number): number {
  let sum = 0
  for (let f = 0; f < fleets; f++) {
    const map = new MultiProbeMap(fleet(count, [], `f${f}-`), { probes })
    sum += Math.max(...tally(map, count, keys(100_000))) / (100_000 / count)
  }
  return sum / fleets
}

describe('multi-probe', () => {
  test('has a worst share of 1 + 1/k of the mean and chance', () => {
    // The sample adds 1 % a member, 1.5 % to the worst of ten.
    assert.ok(worst(10, 21, 8) < 1.1, `${worst(10, 21, 8)}`)
    assert.ok(worst(10, 1, 8) > 2)
    const ring = Math.max(...tally(new HashRing(fleet(10), { virtualNodes: 1 }), 10, keys(100_000))) / 10_000
    assert.ok(ring > 1.8, `${ring}`)
  })

  test('honours weights that are far apart', () => {
    const weights = [100, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    let heavy = 0
    for (let f = 0; f < 20; f++) {
      heavy += tally(new MultiProbeMap(fleet(10, weights, `f${f}-`)), 10, keys(20_000, f * 20_000))[0]! / 400_000
    }
    assert.ok(Math.abs((1 - heavy) / (9 / 109) - 1) < 0.15, `${1 - heavy} for the light ones`)
  })

  test('is small', () => {
    assert.ok(new MultiProbeMap(fleet(1000)).bytes < 25_000)
  })

  test('refuses a number of probes out of range', () => {
    for (const probes of [0, 1.5, 1001]) {
      assert.throws(() => new MultiProbeMap(fleet(1), { probes }), /probes must be a whole number from 1 to 1000/)
    }
  })
})
