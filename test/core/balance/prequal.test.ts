import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Outcome } from '../../../src/core/balance/picker.ts'
import { RecentQuantile } from '../../../src/core/balance/probe-pool.ts'
import { PICKERS } from '../../../src/core/balance/registry.ts'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { acceptAll, membersOf } from '../../contract/members.ts'
import { prepare } from '../../contract/pickers.ts'
import type { Bench } from '../../contract/traffic.ts'

const { prequal } = PICKERS
const equal = (size: number): number[] => Array.from({ length: size }, () => 1)

/** A pool over 40 endpoints with these answers: [slot, in flight, latency]. */
function withAnswers(
  answers: readonly (readonly [number, number, number])[],
  options: Record<string, unknown> = {},
): Bench {
  const bench = prepare(prequal, equal(40), { options })
  // What is hot is judged by the latest loads: of 0 to 9 the quantile 0.84 is 8.
  for (let i = 0; i < 640; i++) bench.picker.probed!(39, i % 10, 1000)
  for (const [slot, inFlight, latency] of answers) bench.picker.probed!(slot, inFlight, latency)
  return bench
}

describe('prequal', () => {
  test('takes the cold one with the lowest latency, however few the hot ones’ is', () => {
    const { picker } = withAnswers([
      [1, 3, 50],
      [2, 7, 20],
      [3, 30, 1],
    ])
    assert.equal(picker.pick(0, acceptAll), 2)
  })

  test('takes the lowest load where all are hot', () => {
    const { picker } = withAnswers([
      [1, 60, 1],
      [2, 20, 90],
      [3, 30, 5],
      [39, 99, 1],
    ])
    assert.equal(picker.pick(0, acceptAll), 2)
  })

  test('counts what it sends on the strength of an answer, and uses none for ever', () => {
    const { picker } = withAnswers([
      [1, 0, 10],
      [2, 0, 500],
    ])
    const picks = Array.from({ length: 20 }, () => picker.pick(0, acceptAll))
    const first = picks.findIndex((position) => position !== 1)
    assert.ok(first >= 1 && first <= 16, picks.join())
  })

  test('offers another one where the best is vetoed', () => {
    const { picker } = withAnswers([
      [1, 0, 10],
      [2, 0, 20],
      [3, 0, 30],
    ])
    assert.equal(
      picker.pick(0, (position) => position !== 1),
      2,
    )
  })

  test('falls back on two choices when answers are fewer than two or older than a second', () => {
    const { picker, clock, loads } = withAnswers([
      [1, 0, 10],
      [2, 0, 10],
    ])
    clock.ms += 1001
    loads.fill(1)
    loads[7] = 0
    const picks = new Set(Array.from({ length: 400 }, () => picker.pick(0, acceptAll)))
    assert.ok(picks.size > 30, `${picks.size} different ones`)
  })

  test('asks for one probe per pick, three while the pool is short, and never for more than six at once', () => {
    const short = prepare(prequal, equal(100)).picker
    short.pick(0, acceptAll)
    assert.equal(probesWanted(short), 3)
    for (let i = 0; i < 100; i++) short.pick(0, acceptAll)
    assert.equal(probesWanted(short), 6)
    const { picker } = withAnswers(Array.from({ length: 16 }, (_, slot) => [slot, 0, 10] as const))
    probesWanted(picker)
    picker.pick(0, acceptAll)
    assert.equal(probesWanted(picker), 1)
  })

  test('probes by weight, and no endpoint without', () => {
    const weights = [1, 3, 0, 6]
    const { picker } = prepare(prequal, weights, { options: { probeRate: 1 } })
    const counts = [0, 0, 0, 0]
    for (let i = 0; i < 100_000; i++) {
      picker.pick(0, acceptAll)
      for (let slot = picker.wantsProbe!(); slot >= 0; slot = picker.wantsProbe!()) counts[slot]!++
    }
    assert.equal(counts[2], 0)
    assert.ok(counts[3]! > counts[1]! && counts[1]! > counts[0]!, counts.join())
  })

  test('is not attracted by who fails fast', () => {
    const { picker } = withAnswers([
      [1, 0, 1],
      [2, 0, 20],
      [3, 0, 20],
    ])
    for (let i = 0; i < 3; i++) picker.ended!(1, 1, Outcome.FAILED)
    picker.probed!(1, 0, 1)
    for (let i = 0; i < 3; i++) assert.notEqual(picker.pick(0, acceptAll), 1)
  })

  test('keeps the answers of those that stay, and drops those of who left or was replaced', () => {
    const { picker } = withAnswers([
      [1, 0, 10],
      [2, 0, 1],
      [3, 0, 20],
    ])
    picker.update({
      count: 3,
      slots: Int32Array.of(3, 2, 1),
      weights: Float64Array.of(1, 1, 1),
      ids: ['e3', 'another', 'e1'],
    })
    assert.equal(picker.pick(0, acceptAll), 2)
  })

  test('takes no notice of answers that come too late or are nonsense', () => {
    const { picker } = prepare(prequal, equal(3))
    for (const [slot, inFlight, latency] of [
      [99, 0, 1],
      [1, -1, 1],
      [1, Number.NaN, 1],
      [1, 0, Number.NaN],
      [2, Number.POSITIVE_INFINITY, 1],
    ] as const) {
      picker.probed!(slot, inFlight, latency)
    }
    picker.update(membersOf([0, 1, 0]))
    picker.probed!(0, 0, 1)
    assert.equal(picker.pick(0, acceptAll), 1)
  })
})

function probesWanted(picker: Bench['picker']): number {
  let count = 0
  while (picker.wantsProbe!() >= 0) count++
  return count
}

test('the quantile of the latest values is that of a sorted copy', () => {
  const chance = new Xoshiro128(2)
  for (const capacity of [1, 2, 7, 64]) {
    const quantile = new RecentQuantile(capacity, 0.84)
    assert.equal(quantile.value, Number.POSITIVE_INFINITY)
    const all: number[] = []
    for (let i = 0; i < 500; i++) {
      const value = chance.below(20) / 4
      all.push(value)
      quantile.add(value)
      const latest = all.slice(-capacity).sort((a, b) => a - b)
      assert.equal(quantile.value, latest[Math.min(latest.length - 1, Math.floor(0.84 * latest.length))])
    }
  }
})
