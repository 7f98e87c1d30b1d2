import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { PICKERS } from '../../../src/core/balance/registry.ts'
import { MaglevMap } from '../../../src/core/hash/maglev.ts'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { Histogram } from '../../../src/core/signals/histogram.ts'
import { AccessLogTrace } from '../../../src/lab/simulate/access-log-trace.ts'
import { createSampler, type Distribution, meanOf } from '../../../src/lab/simulate/distributions.ts'
import { EventQueue, KINDS_MAX, SUBJECTS_MAX } from '../../../src/lab/simulate/event-queue.ts'
import { KeyCaches } from '../../../src/lab/simulate/key-caches.ts'
import { createKeySampler, hashOfKey } from '../../../src/lab/simulate/keys.ts'
import { keysMoved } from '../../../src/lab/simulate/keys-moved.ts'
import { choicesOf, natureOf, parseChoice, registryChoice } from '../../../src/lab/simulate/picker-choices.ts'
import { quantileOf } from '../../../src/lab/simulate/result.ts'
import type { Scenario } from '../../../src/lab/simulate/scenario.ts'
import { type PickerChoice, Simulation } from '../../../src/lab/simulate/simulation.ts'
import { medianInterval } from '../../../src/lab/simulate/statistics.ts'

describe('the event queue', () => {
  test('gives events by time, and those of one time in the order in which they came', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 20 })), { maxLength: 400 }), (steps) => {
        const queue = new EventQueue()
        const expected: { time: number; order: number }[] = []
        let now = 0
        for (const [order, step] of steps.entries()) {
          if (step !== null) {
            queue.push(now + step, order % KINDS_MAX, order)
            expected.push({ time: now + step, order })
            continue
          }
          expected.sort((a, b) => a.time - b.time || a.order - b.order)
          const next = expected.shift()
          const kind = queue.pop()
          assert.equal(kind, next === undefined ? -1 : next.order % KINDS_MAX)
          if (next === undefined) continue
          assert.deepEqual([queue.time, queue.subject], [next.time, next.order])
          now = next.time
        }
        assert.equal(queue.size, expected.length)
      }),
    )
  })

  test('keeps kind and subject apart up to their bounds, and grows', () => {
    const queue = new EventQueue()
    for (let index = 0; index < 5000; index++) queue.push(5000 - index, KINDS_MAX - 1, SUBJECTS_MAX - 1 - index)
    for (let index = 4999; index >= 0; index--) {
      assert.equal(queue.pop(), KINDS_MAX - 1)
      assert.equal(queue.subject, SUBJECTS_MAX - 1 - index)
    }
    assert.equal(queue.pop(), -1)
    assert.throws(() => queue.push(Number.NaN, 0, 0), /an event at NaN/)
  })
})

describe('distributions', () => {
  const cases: readonly Distribution[] = [
    { kind: 'constant', meanMs: 3 },
    { kind: 'exponential', meanMs: 40 },
    { kind: 'lognormal', meanMs: 40, sigma: 1 },
    { kind: 'bimodal', shortMs: 5, longMs: 500, longRatio: 0.02 },
    { kind: 'bimodal', shortMs: 5, longMs: 500, longRatio: 0.02, exponential: true },
    { kind: 'measured', valuesMs: [1, 2, 30] },
    { kind: 'replayed', valuesMs: [1, 2, 30] },
  ]
  for (const distribution of cases) {
    test(`${distribution.kind} has the mean that it says`, () => {
      const draw = createSampler(distribution, new Xoshiro128(11))
      let sum = 0
      for (let index = 0; index < 600_000; index++) sum += draw()
      assert.ok(Math.abs(sum / 600_000 / meanOf(distribution) - 1) < 0.02, `${sum / 600_000}`)
    })
  }

  test('Zipf keys have the shares of the law', () => {
    for (const exponent of [0.7, 1, 1.3]) {
      const draw = createKeySampler({ count: 1000, distribution: 'zipf', exponent }, new Xoshiro128(5))
      const counts = new Float64Array(1000)
      const draws = 500_000
      for (let index = 0; index < draws; index++) {
        const key = draw()
        counts[key] = counts[key]! + 1
      }
      let total = 0
      for (let rank = 1; rank <= 1000; rank++) total += rank ** -exponent
      for (const rank of [1, 2, 3, 10, 100, 1000]) {
        const wanted = (draws * rank ** -exponent) / total
        // Five standard deviations of a count.
        assert.ok(Math.abs(counts[rank - 1]! - wanted) < 5 * Math.sqrt(wanted), `${exponent}, ${rank}`)
      }
    }
  })
})

describe('caches of keys', () => {
  test('hit what was there lately, and keep about as many keys as they are said to', () => {
    const caches = new KeyCaches(2, 800)
    const touch = (key: number): boolean => caches.touch(1, key, hashOfKey(key))
    for (let key = 0; key < 500; key++) assert.equal(touch(key), false)
    let hits = 0
    for (let key = 0; key < 500; key++) if (touch(key)) hits++
    assert.ok(hits > 470, `${hits}`)
    assert.equal(caches.touch(0, 3, hashOfKey(3)), false)
    // A walk through far more than fits finds nothing again.
    let found = 0
    for (let round = 0; round < 2; round++) for (let key = 1000; key < 5000; key++) if (touch(key)) found++
    assert.ok(found < 400, `${found}`)
    caches.clear(1)
    assert.equal(touch(4999), false)
  })
})

