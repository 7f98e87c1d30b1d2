import assert from 'node:assert/strict'
import fs from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { ERROR_INDEX } from '../../src/core/errors.ts'
import { Fitness } from '../../src/memory/endpoint-table.ts'
import { Counter, errorCounter } from '../../src/observe/counters.ts'
import { ask, endpointView, Harness, viewOf } from './harness.ts'

test('the status joins names of the view with numbers of shared memory', async () => {
  await using service = await Harness.start()
  const { table, board } = service
  const [first, second] = service.view.pools[0]!.endpoints
  const { slot, generation } = first!
  table.acquire(1, slot, generation)
  table.openConnection(0, slot, generation)
  for (const ms of [3, 3, 3, 40]) table.record(0, slot, generation, 200, ms, 1000, 100)
  table.record(1, slot, generation, 503, 3, 10, 100)
  table.recordFailure(1, slot, generation)
  table.recordRetry(1, slot, generation)
  Atomics.or(table.fitness, second!.slot, Fitness.UNHEALTHY | Fitness.DRAINING)
  table.checked[second!.slot] = 2
  table.weight[second!.slot] = 2.5
  board.counters(0)[Counter.EXCHANGES] = 5
  board.counters(1)[Counter.EXCHANGES] = 6
  board.counters(1)[Counter.RESPONSES_5XX] = 1
  board.counters(1)[errorCounter(ERROR_INDEX.EK_CONNECT_FAILED)] = 3
  board.acknowledge(1, 9)
  board.listenerConnections.add(0, 0, 1)

  const { json, headers } = await service.get('/api/v1/status')
  assert.match(headers['content-type'] ?? '', /^application\/json/)
  assert.equal(json.version, '1.2.3')
  assert.ok(json.uptimeMs >= 65_000 && json.uptimeMs < 100_000)
  assert.equal(json.config.hash, 'abcdef0123456789')
  assert.equal(json.totals.exchanges, 11)
  assert.equal(json.totals.statuses['5xx'], 1)
  assert.deepEqual(json.totals.errors, { EK_CONNECT_FAILED: 3 })
  assert.equal(json.workers[1].acknowledgedVersion, 9)
  assert.equal(json.workers[1].lastExit, 'it threw')
  assert.equal(json.listeners[0].connectionsOpen, 1)
  assert.equal(json.pools[0].fitEndpoints, 1)
  const [a, b] = json.pools[0].endpoints
  assert.deepEqual(a.unfit, [])
  assert.equal(a.inFlight, 1)
  assert.equal(a.connections, 1)
  assert.equal(a.requests, 6)
  assert.equal(a.failures, 1)
  assert.equal(a.retries, 1)
  assert.deepEqual(a.statuses, { '1xx': 0, '2xx': 4, '3xx': 0, '4xx': 0, '5xx': 1 })
  assert.ok(a.ewmaMs > 3 && a.ewmaMs < 40)
  assert.ok(a.p50Ms > 2.5 && a.p50Ms <= 5)
  assert.ok(a.p99Ms > 25 && a.p99Ms <= 50)
  assert.deepEqual(b.unfit, ['unhealthy', 'draining'])
  assert.equal(b.fit, false)
  assert.equal(b.checked, 'unhealthy')
  assert.equal(b.weight, 2.5)
  assert.equal(b.p50Ms, null)
})

test('an endpoint whose slot went to another shows as retired, not with the numbers of the other', async () => {
  await using service = await Harness.start()
  const [first] = service.view.pools[0]!.endpoints
  service.table.retire(first!.slot)
  assert.ok(service.table.tryFree(first!.slot))
  const next = service.table.allocate(7, 0)
  assert.equal(next?.slot, first!.slot)
  const { json } = await service.get('/api/v1/status')
  assert.deepEqual(json.pools[0].endpoints[0].unfit, ['retired'])
  assert.equal(json.pools[0].endpoints[0].weight, 0)
  assert.doesNotMatch((await service.get('/metrics')).text, /endpoint="127\.0\.0\.1:9001"/)
})

