import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfig } from '../../src/config/parse.ts'
import type { Config, Settings } from '../../src/config/schema.ts'
import {
  type EndpointOverlay,
  endpointKey,
  type ListenAddress,
  type PlanDraft,
  Planner,
} from '../../src/control/plan.ts'
import { EndpointTable, Fitness } from '../../src/memory/endpoint-table.ts'
import { createSharedMemory } from '../../src/memory/shared-memory.ts'
import { WorkerBoard } from '../../src/memory/worker-board.ts'

function settingsOf(pools: Config['pools'], more: Partial<Config> = {}): Settings {
  const parsed = parseConfig({
    version: 1,
    listeners: [{ name: 'public', bind: '127.0.0.1:8080' }],
    routes: Object.keys(pools).map((pool) => ({ match: { path: `/${pool}/*` }, pool })),
    pools,
    ...more,
  })
  assert.ok(parsed.settings !== undefined, JSON.stringify(parsed.problems))
  return parsed.settings
}

function bench(endpoints = 16): {
  readonly table: EndpointTable
  readonly planner: Planner
  readonly draft: (
    settings: Settings,
    overlay?: ReadonlyMap<string, EndpointOverlay>,
    names?: Readonly<Record<string, string>>,
  ) => ReturnType<Planner['draft']>
} {
  const memory = createSharedMemory({
    endpoints,
    workers: 2,
    pools: 4,
    listeners: 4,
    addresses: 1024,
    workerCounters: 8,
  })
  const table = new EndpointTable(memory)
  const planner = new Planner(memory, table, new WorkerBoard(memory))
  return {
    table,
    planner,
    draft(settings, overlay = new Map(), names = {}) {
      const listenAddresses = new Map<string, ListenAddress>(
        settings.listeners.map(({ name, address }) => [name, { address, reusePort: true }]),
      )
      const resolve = (host: string): string | null => (/^[\d.:]+$/.test(host) ? host : (names[host] ?? null))
      return planner.draft({ settings, listenAddresses, overlay, resolve })
    },
  }
}

function drafted(result: ReturnType<Planner['draft']>): PlanDraft {
  assert.ok(result.ok, result.ok ? '' : JSON.stringify(result.problems))
  return result.draft
}

test('a plan carries everything that workers need, and rows that are theirs alone', () => {
  const { draft, table } = bench()
  const settings = settingsOf({
    web: {
      balance: { picker: 'p2c' },
      endpoints: [
        'http://127.0.0.1:1',
        { url: 'http://[::1]:2', weight: 3, zone: 'a', maxConnections: 7 },
        'unix:/run/app.sock',
      ],
      connections: { max: 5 },
    },
  })
  const { plan, records, commit } = drafted(draft(settings))
  commit(1)
  const [web] = plan.pools
  assert.deepEqual(
    web?.endpoints.map(({ id, address, zone }) => ({ id, address, zone })),
    [
      { id: '127.0.0.1:1', address: { kind: 'ip', host: '127.0.0.1', port: 1, ipv6Only: false }, zone: null },
      { id: '[::1]:2', address: { kind: 'ip', host: '::1', port: 2, ipv6Only: false }, zone: 'a' },
      { id: '/run/app.sock', address: { kind: 'unix', path: '/run/app.sock' }, zone: null },
    ],
  )
  assert.equal(new Set(web.endpoints.map(({ slot }) => slot)).size, 3)
  assert.deepEqual(web.picker, { name: 'p2c', options: {} })
  assert.deepEqual(
    records.map(({ slot }) => table.weight[slot]),
    [1, 3, 1],
  )
  assert.deepEqual(
    records.map(({ slot }) => table.maxConnections[slot]),
    [5, 7, 5],
  )
  assert.deepEqual(structuredClone(plan), plan, 'plain data')
})

