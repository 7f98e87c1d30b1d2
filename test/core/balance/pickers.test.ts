import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createLocalDeps } from '../../../src/core/balance/local-deps.ts'
import { METRICS } from '../../../src/core/balance/metrics/registry.ts'
import { type Accept, type Members, Outcome, type Picker } from '../../../src/core/balance/picker.ts'
import { PICKERS } from '../../../src/core/balance/registry.ts'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { acceptAll, membersOf } from '../../contract/members.ts'
import { chanceOfFairness, describePicker, LARGEST_BIAS, largestBias, prepare } from '../../contract/pickers.ts'
import { type Bench, Traffic } from '../../contract/traffic.ts'

for (const [name, entry] of Object.entries(PICKERS)) {
  test(`${name} is registered under its own name`, () => assert.equal(entry.name, name))
  // Who owns a key is not drawn: what the hash pickers spread is in hash-pickers.test.ts.
  const isEven = name !== 'first-available' && !('usesKey' in entry)
  // Another name of a picker that is looked at in full.
  const isAlias = name === 'weighted-random' || name === 'weighted-least-requests'
  describePicker(name, entry, {}, isAlias ? 50_000 : 1_000_000, isEven)
}
describePicker('adaptive with a known capacity', PICKERS.adaptive, { capacity: 50 }, 200_000)
describePicker('least-requests, exact', PICKERS['least-requests'], { exact: true }, 50_000)
describePicker('least-requests, index', PICKERS['least-requests'], { index: true })
describePicker('expected-delay, exact', PICKERS['expected-delay'], { exact: true }, 20_000)
describePicker('p2c, response-time', PICKERS.p2c, { metric: 'response-time' }, 250_000)
describePicker('p2c, expected-delay', PICKERS.p2c, { metric: 'expected-delay' }, 250_000)

/** Two draws with one of the classic mistakes: the contract has to see them. */
class BiasedTwoDraws implements Picker {
  readonly #generator: Xoshiro128
  readonly #mistake: 'short second draw' | 'neighbour for a vetoed one'
  #count = 0

  constructor(mistake: 'short second draw' | 'neighbour for a vetoed one', seed = 1) {
    this.#generator = new Xoshiro128(seed)
    this.#mistake = mistake
  }

  update(members: Members): void {
    this.#count = members.count
  }

  pick(_key: number, accept: Accept): number {
    let first = this.#generator.below(this.#count)
    let second = this.#generator.below(this.#count - 1)
    if (this.#mistake === 'neighbour for a vetoed one') {
      if (second >= first) second++
      if (!accept(first)) first = (first + 1) % this.#count
      if (!accept(second)) second = (second + 1) % this.#count
    }
    const taken = this.#generator.int32() < 0 ? first : second
    return accept(taken) ? taken : (taken + 1) % this.#count
  }
}

describe('the check for bias', () => {
  test('sees a second draw that does not step over the first', () => {
    for (const size of [2, 3, 10, 1000]) {
      const picker = new BiasedTwoDraws('short second draw')
      picker.update(membersOf(Array.from({ length: size }, () => 1)))
      assert.ok(chanceOfFairness(picker, size, null) < 1e-4, `${size} endpoints`)
    }
  })

  test('sees that the neighbour of a vetoed endpoint inherits its share', () => {
    for (const size of [3, 10, 1000]) {
      for (const vetoed of [0, size >> 1, size - 1]) {
        const picker = new BiasedTwoDraws('neighbour for a vetoed one')
        picker.update(membersOf(Array.from({ length: size }, () => 1)))
        assert.ok(chanceOfFairness(picker, size, vetoed) < 1e-4, `${size} endpoints, vetoed: ${vetoed}`)
      }
    }
  })

  test('sees both also while requests begin and end', () => {
    for (const size of [3, 10, 1000]) {
      const vetoed = size - 1
      const create = (seed: number): Bench => {
        const picker = new BiasedTwoDraws('neighbour for a vetoed one', seed)
        picker.update(membersOf(Array.from({ length: size }, () => 1)))
        return { picker, loads: new Int32Array(size), clock: { ms: 1 } }
      }
      const bias = largestBias(create, size, vetoed, { runs: 40, picks: size === 1000 ? 8000 : 1000 })
      assert.ok(bias > LARGEST_BIAS, `${size} endpoints: ${bias} standard errors`)
    }
  })
})

