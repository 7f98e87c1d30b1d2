import assert from 'node:assert/strict'
import { Agent } from 'node:http'
import { connect, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type BalancerEvents, ConfigError, createBalancer, StartError } from '../../src/index.ts'
import { EndpointTable, Fitness } from '../../src/memory/endpoint-table.ts'
import { WorkerBoard } from '../../src/memory/worker-board.ts'
import { endpointChanged, reloaded, workerReplaced } from '../../src/observe/channels.ts'
import { eventually, sleep } from '../pool/servers.ts'
import { configOf, get, load, portOf, startBalancer, startOrigin } from './balancers.ts'

/** Every argument of one event, as it comes. */
function record<K extends keyof BalancerEvents>(
  balancer: ReturnType<typeof createBalancer>,
  event: K,
): BalancerEvents[K][0][] {
  const seen: BalancerEvents[K][0][] = []
  // The overloads of `on` do not see that K is one key.
  ;(balancer as { on(name: string, listener: (value: BalancerEvents[K][0]) => void): unknown }).on(event, (value) =>
    seen.push(value),
  )
  return seen
}

async function takenPort(context: TestContext): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  context.after(() => new Promise<void>((resolve) => void server.close(() => resolve())))
  return (server.address() as { port: number }).port
}

test('proxies a request, says where it listens, and refuses connections after a stop', async (context) => {
  const one = await startOrigin(context, 'one')
  const { balancer, port } = await startBalancer(context, configOf([one.url]))
  assert.deepEqual(await get(port), { status: 200, body: 'one' })
  assert.equal(balancer.address('nobody'), null)
  const view = balancer.view()
  assert.equal(view.state, 'ready')
  assert.deepEqual(
    view.workers.map(({ state }) => state),
    ['running', 'running'],
  )
  assert.deepEqual(view.listeners, [{ name: 'public', slot: 0, bind: '127.0.0.1:0', port }])
  assert.deepEqual(
    view.pools.map(({ name, endpoints }) => [name, endpoints.map(({ id }) => id)]),
    [['web', [one.id]]],
  )
  await balancer.stop({ drainMs: 1000 })
  await assert.rejects(get(port), { code: 'ECONNREFUSED' })
})

test('nothing runs before start, and a config that cannot be used is refused with every problem', () => {
  const before = process.getActiveResourcesInfo().length
  createBalancer(configOf(['http://127.0.0.1:1']))
  assert.equal(process.getActiveResourcesInfo().length, before)
  const broken = { ...configOf(['http://127.0.0.1:1']), listners: [], routes: [{ pool: 'wbe' }] }
  assert.throws(
    () => createBalancer(broken),
    (error: unknown) => error instanceof ConfigError && error.problems.length === 2,
  )
})

test('settings that were parsed already are taken as they are', async (context) => {
  const one = await startOrigin(context, 'one')
  const { settings } = createBalancer(configOf([one.url]))
  const { balancer, port } = await startBalancer(context, settings)
  assert.equal(balancer.settings, settings)
  assert.equal((await get(port)).status, 200)
  assert.equal((await balancer.reload(settings)).ok, true)
})

test('two balancers in one process do not meet', async (context) => {
  const one = await startOrigin(context, 'one')
  const two = await startOrigin(context, 'two')
  const a = await startBalancer(context, configOf([one.url]))
  const b = await startBalancer(context, configOf([two.url]))
  assert.notEqual(a.port, b.port)
  assert.deepEqual([(await get(a.port)).body, (await get(b.port)).body], ['one', 'two'])
  await a.balancer.stop({ drainMs: 0 })
  assert.equal((await get(b.port)).body, 'two')
})