test('a change is given to control and answered with the version that every worker has', async () => {
  await using service = await Harness.start()
  const answer = await service.post('/api/v1/endpoints/127.0.0.1%3A9001', {
    weight: 0.5,
    state: 'draining',
    pool: 'web',
  })
  assert.equal(answer.status, 200)
  assert.deepEqual(answer.json, { version: 7, weight: 0.5, state: 'draining', pools: ['web'] })
  assert.deepEqual(service.calls, [
    { name: 'set-endpoint', pool: 'web', id: '127.0.0.1:9001', weight: 0.5, state: 'draining' },
  ])
  assert.equal((await service.post('/api/v1/reload', {})).status, 200)
  assert.deepEqual(service.calls[1], { name: 'reload' })
})

test('what was set by hand is taken back by DELETE, value by value, and answered with what holds again', async () => {
  const id = '/run/app.sock'
  await using service = await Harness.start({ view: (table) => viewOf({ web: [endpointView(table, id)] }) })
  const path = `/api/v1/endpoints/${encodeURIComponent(id)}`
  const { authorization } = service.writeHeaders
  const remove = (what: string, headers = { authorization }) =>
    ask(service.url, { method: 'DELETE', path: `${path}/${what}`, headers })
  const weight = await remove('weight')
  assert.equal(weight.status, 200, weight.text)
  assert.deepEqual(weight.json, { version: 7, weight: 1, state: 'active', pools: ['web'] })
  assert.equal((await remove('state?pool=web')).status, 200)
  assert.deepEqual(service.calls, [
    { name: 'set-endpoint', id, pool: null, weight: null },
    { name: 'set-endpoint', id, pool: 'web', state: null },
  ])
  assert.equal((await remove('state?pool=wep')).json.hint, 'web')
  assert.equal((await remove('zone')).status, 404)
  assert.equal((await remove('weight', { authorization: 'Bearer x' })).status, 401)
  assert.equal((await service.get(`${path}/weight`)).status, 405)
  assert.equal((await ask(service.url, { method: 'DELETE', path, headers: { authorization } })).status, 405)
  assert.equal(service.calls.length, 2)
})

test('the status marks what was set by hand, and says in which pools an endpoint is', async () => {
  await using service = await Harness.start({
    view: (table) => {
      const shared = endpointView(table, 'a', {
        state: 'draining',
        overlay: { weight: 5, state: 'draining' },
        pools: ['web', 'api'],
        healthPool: 'api',
      })
      table.weight[shared.slot] = 5
      Atomics.or(table.fitness, shared.slot, Fitness.DRAINING)
      return viewOf({ web: [shared], api: [shared] })
    },
  })
  const [endpoint] = (await service.get('/api/v1/status')).json.pools[1].endpoints
  assert.deepEqual(endpoint.base, { weight: 1, state: 'active' })
  assert.deepEqual(endpoint.overlay, { weight: 5, state: 'draining' })
  assert.deepEqual([endpoint.pools, endpoint.healthPool], [['web', 'api'], 'api'])
  const page = (await service.get('/')).text
  assert.match(page, /draining \(by hand\)/)
  assert.match(page, /5 \(by hand, file: 1\)/)
  assert.match(
    page,
    /a is in api as well: its numbers are those of all of them together, and drain and weight act in all of them; the health check is that of api/,
  )
})

test('the service thread gives signs of life', async () => {
  await using service = await Harness.start()
  const before = Atomics.load(service.signs, 0)
  await delay(1200)
  assert.ok(Atomics.load(service.signs, 0) > before)
})

test('what control refuses is passed on as a problem', async () => {
  await using service = await Harness.start({
    answer: () => ({ ok: false, status: 409, title: 'ambiguous', detail: 'Two pools have it.' }),
  })
  const answer = await service.post('/api/v1/endpoints/127.0.0.1:9001', { weight: 1 })
  assert.equal(answer.status, 409)
  assert.equal(answer.headers['content-type'], 'application/problem+json')
  assert.deepEqual(answer.json, {
    type: 'urn:evenkeel:problem:ambiguous',
    title: 'ambiguous',
    status: 409,
    detail: 'Two pools have it.',
  })
})

