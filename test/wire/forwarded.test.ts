/** What endpoints are told about where a request came from, and what of a client's own claims is believed. */
import assert from 'node:assert/strict'
import { get, type Lab, type Message, wire } from './harness.ts'

const CLAIMS = [
  'X-Forwarded-For: 1.2.3.4',
  'X-Forwarded-For: 5.6.7.8, 9.9.9.9',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Host: claimed.example',
  'X-Forwarded-Port: 443',
  'X-Real-IP: 1.2.3.4',
  'Forwarded: for=1.2.3.4;proto=https',
  'X-Request-Id: claimed-id',
]
const VARIANTS = CLAIMS.map((claim) => claim.replace(/^[^:]+/, (name) => name.replaceAll('-', '_')))

async function seen(
  lab: Lab,
  request: string,
  options: Parameters<Lab['edge']>[0] = {},
): Promise<{ request: Message; answer: Message }> {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin], ...options })
  const answer = await edge.ask(request)
  return { request: origin.requests[0]!, answer }
}

wire('an endpoint is told address, scheme and host of the client, who was in between, and an id', async (lab) => {
  const { request } = await seen(lab, get())
  assert.equal(request.field('x-forwarded-for'), '127.0.0.1')
  assert.equal(request.field('x-forwarded-proto'), 'http')
  assert.equal(request.field('x-forwarded-host'), 'test.example')
  assert.equal(request.field('via'), '1.1 evenkeel')
  assert.match(request.field('x-request-id') ?? '', /^[0-9a-z]{12,40}$/)
  assert.equal(request.has('forwarded'), false)
})

wire("a stranger's claims are dropped, in every spelling", async (lab) => {
  const claims = [...CLAIMS, ...VARIANTS, ...CLAIMS.map((claim) => claim.toUpperCase())]
  const { request } = await seen(lab, get('/', claims.map((claim) => `${claim}\r\n`).join('')))
  assert.equal(request.field('x-forwarded-for'), '127.0.0.1')
  assert.equal(request.field('x-forwarded-proto'), 'http')
  assert.equal(request.field('x-forwarded-host'), 'test.example')
  assert.notEqual(request.field('x-request-id'), 'claimed-id')
  for (const gone of ['x-forwarded-port', 'x-real-ip', 'forwarded'])
    assert.equal(request.has(gone), false, `${gone} in\n${request.head}`)
  for (const [name] of request.fields) assert.ok(!name.includes('_'), `${name} in\n${request.head}`)
})

wire('a field of nobody with an underscore passes', async (lab) => {
  const { request } = await seen(lab, get('/', 'my_field: 1\r\n'))
  assert.equal(request.field('my_field'), '1')
})

wire("a trusted peer's claims are kept and extended", async (lab) => {
  const claims = CLAIMS.map((claim) => `${claim}\r\n`).join('')
  const { request } = await seen(lab, get('/', claims), { trustedProxies: ['127.0.0.0/8'] })
  assert.equal(request.field('x-forwarded-for'), '1.2.3.4, 5.6.7.8, 9.9.9.9, 127.0.0.1')
  assert.equal(request.field('x-forwarded-proto'), 'https')
  assert.equal(request.field('x-forwarded-host'), 'claimed.example')
  assert.equal(request.field('x-forwarded-port'), '443')
  assert.equal(request.field('x-real-ip'), '1.2.3.4')
  assert.equal(request.field('forwarded'), 'for=1.2.3.4;proto=https')
  assert.equal(request.field('x-request-id'), 'claimed-id')
})

wire('a trusted peer that claims nothing counts as the client', async (lab) => {
  const { request } = await seen(lab, get(), { trustedProxies: ['127.0.0.1'] })
  assert.equal(request.field('x-forwarded-for'), '127.0.0.1')
  assert.equal(request.field('x-forwarded-proto'), 'http')
  assert.equal(request.field('x-forwarded-host'), 'test.example')
  assert.match(request.field('x-request-id') ?? '', /^[0-9a-z]{12,40}$/)
})

wire("not even a trusted peer's underscores pass as ours", async (lab) => {
  const variants = VARIANTS.map((claim) => `${claim}\r\n`).join('')
  const { request } = await seen(lab, get('/', variants), { trustedProxies: ['127.0.0.1'] })
  for (const [name] of request.fields) assert.ok(!name.includes('_'), `${name} in\n${request.head}`)
  assert.equal(request.field('x-forwarded-for'), '127.0.0.1')
})