test('a taken port fails the start with the address, and leaves nothing running', async (context) => {
  const port = await takenPort(context)
  const balancer = createBalancer(
    configOf(['http://127.0.0.1:1'], { listeners: [{ name: 'public', bind: `127.0.0.1:${port}` }] }),
  )
  await assert.rejects(balancer.start(), (error: unknown) => {
    assert.ok(error instanceof StartError)
    assert.equal(error.code, 'EADDRINUSE')
    assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${port}.*in use`))
    return true
  })
  await assert.rejects(balancer.start(), { code: 'STATE' })
  assert.ok(!process.getActiveResourcesInfo().includes('MessagePort'))
})

test('a worker that cannot start fails the start, and leaves nothing running', async () => {
  const balancer = createBalancer(configOf(['http://127.0.0.1:1'], { forwarded: { viaName: 'dies' } }), {
    workerUrl: new URL('./fixtures/seat-worker.ts', import.meta.url),
  })
  await assert.rejects(
    balancer.start(),
    (error: unknown) =>
      error instanceof StartError && error.code === 'NOT_READY' && /it cannot start/.test(error.message),
  )
  assert.ok(!process.getActiveResourcesInfo().includes('MessagePort'))
})

test('a stop while it starts ends both', async () => {
  const balancer = createBalancer(configOf(['http://127.0.0.1:1']), { workerHeapMb: 128 })
  const started = balancer.start()
  const rejected = assert.rejects(started, { code: 'STATE' })
  await balancer.stop({ drainMs: 0 })
  await rejected
})

test('membership changes while requests run fail none of them, POST included', async (context) => {
  const [one, two, three] = await Promise.all(['one', 'two', 'three'].map((name) => startOrigin(context, name)))
  const sets = [
    [one!.url, two!.url],
    [two!.url, three!.url],
    [one!.url, three!.url],
    [one!.url, two!.url, three!.url],
  ]
  const { balancer, port } = await startBalancer(context, configOf(sets[0]!))
  const { done, stop } = load(context, port, 8)
  for (let round = 1; round <= 24; round++) {
    const result = await balancer.reload({
      ...balancerConfig(sets[round % sets.length]!),
      listeners: [{ name: 'public', bind: '127.0.0.1:0' }],
    })
    assert.equal(result.ok, true)
    await sleep(40)
  }
  await stop()
  assert.deepEqual(done.failures, [])
  assert.ok(done.requests > 200, `${done.requests} requests`)
  assert.deepEqual(Object.keys(done.byBody).sort(), ['one', 'three', 'two'])

  function balancerConfig(urls: readonly string[]) {
    return configOf([...urls])
  }
})

test('new routes, settings and pools while requests run fail none of them, and connections stay', async (context) => {
  const one = await startOrigin(context, 'one')
  const { balancer, port } = await startBalancer(context, configOf([one.url]))
  const { done, stop } = load(context, port, 8)
  for (let round = 0; round < 12; round++) {
    const pool = { retries: { max: round % 3 }, balance: round % 2 === 0 ? 'p2c' : 'round-robin' }
    const more = { routes: [{ match: { path: `/round-${round}` }, pool: 'web' }, { pool: 'web' }] }
    const result = await balancer.reload(configOf([one.url], more, pool))
    assert.ok(result.ok && result.changes.length > 0)
    await sleep(40)
  }
  await stop()
  assert.deepEqual(done.failures, [])
  assert.equal(new WorkerBoard(balancer.memory).counterTotal(0), 8, 'eight connections were opened in all')
})

test('a removed endpoint finishes what it has, and its row is freed only then', async (context) => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const slow = await startOrigin(context, 'slow', (_, response) => void released.then(() => response.end('slow')))
  const fast = await startOrigin(context, 'fast')
  const { balancer, port } = await startBalancer(context, configOf([slow.url]))
  const table = new EndpointTable(balancer.memory)
  const { slot } = balancer.view().pools[0]!.endpoints[0]!
  const running = get(port)
  await eventually(() => slow.seen.requests === 1, 'the request runs')
  assert.equal((await balancer.reload(configOf([fast.url]))).ok, true)
  assert.equal((await get(port)).body, 'fast')
  await sleep(700)
  assert.equal(table.generation[slot]! & 1, 1, 'the row is in use')
  release()
  assert.deepEqual(await running, { status: 200, body: 'slow' })
  await eventually(() => (table.generation[slot]! & 1) === 0, 'the row is free')
})

test('rows are used again: any number of reloads fits into little memory, and one that does not fit is refused whole', async (context) => {
  const one = await startOrigin(context, 'one')
  const memory = { endpoints: 6, addresses: 1024 }
  const { balancer, port } = await startBalancer(context, configOf([one.url], { memory }))
  for (let round = 0; round < 20; round++) {
    const others = [1, 2].map((each) => `http://127.0.0.${10 + round}:${each}`)
    const result = await balancer.reload(
      configOf([one.url, ...others.map((url) => ({ url, state: 'draining' as const }))], { memory }),
    )
    if (!result.ok) assert.match(result.problems[0]!.message, /room for 6 endpoints/)
    assert.equal((await get(port)).body, 'one')
    await sleep(300)
  }
  const before = balancer.view()
  const tooMany = await balancer.reload(
    configOf(
      Array.from({ length: 7 }, (_, index) => `http://127.0.0.1:${index + 1}`),
      { memory: { endpoints: 8 } },
    ),
  )
  assert.equal(tooMany.ok, false)
  assert.deepEqual(balancer.view().pools, before.pools)
  assert.equal(balancer.view().version, before.version)
})

test('a drained endpoint gets nothing new once the answer is there, and what runs on it finishes', async (context) => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const one = await startOrigin(
    context,
    'one',
    (incoming, response) =>
      void (incoming.url === '/slow' ? released.then(() => response.end('one')) : response.end('one')),
  )
  const two = await startOrigin(context, 'two')
  const { balancer, port } = await startBalancer(context, configOf([one.url]))
  const changes = record(balancer, 'endpoint-changed')
  const running = get(port, '/slow')
  await eventually(() => one.seen.requests === 1, 'the request runs')
  assert.equal((await balancer.reload(configOf([one.url, two.url]))).ok, true)
  const startedAt = performance.now()
  const drained = await balancer.setEndpoint({ id: one.id, state: 'draining' })
  assert.equal(drained.ok, true)
  assert.ok(performance.now() - startedAt < 500)
  const requests = one.seen.requests
  for (let each = 0; each < 20; each++) assert.equal((await get(port)).body, 'two')
  assert.equal(one.seen.requests, requests)
  release()
  assert.equal((await running).body, 'one')
  assert.equal((await balancer.setEndpoint({ id: one.id, state: 'active' })).ok, true)
  const bodies = new Set<string>()
  for (let each = 0; each < 4; each++) bodies.add((await get(port)).body)
  assert.deepEqual([...bodies].sort(), ['one', 'two'])
  assert.deepEqual(
    changes.map(({ id, what }) => [id, what]),
    [
      [two.id, 'added'],
      [one.id, 'state'],
      [one.id, 'state'],
    ],
  )
})