test('an id may be anything that can be percent-encoded', async () => {
  const ids = ['/run/app.sock', 'a%2Fb', '100%', 'a?b#c', 'a+b', 'ü…😀', '%41', '..', 'a b', '\'"<>&']
  await using service = await Harness.start({
    view: (table) => viewOf({ web: ids.map((id) => endpointView(table, id)) }),
  })
  for (const id of ids) {
    // '.' and '..' are path segments for any client; whoever has such an id has to encode them by hand.
    const encoded = id === '..' ? '%2E%2E' : encodeURIComponent(id)
    const answer = await service.post(`/api/v1/endpoints/${encoded}`, { weight: 1 })
    if (id === '..') continue
    assert.equal(answer.status, 200, id)
    assert.equal((service.calls.at(-1) as { id: string }).id, id)
  }
  assert.equal((await service.post('/api/v1/endpoints/%ff', { weight: 1 })).status, 400)
})

test('an unknown id or pool is a 404 that names the nearest', async () => {
  await using service = await Harness.start()
  const id = await service.post('/api/v1/endpoints/127.0.0.1:9011', { weight: 1 })
  assert.equal(id.status, 404)
  assert.equal(id.json.hint, '127.0.0.1:9001')
  const port = await service.post('/api/v1/endpoints/9002', { weight: 1 })
  assert.deepEqual([port.status, port.json.hint], [404, '127.0.0.1:9002'])
  const none = await service.post('/api/v1/endpoints/29001', { weight: 1 })
  assert.equal(none.json.detail, 'There is no endpoint "29001": there are "127.0.0.1:9001", "127.0.0.1:9002".')
  const pool = await service.post('/api/v1/endpoints/127.0.0.1:9001', { weight: 1, pool: 'wep' })
  assert.equal(pool.status, 404)
  assert.equal(pool.json.hint, 'web')
  assert.equal(service.calls.length, 0)
})

test('a malformed change is a 400 that says which key is wrong', async () => {
  await using service = await Harness.start()
  const cases: [unknown, RegExp, string?][] = [
    ['{"weight":', /not JSON/],
    ['[]', /must be a JSON object/],
    ['null', /must be a JSON object/],
    ['', /not JSON/],
    [{}, /'weight' and 'state'/],
    [{ pool: 'web' }, /'weight' and 'state'/],
    [{ wieght: 1 }, /"wieght" is not known/, 'weight'],
    ['{"__proto__": {"weight": 1}}', /"__proto__" is not known/],
    [{ weight: -1 }, /'weight' must be/],
    [{ weight: '1' }, /'weight' must be/],
    ['{"weight": 1e999}', /'weight' must be/],
    [{ weight: null }, /'weight' must be/],
    [{ state: 'drainning' }, /'state' must be one of active, draining, maintenance/, 'draining'],
    [{ state: {} }, /'state' must be/],
    [{ weight: 1, pool: 3 }, /'pool' must be/],
  ]
  for (const [body, message, hint] of cases) {
    const answer = await service.post('/api/v1/endpoints/127.0.0.1:9001', body)
    assert.equal(answer.status, 400, JSON.stringify(body))
    assert.match(answer.json.detail, message)
    assert.equal(answer.json.hint, hint)
  }
  assert.equal(service.calls.length, 0)
})

test('workers are killed only where the config allows it', async () => {
  {
    await using service = await Harness.start()
    const refused = await service.post('/api/v1/workers/1/kill', {})
    assert.equal(refused.status, 403)
    assert.match(refused.json.detail, /allowWorkerKill/)
    assert.equal(service.calls.length, 0)
  }
  await using service = await Harness.start({ allowWorkerKill: true })
  assert.equal((await service.post('/api/v1/workers/1/kill', {})).status, 200)
  assert.deepEqual(service.calls, [{ name: 'kill-worker', index: 1 }])
  for (const index of ['2', '-1', '1e0', '01x', '99999999999']) {
    assert.equal((await service.post(`/api/v1/workers/${index}/kill`, {})).status, 404, index)
  }
})

