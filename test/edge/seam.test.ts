/** The request path with neither sockets nor HTTP/1.1 text on either side: another protocol needs no change of it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryEdge, type MemoryEdgeOptions } from './in-memory.ts'

/** A test that ends with nothing open. */
function seam(name: string, body: (edge: MemoryEdge) => Promise<void> | void, options: MemoryEdgeOptions = {}): void {
  void test(name, async () => {
    const edge = new MemoryEdge(options)
    try {
      await body(edge)
      await new Promise((resolve) => setImmediate(resolve))
      edge.nothingIsOpen()
    } finally {
      await edge.close()
    }
  })
}

seam('a request arrives with its fields and ours, and its answer comes back with body and trailers', (edge) => {
  const stream = edge.stream().request({
    path: '/a?b',
    fields: [
      ['x-one', '1'],
      ['connection', 'keep-alive'],
      ['x-forwarded-for', 'a lie'],
    ],
  })
  const [upstream] = edge.upstreams
  upstream!.connect()
  const [line, ...fields] = upstream!.heads[0]!.split('\r\n')
  assert.equal(line, 'GET /a?b HTTP/1.1')
  assert.deepEqual(
    fields.filter((field) => !field.startsWith('x-request-id')),
    [
      'host: test.example',
      'x-one: 1',
      'x-forwarded-for: 192.0.2.1',
      'x-forwarded-proto: https',
      'via: 1.1 me',
      'x-forwarded-host: test.example',
      '',
    ],
  )
  assert.equal(upstream!.trailers, '', 'the request is complete')
  upstream!.respond({ fields: [['x-two', '2']], body: 'chunked' }, 'hel')
  upstream!.answerData('lo')
  upstream!.answerEnd([['x-sum', '3']])
  assert.deepEqual(stream.events, ['respond 200 x-two=2', 'end x-sum=3'])
  assert.equal(stream.body, 'hello')
  assert.equal(edge.counter('EXCHANGES'), 1)
  assert.equal(edge.counter('RESPONSES_2XX'), 1)
  assert.deepEqual(edge.context.table.snapshot(0).statuses, [0, 1, 0, 0, 0])
})

seam('an answer in one piece', (edge) => {
  const stream = edge.stream().request({})
  const upstream = edge.upstreams[0]!.connect()
  upstream.respond({ body: 2 }, 'ok', true)
  upstream.answerEnd()
  assert.deepEqual(stream.events, ['respond 200', 'last', 'end'])
  assert.equal(stream.body, 'ok')
})

seam('both bodies flow at once, and trailers in both directions', (edge) => {
  const stream = edge.stream().request({ method: 'POST', body: 'chunked' })
  const upstream = edge.upstreams[0]!.connect()
  for (const piece of ['one ', 'two ', 'three']) {
    stream.send(piece)
    if (piece === 'one ') upstream.respond({ body: 'chunked' })
    upstream.answerData(upstream.body.slice(-piece.length).toUpperCase())
  }
  stream.endRequest('x-a: 1\r\n')
  assert.equal(upstream.body, 'one two three')
  assert.equal(upstream.trailers, 'x-a: 1\r\n')
  upstream.answerEnd([['x-b', '2']])
  assert.equal(stream.body, 'ONE TWO THREE')
  assert.deepEqual(stream.events, ['respond 200', 'end x-b=2'])
})

seam('a body that is there before the connection waits for it', (edge) => {
  const stream = edge.stream().request({ method: 'POST', body: 5 }, ['he', 'llo'])
  const [upstream] = edge.upstreams
  assert.equal(upstream!.body, '')
  upstream!.connect()
  assert.equal(upstream!.body, 'hello')
  assert.equal(upstream!.trailers, '')
  upstream!.respond({ status: 204 }, '', true)
  upstream!.answerEnd()
  assert.deepEqual(stream.events, ['respond 204', 'last', 'end'])
})

seam('whoever is slower holds the other side back, in both directions', (edge) => {
  const stream = edge.stream().request({ method: 'POST', body: 'chunked' })
  const upstream = edge.upstreams[0]!.connect()
  upstream.hasRoom = false
  stream.send('a')
  stream.send('b')
  assert.deepEqual(stream.events, ['pause'], 'once')
  upstream.hasRoom = true
  upstream.attempt!.exchange.requestDrained()
  assert.deepEqual(stream.events, ['pause', 'resume'])
  stream.send('c')
  stream.endRequest()
  assert.equal(upstream.body, 'abc')
  stream.hasRoom = false
  assert.equal(upstream.respond({ body: 'chunked' }), false)
  upstream.pause()
  stream.drained()
  assert.equal(upstream.isPaused, false)
  assert.equal(upstream.answerData('x'), true)
  upstream.answerEnd()
  assert.equal(stream.body, 'x')
})