test('a weight holds for every request after the answer', async (context) => {
  const one = await startOrigin(context, 'one')
  const two = await startOrigin(context, 'two')
  const { balancer, port } = await startBalancer(context, configOf([one.url, two.url]))
  assert.equal((await balancer.setEndpoint({ pool: 'web', id: two.id, weight: 3 })).ok, true)
  const counts: Record<string, number> = { one: 0, two: 0 }
  for (let each = 0; each < 40; each++) counts[(await get(port)).body]! += 1
  assert.deepEqual(counts, { one: 10, two: 30 })
  assert.equal((await balancer.setEndpoint({ id: one.id, weight: 0 })).ok, true)
  for (let each = 0; each < 5; each++) assert.equal((await get(port)).body, 'two')
})

test('what was changed by hand outlives reloads as long as the config has the endpoint', async (context) => {
  const one = await startOrigin(context, 'one')
  const two = await startOrigin(context, 'two')
  const { balancer, port } = await startBalancer(context, configOf([one.url, two.url]))
  await balancer.setEndpoint({ id: one.id, state: 'maintenance' })
  await balancer.reload(configOf([one.url, two.url], {}, { retries: { max: 1 } }))
  assert.equal((await get(port)).body, 'two')
  assert.equal(balancer.view().pools[0]!.endpoints[0]!.state, 'maintenance')
  const gone = await balancer.reload(configOf([two.url]))
  assert.ok(gone.ok)
  assert.match(gone.warnings.join(), /changed on it by hand/)
  await balancer.reload(configOf([one.url, two.url]))
  const back = balancer.view().pools[0]!.endpoints.find(({ id }) => id === one.id)
  assert.equal(back?.state, 'active')
})

