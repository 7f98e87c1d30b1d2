/** Which attempts are repeated, where, and what becomes of those that are not. */
import assert from 'node:assert/strict'
import { Fitness } from '../../src/memory/endpoint-table.ts'
import {
  answering,
  chunked,
  type EdgeOptions,
  eventually,
  get,
  type Lab,
  type Origin,
  ok,
  post,
  sleep,
  waiting,
  wire,
} from './harness.ts'

const BODY = 'x'.repeat(5000)

/** Answers one request, then kills the connection with the next one on it, before a byte of the answer. */
function dyingWhenReused(lab: Lab): Promise<Origin> {
  return lab.origin(async (upstream, index) => {
    await upstream.request()
    upstream.write(ok(`${index}`))
    await upstream.requestHead()
    upstream.close()
  })
}

/** An endpoint that closes a fresh connection with a request on it, and another one that answers. */
async function withUnreliable(
  lab: Lab,
  fail: 'close' | 'reset' | 'part of a head',
  options: EdgeOptions = {},
): Promise<{ edge: Awaited<ReturnType<Lab['edge']>>; unreliable: Origin; reliable: Origin }> {
  const unreliable = await lab.origin(async (upstream) => {
    await upstream.requestHead()
    await sleep(5)
    if (fail === 'reset') return upstream.reset()
    if (fail === 'part of a head') upstream.write('HTTP/1.1 200 OK\r\nContent-')
    upstream.end()
  })
  const reliable = await lab.origin()
  const edge = await lab.edge({ origins: [unreliable, reliable], ...options })
  return { edge, unreliable, reliable }
}

