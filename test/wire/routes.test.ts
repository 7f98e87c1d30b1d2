/** Which pool a request goes to, by what it looks like on the wire. */
import assert from 'node:assert/strict'
import type { RoutePlan } from '../../src/pool/plan.ts'
import { answering, get, type Lab, ok, wire } from './harness.ts'

type Match = RoutePlan['match']

/** A route per match, each to a pool that answers with its number; what matches none is a 404. */
async function asker(lab: Lab, ...matches: readonly Match[]): Promise<(request: string) => Promise<string>> {
  const pools: Record<string, Awaited<ReturnType<Lab['origin']>>[]> = {}
  for (const index of matches.keys()) pools[`pool-${index}`] = [await lab.origin(answering(ok(`${index}`)))]
  const edge = await lab.edge({
    pools,
    routes: matches.map((match, index) => ({ name: `route-${index}`, match, pool: `pool-${index}` })),
  })
  return async (request) => {
    const answer = await edge.ask(request)
    if (answer.status !== 404) return answer.text
    assert.match(answer.text, /EK_NO_ROUTE/)
    return 'none'
  }
}

function host(name: string, target = '/'): string {
  return `GET ${target} HTTP/1.1\r\nHost: ${name}\r\n\r\n`
}

wire('the first match wins', async (lab) => {
  const ask = await asker(lab, { paths: ['/a/*'] }, { paths: ['/a/b'] }, {}, { paths: ['/c'] })
  assert.equal(await ask(get('/a/b')), '0')
  assert.equal(await ask(get('/a')), '2')
  assert.equal(await ask(get('/c')), '2')
})

wire('what matches nothing is a 404, and the connection is fine', async (lab) => {
  const edge = await lab.edge({ routes: [] })
  const client = await edge.connect()
  for (let i = 0; i < 3; i++) {
    client.write(get())
    const answer = await client.answer()
    assert.equal(answer.status, 404)
    assert.equal(answer.has('connection'), false)
  }
  assert.deepEqual(edge.counted, { EK_NO_ROUTE: 3 })
  assert.equal(edge.counter('RESPONSES_4XX'), 3)
})

wire('hosts match exactly, in any case, with any port and a final dot', async (lab) => {
  const ask = await asker(lab, { hosts: ['shop.example', '[::1]'] })
  for (const name of [
    'shop.example',
    'SHOP.example',
    'shop.example:8080',
    'shop.example.',
    'Shop.Example.:1',
    '[::1]:80',
  ])
    assert.equal(await ask(host(name)), '0', name)
  for (const name of ['example', 'www.shop.example', 'shop.example.com', 'shop-example', 'xshop.example'])
    assert.equal(await ask(host(name)), 'none', name)
  assert.equal(await ask('GET / HTTP/1.0\r\n\r\n'), 'none')
})

wire('a wildcard host matches one label or more, and not its own end', async (lab) => {
  const ask = await asker(lab, { hosts: ['*.shop.example'] })
  for (const name of ['www.shop.example', 'a.b.shop.example:99', 'WWW.SHOP.EXAMPLE.'])
    assert.equal(await ask(host(name)), '0')
  for (const name of ['shop.example', 'xshop.example', 'www.shop.example.com'])
    assert.equal(await ask(host(name)), 'none', name)
})

wire('a path matches exactly, by prefix, or as a glob', async (lab) => {
  const ask = await asker(
    lab,
    { paths: ['/exact'] },
    { paths: ['/prefix/*'] },
    { paths: ['/img/*.png', '/deep/**/end'] },
  )
  for (const [target, wanted] of [
    ['/exact', '0'],
    ['/exact?query=/prefix/x', '0'],
    ['/exact/', 'none'],
    ['/Exact', 'none'],
    ['/prefix/', '1'],
    ['/prefix/a/b', '1'],
    ['/prefix', 'none'],
    ['/prefixx', 'none'],
    ['/img/a.png', '2'],
    ['/img/a/b.png', 'none'],
    ['/img/a.png?x', '2'],
    ['/img/a.pngx', 'none'],
    ['/deep/a/b/end', '2'],
    ['/deep/end', 'none'],
  ] as const)
    assert.equal(await ask(get(target)), wanted, target)
})

wire('no spelling of a path slips past a rule', async (lab) => {
  const ask = await asker(lab, { paths: ['/admin', '/admin/*'] }, {})
  for (const target of [
    '/admin/x',
    '/%61dmin/x',
    '/%61%64%6D%69%6e/x',
    '/./admin/x',
    '/a/../admin/x',
    '/a/%2e%2E/admin/x',
    '//admin/x',
    '/admin//x',
    '/admin/./x',
    '/admin/..x/../y',
    '/x/../admin',
    'http://test.example/admin/x',
    'http://test.example/%61dmin/x',
  ])
    assert.equal(await ask(get(target)), '0', target)
  for (const target of ['/Admin/x', '/admin/../x', '/%2561dmin/x', '/a%2fadmin/x', '/administrator', '/;admin/x'])
    assert.equal(await ask(get(target)), '1', target)
})

