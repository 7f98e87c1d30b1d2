/** Upgrade: two flows of bytes that nobody looks into. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { WebSocket, WebSocketServer } from 'ws'
import {
  answering,
  type Edge,
  eventually,
  get,
  type Lab,
  type Origin,
  ok,
  type Script,
  sleep,
  type Wire,
  waiting,
  wire,
} from './harness.ts'

const ASK = get('/ws', 'Connection: Upgrade\r\nUpgrade: echo/1\r\nX-A: 1\r\n')
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\nX-B: 2\r\n\r\n'

/** A tunnel that stands, seen from both ends. */
async function tunnel(
  lab: Lab,
  script: Script,
  options: Parameters<Lab['edge']>[0] = {},
): Promise<{ client: Wire; edge: Edge; origin: Origin; upstream: Wire }> {
  const origin = await lab.origin(async (upstream, index) => {
    await upstream.requestHead()
    upstream.write(SWITCH)
    await script(upstream, index)
  })
  const edge = await lab.edge({ origins: [origin], ...options })
  const client = await edge.connect()
  client.write(ASK)
  const answer = await client.answerHead()
  assert.equal(answer.status, 101)
  return { client, edge, origin, upstream: origin.wires[0]! }
}

/** Nothing was taken for a while. */
const seen = new WeakMap<Wire, { taken: number; since: number }>()
function stalled(speaker: Wire): boolean {
  const taken = speaker.socket.bytesWritten - speaker.socket.writableLength
  const before = seen.get(speaker)
  if (before === undefined || before.taken !== taken || speaker.socket.writableLength === 0) {
    seen.set(speaker, { taken, since: performance.now() })
    return false
  }
  return performance.now() - before.since > 100
}

