import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { SocketAddress } from '../../src/core/address.ts'
import { createRandom } from '../../src/core/random.ts'
import { Checked, EndpointTable, Fitness } from '../../src/memory/endpoint-table.ts'
import { createSharedMemory } from '../../src/memory/shared-memory.ts'
import {
  type CheckedEndpoint,
  type HealthChange,
  type HealthCheckSettings,
  HealthChecks,
} from '../../src/pool/health-checks.ts'
import { answering, block, eventually, serve, sleep } from './servers.ts'

const SETTINGS: HealthCheckSettings = {
  path: '/',
  method: 'GET',
  headers: {},
  host: null,
  intervalMs: 100,
  timeoutMs: 200,
  rise: 2,
  fall: 2,
  statuses: [{ from: 200, to: 399 }],
}

interface Bench {
  readonly table: EndpointTable
  readonly checks: HealthChecks
  readonly changes: HealthChange[]
  readonly troubles: string[]
  /** Allocates a row and describes an endpoint in it. */
  readonly endpoint: (
    address: SocketAddress | null,
    more?: Partial<CheckedEndpoint>,
    health?: Partial<HealthCheckSettings> | null,
  ) => CheckedEndpoint
  readonly fitness: (endpoint: CheckedEndpoint) => number
  readonly checked: (endpoint: CheckedEndpoint) => number
}

function bench(context: TestContext, { endpoints = 16, maxConcurrent = 256 } = {}): Bench {
  const memory = createSharedMemory({
    endpoints,
    workers: 1,
    pools: 1,
    listeners: 1,
    addresses: 1024,
    workerCounters: 8,
  })
  const table = new EndpointTable(memory)
  const changes: HealthChange[] = []
  const troubles: string[] = []
  const checks = new HealthChecks(
    {
      table,
      random: createRandom(7),
      onChange: (change) => changes.push(change),
      onCheck: () => {},
      onTrouble: (event) => troubles.push(event),
    },
    { maxConcurrent },
  )
  context.after(() => checks.stop())
  return {
    table,
    checks,
    changes,
    troubles,
    endpoint(address, more = {}, health = {}) {
      const { slot, generation } = table.allocate(1, 0)!
      return {
        slot,
        generation,
        address,
        authority: 'test',
        health: health === null ? null : { ...SETTINGS, ...health },
        holdMs: 300,
        isPaused: false,
        ...more,
      }
    },
    fitness: ({ slot }) => table.fitness[slot]!,
    checked: ({ slot }) => table.checked[slot]!,
  }
}

test('an unknown endpoint is eligible, and is checked at once', async (context) => {
  const { checks, endpoint, fitness, checked } = bench(context)
  const server = await serve(context, answering(200))
  const one = endpoint(server.address, {}, { intervalMs: 60_000 })
  checks.update([one])
  assert.equal(fitness(one), 0)
  const startedAt = performance.now()
  checks.start()
  await eventually(() => checked(one) === Checked.HEALTHY, 'the first check')
  assert.ok(performance.now() - startedAt < 1000)
  assert.equal(checks.lastCheck(one.slot)?.ok, true)
})

test('dead, silent, slow, failing and garbled servers become unfit, each with its reason, and good ones stay', async (context) => {
  const { checks, endpoint, fitness } = bench(context)
  const dead = await serve(context, answering(200))
  await dead.close()
  const servers: Record<string, SocketAddress> = {
    dead: dead.address,
    silent: (await serve(context, () => {})).address,
    slow: (await serve(context, (socket) => void setTimeout(() => answering(200)(socket), 2000).unref())).address,
    failing: (await serve(context, answering(500))).address,
    garbled: (await serve(context, (socket) => void socket.end('what?\r\n'))).address,
    missing: { kind: 'unix', path: '/nonexistent/socket' },
    good: (await serve(context, answering(204))).address,
  }
  const endpoints = Object.fromEntries(Object.entries(servers).map(([name, address]) => [name, endpoint(address)]))
  checks.update(Object.values(endpoints))
  checks.start()
  const bad = Object.keys(servers).filter((name) => name !== 'good')
  await eventually(() => bad.every((name) => fitness(endpoints[name]!) === Fitness.UNHEALTHY), 'all bad ones are unfit')
  assert.equal(fitness(endpoints['good']!), 0)
  const reasons = Object.fromEntries(bad.map((name) => [name, checks.lastCheck(endpoints[name]!.slot)?.detail]))
  assert.deepEqual(reasons, {
    dead: 'the connection was refused',
    silent: 'no answer in 200 ms',
    slow: 'no answer in 200 ms',
    failing: 'status 500 is not one of the good ones',
    garbled: 'its answer is not HTTP',
    missing: 'the socket does not exist',
  })
})

