/** Fleets that live on keys that go where they went before: for the hash pickers. */
import type { Scenario } from '../scenario.ts'

const CACHE_FLEET = {
  groups: [
    { name: 'cache', count: 11, slots: 8 },
    { name: 'lost', count: 1, slots: 8 },
  ],
  balancers: 4,
  // Of the work without any hit: only a fleet whose caches hit can do it.
  utilisation: 3,
  service: { kind: 'exponential', meanMs: 40 },
  cache: { capacity: 3072, hitFactor: 0.2 },
  isAffinity: true,
} as const

export const cacheFleet: Scenario = {
  ...CACHE_FLEET,
  name: 'cache-fleet',
  summary: '12 caches, one crashes and comes back empty: how many keys move, and what do the misses cost?',
  keys: { count: 20_000, distribution: 'zipf', exponent: 0.9 },
  utilisation: 2.5,
  health: { detectMs: 2000 },
  retries: { max: 1 },
  changes: [
    { atMs: 60_000, group: 'lost', state: 'crash' },
    { atMs: 90_000, group: 'lost', state: 'recover' },
  ],
  warmupMs: 40_000,
  durationMs: 120_000,
  failureMs: 2000,
}

export const cacheUniform: Scenario = {
  ...CACHE_FLEET,
  name: 'cache-uniform',
  summary: '12 caches, keys that are all alike, one is taken out for good: evenness of the keys alone.',
  keys: { count: 20_000, distribution: 'uniform' },
  changes: [{ atMs: 60_000, group: 'lost', state: 'leave' }],
  warmupMs: 40_000,
  durationMs: 100_000,
}

export const hotKeys: Scenario = {
  ...CACHE_FLEET,
  name: 'hot-keys',
  summary: '12 caches and a few keys that everybody wants (Zipf 1.05): who carries the hottest?',
  keys: { count: 20_000, distribution: 'zipf', exponent: 1.05 },
  utilisation: 1.8,
  warmupMs: 30_000,
  durationMs: 90_000,
}
