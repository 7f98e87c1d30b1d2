/** Clients of HTTP/1.0. */
import assert from 'node:assert/strict'
import { answering, chunked, ok, sleep, wire } from './harness.ts'

const OLD = 'GET / HTTP/1.0\r\nHost: a\r\n\r\n'
const OLD_KEPT = 'GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n'

wire('without keep-alive the connection closes behind the answer', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(OLD)
  const answer = await client.answer()
  assert.equal(answer.field('connection'), 'close')
  assert.equal(answer.text, 'ok')
  assert.equal(await client.ending(), 'fin')
})

wire('with keep-alive it stays, and the answer says so', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  for (let i = 0; i < 3; i++) {
    client.write(OLD_KEPT)
    const answer = await client.answer()
    assert.equal(answer.field('connection'), 'keep-alive')
    assert.equal(answer.text, 'ok')
  }
  client.write(OLD)
  assert.equal((await client.answer()).field('connection'), 'close')
  assert.equal(await client.ending(), 'fin')
})

for (const [kind, answer, closes] of [
  [
    'chunked',
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['he', 'llo'], { trailers: 'X: 1\r\n' })}`,
    false,
  ],
  ['close-delimited', 'HTTP/1.1 200 OK\r\n\r\nhello', true],
] as const)
  wire(`a ${kind} answer ends with the connection, even when it was to be kept`, async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.request()
      upstream.write(answer)
      if (closes) upstream.end()
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(OLD_KEPT)
    const head = await client.answerHead()
    assert.equal(head.field('connection'), 'close')
    assert.equal(head.has('transfer-encoding'), false)
    assert.equal(await client.rest(), 'hello')
    assert.equal(client.ended, 'fin')
  })

wire('a chunked answer that breaks off ends with a reset, as nothing else could say it', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    upstream.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
    await sleep(50)
    upstream.end()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(OLD)
  await client.answerHead()
  await client.rest()
  assert.equal(client.ended, 'reset')
  assert.deepEqual(edge.counted, { EK_RESPONSE_CUT_SHORT: 1 })
})

wire('requests may be pipelined', async (lab) => {
  const origin = await lab.origin(answering((_request, index) => ok(`${index}`)))
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(OLD_KEPT + OLD_KEPT + OLD)
  for (let i = 0; i < 3; i++) assert.equal((await client.answer()).text, `${i}`)
  assert.equal(await client.ending(), 'fin')
})

wire('a body of known length passes', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  await edge.ask('POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody')
  assert.equal(origin.requests[0]?.text, 'body')
  assert.equal(origin.requests[0].startLine, 'POST / HTTP/1.1')
})

wire('Expect and Upgrade mean nothing there', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  const answer = await edge.ask(
    'POST / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody',
  )
  assert.equal(answer.status, 200)
  assert.equal(origin.requests[0]?.has('upgrade'), false)
  // An expectation would make the origin send a 100 that nobody takes.
  assert.equal(origin.requests[0].has('expect'), false)
})
