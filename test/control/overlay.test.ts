import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Balancer, Config } from '../../src/index.ts'
import { configOf, startBalancer } from './balancers.ts'

const FIXTURE = new URL('./fixtures/seat-worker.ts', import.meta.url)
const A = 'http://127.0.0.1:1'
const ID = '127.0.0.1:1'

async function start(context: TestContext, config: Config): Promise<Balancer> {
  return (await startBalancer(context, config, { workerUrl: FIXTURE })).balancer
}

async function warningsOf(balancer: Balancer, config: Config): Promise<readonly string[]> {
  const result = await balancer.reload(config)
  assert.ok(result.ok)
  return result.warnings
}

function endpoint(balancer: Balancer, pool = 0) {
  return balancer.view().pools[pool]!.endpoints[0]!
}

test('a weight set by hand stays over a reload that changes the file, which says so and how to undo it', async (context) => {
  const balancer = await start(context, configOf([A]))
  assert.deepEqual((await balancer.setEndpoint({ id: ID, weight: 5 })).ok, true)
  assert.deepEqual(await warningsOf(balancer, configOf([{ url: A, weight: 3 }])), [
    `weight of ${ID} stays 5, set by hand; the file says 3 (undo: evenkeel weight ${ID} --undo)`,
  ])
  assert.deepEqual(endpoint(balancer).overlay, { weight: 5 })
  assert.deepEqual(endpoint(balancer).base, { weight: 3, state: 'active' })
  const undone = await balancer.setEndpoint({ id: ID, weight: null })
  assert.ok(undone.ok)
  assert.deepEqual(undone.endpoint, { weight: 3, state: 'active', pools: ['web'] })
  assert.deepEqual(endpoint(balancer).overlay, {})
  assert.deepEqual(await warningsOf(balancer, configOf([{ url: A, weight: 4 }])), [])
  assert.deepEqual(endpoint(balancer).base.weight, 4)
})

test('undoing one value leaves the other as it was set', async (context) => {
  const balancer = await start(context, configOf([A]))
  await balancer.setEndpoint({ id: ID, weight: 5, state: 'draining' })
  await balancer.setEndpoint({ id: ID, weight: null })
  assert.deepEqual(endpoint(balancer).overlay, { state: 'draining' })
  await balancer.setEndpoint({ id: ID, state: null })
  assert.deepEqual(endpoint(balancer).overlay, {})
  assert.equal(endpoint(balancer).state, 'active')
})

test('a state set by hand is told of too, with what undoes it', async (context) => {
  const balancer = await start(context, configOf([A]))
  await balancer.setEndpoint({ id: ID, state: 'draining' })
  assert.deepEqual(await warningsOf(balancer, configOf([A])), [
    `state of ${ID} stays draining, set by hand; the file says active (undo: evenkeel drain ${ID} --undo)`,
  ])
  const [said] = await warningsOf(balancer, configOf([{ url: A, state: 'maintenance' }]))
  assert.match(said!, /the file says maintenance \(undo: DELETE \/api\/v1\/endpoints\/127\.0\.0\.1%3A1\/state\)/)
})

test('what the file comes to say itself is no overlay any more: the file decides again', async (context) => {
  const balancer = await start(context, configOf([A]))
  await balancer.setEndpoint({ id: ID, weight: 5 })
  assert.deepEqual(await warningsOf(balancer, configOf([{ url: A, weight: 5 }])), [])
  assert.deepEqual(endpoint(balancer).overlay, {})
  assert.deepEqual(await warningsOf(balancer, configOf([{ url: A, weight: 2 }])), [])
  assert.equal(endpoint(balancer).base.weight, 2)
})

test('where an id stands for several endpoints the way to undo names the pool', async (context) => {
  const pools = {
    web: { endpoints: [{ id: 'x', url: A }] },
    api: { endpoints: [{ id: 'x', url: 'http://127.0.0.1:2' }] },
  }
  const balancer = await start(context, configOf([], { pools }))
  await balancer.setEndpoint({ id: 'x', pool: 'api', weight: 5 })
  assert.match(
    (await warningsOf(balancer, configOf([], { pools }))).join(),
    /undo: evenkeel weight x --pool api --undo/,
  )
})

test('many values set by hand are bounded in what a reload says of them', async (context) => {
  const urls = Array.from({ length: 25 }, (_, index) => `http://127.0.0.1:${index + 1}`)
  const balancer = await start(context, configOf(urls))
  await Promise.all(urls.map((url) => balancer.setEndpoint({ id: url.slice(7), weight: 2 })))
  const warnings = await warningsOf(balancer, configOf(urls))
  assert.equal(warnings.length, 21)
  assert.equal(warnings.at(-1), '5 more values set by hand stay')
})

test('an endpoint that two pools share is one: a change answers with both, and the view names whose check it has', async (context) => {
  const pools = { web: { endpoints: [A] }, api: { endpoints: [A], health: { intervalMs: 60_000 } } }
  const balancer = await start(context, configOf([], { pools }))
  const drained = await balancer.setEndpoint({ id: ID, pool: 'api', state: 'draining' })
  assert.ok(drained.ok)
  assert.deepEqual(drained.endpoint?.pools, ['web', 'api'])
  for (const pool of [0, 1]) {
    const { state, pools: shared, healthPool, overlay } = endpoint(balancer, pool)
    assert.deepEqual([state, shared, healthPool], ['draining', ['web', 'api'], 'api'])
    assert.deepEqual(overlay, { state: 'draining' })
  }
})

test('the log says once what changed', async (context) => {
  const { balancer, log } = await startBalancer(context, configOf([A]), { workerUrl: FIXTURE })
  await balancer.setEndpoint({ id: ID, weight: 5 })
  const said = log.filter(({ event }) => event === 'endpoint-weight').map(({ message }) => message)
  assert.deepEqual(said, [`endpoint '${ID}' (web) weight: 5, was 1`])
})

test('a reload warns of what is doubtful about a config, and a refusal stands until it is taken back', async (context) => {
  const balancer = await start(context, configOf([A]))
  const [warning] = await warningsOf(balancer, configOf([A], { routes: [] }))
  assert.match(warning!, /^warning: routes: there are no routes/)
  assert.equal(balancer.clearRefusal(), false)
  assert.equal((await balancer.reload({} as Config)).ok, false)
  assert.notDeepEqual(balancer.view().config.problems, [])
  assert.equal(balancer.clearRefusal(), true)
  assert.deepEqual(balancer.view().config.problems, [])
})
