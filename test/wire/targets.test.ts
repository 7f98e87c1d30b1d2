/** The forms of a request target, and the Host that belongs to them. */
import assert from 'node:assert/strict'
import { get, wire } from './harness.ts'

wire('Host passes as it was sent', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  for (const host of ['example.com', 'ExAmPle.Com.:8080', '127.0.0.1:1', '[::1]:80', 'a_b']) {
    const answer = await edge.ask(`GET / HTTP/1.1\r\nX: 1\r\nhOsT: ${host}\r\n\r\n`)
    assert.equal(answer.status, 200, host)
    assert.ok(origin.requests.at(-1)?.head.includes(`\r\nhOsT: ${host}\r\n`))
  }
})

wire('the target passes byte by byte, whatever its normal form is', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  for (const target of [
    '/',
    '/a/b/./c/../d?x=%2e%2E&y=/../z',
    '/%41%2f%5c?',
    '/a;b=c,d',
    '/*',
    '/?',
    '//host/x',
    '/a//b',
  ]) {
    assert.equal((await edge.ask(get(target))).status, 200, target)
    assert.equal(origin.requests.at(-1)?.target, target)
  }
})

for (const [target, wanted, host] of [
  ['http://other.example/path?q', '/path?q', 'other.example'],
  ['http://other.example:8080/', '/', 'other.example:8080'],
  ['HTTP://Other.Example', '/', 'Other.Example'],
  ['http://other.example?q=1', '/?q=1', 'other.example'],
  ['https://other.example/s', '/s', 'other.example'],
  ['http://[::1]:99/x', '/x', '[::1]:99'],
] as const)
  wire(`the absolute target ${target} becomes ${wanted} with its authority as Host`, async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin] })
    await edge.ask(`GET ${target} HTTP/1.1\r\nHost: wrong.example\r\nX-A: 1\r\n\r\n`)
    const [request] = origin.requests
    assert.equal(request?.startLine, `GET ${wanted} HTTP/1.1`)
    assert.equal(request.field('host'), host)
    assert.equal(request.field('x-forwarded-host'), host)
    assert.equal(request.field('x-a'), '1')
  })

wire('routes see the authority of an absolute target, not the Host field', async (lab) => {
  const [named, other] = [await lab.origin(), await lab.origin()]
  const edge = await lab.edge({
    origins: [other],
    pools: { named: [named] },
    routes: [
      { name: 'named', match: { hosts: ['named.example'] }, pool: 'named' },
      { name: 'rest', match: {}, pool: 'web' },
    ],
  })
  await edge.ask('GET http://named.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n')
  await edge.ask('GET http://other.example/ HTTP/1.1\r\nHost: named.example\r\n\r\n')
  assert.equal(named.requests[0]?.field('host'), 'named.example')
  assert.equal(other.requests[0]?.field('host'), 'other.example')
})

wire('OPTIONS * passes as it is', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  await edge.ask(get('*', '', 'OPTIONS'))
  assert.equal(origin.requests[0]?.startLine, 'OPTIONS * HTTP/1.1')
  assert.equal(origin.requests[0].field('host'), 'test.example')
})

wire('OPTIONS for an absolute target without a path is OPTIONS *', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  await edge.ask('OPTIONS http://other.example HTTP/1.1\r\nHost: x\r\n\r\n')
  assert.equal(origin.requests[0]?.startLine, 'OPTIONS * HTTP/1.1')
  assert.equal(origin.requests[0].field('host'), 'other.example')
})

wire('a request without Host in HTTP/1.0 gets the name of the endpoint', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  await edge.ask('GET /old HTTP/1.0\r\n\r\n')
  const [request] = origin.requests
  assert.equal(request?.startLine, 'GET /old HTTP/1.1')
  assert.equal(request.field('host'), `127.0.0.1:${origin.port}`)
  assert.equal(request.has('x-forwarded-host'), false)
})
