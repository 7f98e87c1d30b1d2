import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createLocalDeps, type LocalDeps } from '../../../../src/core/balance/local-deps.ts'
import type { LoadMetric } from '../../../../src/core/balance/metrics/load-metric.ts'
import { METRICS, metricOption } from '../../../../src/core/balance/metrics/registry.ts'
import { Outcome } from '../../../../src/core/balance/picker.ts'
import { membersOf } from '../../../contract/members.ts'

interface Cranked {
  readonly metric: LoadMetric
  readonly deps: LocalDeps
  readonly now: () => number
  readonly wait: (ms: number) => void
  /** One request at a time that takes `latencyMs`. */
  readonly answer: (slot: number, latencyMs: number, outcome?: number) => void
  readonly costs: () => number[]
}

/** A metric over `size` equal endpoints with a clock that is cranked by hand. */
function crank(name: keyof typeof METRICS, size: number, options: Record<string, unknown> = {}): Cranked {
  let now = 1000
  const deps = createLocalDeps(64, { now: () => now })
  const metric = METRICS[name].create(deps, options)
  metric.update(membersOf(Array.from({ length: size }, () => 1)))
  return {
    metric,
    deps,
    now: () => now,
    wait: (ms) => {
      now += ms
    },
    answer: (slot, latencyMs, outcome = Outcome.OK) => {
      metric.began(slot, now)
      now += latencyMs
      metric.ended(slot, now, latencyMs, outcome)
    },
    costs: () => {
      const out = new Float64Array(size)
      metric.fill(
        Int32Array.from(out, (_, slot) => slot),
        size,
        out,
        now,
      )
      return [...out]
    },
  }
}

const LEARNING = ['response-time', 'peak-ewma', 'expected-delay'] as const

for (const name of Object.keys(METRICS) as (keyof typeof METRICS)[]) {
  describe(`the metric ${name}`, () => {
    test('is registered under its own name', () => {
      assert.equal(METRICS[name].name, name)
      assert.equal(crank(name, 1).metric.name, name)
    })

    test('says of one slot what it says of many', () => {
      const { metric, answer, costs, now } = crank(name, 4)
      for (let i = 0; i < 40; i++) answer(i % 3, 5 + (i % 3) * 7)
      assert.deepEqual(
        costs(),
        [0, 1, 2, 3].map((slot) => metric.cost(slot, now())),
      )
    })

    test('costs more with more in flight, in proportion', () => {
      const { metric, deps, answer, now } = crank(name, 2)
      for (let i = 0; i < 20; i++) answer(i % 2, 10)
      const idle = metric.cost(0, now())
      deps.loads[0] = 3
      assert.ok(Math.abs(metric.cost(0, now()) / idle - 4) < 1e-9)
    })

    test('is not disturbed by slots that it never heard of', () => {
      const { metric, costs, now } = crank(name, 2)
      metric.began(5000, now())
      metric.ended(5000, now(), 10, Outcome.OK)
      assert.ok(costs().every((cost) => cost > 0))
    })
  })
}

