/** An open tunnel was counted as an open exchange as well, so a stop said that twice as many were cut off as there were. */
import assert from 'node:assert/strict'
import { eventually, get, wire } from '../wire/harness.ts'

wire('an open tunnel is no open exchange', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.requestHead()
    upstream.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n')
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get('/', 'Connection: Upgrade\r\nUpgrade: echo/1\r\n'))
  assert.equal((await client.answerHead()).status, 101)
  assert.equal(edge.counter('TUNNELS_OPEN'), 1)
  assert.equal(edge.counter('EXCHANGES_OPEN'), 0)
  client.close()
  await eventually(() => edge.counter('TUNNELS_OPEN') === 0, 'the tunnel to end')
  assert.equal(edge.counter('EXCHANGES_OPEN'), 0)
})
