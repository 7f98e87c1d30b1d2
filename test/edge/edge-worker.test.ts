/** Plans, deltas and commands as a worker takes them, with real sockets on both sides. */
import assert from 'node:assert/strict'
import { Fitness } from '../../src/memory/endpoint-table.ts'
import { WorkerState } from '../../src/memory/worker-board.ts'
import {
  answering,
  type Edge,
  endpointPlan,
  eventually,
  get,
  type Lab,
  type Origin,
  ok,
  sleep,
  wire,
} from '../wire/harness.ts'

async function named(lab: Lab, ...names: readonly string[]): Promise<Origin[]> {
  return Promise.all(names.map((name) => lab.origin(answering(ok(name)))))
}

/** The bodies of so many answers, sorted. */
async function answers(edge: Edge, count: number): Promise<string> {
  const texts: string[] = []
  for (let i = 0; i < count; i++) texts.push((await edge.ask(get())).text)
  return texts.sort().join('')
}

function acknowledged(edge: Edge, version: number): Promise<void> {
  return eventually(() => edge.worker.context.board.acknowledged(0) === version, `version ${version}`)
}

wire('round-robin is strict over the endpoints of a pool', async (lab) => {
  const edge = await lab.edge({ origins: await named(lab, 'a', 'b', 'c') })
  const texts: string[] = []
  for (let i = 0; i < 9; i++) texts.push((await edge.ask(get())).text)
  assert.equal(texts.join(''), 'abcabcabc')
})

wire('a delta adds and removes endpoints, and is acknowledged', async (lab) => {
  const [a, b, c] = await named(lab, 'a', 'b', 'c')
  const edge = await lab.edge({ origins: [a!, b!] })
  assert.equal(await answers(edge, 4), 'aabb')
  const add = [endpointPlan(edge.table, 'new', c!.address)]
  edge.worker.command({ type: 'delta', delta: { version: 2, pool: 'web', add, remove: ['web-0'] } })
  await acknowledged(edge, 2)
  assert.equal(await answers(edge, 4), 'bbcc')
  assert.equal(await a!.wires[0]!.ending(), 'fin', 'an idle connection to what left is closed')
  assert.equal(b!.wires.length, 1, 'what stays keeps its connection')
})

wire('a delta for a pool that is gone is acknowledged all the same', async (lab) => {
  const edge = await lab.edge({ origins: [] })
  edge.worker.command({ type: 'delta', delta: { version: 2, pool: 'gone', add: [], remove: ['x'] } })
  await acknowledged(edge, 2)
})

wire('weights are taken over by a refresh', async (lab) => {
  const edge = await lab.edge({ origins: await named(lab, 'a', 'b') })
  edge.table.weight[0] = 3
  edge.table.weight[1] = 1
  edge.worker.command({ type: 'refresh', version: 2, pools: ['web', 'gone'] })
  await acknowledged(edge, 2)
  assert.equal(await answers(edge, 8), 'aaaaaabb')
  edge.table.weight[0] = 0
  edge.worker.command({ type: 'refresh', version: 3, pools: ['web'] })
  await acknowledged(edge, 3)
  assert.equal(await answers(edge, 3), 'bbb')
})

wire('fitness is looked at with every pick', async (lab) => {
  const edge = await lab.edge({ origins: await named(lab, 'a', 'b') })
  Atomics.or(edge.table.fitness, 0, Fitness.DRAINING)
  assert.equal(await answers(edge, 4), 'bbbb')
  Atomics.and(edge.table.fitness, 0, ~Fitness.DRAINING)
  assert.equal(await answers(edge, 4), 'aabb')
})

wire('another picker is used from the plan that names it', async (lab) => {
  const edge = await lab.edge({ origins: await named(lab, 'a', 'b') })
  const [pool] = edge.plan.pools
  await edge.apply({ ...edge.plan, version: 2, pools: [{ ...pool!, picker: { name: 'least-requests', options: {} } }] })
  assert.equal((await answers(edge, 6)).length, 6)
})

