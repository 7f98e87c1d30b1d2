/** A worker that was held up judges nobody by a clock that went on without it. Alone in its file, as it holds up everything. */
import assert from 'node:assert/strict'
import { answering, get, ok, sleep, wire } from './harness.ts'

/** A long collection, or a machine that stood still. */
function holdUp(ms: number): void {
  const began = performance.now()
  while (performance.now() - began < ms);
}

for (const limitMs of [300, 1100])
  wire(`what of a body came within its ${limitMs} ms came in time`, async (lab) => {
    const origin = await lab.origin()
    const edge = await lab.edge({ origins: [origin], timeouts: { bodyIdleMs: limitMs } })
    const client = await edge.connect()
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n12')
    await sleep(100)
    client.write('34')
    holdUp(limitMs + 400)
    assert.equal((await client.answer()).status, 200)
    assert.deepEqual(edge.counted, {})
  })

wire('so did an answer', async (lab) => {
  const origin = await lab.origin(
    answering(async () => {
      await sleep(100)
      return ok()
    }),
  )
  const edge = await lab.edge({ origins: [origin], pool: { timeouts: { firstByteMs: 400, responseIdleMs: 400 } } })
  const client = await edge.connect()
  client.write(get())
  await origin.connections(1)
  while (origin.wires[0]!.socket.bytesWritten === 0) await sleep(1)
  holdUp(800)
  assert.equal((await client.answer()).text, 'ok')
  assert.deepEqual(edge.counted, {})
})
