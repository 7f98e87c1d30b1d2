/**
 * The simulator against what is known exactly. Seeds are fixed, so every figure here is the same in every run.
 *
 * Run lengths come from the measured spread among 24 other seeds: the standard error of the mean over `SEEDS` is at most 0.66 %,
 * so that the tolerance of 2 % is three of them. (More servers or a higher load need far longer runs: M/M/20 at 0.9 six million
 * requests per seed.)
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PICKERS } from '../../../src/core/balance/registry.ts'
import type { Distribution } from '../../../src/lab/simulate/distributions.ts'
import { registryChoice } from '../../../src/lab/simulate/picker-choices.ts'
import { quantileOf, type RunResult } from '../../../src/lab/simulate/result.ts'
import type { Scenario } from '../../../src/lab/simulate/scenario.ts'
import { Simulation } from '../../../src/lab/simulate/simulation.ts'

const SEEDS = [1, 2, 3, 4]
const TOLERANCE = 0.02
const MEAN_MS = 10

/** One queue: one endpoint, one balancer, no network. `requests`: about how many per seed. */
function queue(
  service: Distribution,
  utilisation: number,
  slots: number,
  requests: number,
  isShared = false,
): Scenario {
  const durationMs = (requests * MEAN_MS) / (utilisation * slots)
  return {
    name: 'queue',
    summary: 'one queue',
    groups: [{ name: 'server', count: 1, slots, discipline: isShared ? 'shared' : 'fifo' }],
    utilisation,
    service,
    network: { oneWayMs: 0 },
    durationMs,
    warmupMs: durationMs / 50,
  }
}

function runs(scenario: Scenario): RunResult[] {
  return SEEDS.map((seed) => new Simulation(scenario, registryChoice(PICKERS['round-robin']), seed).run())
}

function mean(results: readonly RunResult[], of: (result: RunResult) => number): number {
  return results.reduce((sum, result) => sum + of(result), 0) / results.length
}

function assertNear(found: number, wanted: number, tolerance: number, what: string): void {
  const error = Math.abs(found / wanted - 1)
  assert.ok(error <= tolerance, `${what}: ${found}, theory says ${wanted}, ${(error * 100).toFixed(2)} % off`)
}

/** The chance to wait in M/M/c: A. K. Erlang, 1917. `offered`: arrivals per service time. */
function erlangC(slots: number, offered: number): number {
  let term = 1
  let sum = 1
  for (let k = 1; k < slots; k++) {
    term *= offered / k
    sum += term
  }
  const last = ((term * offered) / slots) * (slots / (slots - offered))
  return last / (sum + last)
}