test('it takes `fall` bad checks to take out an endpoint that was good, and `rise` good ones to bring it back', async (context) => {
  const { checks, endpoint, fitness, changes } = bench(context)
  let status = 200
  const server = await serve(context, (socket) => answering(status)(socket))
  const one = endpoint(server.address, {}, { fall: 3, rise: 3 })
  checks.update([one])
  checks.start()
  await eventually(() => changes.length === 1, 'it is healthy')
  const from = server.seen.connections
  status = 500
  await eventually(() => fitness(one) === Fitness.UNHEALTHY, 'it is unfit')
  assert.ok(server.seen.connections - from >= 3, 'three checks at least')
  status = 200
  const again = server.seen.connections
  await eventually(() => fitness(one) === 0, 'it is back')
  assert.ok(server.seen.connections - again >= 3, 'three checks at least')
  assert.deepEqual(
    changes.map(({ kind }) => kind),
    ['healthy', 'unhealthy', 'healthy'],
  )
})

test('a server that is killed leaves, and comes back when it is started again', async (context) => {
  const { checks, endpoint, fitness, checked } = bench(context)
  const server = await serve(context, answering(200))
  const one = endpoint(server.address)
  checks.update([one])
  checks.start()
  await eventually(() => checked(one) === Checked.HEALTHY, 'it is healthy')
  await server.close()
  await eventually(() => fitness(one) === Fitness.UNHEALTHY, 'it is unfit')
  await serve(context, answering(200), { port: server.port })
  await eventually(() => fitness(one) === 0, 'it is back')
})

test('2 000 endpoints are all checked, spread over the interval, and never more than the bound at once', async (context) => {
  const bound = 64
  const { checks, endpoint, table, troubles } = bench(context, { endpoints: 2000, maxConcurrent: bound })
  const starts: number[] = []
  const server = await serve(context, (socket) => {
    starts.push(performance.now())
    setTimeout(() => answering(200)(socket), 5)
  })
  const endpoints = Array.from({ length: 2000 }, () =>
    endpoint(server.address, {}, { intervalMs: 3000, timeoutMs: 2000 }),
  )
  checks.update(endpoints)
  let most = 0
  const watch = setInterval(() => {
    most = Math.max(most, checks.running)
  }, 1)
  context.after(() => clearInterval(watch))
  checks.start()
  await eventually(
    () => endpoints.every(({ slot }) => table.checked[slot] === Checked.HEALTHY),
    'all are healthy',
    20_000,
  )
  const settledAt = performance.now()
  await sleep(3200)
  assert.ok(most <= bound, `${most} checks ran at once`)
  assert.ok(server.seen.most <= bound + 8, `${server.seen.most} connections were open at once`)
  // From here on: one check each 3 s, evenly. Fifteen windows of 200 ms hold about 133 each.
  const windows = Array.from({ length: 15 }, () => 0)
  for (const at of starts) {
    const index = Math.floor((at - settledAt) / 200)
    if (index >= 0 && index < 15) windows[index]! += 1
  }
  assert.ok(Math.max(...windows) < 400, `checks come in bursts: ${windows.join(' ')}`)
  assert.ok(windows.reduce((sum, count) => sum + count, 0) > 1000, `too few checks: ${windows.join(' ')}`)
  assert.deepEqual(troubles, [])
})

test('nobody waits for the slowest: one place is enough for a good server beside a silent one', async (context) => {
  const { checks, endpoint, checked } = bench(context, { maxConcurrent: 2 })
  const silent = await serve(context, () => {})
  const good = await serve(context, answering(200))
  const one = endpoint(silent.address, {}, { timeoutMs: 3000, intervalMs: 4000 })
  const many = Array.from({ length: 10 }, () => endpoint(good.address, {}, { intervalMs: 10_000 }))
  checks.update([one, ...many])
  const startedAt = performance.now()
  checks.start()
  await eventually(() => many.every((each) => checked(each) === Checked.HEALTHY), 'the good ones are checked')
  assert.ok(performance.now() - startedAt < 1500)
})

