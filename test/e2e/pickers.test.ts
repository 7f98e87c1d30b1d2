/** Every picker in the live data plane: real workers, real sockets, real servers. */
import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { PickerEntry } from '../../src/core/balance/picker.ts'
import { PICKERS } from '../../src/core/balance/registry.ts'
import type { Config } from '../../src/index.ts'
import { WorkerBoard } from '../../src/memory/worker-board.ts'
import { Counter } from '../../src/observe/counters.ts'
import { configOf, get, load, type Origin, startBalancer, startOrigin } from '../control/balancers.ts'
import { eventually, sleep } from '../pool/servers.ts'

const REQUESTS = 300
const CLIENTS = 8
const KEYS = 30

interface Served {
  readonly key: number
  readonly body: string
  readonly status: number
}

/** `REQUESTS` requests over a few kept-alive connections; `at` runs when half of them are answered. */
async function ask(port: number, name: string, at: () => void): Promise<{ first: Served[]; second: Served[] }> {
  const first: Served[] = []
  const second: Served[] = []
  let next = 0
  const client = async (): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (let number = next++; number < REQUESTS; number = next++) {
      const isFirst = first.length < REQUESTS / 2
      const key = number % KEYS
      const { status, body } = await get(port, `/${name}/k${key}`, { agent })
      if (isFirst && first.push({ key, status, body }) === REQUESTS / 2) at()
      if (!isFirst) second.push({ key, status, body })
    }
    agent.destroy()
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return { first, second }
}

/** The servers by key. */
function ownersOf(served: readonly Served[]): Map<number, Set<string>> {
  const owners = new Map<number, Set<string>>()
  for (const { key, body } of served) owners.set(key, (owners.get(key) ?? new Set()).add(body))
  return owners
}

test('over three servers of which one stops half-way, every picker', async (context) => {
  const entries = Object.values<PickerEntry>(PICKERS)
  const origins = new Map<string, Origin[]>()
  const pools: Config['pools'] = {}
  for (const { name } of entries) {
    const three = await Promise.all(['a', 'b', 'c'].map((letter) => startOrigin(context, letter)))
    origins.set(name, three)
    // By id, not by port: where a key belongs must not depend on the ports of the day.
    pools[name] = {
      balance: name,
      endpoints: three.map((origin) => ({ url: origin.url, id: `${name}-${origin.name}` })),
    }
  }
  const { port } = await startBalancer(context, {
    version: 1,
    workers: 2,
    listeners: [{ name: 'public', bind: '127.0.0.1:0' }],
    routes: entries.map(({ name }) => ({ match: { path: `/${name}/*` }, pool: name })),
    pools,
    memory: { addresses: 1024 },
  })

  for (const { name, usesKey } of entries) {
    await context.test(`${name} serves every request`, async () => {
      const three = origins.get(name)!
      const { first, second } = await ask(port, name, () => void three[1]!.close())
      const failures = [...first, ...second].filter(({ status }) => status !== 200)
      assert.deepEqual(failures, [])
      // Requests that were on their way may have met the one that stopped; nothing that came later.
      const late = second.slice(CLIENTS * 2)
      assert.ok(late.every(({ body }) => body !== 'b'))
      // All requests come from one address.
      const isOne = name === 'first-available' || name === 'ip-hash'
      const used = new Set(first.map(({ body }) => body))
      assert.equal(used.size, isOne ? 1 : 3, [...used].join(', '))
      if (usesKey !== true) return
      const owners = ownersOf(first.slice(0, REQUESTS / 2 - CLIENTS))
      for (const [key, servers] of owners) assert.equal(servers.size, 1, `key ${key}: ${[...servers].join(', ')}`)
      for (const [key, servers] of ownersOf(late)) {
        assert.equal(servers.size, 1, `key ${key}: ${[...servers].join(', ')}`)
        const [before] = owners.get(key)!
        if (before !== 'b') assert.deepEqual(servers, new Set([before]), `key ${key} moved without need`)
      }
    })
  }
})

for (const balance of ['round-robin', 'weighted-round-robin', 'weighted-random', 'weighted-least-requests']) {
  test(`${balance}: a weight set at runtime takes effect, and no connection is dropped`, async (context) => {
    const [a, b] = await Promise.all([startOrigin(context, 'a'), startOrigin(context, 'b')])
    const { balancer, port } = await startBalancer(context, configOf([a.url, b.url], {}, { balance }))
    const { done, stop } = load(context, port, 4)
    await eventually(() => done.requests > 100, '100 requests')
    const result = await balancer.setEndpoint({ id: b.id, weight: 9 })
    assert.equal(result.ok, true)
    const then = { ...done.byBody }
    const from = done.requests
    await eventually(() => done.requests > from + 1000, '1000 more')
    await stop()
    assert.deepEqual(done.failures, [])
    const share = (done.byBody['b']! - then['b']!) / (done.requests - from)
    // Nine tenths, or more where hardly anything is in flight and the one with room for it is free.
    assert.ok(share > 0.75, `b has ${share}`)
    const board = new WorkerBoard(balancer.memory)
    const accepted = [0, 1].reduce((sum, worker) => sum + board.counters(worker)[Counter.CONNECTIONS_ACCEPTED]!, 0)
    assert.equal(accepted, 4)
  })
}

