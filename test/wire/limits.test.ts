/** Every limit: its own error, status and counter. */
import assert from 'node:assert/strict'
import { chunked, type Edge, eventually, get, post, sleep, type Wire, waiting, wire } from './harness.ts'

async function refused(client: Wire, edge: Edge, status: number, code: string): Promise<void> {
  const answer = await client.answer()
  assert.equal(answer.status, status)
  assert.match(answer.text, new RegExp(`\\(${code}\\)\n`))
  assert.equal(answer.field('connection'), 'close')
  assert.notEqual(await client.ending(), 'open')
  assert.deepEqual(edge.counted, { [code]: 1 })
  client.close()
}

wire('a request line of exactly the limit passes, one byte more is a 414', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin], limits: { requestLineBytes: 100 } })
  const target = `/${'x'.repeat(100 - 'GET / HTTP/1.1'.length)}`
  assert.equal((await edge.ask(get(target))).status, 200)
  const client = await edge.connect()
  client.write(get(`${target}x`))
  await refused(client, edge, 414, 'EK_REQUEST_LINE_TOO_LONG')
})

wire('a request line that never ends is a 414 as soon as it is too long', async (lab) => {
  const edge = await lab.edge({})
  const client = await edge.connect()
  client.write(`GET /${'x'.repeat(8300)}`)
  await refused(client, edge, 414, 'EK_REQUEST_LINE_TOO_LONG')
})

wire('a head of exactly the limit passes, one byte more is a 431', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin], limits: { headBytes: 500 } })
  const padded = (bytes: number): string => get('/', `X-A: ${'x'.repeat(bytes - get('/', 'X-A: \r\n').length)}\r\n`)
  assert.equal(padded(500).length, 500)
  assert.equal((await edge.ask(padded(500))).status, 200)
  const client = await edge.connect()
  client.write(padded(501))
  await refused(client, edge, 431, 'EK_HEAD_TOO_LARGE')
})

wire('empty lines count to the head', async (lab) => {
  const edge = await lab.edge({ limits: { headBytes: 500 } })
  const client = await edge.connect()
  client.write('\r\n'.repeat(300))
  await refused(client, edge, 431, 'EK_HEAD_TOO_LARGE')
})

wire('as many fields as allowed pass, one more is a 431', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin], limits: { fieldCount: 30 } })
  assert.equal((await edge.ask(get('/', 'X: 1\r\n'.repeat(29)))).status, 200)
  const client = await edge.connect()
  client.write(get('/', 'X: 1\r\n'.repeat(30)))
  await refused(client, edge, 431, 'EK_TOO_MANY_FIELDS')
})