test('a control loop that is blocked for 700 ms, again and again, marks no good server down', async (context) => {
  const { checks, endpoint, table, changes } = bench(context, { endpoints: 200, maxConcurrent: 64 })
  // The servers' thread is this one too, so a blocked loop makes them late as well: worse than in life. Three steps of 25 ms,
  // so that after a block most answers are still to come.
  const server = await serve(context, async (socket) => {
    for (let step = 0; step < 3; step++) await sleep(25)
    answering(200)(socket)
  })
  const endpoints = Array.from({ length: 200 }, () =>
    endpoint(server.address, {}, { intervalMs: 300, timeoutMs: 250, fall: 1 }),
  )
  checks.update(endpoints)
  checks.start()
  await eventually(() => endpoints.every(({ slot }) => table.checked[slot] === Checked.HEALTHY), 'all are healthy')
  for (let round = 0; round < 4; round++) {
    block(700)
    await sleep(150)
  }
  await sleep(700)
  assert.deepEqual(
    changes.filter(({ kind }) => kind !== 'healthy'),
    [],
  )
})

test('a blocked loop does not save a server that is silent: it is judged all the same', async (context) => {
  const { checks, endpoint, fitness } = bench(context)
  const one = endpoint((await serve(context, () => {})).address)
  checks.update([one])
  checks.start()
  const until = performance.now() + 10_000
  while (fitness(one) === 0 && performance.now() < until) {
    block(200)
    await sleep(5)
  }
  assert.equal(fitness(one), Fitness.UNHEALTHY)
})

test('a passive mark is probed at once: a good answer lifts it', async (context) => {
  const { checks, endpoint, table, fitness, checked, changes } = bench(context)
  const server = await serve(context, answering(200))
  const one = endpoint(server.address, {}, { intervalMs: 60_000 })
  checks.update([one])
  checks.start()
  await eventually(() => checked(one) === Checked.HEALTHY, 'it is healthy')
  await sleep(60)
  const markedAt = performance.now()
  assert.equal(table.connectFailed(one.slot, one.generation, 1, Date.now()), true)
  await eventually(() => fitness(one) === 0, 'the mark is lifted')
  assert.ok(performance.now() - markedAt < 500)
  assert.equal(table.connectFailures[one.slot], 0)
  assert.deepEqual(
    changes.map(({ kind }) => kind),
    ['healthy', 'passive', 'passive-cleared'],
  )
})

test('a passive mark is probed at once: a bad answer makes it unhealthy, whatever `fall` says', async (context) => {
  const { checks, endpoint, table, fitness, checked, changes } = bench(context)
  const server = await serve(context, answering(200))
  const one = endpoint(server.address, {}, { intervalMs: 60_000, fall: 5 })
  checks.update([one])
  checks.start()
  await eventually(() => checked(one) === Checked.HEALTHY, 'it is healthy')
  await server.close()
  table.connectFailed(one.slot, one.generation, 1, Date.now())
  await eventually(() => fitness(one) === Fitness.UNHEALTHY, 'it is unhealthy, and no longer marked')
  assert.deepEqual(
    changes.map(({ kind }) => kind),
    ['healthy', 'passive', 'unhealthy'],
  )
})

test('a mark set while a check runs is probed after it: the running one is older news', async (context) => {
  const { checks, endpoint, table, fitness } = bench(context)
  const sockets: (() => void)[] = []
  const server = await serve(context, (socket) => sockets.push(() => answering(200)(socket)))
  const one = endpoint(server.address, {}, { intervalMs: 60_000, timeoutMs: 2000 })
  checks.update([one])
  checks.start()
  await eventually(() => sockets.length === 1, 'the first check runs')
  table.connectFailed(one.slot, one.generation, 1, Date.now())
  await sleep(120)
  sockets[0]!()
  await eventually(() => sockets.length === 2, 'a second check follows')
  assert.equal(fitness(one) & Fitness.PASSIVE, Fitness.PASSIVE)
  sockets[1]!()
  await eventually(() => fitness(one) === 0, 'the mark is lifted')
})

