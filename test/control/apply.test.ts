import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Balancer, Config } from '../../src/index.ts'
import { EndpointTable } from '../../src/memory/endpoint-table.ts'
import { sleep } from '../pool/servers.ts'
import { configOf, startBalancer } from './balancers.ts'

const FIXTURE = new URL('./fixtures/seat-worker.ts', import.meta.url)
const A = 'http://127.0.0.1:1'
const B = 'http://127.0.0.1:2'

interface Told {
  readonly balancer: Balancer
  /** What worker 0 was told since the last call. */
  readonly commands: () => Promise<string[]>
}

async function start(context: TestContext, config: Config, via = 'tells'): Promise<Told> {
  const { balancer, log } = await startBalancer(
    context,
    { ...config, forwarded: { viaName: via } },
    { workerUrl: FIXTURE },
  )
  const commands = async (): Promise<string[]> => {
    // An acknowledgement is seen in shared memory, possibly before the messages that were posted earlier.
    await sleep(40)
    const told = log.splice(0).filter(({ event }) => event === 'worker-warning')
    return told.map(({ message }) => message.replace('worker 0: ', ''))
  }
  return { balancer, commands }
}

function tells(config: Config): Config {
  return { ...config, forwarded: { viaName: 'tells' } }
}

test('a change is sent as the smallest thing that says it', async (context) => {
  const { balancer, commands } = await start(context, configOf([A]))
  const reload = async (config: Config): Promise<string[]> => {
    const result = await balancer.reload(tells(config))
    assert.ok(result.ok)
    return commands()
  }
  assert.deepEqual(await reload(configOf([A])), [], 'nothing changed, nothing is sent')
  assert.deepEqual(await reload(configOf([A, B])), ['delta 2 web +127.0.0.1:2 -'])
  assert.deepEqual(await reload(configOf([B, A])), [], 'the order of endpoints means nothing')
  assert.deepEqual(await reload(configOf([B])), ['delta 3 web + -127.0.0.1:1'])
  assert.deepEqual(await reload(configOf([{ url: B, weight: 2 }])), ['refresh 4 web'])
  assert.deepEqual(await reload(configOf([{ url: B, weight: 2, state: 'draining' }])), ['refresh 5 web'])
  assert.deepEqual(
    await reload(configOf([{ url: B, weight: 3 }, A])),
    ['delta 6 web +127.0.0.1:1 -'],
    'a delta has weights read anew too',
  )
  assert.deepEqual(await reload(configOf([{ url: A, id: 'x' }])), ['delta 7 web +x -127.0.0.1:2,127.0.0.1:1'])
  assert.deepEqual(await reload(configOf([{ url: B, id: 'x' }])), ['delta 8 web +x -x'], 'moved to another address')
  assert.deepEqual(
    await reload(configOf([{ url: B, id: 'x' }], {}, { health: {} })),
    [],
    'health checks are none of their business',
  )
  assert.deepEqual(await reload(configOf([{ url: B, id: 'x' }], { routes: [] })), ['plan 9'])
  assert.deepEqual(await reload(configOf([{ url: B, id: 'x' }], { routes: [] }, { timeouts: { connectMs: 50 } })), [
    'plan 10',
  ])
  assert.deepEqual(
    await reload(configOf([{ url: B, id: 'x', zone: 'z' }], { routes: [] }, { timeouts: { connectMs: 50 } })),
    ['plan 11'],
  )
  assert.equal(balancer.view().version, 11)
})

test('weights changed together are one message; a drain does not wait for them', async (context) => {
  const { balancer, commands } = await start(context, configOf([A, B]))
  const startedAt = performance.now()
  await Promise.all(
    [2, 3, 4].flatMap((weight) => ['127.0.0.1:1', '127.0.0.1:2'].map((id) => balancer.setEndpoint({ id, weight }))),
  )
  assert.ok(performance.now() - startedAt >= 45)
  assert.deepEqual(await commands(), ['refresh 2 web'])
  const slow = balancer.setEndpoint({ id: '127.0.0.1:1', weight: 7 })
  const drainedAt = performance.now()
  await balancer.setEndpoint({ id: '127.0.0.1:2', state: 'draining' })
  assert.ok(performance.now() - drainedAt < 45)
  await slow
  assert.deepEqual(await commands(), ['refresh 3 web'])
  const table = new EndpointTable(balancer.memory)
  assert.deepEqual([...table.weight.subarray(0, 2)], [7, 4])
})

