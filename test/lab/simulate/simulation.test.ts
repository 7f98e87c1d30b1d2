import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Outcome, type Picker } from '../../../src/core/balance/picker.ts'
import { PICKERS } from '../../../src/core/balance/registry.ts'
import { choicesOf, ORACLE, registryChoice } from '../../../src/lab/simulate/picker-choices.ts'
import { Ending, quantileOf, type RunResult } from '../../../src/lab/simulate/result.ts'
import type { Scenario } from '../../../src/lab/simulate/scenario.ts'
import { SCENARIOS } from '../../../src/lab/simulate/scenarios/index.ts'
import { type PickerChoice, Simulation } from '../../../src/lab/simulate/simulation.ts'

const P2C = registryChoice(PICKERS.p2c)
const LEAST = registryChoice(PICKERS['least-requests'])
const EXPONENTIAL = { kind: 'exponential', meanMs: 20 } as const

const plain: Scenario = {
  name: 'plain',
  summary: 'six equal endpoints',
  groups: [{ name: 'server', count: 6 }],
  balancers: 2,
  utilisation: 0.7,
  service: EXPONENTIAL,
  durationMs: 20_000,
}

/** Everything that can happen, at once. */
const everything: Scenario = {
  name: 'everything',
  summary: 'all features together',
  groups: [
    { name: 'a', count: 4, zone: 'x', antagonist: { slowest: 0.2, fastest: 0.8, onMs: 300, offMs: 900 } },
    { name: 'b', count: 3, zone: 'y', discipline: 'shared', slots: 3, speed: 0.7, failRatio: 0.05 },
    { name: 'c', count: 2, isAbsent: true, cold: { factor: 5, requests: 50 }, weight: 2 },
    { name: 'd', count: 2, queueMax: 3, failMs: 2 },
  ],
  balancers: 3,
  workers: 2,
  balancerShares: [3, 1, 1],
  arrivals: { kind: 'bursts', factor: 4, onMs: 300, offMs: 900 },
  utilisation: 0.8,
  service: { kind: 'lognormal', meanMs: 20, sigma: 1 },
  keys: { count: 500, distribution: 'zipf' },
  cache: { capacity: 64, hitFactor: 0.5 },
  network: { oneWayMs: 0.5, jitterMs: 0.5 },
  timeouts: { perTryMs: 150, requestMs: 500 },
  retries: { max: 2 },
  hedge: { afterMs: 60 },
  givenUp: 'dropped',
  queue: { maxInFlight: 4, capacity: 50, maxWaitMs: 300, whenOverloaded: 'lifo' },
  health: { detectMs: 500, discoveryMs: 200 },
  changes: [
    { atMs: 3000, group: 'c', state: 'join' },
    { atMs: 5000, zone: 'x', first: 2, state: 'crash' },
    { atMs: 8000, zone: 'x', first: 2, state: 'recover' },
    { atMs: 9000, group: 'b', first: 1, state: 'silent' },
    { atMs: 12_000, group: 'b', first: 1, state: 'recover' },
    { atMs: 13_000, group: 'd', state: 'leave' },
    { atMs: 14_000, rateFactor: 1.5 },
    { atMs: 15_000, group: 'a', speed: 2, weight: 3, failRatio: 0.1 },
  ],
  durationMs: 20_000,
}

interface Watched extends PickerChoice {
  began: number
  ended: number
  /** Of each picker's balancer. */
  readonly loads: Int32Array[]
  /** By `Outcome`. */
  readonly outcomes: number[]
}

