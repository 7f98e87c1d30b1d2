import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type WorkerEnd, Workers } from '../../src/control/workers.ts'
import { EndpointTable } from '../../src/memory/endpoint-table.ts'
import { createSharedMemory } from '../../src/memory/shared-memory.ts'
import { WorkerBoard } from '../../src/memory/worker-board.ts'
import { Counter, WORKER_COUNTERS } from '../../src/observe/counters.ts'
import type { ListenerPlan, Plan } from '../../src/pool/plan.ts'
import { block, eventually, sleep } from '../pool/servers.ts'

interface Bench {
  readonly workers: Workers
  readonly board: WorkerBoard
  readonly table: EndpointTable
  readonly exits: WorkerEnd[]
  readonly ready: number[]
  readonly warnings: string[]
  readonly troubles: string[]
  /** Has one worker misbehave: see fixtures/seat-worker.ts. */
  readonly tell: (what: string) => number
}

interface BenchOptions {
  readonly count?: number
  readonly via?: string
  readonly heapMb?: number
  /** What a worker is given that it is not started without. */
  readonly more?: () => object
}

function bench(
  context: TestContext,
  { count = 2, via = 'normal', heapMb = 64, more = () => ({}) }: BenchOptions = {},
): Bench {
  const memory = createSharedMemory({
    endpoints: 4,
    workers: count,
    pools: 1,
    listeners: 2,
    addresses: 1024,
    workerCounters: WORKER_COUNTERS,
  })
  const board = new WorkerBoard(memory)
  const table = new EndpointTable(memory)
  table.allocate(1, 0)
  const address = { kind: 'ip', host: '127.0.0.1', port: 8080, ipv6Only: false } as const
  const listener = { name: 'public', slot: 0, address, reusePort: true } as ListenerPlan
  const plan: Plan = {
    version: 1,
    listeners: [listener],
    routes: [],
    pools: [],
    identity: { via, forwarded: { xForwarded: false, standard: false, via: false } },
    accessLog: null,
  }
  const exits: WorkerEnd[] = []
  const ready: number[] = []
  const warnings: string[] = []
  const troubles: string[] = []
  const workers = new Workers(
    {
      url: new URL('./fixtures/seat-worker.ts', import.meta.url),
      board,
      boot: (index) => ({ index, memory, plan, ...more() }),
      beforeStart: () => Promise.resolve(),
      giveBack: (index) => {
        table.giveBack(index)
        board.listenerConnections.giveBack(index)
      },
      reconcile: () => table.reconcile() + board.listenerConnections.reconcile(),
      onReady: (index) => ready.push(index),
      onExit: (exit) => exits.push(exit),
      onListenFailed: () => {},
      onWarning: (_, message) => warnings.push(message),
      onTrouble: (event) => troubles.push(event),
      onChange: () => {},
    },
    { count, heapMb },
  )
  context.after(() => workers.abort())
  let version = 1
  return {
    workers,
    board,
    table,
    exits,
    ready,
    warnings,
    troubles,
    tell(what) {
      version += 1
      workers.broadcast({ type: 'refresh', version, pools: [what] })
      return version
    },
  }
}

function running(workers: Workers): Promise<boolean> {
  return workers.until(() => workers.isReady(), 10_000)
}

test('workers start, are ready once they listen and have the plan, and end with a stop', async (context) => {
  const { workers, exits, ready } = bench(context)
  workers.start()
  assert.equal(await running(workers), true)
  assert.deepEqual(
    ready.sort((a, b) => a - b),
    [0, 1],
  )
  await workers.stop(() => performance.now() + 5000)
  assert.deepEqual(
    exits.map(({ reason, replacedInMs }) => [reason, replacedInMs]),
    [
      ['stopped', null],
      ['stopped', null],
    ],
  )
})

test('a worker whose thread cannot even be made is a death like another: tried again later, and the other serves', async (context) => {
  let failures = 3
  // What cannot be cloned has the constructor itself throw, as the system does when it has no thread left.
  const more = (): object => (failures-- > 0 ? { cannotBeCloned: () => {} } : {})
  const { workers, exits, ready } = bench(context, { more })
  workers.start()
  assert.equal(await running(workers), true)
  assert.deepEqual(
    ready.sort((a, b) => a - b),
    [0, 1],
  )
  assert.equal(exits.length, 3)
  for (const { reason, detail } of exits) {
    assert.equal(reason, 'error')
    assert.match(detail, /could not be cloned/)
  }
  assert.deepEqual(
    exits.map(({ replacedInMs }) => replacedInMs),
    [0, 0, 100],
  )
})

