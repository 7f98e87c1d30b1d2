/** A bug on the request path costs the connection that met it: it is counted and told, and everything else goes on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AccessRecorder } from '../../src/edge/access-recorder.ts'
import { InternalErrors } from '../../src/edge/internal-errors.ts'
import { answering, type Edge, get, ok, post, sleep, wire } from '../wire/harness.ts'

/** Puts a bug into a part of the worker: the method throws `times` times, then it is well again. */
function breakMethod(owner: object, name: string, times = 1): void {
  const method: unknown = Reflect.get(owner, name)
  assert.ok(typeof method === 'function')
  let left = times
  Reflect.set(owner, name, (...args: unknown[]): unknown => {
    if (left-- > 0) throw new Error(`a bug in ${name}`)
    return Reflect.apply(method, owner, args)
  })
}

function told(edge: Edge): string[] {
  return edge.events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
}

wire('a bug while a request is handled is a 500 and the end of its connection, and of no other', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  const other = await edge.connect()
  other.write(get())
  await other.answer()
  breakMethod(edge.worker.context.requestIds, 'make', 2)
  for (let i = 0; i < 2; i++) {
    const client = await edge.connect()
    client.write(get() + get())
    const answer = await client.answer()
    assert.equal(answer.status, 500)
    assert.match(answer.text, /EK_INTERNAL/)
    assert.equal(answer.field('connection'), 'close')
    assert.equal(await client.ending(), 'fin')
  }
  other.write(get())
  assert.equal((await other.answer()).text, 'ok')
  assert.deepEqual(edge.counted, { EK_INTERNAL: 2 })
  const [message, ...more] = told(edge)
  assert.match(message!, /EK_INTERNAL.*a bug in make\n\s+at /s)
  assert.deepEqual(more, [], 'the second within a minute is only counted')
})

wire('a bug while an endpoint is connected to is a 500 and says nothing about the endpoint', async (lab) => {
  const edge = await lab.edge({ origins: [await lab.origin()] })
  breakMethod(edge.worker.context.table, 'connectSucceeded')
  const client = await edge.connect()
  client.write(post('body'))
  const answer = await client.answer('POST')
  assert.equal(answer.status, 500)
  assert.equal(await client.ending(), 'fin')
  assert.equal(edge.table.snapshot(0).failures, 0)
  assert.deepEqual(edge.counted, { EK_INTERNAL: 1 })
  assert.equal((await edge.ask(get())).text, 'ok')
})

wire('a bug in the middle of an answer cuts it', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    upstream.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n')
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get())
  await client.answerHead()
  assert.equal(await client.through('half\r\n'), '4\r\nhalf\r\n')
  breakMethod(edge.worker.context.timers, 'arm')
  origin.wires[0]!.write('4\r\nmore\r\n0\r\n\r\n')
  assert.equal(await client.rest(), '')
  assert.notEqual(await origin.wires[0]!.ending(), 'open')
  assert.deepEqual(edge.counted, { EK_INTERNAL: 1 })
})

wire('a bug in the books of an endpoint still gives back what the attempt held', async (lab) => {
  const edge = await lab.edge({ origins: [await lab.origin()] })
  breakMethod(edge.worker.context.table, 'record')
  const client = await edge.connect()
  client.write(get())
  assert.equal((await client.answer()).text, 'ok')
  assert.equal(await client.ending(), 'fin')
  await edge.quiet()
  assert.equal(edge.table.inFlight.total[0], 0)
  assert.equal((await edge.ask(get())).text, 'ok')
})

wire('a bug in a timeout ends what it was of', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin], timeouts: { exchangeMs: 50 } })
  breakMethod(edge.worker.context.table, 'release')
  const client = await edge.connect()
  client.write(get())
  const answer = await client.answer()
  assert.equal(answer.status, 500)
  assert.notEqual(await client.ending(), 'open')
  // The one ledger that the bug was in.
  edge.table.release(0, 0, edge.plan.pools[0]!.endpoints[0]!.generation)
})

wire('a bug after the answer ends the connection: it must not stay and never answer again', async (lab) => {
  const edge = await lab.edge({ origins: [await lab.origin()] })
  const log = { fields: [], record: () => undefined, dropped: 0, close: () => Promise.resolve() }
  for (const [owner, name] of [
    [edge.worker.exchanges, 'giveBack'],
    [log, 'record'],
  ] as const) {
    if (owner === log) edge.worker.context.accessLog = log as unknown as AccessRecorder
    const client = await edge.connect()
    breakMethod(owner, name)
    client.write(get())
    assert.equal((await client.answer()).status, 200)
    assert.notEqual(await client.ending(), 'open')
  }
  edge.worker.context.accessLog = null
  await edge.quiet()
  assert.deepEqual(edge.counted, { EK_INTERNAL: 2 })
})

wire('a bug after the answer to a timeout ends the connection', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin], timeouts: { exchangeMs: 50 } })
  breakMethod(edge.worker.exchanges, 'giveBack')
  const client = await edge.connect()
  client.write(get())
  assert.equal((await client.answer()).status, 504)
  assert.notEqual(await client.ending(), 'open')
})

wire('what was answered with a 500 is not sent to another endpoint afterwards', async (lab) => {
  const dead = { kind: 'ip', host: '127.0.0.1', port: 1, ipv6Only: false } as const
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [dead, origin] })
  breakMethod(edge.worker.context.table, 'recordRetry')
  const client = await edge.connect()
  client.write(post('pay 100'))
  assert.equal((await client.answer('POST')).status, 500)
  await edge.quiet()
  await sleep(100)
  assert.equal(origin.requests.length, 0)
})

wire('a client in the middle of its body gets the 500, and no reset, also when it asked for the close', async (lab) => {
  const edge = await lab.edge({ origins: [await lab.origin((upstream) => upstream.ending().then(() => undefined))] })
  breakMethod(edge.worker.context.requestIds, 'make')
  const client = await edge.connect()
  client.write('POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 600000\r\n\r\n')
  await client.pour(Buffer.alloc(100_000), 600_000)
  assert.equal((await client.answer('POST')).status, 500)
  assert.equal(await client.ending(), 'fin')
})

wire('a client that sends on behind a bug is read no further', async (lab) => {
  const origin = await lab.origin(answering(ok()))
  const edge = await lab.edge({ origins: [origin] })
  breakMethod(edge.worker.context.requestIds, 'make')
  const client = await edge.connect()
  client.write(get('/first'))
  assert.equal((await client.answer()).status, 500)
  client.write(get('/second'))
  assert.notEqual(await client.ending(), 'open')
  assert.equal(origin.requests.length, 0)
})

test('the first of many is told at once, the others by number a minute later', () => {
  const messages: string[] = []
  let nowMs = 0
  const errors = new InternalErrors(
    (message) => messages.push(message),
    () => nowMs,
  )
  for (let i = 0; i < 1000; i++) errors.report(new Error(`number ${i}`))
  assert.equal(messages.length, 1)
  nowMs = 60_000
  errors.report('no error at all')
  assert.match(messages[1]!, /and 999 more.*no error at all/)
  assert.equal(messages.length, 2)
})
