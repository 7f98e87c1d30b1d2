import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { atOnce, eachInSteps, inSlices } from '../../src/control/slices.ts'
import { EndpointTable } from '../../src/memory/endpoint-table.ts'
import { block } from '../pool/servers.ts'
import { configOf, startBalancer } from './balancers.ts'

const FIXTURE = new URL('./fixtures/seat-worker.ts', import.meta.url)

test('long work leaves the loop to others in between, and does all of it', async () => {
  let turns = 0
  let isDone = false
  const counting = (async () => {
    while (!isDone) {
      await turn()
      turns += 1
    }
  })()
  let items = 0
  await inSlices(
    eachInSteps(
      Array.from({ length: 5120 }, (_, index) => index),
      () => {
        items += 1
        if (items % 256 === 0) block(2)
      },
    ),
  )
  isDone = true
  await counting
  assert.equal(items, 5120)
  assert.ok(turns >= 6, `${turns} turns in 40 ms`)
})

test('the same steps can be run at once, and give what they return', () => {
  function* steps(): Generator<void, string> {
    yield
    yield
    return 'done'
  }
  assert.equal(atOnce(steps()), 'done')
})

test('what is changed by hand while a large reload is under way is not lost to it', async (context) => {
  const urls = Array.from({ length: 3000 }, (_, index) => `http://10.0.${index >> 8}.${index & 255}:80`)
  const settle = { workerUrl: FIXTURE }
  const { balancer } = await startBalancer(context, configOf(urls), settle)
  let isReloading = true
  const reload = balancer.reload(configOf(urls.map((url) => ({ url, weight: 2 })))).finally(() => {
    isReloading = false
  })
  const changes: ReturnType<typeof balancer.setEndpoint>[] = []
  while (isReloading && changes.length < urls.length) {
    changes.push(balancer.setEndpoint({ id: urls[changes.length]!.slice(7), weight: 9 }))
    await turn()
  }
  assert.ok((await reload).ok)
  for (const { ok } of await Promise.all(changes)) assert.equal(ok, true)
  assert.ok(changes.length > 3, 'the reload took some turns')
  const table = new EndpointTable(balancer.memory)
  for (const [index, { slot, overlay, base }] of balancer.view().pools[0]!.endpoints.entries()) {
    const weight = index < changes.length ? 9 : 2
    assert.equal(table.weight[slot], weight, urls[index])
    assert.deepEqual([overlay, base.weight], [weight === 9 ? { weight } : {}, 2])
  }
})