test('writes need the token, however they are dressed', async () => {
  await using service = await Harness.start()
  const path = '/api/v1/endpoints/127.0.0.1:9001'
  const { token } = service
  const wrong = [
    undefined,
    '',
    'Bearer',
    'Bearer ',
    `Basic ${token}`,
    `Bearer ${token}x`,
    `Bearer ${token.slice(0, -1)}`,
    `Bearer ${token} ${token}`,
    token,
  ]
  for (const authorization of wrong) {
    const answer = await service.post(path, { weight: 1 }, { authorization })
    assert.equal(answer.status, 401, String(authorization))
    assert.match(answer.headers['www-authenticate'] ?? '', /^Bearer/)
  }
  assert.equal((await service.post(path, { weight: 1 }, { authorization: `bearer  ${token}` })).status, 200)
  assert.equal(service.calls.length, 1)
})

test('reads need no token on loopback', async () => {
  await using service = await Harness.start()
  for (const path of ['/', '/metrics', '/api/v1/status', '/livez', '/readyz']) {
    assert.equal((await service.get(path)).status, 200, path)
  }
})

test('where others can reach it, reads need the token too, and only probes are open', async () => {
  await using service = await Harness.start({ bind: '0.0.0.0:0' })
  assert.match(service.url, /^http:\/\/127\.0\.0\.1:\d+$/)
  for (const path of ['/', '/metrics', '/api/v1/status', '/nothing']) {
    assert.equal((await service.get(path)).status, 401, path)
    const answer = await service.get(path, { authorization: `Bearer ${service.token}` })
    assert.equal(answer.status, path === '/nothing' ? 404 : 200, path)
  }
  for (const path of ['/livez', '/readyz']) assert.equal((await service.get(path)).status, 200, path)
})

test('a page that was made to resolve here gets nothing: the Host must be ours', async () => {
  await using service = await Harness.start()
  const { port } = new URL(service.url)
  for (const host of [
    `127.0.0.1:${port}`,
    'localhost',
    `localhost:${port}`,
    `[::1]:${port}`,
    '127.9.9.9',
    'LOCALHOST',
  ]) {
    assert.equal((await service.get('/api/v1/status', { host })).status, 200, host)
  }
  const foreign = [
    'evil.example',
    `evil.example:${port}`,
    '192.0.2.1',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
  ]
  for (const host of foreign) {
    const answer = await service.get('/api/v1/status', { host })
    assert.ok(answer.status === 421 || answer.status === 400, `${host}: ${answer.status}`)
    assert.doesNotMatch(answer.text, /pools/)
    const write = await ask(service.url, {
      method: 'POST',
      path: '/api/v1/reload',
      headers: { host, 'content-type': 'application/json' },
    })
    assert.ok(write.status === 421 || write.status === 400, host)
  }
  // Whoever has the token may call us by any name: a scraper behind a proxy does.
  const named = await service.get('/metrics', { host: 'lb1.internal:9090', authorization: `Bearer ${service.token}` })
  assert.equal(named.status, 200)
})

test('writes from pages of another origin are refused, even with the token', async () => {
  await using service = await Harness.start()
  const { host } = new URL(service.url)
  const path = '/api/v1/endpoints/127.0.0.1:9001'
  const foreign: Record<string, string>[] = [
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { origin: `https://${host}` },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ]
  for (const headers of foreign) {
    assert.equal((await service.post(path, { weight: 1 }, headers)).status, 403, JSON.stringify(headers))
  }
  const own: Record<string, string>[] = [{ origin: `http://${host}` }, { 'sec-fetch-site': 'same-origin' }]
  for (const headers of own) {
    assert.equal((await service.post(path, { weight: 1 }, headers)).status, 200, JSON.stringify(headers))
  }
})

test('no answer has a CORS field, a preflight included, and all have the security fields', async () => {
  await using service = await Harness.start()
  const answers = [
    await service.get('/api/v1/status', { origin: 'http://evil.example' }),
    await service.get('/nothing'),
    await service.get('/metrics'),
    await service.get('/'),
    await ask(service.url, {
      method: 'OPTIONS',
      path: '/api/v1/status',
      headers: { origin: 'http://evil.example', 'access-control-request-method': 'POST' },
    }),
    await service.post('/api/v1/endpoints/x', {}, { authorization: undefined }),
  ]
  for (const { headers } of answers) {
    assert.ok(!Object.keys(headers).some((name) => name.startsWith('access-control-')))
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['cache-control'], 'no-store')
    assert.match(String(headers['content-security-policy']), /default-src 'none'/)
    assert.doesNotMatch(String(headers['content-security-policy']), /unsafe|script/)
  }
})