test('a mark that nobody has noted yet is lifted by the check that begins after it, without another', async (context) => {
  const server = await serve(context, (socket) => void setTimeout(() => answering(200)(socket), 80))
  const { checks, endpoint, fitness, table } = bench(context)
  const one = endpoint(server.address, {}, { intervalMs: 100, timeoutMs: 2000 })
  checks.update([one])
  checks.start()
  await eventually(() => checks.lastCheck(one.slot) !== null && checks.running === 0, 'the first check is over')
  // Its next check is due by now, and no tick has come: so this update begins it, and the tick finds the mark while it runs.
  block(150)
  table.connectFailed(one.slot, one.generation, 1, Date.now() - 5)
  const { connections } = server.seen
  checks.update([one])
  assert.equal(checks.running, 1)
  await eventually(() => (fitness(one) & Fitness.PASSIVE) === 0, 'the mark is lifted')
  assert.equal(server.seen.connections, connections + 1)
})

test('without a check a passive mark ends after its time', async (context) => {
  const { checks, endpoint, table, fitness, changes } = bench(context)
  const one = endpoint({ kind: 'ip', host: '127.0.0.1', port: 9, ipv6Only: false }, { holdMs: 300 }, null)
  checks.update([one])
  checks.start()
  const markedAt = performance.now()
  table.connectFailed(one.slot, one.generation, 1, Date.now())
  await sleep(200)
  assert.equal(fitness(one), Fitness.PASSIVE)
  await eventually(() => fitness(one) === 0, 'the mark is lifted')
  assert.ok(performance.now() - markedAt >= 290)
  assert.deepEqual(
    changes.map(({ kind }) => kind),
    ['passive', 'passive-cleared'],
  )
  // The failures in a row stay: the next one marks it again.
  assert.equal(table.connectFailed(one.slot, one.generation, 1, Date.now()), true)
})

test('a mark from before there was a check is lifted by the first one', async (context) => {
  const { checks, endpoint, table, fitness, changes } = bench(context)
  const server = await serve(context, answering(200))
  const one = endpoint(server.address, { holdMs: 60_000 })
  checks.update([{ ...one, health: null }])
  checks.start()
  table.connectFailed(one.slot, one.generation, 1, Date.now())
  await eventually(() => changes.length === 1, 'the mark is noted')
  checks.update([one])
  await eventually(() => fitness(one) === 0, 'the mark is lifted')
})

test('a mark set in maintenance, or whose probe maintenance cut off, is lifted by the check that follows it', async (context) => {
  const { checks, endpoint, table, fitness, checked, changes } = bench(context)
  let isSilent = false
  const server = await serve(context, (socket) => {
    if (!isSilent) answering(200)(socket)
  })
  const one = endpoint(server.address, { holdMs: 60_000 }, { intervalMs: 60_000, timeoutMs: 50_000 })
  checks.update([one])
  checks.start()
  await eventually(() => checked(one) === Checked.HEALTHY, 'it is healthy')
  checks.updateOne({ ...one, isPaused: true })
  table.connectFailed(one.slot, one.generation, 1, Date.now())
  await eventually(() => changes.some(({ kind }) => kind === 'passive'), 'the mark is noted')
  checks.updateOne(one)
  await eventually(() => fitness(one) === 0, 'the mark is lifted')
  isSilent = true
  const { connections } = server.seen
  table.connectFailed(one.slot, one.generation, 1, Date.now())
  await eventually(() => server.seen.connections > connections, 'its probe runs')
  checks.updateOne({ ...one, isPaused: true })
  isSilent = false
  checks.updateOne(one)
  await eventually(() => fitness(one) === 0, 'the mark is lifted again')
})

test('a row that is given back keeps its verdict where checks go on, and loses it where they do not', async (context) => {
  const { checks, endpoint, fitness, checked } = bench(context)
  const server = await serve(context, answering(500))
  const one = endpoint(server.address, {}, { intervalMs: 60_000 })
  checks.update([one])
  checks.start()
  await eventually(() => fitness(one) === Fitness.UNHEALTHY, 'it is unfit')
  checks.update([])
  checks.update([one])
  assert.equal(fitness(one), Fitness.UNHEALTHY)
  checks.update([])
  checks.update([{ ...one, health: null }])
  assert.equal(fitness(one), 0)
  assert.equal(checked(one), Checked.UNKNOWN)
})