describe('pickers that learn', () => {
  /**
   * Endpoint 0 takes `slowMs` on average, the others 10 ms, for `ms`; each has one request in flight on average. (With less to do
   * the last ones in order get nothing, rightly.) Returns endpoint 0's share of the picks.
   */
  const shareOfSlow = (bench: Bench, size: number, slowMs: number, ms: number): number => {
    const { picker, loads, clock } = bench
    const chance = new Xoshiro128(ms)
    /** By the millisecond in which they end. */
    const ending = new Map<number, { begin: number; slot: number }[]>()
    let picks = 0
    let slow = 0
    const finish = (outcome: number): void => {
      for (const { begin, slot } of ending.get(clock.ms) ?? []) {
        loads[slot]!--
        picker.ended?.(slot, clock.ms - begin, outcome)
      }
      ending.delete(clock.ms)
    }
    for (const until = clock.ms + ms; clock.ms < until; ) {
      clock.ms++
      finish(Outcome.OK)
      for (let i = 0; i < size / 10; i++) {
        const slot = picker.pick(picks++, acceptAll)
        loads[slot]!++
        picker.began?.(slot)
        for (let probe = picker.wantsProbe?.() ?? -1; probe >= 0; probe = picker.wantsProbe!()) {
          picker.probed!(probe, loads[probe]!, probe === 0 ? slowMs : 10)
        }
        const end = clock.ms + Math.ceil(-Math.log(1 - chance.unit()) * (slot === 0 ? slowMs : 10))
        const group = ending.get(end)
        if (group === undefined) ending.set(end, [{ begin: clock.ms, slot }])
        else group.push({ begin: clock.ms, slot })
        if (slot === 0) slow++
      }
    }
    // Nothing is left behind for the next part.
    while (ending.size > 0) {
      clock.ms++
      finish(Outcome.CANCELLED)
    }
    return slow / picks
  }

  for (const name of ['least-response-time', 'peak-ewma', 'expected-delay', 'prequal'] as const) {
    for (const size of [10, 200]) {
      test(`${name} leaves a slow one of ${size} nearly alone, knows it after a change of membership, and comes back when it is well`, () => {
        const bench = prepare(PICKERS[name], new Array<number>(size).fill(1))
        shareOfSlow(bench, size, 300, 3000)
        const slow = shareOfSlow(bench, size, 300, 4000)
        assert.ok(slow < 0.3 / size, `slow: ${slow}`)
        bench.picker.update(membersOf(new Array<number>(size + 5).fill(1)))
        const after = shareOfSlow(bench, size, 300, 500)
        assert.ok(after < 0.4 / size, `after a change: ${after}`)
        // Some seconds (a peak takes longer to decay), then what it gets of the next two.
        shareOfSlow(bench, size, 10, name === 'peak-ewma' ? 30_000 : 10_000)
        const recovered = shareOfSlow(bench, size, 10, 2000)
        assert.ok(recovered > 0.5 / size, `recovered: ${recovered}`)
      })
    }
  }

  test('expected-delay by its index takes what it would take comparing all', () => {
    const size = 600
    const weights = Array.from({ length: size }, (_, position) => 1 + (position % 3))
    const bench = prepare(PICKERS['expected-delay'], weights)
    const { picker, loads, clock } = bench
    // Another one of the metric, told the same, that works out every cost at every pick.
    const metric = METRICS['expected-delay'].create({ ...createLocalDeps(size, { now: () => clock.ms }), loads }, {})
    metric.update(membersOf(weights))
    const slots = Int32Array.from(weights, (_, slot) => slot)
    const costs = new Float64Array(size)
    const told: Picker = {
      update: () => undefined,
      pick: (key, accept) => picker.pick(key, accept),
      began: (slot) => {
        picker.began!(slot)
        metric.began(slot, clock.ms)
      },
      ended: (slot, latencyMs, outcome) => {
        picker.ended!(slot, latencyMs, outcome)
        metric.ended(slot, clock.ms, latencyMs, outcome)
      },
    }
    const traffic = new Traffic({ picker: told, loads, clock }, { depth: 900, isRandom: true, failureRatio: 0.01 })
    let off = 0
    for (let i = 0; i < 6000; i++) {
      traffic.step(acceptAll, (key) => {
        metric.fill(slots, size, costs, clock.ms)
        for (const [slot, weight] of weights.entries()) costs[slot] = costs[slot]! / weight
        const position = picker.pick(key, acceptAll)
        if (i > 3000 && costs[position]! > 1.05 * Math.min(...costs)) off++
        return position
      })
    }
    assert.ok(off < 300, `${off} of 3000 picks were more than 5 % dearer than the least`)
  })
})