seam('a body with nowhere to go is held up to a bound, then the client waits', (edge) => {
  const stream = edge.stream().request({ method: 'POST', body: 'chunked' })
  stream.send('x'.repeat(60_000))
  assert.deepEqual(stream.events, [])
  stream.send('x'.repeat(10_000))
  assert.deepEqual(stream.events, ['pause'])
  const upstream = edge.upstreams[0]!.connect()
  assert.deepEqual(stream.events, ['pause', 'resume'])
  assert.equal(upstream.body.length, 70_000)
  upstream.respond({ status: 204 }, '', true)
  upstream.answerEnd()
})

seam('a failed attempt is repeated at another endpoint with all there was', (edge) => {
  const stream = edge.stream().request({ method: 'POST', path: '/x', body: 5 }, ['he', 'llo'])
  edge.upstreams[0]!.fail('EK_CONNECT_FAILED')
  assert.equal(edge.upstreams.length, 2)
  const second = edge.upstreams[1]!.connect()
  assert.notEqual(second.endpoint, edge.upstreams[0]!.endpoint)
  assert.equal(second.body, 'hello')
  assert.ok(second.heads[0]!.startsWith('POST /x HTTP/1.1\r\n'))
  second.respond({ body: 2 }, 'ok', true)
  second.answerEnd()
  assert.deepEqual(stream.events, ['respond 200', 'last', 'end'])
  assert.equal(edge.counter('RETRIES'), 1)
  assert.equal(edge.context.table.snapshot(0).failures, 1)
  assert.equal(edge.context.table.snapshot(0).connectFailures, 1)
})

seam(
  'the head is kept for as many attempts as are made',
  (edge) => {
    const stream = edge.stream().request({ fields: [['x-a', '1']] })
    edge.upstreams[0]!.connect().fail('EK_UPSTREAM_CLOSED')
    edge.upstreams[1]!.connect().fail('EK_FIRST_BYTE_TIMEOUT')
    const third = edge.upstreams[2]!.connect()
    assert.equal(third.heads[0], edge.upstreams[0]!.heads[0])
    third.respond({ body: 0 }, '', true)
    third.answerEnd()
    assert.deepEqual(stream.events, ['respond 200', 'last', 'end'])
    assert.equal(new Set(edge.upstreams.map(({ endpoint }) => endpoint.plan.id)).size, 3)
  },
  { endpoints: 3 },
)

seam('what cannot be repeated becomes an answer of ours', (edge) => {
  const stream = edge.stream().request({ method: 'POST', body: 1 }, ['x'])
  edge.upstreams[0]!.connect().fail('EK_UPSTREAM_CLOSED')
  assert.deepEqual(stream.events, ['answer 502 EK_UPSTREAM_CLOSED'])
  assert.equal(edge.upstreams.length, 1)
  assert.equal(edge.errors('EK_UPSTREAM_CLOSED'), 1)
})

seam('so it does when the request is not complete, and then the stream has to close', (edge) => {
  const stream = edge.stream().request({ method: 'POST', body: 'chunked' })
  edge.upstreams[0]!.connect().fail('EK_BAD_RESPONSE')
  assert.deepEqual(stream.events, ['answer 502 EK_BAD_RESPONSE and close'])
})

seam(
  'a kept connection that died is replaced by a new one to the same endpoint',
  (edge) => {
    edge.stream().request({})
    const first = edge.upstreams[0]!.connect()
    first.respond({ body: 0 }, '', true)
    first.answerEnd()
    const stream = edge.stream().request({})
    assert.equal(first.heads.length, 2, 'the connection is used again')
    first.fail('EK_REUSED_CLOSED')
    const second = edge.upstreams[1]!.connect()
    assert.equal(second.endpoint, first.endpoint)
    second.respond({ body: 0 }, '', true)
    second.answerEnd()
    assert.deepEqual(stream.events, ['respond 200', 'last', 'end'])
    assert.equal(edge.counter('REPLAYS'), 1)
    assert.equal(edge.counter('RETRIES'), 1, 'a replay is a retry: the totals say what the rows of the endpoints say')
    assert.equal(edge.context.table.snapshot(0).retries, 1)
  },
  { endpoints: 1 },
)

seam('an error within the answer cuts it short', (edge) => {
  const stream = edge.stream().request({})
  const upstream = edge.upstreams[0]!.connect()
  upstream.respond({ body: 10 }, 'half')
  upstream.fail('EK_RESPONSE_CUT_SHORT')
  assert.deepEqual(stream.events, ['respond 200', 'cut'])
  assert.equal(edge.upstreams.length, 1)
  assert.equal(edge.errors('EK_RESPONSE_CUT_SHORT'), 1)
})

for (const when of ['connecting', 'waiting', 'answering'] as const)
  seam(`a client that leaves while its attempt is ${when} ends it`, (edge) => {
    const stream = edge.stream().request({ method: 'POST', body: 'chunked' })
    const [upstream] = edge.upstreams
    if (when !== 'connecting') upstream!.connect()
    if (when === 'answering') upstream!.respond({ body: 10 }, 'half')
    stream.leave()
    assert.equal(upstream!.isCancelled, true)
    assert.equal(edge.errors('EK_CLIENT_CLOSED'), 1)
    assert.equal(edge.counter('CLIENT_ABORTS'), 1)
    assert.equal(edge.context.table.snapshot(0).failures, 0)
  })