describe('a single queue has the mean wait that theory says', () => {
  for (const [utilisation, requests] of [
    [0.3, 150_000],
    [0.7, 250_000],
    [0.85, 850_000],
  ] as const) {
    test(`M/M/1 at ${utilisation}: rho / (1 - rho) service times, and an exponential time in system`, () => {
      const results = runs(queue({ kind: 'exponential', meanMs: MEAN_MS }, utilisation, 1, requests))
      const wait = (MEAN_MS * utilisation) / (1 - utilisation)
      assertNear(
        mean(results, ({ waitMs }) => waitMs),
        wait,
        TOLERANCE,
        'mean wait',
      )
      // Time in system is exponential with mean s / (1 - rho).
      for (const q of [0.5, 0.9, 0.99]) {
        const found = mean(results, ({ latency }) => quantileOf(latency, q))
        assertNear(found, (-Math.log(1 - q) * MEAN_MS) / (1 - utilisation), TOLERANCE, `quantile ${q}`)
      }
      assertNear(
        mean(results, (result) => result.utilisation),
        utilisation,
        0.005,
        'utilisation',
      )
    })
  }

  for (const [slots, utilisation, requests] of [
    [2, 0.7, 300_000],
    [4, 0.8, 900_000],
    [8, 0.8, 1_000_000],
  ] as const) {
    test(`M/M/${slots} at ${utilisation}: Erlang's C`, () => {
      const results = runs(queue({ kind: 'exponential', meanMs: MEAN_MS }, utilisation, slots, requests))
      const wait = (erlangC(slots, slots * utilisation) * MEAN_MS) / (slots * (1 - utilisation))
      assertNear(
        mean(results, ({ waitMs }) => waitMs),
        wait,
        TOLERANCE,
        'mean wait',
      )
    })
  }

  const services: readonly {
    readonly name: string
    readonly service: Distribution
    readonly secondMoment: number
    /** Per seed, with one slot and with shared slots. */
    readonly requests: readonly [fifo: number, shared: number]
  }[] = [
    {
      name: 'constant',
      service: { kind: 'constant', meanMs: MEAN_MS },
      secondMoment: MEAN_MS ** 2,
      requests: [300_000, 150_000],
    },
    {
      name: 'lognormal',
      service: { kind: 'lognormal', meanMs: MEAN_MS, sigma: 0.8 },
      // E[x²] = mean² · e^(sigma²).
      secondMoment: MEAN_MS ** 2 * Math.exp(0.64),
      requests: [550_000, 200_000],
    },
    {
      name: 'bimodal',
      service: { kind: 'bimodal', shortMs: 5, longMs: 55, longRatio: 0.1 },
      secondMoment: 0.9 * 5 ** 2 + 0.1 * 55 ** 2,
      requests: [1_000_000, 570_000],
    },
    {
      name: 'measured',
      service: { kind: 'measured', valuesMs: [2, 4, 14, 20] },
      secondMoment: (2 ** 2 + 4 ** 2 + 14 ** 2 + 20 ** 2) / 4,
      requests: [300_000, 150_000],
    },
  ]
  for (const { name, service, secondMoment, requests } of services) {
    const utilisation = 0.7
    test(`M/G/1 with ${name} service: Pollaczek and Khinchine`, () => {
      const results = runs(queue(service, utilisation, 1, requests[0]))
      const wait = ((utilisation / MEAN_MS) * secondMoment) / (2 * (1 - utilisation))
      assertNear(
        mean(results, ({ waitMs }) => waitMs),
        wait,
        TOLERANCE,
        'mean wait',
      )
    })

    test(`M/G/1 with ${name} service, shared: the mean time in system does not depend on the distribution`, () => {
      const results = runs(queue(service, utilisation, 1, requests[1], true))
      assertNear(
        mean(results, ({ okMs }) => okMs),
        MEAN_MS / (1 - utilisation),
        TOLERANCE,
        'mean time in system',
      )
    })
  }

  test('a bounded waiting line refuses as M/M/1/K does', () => {
    // One in service and three waiting: P(full) = (1 - r) r^4 / (1 - r^5).
    const scenario = queue({ kind: 'exponential', meanMs: MEAN_MS }, 0.9, 1, 300_000)
    const results = runs({ ...scenario, groups: [{ ...scenario.groups[0]!, queueMax: 3 }], failureMs: 1 })
    const wanted = (0.1 * 0.9 ** 4) / (1 - 0.9 ** 5)
    assertNear(
      mean(results, ({ endings, requests }) => endings[1]! / requests),
      wanted,
      TOLERANCE,
      'refused',
    )
  })
})

describe('arrivals', () => {
  test('come at the rate that is asked for, in bursts too', () => {
    const plain = queue({ kind: 'constant', meanMs: 1 }, 0.2, 1, 1)
    for (const arrivals of [
      { kind: 'poisson' },
      { kind: 'paced' },
      { kind: 'bursts', factor: 5, onMs: 20, offMs: 80 },
      { kind: 'bursts', factor: Number.POSITIVE_INFINITY, onMs: 10, offMs: 30, apart: true },
    ] as const) {
      const scenario = { ...plain, arrivals, balancers: 3, durationMs: 1_000_000, warmupMs: 0 }
      assertNear(
        mean(runs(scenario), ({ requests }) => requests),
        200_000,
        0.01,
        arrivals.kind,
      )
    }
  })

  test('in bursts make longer waits than even ones at the same mean rate', () => {
    const plain = { ...queue({ kind: 'constant', meanMs: 10 }, 0.6, 1, 100_000), warmupMs: 0 }
    const [paced, poisson, bursts] = (
      [{ kind: 'paced' }, { kind: 'poisson' }, { kind: 'bursts', factor: 6, onMs: 500, offMs: 2000 }] as const
    ).map((arrivals) => mean(runs({ ...plain, arrivals }), ({ waitMs }) => waitMs))
    assert.equal(paced, 0)
    assert.ok(bursts! > 3 * poisson!, `${bursts} against ${poisson}`)
  })
})
