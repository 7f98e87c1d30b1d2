/** Connections to endpoints: kept, limited, and never trusted with bytes that nobody asked for. */
import assert from 'node:assert/strict'
import { answering, eventually, get, ok, post, sleep, waiting, wire } from './harness.ts'

waiting('upstream connections', () => {
  wire('a connection is used again, by whoever comes next', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin] })
    for (let i = 0; i < 5; i++) assert.equal((await edge.ask(get())).status, 200)
    assert.equal(origin.wires.length, 1)
    assert.equal(edge.counter('UPSTREAM_CONNECTIONS'), 1)
    assert.equal(edge.counter('UPSTREAM_CONNECTIONS_REUSED'), 4)
  })

  wire('the one used last is taken first', async (lab) => {
    const origin = await lab.origin(
      answering(async (request) => {
        if (request.target === '/slow') await sleep(60)
        return ok()
      }),
    )
    const edge = await lab.edge({ origins: [origin] })
    await Promise.all([edge.ask(get('/slow')), edge.ask(get('/slow'))])
    await edge.ask(get('/1'))
    await edge.ask(get('/2'))
    assert.equal(origin.wires.length, 2)
    const counts = origin.wires.map((one) => one.receivedBytes).sort((a, b) => a - b)
    assert.ok(counts[1]! > counts[0]! * 2, 'the requests went to one of the two')
  })

  wire('bytes on an idle connection close it: nobody gets an answer that was not asked for', async (lab) => {
    const origin = await lab.origin(async (upstream, index) => {
      await upstream.request()
      upstream.write(ok(index === 0 ? 'asked' : 'fresh'))
      if (index === 0) {
        await sleep(30)
        upstream.write(ok('poison'))
      }
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(get())
    assert.equal((await client.answer()).text, 'asked')
    await eventually(() => edge.counter('UPSTREAM_CONNECTIONS_OPEN') === 0, 'the poisoned connection to close')
    client.write(get())
    assert.equal((await client.answer()).text, 'fresh')
    assert.equal(origin.wires.length, 2)
  })

  for (const [framing, answer] of [
    ['of known length', ok('asked')],
    ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nasked\r\n0\r\n\r\n'],
    ['without a body', 'HTTP/1.1 204 No Content\r\n\r\n'],
  ] as const)
    wire(`bytes right behind an answer ${framing} close the connection`, async (lab) => {
      const origin = await lab.origin(async (upstream, index) => {
        await upstream.request()
        upstream.write(index === 0 ? answer + ok('poison') : ok('fresh'))
        await upstream.ending()
      })
      const edge = await lab.edge({ origins: [origin] })
      const client = await edge.connect()
      client.write(get() + get())
      assert.notEqual((await client.answer()).text, 'poison')
      assert.equal((await client.answer()).text, 'fresh')
      assert.equal(origin.wires.length, 2)
      assert.notEqual(await origin.wires[0]!.ending(), 'open')
    })

  wire('a body that answers to HEAD or 304 must not have closes the connection', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      const request = await upstream.request()
      if (request.method === 'HEAD') upstream.write(ok('body'))
      else if (request.target === '/304') upstream.write('HTTP/1.1 304 Not\r\nContent-Length: 4\r\n\r\nbody')
      else upstream.write(ok('fresh'))
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(get('/', '', 'HEAD') + get('/1') + get('/304') + get('/2'))
    assert.equal((await client.answer('HEAD')).text, '')
    assert.equal((await client.answer()).text, 'fresh')
    origin.wires[1]!.close()
    assert.equal((await client.answer()).status, 304)
    assert.equal((await client.answer()).text, 'fresh')
  })

  wire('an endpoint that ends an idle connection is believed', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin] })
    await edge.ask(get())
    origin.wires[0]!.end()
    await eventually(() => edge.counter('UPSTREAM_CONNECTIONS_OPEN') === 0, 'the connection to close')
    await edge.ask(post('x'))
    assert.equal(origin.wires.length, 2)
  })

  wire('an idle connection closes after its time', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin], pool: { timeouts: { keepAliveMs: 100 } } })
    await edge.ask(get())
    const began = performance.now()
    assert.equal(await origin.wires[0]!.ending(), 'fin')
    assert.ok(performance.now() - began >= 50)
  })

  wire('the idle time of a connection does not end what runs on it', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin], pool: { timeouts: { keepAliveMs: 100 } } })
    await edge.ask(get())
    const client = await edge.connect()
    // A request that takes its time, on the connection that was idle.
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n')
    await client.writeSlowly([...'0123456789'], 40)
    assert.equal((await client.answer()).text, 'ok')
    assert.equal(origin.requests[1]?.text, '0123456789')
    assert.equal(origin.wires.length, 1)
    assert.deepEqual(edge.counted, {})
  })

  wire('a connection carries as many requests as it may, and no more', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin], pool: { connections: { maxRequests: 2 } } })
    for (let i = 0; i < 5; i++) await edge.ask(get())
    assert.equal(origin.wires.length, 3)
  })

  wire('a connection that is too old is not used again', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin], pool: { connections: { maxAgeMs: 1 } } })
    await edge.ask(get())
    // Ages are told by the coarse clock.
    await sleep(300)
    await edge.ask(get())
    await edge.ask(get())
    assert.ok(origin.wires.length >= 2)
  })

  wire('no more idle connections are kept than allowed', async (lab) => {
    const origin = await lab.origin(
      answering(async () => {
        await sleep(60)
        return ok()
      }),
    )
    const edge = await lab.edge({ origins: [origin], pool: { connections: { maxIdle: 2 } } })
    await Promise.all([1, 2, 3, 4, 5].map(() => edge.ask(get())))
    assert.equal(origin.wires.length, 5)
    await eventually(() => edge.counter('UPSTREAM_CONNECTIONS_OPEN') === 2, 'two to be left')
  })

  wire('an endpoint gets no more connections than it may have; then the answer is a 503', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      for (;;) {
        await upstream.request()
        await upstream.text(2).catch(() => '')
        upstream.write(ok())
      }
    })
    const edge = await lab.edge({ origins: [origin], pool: { connections: { max: 2 } } })
    const clients = [await edge.connect(), await edge.connect()]
    for (const client of clients) client.write(get())
    await origin.connections(2)
    await eventually(() => edge.counter('EXCHANGES_OPEN') === 2, 'two to run')
    const answer = await edge.ask(get())
    assert.equal(answer.status, 503)
    assert.match(answer.text, /EK_NO_CAPACITY/)
    assert.deepEqual(edge.counted, { EK_NO_CAPACITY: 1 })
    for (const client of clients) client.reset()
    await edge.quiet()
    assert.equal(origin.wires.length, 2)
  })

  wire('a second endpoint takes what the first has no room for', async (lab) => {
    const slow = (name: string): ReturnType<typeof answering> =>
      answering(async () => {
        await sleep(100)
        return ok(name)
      })
    const [a, b] = [await lab.origin(slow('a')), await lab.origin(slow('b'))]
    const edge = await lab.edge({ origins: [a, b], pool: { connections: { max: 2 } } })
    const answers = await Promise.all([1, 2, 3, 4].map(() => edge.ask(get())))
    assert.deepEqual(answers.map(({ text }) => text).sort(), ['a', 'a', 'b', 'b'])
  })

  wire('an idle connection makes room where a request needs a fresh one', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin], pool: { connections: { max: 1 } } })
    assert.equal((await edge.ask(get())).status, 200)
    // By now the connection is too old for a request that must not be repeated.
    await sleep(1300)
    assert.equal((await edge.ask(post('x'))).status, 200)
    assert.equal(origin.wires.length, 2)
  })

  wire(
    'a request that must not be repeated goes on a connection that was alive just now, or on a new one',
    async (lab) => {
      const origin = await lab.origin()
      const edge = await lab.edge({ origins: [origin] })
      await edge.ask(post('1'))
      await edge.ask(post('2'))
      assert.equal(origin.wires.length, 1, 'alive just now')
      await sleep(1300)
      await edge.ask(get())
      assert.equal(origin.wires.length, 1, 'a GET may be repeated')
      await sleep(1300)
      await edge.ask(post('3'))
      assert.equal(origin.wires.length, 2, 'no sign of life for a while')
    },
  )

  wire('so does a request whose body is too large to be sent twice, or still to come', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin], pool: { retries: { max: 2, bufferBytes: 1000 } } })
    const other = await lab.edge({ origins: [origin] })
    await edge.ask(get())
    await other.ask(get())
    await sleep(1300)
    await edge.ask(post('x'.repeat(1000), '/', '', 'PUT'))
    assert.equal(origin.wires.length, 2, 'small and whole')
    const client = await other.connect()
    await client.writeSlowly(['PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n', 'body'], 20)
    await client.answer()
    assert.equal(origin.wires.length, 3, 'still to come')
    await sleep(1300)
    await edge.ask(post('x'.repeat(1001), '/', '', 'PUT'))
    assert.equal(origin.wires.length, 4, 'too large')
  })

  wire(
    'an endpoint that leaves the pool loses its idle connections, and its busy ones when they are done',
    async (lab) => {
      const origin = await lab.origin(
        answering(async (request) => {
          if (request.target === '/slow') await sleep(100)
          return ok()
        }),
      )
      const edge = await lab.edge({ origins: [origin] })
      const slow = edge.ask(get('/slow'))
      await origin.connections(1)
      await edge.ask(get())
      assert.equal(origin.wires.length, 2)
      const [pool] = edge.plan.pools
      await edge.apply({ ...edge.plan, version: 2, pools: [{ ...pool!, endpoints: [] }] })
      assert.equal(await origin.wires[1]!.ending(), 'fin')
      assert.equal(origin.wires[0]!.ended, 'open')
      assert.equal((await slow).text, 'ok')
      assert.equal(await origin.wires[0]!.ending(), 'fin')
      assert.equal((await edge.ask(get())).status, 503)
    },
  )

  wire('endpoints that stay over a reload keep their connections', async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin] })
    await edge.ask(get())
    const [pool] = edge.plan.pools
    const pools = [{ ...pool!, timeouts: { ...pool!.timeouts, firstByteMs: 1234 } }]
    await edge.apply({ ...edge.plan, version: 2, pools })
    await edge.ask(get())
    assert.equal(origin.wires.length, 1)
  })
})
