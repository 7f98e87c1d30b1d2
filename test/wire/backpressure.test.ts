/** Whoever does not read costs a bounded amount of memory, and nobody else a moment. */
import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { ERROR_INDEX } from '../../src/core/errors.ts'
import { type Edge, eventually, get, ok, sleep, Wire, wire } from './harness.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const MIB = 1024 * 1024
const PIECE = Buffer.alloc(65_536, 'x')
const HUGE = 200 * MIB
/**
 * Buffers of the kernel on both ways (up to 4 MiB of sending and 32 MiB of receiving side, by tcp_wmem and tcp_rmem), and what
 * the worker itself may hold; far from the size of the body.
 */
const BOUND = 90 * MIB

/** Bytes that left a wire, as far as the kernel took them. */
function taken(wire: Wire): number {
  return wire.socket.bytesWritten - wire.socket.writableLength
}

/** Waits until nothing more is taken, and returns how much was. */
async function untilStalled(speaker: Wire): Promise<number> {
  let last = -1
  await eventually(() => taken(speaker) > 0, 'some bytes')
  for (;;) {
    const now = taken(speaker)
    if (now === last) return now
    last = now
    await sleep(150)
  }
}

/** Memory outside of the heap that this process holds after a collection. */
async function outsideBytes(): Promise<number> {
  collect()
  await sleep(20)
  return process.memoryUsage().arrayBuffers
}

/** Answers requests for `/other` until another one comes. */
async function afterOthers(upstream: Wire): Promise<void> {
  while ((await upstream.requestHead()).target === '/other') upstream.write(ok('other'))
}

async function othersAreServed(edge: Edge): Promise<void> {
  for (let i = 0; i < 3; i++) {
    const began = performance.now()
    assert.equal((await edge.ask(get('/other'))).text, 'other')
    assert.ok(performance.now() - began < 2000)
  }
}

for (const [framing, head, wrap] of [
  ['of known length', `HTTP/1.1 200 OK\r\nContent-Length: ${HUGE}\r\n\r\n`, PIECE],
  ['until the close', 'HTTP/1.1 200 OK\r\n\r\n', PIECE],
  [
    'in chunks',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    Buffer.from(`10000\r\n${PIECE.toString()}\r\n`),
  ],
] as const)
  wire(`a client that never reads an answer ${framing} holds a bounded part of it`, async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await afterOthers(upstream)
      upstream.write(head)
      await upstream.pour(wrap, HUGE)
    })
    const edge = await lab.edge({ origins: [origin] })
    const before = await outsideBytes()
    const client = await edge.connect()
    client.stopReading()
    client.write(get())
    await origin.connections(1)
    const [upstream] = origin.wires
    const held = await untilStalled(upstream!)
    assert.ok(held < BOUND, `${held} bytes were taken`)
    const grown = (await outsideBytes()) - before
    assert.ok(grown < 16 * MIB, `${grown} bytes more than before`)
    await othersAreServed(edge)
    assert.equal(taken(upstream!), held, 'still waiting')
  })

wire('a client that reads late gets everything all the same', async (lab) => {
  const size = 60 * MIB
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    upstream.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
    await upstream.pour(PIECE, size)
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get())
  await client.answerHead()
  client.discard()
  for (let i = 0; i < 10; i++) {
    client.stopReading()
    await sleep(20)
    client.startReading()
    await sleep(20)
  }
  const before = client.receivedBytes
  await client.until(
    () => client.receivedBytes >= size,
    () => `${client.receivedBytes} of ${size}, ${before}`,
  )
  assert.deepEqual(edge.counted, {})
})

for (const framing of ['of known length', 'in chunks'] as const)
  wire(`an endpoint that never reads an upload ${framing} holds a bounded part of it`, async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await afterOthers(upstream)
      upstream.stopReading()
      await upstream.until(() => upstream.isClosed, 'the end').catch(() => {})
    })
    const edge = await lab.edge({ origins: [origin] })
    const before = await outsideBytes()
    const client = await edge.connect()
    if (framing === 'in chunks') {
      client.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
      void client.pour(Buffer.from(`10000\r\n${PIECE.toString()}\r\n`), HUGE)
    } else {
      client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${HUGE}\r\n\r\n`)
      void client.pour(PIECE, HUGE)
    }
    const held = await untilStalled(client)
    assert.ok(held < BOUND, `${held} bytes were taken`)
    const grown = (await outsideBytes()) - before
    assert.ok(grown < 16 * MIB, `${grown} bytes more than before`)
    await othersAreServed(edge)
    assert.equal(taken(client), held, 'still waiting')
    // Nobody reads a client that has to wait, so its end is noticed when the endpoint goes on.
    client.reset()
    for (const upstream of origin.wires) {
      upstream.discard()
      upstream.startReading()
    }
    await edge.quiet()
  })

wire('an endpoint that reads late gets everything all the same', async (lab) => {
  const size = 60 * MIB
  const origin = await lab.origin(async (upstream) => {
    await upstream.requestHead()
    upstream.discard()
    const before = upstream.receivedBytes
    for (let i = 0; i < 10; i++) {
      upstream.stopReading()
      await sleep(20)
      upstream.startReading()
      await sleep(20)
    }
    await upstream.until(() => upstream.receivedBytes - before >= size - 65_536, 'the body')
    upstream.write(ok())
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`)
  await client.pour(PIECE, size)
  assert.equal((await client.answer()).text, 'ok')
})