for (const name of LEARNING) {
  describe(`the metric ${name}`, () => {
    test('believes of an endpoint without answers that it is as the mean of the others', () => {
      const { metric, answer, wait, now } = crank(name, 3)
      for (let i = 0; i < 60; i++) answer(i % 2, 20)
      // Asked and not answered yet, so that no trial is due.
      metric.began(2, now())
      assert.ok(Math.abs(metric.cost(2, now()) / metric.cost(0, now()) - 1) < 0.02)
      wait(0)
    })

    test('knows who is slow', () => {
      const { answer, metric, now } = crank(name, 2)
      for (let i = 0; i < 40; i++) answer(i % 2, i % 2 === 0 ? 10 : 100)
      metric.began(1, now())
      assert.ok(metric.cost(1, now()) > 3 * metric.cost(0, now()))
    })

    test('is not attracted by fast failures', () => {
      const { answer, metric, now } = crank(name, 2)
      for (let i = 0; i < 40; i++) answer(0, 20)
      for (let i = 0; i < 10; i++) answer(1, 1, Outcome.FAILED)
      metric.began(1, now())
      assert.ok(metric.cost(1, now()) > 5 * metric.cost(0, now()), `${metric.cost(1, now())}`)
    })

    test('learns nothing from cancelled attempts', () => {
      const { answer, metric, now } = crank(name, 2)
      for (let i = 0; i < 40; i++) answer(i % 2, 10)
      const before = metric.cost(1, now())
      for (let i = 0; i < 5; i++) {
        metric.began(1, now())
        metric.ended(1, now(), 5000, Outcome.CANCELLED)
      }
      assert.ok(Math.abs(metric.cost(1, now()) / before - 1) < 0.01)
    })

    test('keeps what it learnt over changes of membership, and starts anew for another endpoint at the slot', () => {
      const { answer, metric, now } = crank(name, 3)
      for (let i = 0; i < 60; i++) answer(i % 3, i % 3 === 1 ? 200 : 10)
      metric.began(1, now())
      const slow = metric.cost(1, now())
      metric.update(membersOf([1], [40]))
      metric.update(membersOf([5, 1], [1, 0]))
      assert.equal(metric.cost(1, now()), slow)
      metric.update({ count: 2, slots: Int32Array.of(0, 1), weights: Float64Array.of(1, 1), ids: ['e0', 'another'] })
      assert.ok(metric.cost(1, now()) < slow / 2)
    })

    test('ends that nobody began do no harm', () => {
      const { metric, answer, now, costs } = crank(name, 2)
      for (let i = 0; i < 10; i++) metric.ended(0, now(), 10, Outcome.OK)
      for (let i = 0; i < 40; i++) answer(i % 2, 10)
      const [one, other] = costs()
      assert.ok(Math.abs(one! / other! - 1) < 0.1)
    })
  })
}

for (const name of ['expected-delay', 'peak-ewma'] as const) {
  test(`${name}: an endpoint that is silent grows dear before it answers`, () => {
    const { answer, metric, wait, now } = crank(name, 2)
    for (let i = 0; i < 40; i++) answer(i % 2, 10)
    metric.began(1, now())
    const before = metric.cost(1, now())
    wait(2000)
    assert.ok(metric.cost(1, now()) > 5 * before)
  })
}

for (const name of ['expected-delay', 'response-time'] as const) {
  describe(`trials of ${name}`, () => {
    /** Endpoint 1 took 40 times as long for a while; then `waitMs` passed in which endpoint 0 alone was asked. */
    const slowed = (waitMs: number): Cranked => {
      const cranked = crank(name, 2)
      for (let i = 0; i < 100; i++) cranked.answer(i % 2, i % 2 === 0 ? 10 : 400)
      for (let passed = 0; passed < waitMs; passed += 10) cranked.answer(0, 10)
      return cranked
    }
    const isTried = ({ costs }: Cranked): boolean => costs()[1]! < costs()[0]! / 10

    test('come within some seconds, one at a time', () => {
      const cranked = slowed(3000)
      assert.ok(isTried(cranked))
      cranked.metric.began(1, cranked.now())
      assert.ok(!isTried(cranked))
    })

    test('bring an endpoint back after three good answers in a row', () => {
      // So long that the fleet's mean no longer remembers.
      const cranked = slowed(10_000)
      for (let good = 0; good < 3; good++) {
        assert.ok(isTried(cranked), `after ${good} good answers`)
        cranked.answer(1, 10)
      }
      const [well, recovered] = cranked.costs()
      assert.ok(recovered! < 2 * well! && recovered! > well! / 2, `${recovered} against ${well}`)
    })

    test('become rare where nothing gets better: at most one request in 200, of many suspects together', () => {
      const size = 20
      const cranked = crank(name, size)
      for (let i = 0; i < 2000; i++) cranked.answer(i % size, i % size < 10 ? 10 : 500)
      let trials = 0
      const requests = 20_000
      for (let i = 0; i < requests; i++) {
        const costs = cranked.costs()
        const least = costs.indexOf(Math.min(...costs))
        if (least >= 10) trials++
        cranked.answer(least, least < 10 ? 10 : 500)
      }
      assert.ok(trials > 10 && trials < requests / 200, `${trials} trials`)
    })

    test('come for an endpoint that is new among known ones within some two seconds', () => {
      const cranked = crank(name, 2)
      for (let i = 0; i < 50; i++) cranked.answer(0, 10)
      cranked.metric.update({
        count: 2,
        slots: Int32Array.of(0, 1),
        weights: Float64Array.of(1, 1),
        ids: ['e0', 'new'],
      })
      for (let passed = 0; passed < 2000; passed += 10) cranked.answer(0, 10)
      assert.ok(isTried(cranked))
    })
  })
}

