/** Fleets to which something happens. */
import type { Scenario } from '../scenario.ts'

const EXPONENTIAL_40 = { kind: 'exponential', meanMs: 40 } as const

export const recovery: Scenario = {
  name: 'recovery',
  summary: 'One of 10 is 10 times slower for 40 seconds, then well again: how much does it get afterwards?',
  groups: [
    { name: 'server', count: 9 },
    { name: 'recovered', count: 1, speed: 0.1 },
  ],
  balancers: 10,
  // Of the capacity at the beginning, 9.1 of 10.
  utilisation: 0.75,
  service: EXPONENTIAL_40,
  changes: [{ atMs: 40_000, group: 'recovered', speed: 1 }],
  warmupMs: 10_000,
  durationMs: 120_000,
  focus: { group: 'recovered', fromMs: 60_000 },
}

export const failingFast: Scenario = {
  name: 'failing-fast',
  summary: 'One of 10 answers nine requests in ten with an error, in a millisecond; nobody but the picker notices.',
  groups: [
    { name: 'server', count: 9 },
    { name: 'failing', count: 1, failRatio: 0.9, failMs: 1 },
  ],
  balancers: 5,
  utilisation: 0.65,
  service: EXPONENTIAL_40,
  failureMs: 2000,
  durationMs: 120_000,
  focus: { group: 'failing', fromMs: 0 },
}

export const coldJoin: Scenario = {
  name: 'cold-join',
  summary: 'Two endpoints join eight, with empty caches: their first requests take eight times as long.',
  groups: [
    { name: 'server', count: 8 },
    { name: 'new', count: 2, isAbsent: true, cold: { factor: 8, requests: 150 } },
  ],
  balancers: 5,
  utilisation: 0.85,
  service: EXPONENTIAL_40,
  changes: [{ atMs: 30_000, group: 'new', state: 'join' }],
  warmupMs: 20_000,
  durationMs: 90_000,
  focus: { group: 'new', fromMs: 30_000 },
}

export const zoneLost: Scenario = {
  name: 'zone-lost',
  summary:
    'A third of the fleet refuses connections, health checks notice after some 5 seconds, and it is back after 30. One retry.',
  groups: [
    { name: 'a', count: 6, zone: 'a' },
    { name: 'b', count: 6, zone: 'b' },
    { name: 'c', count: 6, zone: 'c' },
  ],
  balancers: 6,
  utilisation: 0.5,
  service: EXPONENTIAL_40,
  timeouts: { requestMs: 3000 },
  retries: { max: 2 },
  health: { detectMs: 8000 },
  changes: [
    { atMs: 30_000, zone: 'c', state: 'crash' },
    { atMs: 60_000, zone: 'c', state: 'recover' },
  ],
  warmupMs: 10_000,
  durationMs: 90_000,
  focus: { group: 'c', fromMs: 70_000 },
}

export const timeouts: Scenario = {
  name: 'timeouts',
  summary:
    'One of 12 falls silent for 30 seconds and no health check sees it: timeouts of a try, retries with a budget, a deadline.',
  groups: [
    { name: 'server', count: 11 },
    { name: 'silent', count: 1 },
  ],
  balancers: 4,
  utilisation: 0.65,
  service: EXPONENTIAL_40,
  timeouts: { perTryMs: 600, requestMs: 2500 },
  retries: { max: 2 },
  givenUp: 'dropped-waiting',
  health: { detectMs: 600_000 },
  changes: [
    { atMs: 30_000, group: 'silent', state: 'silent' },
    { atMs: 60_000, group: 'silent', state: 'recover' },
  ],
  warmupMs: 10_000,
  durationMs: 120_000,
  focus: { group: 'silent', fromMs: 70_000 },
}

export const hedging: Scenario = {
  name: 'hedging',
  summary: 'Endpoints that stall now and then; a second attempt elsewhere after 200 ms, within the retry budget.',
  groups: [{ name: 'server', count: 20, antagonist: { slowest: 0.05, fastest: 0.2, onMs: 500, offMs: 15_000 } }],
  balancers: 4,
  utilisation: 0.55,
  service: EXPONENTIAL_40,
  hedge: { afterMs: 200 },
  retries: { max: 1 },
  givenUp: 'dropped',
  timeouts: { requestMs: 5000 },
  durationMs: 120_000,
}

export const surge: Scenario = {
  name: 'surge',
  summary:
    'Nearly all that the fleet can do for 20 seconds: bounded places at each endpoint, and a CoDel queue at each balancer.',
  groups: [
    { name: 'server', count: 8 },
    { name: 'old', count: 2, speed: 0.5 },
  ],
  balancers: 3,
  utilisation: 0.65,
  service: EXPONENTIAL_40,
  queue: { maxInFlight: 2, capacity: 1000, targetMs: 150, intervalMs: 500, maxWaitMs: 2000 },
  changes: [
    { atMs: 30_000, rateFactor: 1.45 },
    { atMs: 50_000, rateFactor: 1 },
  ],
  failureMs: 2000,
  warmupMs: 10_000,
  durationMs: 90_000,
}