test('the row of an endpoint outlives edits of its settings and a move to another pool, what it learnt included', () => {
  const { draft, table } = bench()
  const before = drafted(draft(settingsOf({ a: { endpoints: ['http://127.0.0.1:1'] }, b: { endpoints: [] } })))
  before.commit(1)
  const { slot, generation } = before.records[0]!
  table.record(0, slot, generation, 200, 5, 1, 1)
  const after = drafted(
    draft(settingsOf({ a: { endpoints: [] }, b: { endpoints: [{ url: 'http://127.0.0.1:1', weight: 4 }] } })),
  )
  after.commit(2)
  assert.deepEqual([after.records[0]!.slot, after.records[0]!.generation], [slot, generation])
  assert.equal(table.weight[slot], 4)
  assert.equal(table.snapshot(slot).requests, 1)
})

test('the same id at another address is another endpoint', () => {
  const { draft } = bench()
  const before = drafted(draft(settingsOf({ a: { endpoints: [{ id: 'x', url: 'http://127.0.0.1:1' }] } })))
  before.commit(1)
  const after = drafted(draft(settingsOf({ a: { endpoints: [{ id: 'x', url: 'http://127.0.0.1:2' }] } })))
  after.commit(2)
  assert.notEqual(after.records[0]!.slot, before.records[0]!.slot)
})

test('one endpoint in two pools has one row', () => {
  const { draft } = bench()
  const { plan, records } = drafted(
    draft(settingsOf({ a: { endpoints: ['http://127.0.0.1:1'] }, b: { endpoints: ['http://127.0.0.1:1'] } })),
  )
  assert.equal(records.length, 1)
  assert.deepEqual(records[0]!.pools, ['a', 'b'])
  assert.equal(plan.pools[0]!.endpoints[0]!.slot, plan.pools[1]!.endpoints[0]!.slot)
})

test('of two limits on the connections of a shared endpoint the stricter holds', () => {
  const { draft } = bench()
  const { records } = drafted(
    draft(
      settingsOf({
        a: { endpoints: ['http://127.0.0.1:1'] },
        b: { endpoints: ['http://127.0.0.1:1'], connections: { max: 9 } },
        c: { endpoints: ['http://127.0.0.1:1'], connections: { max: 4 } },
      }),
    ),
  )
  assert.equal(records[0]!.maxConnections, 4)
})

test('an endpoint whose name does not resolve has a row and is in no plan', () => {
  const { draft } = bench()
  const settings = settingsOf({ a: { endpoints: ['http://app.internal:1', 'http://127.0.0.1:2'] } })
  const before = drafted(draft(settings))
  before.commit(1)
  assert.deepEqual(
    before.plan.pools[0]!.endpoints.map(({ id }) => id),
    ['127.0.0.1:2'],
  )
  assert.equal(before.records[0]!.address, null)
  const after = drafted(draft(settings, new Map(), { 'app.internal': '10.0.0.1' }))
  after.commit(2)
  assert.deepEqual(after.plan.pools[0]!.endpoints[0]!.address, {
    kind: 'ip',
    host: '10.0.0.1',
    port: 1,
    ipv6Only: false,
  })
  assert.equal(after.records[0]!.slot, before.records[0]!.slot)
})

test('what was changed by hand lies over what the file says', () => {
  const { draft, table } = bench()
  const settings = settingsOf({
    a: { endpoints: [{ url: 'http://127.0.0.1:1', state: 'draining' }, 'http://127.0.0.1:2'] },
  })
  const [one, two] = settings.pools['a']!.endpoints
  const overlay = new Map<string, EndpointOverlay>([
    [endpointKey(one!), { state: 'active' }],
    [endpointKey(two!), { weight: 9, state: 'maintenance' }],
  ])
  const plain = drafted(draft(settings))
  plain.commit(1)
  assert.deepEqual(
    plain.records.map(({ slot }) => table.fitness[slot]),
    [Fitness.DRAINING, 0],
  )
  const { commit, records } = drafted(draft(settings, overlay))
  commit(2)
  assert.deepEqual(
    records.map(({ slot }) => [table.fitness[slot], table.weight[slot]]),
    [
      [0, 1],
      [Fitness.MAINTENANCE, 9],
    ],
  )
})