test('writes need JSON by type, so that a form of another page cannot send one', async () => {
  await using service = await Harness.start()
  for (const type of [undefined, 'text/plain', 'application/x-www-form-urlencoded', 'text/plain; application/json']) {
    const answer = await service.post('/api/v1/reload', '{}', { 'content-type': type })
    assert.equal(answer.status, 415, String(type))
  }
  assert.equal(
    (await service.post('/api/v1/reload', '{}', { 'content-type': 'Application/JSON; charset=utf-8' })).status,
    200,
  )
})

test('a body above 64 KiB is refused, whether it says its length or not', async () => {
  await using service = await Harness.start()
  const body = `{"weight":1${' '.repeat(65_536)}}`
  const path = '/api/v1/endpoints/127.0.0.1:9001'
  assert.equal((await service.post(path, body)).status, 413)
  assert.equal((await service.post(path, body, { 'transfer-encoding': 'chunked' })).status, 413)
  assert.equal((await service.post(path, `{"weight":1${' '.repeat(60_000)}}`)).status, 200)
})

test('writes are limited to 50 a second per address, wrong tokens included; reads are not', async () => {
  await using service = await Harness.start()
  const start = performance.now()
  const answers = await Promise.all(
    Array.from({ length: 150 }, () => service.post('/api/v1/reload', {}, { authorization: 'Bearer guess' })),
  )
  // As many more as came back while the requests were made.
  const allowance = 51 + ((performance.now() - start) / 1000) * 50
  const limited = answers.filter(({ status }) => status === 429)
  assert.ok(limited.length > 0 && 150 - limited.length <= allowance, `${limited.length} of 150, allowance ${allowance}`)
  assert.equal(limited[0]?.headers['retry-after'], '1')
  assert.ok(answers.every(({ status }) => status === 429 || status === 401))
  assert.equal((await service.get('/api/v1/status')).status, 200)
  await delay(200)
  assert.equal((await service.post('/api/v1/reload', {})).status, 200)
})

test('readiness follows the state, liveness does not', async () => {
  await using service = await Harness.start()
  const cases: [Partial<typeof service.view>, number, string][] = [
    [{ state: 'starting' }, 503, 'starting\n'],
    [{ state: 'draining' }, 503, 'draining\n'],
    [{ state: 'ready' }, 200, 'ok\n'],
    [
      { state: 'ready', workers: [{ index: 0, state: 'replacing', restarts: 1, lastExit: null }] },
      503,
      'no worker is running\n',
    ],
  ]
  for (const [change, status, text] of cases) {
    await service.show({ ...service.view, ...change })
    const answer = await service.get('/readyz')
    assert.equal(answer.status, status)
    assert.equal(answer.text, text)
    assert.equal((await service.get('/livez')).status, 200)
  }
})

test('what is not there is a problem, and a wrong method says which are right', async () => {
  await using service = await Harness.start()
  for (const path of ['/nothing', '/api/v1', '/api/v1/endpoints', '/api/v1/endpoints/a/b', '/%ff', '//', '/metrics/']) {
    const answer = await service.get(path)
    assert.equal(answer.status, 404, path)
    assert.equal(answer.headers['content-type'], 'application/problem+json')
  }
  const read = await service.get('/api/v1/endpoints/127.0.0.1:9001')
  assert.equal(read.status, 405)
  assert.equal(read.headers['allow'], 'POST')
  const write = await service.post('/metrics', {})
  assert.equal(write.status, 405)
  assert.equal(write.headers['allow'], 'GET, HEAD')
  const head = await ask(service.url, { method: 'HEAD', path: '/api/v1/status' })
  assert.equal(head.status, 200)
  assert.equal(head.text, '')
})

