/** Bodies: their framing takes one normal form in both directions. */
import assert from 'node:assert/strict'
import { answering, chunked, get, ok, post, wire } from './harness.ts'

const CHUNKED = 'Transfer-Encoding: chunked\r\n'

wire('a chunked request arrives chunked, sizes rewritten, without extensions', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  const body =
    '5;name=value\r\nhello\r\n0001;a;b="c;\\"d"\r\n \r\n5 ; x\r\nworld\r\n000a\r\n0123456789\r\n0;last=1\r\n\r\n'
  client.write(`POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: Chunked\r\n\r\n${body}`)
  assert.equal((await client.answer()).status, 200)
  const [request] = origin.requests
  assert.equal(request?.field('transfer-encoding'), 'chunked')
  assert.equal(request.text, 'hello world0123456789')
})

wire('a chunked answer arrives chunked, sizes rewritten, without extensions', async (lab) => {
  const body = chunked(['hello ', 'world', 'x'.repeat(5000)], { extension: ';a="b"' })
  const origin = await lab.origin(answering(`HTTP/1.1 200 OK\r\n${CHUNKED}\r\n${body}`))
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  for (let i = 0; i < 2; i++) {
    client.write(get())
    const answer = await client.answer()
    assert.equal(answer.field('transfer-encoding'), 'chunked')
    assert.equal(answer.text, `hello world${'x'.repeat(5000)}`)
  }
  assert.equal(origin.wires.length, 1)
})

wire('a chunked body split at every byte is the same body in both directions', async (lab) => {
  const body = chunked(['a', 'bc', 'def'.repeat(10)], { trailers: 'X-Sum: 1\r\n' })
  const origin = await lab.origin(async (upstream) => {
    const request = await upstream.request()
    assert.equal(request.text, `abc${'def'.repeat(10)}`)
    assert.equal(request.trailers, 'X-Sum: 1\r\n')
    await upstream.writeSlowly([...`HTTP/1.1 200 OK\r\n${CHUNKED}\r\n${body}`], 0)
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  await client.writeSlowly([...`PUT / HTTP/1.1\r\nHost: a\r\n${CHUNKED}\r\n${body}`], 0)
  const answer = await client.answer()
  assert.equal(answer.text, `abc${'def'.repeat(10)}`)
  assert.equal(answer.trailers, 'X-Sum: 1\r\n')
})

wire('trailers pass in both directions, with their announcement', async (lab) => {
  const trailers = 'X-Checksum: abc\r\nServer-Timing: total;dur=1\r\nX-Checksum: def\r\n'
  const message = `Trailer: X-Checksum\r\n${CHUNKED}\r\n${chunked(['body'], { trailers })}`
  const origin = await lab.origin(answering(`HTTP/1.1 200 OK\r\n${message}`))
  const edge = await lab.edge({ origins: [origin] })
  const answer = await edge.ask(`POST / HTTP/1.1\r\nHost: a\r\n${message}`)
  for (const one of [origin.requests[0]!, answer]) {
    assert.equal(one.field('trailer'), 'X-Checksum')
    assert.equal(one.text, 'body')
    assert.equal(one.trailers, trailers)
  }
})

wire('an empty chunked body is an empty chunked body', async (lab) => {
  const origin = await lab.origin(answering(`HTTP/1.1 200 OK\r\n${CHUNKED}\r\n${chunked([])}`))
  const edge = await lab.edge({ origins: [origin] })
  const answer = await edge.ask(`POST / HTTP/1.1\r\nHost: a\r\n${CHUNKED}\r\n${chunked([])}`)
  assert.equal(origin.requests[0]?.field('transfer-encoding'), 'chunked')
  assert.equal(origin.requests[0].text, '')
  assert.equal(answer.text, '')
})

wire('trailers without any body pass', async (lab) => {
  const body = chunked([], { trailers: 'X-A: 1\r\n' })
  const origin = await lab.origin(answering(`HTTP/1.1 200 OK\r\n${CHUNKED}\r\n${body}`))
  const edge = await lab.edge({ origins: [origin] })
  const answer = await edge.ask(`POST / HTTP/1.1\r\nHost: a\r\n${CHUNKED}\r\n${body}`)
  assert.equal(origin.requests[0]?.trailers, 'X-A: 1\r\n')
  assert.equal(answer.trailers, 'X-A: 1\r\n')
})

wire('an answer that ends with its connection becomes chunked', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    await upstream.writeSlowly(['HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nhello', ' ', 'world'])
    upstream.end()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  for (let i = 0; i < 2; i++) {
    client.write(get())
    const answer = await client.answer()
    assert.equal(answer.field('transfer-encoding'), 'chunked')
    assert.equal(answer.has('connection'), false)
    assert.equal(answer.text, 'hello world')
  }
  assert.equal(origin.wires.length, 2)
})

wire('an answer of HTTP/1.0 is told on as HTTP/1.1, and its connection closes', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    upstream.write('HTTP/1.0 200 Fine\r\nContent-Length: 3\r\n\r\nold')
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get())
  const answer = await client.answer()
  assert.equal(answer.startLine, 'HTTP/1.1 200 Fine')
  assert.equal(answer.text, 'old')
  assert.equal(await origin.wires[0]!.ending(), 'fin')
})

wire('an HTTP/1.0 origin that keeps its connection keeps it', async (lab) => {
  const origin = await lab.origin(
    answering('HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nold'),
  )
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  for (let i = 0; i < 2; i++) {
    client.write(get())
    assert.equal((await client.answer()).text, 'old')
  }
  assert.equal(origin.wires.length, 1)
})

for (const size of [1, 2047, 2048, 2049, 65_535, 65_536, 65_537, 300_000])
  for (const framing of ['length', 'chunked', 'close'] as const)
    wire(`a body of ${size} bytes arrives whole in both directions, framed by ${framing}`, async (lab) => {
      const body = noise(size)
      const origin = await lab.origin(async (upstream) => {
        for (;;) {
          const request = await upstream.request()
          assert.ok(request.text === body, 'the body as it was sent')
          if (framing === 'length') upstream.write(ok(body))
          else if (framing === 'chunked') upstream.write(`HTTP/1.1 200 OK\r\n${CHUNKED}\r\n${chunked([body])}`)
          else {
            upstream.write(`HTTP/1.1 200 OK\r\n\r\n${body}`)
            upstream.end()
          }
        }
      })
      const edge = await lab.edge({ origins: [origin] })
      const client = await edge.connect()
      for (let i = 0; i < 2; i++) {
        if (framing === 'chunked') client.write(`POST / HTTP/1.1\r\nHost: a\r\n${CHUNKED}\r\n${chunked([body])}`)
        else client.write(post(body))
        assert.ok((await client.answer()).text === body, 'the body as it was sent')
      }
    })

wire('many small chunks arrive in order', async (lab) => {
  const pieces = Array.from({ length: 3000 }, (_, index) => `${index},`)
  const origin = await lab.origin(async (upstream) => {
    const request = await upstream.request()
    upstream.write(`HTTP/1.1 200 OK\r\n${CHUNKED}\r\n${chunked(request.text.split(/(?<=,)/))}`)
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const answer = await edge.ask(`POST / HTTP/1.1\r\nHost: a\r\n${CHUNKED}\r\n${chunked(pieces)}`)
  assert.equal(answer.text, pieces.join(''))
})

/** Bytes of every value, different at every offset that matters. */
function noise(size: number): string {
  const bytes = Buffer.alloc(size)
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + (i >> 16)) & 0xff
  return bytes.toString('latin1')
}