test('a worker that does not acknowledge is named after 5 s, and what was asked is in force', async (context) => {
  const { balancer } = await start(context, configOf([A]), 'deaf')
  const startedAt = performance.now()
  const [changed, reloaded] = await Promise.all([
    balancer.setEndpoint({ id: '127.0.0.1:1', weight: 2 }),
    balancer.reload({ ...configOf([A, B]), forwarded: { viaName: 'deaf' } }),
  ])
  const tookMs = performance.now() - startedAt
  assert.ok(tookMs > 4500 && tookMs < 7000, `took ${tookMs} ms`)
  assert.ok(!changed.ok && changed.code === 'late' && /worker 1 /.test(changed.message))
  assert.ok(reloaded.ok)
  assert.match(reloaded.warnings.join(), /worker 1 has not acknowledged within 5 s/)
  assert.equal(balancer.view().pools[0]!.endpoints.length, 2)
})

test('a listener that a worker cannot open undoes the whole reload', async (context) => {
  const { balancer, commands } = await start(context, configOf([A]))
  const listeners = [
    { name: 'public', bind: '127.0.0.1:0' },
    { name: 'fails', bind: '127.0.0.1:0' },
  ]
  const result = await balancer.reload(tells(configOf([B], { listeners })))
  assert.ok(!result.ok)
  assert.match(result.problems[0]!.message, /worker \d cannot listen on 127.*: the address is in use/)
  assert.deepEqual(await commands(), ['plan 2', 'plan 3'])
  const view = balancer.view()
  assert.deepEqual(
    view.listeners.map(({ name }) => name),
    ['public'],
  )
  assert.deepEqual(
    view.pools[0]!.endpoints.map(({ address }) => address),
    ['127.0.0.1:1'],
  )
  assert.equal(balancer.settings.listeners.length, 1)
  assert.deepEqual(
    view.workers.map(({ restarts }) => restarts),
    [0, 0],
  )
  assert.ok((await balancer.reload(tells(configOf([B])))).ok, 'the next reload finds everything in order')
})

test('a reload that is undone keeps what was changed by hand', async (context) => {
  const { balancer } = await start(context, configOf([A]))
  await balancer.setEndpoint({ id: '127.0.0.1:1', state: 'draining' })
  const listeners = [
    { name: 'public', bind: '127.0.0.1:0' },
    { name: 'fails', bind: '127.0.0.1:0' },
  ]
  assert.equal((await balancer.reload(tells(configOf([B], { listeners })))).ok, false)
  assert.equal(balancer.view().pools[0]!.endpoints[0]!.state, 'draining')
})

test('a listener of events that throws breaks nothing: it surfaces as an uncaught exception', async (context) => {
  const { balancer } = await start(context, configOf([A]))
  const caught: unknown[] = []
  // The test runner listens as well, and would call it a failure.
  const others = process.rawListeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => caught.push(error))
  context.after(() => {
    process.removeAllListeners('uncaughtException')
    for (const other of others) process.on('uncaughtException', other as () => void)
  })
  balancer.on('endpoint-changed', () => {
    throw new Error('mine')
  })
  const result = await balancer.reload(tells(configOf([A, B])))
  assert.equal(result.ok, true)
  await sleep(20)
  assert.deepEqual(
    caught.map((error) => (error as Error).message),
    ['mine'],
  )
})

test('a worker that starts after changes gets the plan with all of them', async (context) => {
  const { balancer } = await start(context, configOf([A]))
  await balancer.reload(tells(configOf([A, B])))
  await balancer.killWorker(1)
  while (balancer.view().workers[1]!.state !== 'running') await sleep(10)
  assert.deepEqual((await balancer.setEndpoint({ id: '127.0.0.1:2', weight: 5 })).ok, true)
})