/** Least-requests of a picker that learns: counts what it is told, and checks each call. */
function watched(): Watched {
  const watch: Watched = {
    label: 'watched',
    began: 0,
    ended: 0,
    loads: [],
    outcomes: [0, 0, 0],
    create: (deps) => {
      const inner = PICKERS['least-requests'].create(deps, {})
      watch.loads.push(deps.loads)
      let last = 0
      const picker: Picker = {
        update: (members) => inner.update(members),
        pick: (key, accept) => inner.pick(key, accept),
        began: (slot) => {
          watch.began++
          assert.ok(deps.loads[slot]! > 0)
        },
        ended: (slot, latencyMs, outcome) => {
          watch.ended++
          watch.outcomes[outcome] = watch.outcomes[outcome]! + 1
          assert.ok(latencyMs >= 0 && deps.loads[slot]! >= 0)
          assert.ok(deps.now() >= last && deps.now() >= 1)
          last = deps.now()
        },
      }
      return picker
    },
  }
  return watch
}

function run(scenario: Scenario, choice: PickerChoice, seed = 1): RunResult {
  return new Simulation(scenario, choice, seed).run()
}

/** All that a result says, with the histogram as its buckets. */
function textOf(result: RunResult): string {
  const { latency, timeline, ...rest } = result
  return JSON.stringify([rest, latency.buckets(), latency.sum, Array.from(timeline.counts)])
}

describe('a run', () => {
  test('is the same for the same seed, whatever steps it is made in, and another for another', () => {
    for (const choice of [...choicesOf('balancing', 'keyed'), ORACLE]) {
      const once = textOf(run(everything, choice, 7))
      assert.equal(textOf(run(everything, choice, 7)), once, choice.label)
      const stepped = new Simulation(everything, choice, 7)
      while (stepped.step(37));
      assert.equal(textOf(stepped.result()), once, choice.label)
      assert.notEqual(textOf(run(everything, choice, 8)), once, choice.label)
    }
  })

  test('shows every picker the same requests', () => {
    const begun = [P2C, LEAST, ORACLE].map((choice) => run(everything, choice, 3).begunTotal)
    assert.deepEqual(new Set(begun).size, 1)
    // One endpoint leaves no choice: then all pickers have the same latencies.
    const alone = { ...plain, groups: [{ name: 'server', count: 1 }], utilisation: 0.5 }
    const texts = [P2C, LEAST, ORACLE].map((choice) => JSON.stringify(run(alone, choice).latency.buckets()))
    assert.equal(new Set(texts).size, 1)
  })

  test('has keys at other places with another seed: an interval over seeds includes the luck of where they lie', () => {
    const seen = new Set<string>()
    const spy: PickerChoice = {
      label: 'spy',
      create: () => ({
        update: ({ ids }) => seen.add(ids.join()),
        pick: (key) => {
          seen.add(String(key))
          return 0
        },
      }),
    }
    const one: Scenario = { ...plain, balancers: 1, keys: { count: 1, distribution: 'uniform' }, durationMs: 1000 }
    run(one, spy, 1)
    assert.equal(seen.size, 2)
    run(one, spy, 1)
    assert.equal(seen.size, 2)
    run(one, spy, 2)
    assert.equal(seen.size, 4)
  })

  test('ends every request exactly once, and gives back every place', () => {
    for (const [name, scenario] of Object.entries({
      everything,
      plain,
      served: { ...everything, givenUp: 'served' },
      'dropped while waiting': { ...everything, givenUp: 'dropped-waiting' },
      'never answered': {
        ...plain,
        changes: [{ atMs: 5000, group: 'server', first: 2, state: 'silent' }],
        health: { detectMs: 1e6 },
      },
      'without network': { ...everything, network: { oneWayMs: 0 } },
      'far too much': { ...everything, utilisation: 3 },
    } satisfies Record<string, Scenario>)) {
      const watch = watched()
      const result = run(scenario, watch, 5)
      assert.ok(result.begunTotal > 1000, name)
      assert.equal(result.endedTotal, result.begunTotal, name)
      assert.equal(
        result.endings.reduce((sum, count) => sum + count, 0),
        result.requests,
        name,
      )
      assert.equal(result.latency.rejected, 0, name)
      assert.equal(watch.ended, watch.began, name)
      for (const loads of watch.loads)
        assert.ok(
          loads.every((load) => load === 0),
          name,
        )
    }
  })

  test('meets everything that its scenario has', () => {
    const watch = watched()
    const result = run(everything, watch, 5)
    for (const ending of [Ending.OK, Ending.FAILED, Ending.TIMED_OUT, Ending.SHED]) {
      assert.ok(result.endings[ending]! > 0, `ending ${ending}: ${result.endings.join(' ')}`)
    }
    assert.ok(result.retries > 0 && result.hedges > 0)
    assert.ok(result.hitRatio! > 0.05 && result.hitRatio! < 0.95)
    for (const outcome of Object.values(Outcome)) assert.ok(watch.outcomes[outcome]! > 0, `outcome ${outcome}`)
    for (const { share, name } of result.groups) assert.ok(share > 0.01, name)
  })

  test('does not count the warm-up, and counts all that comes after it', () => {
    const result = run({ ...plain, arrivals: { kind: 'paced' }, warmupMs: 5000 }, LEAST)
    // 6 endpoints of 2 slots at 70 %, 20 ms each: 0.42 per millisecond.
    assert.ok(Math.abs(result.requests - 0.42 * 15_000) <= 2, `${result.requests}`)
    assert.ok(Math.abs(result.begunTotal - 0.42 * 20_000) <= 2)
  })
})

