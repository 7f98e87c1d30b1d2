/** The service thread under the real control: what the other tests here replace by a harness. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { createBalancer } from '../../src/control/balancer.ts'
import { ask } from './harness.ts'

test('a change by API is in force at every worker when it is answered', { timeout: 60_000 }, async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'evenkeel-balancer-'))
  const tokenFile = path.join(folder, 'token')
  const before = process.env['EVENKEEL_STATE_DIR']
  process.env['EVENKEEL_STATE_DIR'] = folder
  const origins = await Promise.all(
    ['a', 'b'].map(async (name) => {
      const server = http.createServer((_, response) => response.end(name)).listen(0, '127.0.0.1')
      await new Promise((resolve) => server.once('listening', resolve))
      return { id: name, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server }
    }),
  )
  const balancer = createBalancer(
    {
      version: 1,
      workers: 2,
      listeners: [{ name: 'public', bind: '127.0.0.1:0' }],
      routes: [{ pool: 'web' }],
      pools: { web: { balance: 'round-robin', endpoints: origins.map(({ id, url }) => ({ id, url })) } },
      admin: { bind: '127.0.0.1:0' },
    },
    { tokenFile },
  )
  t.after(async () => {
    await balancer.stop({ drainMs: 0 })
    for (const { server } of origins) server.close().closeAllConnections()
    if (before === undefined) delete process.env['EVENKEEL_STATE_DIR']
    else process.env['EVENKEEL_STATE_DIR'] = before
    fs.rmSync(folder, { recursive: true, force: true })
  })
  await balancer.start()
  const admin = balancer.adminUrl
  assert.ok(admin !== null)
  const listener = balancer.address('public')
  assert.ok(listener?.kind === 'ip')
  const url = `http://127.0.0.1:${listener.port}`

  assert.equal((await ask(admin, { path: '/readyz' })).status, 200)
  const headers = {
    authorization: `Bearer ${fs.readFileSync(tokenFile, 'utf8').trim()}`,
    'content-type': 'application/json',
  }
  const drained = await ask(admin, {
    method: 'POST',
    path: '/api/v1/endpoints/a',
    headers,
    body: '{"state":"draining"}',
  })
  assert.equal(drained.status, 200, drained.text)
  for (let i = 0; i < 12; i++) assert.equal((await ask(url, { path: `/${i}` })).text, 'b')

  const { json } = await ask(admin, { path: '/api/v1/status' })
  const [a, b] = json.pools[0].endpoints
  assert.deepEqual([a.fit, a.unfit, a.state], [false, ['draining'], 'draining'])
  assert.equal(b.requests, 12)
  assert.equal(b.statuses['2xx'], 12)
  assert.ok(
    json.workers.every((worker: { acknowledgedVersion: number }) => worker.acknowledgedVersion >= drained.json.version),
  )
  const metrics = await ask(admin, { path: '/metrics' })
  assert.match(metrics.text, /^evenkeel_endpoint_requests_total\{pool="web",endpoint="b",class="2xx"\} 12$/m)
  const unknown = await ask(admin, { method: 'POST', path: '/api/v1/endpoints/c', headers, body: '{"weight":1}' })
  assert.equal(unknown.status, 404)
  const refused = await ask(admin, { method: 'POST', path: '/api/v1/workers/0/kill', headers, body: '{}' })
  assert.equal(refused.status, 403)
})