test('what is known of an endpoint outlives new settings, and ends with another generation', async (context) => {
  const { checks, endpoint, fitness } = bench(context)
  const one = endpoint((await serve(context, answering(500))).address, {}, { intervalMs: 60_000 })
  checks.update([one])
  checks.start()
  await eventually(() => fitness(one) === Fitness.UNHEALTHY, 'it is unfit')
  checks.update([{ ...one, health: { ...one.health!, intervalMs: 30_000 } }])
  assert.equal(fitness(one), Fitness.UNHEALTHY)
  assert.equal(checks.lastCheck(one.slot)?.ok, false)
  checks.update([{ ...one, generation: one.generation + 2 }])
  assert.equal(checks.lastCheck(one.slot), null)
})

test('a longer interval is not waited for once a shorter one is asked', async (context) => {
  const { checks, endpoint, checked } = bench(context)
  const server = await serve(context, answering(200))
  const one = endpoint(server.address, {}, { intervalMs: 60_000 })
  checks.update([one])
  checks.start()
  await eventually(() => checked(one) === Checked.HEALTHY, 'it is healthy')
  checks.update([{ ...one, health: { ...one.health!, intervalMs: 100 } }])
  await eventually(() => server.seen.connections >= 3, 'checks follow each other', 2000)
})

test('no check any more: what it said is forgotten', async (context) => {
  const { checks, endpoint, fitness, checked } = bench(context)
  const server = await serve(context, answering(500))
  const one = endpoint(server.address)
  checks.update([one])
  checks.start()
  await eventually(() => fitness(one) === Fitness.UNHEALTHY, 'it is unfit')
  checks.updateOne({ ...one, health: null })
  assert.equal(fitness(one), 0)
  assert.equal(checked(one), Checked.UNKNOWN)
  const { connections } = server.seen
  await sleep(300)
  assert.equal(server.seen.connections, connections)
})

test('in maintenance nothing is checked; afterwards it is eligible and checked at once', async (context) => {
  const { checks, endpoint, fitness } = bench(context)
  const server = await serve(context, answering(500))
  const one = endpoint(server.address, {}, { intervalMs: 100 })
  checks.update([one])
  checks.start()
  await eventually(() => fitness(one) === Fitness.UNHEALTHY, 'it is unfit')
  checks.updateOne({ ...one, isPaused: true })
  await sleep(60)
  const { connections } = server.seen
  await sleep(300)
  assert.equal(server.seen.connections, connections)
  checks.updateOne(one)
  assert.equal(fitness(one), 0)
  await eventually(() => fitness(one) === Fitness.UNHEALTHY, 'it is unfit again', 1000)
})

test('an endpoint whose name does not resolve is unfit with the reason, and unknown again once it does', async (context) => {
  const { checks, endpoint, fitness, checked } = bench(context)
  const server = await serve(context, answering(200))
  const one = endpoint(null)
  checks.update([one])
  checks.start()
  checks.markUnresolved(one.slot, 'the name does not resolve')
  assert.equal(fitness(one), Fitness.UNHEALTHY)
  assert.deepEqual(checks.lastCheck(one.slot)?.detail, 'the name does not resolve')
  checks.update([{ ...one, address: server.address }])
  assert.equal(fitness(one), 0)
  await eventually(() => checked(one) === Checked.HEALTHY, 'it is checked')
})

test('more endpoints than can be checked in time are said once, not once a round', async (context) => {
  const { checks, endpoint, troubles } = bench(context, { maxConcurrent: 1 })
  const silent = await serve(context, () => {})
  checks.update(Array.from({ length: 8 }, () => endpoint(silent.address, {}, { intervalMs: 100, timeoutMs: 100 })))
  checks.start()
  await eventually(() => troubles.length > 0, 'it is said', 10_000)
  await sleep(1000)
  assert.deepEqual(troubles, ['health-behind'])
})

test('stop ends what runs and leaves no timer', async (context) => {
  const { checks, endpoint, changes } = bench(context)
  const silent = await serve(context, () => {})
  checks.update([endpoint(silent.address), endpoint(silent.address)])
  checks.start()
  await eventually(() => silent.seen.open === 2, 'the checks run')
  checks.stop()
  await eventually(() => silent.seen.open === 0, 'the connections are closed')
  await sleep(400)
  assert.equal(checks.running, 0)
  assert.deepEqual(changes, [])
  assert.equal(process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length, 0)
})
