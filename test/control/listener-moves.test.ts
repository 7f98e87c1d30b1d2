import assert from 'node:assert/strict'
import { connect, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { EdgeWorker } from '../../src/edge/edge-worker.ts'
import type { Config, Settings } from '../../src/index.ts'
import { listenerSocket } from '../../src/pool/listener-socket.ts'
import type { Plan, WorkerEvent } from '../../src/pool/plan.ts'
import { eventually, sleep } from '../pool/servers.ts'
import { configOf, get, load, portOf, startBalancer, startOrigin } from './balancers.ts'

const FIXTURE = new URL('./fixtures/seat-worker.ts', import.meta.url)

function listening(bind: string): Config {
  return configOf(['http://127.0.0.1:1'], {
    listeners: [{ name: 'public', bind }],
    forwarded: { viaName: 'tells-listeners' },
  })
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise<void>((resolve) => void server.close(() => resolve()))
  return port
}

async function takenPort(context: TestContext): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  context.after(() => new Promise<void>((resolve) => void server.close(() => resolve())))
  return (server.address() as { port: number }).port
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

test('a listener that moves is opened by every worker before its old socket is closed', async (context) => {
  const [from, to] = [await freePort(), await freePort()]
  const { balancer, log } = await startBalancer(context, listening(`127.0.0.1:${from}`), { workerUrl: FIXTURE })
  assert.ok((await balancer.reload(listening(`127.0.0.1:${to}`))).ok)
  await sleep(40)
  const told = log.filter(({ event }) => event === 'worker-warning').map(({ message }) => message)
  assert.deepEqual(told, [
    `worker 0: plan 2 public 127.0.0.1:${to}, public 127.0.0.1:${from}`,
    `worker 0: plan 3 public 127.0.0.1:${to}`,
  ])
  assert.deepEqual(
    balancer.view().listeners.map(({ name, port }) => [name, port]),
    [['public', to]],
  )
})

test('where one worker cannot open the new address none has closed the old one, and the reload is refused with the reason', async (context) => {
  const port = await freePort()
  const before = listening(`127.0.0.1:${port}`)
  const { balancer, log } = await startBalancer(context, before, { workerUrl: FIXTURE })
  const result = await balancer.reload(listening(`127.0.0.66:${port}`), { configFile: '/etc/evenkeel.config.yaml' })
  assert.ok(!result.ok)
  assert.deepEqual(
    result.problems.map(({ path, message }) => [path, message]),
    [['listeners[public].bind', `worker 1 cannot listen on 127.0.0.66:${port}: the address is in use (EADDRINUSE)`]],
  )
  await sleep(40)
  const told = log.filter(({ event }) => event === 'worker-warning').map(({ message }) => message)
  assert.deepEqual(told, [
    `worker 0: plan 2 public 127.0.0.66:${port}, public 127.0.0.1:${port}`,
    `worker 0: plan 3 public 127.0.0.1:${port}`,
  ])
  assert.equal(portOf(balancer), port)
  assert.ok((await balancer.reload(before)).ok, 'the next reload finds everything in order')
  await balancer.killWorker(1)
  await eventually(() => balancer.view().workers[1]!.state === 'running', 'a worker that starts now is ready as well')
})

test('a worker whose bind fails keeps the socket it has', async (context) => {
  const [from, to] = [await freePort(), await takenPort(context)]
  const { balancer } = await startBalancer(context, listening('127.0.0.1:0'), { workerUrl: FIXTURE })
  const { first, second } = movingPlans(balancer.settings.listeners[0]!, from, to)
  const events: WorkerEvent[] = []
  const worker = new EdgeWorker({ index: 0, memory: balancer.memory, plan: first }, (event) => events.push(event))
  context.after(() => worker.close())
  worker.apply(first)
  await eventually(() => events.some(({ type }) => type === 'acknowledged'), 'it listens')
  worker.apply(second)
  await eventually(() => events.some(({ type }) => type === 'listen-failed'), 'it cannot listen elsewhere')
  const failed = events.find((event) => event.type === 'listen-failed')
  assert.equal(failed?.socket, listenerSocket(second.listeners[0]!))
  await eventually(() => events.filter(({ type }) => type === 'acknowledged').length === 2, 'the rest is applied')
  assert.equal(events.filter(({ type }) => type === 'listening').length, 1, 'it was not closed and opened again')
  assert.equal(await takesConnections(from), true)
})

test('a listener that moves under load refuses nobody who asks at either address', async (context) => {
  const one = await startOrigin(context, 'one')
  const { balancer, port } = await startBalancer(context, configOf([one.url]))
  const { done, stop } = load(context, port, 4)
  const to = await freePort()
  let isMoved = false
  let gaps = 0
  const watching = (async () => {
    while (!isMoved) {
      if (!(await takesConnections(port)) && !(await takesConnections(to))) gaps += 1
    }
  })()
  const result = await balancer.reload(
    configOf([one.url], { listeners: [{ name: 'public', bind: `127.0.0.1:${to}` }] }),
  )
  isMoved = true
  assert.ok(result.ok)
  await watching
  assert.equal(gaps, 0)
  assert.equal((await get(to)).body, 'one')
  await eventually(() => done.failures.length > 0, 'the old address is closed in the end')
  await stop()
})

test('a moved listener is one change, and its new address is announced', async (context) => {
  const { balancer, log } = await startBalancer(context, listening('127.0.0.1:0'), { workerUrl: FIXTURE })
  const port = await freePort()
  const result = await balancer.reload(listening(`127.0.0.1:${port}`))
  assert.ok(result.ok)
  assert.deepEqual(
    result.changes.map(({ path }) => path),
    ['listeners[public].bind'],
  )
  const announced = log.filter(({ event }) => event === 'listening')
  assert.deepEqual(
    announced.map(({ level, message }) => [level, message]),
    [['info', `listening on 127.0.0.1:${port} (public)`]],
  )
})

test('a refused reload shows file and line where they are known, and the file at least', async (context) => {
  const { balancer } = await startBalancer(context, listening('127.0.0.1:0'), { workerUrl: FIXTURE })
  const file = '/etc/evenkeel.config.yaml'
  const place = { file, line: 3, column: 5 }
  balancer.refuseReload([
    { path: 'pools.web', message: 'it is missing', hint: 'add it', severity: 'error', code: 'missing', ...place },
  ])
  assert.deepEqual(balancer.view().config.problems, [`${file}:3:5: pools.web: it is missing (add it)`])
  const taken = await takenPort(context)
  await balancer.reload(listening(`127.0.0.1:${taken}`), { configFile: file })
  assert.match(
    balancer.view().config.problems[0]!,
    /^\/etc\/evenkeel\.config\.yaml: listeners\[public\]\.bind: cannot listen/,
  )
})

test('a hash is as long as that of a file, wherever it comes from', async (context) => {
  const { balancer } = await startBalancer(context, listening('127.0.0.1:0'), { workerUrl: FIXTURE })
  assert.match(balancer.view().config.hash, /^[0-9a-f]{16}$/)
})

/** A plan with the listener at one port, and one that moves it to another. */
function movingPlans(
  settings: Settings['listeners'][number],
  from: number,
  to: number,
): Record<'first' | 'second', Plan> {
  const { name, protocol, trustedProxies, limits, timeouts } = settings
  const listenerAt = (port: number): Plan['listeners'][number] => ({
    name,
    slot: 0,
    address: { kind: 'ip', host: '127.0.0.1', port, ipv6Only: false },
    reusePort: false,
    protocol,
    trustedProxies,
    limits,
    timeouts,
  })
  const identity = { via: 'x', forwarded: { xForwarded: false, standard: false, via: false } }
  const first: Plan = { version: 1, listeners: [listenerAt(from)], routes: [], pools: [], identity, accessLog: null }
  return { first, second: { ...first, version: 2, listeners: [listenerAt(to), listenerAt(from)] } }
}