describe('endpoints', () => {
  test('that all get their fair share are equally busy', () => {
    const scenario: Scenario = {
      ...plain,
      groups: [
        { name: 'half', count: 4, speed: 0.5, weight: 1 },
        { name: 'double', count: 2, speed: 2, weight: 4 },
      ],
      durationMs: 60_000,
    }
    const { groups } = run(scenario, registryChoice(PICKERS['round-robin']))
    for (const group of groups) {
      assert.ok(Math.abs(group.share - group.fairShare) < 0.02, `${group.name}: ${group.share}, ${group.fairShare}`)
      assert.ok(Math.abs(group.utilisation - 0.7) < 0.03, `${group.name}: ${group.utilisation}`)
    }
  })

  test('that are slower take as much longer, also when they become so in the middle of a request', () => {
    const alone: Scenario = {
      ...plain,
      groups: [{ name: 'server', count: 1 }],
      balancers: 1,
      arrivals: { kind: 'trace', atMs: [0, 100] },
      service: { kind: 'constant', meanMs: 100 },
      network: { oneWayMs: 0 },
      warmupMs: 0,
      durationMs: 1000,
    }
    const { utilisation: _, ...trace } = alone
    const at = (changes: Scenario['changes']): RunResult => run({ ...trace, changes: changes! }, LEAST)
    assert.deepEqual([at([]).latency.min, at([]).latency.max], [100, 100])
    // Half of it at speed 1, the rest at speed 0.25: 50 + 200.
    const slower = at([{ atMs: 150, speed: 0.25 }])
    assert.deepEqual([slower.latency.min, slower.latency.max], [100, 250])
    const faster = at([{ atMs: 50, speed: 2 }])
    assert.deepEqual([faster.latency.min, faster.latency.max], [50, 75])
  })

  test('that crash fail what they have and what comes, until they are noticed', () => {
    const scenario: Scenario = {
      ...plain,
      changes: [{ atMs: 10_000, group: 'server', first: 1, state: 'crash' }],
      health: { detectMs: 1000 },
      warmupMs: 0,
    }
    const late = run({ ...scenario, health: { detectMs: 100_000 } }, P2C)
    const soon = run(scenario, P2C)
    assert.ok(soon.endings[Ending.FAILED]! > 10)
    assert.ok(late.endings[Ending.FAILED]! > 4 * soon.endings[Ending.FAILED]!)
    const retried = run({ ...scenario, retries: { max: 2, budget: { ratio: 1 } } }, P2C)
    assert.equal(retried.endings[Ending.FAILED], 0)
    assert.ok(retried.retries >= soon.endings[Ending.FAILED]!)
  })

  test('that leave finish what they have and get nothing more; that join get their share', () => {
    const scenario: Scenario = {
      ...plain,
      groups: [
        { name: 'server', count: 4 },
        { name: 'old', count: 2 },
        { name: 'new', count: 2, isAbsent: true },
      ],
      changes: [
        { atMs: 10_000, group: 'old', state: 'leave' },
        { atMs: 10_000, group: 'new', state: 'join' },
      ],
      warmupMs: 0,
    }
    const { endings, requests, groups, timeline } = run(scenario, LEAST)
    assert.equal(endings[Ending.OK], requests)
    const { bins } = timeline
    const sum = (row: number, from: number, to: number): number =>
      timeline.counts.subarray(row * bins + from, row * bins + to).reduce((all, count) => all + count, 0)
    for (const [row, { group }] of timeline.rows.entries()) {
      if (group === 'old') assert.deepEqual([sum(row, 0, bins / 2) > 100, sum(row, bins / 2, bins)], [true, 0])
      if (group === 'new') assert.deepEqual([sum(row, 0, bins / 2), sum(row, bins / 2, bins) > 100], [0, true])
    }
    assert.ok(Math.abs(groups[2]!.fairShare - 1 / 6) < 0.01)
  })

  test('with cold caches are slower at first and then no more', () => {
    const scenario = (count: number): Scenario => ({
      ...plain,
      groups: [{ name: 'server', count: 6, isAbsent: true, cold: { factor: 10, requests: count } }],
      changes: [{ atMs: 0, state: 'join' }],
      ratePerSecond: 100,
      durationMs: 60_000,
      warmupMs: 30_000,
    })
    const { utilisation: _, ...soon } = scenario(5)
    const { utilisation: __, ...late } = scenario(5000)
    assert.ok(run(soon, LEAST).okMs < 25)
    assert.ok(run(late, LEAST).okMs > 100)
  })
})