test('setEndpoint says what it cannot do', async (context) => {
  const config = configOf([{ id: 'x', url: 'http://127.0.0.1:1' }])
  config.pools['other'] = { endpoints: [{ id: 'x', url: 'http://127.0.0.1:2' }] }
  const { balancer } = await startBalancer(context, config)
  const code = async (change: Parameters<typeof balancer.setEndpoint>[0]): Promise<string> => {
    const result = await balancer.setEndpoint(change)
    return result.ok ? 'ok' : result.code
  }
  assert.equal(await code({ id: 'y', weight: 1 }), 'not-found')
  assert.equal(await code({ id: 'x', pool: 'absent', weight: 1 }), 'not-found')
  assert.equal(await code({ id: 'x', weight: 2 }), 'ambiguous')
  assert.equal(await code({ id: 'x', pool: 'other', weight: 2 }), 'ok')
  assert.equal(await code({ id: 'x', pool: 'web' }), 'bad-value')
  assert.equal(await code({ id: 'x', pool: 'web', weight: -1 }), 'bad-value')
  assert.equal(await code({ id: 'x', pool: 'web', weight: Number.NaN }), 'bad-value')
  assert.equal(await code({ id: 'x', pool: 'web', state: 'gone' as never }), 'bad-value')
  const table = new EndpointTable(balancer.memory)
  assert.deepEqual(
    balancer.view().pools.map(({ endpoints }) => table.weight[endpoints[0]!.slot]),
    [1, 2],
  )
  await balancer.stop({ drainMs: 0 })
  assert.equal(await code({ id: 'x', pool: 'web', weight: 1 }), 'not-running')
})

test('a config that cannot be used is refused whole, and the one before stays live', async (context) => {
  const one = await startOrigin(context, 'one')
  const { balancer, port } = await startBalancer(context, configOf([one.url]))
  const refused = record(balancer, 'reload-refused')
  const { version } = balancer.view()
  const result = await balancer.reload({ ...configOf([one.url]), routes: [{ pool: 'absent' }] })
  assert.ok(!result.ok && result.problems[0]!.path === 'routes[0].pool')
  assert.equal(refused.length, 1)
  assert.equal((await get(port)).body, 'one')
  assert.equal(balancer.view().version, version)
  assert.equal(balancer.view().config.problems.length, 1)
  assert.equal((await balancer.reload(configOf([one.url], { stop: { drainMs: 1 } }))).ok, true)
  assert.deepEqual(balancer.view().config.problems, [])
})

test('a config that could not even be read is shown like one that was refused', async (context) => {
  const { balancer } = await startBalancer(context, configOf(['http://127.0.0.1:1']))
  const refused = record(balancer, 'reload-refused')
  balancer.refuseReload([{ path: '', message: 'line 3 is no YAML', severity: 'error', code: 'syntax' }])
  assert.deepEqual(balancer.view().config.problems, ['line 3 is no YAML'])
  assert.equal(refused.length, 1)
})

test('a balancer can be disposed of like any resource', async (context) => {
  const one = await startOrigin(context, 'one')
  let port = 0
  {
    await using balancer = createBalancer(configOf([one.url]), { workerHeapMb: 128 })
    await balancer.start()
    balancer.reopenLogs()
    port = portOf(balancer)
    assert.equal((await get(port)).body, 'one')
  }
  await assert.rejects(get(port), { code: 'ECONNREFUSED' })
})

test('what happens is told on the diagnostics channels as well', async (context) => {
  const one = await startOrigin(context, 'one')
  const told: unknown[] = []
  const stops = [
    workerReplaced.subscribe(({ worker, reason }) => told.push(['worker', worker, reason])),
    endpointChanged.subscribe(({ endpoint, cause, change }) => told.push([endpoint, cause, change])),
    reloaded.subscribe(({ ok, details }) => told.push(['reload', ok, details])),
  ]
  context.after(() => {
    for (const stop of stops) stop()
  })
  const { balancer } = await startBalancer(context, configOf([one.url]))
  await balancer.setEndpoint({ id: one.id, weight: 2 })
  await balancer.reload(configOf([{ url: one.url, state: 'draining' }]))
  await balancer.killWorker(0)
  assert.deepEqual(told, [
    [one.id, 'admin', 'weight'],
    [one.id, 'config', 'state'],
    ['reload', true, [`changed pools.web.endpoints[${one.id}].state`]],
    ['worker', 0, 'killed'],
  ])
})