test('the page escapes every name and has no script', async () => {
  const evil = '<script>alert(1)</script>"\'&'
  await using service = await Harness.start({
    view: (table) =>
      viewOf(
        { [evil]: [endpointView(table, evil, { address: evil })] },
        {
          config: { file: evil, hash: evil, loadedAtMs: 0, problems: [evil] },
          listeners: [{ name: evil, slot: 0, bind: evil, port: null }],
        },
      ),
  })
  const { text, headers } = await service.get('/')
  assert.match(headers['content-type'] ?? '', /^text\/html/)
  assert.doesNotMatch(text, /<script/i)
  assert.match(text, /&lt;script&gt;/)
  assert.doesNotMatch(text, /title="<|title="[^"]*"'/)
})

test('a unix socket is its owner’s alone, replaces a stale one, and is removed at the end', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'evenkeel-unix-'))
  const socket = path.join(folder, 'admin.sock')
  // What a killed process leaves behind: a socket file without a listener.
  const left = net.createServer().listen(socket)
  await new Promise((resolve) => left.once('listening', resolve))
  fs.linkSync(socket, `${socket}.kept`)
  await new Promise((resolve) => left.close(resolve))
  fs.renameSync(`${socket}.kept`, socket)
  {
    await using service = await Harness.start({ bind: `unix:${socket}` })
    assert.equal(service.url, `unix:${socket}`)
    assert.equal(fs.statSync(socket).mode & 0o777, 0o600)
    assert.equal((await service.get('/api/v1/status', { host: 'anything' })).status, 200)
    assert.equal((await service.post('/api/v1/reload', {})).status, 200)
    // A second one on the same path is refused, and does not harm the first.
    await using second = await Harness.start({ bind: `unix:${socket}` })
    assert.deepEqual(
      second.events.map((event) => event.type === 'listen-failed' && event.code),
      ['EADDRINUSE'],
    )
    assert.equal((await service.get('/livez')).status, 200)
  }
  assert.ok(!fs.existsSync(socket))
  // A file that is no socket is left alone.
  fs.writeFileSync(socket, 'precious')
  await using third = await Harness.start({ bind: `unix:${socket}` })
  assert.equal(third.events[0]?.type, 'listen-failed')
  assert.equal(fs.readFileSync(socket, 'utf8'), 'precious')
  fs.rmSync(folder, { recursive: true })
})

test('an address that cannot be bound is told to control, and the thread can still be stopped', async () => {
  const taken = net.createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  const { port } = taken.address() as net.AddressInfo
  for (const [bind, code] of [
    [`127.0.0.1:${port}`, 'EADDRINUSE'],
    ['192.0.2.1:0', 'EADDRNOTAVAIL'],
    ['nonsense', 'EINVAL'],
  ] as const) {
    await using service = await Harness.start({ bind })
    const [event] = service.events
    assert.ok(event?.type === 'listen-failed')
    assert.equal(event.code, code)
    assert.ok(!fs.existsSync(path.join(service.folder, 'state', 'instances')))
  }
  taken.close()
})

test('the note for the command line is there while it listens, readable by its owner only', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'evenkeel-note-'))
  const instances = path.join(folder, 'state', 'instances')
  {
    await using service = await Harness.start({ folder })
    const names = fs.readdirSync(instances)
    assert.equal(names.length, 1)
    assert.match(names[0]!, new RegExp(`^${process.pid}-[0-9a-f]{8}\\.json$`))
    const file = path.join(instances, names[0]!)
    assert.equal(fs.statSync(file).mode & 0o777, 0o600)
    assert.equal(fs.statSync(instances).mode & 0o777, 0o700)
    const { writer, ...note } = JSON.parse(fs.readFileSync(file, 'utf8'))
    assert.deepEqual(Object.keys(writer), ['processes', 'startTicks'])
    assert.deepEqual(note, {
      pid: process.pid,
      url: service.url,
      tokenFile: service.tokenFile,
      configFile: '/etc/evenkeel.config.ts',
      startedAtMs: service.view.startedAtMs,
    })
    service.send({ type: 'stop' })
    await service.exited
    assert.deepEqual(fs.readdirSync(instances), [])
  }
})

test('a token file that others can read is not used, and the answer says so', async () => {
  await using service = await Harness.start({ token: 'averygoodtokenindeed' })
  fs.chmodSync(service.tokenFile, 0o644)
  const answer = await service.post('/api/v1/reload', {})
  assert.equal(answer.status, 503)
  assert.match(answer.json.detail, /mode 644/)
  fs.chmodSync(service.tokenFile, 0o600)
  assert.equal((await service.post('/api/v1/reload', {})).status, 200)
})