describe('quantiles', () => {
  test('are within half a percent of the exact ones for a smooth distribution', () => {
    const chance = new Xoshiro128(3)
    const histogram = new Histogram()
    const values = Float64Array.from({ length: 200_000 }, () => -40 * Math.log(1 - chance.unit()))
    for (const value of values) histogram.record(value)
    values.sort()
    for (const q of [0.1, 0.5, 0.9, 0.99]) {
      assert.ok(Math.abs(quantileOf(histogram, q) / values[Math.ceil(q * values.length) - 1]! - 1) < 0.005, `${q}`)
    }
    assert.ok(Number.isNaN(quantileOf(new Histogram(), 0.5)))
  })
})

describe('the interval of a median', () => {
  test('is from the 6th to the 15th of 20 values, and none with fewer than 6', () => {
    const twenty = Array.from({ length: 20 }, (_, index) => 20 - index)
    assert.deepEqual(medianInterval(twenty), { median: 10.5, lower: 6, upper: 15 })
    assert.deepEqual(medianInterval([3, 1, 2]), {
      median: 2,
      lower: Number.NEGATIVE_INFINITY,
      upper: Number.POSITIVE_INFINITY,
    })
    assert.deepEqual(medianInterval([1, 2, 3, 4, 5, 6]), { median: 3.5, lower: 1, upper: 6 })
    assert.ok(Number.isNaN(medianInterval([]).median))
  })

  test('holds the true median at least 95 times in 100', () => {
    const chance = new Xoshiro128(17)
    let holds = 0
    for (let round = 0; round < 4000; round++) {
      const { lower, upper } = medianInterval(Array.from({ length: 21 }, () => chance.unit() ** 3))
      if (lower <= 0.125 && upper >= 0.125) holds++
    }
    assert.ok(holds / 4000 > 0.945, `${holds / 4000}`)
  })
})

/** A hash picker of the test's own, so that it does not depend on which ones the registry has. */
const MAGLEV: PickerChoice = {
  label: 'maglev of the test',
  create: () => {
    let map = new MaglevMap({ ids: [], weights: [] })
    return {
      update: ({ ids, weights }) => {
        map = new MaglevMap({ ids, weights })
      },
      pick: (key, accept) => map.find(key, accept),
    }
  },
}

const FLEET: Scenario = {
  name: 'fleet',
  summary: 'eight endpoints, one of them goes',
  groups: [
    { name: 'server', count: 7 },
    { name: 'gone', count: 1 },
  ],
  utilisation: 0.5,
  service: { kind: 'constant', meanMs: 10 },
  changes: [{ atMs: 1000, group: 'gone', state: 'crash' }],
  durationMs: 2000,
}

describe('keys moved', () => {
  test('are counted for pickers that go by keys, and are those of the endpoint that went', () => {
    const moved = keysMoved(FLEET, MAGLEV)!
    assert.equal(moved.ratio, moved.neededRatio)
    assert.ok(Math.abs(moved.ratio - 1 / 8) < 0.02, `${moved.ratio}`)
  })

  test('mean nothing for pickers that do not, and without a change', () => {
    for (const choice of choicesOf('balancing', 'fixed')) assert.equal(keysMoved(FLEET, choice), null, choice.label)
    assert.equal(keysMoved({ ...FLEET, changes: [] }, MAGLEV), null)
  })
})

describe('the nature of a picker', () => {
  test('is found by trying it', () => {
    for (const name of ['round-robin', 'random', 'least-requests', 'p2c'] as const) {
      assert.equal(natureOf(PICKERS[name]), 'balancing', name)
    }
    const made = { ...PICKERS.random, create: () => MAGLEV.create(null as never, null as never) }
    assert.equal(natureOf(made), 'keyed')
    const first = { ...PICKERS.random, create: () => ({ update: () => {}, pick: () => 0 }) }
    assert.equal(natureOf(first), 'fixed')
  })

  test('says nothing about options: those are written after a colon', () => {
    const choice = parseChoice('least-requests:exact=true')
    assert.ok('create' in choice)
    assert.equal(choice.label, 'least-requests:exact=true')
    assert.deepEqual(parseChoice('nobody'), { problem: "there is no picker 'nobody'" })
    assert.deepEqual(parseChoice('p2c:exact'), { problem: "'exact' of 'p2c:exact' is no option=value" })
    assert.equal(registryChoice(PICKERS.p2c).label, 'p2c')
  })
})

describe('an access log', () => {
  const line = (ms: number, firstByteMs: number | null, path = '/a', connectMs: number | null = 0): string =>
    JSON.stringify({
      time: new Date(1_700_000_000_000 + ms).toISOString(),
      path,
      status: 200,
      first_byte_ms: firstByteMs,
      connect_ms: connectMs,
    })

  test('is played as it was: times, work and keys, in order of time', () => {
    const trace = new AccessLogTrace()
    for (const text of [
      line(30, 5, '/b'),
      line(0, 12, '/a', 2),
      'no json',
      '',
      line(10, null),
      line(50, 7, '/b'),
      '[]',
    ]) {
      trace.add(text)
    }
    assert.deepEqual([trace.size, trace.skipped], [3, 3])
    const scenario = trace.scenario({ endpoints: 2, slots: 1, balancers: 1 })
    assert.deepEqual(scenario.arrivals, { kind: 'trace', atMs: Float64Array.of(0, 30, 50) })
    assert.deepEqual(scenario.service, { kind: 'replayed', valuesMs: Float64Array.of(10, 5, 7) })
    assert.deepEqual(scenario.keys, { count: 2, distribution: 'replayed', order: Int32Array.of(1, 0, 0) })
    const result = new Simulation({ ...scenario, warmupMs: 0 }, registryChoice(PICKERS['round-robin']), 1).run()
    assert.equal(result.requests, 3)
    assert.ok(Math.abs(result.okMs - (10 + 5 + 7) / 3 - 0.5) < 1e-6, `${result.okMs}`)
  })
})