test('a listener can be added, moved and removed by reloads; the others keep their connections', async (context) => {
  const one = await startOrigin(context, 'one')
  const { balancer, port } = await startBalancer(context, configOf([one.url]))
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  context.after(() => agent.destroy())
  await get(port, '/', { agent })
  const withSecond = (bind: string) =>
    configOf([one.url], {
      listeners: [
        { name: 'public', bind: '127.0.0.1:0' },
        { name: 'second', bind },
      ],
    })
  assert.equal((await balancer.reload(withSecond('127.0.0.1:0'))).ok, true)
  const second = portOf(balancer, 'second')
  assert.equal((await get(second)).body, 'one')
  // A wider address on a port of our own.
  const moved = await balancer.reload(withSecond(`0.0.0.0:${second}`))
  assert.ok(moved.ok, moved.ok ? '' : moved.problems[0]!.message)
  assert.equal((await get(second)).body, 'one')
  assert.equal((await balancer.reload(configOf([one.url]))).ok, true)
  assert.equal(balancer.address('second'), null)
  await eventuallyRefused(second)
  assert.equal(portOf(balancer), port)
  await get(port, '/', { agent })
  assert.equal(one.seen.requests, 4)
})

test('a listener whose port is taken refuses the reload, and nothing of it is applied', async (context) => {
  const one = await startOrigin(context, 'one')
  const two = await startOrigin(context, 'two')
  const { balancer, port } = await startBalancer(context, configOf([one.url]))
  const taken = await takenPort(context)
  const listeners = [
    { name: 'public', bind: '127.0.0.1:0' },
    { name: 'second', bind: `127.0.0.1:${taken}` },
  ]
  const result = await balancer.reload(configOf([two.url], { listeners }))
  assert.ok(!result.ok)
  assert.equal(result.problems[0]!.path, 'listeners[second].bind')
  assert.match(result.problems[0]!.message, /in use/)
  assert.equal((await get(port)).body, 'one')
  assert.deepEqual(
    balancer.view().listeners.map(({ name }) => name),
    ['public'],
  )
})

test('of reloads that come faster than they are applied the latest wins, and all are answered', async (context) => {
  const origins = await Promise.all(['a', 'b', 'c', 'd'].map((name) => startOrigin(context, name)))
  const { balancer, port } = await startBalancer(context, configOf([origins[0]!.url]))
  const told = record(balancer, 'reloaded')
  const results = await Promise.all(origins.map(({ url }) => balancer.reload(configOf([url]))))
  assert.ok(results.every(({ ok }) => ok))
  assert.equal((await get(port)).body, 'd')
  assert.ok(told.length < results.length, 'those that became one are told of once')
})

test('what needs a restart is said, and the rest of the reload is applied', async (context) => {
  const one = await startOrigin(context, 'one')
  const two = await startOrigin(context, 'two')
  const { balancer, port } = await startBalancer(context, configOf([one.url]))
  const result = await balancer.reload(configOf([two.url], { workers: 3 }))
  assert.ok(result.ok)
  assert.match(result.warnings.join(), /3 workers are configured and 2 run/)
  assert.equal((await get(port)).body, 'two')
})

