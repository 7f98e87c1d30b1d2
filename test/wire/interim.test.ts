/** Interim answers (1xx), and Expect: 100-continue. */
import assert from 'node:assert/strict'
import { answering, get, ok, wire } from './harness.ts'

const EARLY_HINTS = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n'
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'

wire('an interim answer in one piece with the final one is passed on before it', async (lab) => {
  const origin = await lab.origin(answering(EARLY_HINTS + ok()))
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  for (let i = 0; i < 2; i++) {
    client.write(get())
    assert.equal((await client.answer()).status, 103)
    assert.equal((await client.answer()).status, 200)
  }
  assert.equal(origin.wires.length, 1)
})

wire('interim answers split at every byte', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    await upstream.writeSlowly([...(EARLY_HINTS + CONTINUE + ok())], 0)
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get())
  for (const status of [103, 100, 200]) assert.equal((await client.answer()).status, status)
})

wire('HTTP/1.0 gets no interim answers', async (lab) => {
  const origin = await lab.origin(answering(EARLY_HINTS + CONTINUE + ok()))
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write('GET / HTTP/1.0\r\nHost: a\r\n\r\n')
  assert.equal((await client.answer()).status, 200)
})

wire('hop-by-hop fields and lengths of an interim answer end here', async (lab) => {
  const origin = await lab.origin(
    answering(
      `HTTP/1.1 103 E\r\nConnection: close, x-a\r\nX-A: 1\r\nKeep-Alive: 1\r\nContent-Length: 0\r\nX-B: 2\r\n\r\n${ok()}`,
    ),
  )
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get())
  assert.deepEqual((await client.answer()).names, ['x-b'])
  assert.equal((await client.answer()).status, 200)
})

wire('an origin that asks for the body gets it', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    for (;;) {
      const request = await upstream.requestHead()
      assert.equal(request.field('expect'), '100-continue')
      await upstream.silence(20)
      upstream.write(CONTINUE)
      await upstream.body(request)
      upstream.write(ok(request.text))
    }
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  for (let i = 0; i < 2; i++) {
    client.write('PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n')
    assert.equal((await client.answer()).status, 100)
    client.write('body')
    const answer = await client.answer()
    assert.equal(answer.text, 'body')
    assert.equal(answer.has('connection'), false)
  }
  assert.equal(origin.wires.length, 1)
})

wire('a final answer instead of a 100 ends both connections', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.requestHead()
    upstream.write(ok('no', 'X-A: 1\r\n'))
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write('PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 40\r\n\r\n')
  const answer = await client.answer()
  assert.equal(answer.text, 'no')
  // Whether the body comes after all is unknown: what comes next could not be told apart.
  assert.equal(answer.field('connection'), 'close')
  assert.equal(await client.ending(), 'fin')
  assert.notEqual(await origin.wires[0]!.ending(), 'open')
})

wire('a client that does not wait for its 100 gets it all the same', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    const request = await upstream.requestHead()
    upstream.write(CONTINUE)
    await upstream.body(request)
    upstream.write(ok(request.text))
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write('PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody')
  assert.equal((await client.answer()).status, 100)
  assert.equal((await client.answer()).text, 'body')
})

wire('an error of ours for a request that expects a 100 closes the connection', async (lab) => {
  const edge = await lab.edge({ routes: [] })
  const client = await edge.connect()
  client.write('PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n')
  const answer = await client.answer()
  assert.equal(answer.status, 404)
  assert.equal(answer.field('connection'), 'close')
  assert.equal(await client.ending(), 'fin')
})

wire('another expectation is a 417', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  const answer = await edge.ask(get('/', 'Expect: the-worst\r\n'))
  assert.equal(answer.status, 417)
  assert.deepEqual(edge.counted, { EK_BAD_EXPECT: 1 })
})

wire('interim answers are passed on as they come, each by itself', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    const request = await upstream.requestHead()
    upstream.write('HTTP/1.1 102 Processing\r\n\r\n')
    // The client has seen the one before it sends what lets the next one come.
    await upstream.body(request)
    upstream.write(EARLY_HINTS + EARLY_HINTS)
    await upstream.writeSlowly(['HTTP/1.1 200 OK\r\nContent-Length', ': 2\r\n\r\nok'])
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n')
  assert.equal((await client.answer()).status, 102)
  client.write('go on\n')
  for (let i = 0; i < 2; i++) {
    const hints = await client.answer()
    assert.equal(hints.startLine, 'HTTP/1.1 103 Early Hints')
    assert.equal(hints.field('link'), '</a.css>; rel=preload')
    assert.equal(hints.has('connection'), false)
  }
  assert.equal((await client.answer()).text, 'ok')
  assert.equal(edge.counter('RESPONSES_1XX'), 3)
  assert.equal(edge.counter('RESPONSES_2XX'), 1)
})
