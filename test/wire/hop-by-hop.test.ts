/** What is meant for one hop stays on it (RFC 9110 section 7.6.1). */
import assert from 'node:assert/strict'
import { answering, get, ok, wire } from './harness.ts'

const HOP = [
  'Connection: keep-alive',
  'Keep-Alive: timeout=5',
  'Proxy-Connection: keep-alive',
  'Proxy-Authorization: Basic abc',
  'Proxy-Authenticate: Basic',
  'TE: gzip',
  'Upgrade: websocket',
]

wire('hop-by-hop fields of a request end here', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  await edge.ask(get('/', HOP.map((field) => `${field}\r\nX-Kept: 1\r\n`).join('')))
  const [request] = origin.requests
  assert.equal(request?.all('x-kept').length, HOP.length)
  for (const field of HOP) assert.equal(request.has(field.split(':')[0]!.toLowerCase()), false, field)
})

wire('hop-by-hop fields of an answer end here', async (lab) => {
  const fields = HOP.map((field) => `${field}\r\nX-Kept: 1\r\n`).join('')
  const origin = await lab.origin(answering(ok('ok', fields)))
  const edge = await lab.edge({ origins: [origin] })
  const answer = await edge.ask(get())
  assert.equal(answer.all('x-kept').length, HOP.length)
  for (const field of HOP) assert.equal(answer.has(field.split(':')[0]!.toLowerCase()), false, field)
})

wire('what Connection names is removed in both directions, in every spelling and wherever it stands', async (lab) => {
  const fields =
    'X-One: 1\r\nConnection: X-One,  x-TWO ,close-not\r\nX-Two: 2\r\nx-two: 22\r\nclose-not: 3\r\nX-Three: 3\r\nConnection: x-three\r\nX-Stays: 4\r\n'
  const origin = await lab.origin(answering(ok('ok', fields)))
  const edge = await lab.edge({ origins: [origin] })
  const answer = await edge.ask(get('/', fields))
  for (const message of [origin.requests[0]!, answer]) {
    for (const name of ['connection', 'x-one', 'x-two', 'close-not', 'x-three'])
      assert.equal(message.has(name), false, `${name} in\n${message.head}`)
    assert.equal(message.field('x-stays'), '4')
  }
})

for (const name of [
  'Host',
  'Content-Length',
  'transfer-encoding',
  'Expect',
  'Via',
  'Forwarded',
  'X-Forwarded-For',
  'X-Forwarded-Proto',
  'X-Forwarded-Host',
  'X-Forwarded-Anything',
  'X-Real-IP',
  'X-Request-Id',
])
  wire(`Connection naming ${name} is a 400 and ends the connection`, async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(get('/', `Connection: keep-alive, ${name}\r\n`))
    const answer = await client.answer()
    assert.equal(answer.status, 400)
    assert.match(answer.text, /EK_BAD_CONNECTION/)
    assert.equal(answer.field('connection'), 'close')
    assert.equal(await client.ending(), 'fin')
    assert.equal(origin.wires.length, 0)
    assert.deepEqual(edge.counted, { EK_BAD_CONNECTION: 1 })
  })

wire('Connection naming a field that a route matches on is a 400', async (lab) => {
  const [tenant, rest] = [await lab.origin(), await lab.origin()]
  const edge = await lab.edge({
    origins: [rest],
    pools: { tenant: [tenant] },
    routes: [
      { name: 'tenant', match: { headers: [{ name: 'x-tenant', value: 'a' }] }, pool: 'tenant' },
      { name: 'rest', match: {}, pool: 'web' },
    ],
  })
  // Else the route would be chosen by a field that the endpoint never sees.
  const answer = await edge.ask(get('/', 'X-Tenant: a\r\nConnection: x-tenant\r\n'))
  assert.equal(answer.status, 400)
  assert.match(answer.text, /EK_BAD_CONNECTION/)
  assert.equal((await edge.ask(get('/', 'X-Tenant: a\r\nConnection: x-other\r\n'))).status, 200)
  assert.equal((await edge.ask(get('/', 'Connection: x-tenant\r\n'))).status, 200, 'which is not there')
  assert.equal(tenant.requests.length, 1)
  assert.equal(rest.requests.length, 1)
})

wire('a route may match on a field that is hop-by-hop by itself', async (lab) => {
  const [sockets, rest] = [await lab.origin(), await lab.origin()]
  const edge = await lab.edge({
    origins: [rest],
    pools: { sockets: [sockets] },
    routes: [
      { name: 'sockets', match: { headers: [{ name: 'upgrade', value: 'websocket' }] }, pool: 'sockets' },
      { name: 'rest', match: {}, pool: 'web' },
    ],
  })
  assert.equal((await edge.ask(get('/', 'Connection: upgrade\r\nUpgrade: websocket\r\n'))).status, 200)
  assert.equal(sockets.requests.length, 1)
})

wire('TE: trailers is passed on as our own, everything else of TE is not', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  await edge.ask(get('/', 'Connection: TE\r\nTE: gzip;q=0.5, Trailers\r\n'))
  await edge.ask(get('/', 'Connection: TE\r\nTE: trailersx\r\n'))
  assert.equal(origin.requests[0]?.field('te'), 'trailers')
  assert.equal(origin.requests[0].field('connection'), 'te')
  assert.equal(origin.requests[1]?.has('te'), false)
  assert.equal(origin.requests[1].has('connection'), false)
})

wire('Connection names both when TE and Upgrade are passed on', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  await edge.ask(get('/', 'Connection: upgrade, TE\r\nTE: trailers\r\nUpgrade: websocket\r\n'))
  const [request] = origin.requests
  assert.deepEqual(request?.field('connection')?.split(/, */).sort(), ['te', 'upgrade'])
  assert.equal(request.field('te'), 'trailers')
  assert.equal(request.field('upgrade'), 'websocket')
})

wire("an answer's Connection: close ends the upstream connection, not the client's", async (lab) => {
  const origin = await lab.origin(answering(ok('ok', 'Connection: close\r\n')))
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  for (let i = 0; i < 2; i++) {
    client.write(get())
    assert.equal((await client.answer()).has('connection'), false)
  }
  assert.equal(origin.wires.length, 2)
  assert.equal(await origin.wires[0]!.ending(), 'fin')
})

wire("a client's Connection: close ends its connection, not the upstream one", async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  for (let i = 0; i < 2; i++) {
    const client = await edge.connect()
    client.write(get('/', 'Connection: close\r\n'))
    assert.equal((await client.answer()).field('connection'), 'close')
    assert.equal(await client.ending(), 'fin')
  }
  assert.equal(origin.wires.length, 1)
  assert.equal(origin.requests[1]?.has('connection'), false)
})

wire('an offer of h2c is not passed on: the requests inside would go past the routes', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  await edge.ask(get('/', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'))
  await edge.ask(get('/', 'Connection: Upgrade\r\nUpgrade: H2C, chat/2\r\nUpgrade: websocket\r\n'))
  assert.equal(origin.requests[0]?.has('upgrade'), false)
  assert.equal(origin.requests[0].has('connection'), false)
  assert.equal(origin.requests[0].has('http2-settings'), false)
  assert.equal(origin.requests[1]?.field('upgrade'), 'chat/2, websocket')
})