waiting('retries', () => {
  wire('a GET on a kept connection that died is repeated on a new one to the same endpoint', async (lab) => {
    const origin = await dyingWhenReused(lab)
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    for (const wanted of ['0', '1']) {
      client.write(get())
      assert.equal((await client.answer()).text, wanted)
    }
    assert.equal(edge.counter('REPLAYS'), 1)
    assert.equal(edge.counter('RETRIES'), 1)
    assert.equal(edge.table.snapshot(0).retries, 1)
  })

  for (const method of ['PUT', 'DELETE', 'OPTIONS'])
    wire(`so is a ${method} with its body`, async (lab) => {
      const origin = await lab.origin(async (upstream, index) => {
        const request = await upstream.request()
        upstream.write(ok(`${index}:${request.text.length}`))
        await upstream.requestHead()
        upstream.close()
      })
      const edge = await lab.edge({ origins: [origin] })
      const client = await edge.connect()
      for (const wanted of ['0:5000', '1:5000']) {
        client.write(post(BODY, '/', '', method))
        assert.equal((await client.answer()).text, wanted)
      }
    })

  for (const method of ['POST', 'PATCH', 'ODD'])
    wire(`a ${method} on a kept connection that died is not repeated: 502`, async (lab) => {
      const origin = await dyingWhenReused(lab)
      const edge = await lab.edge({ origins: [origin, origin] })
      const client = await edge.connect()
      for (let i = 0; i < 2; i++) {
        client.write(get())
        await client.answer()
      }
      client.write(post(BODY, '/', '', method))
      const answer = await client.answer()
      assert.equal(answer.status, 502)
      assert.match(answer.text, /EK_REUSED_CLOSED/)
      assert.equal(edge.counter('REPLAYS'), 0)
      assert.equal(edge.errors('EK_REUSED_CLOSED'), 1)
      assert.equal(origin.wires.length, 2)
      client.write(get())
      assert.equal((await client.answer()).status, 200, "the client's connection is fine")
    })

  for (const request of [
    get(),
    post(BODY),
    `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['a', BODY], { trailers: 'X: 1\r\n' })}`,
  ])
    wire(
      `a refused connection sends ${request.slice(0, 4)} with everything to the next endpoint (${request.length} bytes)`,
      async (lab) => {
        const origin = await lab.origin()
        const edge = await lab.edge({ origins: [await lab.deadEnd(), await lab.deadEnd(), origin] })
        assert.equal((await edge.ask(request)).status, 200)
        const [got] = origin.requests
        if (request.includes('chunked')) {
          assert.equal(got?.text, `a${BODY}`)
          assert.equal(got.trailers, 'X: 1\r\n')
        } else assert.equal(got?.text, request.startsWith('POST') ? BODY : '')
        assert.equal(edge.counter('RETRIES'), 2)
        assert.equal(edge.table.snapshot(0).connectFailures, 1)
        assert.deepEqual(edge.counted, {}, 'what came right in the end is no error')
      },
    )

  wire('when every endpoint refuses, the answer is a 502, and the connection is fine', async (lab) => {
    const edge = await lab.edge({ origins: [await lab.deadEnd(), await lab.deadEnd()] })
    const client = await edge.connect()
    for (let i = 0; i < 2; i++) {
      client.write(post('x'))
      const answer = await client.answer()
      assert.equal(answer.status, 502)
      assert.match(answer.text, /EK_CONNECT_FAILED/)
      assert.equal(answer.has('connection'), false)
    }
    assert.equal(edge.counter('RETRIES'), 2)
    assert.deepEqual(edge.counted, { EK_CONNECT_FAILED: 2 })
  })

  wire('no more attempts are made than the pool allows', async (lab) => {
    const origin = await lab.origin()
    const dead = await Promise.all([lab.deadEnd(), lab.deadEnd(), lab.deadEnd()])
    const edge = await lab.edge({ origins: [...dead, origin], pool: { retries: { max: 1 } } })
    assert.equal((await edge.ask(get())).status, 502)
    assert.equal(edge.counter('RETRIES'), 1)
    const none = await lab.edge({ origins: [...dead, origin], pool: { retries: { max: 0 } } })
    assert.equal((await none.ask(get())).status, 502)
    assert.equal(none.counter('RETRIES'), 0)
  })

  wire('an endpoint that cannot be connected to is marked after as many failures as the pool says', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [await lab.deadEnd(), origin], pool: { passive: { failures: 2 } } })
    for (let i = 0; i < 6; i++) assert.equal((await edge.ask(get())).status, 200)
    assert.equal(edge.table.snapshot(0).connectFailures, 2)
    assert.equal(edge.table.fitness[0], Fitness.PASSIVE)
    assert.equal(edge.table.fitness[1], 0)
  })

  wire('no fit endpoint is a 503', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin] })
    for (const reason of [Fitness.UNHEALTHY, Fitness.DRAINING, Fitness.MAINTENANCE, Fitness.PASSIVE, Fitness.RETIRED]) {
      Atomics.store(edge.table.fitness, 0, reason)
      const answer = await edge.ask(get())
      assert.equal(answer.status, 503)
      assert.match(answer.text, /EK_NO_ENDPOINT/)
    }
    Atomics.store(edge.table.fitness, 0, 0)
    assert.equal((await edge.ask(get())).status, 200)
    assert.deepEqual(edge.counted, { EK_NO_ENDPOINT: 5 })
    const empty = await lab.edge({ origins: [] })
    assert.equal((await empty.ask(get())).status, 503)
  })

  wire('an endpoint of an older generation is passed over', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin, origin] })
    edge.table.generation[0]! += 2
    for (let i = 0; i < 4; i++) assert.equal((await edge.ask(get())).status, 200)
    edge.table.generation[0]! -= 2
  })

  for (const fail of ['close', 'reset', 'part of a head'] as const) {
    wire(`an idempotent request goes to another endpoint when the first fails (${fail})`, async (lab) => {
      const { edge, reliable } = await withUnreliable(lab, fail)
      assert.equal((await edge.ask(post(BODY, '/', '', 'PUT'))).status, 200)
      assert.equal(reliable.requests[0]?.text, BODY)
      assert.equal(edge.counter('RETRIES'), 1)
      assert.equal(edge.table.snapshot(0).failures, 1)
    })

    wire(`another request does not (${fail})`, async (lab) => {
      const { edge, reliable } = await withUnreliable(lab, fail)
      const answer = await edge.ask(post(BODY))
      assert.equal(answer.status, 502)
      assert.match(answer.text, /EK_UPSTREAM_CLOSED/)
      assert.equal(reliable.requests.length, 0)
      assert.deepEqual(edge.counted, { EK_UPSTREAM_CLOSED: 1 })
    })
  }

  wire('nothing is repeated at the endpoint that failed it', async (lab) => {
    const { edge, unreliable } = await withUnreliable(lab, 'close', {})
    const alone = await lab.edge({ origins: [unreliable] })
    assert.equal((await alone.ask(get())).status, 502)
    assert.equal(unreliable.wires.length, 1)
    assert.equal(alone.counter('RETRIES'), 0)
    assert.equal((await edge.ask(get())).status, 200)
  })

  wire('a body that is larger than the buffer is not repeated', async (lab) => {
    const { edge, reliable } = await withUnreliable(lab, 'close', { pool: { retries: { max: 2, bufferBytes: 4999 } } })
    assert.equal((await edge.ask(post(BODY, '/', '', 'PUT'))).status, 502)
    assert.equal(reliable.requests.length, 0)
    assert.equal(edge.counter('RETRIES'), 0)
  })

  wire('one of exactly the buffer is repeated', async (lab) => {
    const { edge, reliable } = await withUnreliable(lab, 'close', { pool: { retries: { max: 2, bufferBytes: 5000 } } })
    assert.equal((await edge.ask(post(BODY, '/', '', 'PUT'))).status, 200)
    assert.equal(reliable.requests[0]?.text, BODY)
  })

  wire('a body that is still coming is repeated with what came, and goes on', async (lab) => {
    const unreliable = await lab.origin(async (upstream) => {
      await upstream.requestHead()
      await upstream.text(6)
      upstream.close()
    })
    const reliable = await lab.origin()
    const edge = await lab.edge({ origins: [unreliable, reliable] })
    const client = await edge.connect()
    await client.writeSlowly(['PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n', 'one', 'two'], 10)
    await reliable.connections(1)
    await client.writeSlowly(['three', '!'], 10)
    assert.equal((await client.answer()).status, 200)
    assert.equal(reliable.requests[0]?.text, 'onetwothree!')
  })

  wire('a chunked one too, when it outgrew the buffer it is not', async (lab) => {
    const unreliable = await lab.origin(async (upstream) => {
      await upstream.requestHead()
      await upstream.through('last')
      upstream.close()
    })
    const reliable = await lab.origin()
    const edge = await lab.edge({ origins: [unreliable, reliable], pool: { retries: { max: 2, bufferBytes: 100 } } })
    const small = await edge.connect()
    await small.writeSlowly(
      [
        'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
        '3\r\none\r\n',
        '4\r\nlast\r\n',
        '1\r\n!\r\n0\r\n\r\n',
      ],
      10,
    )
    assert.equal((await small.answer()).status, 200)
    assert.equal(reliable.requests[0]?.text, 'onelast!')
    const large = await edge.connect()
    await large.writeSlowly(
      [
        'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
        `61\r\n${'x'.repeat(97)}\r\n`,
        '4\r\nlast\r\n',
      ],
      10,
    )
    assert.equal((await large.answer()).status, 502)
    assert.equal(reliable.requests.length, 1)
  })

  wire('nothing is repeated once the answer has begun', async (lab) => {
    const first = await lab.origin(async (upstream) => {
      await upstream.request()
      upstream.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nha')
      await sleep(30)
      upstream.reset()
    })
    const second = await lab.origin()
    const edge = await lab.edge({ origins: [first, second] })
    const client = await edge.connect()
    client.write(get())
    await client.answerHead()
    assert.notEqual(await client.ending(), 'open')
    assert.equal(second.wires.length, 0)
  })

  wire('an interim answer is not the beginning of an answer', async (lab) => {
    const first = await lab.origin(async (upstream) => {
      await upstream.request()
      upstream.write('HTTP/1.1 103 Early Hints\r\n\r\n')
      await sleep(30)
      upstream.close()
    })
    const second = await lab.origin()
    const edge = await lab.edge({ origins: [first, second] })
    const client = await edge.connect()
    client.write(get())
    assert.equal((await client.answer()).status, 103)
    assert.equal((await client.answer()).status, 200)
  })

  wire('a malformed answer is not asked for again', async (lab) => {
    const first = await lab.origin(answering('HTTP/1.1 200 OK\r\nBad Field: 1\r\n\r\n'))
    const second = await lab.origin()
    const edge = await lab.edge({ origins: [first, second] })
    assert.equal((await edge.ask(get())).status, 502)
    assert.equal(second.wires.length, 0)
  })

  wire('an answer that is a 5xx is an answer', async (lab) => {
    const first = await lab.origin(answering('HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n'))
    const second = await lab.origin()
    const edge = await lab.edge({ origins: [first, second] })
    assert.equal((await edge.ask(get())).status, 503)
    assert.equal(second.wires.length, 0)
    assert.deepEqual(edge.counted, {})
  })

  wire('a client that leaves between two attempts ends them', async (lab) => {
    const hanging = await lab.origin(async (upstream) => {
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [await lab.deadEnd(), hanging] })
    const client = await edge.connect()
    client.write(get())
    await hanging.connections(1)
    client.reset()
    assert.notEqual(await hanging.wires[0]!.ending(), 'open')
    await eventually(() => edge.counter('EXCHANGES_OPEN') === 0, 'the exchange to end')
  })
})
