/**
 * An endpoint that is killed drops all its kept connections at once, and a worker hears of them one by one. A GET whose
 * connection had died was repeated on the next dead one of the same endpoint (which looked like the least loaded), until
 * its tries were used up: 502, with two healthy endpoints beside it.
 */
import assert from 'node:assert/strict'
import { get, ok, sleep, wire } from '../wire/harness.ts'

wire('a repeat runs into no second kept connection that died with the first', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    await sleep(50)
    upstream.write(ok())
    await upstream.requestHead()
    upstream.close()
  })
  const edge = await lab.edge({ origins: [origin] })
  await Promise.all(Array.from({ length: 6 }, () => edge.ask(get())))
  assert.equal(origin.wires.length, 6)
  assert.equal((await edge.ask(get())).status, 200)
  assert.equal(origin.wires.length, 7, 'it went on a new connection')
  assert.equal(edge.counter('REPLAYS'), 1)
})