seam('refusals come before any endpoint is looked for', (edge) => {
  for (const [parts, answer] of [
    [{ method: 'CONNECT' }, 'answer 405 EK_CONNECT_METHOD and close'],
    [{ path: '/../x' }, 'answer 400 EK_BAD_PATH and close'],
    [{ path: '/a\\b' }, 'answer 400 EK_BAD_PATH and close'],
    [{ method: 'POST', body: 100_001 }, 'answer 413 EK_BODY_TOO_LARGE and close'],
    [{ fields: [['via', '1.1 me']] }, 'answer 508 EK_LOOP and close'],
    [{ method: 'OPTIONS', path: '*' }, 'answer 404 EK_NO_ROUTE'],
  ] as const)
    assert.deepEqual(edge.stream().request(parts).events, [answer])
  assert.equal(edge.upstreams.length, 0)
})

seam(
  'no endpoint is a 503',
  (edge) => {
    assert.deepEqual(edge.stream().request({}).events, ['answer 503 EK_NO_ENDPOINT'])
  },
  { endpoints: 0 },
)

seam('interim answers pass', (edge) => {
  const stream = edge.stream().request({})
  const upstream = edge.upstreams[0]!.connect()
  upstream.interim(103)
  upstream.interim(103)
  upstream.respond({ body: 0 }, '', true)
  upstream.answerEnd()
  assert.deepEqual(stream.events, ['interim 103', 'interim 103', 'respond 200', 'last', 'end'])
  assert.equal(edge.counter('RESPONSES_1XX'), 2)
})

seam('a tunnel is two flows until the endpoint ends', (edge) => {
  const stream = edge.stream().request({
    fields: [
      ['connection', 'upgrade'],
      ['upgrade', 'chat'],
    ],
  })
  const upstream = edge.upstreams[0]!.connect()
  upstream.switchTo('chat')
  assert.equal(edge.counter('TUNNELS_OPEN'), 1)
  stream.send('up')
  upstream.answerData('down')
  assert.equal(upstream.body, 'up')
  assert.equal(stream.body, 'down')
  stream.endRequest()
  assert.equal(upstream.trailers, '')
  const { attempt } = upstream
  upstream.attempt = null
  upstream.close()
  attempt!.end(null)
  assert.deepEqual(stream.events, ['switch 101 chat', 'end'])
  assert.equal(edge.counter('TUNNELS_OPEN'), 0)
})

seam('an early answer ends the exchange before the request has ended', (edge) => {
  const stream = edge.stream().request({ method: 'POST', body: 'chunked' })
  const exchange = stream.exchange!
  const upstream = edge.upstreams[0]!.connect()
  upstream.respond({ body: 2 }, 'no', true)
  upstream.close()
  const { attempt } = upstream
  attempt!.end(null)
  assert.deepEqual(stream.events, ['respond 200', 'last', 'end'])
  // What a codec still hands in for a stream that is over goes nowhere.
  exchange.relayRequestBody(Buffer.from('late'))
  exchange.requestEnd('')
  assert.equal(upstream.body, '')
})

seam('a hundred exchanges run at once on one connection of the client, and end in any order', (edge) => {
  const streams = Array.from({ length: 100 }, (_, index) =>
    edge.stream().request({ method: 'PUT', path: `/${index}`, body: 'chunked' }),
  )
  assert.equal(edge.counter('EXCHANGES_OPEN'), 100)
  for (const [index, upstream] of edge.upstreams.entries()) {
    upstream.connect()
    streams[index]!.send(`${index}`)
  }
  for (const [index, upstream] of [...edge.upstreams.entries()].reverse()) {
    streams[index]!.endRequest()
    assert.equal(upstream.body, `${index}`)
    upstream.respond({ body: 'chunked' }, upstream.heads[0]!.split(' ')[1])
    upstream.answerEnd()
  }
  for (const [index, stream] of streams.entries()) assert.equal(stream.body, `/${index}`)
  // The endpoints' connections go on, and so do the exchanges' objects.
  for (let i = 0; i < 10; i++) edge.stream().request({ path: `/again/${i}` })
  const again = edge.upstreams.filter(({ heads }) => heads.length === 2)
  assert.equal(again.length, 10)
  for (const upstream of again) {
    upstream.respond({ body: 0 }, '', true)
    upstream.answerEnd()
  }
})

seam(
  'the whole exchange has its time',
  async (edge) => {
    const stream = edge.stream().request({})
    edge.upstreams[0]!.connect()
    const began = performance.now()
    while (stream.events.length === 0 && performance.now() - began < 5000)
      await new Promise((resolve) => setTimeout(resolve, 5))
    assert.deepEqual(stream.events, ['answer 504 EK_EXCHANGE_TIMEOUT'])
    assert.equal(edge.upstreams[0]!.isCancelled, true)
  },
  { timeouts: { exchangeMs: 50 } },
)