waiting('tunnels', () => {
  wire('the handshake passes in both directions, with our own Connection and Upgrade', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      const request = await upstream.requestHead()
      assert.equal(request.field('connection'), 'upgrade')
      assert.equal(request.field('upgrade'), 'echo/1')
      assert.equal(request.field('x-a'), '1')
      upstream.write(SWITCH)
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(ASK)
    const answer = await client.answer()
    assert.equal(answer.startLine, 'HTTP/1.1 101 Switching Protocols')
    assert.equal(answer.field('connection'), 'upgrade')
    assert.equal(answer.field('upgrade'), 'echo/1')
    assert.equal(answer.field('x-b'), '2')
    await eventually(() => edge.counter('TUNNELS_OPEN') === 1, 'a tunnel')
    assert.equal(edge.counter('RESPONSES_1XX'), 0, 'counted when it is over')
    client.close()
    await edge.quiet()
    assert.equal(edge.counter('RESPONSES_1XX'), 1)
    assert.deepEqual(edge.counted, {}, 'a client that leaves its tunnel is no error')
  })

  wire('bytes pass untouched in both directions, whatever they look like', async (lab) => {
    const { client } = await tunnel(lab, async (upstream) => {
      for (;;) upstream.write(await upstream.bytes(1))
    })
    const noise = Buffer.concat([Buffer.from(`${get()}0\r\n\r\n`), randomBytes(100_000), Buffer.from(ok())])
    for (let at = 0; at < noise.length; at += 7919) client.write(noise.subarray(at, at + 7919))
    assert.ok((await client.bytes(noise.length)).equals(noise))
  })

  wire('bytes right behind the handshake are the first of the tunnel, in both directions', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.requestHead()
      upstream.write(`${SWITCH}from the origin`)
      assert.equal(await upstream.text(15), 'from the client')
      upstream.write('!')
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(`${ASK}from the client`)
    await client.answerHead()
    assert.equal(await client.text(16), 'from the origin!')
  })

  wire('bytes that come before the origin has agreed wait for it', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.requestHead()
      await upstream.silence(60)
      upstream.write(SWITCH)
      upstream.write(await upstream.bytes(9))
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    await client.writeSlowly([ASK, 'tick,', 'tack'], 20)
    await client.answerHead()
    assert.equal(await client.text(9), 'tick,tack')
  })

  wire('a refused upgrade is an answer like any other', async (lab) => {
    const origin = await lab.origin(answering((_request, index) => (index === 0 ? ok('no') : ok('next'))))
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(ASK)
    assert.equal((await client.answer()).text, 'no')
    client.write(get())
    assert.equal((await client.answer()).text, 'next')
    assert.equal(edge.counter('TUNNELS'), 0)
    assert.equal(origin.wires.length, 1)
  })

  for (const [title, request, answer] of [
    ['that nobody asked for', get(), SWITCH],
    ['to another protocol', ASK, SWITCH.replaceAll('echo/1', 'other/2')],
    ['to no protocol', ASK, 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n'],
    ['to one that HTTP/1.0 cannot ask for', ASK.replace('HTTP/1.1', 'HTTP/1.0'), SWITCH],
  ] as const)
    wire(`a switch ${title} is a 502`, async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        await upstream.requestHead()
        upstream.write(`${answer}secret`)
        await upstream.ending()
      })
      const edge = await lab.edge({ origins: [origin] })
      const client = await edge.connect()
      client.write(request)
      const refusal = await client.answer()
      assert.equal(refusal.status, 502)
      assert.match(refusal.text, /EK_UNEXPECTED_UPGRADE/)
      assert.notEqual(await origin.wires[0]!.ending(), 'open')
      assert.equal(edge.errors('EK_UNEXPECTED_UPGRADE'), 1)
    })

  wire('a switch before a chunked request has ended is a 502: its bytes would be taken for the tunnel', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.requestHead()
      upstream.write(SWITCH)
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo/1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
    )
    assert.equal((await client.answer()).status, 502)
    assert.equal(edge.errors('EK_UNEXPECTED_UPGRADE'), 1)
  })

  wire('one of several offers may be taken, whatever its case', async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.requestHead()
      upstream.write(SWITCH.replaceAll('echo/1', 'WebSocket'))
      upstream.write(await upstream.bytes(2))
      await upstream.ending()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(get('/', 'Connection: upgrade\r\nUpgrade: other/1, websocket\r\n'))
    assert.equal((await client.answerHead()).field('upgrade'), 'WebSocket')
  })

  wire("the client's end of its side is passed on, and the endpoint may go on", async (lab) => {
    const { client, upstream } = await tunnel(lab, async (script) => {
      assert.equal(await script.rest(), 'last words')
      script.write('answer')
      await sleep(30)
      script.write(' and more')
      script.end()
    })
    client.write('last words')
    client.end()
    assert.equal(await client.rest(), 'answer and more')
    assert.equal(client.ended, 'fin')
    assert.equal(upstream.ended, 'fin')
  })

  wire("the client's end behind its handshake is passed on as well", async (lab) => {
    const origin = await lab.origin(async (upstream) => {
      await upstream.requestHead()
      await sleep(30)
      upstream.write(SWITCH)
      assert.equal(await upstream.rest(), 'all I say')
      upstream.write('heard')
      upstream.end()
    })
    const edge = await lab.edge({ origins: [origin] })
    const client = await edge.connect()
    client.write(`${ASK}all I say`)
    client.end()
    await client.answerHead()
    assert.equal(await client.rest(), 'heard')
  })

  wire("the endpoint's end ends the tunnel, behind everything that it sent", async (lab) => {
    const last = 'x'.repeat(300_000)
    const { client, edge } = await tunnel(lab, (upstream) => {
      upstream.write(last)
      upstream.end()
    })
    assert.equal((await client.rest()).length, last.length)
    assert.equal(client.ended, 'fin')
    await eventually(() => edge.counter('TUNNELS_OPEN') === 0, 'the tunnel to end')
  })

  wire('an endpoint that ends while it does not read is let go all the same', async (lab) => {
    const { client, edge, upstream } = await tunnel(lab, (script) => script.stopReading())
    void client.pour(Buffer.alloc(65_536), 64 * 1024 * 1024)
    await eventually(() => stalled(client), 'the client to be held back')
    upstream.end()
    await client.ending()
    client.close()
    await edge.zero()
  })

  wire('a reset of the endpoint ends the tunnel', async (lab) => {
    const { client, upstream } = await tunnel(lab, () => {})
    upstream.reset()
    assert.notEqual(await client.ending(), 'open')
  })

  wire('a reset of the client ends the tunnel', async (lab) => {
    const { client, upstream } = await tunnel(lab, () => {})
    client.reset()
    assert.notEqual(await upstream.ending(), 'open')
  })

  wire('a silent tunnel ends after its idle time', async (lab) => {
    const { client, edge, upstream } = await tunnel(lab, () => {}, { timeouts: { tunnelIdleMs: 150 } })
    const began = performance.now()
    assert.notEqual(await client.ending(), 'open')
    assert.ok(performance.now() - began >= 100)
    assert.notEqual(await upstream.ending(), 'open')
    assert.deepEqual(edge.counted, { EK_TUNNEL_IDLE: 1 })
  })

  for (const direction of ['client', 'endpoint'] as const)
    wire(`bytes of the ${direction} alone keep a tunnel alive`, async (lab) => {
      const { client, edge, upstream } = await tunnel(lab, () => {}, { timeouts: { tunnelIdleMs: 400 } })
      const speaker = direction === 'client' ? client : upstream
      for (let i = 0; i < 12; i++) {
        speaker.write('.')
        await sleep(60)
      }
      assert.equal(client.ended, 'open')
      assert.deepEqual(edge.counted, {})
      await client.ending()
      assert.deepEqual(edge.counted, { EK_TUNNEL_IDLE: 1 })
    })

  wire('a tunnel outlives every other timeout', async (lab) => {
    const timeouts = { headMs: 50, bodyIdleMs: 50, keepAliveMs: 50, halfCloseMs: 50 }
    const pool = { timeouts: { firstByteMs: 50, responseIdleMs: 50, keepAliveMs: 50, connectMs: 500 } }
    const { client } = await tunnel(
      lab,
      async (upstream) => {
        for (;;) upstream.write(await upstream.bytes(1))
      },
      { timeouts, pool },
    )
    await client.silence(300)
    client.write('x')
    assert.equal(await client.text(1), 'x')
  })

  wire('the slower side of a tunnel holds back the faster one, in both directions', async (lab) => {
    const { client, upstream } = await tunnel(lab, () => {})
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      to.stopReading()
      const total = 48 * 1024 * 1024
      const before = to.receivedBytes
      to.discard()
      const poured = from.pour(Buffer.alloc(65_536), total)
      await eventually(() => stalled(from), 'the speaker to be held back')
      assert.ok(from.socket.bytesWritten - from.socket.writableLength < 40 * 1024 * 1024)
      to.startReading()
      await poured
      await to.until(() => to.receivedBytes - before >= total, 'everything')
    }
  })

  wire('1000 echoes through a WebSocket server and client come back the same', async (lab) => {
    const address = { kind: 'unix' as const, path: lab.path('ws.sock') }
    const server = new WebSocketServer({ noServer: true, perMessageDeflate: true })
    const { createServer } = await import('node:http')
    const http = createServer()
    http.on('upgrade', (request, socket, head) => {
      server.handleUpgrade(request, socket, head, (peer) => {
        peer.on('message', (data, isBinary) => peer.send(data, { binary: isBinary }))
      })
    })
    await new Promise<void>((resolve) => http.listen(address.path, resolve))
    const edge = await lab.edge({ origins: [address] })
    const client = new WebSocket(`ws://127.0.0.1:${edge.ports.get('public')}/chat`)
    await new Promise<void>((resolve, reject) => {
      client.on('open', resolve)
      client.on('error', reject)
    })
    const sent: Buffer[] = []
    const came: Buffer[] = []
    client.on('message', (data: Buffer) => came.push(data))
    for (let i = 0; i < 1000; i++) {
      const data = randomBytes(i % 97 === 0 ? 70_000 : i % 300)
      sent.push(data)
      client.send(data, { binary: true })
    }
    await eventually(
      () => came.length === 1000,
      () => `1000 echoes, not ${came.length}`,
    )
    assert.ok(came.every((data, index) => data.equals(sent[index]!)))
    client.close(1000, 'bye')
    await new Promise((resolve) => client.on('close', resolve))
    await edge.quiet()
    assert.deepEqual(edge.counted, {})
    await new Promise((resolve) => http.close(resolve))
  })

  wire('a client that may be gone keeps its tunnel for a short time only, unless the endpoint speaks', async (lab) => {
    const { client, edge, upstream } = await tunnel(
      lab,
      async (script) => {
        await script.ending()
        for (let i = 0; i < 8; i++) {
          script.write('.')
          await sleep(50)
        }
        await script.until(() => script.isClosed, 'the end of the tunnel')
      },
      { timeouts: { halfCloseMs: 150 } },
    )
    client.end()
    await client.bytes(8)
    await client.ending()
    await edge.quiet()
    assert.deepEqual(edge.counted, {})
    assert.equal(upstream.receivedBytes > 0, true)
  })
})
