/** What the client is told when something goes wrong, and what is recorded. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { ERRORS } from '../../src/core/errors.ts'
import { answering, eventually, get, type Lab, ok, post, wire } from './harness.ts'

wire('an error body holds status, sentence, code and id, and nothing internal', async (lab) => {
  const dead = await lab.deadEnd()
  const edge = await lab.edge({ origins: [dead] })
  const answer = await edge.ask(get('/secret-path?secret-query', 'Cookie: secret-cookie\r\n'))
  assert.equal(answer.startLine, 'HTTP/1.1 502 Bad Gateway')
  assert.match(
    answer.text,
    /^502 Bad Gateway: the endpoint could not be connected to \(EK_CONNECT_FAILED\)\nrequest id: \w+\n$/,
  )
  const port = dead.kind === 'ip' ? `${dead.port}` : ''
  for (const inner of ['127.0.0.1', port, 'web', 'secret', 'ECONNREFUSED', 'evenkeel', 'node'])
    assert.ok(!answer.head.includes(inner) && !answer.text.includes(inner), inner)
  assert.deepEqual(answer.names, ['content-length', 'content-type'])
})

wire('a refusal at the door holds no more', async (lab) => {
  const edge = await lab.edge({ limits: { connections: 1 } })
  await edge.connect()
  await eventually(() => edge.counter('CONNECTIONS_OPEN') === 1, 'one connection')
  const client = await edge.connect()
  const answer = await client.answer()
  assert.equal(
    answer.text,
    `503 Service Unavailable: ${ERRORS.EK_TOO_MANY_CONNECTIONS.message} (EK_TOO_MANY_CONNECTIONS)\n`,
  )
})

wire('an answer of the endpoint has nothing of ours in it but framing', async (lab) => {
  const origin = await lab.origin(answering(ok('ok', 'Server: theirs\r\n')))
  const edge = await lab.edge({ origins: [origin] })
  const answer = await edge.ask(get())
  assert.deepEqual(answer.names, ['content-length', 'server'])
})

wire('answers are counted by class, exchanges once', async (lab) => {
  const statuses = [200, 204, 301, 404, 500]
  const origin = await lab.origin(
    answering(
      (_request, index) =>
        `HTTP/1.1 ${statuses[index]} X\r\n${statuses[index] === 204 ? '' : 'Content-Length: 0\r\n'}\r\n`,
    ),
  )
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  for (const status of statuses) {
    client.write(get())
    assert.equal((await client.answer()).status, status)
  }
  assert.equal(edge.counter('RESPONSES_2XX'), 2)
  assert.equal(edge.counter('RESPONSES_3XX'), 1)
  assert.equal(edge.counter('RESPONSES_4XX'), 1)
  assert.equal(edge.counter('RESPONSES_5XX'), 1)
  assert.equal(edge.counter('EXCHANGES'), 5)
  assert.equal(edge.counter('CONNECTIONS_ACCEPTED'), 1)
  const snapshot = edge.table.snapshot(0)
  assert.deepEqual(snapshot.statuses, [0, 2, 1, 1, 1])
  assert.equal(snapshot.failures, 0)
})

wire('bytes are counted in both directions, heads and framing included', async (lab) => {
  const origin = await lab.origin(answering(ok('answer')))
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(post('body') + get())
  await client.answer()
  await client.answer()
  assert.equal(edge.counter('BYTES_RECEIVED'), (post('body') + get()).length)
  assert.equal(edge.counter('BYTES_SENT'), client.receivedBytes)
})

/** Runs the exchanges and reads the lines of the access log. */
async function logged(
  lab: Lab,
  options: Parameters<Lab['edge']>[0],
  run: (edge: Awaited<ReturnType<Lab['edge']>>) => Promise<void>,
): Promise<Record<string, unknown>[]> {
  const to = lab.path('access.log')
  const edge = await lab.edge({ ...options, accessLog: { to, requestHeaders: ['user-agent'], query: false } })
  await run(edge)
  await edge.worker.close()
  return readFileSync(to, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

wire('the access log tells each exchange with the id that the endpoint saw', async (lab) => {
  const origin = await lab.origin(answering(ok('answer')))
  const lines = await logged(lab, { origins: [origin] }, async (edge) => {
    await edge.ask(post('body', '/path?secret=1', 'User-Agent: x"y\r\nAuthorization: secret\r\n'))
    await edge.ask(get('/other'))
    await edge.quiet()
  })
  assert.equal(lines.length, 2)
  const text = JSON.stringify(lines)
  assert.ok(text.includes(origin.requests[0]!.field('x-request-id')!), text)
  assert.equal(lines[0]!['path'], '/path')
  assert.deepEqual(lines[0]!['request_headers'], { 'user-agent': 'x"y' })
  assert.ok(!text.includes('secret'), text)
})

wire('the access log tells malformed requests, aborts and errors too', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    await upstream.ending()
  })
  const lines = await logged(lab, { origins: [origin] }, async (edge) => {
    await edge.ask('GET / HTTP/1.1\r\nHost : a\r\n\r\n')
    const client = await edge.connect()
    client.write(get('/left'))
    await origin.connections(1)
    client.reset()
    await edge.quiet()
  })
  const text = lines.map((line) => JSON.stringify(line))
  assert.equal(lines.length, 2)
  assert.ok(
    text.some((line) => line.includes('EK_SPACE_BEFORE_COLON') && line.includes('400')),
    text.join('\n'),
  )
  assert.ok(
    text.some((line) => line.includes('EK_CLIENT_CLOSED') && line.includes('499') && line.includes('/left')),
    text.join('\n'),
  )
})
