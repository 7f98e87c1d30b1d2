/** Pipelined requests are answered in the order in which they came. */
import assert from 'node:assert/strict'
import { answering, chunked, eventually, get, ok, post, sleep, wire } from './harness.ts'

wire('answers come in order, also when an early one is slow', async (lab) => {
  const origin = await lab.origin(
    answering(async (request) => {
      if (request.target === '/0') await sleep(100)
      return ok(request.target)
    }),
  )
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write([0, 1, 2, 3, 4].map((index) => get(`/${index}`)).join(''))
  for (let i = 0; i < 5; i++) assert.equal((await client.answer()).text, `/${i}`)
})

wire('a request is not begun before the one ahead of it is answered', async (lab) => {
  let running = 0
  let most = 0
  const origin = await lab.origin(
    answering(async () => {
      most = Math.max(most, ++running)
      await sleep(5)
      running--
      return ok()
    }),
  )
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get().repeat(10))
  for (let i = 0; i < 10; i++) await client.answer()
  assert.equal(most, 1)
})

wire('1000 in one go are all answered, in order', async (lab) => {
  const origin = await lab.origin(answering((request) => ok(request.target)))
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(Array.from({ length: 1000 }, (_, index) => get(`/${index}`)).join(''))
  for (let i = 0; i < 1000; i++) assert.equal((await client.answer()).text, `/${i}`)
  assert.equal(edge.counter('EXCHANGES'), 1000)
})

wire('requests split at odd places are the same requests', async (lab) => {
  const origin = await lab.origin(answering((request) => ok(`${request.target}:${request.text}`)))
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  const stream = get('/a') + post('body', '/b') + get('/c') + post('x'.repeat(100), '/d') + get('/e')
  const pieces = stream.match(/[^]{1,17}/g)!
  await client.writeSlowly(pieces, 0)
  for (const wanted of ['/a:', '/b:body', '/c:', `/d:${'x'.repeat(100)}`, '/e:'])
    assert.equal((await client.answer()).text, wanted)
})

wire('bodies of every framing stand between requests', async (lab) => {
  const origin = await lab.origin(answering((request) => ok(request.text)))
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  const chunkedPost = `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['c', 'd'], { trailers: 'X: 1\r\n' })}`
  client.write(post('a') + chunkedPost + post('') + chunkedPost + get() + post('b'))
  for (const wanted of ['a', 'cd', '', 'cd', '', 'b']) assert.equal((await client.answer()).text, wanted)
})

wire('an answer of ours stands in its place among those of the origin', async (lab) => {
  const origin = await lab.origin(
    answering(async (request) => {
      await sleep(10)
      return ok(request.target)
    }),
  )
  const edge = await lab.edge({
    origins: [origin],
    routes: [{ name: 'some', match: { paths: ['/yes/*'] }, pool: 'web' }],
  })
  const client = await edge.connect()
  client.write(get('/no/1') + get('/yes/2') + get('/no/3') + get('/no/4') + get('/yes/5'))
  const statuses: number[] = []
  for (let i = 0; i < 5; i++) statuses.push((await client.answer()).status)
  assert.deepEqual(statuses, [404, 200, 404, 404, 200])
})

wire('behind a malformed request nothing is answered any more', async (lab) => {
  const origin = await lab.origin(answering((request) => ok(request.target)))
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(`${get('/1')}${get('/2')}GET / HTTP/1.1\r\nHost : a\r\n\r\n${get('/4')}`)
  assert.equal((await client.answer()).text, '/1')
  assert.equal((await client.answer()).text, '/2')
  const refusal = await client.answer()
  assert.equal(refusal.status, 400)
  assert.equal(refusal.field('connection'), 'close')
  assert.equal(await client.rest(), '')
  assert.equal(client.ended, 'fin')
  assert.equal(origin.requests.length, 2)
})

wire('behind Connection: close nothing is answered any more', async (lab) => {
  const origin = await lab.origin(answering((request) => ok(request.target)))
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get('/1') + get('/2', 'Connection: close\r\n') + get('/3'))
  assert.equal((await client.answer()).text, '/1')
  assert.equal((await client.answer()).text, '/2')
  assert.equal(await client.rest(), '')
  assert.equal(client.ended, 'fin')
  assert.equal(origin.requests.length, 2)
})

wire('a client that ended its side is still answered everything', async (lab) => {
  const origin = await lab.origin(
    answering(async (request) => {
      await sleep(20)
      return ok(request.target)
    }),
  )
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get('/1') + get('/2') + get('/3'))
  client.end()
  for (const wanted of ['/1', '/2', '/3']) assert.equal((await client.answer()).text, wanted)
  assert.equal(await client.ending(), 'fin')
})

wire('an error body of ours behind HEAD is there for the request that comes next', async (lab) => {
  const origin = await lab.origin(answering('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'))
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(`${get('/', '', 'HEAD')}GET / HTTP/1.1\r\nHost : a\r\n\r\n`)
  await client.answer('HEAD')
  const refusal = await client.answer()
  assert.equal(refusal.status, 400)
  assert.match(refusal.text, /EK_SPACE_BEFORE_COLON/)
})

wire('HEAD gets an error of ours without its body', async (lab) => {
  const edge = await lab.edge({ routes: [] })
  const client = await edge.connect()
  client.write(get('/', '', 'HEAD') + get())
  const bare = await client.answer('HEAD')
  assert.equal(bare.status, 404)
  assert.ok(bare.contentLength > 0)
  assert.match((await client.answer()).text, /EK_NO_ROUTE/)
})

wire('a client that leaves takes what it had pipelined with it', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get('/1') + get('/2') + get('/3'))
  await origin.connections(1)
  await sleep(20)
  client.reset()
  await origin.wires[0]!.ending()
  await eventually(() => edge.counter('EXCHANGES_OPEN') === 0, 'the exchange to end')
  assert.equal(edge.counter('EXCHANGES'), 1)
})