test('a new token counts from the moment the file changes, the old one no longer', async () => {
  await using service = await Harness.start()
  const before = service.writeHeaders
  fs.writeFileSync(service.tokenFile, 'another-token-of-the-operator\n')
  assert.equal((await service.post('/api/v1/reload', {})).status, 200)
  assert.equal((await service.post('/api/v1/reload', {}, before)).status, 401)
  // Removed is revoked: a new one is made.
  fs.rmSync(service.tokenFile)
  assert.equal((await ask(service.url, { method: 'POST', path: '/api/v1/reload', headers: before })).status, 401)
  assert.match(service.token, /^[\w-]{43}$/)
  assert.equal((await service.post('/api/v1/reload', {})).status, 200)
})

test('a stop lets a running answer finish, answers what waits for control, and ends the thread', async () => {
  const service = await Harness.start({ answer: () => null })
  const waiting = service.post('/api/v1/reload', {})
  while (service.calls.length === 0) await delay(5)
  // Idle connections do not hold a stop up.
  const idle = net.connect(Number(new URL(service.url).port), '127.0.0.1')
  // Reset where the thread had not accepted it yet.
  idle.on('error', () => {})
  await new Promise((resolve) => idle.once('connect', resolve))
  const start = performance.now()
  service.send({ type: 'stop' })
  const answer = await waiting
  assert.equal(answer.status, 503)
  assert.match(answer.json.title, /stopping/)
  assert.equal(await service.exited, 0)
  assert.ok(performance.now() - start < 3000, `${performance.now() - start} ms`)
  idle.destroy()
  fs.rmSync(service.folder, { recursive: true })
})

test('a client that sends its head slowly is cut off', { timeout: 20_000 }, async () => {
  await using service = await Harness.start()
  const slow = net.connect(Number(new URL(service.url).port), '127.0.0.1')
  slow.on('error', () => {})
  slow.write('GET / HTTP/1.1\r\nhost: localhost\r\n')
  const drip = setInterval(() => slow.write('a: b\r\n'), 500)
  let text = ''
  slow.on('data', (data) => {
    text += String(data)
  })
  await new Promise((resolve) => slow.once('close', resolve))
  clearInterval(drip)
  assert.match(text, /^HTTP\/1\.1 408/)
})

test('what is not HTTP, or too large a head, closes one connection and nothing else', async () => {
  await using service = await Harness.start()
  const { port } = new URL(service.url)
  const inputs = [
    'nonsense\r\n\r\n',
    `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`,
    'GET / HTTP/1.1\r\n\r\n',
    'CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n',
    'TRACE / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n',
    'GET http://evil.example/api/v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n',
    'GET /api/v1/status HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n',
    'GET /api/v1/status HTTP/1.0\r\n\r\n',
    'GET /api/v1/status HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n',
    'POST /api/v1/reload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
  ]
  for (const input of inputs) {
    const socket = net.connect(Number(port), '127.0.0.1')
    socket.on('error', () => {})
    let text = ''
    socket.on('data', (data) => {
      text += String(data)
    })
    socket.write(input)
    await new Promise((resolve) => socket.once('close', resolve))
    assert.doesNotMatch(text, /^HTTP\/1\.1 (200|5)/, input.slice(0, 60))
  }
  assert.equal((await service.get('/livez')).status, 200)
})

test('more connections than allowed are closed, and those that are there go on', async () => {
  await using service = await Harness.start()
  const agent = new http.Agent({ keepAlive: true })
  const port = Number(new URL(service.url).port)
  const get = (): Promise<number> =>
    new Promise((resolve, reject) => {
      const request = http.get({ port, host: '127.0.0.1', path: '/livez', agent }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0))
      })
      request.on('error', reject)
    })
  assert.equal(await get(), 200)
  const others = Array.from({ length: 300 }, () => {
    const socket = net.connect(port, '127.0.0.1')
    socket.on('error', () => {})
    return socket
  })
  await delay(300)
  const closed = others.filter((socket) => socket.destroyed || socket.readableEnded).length
  assert.ok(closed >= 40, `${closed} of 300 were closed`)
  assert.equal(await get(), 200)
  for (const socket of others) socket.destroy()
  agent.destroy()
})
