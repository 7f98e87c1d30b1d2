/** IPv4, IPv6, both on one socket, and unix sockets, on both sides. */
import assert from 'node:assert/strict'
import * as net from 'node:net'
import { answering, chunked, get, type Origin, ok, post, sleep, Wire, wire } from './harness.ts'

const IPV6 = { kind: 'ip' as const, host: '::1', port: 0, ipv6Only: false }

wire('an IPv6 listener and an IPv6 endpoint', async (lab) => {
  const origin = await lab.origin(answering(ok()), IPV6)
  const edge = await lab.edge({
    origins: [origin],
    address: { ...IPV6, ipv6Only: true },
    forwarded: { standard: true },
  })
  assert.equal((await edge.ask(get())).text, 'ok')
  const [request] = origin.requests
  assert.equal(request?.field('x-forwarded-for'), '::1')
  assert.equal(request.field('forwarded'), 'for="[::1]";proto=http;host="test.example"')
  const bare = await edge.connect()
  bare.write('GET / HTTP/1.0\r\n\r\n')
  await bare.answer()
  assert.equal(origin.requests[1]?.field('host'), `[::1]:${origin.port}`)
})

wire('a listener for both families tells IPv4 clients by their IPv4 address', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({
    origins: [origin],
    address: { kind: 'ip', host: '::', port: 0, ipv6Only: false },
    limits: { connectionsPerAddress: 1 },
  })
  const port = edge.ports.get('public')!
  const four = await Wire.connect({ host: '127.0.0.1', port })
  four.write(get())
  assert.equal((await four.answer()).status, 200)
  assert.equal(origin.requests[0]?.field('x-forwarded-for'), '127.0.0.1')
  const six = await Wire.connect({ host: '::1', port })
  six.write(get())
  assert.equal((await six.answer()).status, 200)
  assert.equal(origin.requests[1]?.field('x-forwarded-for'), '::1')
  const fourAgain = await Wire.connect({ host: '127.0.0.1', port })
  assert.equal((await fourAgain.answer()).status, 429)
  for (const client of [four, six, fourAgain]) client.close()
  await edge.quiet()
})

wire('trust is by IPv4 address also on a socket for both families', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({
    origins: [origin],
    address: { kind: 'ip', host: '::', port: 0, ipv6Only: false },
    trustedProxies: ['127.0.0.0/8'],
  })
  const port = edge.ports.get('public')!
  for (const [host, wanted] of [
    ['127.0.0.1', '9.9.9.9, 127.0.0.1'],
    ['::1', '::1'],
  ] as const) {
    const client = await Wire.connect({ host, port })
    client.write(get('/', 'X-Forwarded-For: 9.9.9.9\r\n'))
    await client.answer()
    client.close()
    assert.equal(origin.requests.at(-1)?.field('x-forwarded-for'), wanted)
  }
  await edge.quiet()
})

wire('a listener for IPv6 alone leaves the port free for IPv4', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin], address: { kind: 'ip', host: '::', port: 0, ipv6Only: true } })
  const port = edge.ports.get('public')!
  const socket = net.connect({ host: '127.0.0.1', port })
  const error = await new Promise<NodeJS.ErrnoException>((resolve) => {
    socket.on('error', resolve)
  })
  assert.equal(error.code, 'ECONNREFUSED')
})

wire('unix sockets on both sides', async (lab) => {
  const origin = await lab.origin(answering(ok()), { kind: 'unix', path: lab.path('origin.sock') })
  const edge = await lab.edge({
    origins: [origin],
    address: { kind: 'unix', path: lab.path('edge.sock') },
    forwarded: { standard: true },
  })
  const client = await edge.connect()
  client.write(post('body') + get())
  assert.equal((await client.answer()).text, 'ok')
  assert.equal((await client.answer()).text, 'ok')
  const [request] = origin.requests
  assert.equal(request?.has('x-forwarded-for'), false, 'there is no address to tell')
  assert.equal(request.field('x-forwarded-proto'), 'http')
  assert.equal(request.field('forwarded'), 'for=unknown;proto=http;host="test.example"')
  assert.equal(edge.worker.context.addresses.live(), 0)
  assert.equal(origin.wires.length, 1)
  const bare = await edge.connect()
  bare.write('GET / HTTP/1.0\r\n\r\n')
  await bare.answer()
  assert.equal(origin.requests[2]?.field('host'), 'localhost')
})

wire('a large body through unix sockets, in both directions', async (lab) => {
  const body = 'z'.repeat(3_000_000)
  const origin = await lab.origin(
    answering((request) => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked([request.text])}`),
    { kind: 'unix', path: lab.path('origin.sock') },
  )
  const edge = await lab.edge({ origins: [origin], address: { kind: 'unix', path: lab.path('edge.sock') } })
  const client = await edge.connect()
  client.write(post(body))
  assert.ok((await client.answer()).text === body)
})

wire('a unix socket where nobody listens is a 502', async (lab) => {
  const edge = await lab.edge({ origins: [{ kind: 'unix', path: lab.path('nobody.sock') }] })
  const answer = await edge.ask(get())
  assert.equal(answer.status, 502)
  assert.ok(!answer.text.includes('nobody'), 'the client learns nothing of the path')
})

wire('an answer cut short on a unix socket, where only a reset could say it, is closed', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    upstream.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    await sleep(20)
    upstream.end()
  })
  const edge = await lab.edge({ origins: [origin], address: { kind: 'unix', path: lab.path('edge.sock') } })
  const client = await edge.connect()
  client.write('GET / HTTP/1.0\r\nHost: a\r\n\r\n')
  await client.answerHead()
  assert.equal(await client.rest(), 'hello')
  assert.deepEqual(edge.counted, { EK_RESPONSE_CUT_SHORT: 1 })
})

wire('several listeners share routes, and a route may be for one of them', async (lab) => {
  const [open, inner] = [await lab.origin(answering(ok('open'))), await lab.origin(answering(ok('inner')))]
  const edge = await lab.edge({
    origins: [open],
    pools: { inner: [inner] },
    listeners: { private: { address: { kind: 'unix', path: lab.path('private.sock') }, reusePort: false } },
    routes: [
      { name: 'inner', match: { listener: 'private' }, pool: 'inner' },
      { name: 'open', match: {}, pool: 'web' },
    ],
  })
  for (const [listener, wanted] of [
    ['public', 'open'],
    ['private', 'inner'],
  ] as const) {
    const client = await edge.connect(listener)
    client.write(get())
    assert.equal((await client.answer()).text, wanted)
  }
  const counts: Origin[] = [open, inner]
  assert.deepEqual(
    counts.map(({ requests }) => requests.length),
    [1, 1],
  )
})

wire('a port that is taken is told, and the others listen', async (lab) => {
  const taken = net.createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as net.AddressInfo
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  const [listener] = edge.plan.listeners
  const clash = {
    ...listener!,
    name: 'clash',
    slot: 1,
    reusePort: false,
    address: { kind: 'ip' as const, host: '127.0.0.1', port, ipv6Only: false },
  }
  edge.worker.apply({ ...edge.plan, version: 2, listeners: [clash, listener!] })
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (edge.events.some((event) => event.type === 'acknowledged' && event.version === 2)) resolve()
      else setTimeout(look, 5)
    }
    look()
  })
  const failure = edge.events.find((event) => event.type === 'listen-failed')
  assert.equal(failure?.listener, 'clash')
  assert.equal(failure.code, 'EADDRINUSE')
  assert.equal((await edge.ask(get())).status, 200)
  taken.close()
})
