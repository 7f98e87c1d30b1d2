/**
 * A drain closed idle connections at once. Requests that were on their way to them, or in the kernel already, were read and
 * thrown away: at 1000 requests a second a stop lost some 25 of them.
 */
import assert from 'node:assert/strict'
import { get, sleep, wire } from '../wire/harness.ts'

wire('a request that comes right after a drain began is answered, with connection: close', async (lab) => {
  const edge = await lab.edge({ origins: [await lab.origin()] })
  const [used, fresh, quiet] = [await edge.connect(), await edge.connect(), await edge.connect()]
  used.write(get())
  assert.equal((await used.answer()).status, 200)
  edge.worker.command({ type: 'drain', deadlineMs: 10_000 })
  await sleep(20)
  for (const client of [used, fresh]) {
    client.write(get())
    const answer = await client.answer()
    assert.equal(answer.status, 200)
    assert.equal(answer.field('connection'), 'close')
    assert.equal(await client.ending(), 'fin')
  }
  assert.equal(await quiet.ending(), 'fin', 'whoever asks nothing is closed as well')
})
