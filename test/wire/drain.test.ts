/** The end of a worker, and of a listener. */
import assert from 'node:assert/strict'
import { answering, type Edge, eventually, get, ok, sleep, waiting, wire } from './harness.ts'

function drained(edge: Edge): boolean {
  return edge.events.some(({ type }) => type === 'drained')
}

const slow = answering(async (request) => {
  if (request.target === '/slow') await sleep(300)
  return ok()
})

waiting('a drain', () => {
  wire('idle connections close, running exchanges finish with Connection: close, then it is over', async (lab) => {
    const origin = await lab.origin(slow)
    const edge = await lab.edge({ origins: [origin] })
    const [idle, fresh, busy] = [await edge.connect(), await edge.connect(), await edge.connect()]
    idle.write(get())
    await idle.answer()
    busy.write(get('/slow'))
    await eventually(() => edge.counter('EXCHANGES_OPEN') === 1, 'an exchange')
    edge.worker.command({ type: 'drain', deadlineMs: 10_000 })
    assert.equal(await idle.ending(), 'fin')
    assert.equal(await fresh.ending(), 'fin')
    assert.equal(drained(edge), false)
    const answer = await busy.answer()
    assert.equal(answer.text, 'ok')
    assert.equal(answer.field('connection'), 'close')
    assert.equal(await busy.ending(), 'fin')
    for (const client of [idle, fresh, busy]) client.close()
    await eventually(() => drained(edge), 'the end')
    assert.deepEqual(edge.counted, {})
    await edge.zero()
  })

  wire('nothing new is accepted', async (lab) => {
    const origin = await lab.origin(slow)
    const edge = await lab.edge({ origins: [origin] })
    const busy = await edge.connect()
    busy.write(get('/slow'))
    await eventually(() => edge.counter('EXCHANGES_OPEN') === 1, 'an exchange')
    edge.worker.command({ type: 'drain', deadlineMs: 10_000 })
    await sleep(20)
    const late = await edge.connect().catch(() => null)
    if (late !== null) assert.notEqual(await late.ending(), 'open')
    assert.equal((await busy.answer()).text, 'ok')
  })

  wire('of pipelined requests the running one is answered, the others are not begun', async (lab) => {
    const origin = await lab.origin(slow)
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(get('/slow') + get('/next'))
    await eventually(() => edge.counter('EXCHANGES_OPEN') === 1, 'an exchange')
    edge.worker.command({ type: 'drain', deadlineMs: 10_000 })
    const answer = await client.answer()
    assert.equal(answer.field('connection'), 'close')
    assert.equal(await client.rest(), '')
    assert.equal(origin.requests.length, 1)
  })

  wire('a head that has begun to come is still served', async (lab) => {
    const origin = await lab.origin(slow)
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write('GET / HTTP/1.1\r\n')
    await sleep(30)
    edge.worker.command({ type: 'drain', deadlineMs: 10_000 })
    await sleep(30)
    client.write('Host: a\r\n\r\n')
    const answer = await client.answer()
    assert.equal(answer.text, 'ok')
    assert.equal(answer.field('connection'), 'close')
  })

  wire('an answer that had begun is finished, and then the connection closes', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.request()
      upstream.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla')
      await sleep(200)
      upstream.write('te')
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(get())
    const head = await client.answerHead()
    edge.worker.command({ type: 'drain', deadlineMs: 10_000 })
    assert.equal((await client.body(head)).text, 'late')
    assert.equal(await client.ending(), 'fin')
  })

  wire('what is left at the deadline is cut off, and counted', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      const request = await upstream.requestHead()
      if (request.target === '/ws') upstream.write('HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n')
      if (request.target === '/half') upstream.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const clients = [await edge.connect(), await edge.connect(), await edge.connect()]
    clients[0]!.write(get('/none'))
    clients[1]!.write(get('/half'))
    clients[2]!.write(get('/ws', 'Connection: upgrade\r\nUpgrade: x\r\n'))
    await clients[1]!.answerHead()
    await clients[2]!.answerHead()
    await eventually(
      () => edge.counter('EXCHANGES_OPEN') === 2 && edge.counter('TUNNELS_OPEN') === 1,
      'two exchanges and a tunnel',
    )
    const began = performance.now()
    edge.worker.command({ type: 'drain', deadlineMs: 200 })
    for (const client of clients) assert.notEqual(await client.ending(), 'open')
    assert.ok(performance.now() - began >= 190)
    await eventually(() => drained(edge), 'the end')
    await edge.zero()
    assert.deepEqual(edge.counted, { EK_DRAIN_DEADLINE: 3 })
    assert.equal(edge.counter('CLIENT_ABORTS'), 0)
  })

  wire('a tunnel runs on until one side ends it', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.requestHead()
      upstream.write('HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n')
      for (;;) upstream.write(await upstream.bytes(1))
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(get('/ws', 'Connection: upgrade\r\nUpgrade: x\r\n'))
    await client.answerHead()
    edge.worker.command({ type: 'drain', deadlineMs: 10_000 })
    await sleep(50)
    client.write('a')
    assert.equal(await client.text(1), 'a')
    assert.equal(drained(edge), false)
    client.close()
    await eventually(() => drained(edge), 'the end')
  })

  wire('a listener that a reload takes away drains while the others go on', async (lab) => {
    const origin = await lab.origin(slow)
    const edge = await lab.edge({ origins: [origin], listeners: { second: {} } })
    const [first, idle, busy] = [await edge.connect(), await edge.connect('second'), await edge.connect('second')]
    first.write(get())
    await first.answer()
    busy.write(get('/slow'))
    await eventually(() => edge.counter('EXCHANGES_OPEN') === 1, 'an exchange')
    await edge.apply({ ...edge.plan, version: 2, listeners: edge.plan.listeners.slice(0, 1) })
    assert.equal(await idle.ending(), 'fin')
    assert.equal((await busy.answer()).field('connection'), 'close')
    assert.equal(await busy.ending(), 'fin')
    first.write(get())
    assert.equal((await first.answer()).text, 'ok')
    assert.equal(first.ended, 'open')
  })

  wire('a tunnel and a running answer live through a reload', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      const request = await upstream.requestHead()
      if (request.target === '/ws') {
        upstream.write('HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n')
        for (;;) upstream.write(await upstream.bytes(1))
      }
      upstream.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla')
      await sleep(150)
      upstream.write('te')
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const [tunnel, busy] = [await edge.connect(), await edge.connect()]
    tunnel.write(get('/ws', 'Connection: upgrade\r\nUpgrade: x\r\n'))
    await tunnel.answerHead()
    busy.write(get())
    const head = await busy.answerHead()
    for (let version = 2; version < 6; version++) await edge.apply({ ...structuredClone(edge.plan), version })
    assert.equal((await busy.body(head)).text, 'late')
    tunnel.write('a')
    assert.equal(await tunnel.text(1), 'a')
  })
})
