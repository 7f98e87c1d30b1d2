/** Answers that begin, or end, before the request has ended; and clients that end their side early. */
import assert from 'node:assert/strict'
import { get, ok, sleep, waiting, wire } from './harness.ts'

waiting('early answers', () => {
  wire('both bodies flow at once, each byte as soon as it is there', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.requestHead()
      upstream.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      for (let i = 0; i < 5; i++) {
        assert.equal(await upstream.through('\r\n'), '1\r\n')
        const letter = await upstream.text(3)
        upstream.write(`1\r\n${letter.toUpperCase()}`)
      }
      assert.equal(await upstream.text(5), '0\r\n\r\n')
      upstream.write('0\r\n\r\n')
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    const head = await client.answerHead()
    for (const letter of 'abcde') {
      client.write(`1\r\n${letter}\r\n`)
      assert.equal(await client.text(6), `1\r\n${letter.toUpperCase()}\r\n`)
    }
    client.write('0\r\n\r\n')
    await client.body(head)
  })

  wire('the first event of a stream is passed on before the origin goes on', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.request()
      upstream.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n')
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(get())
    await client.answerHead()
    assert.equal(await client.text(14), '9\r\ndata: 1\n\n\r\n')
    origin.wires[0]!.write('data: 2\n\n')
    assert.equal(await client.text(14), '9\r\ndata: 2\n\n\r\n')
  })

  wire('the head of an answer is passed on before its first byte of body', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.request()
      upstream.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n')
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(get())
    await client.answerHead()
    origin.wires[0]!.write('later')
    assert.equal(await client.text(5), 'later')
  })

  wire('an early answer keeps the connection when little of the request is left', async (lab) => {
    const origin = await lab.origin(async (upstream, index) => {
      await upstream.requestHead()
      upstream.write(ok(index === 0 ? 'early' : 'next'))
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n')
    assert.equal((await client.answer()).text, 'early')
    client.write('x'.repeat(100_000) + get())
    assert.equal((await client.answer()).text, 'next')
    assert.equal(origin.wires.length, 2, 'the upstream connection was in the middle of a request')
  })

  for (const framing of ['Content-Length: 10000000', 'Transfer-Encoding: chunked'])
    wire(`an early answer ends the connection when much of the request is left (${framing})`, async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        await upstream.requestHead()
        upstream.write(ok('early'))
        await upstream.ending()
      })
      const edge = await lab.edge({ origins: [origin] })
      const client = await edge.connect()
      client.write(`POST / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`)
      assert.equal((await client.answer()).text, 'early')
      const piece = 'x'.repeat(65_535)
      for (let i = 0; i < 8 && client.ended === 'open'; i++) {
        client.write(framing.startsWith('T') ? `ffff\r\n${piece}\r\n` : piece)
        await sleep(5)
      }
      assert.notEqual(await client.ending(), 'open')
      assert.deepEqual(edge.counted, {})
    })

  wire('a request that stops behind its early answer loses the connection soon', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.requestHead()
      upstream.write(ok('early'))
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n')
    assert.equal((await client.answer()).text, 'early')
    assert.equal(await client.ending(), 'fin')
  })

  wire('an answer that is complete before its request had room ends the upstream connection', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.requestHead()
      upstream.stopReading()
      await sleep(200)
      upstream.write(ok('enough'))
      await sleep(50)
      upstream.startReading()
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n')
    void client.pour(Buffer.alloc(65_536), 100_000_000)
    assert.equal((await client.answer()).text, 'enough')
    assert.notEqual(await client.ending(), 'open')
    origin.wires[0]!.discard()
    assert.notEqual(await origin.wires[0]!.ending(), 'open')
  })

  wire('a client that ended its side still gets its answer', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.request()
      await sleep(100)
      upstream.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla')
      await sleep(50)
      upstream.write('te')
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(get())
    client.end()
    const answer = await client.answer()
    assert.equal(answer.text, 'late')
    assert.equal(await client.ending(), 'fin')
    assert.deepEqual(edge.counted, {})
  })

  wire('one that waits too long behind its own end is given up, and its upstream with it', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.request()
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin], timeouts: { halfCloseMs: 100 } })
    const client = await edge.connect()
    client.write(get())
    client.end()
    assert.notEqual(await client.ending(), 'open')
    assert.notEqual(await origin.wires[0]!.ending(), 'open')
    assert.deepEqual(edge.counted, { EK_CLIENT_CLOSED: 1 })
    assert.equal(edge.counter('CLIENT_ABORTS'), 1)
  })

  wire('an answer that has begun outlives the wait behind the end of the client', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.request()
      upstream.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla')
      await sleep(300)
      upstream.write('te')
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin], timeouts: { halfCloseMs: 100 } })
    const client = await edge.connect()
    client.write(get())
    client.end()
    assert.equal((await client.answer()).text, 'late')
  })

  wire('a client that ends in the middle of its body is gone, and so is its upstream', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.request()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf')
    await origin.connections(1)
    await sleep(20)
    client.end()
    assert.notEqual(await client.ending(), 'open')
    assert.notEqual(await origin.wires[0]!.ending(), 'open')
    assert.deepEqual(edge.counted, { EK_BODY_CUT_SHORT: 1 })
  })

  wire('a truncated request behind a pipelined one is noticed when its turn comes', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.request()
      await sleep(50)
      upstream.write(ok('first'))
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(`${get()}POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf`)
    client.end()
    assert.equal((await client.answer()).text, 'first')
    assert.notEqual(await client.ending(), 'open')
    await edge.quiet()
    assert.deepEqual(edge.counted, { EK_BODY_CUT_SHORT: 1 })
  })

  wire('a client that leaves aborts its upstream, whatever is going on there', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      const request = await upstream.requestHead()
      if (request.target === '/body') upstream.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome')
      if (request.target === '/chunks')
        upstream.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n')
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const targets = ['/head', '/body', '/chunks', '/upload']
    for (const [index, target] of targets.entries()) {
      const client = await edge.connect()
      if (target === '/upload') client.write(`POST ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf`)
      else client.write(get(target))
      await origin.connections(index + 1)
      if (target === '/body' || target === '/chunks') await client.answerHead()
      else await sleep(20)
      client.reset()
      assert.notEqual(await origin.wires[index]!.ending(), 'open', target)
    }
    await edge.quiet()
    assert.deepEqual(edge.counted, { EK_CLIENT_CLOSED: 4 })
    assert.equal(edge.counter('CLIENT_ABORTS'), 4)
    const snapshot = edge.table.snapshot(0)
    assert.equal(snapshot.failures, 0, 'a client that goes away never counts against an endpoint')
  })
})

wire('where the wait is 0 a client that ends its side is given up at once', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin], timeouts: { halfCloseMs: 0 } })
  const client = await edge.connect()
  client.write(get())
  await origin.connections(1)
  client.end()
  assert.notEqual(await client.ending(), 'open')
  assert.deepEqual(edge.counted, { EK_CLIENT_CLOSED: 1 })
})