test('killing a worker loses only what ran on it, its counts go back to zero, and it is replaced', async (context) => {
  const one = await startOrigin(context, 'one', (_, response) => void setTimeout(() => response.end('one'), 5))
  const { balancer, port } = await startBalancer(context, configOf([one.url]))
  const exits = record(balancer, 'worker-exit')
  const { done, stop } = load(context, port, 16)
  await sleep(300)
  assert.deepEqual(await balancer.killWorker(1), { ok: true, version: balancer.view().version })
  await eventually(() => balancer.view().workers[1]!.state === 'running', 'it is replaced')
  await sleep(300)
  await stop()
  assert.deepEqual(
    exits.map(({ index, reason, replacedInMs }) => [index, reason, replacedInMs]),
    [[1, 'killed', 0]],
  )
  assert.ok(done.failures.length <= 16, `${done.failures.length} failed: ${done.failures.slice(0, 5).join(', ')}`)
  assert.ok(done.requests > 100)
  const table = new EndpointTable(balancer.memory)
  const board = new WorkerBoard(balancer.memory)
  await eventually(
    () => board.listenerConnections.total[0] === 0 && table.inFlight.total[0] === 0,
    'nothing is counted any more',
  )
  assert.deepEqual((await balancer.killWorker(7)).ok, false)
})

test('an endpoint that dies under load leaves within a second, fails no GET, and comes back', async (context) => {
  const one = await startOrigin(context, 'one')
  const two = await startOrigin(context, 'two')
  const health = { intervalMs: 200, timeoutMs: 150, rise: 1, fall: 2 }
  const { balancer, port } = await startBalancer(context, configOf([one.url, two.url], {}, { health }))
  const table = new EndpointTable(balancer.memory)
  const { slot } = balancer.view().pools[0]!.endpoints[1]!
  const failures: string[] = []
  let isRunning = true
  const clients = Array.from({ length: 4 }, async () => {
    while (isRunning) {
      const answer = await get(port).catch((error: Error) => ({ status: 0, body: error.message }))
      if (answer.status !== 200) failures.push(`${answer.status} ${answer.body}`)
    }
  })
  await sleep(200)
  await two.close()
  await eventually(() => (table.fitness[slot]! & Fitness.UNHEALTHY) !== 0, 'it is out', 1500)
  assert.equal(balancer.view().pools[0]!.endpoints[1]!.lastCheck?.ok, false)
  await sleep(200)
  isRunning = false
  await Promise.all(clients)
  assert.deepEqual(failures, [])
})

test('an endpoint whose name does not resolve does not keep the balancer from starting', async (context) => {
  const one = await startOrigin(context, 'one')
  const balancer = createBalancer(configOf([one.url, 'http://name.invalid:1'], {}, { health: {} }), {
    workerHeapMb: 128,
  })
  context.after(() => balancer.stop({ drainMs: 0 }))
  const report = await balancer.start()
  assert.match(report.warnings.join(), /name\.invalid:1/)
  assert.equal((await get(portOf(balancer))).body, 'one')
  const [, unresolved] = balancer.view().pools[0]!.endpoints
  assert.equal(unresolved?.lastCheck?.ok, false)
  assert.equal(new EndpointTable(balancer.memory).fitness[unresolved.slot], Fitness.UNHEALTHY)
})

test('an endpoint follows its name: from nowhere to an address, and to another one when it fails', async (context) => {
  const one = await startOrigin(context, 'one')
  const two = await startOrigin(context, 'two', undefined, { host: '127.0.0.2', port: one.port })
  let answer: readonly string[] = []
  const { balancer, port } = await startBalancer(context, configOf([`http://app.test:${one.port}`]), {
    lookup: () => Promise.resolve(answer),
  })
  const changes = record(balancer, 'endpoint-changed')
  assert.equal((await get(port)).status, 503)
  const { slot } = balancer.view().pools[0]!.endpoints[0]!
  answer = ['127.0.0.1', '127.0.0.2']
  await eventually(() => changes.some(({ what }) => what === 'address'), 'it resolves')
  await eventually(() => balancer.view().pools[0]!.endpoints[0]!.address.startsWith('127.0.0.1'), 'it is in force')
  await sleep(50)
  assert.equal((await get(port)).body, 'one')
  await one.close()
  answer = ['127.0.0.2']
  // The connect that fails marks it, and the mark has its name looked up.
  await get(port)
  await eventually(() => balancer.view().pools[0]!.endpoints[0]!.address.startsWith('127.0.0.2'), 'it moved')
  await sleep(50)
  assert.equal((await get(port)).body, 'two')
  assert.equal(two.seen.requests, 1)
  assert.equal(balancer.view().pools[0]!.endpoints[0]!.slot, slot, 'it is the same endpoint')
})

