/** Fleets of equal endpoints: what is left to a picker there is luck, and the views of others. */
import type { Scenario } from '../scenario.ts'

const EXPONENTIAL_40 = { kind: 'exponential', meanMs: 40 } as const

export const equal: Scenario = {
  name: 'equal',
  summary: '10 balancers, 10 equal endpoints at 75 %: how well do views that differ add up?',
  groups: [{ name: 'server', count: 10 }],
  balancers: 10,
  utilisation: 0.75,
  service: EXPONENTIAL_40,
  durationMs: 120_000,
}

export const large: Scenario = {
  name: 'large',
  summary: '100 balancers, 1 000 equal endpoints: each balancer sees a hundredth of the traffic.',
  groups: [{ name: 'server', count: 1000 }],
  balancers: 100,
  utilisation: 0.75,
  service: EXPONENTIAL_40,
  durationMs: 20_000,
  warmupMs: 8000,
}

export const bursts: Scenario = {
  name: 'bursts',
  summary: 'Each of 5 balancers has bursts of its own, five times the traffic of its calm times.',
  groups: [{ name: 'server', count: 20 }],
  balancers: 5,
  arrivals: { kind: 'bursts', factor: 5, onMs: 1000, offMs: 4000, apart: true },
  utilisation: 0.6,
  service: EXPONENTIAL_40,
  durationMs: 120_000,
}

export const shared: Scenario = {
  name: 'shared',
  summary: 'Endpoints that work on everything at once (processor sharing), with work of very different sizes.',
  groups: [{ name: 'server', count: 10, slots: 4, discipline: 'shared' }],
  balancers: 5,
  utilisation: 0.75,
  service: { kind: 'lognormal', meanMs: 40, sigma: 1.2 },
  durationMs: 120_000,
}

export const fewLong: Scenario = {
  name: 'few-long',
  summary: 'One request in 250 takes a hundred times as long as the others: who stands behind it?',
  groups: [{ name: 'server', count: 20, slots: 4 }],
  balancers: 5,
  utilisation: 0.65,
  service: { kind: 'bimodal', shortMs: 20, longMs: 2000, longRatio: 0.004 },
  durationMs: 180_000,
}

export const workers: Scenario = {
  name: 'workers',
  summary: '2 balancers of 4 workers each, which share their counts and learn apart; 12 endpoints of speeds 0.7 and 1.',
  groups: [
    { name: 'old', count: 6, speed: 0.7 },
    { name: 'new', count: 6 },
  ],
  balancers: 2,
  workers: 4,
  utilisation: 0.75,
  service: EXPONENTIAL_40,
  durationMs: 120_000,
}

export const uneven: Scenario = {
  name: 'uneven-balancers',
  summary: 'One of 8 balancers carries half of the traffic; 16 equal endpoints.',
  groups: [{ name: 'server', count: 16 }],
  balancers: 8,
  balancerShares: [7, 1, 1, 1, 1, 1, 1, 1],
  utilisation: 0.75,
  service: EXPONENTIAL_40,
  durationMs: 120_000,
}