wire('a listener is closed, opened and moved by plans, and says its port', async (lab) => {
  const edge = await lab.edge({ origins: await named(lab, 'a') })
  const [listener] = edge.plan.listeners
  const second = { ...listener!, name: 'second', slot: 1 }
  await edge.apply({ ...edge.plan, version: 2, listeners: [listener!, second] })
  const listening = edge.events.filter(({ type }) => type === 'listening')
  assert.equal(listening.length, 2)
  assert.notEqual(edge.ports.get('second'), edge.ports.get('public'))
  const before = edge.ports.get('public')
  const moved = { ...listener!, address: { kind: 'unix' as const, path: lab.path('moved.sock') } }
  await edge.apply({ ...edge.plan, version: 3, listeners: [moved] })
  assert.equal(edge.ports.get('public'), 0)
  assert.notEqual(before, 0)
  assert.equal(edge.worker.listener('second'), undefined)
})

wire('plans are applied one after the other, and the last one counts', async (lab) => {
  const [a, b] = await named(lab, 'a', 'b')
  const edge = await lab.edge({ origins: [a!], pools: { other: [b!] } })
  const other = [{ name: 'other', match: {}, pool: 'other' }]
  for (let version = 2; version < 12; version++)
    edge.worker.apply({ ...edge.plan, version, routes: version % 2 === 0 ? edge.plan.routes : other })
  await acknowledged(edge, 11)
  assert.equal(await answers(edge, 1), 'b')
  const versions = edge.events.flatMap((event) => (event.type === 'acknowledged' ? [event.version] : []))
  assert.deepEqual(versions, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
})

wire('it gives signs of life, and says what it is doing', async (lab) => {
  const edge = await lab.edge({ origins: [] })
  const { board } = edge.worker.context
  assert.equal(board.state(0), WorkerState.RUNNING)
  const before = board.ticks(0)
  await sleep(600)
  assert.ok(board.ticks(0) >= before + 1)
  edge.worker.command({ type: 'drain', deadlineMs: 1000 })
  await eventually(() => edge.events.some(({ type }) => type === 'drained'), 'the end')
  assert.equal(board.state(0), WorkerState.DRAINING)
})

wire('it crashes when it is told to', async (lab) => {
  const edge = await lab.edge({ origins: [] })
  assert.throws(() => edge.worker.command({ type: 'crash' }), /told to crash/)
})

wire('a change that fails says so, is not acknowledged, and the next whole plan heals it', async (lab) => {
  const [a, b] = await named(lab, 'a', 'b')
  const edge = await lab.edge({ origins: [a!] })
  const [pool] = edge.plan.pools
  // A picker that this worker does not know, as no checked config can name one.
  edge.worker.apply({ ...edge.plan, version: 2, pools: [{ ...pool!, picker: { name: 'no-such', options: {} } }] })
  await eventually(() => edge.events.some(({ type }) => type === 'warning'), 'a warning')
  assert.equal(await answers(edge, 2), 'aa', 'what was in force serves on')
  edge.worker.command({ type: 'refresh', version: 3, pools: ['web'] })
  await sleep(50)
  assert.equal(edge.worker.context.board.acknowledged(0), 1, 'nothing behind it counts as applied')
  const other = { ...pool!, endpoints: [endpointPlan(edge.table, 'new', b!.address)] }
  await edge.apply({ ...edge.plan, version: 4, pools: [other] })
  assert.equal(await answers(edge, 2), 'bb')
})

wire('a plan that comes while it drains leaves it draining', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const { board } = edge.worker.context
  const client = await edge.connect()
  client.write(get())
  await origin.connections(1)
  edge.worker.command({ type: 'drain', deadlineMs: 5000 })
  await eventually(() => board.state(0) === WorkerState.DRAINING, 'draining')
  edge.worker.apply({ ...edge.plan, version: 2 })
  await acknowledged(edge, 2)
  assert.equal(board.state(0), WorkerState.DRAINING)
})

wire('an open connection follows a reload of who is trusted, in both directions', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  const [listener] = edge.plan.listeners
  const ask = async (): Promise<string | undefined> => {
    client.write(get('/', 'X-Forwarded-For: 192.0.2.7\r\n'))
    await client.answer()
    return origin.requests.at(-1)!.field('x-forwarded-for')
  }
  assert.equal(await ask(), '127.0.0.1')
  await edge.apply({ ...edge.plan, version: 2, listeners: [{ ...listener!, trustedProxies: ['127.0.0.0/8'] }] })
  assert.equal(await ask(), '192.0.2.7, 127.0.0.1')
  await edge.apply({ ...edge.plan, version: 3 })
  assert.equal(await ask(), '127.0.0.1')
  assert.equal(edge.counter('CONNECTIONS_ACCEPTED'), 1)
})