describe('a hedge', () => {
  test('cuts the tail that one stalled endpoint makes', () => {
    const stalls: Scenario = {
      ...plain,
      groups: [
        { name: 'server', count: 9 },
        { name: 'stalled', count: 1, speed: 0.02 },
      ],
      balancers: 1,
      utilisation: 0.3,
      durationMs: 60_000,
    }
    const round = registryChoice(PICKERS['random'])
    const without = run({ ...stalls, timeouts: { requestMs: 2000 } }, round)
    const hedged = run({ ...stalls, timeouts: { requestMs: 2000 }, hedge: { afterMs: 150 }, givenUp: 'dropped' }, round)
    assert.ok(quantileOf(without.latency, 0.99) > 1900)
    assert.ok(quantileOf(hedged.latency, 0.99) < 400, `${quantileOf(hedged.latency, 0.99)}`)
    assert.ok(hedged.hedges > 0.05 * hedged.requests && hedged.hedges < 0.2 * hedged.requests)
  })
})

describe('what was given up', () => {
  test('gives its place in the retry budget back', () => {
    // Three at a time and no share of the requests: without giving back there would be three per balancer and no more.
    const scenario: Scenario = {
      ...plain,
      changes: [{ atMs: 0, group: 'server', first: 1, state: 'crash' }],
      health: { detectMs: 1e6 },
      retries: { max: 1, budget: { ratio: 0, minInFlight: 3, minPerSecond: 1000 } },
    }
    // The last one ends at its deadline while it waits for its time.
    const late = { ...scenario.retries!, backoff: { baseMs: 1000, jitter: 'none' } } as const
    for (const rules of [{}, { timeouts: { perTryMs: 30 } }, { timeouts: { requestMs: 30 }, retries: late }]) {
      const result = run({ ...scenario, ...rules }, P2C)
      assert.ok(result.retries > 100, `${result.retries}`)
    }
  })

  test('is not worked on where it is dropped: then an overloaded fleet still answers some', () => {
    const scenario: Scenario = { ...plain, utilisation: 2, timeouts: { requestMs: 150 }, durationMs: 30_000 }
    const good = (givenUp: NonNullable<Scenario['givenUp']>): number => run({ ...scenario, givenUp }, LEAST).perSecond
    const [served, waiting, dropped] = [good('served'), good('dropped-waiting'), good('dropped')]
    // The fleet can do 600 per second. Served all the same: everything that it works on is late.
    assert.ok(served < 5, `${served}`)
    // Dropped while they wait: first come, first served, the others start just below the deadline, and most end above it.
    assert.ok(waiting > 100 && waiting < 300, `${waiting}`)
    assert.ok(dropped > waiting, `${dropped} against ${waiting}`)
  })
})