test('expected-delay: the study’s formula by hand', () => {
  // G: 10 answers of 10 ms. Endpoint 0: M = 10 · Σ 0.95^k, W = Σ 0.95^k, k from 0 to 9; no time passes, so nothing fades.
  const { metric, now } = crank('expected-delay', 1)
  for (let i = 0; i < 10; i++) {
    metric.began(0, now())
    metric.ended(0, now(), 10, Outcome.OK)
  }
  assert.ok(Math.abs(metric.cost(0, now()) - 10) < 1e-9)
  metric.began(0, now())
  metric.ended(0, now(), 30, Outcome.OK)
  let mass = 0
  for (let k = 0; k < 10; k++) mass = mass * 0.95 + 1
  const mean = 10 + 20 / 11
  assert.ok(Math.abs(metric.cost(0, now()) - (10 * mass * 0.95 + 30 + mean) / (mass * 0.95 + 2)) < 1e-9)
  const before = metric.cost(0, now())
  metric.began(0, now())
  metric.ended(0, now(), 1, Outcome.FAILED)
  const keeps = (10 * mass * 0.95 + 30) * 0.95
  const faded = (keeps + mean) / ((mass * 0.95 + 1) * 0.95 + 1)
  assert.ok(Math.abs(metric.parts(0, now())['estimateMs']! - faded) < 1e-9, `${before}`)
  assert.ok(Math.abs(metric.parts(0, now())['failureMs']! - 10 * mean) < 1e-9)
})

test('expected-delay: depth does not change the estimate', () => {
  const { metric, deps, now, wait } = crank('expected-delay', 2)
  // 2 in flight at one and 60 at the other, each for 60 ms: a request ends and begins every 30 ms, and every ms.
  const running: [begin: number, slot: number][] = []
  for (let ms = 0; ms < 3000; ms++) {
    wait(1)
    while (running.length > 0 && running[0]![0] <= now() - 60) metric.ended(running.shift()![1], now(), 60, Outcome.OK)
    for (const slot of ms % 30 === 0 ? [0, 1] : [1]) {
      metric.began(slot, now())
      running.push([now(), slot])
    }
  }
  assert.equal(deps.loads[0], 0)
  const [shallow, deep] = [0, 1].map((slot) => metric.parts(slot, now())['estimateMs']!)
  assert.ok(Math.abs(shallow! - 60) < 6 && Math.abs(deep! - 60) < 6, `${shallow} and ${deep}`)
})

test('peak-ewma rises at once and decays with its time', () => {
  const { metric, answer, wait, now } = crank('peak-ewma', 1, { decayMs: 1000 })
  for (let i = 0; i < 20; i++) answer(0, 10)
  answer(0, 100)
  assert.ok(Math.abs(metric.cost(0, now()) - 100) < 1e-9)
  wait(1000)
  assert.ok(Math.abs(metric.cost(0, now()) - 100 / Math.E) < 1)
})

test('an option that is no metric, or no number, is refused with what there is', () => {
  assert.throws(() => metricOption({ metric: 'speed' }, 'requests'), /metric is "speed", it must be one of requests, /)
  assert.throws(() => crank('peak-ewma', 1, { decayMs: 'long' }), /decayMs is "long", it must be a number from 1 to/)
})