describe('least-requests', () => {
  test('takes the least (load + 1) / weight of all that are accepted, up to 256 endpoints and with exact at any number', () => {
    const chance = new Xoshiro128(9)
    for (const [size, options] of [
      [5, {}],
      [256, {}],
      [1000, { exact: true }],
    ] as const) {
      const weights = Array.from({ length: size }, () => 1 + chance.below(4))
      const { picker, loads } = prepare(PICKERS['least-requests'], weights, { options })
      for (let trial = 0; trial < 200; trial++) {
        for (let slot = 0; slot < size; slot++) loads[slot] = chance.below(50)
        const vetoed = chance.below(size)
        const costs = weights.map((weight, position) =>
          position === vetoed ? Infinity : (loads[position]! + 1) / weight,
        )
        const position = picker.pick(0, (candidate) => candidate !== vetoed)
        assert.equal(costs[position], Math.min(...costs))
      }
    }
  })

  test('asks about one endpoint, not all, where there is no veto', () => {
    const { picker } = prepare(
      PICKERS['least-requests'],
      Array.from({ length: 200 }, () => 1),
    )
    let asked = 0
    picker.pick(0, () => ++asked > 0)
    assert.equal(asked, 1)
  })

  test('takes one of the emptiest fifth of 4000 by its sample, at least 90 times in 100', () => {
    const size = 4000
    const { picker, loads } = prepare(
      PICKERS['least-requests'],
      Array.from({ length: size }, () => 1),
    )
    for (let slot = 0; slot < size; slot++) loads[slot] = (slot * 1021) % size
    let good = 0
    for (let i = 0; i < 1000; i++) if (loads[picker.pick(i, acceptAll)]! < size / 5) good++
    assert.ok(good >= 900, `${good} of 1000`)
  })
})

describe('p2c', () => {
  test('takes the lower (load + 1) / weight of its two', () => {
    const { picker, loads } = prepare(PICKERS.p2c, [1, 4])
    for (const [first, second, expected] of [
      [0, 2, 1],
      [0, 4, 0],
      [1, 20, 0],
      [9, 9, 1],
    ] as const) {
      loads[0] = first
      loads[1] = second
      for (let i = 0; i < 50; i++) assert.equal(picker.pick(i, acceptAll), expected)
    }
  })

  test('never takes the most loaded of all while two are accepted', () => {
    for (const size of [2, 3, 50]) {
      const { picker, loads } = prepare(
        PICKERS.p2c,
        Array.from({ length: size }, () => 1),
      )
      loads[size >> 1] = 9
      for (let i = 0; i < 20_000; i++) assert.notEqual(picker.pick(i, acceptAll), size >> 1)
    }
  })

  test('draws its two by weight, without repetition', () => {
    // Loads make the cost of each its rank, so the lower of the pair shows which pair it was.
    const weights = [5, 3, 2]
    const { picker, loads } = prepare(PICKERS.p2c, weights, { seed: 4 })
    loads.set([5 * 100 - 1, 3 * 200 - 1, 2 * 300 - 1])
    const counts = [0, 0, 0]
    const draws = 300_000
    for (let i = 0; i < draws; i++) counts[picker.pick(i, acceptAll)]!++
    const pair = (a: number, b: number): number =>
      (weights[a]! / 10) * (weights[b]! / (10 - weights[a]!)) + (weights[b]! / 10) * (weights[a]! / (10 - weights[b]!))
    const expected = [pair(0, 1) + pair(0, 2), pair(1, 2), 0]
    for (const [position, share] of expected.entries()) {
      assert.ok(Math.abs(counts[position]! / draws - share) < 0.004, `${counts.join()} against ${expected.join()}`)
    }
  })
})