describe('knowing more', () => {
  test('is better: the oracle has a lower mean than least-requests, and that a lower one than random, where views differ', () => {
    const means = [ORACLE, LEAST, registryChoice(PICKERS.random)].map(
      (choice) => run({ ...plain, durationMs: 60_000 }, choice).latency.mean,
    )
    assert.ok(means[0]! < means[1]! && means[1]! < means[2]!, means.join(' '))
  })

  test('helps a balancer of several workers: shared counts beat the same workers as balancers of their own', () => {
    const shared = run({ ...plain, balancers: 1, workers: 8, durationMs: 60_000 }, LEAST)
    const apart = run({ ...plain, balancers: 8, workers: 1, durationMs: 60_000 }, LEAST)
    assert.ok(shared.latency.mean < 0.9 * apart.latency.mean, `${shared.latency.mean} against ${apart.latency.mean}`)
  })
})

describe('ready scenarios', () => {
  test('run, have names of their own, and let a picker that balances answer nearly everything', () => {
    assert.equal(new Set(SCENARIOS.map(({ name }) => name)).size, SCENARIOS.length)
    for (const scenario of SCENARIOS) {
      assert.match(scenario.name, /^[a-z]+(-[a-z]+)*$/)
      assert.ok(scenario.summary.length > 20, scenario.name)
      // A quarter of the time is enough to see that it runs; the largest one is for the judge.
      if (scenario.name === 'large') continue
      const result = run(
        { ...scenario, durationMs: Math.max(scenario.durationMs / 4, (scenario.warmupMs ?? 0) * 1.5) },
        P2C,
      )
      assert.ok(result.requests > 500, scenario.name)
      if (scenario.isAffinity !== true) {
        assert.ok(result.endings[Ending.OK]! > 0.8 * result.requests, `${scenario.name} ${result.endings.join(' ')}`)
      }
    }
  })

  test('the one of the peak-EWMA proposal separates pickers that measure latency from those that do not', () => {
    const scenario = SCENARIOS.find(({ name }) => name === 'one-slow')!
    const p99 = (choice: PickerChoice): number => quantileOf(run(scenario, choice).latency, 0.99)
    assert.ok(p99(registryChoice(PICKERS.random)) > 10 * p99(P2C))
    assert.ok(p99(P2C) > 5 * p99(ORACLE))
  })
})

describe('a scenario that makes no sense', () => {
  test('is refused with everything that is wrong with it', () => {
    const broken: Scenario = {
      ...plain,
      groups: [
        { name: 'server', count: 0, speed: 0 },
        { name: 'server', count: 1, failRatio: 2 },
      ],
      balancerShares: [1],
      ratePerSecond: 5,
      retries: { max: 9 },
      warmupMs: 30_000,
      cache: { capacity: 1, hitFactor: 2 },
      changes: [{ atMs: -1, group: 'nobody', speed: 0 }],
    }
    for (const says of [
      /scenario plain: /,
      /groups\.server: there are two/,
      /groups\.server\.count is 0/,
      /groups\.server\.speed is 0, it must be above 0/,
      /groups\.server\.failRatio is 2/,
      /balancerShares: one number/,
      /ratePerSecond and utilisation: one of the two/,
      /retries\.max is 9/,
      /warmupMs is 30000/,
      /cache: there are no keys/,
      /cache\.hitFactor is 2/,
      /changes\[0\]\.atMs is -1/,
      /changes\[0\]\.group: there is no nobody/,
    ]) {
      assert.throws(() => new Simulation(broken, P2C, 1), says)
    }
  })
})