test('states never touch what health checks say', () => {
  const { draft, table } = bench()
  const first = drafted(draft(settingsOf({ a: { endpoints: ['http://127.0.0.1:1'] } })))
  first.commit(1)
  const { slot } = first.records[0]!
  Atomics.or(table.fitness, slot, Fitness.UNHEALTHY | Fitness.PASSIVE)
  for (const state of ['draining', 'maintenance', 'active'] as const) {
    drafted(draft(settingsOf({ a: { endpoints: [{ url: 'http://127.0.0.1:1', state }] } }))).commit(2)
    assert.equal(table.fitness[slot]! & (Fitness.UNHEALTHY | Fitness.PASSIVE), Fitness.UNHEALTHY | Fitness.PASSIVE)
  }
  assert.equal(table.fitness[slot], Fitness.UNHEALTHY | Fitness.PASSIVE)
})

test('more than there is room for is a problem that says so, and takes nothing', () => {
  const { draft } = bench(2)
  const urls = ['http://127.0.0.1:1', 'http://127.0.0.1:2', 'http://127.0.0.1:3']
  const full = draft(settingsOf({ a: { endpoints: urls } }))
  assert.equal(full.ok, false)
  if (!full.ok) {
    assert.equal(full.problems[0]?.path, 'memory.endpoints')
    assert.match(full.problems[0].message, /room for 2 endpoints and 3 are configured/)
  }
  drafted(draft(settingsOf({ a: { endpoints: urls.slice(0, 2) } }))).discard()
  drafted(draft(settingsOf({ a: { endpoints: urls.slice(1) } }))).commit(1)
  const pools = Object.fromEntries(['a', 'b', 'c', 'd', 'e'].map((name) => [name, { endpoints: [] }]))
  const tooMany = draft(settingsOf(pools))
  assert.equal(tooMany.ok ? '' : tooMany.problems[0]?.path, 'pools')
})

test('of two pools that check one endpoint differently the first one holds', () => {
  const { draft } = bench()
  const { records } = drafted(
    draft(
      settingsOf({
        a: { endpoints: ['http://127.0.0.1:1'] },
        b: { endpoints: ['http://127.0.0.1:1'], health: { path: '/b' } },
        c: { endpoints: ['http://127.0.0.1:1'], health: { path: '/c' } },
      }),
    ),
  )
  assert.deepEqual([records[0]!.health?.path, records[0]!.healthPool], ['/b', 'b'])
})

test('full replacements in quick succession find the room of what they replaced', () => {
  const { table, planner, draft } = bench(2)
  const settings = (port: number): Settings =>
    settingsOf({ a: { endpoints: [`http://127.0.0.1:${port}`, `http://127.0.0.1:${port + 1}`] } })
  const before = drafted(draft(settings(1)))
  before.commit(1)
  const inputs = (port: number): Parameters<Planner['draft']>[0] => {
    const wanted = settings(port)
    const listenAddresses = new Map(wanted.listeners.map(({ name, address }) => [name, { address, reusePort: true }]))
    return { settings: wanted, listenAddresses, overlay: new Map(), resolve: (host) => host }
  }
  for (let round = 1; round <= 5; round++) {
    // The rows of the round before are still in the plan in force, so they are not free for this one.
    drafted(draft(settingsOf({ a: { endpoints: [] } }))).commit(2 * round)
    assert.equal(draft(settings(1 + 2 * round)).ok, false, 'not all workers have acknowledged')
    drafted(planner.draft(inputs(1 + 2 * round), (version) => version <= 2 * round)).commit(2 * round + 1)
  }
  drafted(draft(settingsOf({ a: { endpoints: [] } }))).commit(20)
  table.acquire(0, 0, table.generation[0]!)
  assert.equal(planner.draft(inputs(50), () => true).ok, false, 'a row that is held is not free')
})
