/** An answer that its server did not finish reaches the client as unfinished, never as complete. */
import assert from 'node:assert/strict'
import { get, ok, sleep, WireEnded, wire } from './harness.ts'

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'

for (const how of ['end', 'reset'] as const)
  for (const [framing, start] of [
    ['known length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'],
    ['known length, before the body', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n'],
    ['chunks', `${CHUNKED}5\r\nhello\r\n`],
    ['chunks, before the first', CHUNKED],
    ['chunks, in the middle of one', `${CHUNKED}a\r\nhello`],
    ['chunks, before the last empty line', `${CHUNKED}5\r\nhello\r\n0\r\n`],
    ['chunks, in the trailers', `${CHUNKED}5\r\nhello\r\n0\r\nX-A: 1\r\n`],
  ] as const)
    wire(`a body of ${framing} that breaks off by ${how}`, async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        await upstream.request()
        upstream.write(start)
        await sleep(20)
        upstream[how]()
      })
      const edge = await lab.edge({ origins: [origin] })
      const client = await edge.connect()
      client.write(get())
      const head = await client.answerHead()
      assert.equal(head.status, 200)
      await assert.rejects(client.body(head), WireEnded)
      client.close()
      await edge.quiet()
      assert.equal(edge.table.snapshot(0).failures, 1)
      assert.deepEqual(edge.counted, { EK_RESPONSE_CUT_SHORT: 1 })
    })

wire('what came of a body is passed on before it breaks off', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    upstream.write(`${CHUNKED}5\r\nhello\r\n6\r\n world\r\n`)
    upstream.end()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get())
  await client.answerHead()
  const rest = await client.rest()
  assert.ok(rest.includes('hello') && rest.includes(' world'), rest)
  assert.ok(!rest.endsWith('0\r\n\r\n'))
  assert.equal(client.ended, 'fin')
})

wire('a body until the close that ends by a reset', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    upstream.write('HTTP/1.1 200 OK\r\n\r\nhello')
    await sleep(20)
    upstream.reset()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get())
  const head = await client.answerHead()
  await assert.rejects(client.body(head), WireEnded)
  assert.deepEqual(edge.counted, { EK_RESPONSE_CUT_SHORT: 1 })
  const old = await edge.connect()
  old.write('GET / HTTP/1.0\r\nHost: a\r\n\r\n')
  await old.answerHead()
  await old.rest()
  assert.equal(old.ended, 'reset', 'to HTTP/1.0 nothing else could say it')
})

wire('an answer cut short in the middle of pipelined requests ends the connection', async (lab) => {
  const origin = await lab.origin(async (upstream, index) => {
    await upstream.request()
    upstream.write(index === 0 ? 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello' : ok('never'))
    await sleep(20)
    upstream.end()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get('/1') + get('/2'))
  await client.answerHead()
  const rest = await client.rest()
  assert.ok(!rest.includes('never'))
  assert.equal(edge.counter('EXCHANGES'), 1)
})

wire('a large answer that breaks off does not arrive whole', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    upstream.write(`HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n${'x'.repeat(1_500_000)}`)
    upstream.end()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get())
  await client.answerHead()
  assert.ok((await client.rest()).length <= 1_500_000)
  assert.deepEqual(edge.counted, { EK_RESPONSE_CUT_SHORT: 1 })
})
