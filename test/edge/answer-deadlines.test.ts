/** How long an answer may take to begin and to be taken, where 100-continue, hints and HTTP/1.0 make that less than plain. */
import assert from 'node:assert/strict'
import { get, ok, sleep, waiting, wire } from '../wire/harness.ts'

const EXPECTING = 'PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n'
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n'

waiting('answer deadlines', () => {
  wire('hints do not stretch the time of the final answer', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.request()
      while (upstream.ended === 'open') {
        upstream.write('HTTP/1.1 103 Early Hints\r\n\r\n')
        await sleep(60)
      }
    })
    const edge = await lab.edge({
      origins: [origin],
      pool: { timeouts: { firstByteMs: 400 }, retries: { max: 0 } },
    })
    const client = await edge.connect()
    const began = performance.now()
    client.write(get())
    let answer = await client.answer()
    let hints = 0
    for (; answer.status === 103; answer = await client.answer()) hints++
    assert.equal(answer.status, 504)
    assert.match(answer.text, /EK_FIRST_BYTE_TIMEOUT/)
    assert.ok(hints >= 2, `${hints} hints`)
    const tookMs = performance.now() - began
    assert.ok(tookMs >= 350 && tookMs < 1500, `${tookMs} ms`)
  })

  wire('a client that waits for its 100 owes no body until that has come', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      const request = await upstream.requestHead()
      await sleep(400)
      upstream.write(CONTINUE)
      await upstream.body(request)
      upstream.write(ok(request.text))
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin], timeouts: { bodyIdleMs: 150 } })
    const client = await edge.connect()
    client.write(EXPECTING)
    assert.equal((await client.answer()).status, 100)
    client.write('body')
    assert.equal((await client.answer()).text, 'body')
    assert.deepEqual(edge.counted, {})
  })

  wire('from its 100 on it owes one', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.requestHead()
      upstream.write(CONTINUE)
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin], timeouts: { bodyIdleMs: 150 } })
    const client = await edge.connect()
    client.write(EXPECTING)
    assert.equal((await client.answer()).status, 100)
    const answer = await client.answer()
    assert.equal(answer.status, 408)
    assert.deepEqual(edge.counted, { EK_BODY_TIMEOUT: 1 })
  })

  wire('a body that was begun without waiting for the 100 is not waited for without end', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.requestHead()
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin], timeouts: { bodyIdleMs: 150 } })
    const client = await edge.connect()
    client.write(`${EXPECTING}bo`)
    assert.equal((await client.answer()).status, 408)
  })

  wire('an endpoint that owes the 100 has the time of an answer for it', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.requestHead()
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin], pool: { timeouts: { firstByteMs: 200 }, retries: { max: 0 } } })
    const client = await edge.connect()
    client.write(EXPECTING)
    const answer = await client.answer()
    assert.equal(answer.status, 504)
    assert.deepEqual(edge.counted, { EK_FIRST_BYTE_TIMEOUT: 1 })
  })

  wire('behind the 100 it has that time again, from the end of the body on', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      const request = await upstream.requestHead()
      upstream.write(CONTINUE)
      await upstream.body(request)
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin], pool: { timeouts: { firstByteMs: 300 }, retries: { max: 0 } } })
    const client = await edge.connect()
    client.write(EXPECTING)
    assert.equal((await client.answer()).status, 100)
    // The client's turn: the endpoint's time stands still.
    await sleep(600)
    assert.deepEqual(edge.counted, {})
    const began = performance.now()
    client.write('body')
    assert.equal((await client.answer()).status, 504)
    const tookMs = performance.now() - began
    assert.ok(tookMs >= 250 && tookMs < 1500, `${tookMs} ms`)
  })

  wire('an answer that only the close ends, to a client that stops reading, ends with a reset', async (lab) => {
    const size = 100 * 1024 * 1024
    const origin = await lab.origin(async (upstream) => {
      await upstream.request()
      upstream.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n')
      await upstream.pour(Buffer.alloc(65_536), size)
    })
    const edge = await lab.edge({ origins: [origin], timeouts: { sendIdleMs: 200 } })
    const client = await edge.connect()
    client.write('GET / HTTP/1.0\r\nHost: a\r\n\r\n')
    const head = await client.answerHead()
    assert.equal(head.field('connection'), 'close')
    client.stopReading()
    await edge.quiet()
    assert.deepEqual(edge.counted, { EK_SEND_TIMEOUT: 1 })
    client.discard()
    client.startReading()
    assert.equal(await client.ending(), 'reset')
    assert.ok(client.receivedBytes < size)
  })
})