wire('an upload to an endpoint that is yet to be connected to is held in a bounded part', async (lab) => {
  // The upstream stands in for a connect that takes as long as the test wants.
  const fail: (() => void)[] = []
  const edge = await lab.edge({
    origins: [{ kind: 'ip', host: '127.0.0.1', port: 1, ipv6Only: false }],
    connect: (_context, endpoint) => ({
      usedAt: 0,
      isUsable: true,
      start(attempt) {
        fail.push(() => {
          attempt.failed(ERROR_INDEX.EK_CONNECT_FAILED)
          this.close()
        })
      },
      data: () => true,
      end() {},
      pause() {},
      resume() {},
      cancel() {
        this.close()
      },
      close() {
        endpoint.connections.closed(this)
      },
    }),
  })
  const client = await edge.connect()
  client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${HUGE}\r\n\r\n`)
  const before = await outsideBytes()
  void client.pour(PIECE, HUGE)
  const held = await untilStalled(client)
  assert.ok(held < BOUND, `${held} bytes were taken`)
  assert.ok((await outsideBytes()) - before < 16 * MIB)
  fail[0]!()
  assert.equal((await client.answer()).status, 502)
})

wire('a client that asks and asks and never reads is not answered for ever', async (lab) => {
  const body = 'y'.repeat(3000)
  const origin = await lab.origin(async (upstream) => {
    for (;;) {
      const request = await upstream.request()
      upstream.write(ok(request.target === '/other' ? 'other' : body))
    }
  })
  const edge = await lab.edge({ origins: [origin] })
  const before = await outsideBytes()
  const client = await edge.connect()
  client.stopReading()
  const requests = Buffer.from(get().repeat(1000))
  void client.pour(requests, requests.length * 20)
  let answered = -1
  while (edge.counter('EXCHANGES') !== answered) {
    answered = edge.counter('EXCHANGES')
    await sleep(300)
  }
  assert.ok(answered < 10_000, `${answered} of 20 000 answered`)
  const grown = (await outsideBytes()) - before
  assert.ok(grown < 24 * MIB, `${grown} bytes more than before`)
  await othersAreServed(edge)
  // It was only held back.
  client.discard()
  client.startReading()
  await client.until(
    () => client.receivedBytes >= 20_000 * 3000,
    () => `${client.receivedBytes}`,
  )
})

wire('neither is one whose requests all fail', async (lab) => {
  const edge = await lab.edge({ routes: [] })
  const client = await edge.connect()
  client.stopReading()
  const requests = Buffer.from(get().repeat(1000))
  void client.pour(requests, requests.length * 200)
  let answered = -1
  while (edge.counter('EXCHANGES') !== answered) {
    answered = edge.counter('EXCHANGES')
    await sleep(300)
  }
  assert.ok(answered < 150_000, `${answered} of 200 000 answered`)
})

wire('forty slow clients share what the worker may hold', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await afterOthers(upstream)
    upstream.write(`HTTP/1.1 200 OK\r\nContent-Length: ${HUGE}\r\n\r\n`)
    await upstream.pour(PIECE, HUGE)
  })
  const edge = await lab.edge({ origins: [origin] })
  const before = await outsideBytes()
  for (let i = 0; i < 40; i++) {
    const client = await edge.connect()
    client.stopReading()
    client.write(get())
  }
  await origin.connections(40)
  await sleep(1000)
  // Of this process, that is also of the forty origins: each holds the piece that it could not write.
  const grown = (await outsideBytes()) - before
  assert.ok(grown < 40 * MIB, `${grown} bytes more than before`)
  await othersAreServed(edge)
})

wire('buffers of large answers come back, whoever leaves in the middle', async (lab) => {
  const size = 50_000_000
  const origin = await lab.origin(async (upstream) => {
    for (;;) {
      const { target } = await upstream.requestHead()
      upstream.write(`HTTP/1.1 200 OK\r\n${target === '/close' ? '' : `Content-Length: ${size}\r\n`}\r\n`)
      await upstream.pour(PIECE, size)
      if (target === '/close') return upstream.end()
    }
  })
  const edge = await lab.edge({ origins: [origin] })
  const held: number[] = []
  for (let round = 0; round < 3; round++) {
    const leave = async (index: number): Promise<void> => {
      // Not by the lab, which would hold on to it.
      const client = await Wire.connect({ host: '127.0.0.1', port: edge.ports.get('public')! })
      client.write(get(index % 2 === 0 ? '/' : '/close'))
      client.discard()
      await client.until(() => client.receivedBytes > 300_000 * (index + 1), 'some of it')
      if (index % 3 === 0) {
        client.stopReading()
        await sleep(30)
      }
      if (index % 4 === 0) client.close()
      else client.reset()
    }
    await Promise.all(Array.from({ length: 20 }, (_, index) => leave(index)))
    await edge.quiet()
    origin.wires.length = 0
    held.push(await outsideBytes())
  }
  assert.ok(held[2]! - held[0]! < MIB, held.join(' '))
})
