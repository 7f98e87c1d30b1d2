/** What the data plane tells of its picks, and what it keeps to itself. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { EndpointTable } from '../../src/memory/endpoint-table.ts'
import { configOf, startBalancer, startOrigin } from '../control/balancers.ts'

const ASKING = { headers: { 'x-evenkeel-explain': '1' } }

test('a trusted client that asks is told why, with and without an endpoint; a stranger and who does not ask are not', async (context) => {
  const a = await startOrigin(context, 'a')
  const config = configOf([a.url], {}, { balance: { picker: 'maglev', key: 'query:id' } })
  const listeners = [
    { name: 'public', bind: '127.0.0.1:0', trustedProxies: ['127.0.0.1'] },
    { name: 'open', bind: '127.0.0.1:0' },
  ]
  const { balancer, origin } = await startBalancer(context, { ...config, listeners })
  const told = (await fetch(`${origin}/x?id=7`, ASKING)).headers.get('x-evenkeel-explain') ?? ''
  assert.match(
    told,
    /^pool=web; picker=maglev; attempt=1; key=[0-9a-f]{8}; pick=127\.0\.0\.1:\d+; candidates=.+; reason=.+$/,
  )
  assert.ok(told.length <= 1024)
  assert.equal((await fetch(origin)).headers.get('x-evenkeel-explain'), null)
  const open = balancer.address('open')
  assert.ok(open?.kind === 'ip')
  const stranger = await fetch(`http://127.0.0.1:${open.port}/`, ASKING)
  assert.equal(stranger.headers.get('x-evenkeel-explain'), null)
  await balancer.setEndpoint({ id: a.id, state: 'draining' })
  const none = await fetch(origin, ASKING)
  assert.equal(none.status, 503)
  assert.match(none.headers.get('x-evenkeel-explain') ?? '', /pick=none/)
})

for (const [balance, isRead, isPassed] of [
  ['orca', true, false],
  [{ picker: 'orca', passReports: true }, true, true],
  ['round-robin', false, true],
] as const) {
  test(`load reports under ${JSON.stringify(balance)}: ${isRead ? 'read' : 'not read'}, ${isPassed ? 'passed on' : 'kept'}`, async (context) => {
    const a = await startOrigin(context, 'a', (_, response) => {
      response.setHeader('endpoint-load-metrics', 'TEXT cpu_utilization=0.25, rps_fractional=10')
      response.end('a')
    })
    const { balancer, origin } = await startBalancer(context, configOf([a.url], {}, { balance }))
    const answer = await fetch(origin)
    assert.equal(await answer.text(), 'a')
    assert.equal(answer.headers.has('endpoint-load-metrics'), isPassed)
    const { signals } = new EndpointTable(balancer.memory)
    const { slot } = balancer.view().pools[0]!.endpoints[0]!
    assert.equal(signals.column('cpu').values[slot], isRead ? 0.25 : 0)
    assert.equal(signals.column('utilization').atMs[slot]! > 0, isRead)
    assert.equal(signals.column('rps').values[slot], isRead ? 10 : 0)
  })
}

test('signals told by hand are noted, and those that mean nothing refused', async (context) => {
  const a = await startOrigin(context, 'a')
  const { balancer } = await startBalancer(context, configOf([a.url], {}, { balance: 'resource' }))
  assert.equal(balancer.setSignals({ id: a.id, signals: { cpu: 0.75 } }).ok, true)
  const { signals } = new EndpointTable(balancer.memory)
  assert.equal(signals.column('cpu').values[balancer.view().pools[0]!.endpoints[0]!.slot], 0.75)
  for (const [id, given] of [
    [a.id, { queue: 1 }],
    [a.id, { cpu: Number.NaN }],
    ['nobody', { cpu: 1 }],
  ] as const)
    assert.equal(balancer.setSignals({ id, signals: given }).ok, false)
})

test('evenkeel explain says route, pool, key and pick without a balancer', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-explain-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'config.json')
  const endpoints = [9001, 9002, 9003].map((port) => `http://127.0.0.1:${port}`)
  const balance = { picker: 'ring-hash', key: 'header:x-user' }
  writeFileSync(
    file,
    JSON.stringify({ ...configOf(endpoints, {}, { balance }), routes: [{ match: { path: '/a/*' }, pool: 'web' }] }),
  )
  const run = async (...more: string[]): Promise<Record<string, unknown>> => {
    const main = join(import.meta.dirname, '../../bin/evenkeel')
    const { stdout } = await promisify(execFile)(process.execPath, [
      main,
      'explain',
      '--config',
      file,
      '--json',
      ...more,
    ]).catch((error: unknown) => error as { stdout: string })
    return JSON.parse(stdout) as Record<string, unknown>
  }
  const first = await run('--request', 'GET /a/b', '--header', 'x-user: seven')
  const again = await run('--request', 'POST /a/c', '--header', 'x-user: seven')
  assert.equal(first['pool'], 'web')
  assert.match(String(first['key']), /^[0-9a-f]{8}$/)
  assert.deepEqual([again['key'], again['pick']], [first['key'], first['pick']])
  const none = await run('--request', 'GET /b')
  assert.deepEqual([none['route'], none['pick']], [null, null])
})
