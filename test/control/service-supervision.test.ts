import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ServiceThread } from '../../src/control/service-thread.ts'
import { Silence } from '../../src/control/silence.ts'
import { createSharedMemory } from '../../src/memory/shared-memory.ts'
import type { BalancerView, ServiceBoot } from '../../src/service/protocol.ts'
import { block, eventually, sleep } from '../pool/servers.ts'
import { configOf, startBalancer } from './balancers.ts'

const FIXTURE = new URL('./fixtures/service-thread.ts', import.meta.url)
/** 40 ticks are 1 s, 120 while it starts are 3 s. */
const TICK_MS = 25

interface Bench {
  readonly thread: ServiceThread
  readonly listening: string[]
  readonly exits: { readonly detail: string; readonly replacedInMs: number }[]
}

function bench(context: TestContext, tokenFile: () => string): Bench {
  const listening: string[] = []
  const exits: Bench['exits'] = []
  const memory = createSharedMemory({
    endpoints: 1,
    workers: 1,
    pools: 1,
    listeners: 1,
    addresses: 16,
    workerCounters: 1,
  })
  const boot = (): Omit<ServiceBoot, 'signs'> => ({
    memory,
    admin: { bind: '127.0.0.1:0', allowWorkerKill: false },
    tokenFile: tokenFile(),
    // The fixture looks at the version alone.
    view: { version: 1 } as BalancerView,
  })
  const thread = new ServiceThread(
    {
      url: FIXTURE,
      boot,
      onListening: (url) => listening.push(url),
      onListenFailed: () => {},
      onWarning: () => {},
      onCall: () => Promise.resolve({ ok: true, version: 1 }),
      onExit: (detail, replacedInMs) => exits.push({ detail, replacedInMs }),
      onStuck: () => {},
    },
    { tickMs: TICK_MS },
  )
  context.after(() => thread.stop())
  return { thread, listening, exits }
}

test('a service thread that hangs is replaced, each time later', async (context) => {
  const { thread, listening, exits } = bench(context, () => 'hangs')
  thread.start()
  await eventually(() => exits.length === 2 && listening.length === 3, 'it was replaced twice', 15_000)
  assert.deepEqual(
    exits.map(({ detail }) => detail),
    Array(2).fill('it gave no sign of life for 1 s'),
  )
  assert.deepEqual(
    exits.map(({ replacedInMs }) => replacedInMs),
    [0, 100],
  )
})

test('a service thread that works is left alone, also after control itself was held up', async (context) => {
  const { thread, listening, exits } = bench(context, () => 'works')
  thread.start()
  await eventually(() => listening.length === 1, 'it listens')
  await sleep(1500)
  block(1500)
  await sleep(200)
  assert.deepEqual(exits, [])
})

test('a pause of any length is one tick of silence', () => {
  const silence = new Silence(7)
  assert.equal(silence.tick(7), 1)
  assert.equal(silence.tick(7), 2)
  assert.equal(silence.tick(8), 0)
  // A machine that slept for a day comes back to one tick of ours and none of theirs.
  assert.equal(silence.tick(8), 1)
  assert.equal(silence.tick(9), 0)
})

test('a service thread that cannot even be made is tried again, and is there in the end', async (context) => {
  let isAvailable = false
  const { thread, listening, exits } = bench(context, () => {
    if (isAvailable) return 'works'
    throw Object.assign(new Error('no thread left'), { code: 'ERR_WORKER_INIT_FAILED' })
  })
  thread.start()
  await eventually(() => exits.length === 3, 'it was tried three times')
  assert.deepEqual(
    exits,
    [0, 100, 200].map((replacedInMs) => ({ detail: 'no thread left', replacedInMs })),
  )
  isAvailable = true
  await eventually(() => listening.length === 1, 'it listens')
})

test('a stop during a restart of the admin API is over when the old service thread is gone', async (context) => {
  const admin = { admin: { bind: '127.0.0.1:0' } }
  const { balancer } = await startBalancer(context, configOf([], admin), { serviceUrl: FIXTURE, tokenFile: 'lingers' })
  assert.ok((await balancer.reload(configOf([], { admin: { bind: '127.0.0.1:1' } }))).ok)
  await balancer.stop({ drainMs: 0 })
  const left = process.getActiveResourcesInfo().filter((resource) => resource === 'MessagePort')
  assert.deepEqual(left, [])
  await sleep(50)
  assert.equal(balancer.adminUrl, null, 'and none is started after it')
})
