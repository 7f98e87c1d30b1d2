/** Bodies on their way to an endpoint: what is kept of them, who is judged slow, and which connections may be used again. */
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type * as net from 'node:net'
import type { Exchange } from '../../src/edge/exchange.ts'
import { type Edge, get, ok, sleep, wire } from '../wire/harness.ts'

const HEAD = 'POST / HTTP/1.1\r\nHost: a\r\n'

/** Every exchange that the worker takes from now on. */
function exchangesOf(edge: Edge): Exchange[] {
  const taken: Exchange[] = []
  const pool = edge.worker.exchanges
  const take = pool.take.bind(pool)
  pool.take = (downstream) => {
    const exchange = take(downstream)
    taken.push(exchange)
    return exchange
  }
  return taken
}

for (const [max, kept] of [
  [0, 0],
  [1, 6000],
] as const)
  wire(`with ${max} repetitions allowed ${kept} bytes of a body are kept for one`, async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      const request = await upstream.requestHead()
      await upstream.body(request)
      upstream.write(ok(String(request.text.length)))
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin], pool: { retries: { max } } })
    const exchanges = exchangesOf(edge)
    const client = await edge.connect()
    client.write(`${HEAD}Content-Length: 8000\r\n\r\n${'x'.repeat(2000)}`)
    await origin.connections(1)
    for (let i = 0; i < 2; i++) {
      const before = edge.counter('BYTES_RECEIVED')
      client.write('x'.repeat(2000))
      while (edge.counter('BYTES_RECEIVED') === before) await sleep(1)
    }
    assert.equal(exchanges[0]!.bodyBytes, kept)
    assert.equal(exchanges[0]!.canReplay, max > 0)
    client.write('x'.repeat(2000))
    assert.equal((await client.answer()).text, '8000')
  })

wire('an idle exchange holds on to no endpoint', async (lab) => {
  const edge = await lab.edge({ origins: [await lab.origin()] })
  const exchanges = exchangesOf(edge)
  assert.equal((await edge.ask(get())).text, 'ok')
  const [exchange] = exchanges
  assert.equal(exchange!.attempt, null)
  const spare = exchange!.takeSpareAttempt()
  assert.ok(spare, 'the object is kept for the next request')
  assert.equal(spare.upstream, null)
  // Without an endpoint there is nothing that its failure could be held against.
  spare.failed(0)
  assert.deepEqual(edge.counted, {})
})

wire('a connection with unsent bytes of its request is never used again', async (lab) => {
  const origin = await lab.origin(async (upstream, index) => {
    await upstream.requestHead()
    upstream.stopReading()
    if (index < 2) return
    upstream.discard()
  })
  const edge = await lab.edge({ origins: [origin] })
  const sockets: net.Socket[] = []
  const onSocket = (message: unknown): void => void sockets.push((message as { socket: net.Socket }).socket)
  subscribe('net.client.socket', onSocket)
  try {
    const received = (): number => edge.counter('BYTES_RECEIVED')
    const settle = async (): Promise<void> => {
      for (let last = -1; last !== received(); await sleep(60)) last = received()
    }
    const upload = async (size: number): Promise<net.Socket> => {
      const wires = origin.wires.length
      const client = await edge.connect()
      client.write(`${HEAD}Content-Length: ${size}\r\n\r\n`)
      await origin.connections(wires + 1)
      const upstream = sockets.find(
        (socket) => socket.remotePort === origin.port && socket.localPort === origin.wires[wires]!.socket.remotePort,
      )
      void client.pour(Buffer.alloc(65_536), size)
      await settle()
      return upstream!
    }
    // How much is read of a client whose endpoint reads nothing, and then uploads that end about there.
    const before = received()
    await upload(64 * 1024 * 1024)
    const most = received() - before
    let isHit = false
    for (let i = 0; i < 24 && !isHit; i++) {
      const from = received()
      const size = most - i * 24 * 1024
      const upstream = await upload(size)
      isHit = upstream.writableLength > 0 && received() - from > size
      if (!isHit) continue
      // The request was read to its end, and the endpoint has yet to take the last of it.
      origin.wires.at(-1)!.write(ok('early'))
      while (edge.counter('RESPONSES_2XX') === 0) await sleep(1)
      assert.equal(upstream.destroyed, true)
    }
    assert.ok(isHit, 'no upload ended with its last bytes unsent')
  } finally {
    unsubscribe('net.client.socket', onSocket)
    // A client that is not read is seen to leave only when its endpoint takes something again, or goes.
    for (const one of origin.wires) one.close()
  }
})