interface Reporting {
  readonly child: ChildProcess
  readonly url: string
}

async function startReporting(context: TestContext, name: string): Promise<Reporting> {
  const child = fork(join(import.meta.dirname, 'fixtures/reporting-server.ts'), [name])
  context.after(() => child.kill())
  const port = await new Promise<unknown>((resolve, reject) => {
    child.once('message', resolve)
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
  })
  return { child, url: `http://127.0.0.1:${String(port)}` }
}

const REPORTS = {
  'health answers': {
    health: { path: '/load', intervalMs: 200, timeoutMs: 150, fall: 100, signals: { cpu: '$.now.cpu' } },
  },
  'load reports in answers': {},
} as const
// Of three it draws among all three, so with its own weights the difference would need thousands of requests to be seen.
const MOSTLY_LOAD = { picker: 'adaptive', weights: { load: 1, latency: 0.1, reliability: 0.1 } }
const LOADED = [
  ['resource', { picker: 'resource', refreshMs: 100 }, 'health answers', 0.6],
  ['resource', { picker: 'resource', refreshMs: 100 }, 'load reports in answers', 0.6],
  ['adaptive', MOSTLY_LOAD, 'health answers', 0.9],
  ['adaptive', MOSTLY_LOAD, 'load reports in answers', 0.9],
] as const

for (const [name, balance, source, most] of LOADED) {
  test(`${name}: a server whose CPU is busy sees its share fall, told by ${source}`, async (context) => {
    const servers = await Promise.all(['a', 'b', 'c'].map((letter) => startReporting(context, letter)))
    const urls = servers.map(({ url }) => url)
    const { port } = await startBalancer(context, configOf(urls, { workers: 1 }, { balance, ...REPORTS[source] }))
    // Few requests, so that answering them is not what keeps the CPUs busy.
    const run = async (requests: number): Promise<number> => {
      let busy = 0
      for (let number = 0; number < requests; number++) {
        const { body } = await get(port)
        if (body === 'b') busy++
        await sleep(2)
      }
      return busy / requests
    }
    await run(50)
    const before = await run(400)
    servers[1]!.child.send('burn')
    await run(150)
    const since = await run(400)
    context.diagnostic(`share of the busy one: ${before} before, ${since} since`)
    assert.ok(before > 0.15, `${before} before`)
    assert.ok(since < before * most, `${before} before, ${since} since`)
  })
}

/** A server as docs/balancing.md shows it: says at /load what it has in flight, and how long its latest answers took. */
function telling(
  name: string,
  tookMs: () => number,
  probes: { count: number; highest: number },
): Parameters<typeof startOrigin>[2] {
  let inFlight = 0
  let latencyMs = 0
  return (request, response) => {
    if (request.url === '/load') {
      probes.count++
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ inFlight, latencyMs }))
      return
    }
    const startedAt = performance.now()
    inFlight++
    probes.highest = Math.max(probes.highest, inFlight)
    response.once('close', () => {
      inFlight--
      latencyMs += 0.2 * (performance.now() - startedAt - latencyMs)
    })
    setTimeout(() => response.end(name), tookMs())
  }
}

test('prequal: a server that has many in flight, by its own word, gets less; and its share again once it has not', async (context) => {
  let slowMs = 60
  const probes = { a: { count: 0, highest: 0 }, b: { count: 0, highest: 0 }, c: { count: 0, highest: 0 } }
  const servers = await Promise.all([
    startOrigin(
      context,
      'a',
      telling('a', () => 4, probes.a),
    ),
    startOrigin(
      context,
      'b',
      telling('b', () => slowMs, probes.b),
    ),
    startOrigin(
      context,
      'c',
      telling('c', () => 4, probes.c),
    ),
  ])
  // Requests that this balancer knows nothing of.
  const isOver = { now: false }
  const others = Array.from({ length: 20 }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    while (!isOver.now) await get(servers[1].port, '/other', { agent })
    agent.destroy()
  })
  const urls = servers.map(({ url }) => url)
  const { balancer, port } = await startBalancer(context, configOf(urls, {}, { balance: 'prequal' }))
  const share = async (): Promise<number> => {
    const { done, stop } = load(context, port, 4)
    await eventually(() => done.requests > 200, '200 requests')
    const then = { ...done.byBody }
    const from = done.requests
    await eventually(() => done.requests > from + 600, '600 more')
    await stop()
    assert.deepEqual(done.failures, [])
    return ((done.byBody['b'] ?? 0) - (then['b'] ?? 0)) / (done.requests - from)
  }
  const busy = await share()
  slowMs = 4
  isOver.now = true
  await Promise.all(others)
  const idle = await share()
  context.diagnostic(`share of b: ${busy} while busy, ${idle} afterwards; probes ${JSON.stringify(probes)}`)
  for (const { count } of Object.values(probes)) assert.ok(count > 20, JSON.stringify(probes))
  assert.ok(probes.b.highest >= 20)
  assert.ok(busy < 0.15, `${busy} while busy`)
  assert.ok(idle > 0.2, `${idle} afterwards`)
  const board = new WorkerBoard(balancer.memory)
  const failed = [0, 1].reduce((sum, worker) => sum + board.counters(worker)[Counter.LOAD_PROBES_FAILED]!, 0)
  assert.equal(failed, 0)
})