test('a name with several addresses: where one is dead the others carry the traffic, though the name says the same', async (context) => {
  const two = await startOrigin(context, 'two', undefined, { host: '127.0.0.2' })
  let lookups = 0
  const { balancer, port } = await startBalancer(context, configOf([`http://app.test:${two.port}`]), {
    lookup: () => {
      lookups += 1
      return Promise.resolve(['127.0.0.1', '127.0.0.2', '127.0.0.3'])
    },
  })
  const address = (): string => balancer.view().pools[0]!.endpoints[0]!.address
  assert.equal(address(), `127.0.0.1:${two.port}`)
  await get(port)
  await eventually(() => address() === `127.0.0.2:${two.port}`, 'it moved on')
  await sleep(100)
  for (let each = 0; each < 5; each++) assert.deepEqual(await get(port), { status: 200, body: 'two' })
  assert.ok(lookups >= 1)
})

test('an address stays in use for as long as anything works there', async (context) => {
  const one = await startOrigin(context, 'one')
  const dead = 'http://app.test:1'
  const { balancer, port } = await startBalancer(context, configOf([`http://app.test:${one.port}`, dead]), {
    lookup: () => Promise.resolve(['127.0.0.1', '127.0.0.2']),
  })
  for (let each = 0; each < 6; each++) assert.deepEqual(await get(port), { status: 200, body: 'one' })
  await sleep(200)
  assert.deepEqual(
    balancer.view().pools[0]!.endpoints.map(({ address }) => address.split(':')[0]),
    ['127.0.0.1', '127.0.0.1'],
  )
})

test('an endpoint may be a name', async (context) => {
  const one = await startOrigin(context, 'one')
  const { port } = await startBalancer(context, configOf([one.url.replace('127.0.0.1', 'localhost')]))
  assert.equal((await get(port)).body, 'one')
})

test('a stop lets what runs finish, closes what is idle and takes nothing new', async (context) => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const one = await startOrigin(
    context,
    'one',
    (incoming, response) =>
      void (incoming.url === '/slow' ? released.then(() => response.end('slow')) : response.end('fast')),
  )
  const { balancer, port } = await startBalancer(context, configOf([one.url]))
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  context.after(() => agent.destroy())
  await get(port, '/', { agent })
  const running = get(port, '/slow')
  await eventually(() => one.seen.requests === 2, 'the request runs')
  const stopped = balancer.stop({ drainMs: 10_000 })
  await sleep(200)
  assert.equal(balancer.view().state, 'draining')
  await assert.rejects(get(port), { code: 'ECONNREFUSED' })
  release()
  assert.deepEqual(await running, { status: 200, body: 'slow' })
  const { cutOff, tookMs } = await stopped
  assert.equal(cutOff, 0)
  assert.ok(tookMs < 5000, `took ${tookMs} ms`)
})

test('a stop cuts off what is left at its deadline, and counts it; a second call may shorten the first', async (context) => {
  const one = await startOrigin(context, 'one', () => {})
  const { balancer, port } = await startBalancer(context, configOf([one.url]))
  const running = get(port).then(
    () => 'answered',
    () => 'cut',
  )
  await eventually(() => one.seen.requests === 1, 'the request runs')
  const first = balancer.stop({ drainMs: 60_000 })
  await sleep(100)
  const second = balancer.stop({ drainMs: 100 })
  const report = await first
  assert.equal(await second, report)
  assert.ok(report.tookMs < 3000, `took ${report.tookMs} ms`)
  assert.equal(report.cutOff, 1)
  await running
})

async function eventuallyRefused(port: number): Promise<void> {
  const until = performance.now() + 3000
  for (;;) {
    const isRefused = await new Promise<boolean>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port })
      socket.once('connect', () => {
        socket.destroy()
        resolve(false)
      })
      socket.once('error', () => resolve(true))
    })
    if (isRefused) return
    assert.ok(performance.now() < until, `port ${port} still takes connections`)
    await sleep(20)
  }
}