for (const id of ['', 'a b', 'a"b', 'x'.repeat(129), 'a,b', 'caf\xe9'])
  wire(`a trusted peer's request id ${JSON.stringify(id.slice(0, 20))} is replaced`, async (lab) => {
    const { request } = await seen(lab, get('/', `X-Request-Id: ${id}\r\n`), { trustedProxies: ['127.0.0.1'] })
    assert.match(request.field('x-request-id') ?? '', /^[0-9a-z]{12,40}$/)
  })

wire(
  'where fields of our own are switched off, a trusted peer keeps its own and a stranger loses them',
  async (lab) => {
    const forwarded = { xForwarded: false, standard: false, via: false }
    const text = CLAIMS.map((claim) => `${claim}\r\n`).join('')
    const trusted = await seen(lab, get('/', text), { forwarded, trustedProxies: ['127.0.0.1'] })
    assert.equal(trusted.request.all('x-forwarded-for').join(', '), '1.2.3.4, 5.6.7.8, 9.9.9.9')
    assert.equal(trusted.request.field('x-forwarded-host'), 'claimed.example')
    const stranger = await seen(lab, get('/', text), { forwarded })
    assert.deepEqual(stranger.request.names, ['host', 'x-request-id'])
  },
)

wire('Forwarded is written where it is asked for', async (lab) => {
  const forwarded = { standard: true }
  const { request } = await seen(lab, get(), { forwarded })
  assert.equal(request.field('forwarded'), 'for=127.0.0.1;proto=http;host="test.example"')
  const trusted = await seen(lab, get('/', 'Forwarded: for=1.2.3.4\r\n'), { forwarded, trustedProxies: ['127.0.0.1'] })
  assert.equal(trusted.request.all('forwarded').join(', '), 'for=1.2.3.4, for=127.0.0.1;proto=http;host="test.example"')
})

wire('Via grows by us, with the version that the client spoke', async (lab) => {
  const first = await seen(lab, get('/', 'Via: 1.1 other, 1.0 more (evenkeel-like)\r\n'))
  assert.equal(first.request.all('via').join(', '), '1.1 other, 1.0 more (evenkeel-like), 1.1 evenkeel')
  const second = await seen(lab, 'GET / HTTP/1.0\r\nHost: a\r\n\r\n')
  assert.equal(second.request.field('via'), '1.0 evenkeel')
})

for (const via of ['1.1 evenkeel', '1.1 a, 1.1 evenkeel (comment), 1.0 b', 'HTTP/1.1   evenkeel,1.1 b'])
  wire(`a request with Via: ${via} has been here: 508`, async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(get('/', `Via: 1.1 z\r\nvia: ${via}\r\n`))
    const answer = await client.answer()
    assert.equal(answer.status, 508)
    assert.match(answer.text, /EK_LOOP/)
    assert.equal(origin.wires.length, 0)
    assert.deepEqual(edge.counted, { EK_LOOP: 1 })
    assert.equal(await client.ending(), 'fin')
  })

wire('a chain of ourselves ends with a 508 instead of going round', async (lab) => {
  const address = { kind: 'unix' as const, path: lab.path('loop.sock') }
  const edge = await lab.edge({ address, origins: [address], pool: { timeouts: { keepAliveMs: 50 } } })
  const answer = await edge.ask(get())
  assert.equal(answer.status, 508)
  assert.deepEqual(edge.counted, { EK_LOOP: 1 })
})

wire('every request has an id of its own, which its error answer tells', async (lab) => {
  const edge = await lab.edge({ routes: [] })
  const ids = new Set<string>()
  const client = await edge.connect()
  for (let i = 0; i < 20; i++) {
    client.write(get())
    const match = /^request id: ([0-9a-z]+)\n$/m.exec((await client.answer()).text)
    assert.ok(match)
    ids.add(match[1]!)
  }
  assert.equal(ids.size, 20)
})

wire('a trusted peer finds its own id in an error answer', async (lab) => {
  const edge = await lab.edge({ routes: [], trustedProxies: ['127.0.0.1'] })
  assert.match((await edge.ask(get('/', 'X-Request-Id: mine-1\r\n'))).text, /request id: mine-1\n/)
})

wire('trust follows a reload for connections that come after it', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  await edge.ask(get('/', 'X-Forwarded-For: 1.2.3.4\r\n'))
  const [listener] = edge.plan.listeners
  await edge.apply({ ...edge.plan, version: 2, listeners: [{ ...listener!, trustedProxies: ['127.0.0.1'] }] })
  await edge.ask(get('/', 'X-Forwarded-For: 1.2.3.4\r\n'))
  assert.equal(origin.requests[0]?.field('x-forwarded-for'), '127.0.0.1')
  assert.equal(origin.requests[1]?.field('x-forwarded-for'), '1.2.3.4, 127.0.0.1')
})