wire('a body of exactly the limit passes in both framings', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin], limits: { bodyBytes: 10 } })
  assert.equal((await edge.ask(post('0123456789'))).status, 200)
  const body = chunked(['01234', '56789'])
  assert.equal((await edge.ask(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`)).status, 200)
})

wire('a Content-Length beyond the limit is a 413 before anything of it is read', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin], limits: { bodyBytes: 10 } })
  const client = await edge.connect()
  client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n')
  await refused(client, edge, 413, 'EK_BODY_TOO_LARGE')
  assert.equal(origin.wires.length, 0)
})

for (const isSplit of [false, true])
  wire(
    `chunks beyond the limit are a 413${isSplit ? ' as they come' : ''}, and the upstream is given up`,
    async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        await upstream.request()
      })
      const edge = await lab.edge({ origins: [origin], limits: { bodyBytes: 10 } })
      const client = await edge.connect()
      const request = `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['01234', '56789', 'a', 'b'])}`
      if (isSplit) await client.writeSlowly(request.match(/[^]{1,8}/g)!, 2)
      else client.write(request)
      await refused(client, edge, 413, 'EK_BODY_TOO_LARGE')
      await edge.quiet()
      for (const upstream of origin.wires) assert.notEqual(await upstream.ending(), 'open')
    },
  )

for (const connection of ['', 'Connection: close\r\n'])
  wire(
    `a client in the middle of a body beyond the limit gets its 413 and no reset ${connection.trim()}`,
    async (lab) => {
      const edge = await lab.edge({
        origins: [await lab.origin((upstream) => upstream.ending().then(() => undefined))],
        limits: { bodyBytes: 100_000 },
      })
      const client = await edge.connect()
      client.write(`POST / HTTP/1.1\r\nHost: a\r\n${connection}Transfer-Encoding: chunked\r\n\r\n`)
      const piece = Buffer.concat([Buffer.from('4000\r\n'), Buffer.alloc(0x4000, 97), Buffer.from('\r\n')])
      client.stopReading()
      await client.pour(piece, 40 * piece.length)
      await sleep(30)
      client.startReading()
      assert.equal((await client.answer('POST')).status, 413)
      assert.equal(await client.ending(), 'fin')
    },
  )

waiting('connections', () => {
  wire('over the limit of the listener get a 503, until one of the others ends', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin], limits: { connections: 2 } })
    const first = await edge.connect()
    const second = await edge.connect()
    await eventually(() => edge.counter('CONNECTIONS_OPEN') === 2, 'two connections')
    const third = await edge.connect()
    await refused(third, edge, 503, 'EK_TOO_MANY_CONNECTIONS')
    first.write(get())
    assert.equal((await first.answer()).status, 200)
    second.close()
    await eventually(() => edge.counter('CONNECTIONS_OPEN') === 1, 'one connection')
    assert.equal((await edge.ask(get())).status, 200)
    assert.equal(edge.counter('CONNECTIONS_ACCEPTED'), 4)
  })

  wire('over the limit of their address get a 429, others do not', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin], limits: { connectionsPerAddress: 2 } })
    const first = await edge.connect()
    await edge.connect()
    await eventually(() => edge.counter('CONNECTIONS_OPEN') === 2, 'two connections')
    const third = await edge.connect()
    await refused(third, edge, 429, 'EK_TOO_MANY_FROM_ADDRESS')
    const other = await edge.connect('public', { localAddress: '127.0.0.2' })
    other.write(get())
    assert.equal((await other.answer()).status, 200)
    first.close()
    await eventually(() => edge.counter('CONNECTIONS_OPEN') === 2, 'two connections')
    assert.equal((await edge.ask(get())).status, 200)
  })

  for (const [who, options] of [
    ['exempt', { limits: { connectionsPerAddress: 1, perAddressExempt: ['127.0.0.0/8'] } }],
    ['trusted', { limits: { connectionsPerAddress: 1 }, trustedProxies: ['127.0.0.1'] }],
  ] as const)
    wire(`from ${who} addresses are not counted by address`, async (lab) => {
      const origin = await lab.origin()
      const edge = await lab.edge({ origins: [origin], ...options })
      for (let i = 0; i < 3; i++) await edge.connect()
      assert.equal((await edge.ask(get())).status, 200)
      assert.equal(edge.worker.context.addresses.live(), 0)
    })

  wire('that are refused cannot stay, whatever they send', async (lab) => {
    const edge = await lab.edge({ limits: { connections: 1 } })
    await edge.connect()
    await eventually(() => edge.counter('CONNECTIONS_OPEN') === 1, 'one connection')
    const pest = await edge.connect()
    pest.discard()
    const began = performance.now()
    while (!pest.isClosed && performance.now() - began < 6000) {
      if (pest.socket.writable) pest.write('x')
      await sleep(50)
    }
    assert.ok(pest.isClosed, 'a refused client that keeps sending is cut off')
  })

  wire('end after as many requests as they may carry', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin], limits: { requestsPerConnection: 2 } })
    const client = await edge.connect()
    client.write(get() + get() + get())
    assert.equal((await client.answer()).has('connection'), false)
    assert.equal((await client.answer()).field('connection'), 'close')
    assert.equal(await client.rest(), '')
    assert.equal(edge.counter('EXCHANGES'), 2)
  })
})

wire('limits follow a reload, for open connections too', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get(`/${'x'.repeat(200)}`))
  assert.equal((await client.answer()).status, 200)
  const [listener] = edge.plan.listeners
  const limits = { ...listener!.limits, requestLineBytes: 100 }
  await edge.apply({ ...edge.plan, version: 2, listeners: [{ ...listener!, limits }] })
  client.write(get(`/${'x'.repeat(200)}`))
  assert.equal((await client.answer()).status, 414)
})
