import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createBalancer, StartError } from '../../src/index.ts'
import { eventually, sleep } from '../pool/servers.ts'
import { configOf, get, portOf, startBalancer, startOrigin } from './balancers.ts'

function socketPath(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'evenkeel-alone-'))
  context.after(() => rmSync(path, { recursive: true }))
  return join(path, 'public.sock')
}

test('where ports are not shared worker 0 listens alone, more workers are a warning, and its death is mended', async (context) => {
  const one = await startOrigin(context, 'one')
  const balancer = createBalancer(configOf([one.url]), { reusePort: false, workerHeapMb: 128 })
  context.after(() => balancer.stop({ drainMs: 0 }))
  const report = await balancer.start()
  assert.match(report.warnings.join(), /worker 0 alone listens on 'public'/)
  const port = portOf(balancer)
  assert.equal((await get(port)).body, 'one')
  assert.equal((await balancer.killWorker(1)).ok, true)
  assert.equal((await get(port)).body, 'one', 'the one that listens was not touched')
  assert.equal((await balancer.killWorker(0)).ok, true)
  await eventually(() => balancer.view().workers[0]!.state === 'running', 'it is replaced')
  assert.equal((await get(port)).body, 'one')
})

test('EVENKEEL_NO_REUSEPORT=1 does the same', async (context) => {
  process.env['EVENKEEL_NO_REUSEPORT'] = '1'
  context.after(() => void delete process.env['EVENKEEL_NO_REUSEPORT'])
  const one = await startOrigin(context, 'one')
  const { balancer, port } = await startBalancer(context, configOf([one.url], { workers: 'auto' }))
  assert.equal(balancer.view().workers.length, 1)
  assert.equal((await get(port)).body, 'one')
})

test('a unix socket is served by one worker, survives its death, and is gone after a stop', async (context) => {
  const path = socketPath(context)
  const one = await startOrigin(context, 'one')
  const { balancer } = await startBalancer(
    context,
    configOf([one.url], { listeners: [{ name: 'public', bind: `unix:${path}` }] }),
  )
  assert.deepEqual(balancer.address('public'), { kind: 'unix', path })
  assert.equal((await get(0, '/', { socketPath: path })).body, 'one')
  assert.equal((await balancer.killWorker(0)).ok, true)
  await eventually(() => balancer.view().workers[0]!.state === 'running', 'it is replaced')
  assert.equal((await get(0, '/', { socketPath: path })).body, 'one')
  await balancer.stop({ drainMs: 1000 })
  assert.equal(existsSync(path), false)
})

test('a unix socket on which another instance answers is refused', async (context) => {
  const path = socketPath(context)
  const one = await startOrigin(context, 'one')
  const config = configOf([one.url], { listeners: [{ name: 'public', bind: `unix:${path}` }] })
  await startBalancer(context, config)
  const second = createBalancer(config)
  await assert.rejects(second.start(), (error: unknown) => error instanceof StartError && error.code === 'EADDRINUSE')
  await sleep(50)
  assert.equal((await get(0, '/', { socketPath: path })).body, 'one', 'the first was not touched')
})

test('endpoints may be unix sockets', async (context) => {
  const path = socketPath(context)
  const one = await startOrigin(context, 'one')
  await startBalancer(context, configOf([one.url], { listeners: [{ name: 'public', bind: `unix:${path}` }] }))
  const front = await startBalancer(
    context,
    configOf([`unix:${path}`], { forwarded: { viaName: 'front' } }, { health: {} }),
  )
  assert.equal((await get(front.port)).body, 'one')
  await eventually(() => front.balancer.view().pools[0]!.endpoints[0]!.lastCheck?.ok === true, 'it is checked')
})