test('a worker that throws is replaced, its counts given back, its totals kept, the other undisturbed', async (context) => {
  const { workers, board, table, exits, tell } = bench(context)
  workers.start()
  await running(workers)
  const version = tell('hold:1')
  await workers.until(() => workers.late(version).length === 0, 2000)
  assert.deepEqual([table.inFlight.total[0], table.connections.total[0], board.listenerConnections.total[0]], [1, 1, 1])
  const ticks = board.ticks(0)
  assert.equal(workers.kill(1), true)
  assert.equal(await workers.until(() => exits.length === 1, 2000), true)
  assert.deepEqual([table.inFlight.total[0], table.connections.total[0], board.listenerConnections.total[0]], [0, 0, 0])
  assert.equal(board.counterTotal(Counter.CONNECTIONS_OPEN), 0)
  assert.equal(board.counterTotal(Counter.EXCHANGES), 5)
  assert.equal(exits[0]!.connectionsLost, 1)
  await running(workers)
  assert.deepEqual(
    workers.views().map(({ restarts }) => restarts),
    [0, 1],
  )
  assert.match(workers.views()[1]!.lastExit ?? '', /^killed/)
  await eventually(() => board.ticks(0) > ticks, 'the other goes on ticking', 2000)
})

test('a worker that hangs is ended after 3 s and replaced', async (context) => {
  const { workers, exits, tell } = bench(context)
  workers.start()
  await running(workers)
  const hungAt = performance.now()
  tell('hang:0')
  await eventually(() => exits.length === 1, 'the hung worker is ended', 10_000)
  const afterMs = performance.now() - hungAt
  assert.ok(afterMs > 2500 && afterMs < 5000, `after ${afterMs} ms`)
  assert.deepEqual([exits[0]!.index, exits[0]!.reason], [0, 'hung'])
  assert.equal(await running(workers), true)
})

test('time in which control itself did not run counts for nothing: a pause kills nobody', async (context) => {
  const { workers, exits } = bench(context)
  workers.start()
  await running(workers)
  block(4500)
  await sleep(1500)
  assert.deepEqual(exits, [])
})

test('a worker that fills its heap is replaced', async (context) => {
  const { workers, exits, tell } = bench(context, { heapMb: 24 })
  workers.start()
  await running(workers)
  tell('heap:1')
  await eventually(() => exits.length === 1, 'it ends', 20_000)
  assert.deepEqual([exits[0]!.index, exits[0]!.reason], [1, 'heap'])
  assert.equal(await running(workers), true)
})

test('a worker that leaves by itself is replaced, each time later', async (context) => {
  const { workers, exits, tell } = bench(context, { count: 1 })
  workers.start()
  for (let death = 0; death < 3; death++) {
    await running(workers)
    tell('exit:0')
    await eventually(() => exits.length === death + 1, 'it ends')
  }
  assert.deepEqual(
    exits.map(({ reason, replacedInMs }) => [reason, replacedInMs]),
    [
      ['exit', 0],
      ['exit', 100],
      ['exit', 200],
    ],
  )
  assert.match(exits[0]!.detail, /code 3/)
})

test('a worker that cannot start is tried again, not in a tight loop', async (context) => {
  const { workers, exits } = bench(context, { count: 1, via: 'dies' })
  workers.start()
  await sleep(1500)
  assert.ok(exits.length >= 2 && exits.length <= 6, `${exits.length} starts`)
  assert.equal(exits[0]!.detail, 'it cannot start')
  assert.match(exits[0]!.stack ?? '', /seat-worker/)
})

test('a worker that does not acknowledge is named; one that is gone is not waited for', async (context) => {
  const { workers, exits, tell } = bench(context)
  workers.start()
  await running(workers)
  const version = tell('deaf:1')
  assert.equal(await workers.until(() => workers.late(version).length === 0, 300), false)
  assert.deepEqual(workers.late(version), [1])
  assert.equal(workers.isAcknowledgedByAll(version), false)
  workers.kill(1)
  assert.equal(await workers.until(() => workers.late(version).length === 0, 2000), true)
  assert.equal(exits.length, 1)
})

test('warnings reach control', async (context) => {
  const { workers, warnings } = bench(context)
  workers.start()
  await running(workers)
  workers.broadcast({ type: 'reopen-logs' })
  await eventually(() => warnings.length === 2, 'both warn')
})

test('a stop is bounded: a worker that hangs while it drains is ended shortly after the deadline', async (context) => {
  const { workers, tell } = bench(context)
  workers.start()
  await running(workers)
  tell('hang:0')
  const startedAt = performance.now()
  await workers.stop(() => startedAt + 300)
  const tookMs = performance.now() - startedAt
  assert.ok(tookMs >= 250 && tookMs < 3000, `took ${tookMs} ms`)
})

test('the deadline of a stop can be brought forward', async (context) => {
  const { workers, tell } = bench(context)
  workers.start()
  await running(workers)
  tell('hang:0')
  const startedAt = performance.now()
  let deadline = startedAt + 60_000
  const stopped = workers.stop(() => deadline)
  await sleep(100)
  deadline = performance.now()
  workers.poke()
  await stopped
  assert.ok(performance.now() - startedAt < 4000)
})

test('nothing keeps the process alive after a stop, also when workers were being replaced', async (context) => {
  const { workers, exits, tell } = bench(context)
  workers.start()
  await running(workers)
  tell('exit:0')
  await eventually(() => exits.length === 1, 'it ends')
  workers.kill(1)
  await workers.stop(() => performance.now() + 1000)
  const left = process
    .getActiveResourcesInfo()
    .filter((resource) => resource === 'Timeout' || resource === 'MessagePort' || resource === 'Worker')
  assert.deepEqual(left, [])
})
