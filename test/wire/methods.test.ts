/** Every method, and the answers without a body. */
import assert from 'node:assert/strict'
import { answering, get, ok, post, wire } from './harness.ts'

const METHODS = [
  'GET',
  'POST',
  'PUT',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'PROPFIND',
  'get',
  "M-SEARCH!#$%&'*+.^_`|~",
]

for (const method of METHODS)
  wire(`${method} passes, with and without a body`, async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(get('/path?query', '', method))
    assert.equal((await client.answer()).text, 'ok')
    client.write(post('some body', '/path', '', method))
    assert.equal((await client.answer()).text, 'ok')
    const [bare, full] = origin.requests
    assert.equal(bare?.startLine, `${method} /path?query HTTP/1.1`)
    assert.equal(bare.text, '')
    assert.equal(full?.startLine, `${method} /path HTTP/1.1`)
    assert.equal(full.text, 'some body')
  })

wire('an answer to HEAD has the length and no body, and the connection goes on', async (lab) => {
  const origin = await lab.origin(
    answering((request) =>
      request.method === 'HEAD' ? 'HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: "a"\r\n\r\n' : ok('next'),
    ),
  )
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get('/', '', 'HEAD'))
  const answer = await client.answer('HEAD')
  assert.equal(answer.field('content-length'), '12345')
  assert.equal(answer.field('etag'), '"a"')
  client.write(get())
  assert.equal((await client.answer()).text, 'next')
  assert.equal(origin.wires.length, 1, 'the upstream connection was reused')
})

wire('an answer to HEAD may announce chunks, of which none come', async (lab) => {
  const origin = await lab.origin(
    answering((request) =>
      request.method === 'HEAD' ? 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' : ok(),
    ),
  )
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get('/', '', 'HEAD') + get())
  assert.equal((await client.answer('HEAD')).status, 200)
  assert.equal((await client.answer()).text, 'ok')
})

wire('an answer to HEAD without any length ends with its head', async (lab) => {
  const origin = await lab.origin(
    answering((request) => (request.method === 'HEAD' ? 'HTTP/1.1 200 OK\r\n\r\n' : ok())),
  )
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get('/', '', 'HEAD') + get())
  assert.equal((await client.answer('HEAD')).has('transfer-encoding'), false)
  assert.equal((await client.answer()).text, 'ok')
})

for (const [status, fields] of [
  [204, ''],
  [204, 'Content-Length: 0\r\n'],
  [304, 'ETag: "x"\r\n'],
  [304, 'Content-Length: 999\r\n'],
] as const)
  wire(`${status} with ${JSON.stringify(fields)} has no body, and the connection goes on`, async (lab) => {
    const origin = await lab.origin(
      answering((request) => (request.target === '/bare' ? `HTTP/1.1 ${status} Reason\r\n${fields}\r\n` : ok('next'))),
    )
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(get('/bare') + get('/next'))
    const answer = await client.answer()
    assert.equal(answer.startLine, `HTTP/1.1 ${status} Reason`)
    assert.equal(answer.has('transfer-encoding'), false)
    if (status === 204) assert.equal(answer.has('content-length'), false)
    if (fields.includes('999')) assert.equal(answer.field('content-length'), '999')
    assert.equal((await client.answer()).text, 'next')
    assert.equal(origin.wires.length, 1)
  })

wire('a 200 of no length at all is an empty answer when it says so', async (lab) => {
  const origin = await lab.origin(answering(ok('')))
  const edge = await lab.edge({ origins: [origin] })
  const answer = await edge.ask(get())
  assert.equal(answer.field('content-length'), '0')
  assert.equal(answer.text, '')
})

wire('status and reason pass as they are, also none', async (lab) => {
  const lines = ['HTTP/1.1 299 Odd  reason ', 'HTTP/1.1 599 \x80\xff', 'HTTP/1.1 200 ', 'HTTP/1.1 200']
  const origin = await lab.origin(answering((_request, index) => `${lines[index]}\r\nContent-Length: 0\r\n\r\n`))
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  for (const line of lines) {
    client.write(get())
    const head = await client.through('\r\n\r\n')
    const wanted = line.length > 12 ? line : `${line} `
    assert.equal(head.slice(0, head.indexOf('\r\n')), wanted)
  }
})

wire('names, values, order and repetition of fields pass in both directions', async (lab) => {
  const fields = ['X-A: 1', 'x-b: two  words', 'X-A: 3', 'X-Empty: ', 'x-Bytes: \x80\xfe', 'Cookie: a=b', 'cookie: c=d']
  const text = fields.map((field) => `${field}\r\n`).join('')
  const origin = await lab.origin(answering(ok('ok', text.replaceAll('ookie', 'ookie-To'))))
  const edge = await lab.edge({ origins: [origin] })
  const answer = await edge.ask(get('/', text))
  const [request] = origin.requests
  assert.ok(request?.head.includes(text), request?.head)
  assert.ok(answer.head.includes(text.replaceAll('ookie', 'ookie-To')), answer.head)
})

wire('odd spacing of a field takes one normal form', async (lab) => {
  const origin = await lab.origin(answering(ok('ok', 'X-Tight:1\r\nX-Wide:  \t2 \t\r\nX-None:\r\n')))
  const edge = await lab.edge({ origins: [origin] })
  const answer = await edge.ask(get('/', 'A:1\r\nB:  \t2 \t\r\nC:\r\nD: 4\r\n'))
  assert.ok(origin.requests[0]?.head.includes('\r\nA: 1\r\nB: 2\r\nC: \r\nD: 4\r\n'), origin.requests[0]?.head)
  assert.ok(answer.head.includes('\r\nX-Tight: 1\r\nX-Wide: 2\r\nX-None: \r\n'), answer.head)
})

wire('a head that comes byte by byte is the same head', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    await upstream.writeSlowly([...ok('split', 'X-A: 1\r\n')], 0)
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  await client.writeSlowly([...post('four', '/a', 'X-B: 2\r\n')], 0)
  const answer = await client.answer()
  assert.equal(answer.field('x-a'), '1')
  assert.equal(answer.text, 'split')
})

wire('empty lines before a request are skipped', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(`\r\n\r\n${get('/1')}`)
  assert.equal((await client.answer()).status, 200)
  client.write(`\r\n${get('/2')}`)
  assert.equal((await client.answer()).status, 200)
  assert.deepEqual(
    origin.requests.map(({ target }) => target),
    ['/1', '/2'],
  )
})

wire('CONNECT is refused, and what was to go through it is not read as requests', async (lab) => {
  const origin = await lab.origin()
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(`CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n${get()}`)
  const answer = await client.answer()
  assert.equal(answer.status, 405)
  assert.match(answer.text, /EK_CONNECT_METHOD/)
  assert.equal(answer.field('connection'), 'close')
  assert.equal(await client.rest(), '')
  assert.equal(origin.wires.length, 0)
  assert.deepEqual(edge.counted, { EK_CONNECT_METHOD: 1 })
})
