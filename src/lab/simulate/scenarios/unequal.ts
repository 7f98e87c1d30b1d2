/** Fleets whose endpoints differ: a picker that does not notice drowns the slow ones. */
import type { Scenario } from '../scenario.ts'

const EXPONENTIAL_40 = { kind: 'exponential', meanMs: 40 } as const

export const oneSlow: Scenario = {
  name: 'one-slow',
  summary: '10 clients, 10 servers, one of them 10 times slower.',
  source: 'Envoy, proposal of a peak-EWMA load balancer: 10 clients, 10 servers, one with ten times the latency',
  groups: [
    { name: 'server', count: 9 },
    { name: 'slow', count: 1, speed: 0.1 },
  ],
  balancers: 10,
  utilisation: 0.7,
  service: EXPONENTIAL_40,
  durationMs: 120_000,
  focus: { group: 'slow', fromMs: 0 },
}

export const speeds: Scenario = {
  name: 'speeds',
  summary: 'Speeds 0.5, 1 and 2, and nobody has set a weight.',
  groups: [
    { name: 'half', count: 4, speed: 0.5 },
    { name: 'plain', count: 4 },
    { name: 'double', count: 4, speed: 2 },
  ],
  balancers: 5,
  utilisation: 0.75,
  service: EXPONENTIAL_40,
  durationMs: 120_000,
}

export const weights: Scenario = {
  name: 'weights',
  summary: 'Speeds 0.5, 1 and 2, with weights that say so.',
  groups: [
    { name: 'half', count: 4, speed: 0.5, weight: 1 },
    { name: 'plain', count: 4, weight: 2 },
    { name: 'double', count: 4, speed: 2, weight: 4 },
  ],
  balancers: 5,
  utilisation: 0.75,
  service: EXPONENTIAL_40,
  durationMs: 120_000,
}

export const antagonists: Scenario = {
  name: 'antagonists',
  summary:
    '60 replicas of two generations on machines whose other tenants take much of the processor, for seconds at a time.',
  source: 'Wydrowski, Kleinberg, Rumble, Archer: Load is not what you should balance: Introducing Prequal, NSDI 2024',
  groups: [
    {
      name: 'fast',
      count: 30,
      slots: 4,
      discipline: 'shared',
      antagonist: { slowest: 0.3, fastest: 0.9, onMs: 8000, offMs: 12_000 },
    },
    {
      name: 'slow',
      count: 30,
      slots: 4,
      speed: 0.6,
      discipline: 'shared',
      antagonist: { slowest: 0.3, fastest: 0.9, onMs: 8000, offMs: 12_000 },
    },
  ],
  balancers: 10,
  utilisation: 0.75,
  service: { kind: 'lognormal', meanMs: 80, sigma: 1 },
  timeouts: { requestMs: 5000 },
  durationMs: 90_000,
  focus: { group: 'slow', fromMs: 0 },
}