wire('an encoded slash stays one character', async (lab) => {
  const ask = await asker(lab, { paths: ['/a%2Fb'] }, { paths: ['/a/b'] }, { paths: ['/a%2Fb/*'] })
  assert.equal(await ask(get('/a%2Fb')), '0')
  assert.equal(await ask(get('/a%2fb')), '0')
  assert.equal(await ask(get('/a/b')), '1')
  assert.equal(await ask(get('/a%2fb/c')), '2')
})

wire('methods match exactly, also ones that nobody knows', async (lab) => {
  const ask = await asker(lab, { methods: ['GET', 'HEAD'] }, { methods: ['PURGE'] })
  assert.equal(await ask(get()), '0')
  assert.equal(await ask(get('/', '', 'PURGE')), '1')
  assert.equal(await ask(get('/', '', 'purge')), 'none')
  assert.equal(await ask(get('/', '', 'POST')), 'none')
})

wire('headers match by value or by presence, any of several lines', async (lab) => {
  const ask = await asker(
    lab,
    { headers: [{ name: 'x-tenant', value: 'a' }] },
    {
      headers: [
        { name: 'x-tenant', value: null },
        { name: 'x-other', value: 'b' },
      ],
    },
  )
  assert.equal(await ask(get('/', 'X-Tenant: a\r\n')), '0')
  assert.equal(await ask(get('/', 'x-TENANT:   a  \r\n')), '0')
  assert.equal(await ask(get('/', 'X-Tenant: z\r\nX-Tenant: a\r\n')), '0')
  assert.equal(await ask(get('/', 'X-Tenant: A\r\n')), 'none')
  assert.equal(await ask(get('/', 'X-Tenant: z\r\nX-Other: b\r\n')), '1')
  assert.equal(await ask(get('/', 'X-Tenant: \r\nX-Other: b\r\n')), '1')
  assert.equal(await ask(get('/', 'X_Tenant: a\r\n')), 'none')
})

wire("a stranger's claims choose no route, a trusted peer's do", async (lab) => {
  const [secure, plain] = [await lab.origin(answering(ok('secure'))), await lab.origin(answering(ok('plain')))]
  const options = {
    origins: [plain],
    pools: { secure: [secure] },
    routes: [
      { name: 'secure', match: { headers: [{ name: 'x-forwarded-proto', value: 'https' }] }, pool: 'secure' },
      { name: 'plain', match: {}, pool: 'web' },
    ],
  }
  const request = get('/', 'X-Forwarded-Proto: https\r\n')
  assert.equal((await (await lab.edge(options)).ask(request)).text, 'plain')
  assert.equal((await (await lab.edge({ ...options, trustedProxies: ['127.0.0.1'] })).ask(request)).text, 'secure')
})

wire('all parts of a match have to be met', async (lab) => {
  const ask = await asker(lab, {
    hosts: ['a.example'],
    paths: ['/x'],
    methods: ['GET'],
    headers: [{ name: 'h', value: null }],
  })
  const request = (method: string, name: string, path: string, field: string): string =>
    `${method} ${path} HTTP/1.1\r\nHost: ${name}\r\n${field}\r\n`
  assert.equal(await ask(request('GET', 'a.example', '/x', 'h: 1\r\n')), '0')
  assert.equal(await ask(request('PUT', 'a.example', '/x', 'h: 1\r\n')), 'none')
  assert.equal(await ask(request('GET', 'b.example', '/x', 'h: 1\r\n')), 'none')
  assert.equal(await ask(request('GET', 'a.example', '/y', 'h: 1\r\n')), 'none')
  assert.equal(await ask(request('GET', 'a.example', '/x', '')), 'none')
})

wire('routes follow a reload, without a connection lost', async (lab) => {
  const [a, b] = [await lab.origin(answering(ok('a'))), await lab.origin(answering(ok('b')))]
  const edge = await lab.edge({ origins: [a], pools: { other: [b] } })
  const client = await edge.connect()
  client.write(get())
  assert.equal((await client.answer()).text, 'a')
  await edge.apply({ ...edge.plan, version: 2, routes: [{ name: 'new', match: {}, pool: 'other' }] })
  client.write(get())
  assert.equal((await client.answer()).text, 'b')
  await edge.apply({ ...edge.plan, version: 3 })
  client.write(get())
  assert.equal((await client.answer()).text, 'a')
  assert.equal(a.wires.length, 1, 'a pool that stays keeps its connections')
})
