import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createBalancer } from '../../src/index.ts'
import { eventually, sleep } from '../pool/servers.ts'
import { configOf, get, startBalancer, startOrigin } from './balancers.ts'

const FIXTURE = new URL('./fixtures/service-thread.ts', import.meta.url)
const ADMIN = { admin: { bind: '127.0.0.1:0', allowWorkerKill: true } }

function stateFolder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'evenkeel-state-'))
  process.env['EVENKEEL_STATE_DIR'] = path
  context.after(() => {
    delete process.env['EVENKEEL_STATE_DIR']
    rmSync(path, { recursive: true })
  })
  return path
}

test('the admin API shows the view and changes endpoints, answered when every worker has acknowledged', async (context) => {
  const folder = stateFolder(context)
  const tokenFile = join(folder, 'token')
  const one = await startOrigin(context, 'one')
  const two = await startOrigin(context, 'two')
  const { balancer, port } = await startBalancer(context, configOf([one.url, two.url], ADMIN), { tokenFile })
  const url = balancer.adminUrl!
  const status = async () =>
    (await (await fetch(`${url}/api/v1/status`)).json()) as {
      state: string
      pools: { endpoints: { id: string; state: string }[] }[]
    }
  assert.equal((await status()).state, 'ready')
  const write = (path: string, body: unknown) =>
    fetch(`${url}${path}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify(body),
    })
  const drained = await write(`/api/v1/endpoints/${encodeURIComponent(one.id)}`, { state: 'draining' })
  assert.equal(drained.status, 200, await drained.text())
  for (let each = 0; each < 6; each++) assert.equal((await get(port)).body, 'two')
  assert.equal((await status()).pools[0]!.endpoints.find(({ id }) => id === one.id)?.state, 'draining')
  const killed = await write('/api/v1/workers/1/kill', {})
  assert.ok(killed.ok, await killed.text())
  await eventually(() => balancer.view().workers[1]!.restarts === 1, 'it was killed')
})

test('an admin port that is taken does not keep traffic from being served, and is said', async (context) => {
  const one = await startOrigin(context, 'one')
  const { balancer, port, log } = await startBalancer(context, configOf([one.url], ADMIN), {
    serviceUrl: FIXTURE,
    tokenFile: 'fails',
  })
  assert.equal(balancer.adminUrl, null)
  assert.match(
    balancer.view().config.problems.join(),
    /the admin API cannot listen on 127\.0\.0\.1:0: the address is in use/,
  )
  assert.ok(log.some(({ event, level }) => event === 'admin-listen-failed' && level === 'error'))
  assert.equal((await get(port)).body, 'one')
})

test('a service thread that dies is replaced, and traffic does not notice', async (context) => {
  const one = await startOrigin(context, 'one')
  const { balancer, port, log } = await startBalancer(context, configOf([one.url], ADMIN), {
    serviceUrl: FIXTURE,
    tokenFile: 'dies',
  })
  const started: string[] = []
  balancer.on('admin-listening', ({ url }) => started.push(url))
  await eventually(() => started.length >= 2, 'it was replaced twice')
  assert.ok(log.some(({ event }) => event === 'service-exit'))
  assert.equal((await get(port)).body, 'one')
  assert.deepEqual(
    balancer.view().workers.map(({ restarts }) => restarts),
    [0, 0],
  )
})

test('a reload that moves or ends the admin API touches nothing else', async (context) => {
  const one = await startOrigin(context, 'one')
  const { balancer, port } = await startBalancer(context, configOf([one.url], ADMIN), {
    serviceUrl: FIXTURE,
    tokenFile: 'x',
  })
  assert.equal(balancer.adminUrl, 'http://127.0.0.1:1/1')
  const { version } = balancer.view()
  assert.equal((await balancer.reload(configOf([one.url], { admin: false }))).ok, true)
  await eventually(() => balancer.adminUrl === null, 'it is gone')
  assert.equal((await balancer.reload(configOf([one.url], { admin: { bind: '127.0.0.1:2' } }))).ok, true)
  assert.equal((await balancer.reload(configOf([one.url], ADMIN))).ok, true)
  await eventually(() => balancer.adminUrl !== null, 'it is back')
  assert.equal(balancer.view().version, version, 'workers were told nothing')
  assert.equal((await get(port)).body, 'one')
})

test('a call for a reload is refused where nobody can read a config, else passed on', async (context) => {
  const folder = stateFolder(context)
  const tokenFile = join(folder, 'token')
  const one = await startOrigin(context, 'one')
  let asked = 0
  const balancer = createBalancer(configOf([one.url], ADMIN), {
    tokenFile,
    workerHeapMb: 128,
    onReloadCall: () => {
      asked += 1
      return balancer.reload(configOf([one.url], { ...ADMIN, stop: { drainMs: 5 } }))
    },
  })
  context.after(() => balancer.stop({ drainMs: 0 }))
  await balancer.start()
  const answer = await fetch(`${balancer.adminUrl}/api/v1/reload`, {
    method: 'POST',
    headers: { authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`, 'content-type': 'application/json' },
    body: '{}',
  })
  if (answer.status === 404) return context.skip('the admin API has no reload yet')
  assert.equal(answer.status, 200, await answer.text())
  assert.equal(asked, 1)
  await sleep(10)
  assert.equal(balancer.settings.stop.drainMs, 5)
})
