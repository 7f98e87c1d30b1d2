/** Every timeout: its own error, status and counter, never early, and nothing stays open behind it. */
import assert from 'node:assert/strict'
import * as net from 'node:net'
import { Worker } from 'node:worker_threads'
import type { SocketAddress } from '../../src/core/address.ts'
import { answering, chunked, type Edge, get, type Lab, ok, post, sleep, type Wire, waiting, wire } from './harness.ts'

/** Long enough to be told apart from no wait at all on a busy machine. */
const SHORT_MS = 150
/** Beyond a second the coarse clock counts. */
const COARSE_MS = 1100

/** The answer, and that it took at least `ms`. */
async function answerAfter(client: Wire, ms: number, code: string, status: number): Promise<void> {
  const began = performance.now()
  const answer = await client.answer()
  assert.ok(performance.now() - began >= ms - 60, `after ${performance.now() - began} ms`)
  assert.equal(answer.status, status)
  assert.match(answer.text, new RegExp(`\\(${code}\\)\n`))
}

function only(edge: Edge, code: string): void {
  assert.deepEqual(edge.counted, { [code]: 1 })
}

/** An origin that takes everything and says nothing. */
function silent(lab: Lab): ReturnType<Lab['origin']> {
  return lab.origin(async (upstream) => {
    upstream.discard()
    await upstream.ending()
  })
}

/** An address whose queue of connections is full: to connect there takes for ever. */
async function blackHole(): Promise<{ address: SocketAddress; free: () => Promise<void> }> {
  const code = `
    const { parentPort } = require('node:worker_threads')
    const server = require('node:net').createServer()
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      parentPort.postMessage(server.address().port)
      // Never back to the loop, so nothing is ever accepted.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    })`
  const worker = new Worker(code, { eval: true })
  const port = await new Promise<number>((resolve) => {
    worker.once('message', resolve)
  })
  const fillers: net.Socket[] = []
  for (let i = 0; i < 20; i++) {
    const filler = net.connect({ port, host: '127.0.0.1' })
    filler.on('error', () => {})
    fillers.push(filler)
    const isConnected = await Promise.race([
      new Promise<boolean>((resolve) => {
        filler.once('connect', () => resolve(true))
      }),
      sleep(150).then(() => false),
    ])
    if (!isConnected) break
  }
  return {
    address: { kind: 'ip', host: '127.0.0.1', port, ipv6Only: false },
    free: async () => {
      for (const filler of fillers) filler.destroy()
      await worker.terminate()
    },
  }
}

waiting('timeouts', () => {
  waiting('the head of a request', () => {
    for (const headMs of [SHORT_MS, COARSE_MS])
      wire(`that stops coming is a 408 after ${headMs} ms`, async (lab) => {
        const edge = await lab.edge({ timeouts: { headMs } })
        const client = await edge.connect()
        client.write('GET / HTTP/1.1\r\nHost')
        await answerAfter(client, headMs, 'EK_HEAD_TIMEOUT', 408)
        assert.equal(await client.ending(), 'fin')
        only(edge, 'EK_HEAD_TIMEOUT')
      })

    wire('that comes in drops is a 408 all the same', async (lab) => {
      const edge = await lab.edge({ timeouts: { headMs: 300 } })
      const client = await edge.connect()
      const drip = client.writeSlowly(`GET /${'x'.repeat(100)}`, 20)
      await answerAfter(client, 200, 'EK_HEAD_TIMEOUT', 408)
      only(edge, 'EK_HEAD_TIMEOUT')
      await drip
    })

    wire('has its time from its first byte, not from the connection', async (lab) => {
      const origin = await lab.origin()
      const edge = await lab.edge({ origins: [origin], timeouts: { headMs: 400 } })
      const client = await edge.connect()
      await sleep(250)
      await client.writeSlowly(['GET / HTTP/1.1\r\n', 'Host: a\r\n\r\n'], 250)
      assert.equal((await client.answer()).status, 200)
    })

    wire('has its time anew for the next request', async (lab) => {
      const origin = await lab.origin()
      const edge = await lab.edge({ origins: [origin], timeouts: { headMs: 200 } })
      const client = await edge.connect()
      client.write(get())
      await client.answer()
      await sleep(300)
      client.write('GET /')
      await answerAfter(client, 200, 'EK_HEAD_TIMEOUT', 408)
      only(edge, 'EK_HEAD_TIMEOUT')
    })
  })

  waiting('a connection without a request', () => {
    wire('closes silently after the time for a head', async (lab) => {
      const edge = await lab.edge({ timeouts: { headMs: SHORT_MS } })
      const client = await edge.connect()
      assert.equal(await client.rest(), '')
      assert.equal(client.ended, 'fin')
      assert.deepEqual(edge.counted, {})
    })

    wire('of which only empty lines come closes as well', async (lab) => {
      const edge = await lab.edge({ timeouts: { headMs: SHORT_MS } })
      const client = await edge.connect()
      const drip = client.writeSlowly('\r\n'.repeat(10), 20)
      assert.notEqual(await client.ending(), 'open')
      await drip
    })

    for (const keepAliveMs of [SHORT_MS, COARSE_MS])
      wire(`that had one closes silently after ${keepAliveMs} ms`, async (lab) => {
        const origin = await lab.origin()
        const edge = await lab.edge({ origins: [origin], timeouts: { keepAliveMs } })
        const client = await edge.connect()
        client.write(get())
        await client.answer()
        const began = performance.now()
        assert.equal(await client.rest(), '')
        assert.equal(client.ended, 'fin')
        assert.ok(performance.now() - began >= keepAliveMs - 300)
        assert.deepEqual(edge.counted, {})
      })
  })

  waiting('the body of a request', () => {
    for (const [framing, start] of [
      ['of known length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf'],
      ['in chunks', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
      ['of which nothing comes', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n'],
    ] as const)
      wire(`${framing} that stops coming is a 408`, async (lab) => {
        const origin = await silent(lab)
        const edge = await lab.edge({ origins: [origin], timeouts: { bodyIdleMs: SHORT_MS } })
        const client = await edge.connect()
        client.write(start)
        await answerAfter(client, SHORT_MS, 'EK_BODY_TIMEOUT', 408)
        assert.equal(await client.ending(), 'fin')
        assert.notEqual(await origin.wires[0]!.ending(), 'open')
        only(edge, 'EK_BODY_TIMEOUT')
        assert.equal(edge.table.snapshot(0).failures, 0, 'which is not the fault of the endpoint')
      })

    wire('that keeps coming has all the time it needs', async (lab) => {
      const origin = await lab.origin()
      const edge = await lab.edge({ origins: [origin], timeouts: { bodyIdleMs: 400 } })
      const client = await edge.connect()
      client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n')
      await client.writeSlowly('0123456789', 50)
      assert.equal((await client.answer()).status, 200)
    })

    wire('does not run out of time while the endpoint does not take it', async (lab) => {
      const size = 24 * 1024 * 1024
      const origin = await lab.origin(async (upstream) => {
        await upstream.requestHead()
        upstream.stopReading()
        await sleep(600)
        upstream.discard()
        upstream.startReading()
        await upstream.until(() => upstream.receivedBytes > size, 'the body')
        upstream.write(ok())
        await upstream.ending()
      })
      const edge = await lab.edge({ origins: [origin], timeouts: { bodyIdleMs: 200 } })
      const client = await edge.connect()
      client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`)
      await client.pour(Buffer.alloc(65_536), size)
      assert.equal((await client.answer()).status, 200)
    })

    wire('is not owed before the 100 that the client waits for', async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        const request = await upstream.requestHead()
        await sleep(400)
        upstream.write('HTTP/1.1 100 Continue\r\n\r\n')
        await upstream.body(request)
        upstream.write(ok())
        await upstream.ending()
      })
      const edge = await lab.edge({ origins: [origin], timeouts: { bodyIdleMs: SHORT_MS } })
      const [polite, silent] = [await edge.connect(), await edge.connect()]
      for (const client of [polite, silent]) {
        client.write('PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n')
        assert.equal((await client.answer()).status, 100)
        if (client === polite) client.write('body')
        else await answerAfter(client, SHORT_MS, 'EK_BODY_TIMEOUT', 408)
      }
      assert.equal((await polite.answer()).status, 200)
    })

    wire('that waits for a 100 which never comes waits as long as for an answer', async (lab) => {
      const origin = await silent(lab)
      const edge = await lab.edge({ origins: [origin], pool: { timeouts: { firstByteMs: SHORT_MS } } })
      const client = await edge.connect()
      client.write('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n')
      await answerAfter(client, SHORT_MS, 'EK_FIRST_BYTE_TIMEOUT', 504)
      assert.equal(await client.ending(), 'fin')
      only(edge, 'EK_FIRST_BYTE_TIMEOUT')
    })

    wire('that stops while the answer already runs cuts the answer short', async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        await upstream.requestHead()
        upstream.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf')
        await upstream.ending()
      })
      const edge = await lab.edge({ origins: [origin], timeouts: { bodyIdleMs: SHORT_MS } })
      const client = await edge.connect()
      client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n')
      await client.answerHead()
      assert.equal(await client.rest(), 'half')
      only(edge, 'EK_BODY_TIMEOUT')
    })
  })

  waiting('an endpoint', () => {
    wire('that cannot be reached is a 504, and passed over where there is another', async (lab) => {
      const { address, free } = await blackHole()
      const origin = await lab.origin()
      const pool = { timeouts: { connectMs: SHORT_MS } }
      const alone = await lab.edge({ origins: [address], pool })
      const client = await alone.connect()
      client.write(post('x'))
      await answerAfter(client, SHORT_MS, 'EK_CONNECT_TIMEOUT', 504)
      only(alone, 'EK_CONNECT_TIMEOUT')
      assert.equal(alone.table.snapshot(0).connectFailures, 1)
      const edge = await lab.edge({ origins: [address, origin], pool })
      assert.equal((await edge.ask(post('x'))).status, 200)
      assert.equal(edge.counter('RETRIES'), 1)
      await free()
    })

    wire('that a client has no patience for is given up', async (lab) => {
      const { address, free } = await blackHole()
      const edge = await lab.edge({ origins: [address] })
      const client = await edge.connect()
      client.write(get())
      await sleep(50)
      assert.equal(edge.counter('UPSTREAM_CONNECTIONS_OPEN'), 1)
      client.reset()
      await edge.zero()
      await free()
    })

    for (const firstByteMs of [SHORT_MS, COARSE_MS])
      wire(`that does not begin to answer is a 504 after ${firstByteMs} ms`, async (lab) => {
        const origin = await silent(lab)
        const edge = await lab.edge({ origins: [origin], pool: { timeouts: { firstByteMs } } })
        const client = await edge.connect()
        client.write(post('x'))
        await answerAfter(client, firstByteMs, 'EK_FIRST_BYTE_TIMEOUT', 504)
        only(edge, 'EK_FIRST_BYTE_TIMEOUT')
        assert.notEqual(await origin.wires[0]!.ending(), 'open')
        assert.equal(edge.table.snapshot(0).failures, 1)
        client.write(get())
        await client.answer()
      })

    wire('that does not begin to answer a GET has another one asked', async (lab) => {
      const [first, second] = [await silent(lab), await lab.origin()]
      const edge = await lab.edge({ origins: [first, second], pool: { timeouts: { firstByteMs: SHORT_MS } } })
      assert.equal((await edge.ask(get())).status, 200)
      assert.deepEqual(edge.counted, {})
    })

    wire('that drips the head of its answer has no more time', async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        await upstream.request()
        await upstream.writeSlowly(ok('', `X-${'y'.repeat(300)}: 1\r\n`).slice(0, 60), 20)
      })
      const edge = await lab.edge({ origins: [origin], pool: { timeouts: { firstByteMs: 250 } } })
      const client = await edge.connect()
      client.write(post('x'))
      await answerAfter(client, 250, 'EK_FIRST_BYTE_TIMEOUT', 504)
      only(edge, 'EK_FIRST_BYTE_TIMEOUT')
    })

    wire('that sends interim answers for ever is not listened to for ever', async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        await upstream.request()
        await upstream.writeSlowly(new Array<string>(200).fill('HTTP/1.1 102 Wait\r\n\r\n'), 5)
      })
      const edge = await lab.edge({ origins: [origin], pool: { timeouts: { firstByteMs: 2000 } } })
      const client = await edge.connect()
      client.write(post('x'))
      let answer = await client.answer()
      while (answer.status < 200) answer = await client.answer()
      assert.equal(answer.status, 502)
      only(edge, 'EK_BAD_RESPONSE')
    })

    wire('has its time for the first byte from the end of the request', async (lab) => {
      const origin = await lab.origin()
      const edge = await lab.edge({ origins: [origin], pool: { timeouts: { firstByteMs: 400 } } })
      const client = await edge.connect()
      client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n')
      await client.writeSlowly('0123456789', 50)
      assert.equal((await client.answer()).status, 200)
    })

    for (const [framing, start] of [
      ['of known length', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf'],
      ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
      ['until the close', 'HTTP/1.1 200 OK\r\n\r\nhalf'],
    ] as const)
      wire(`that stops in the middle of an answer ${framing} has it cut short`, async (lab) => {
        const origin = await lab.origin(async (upstream) => {
          await upstream.request()
          upstream.write(start)
          await upstream.ending()
        })
        const edge = await lab.edge({ origins: [origin], pool: { timeouts: { responseIdleMs: SHORT_MS } } })
        const client = await edge.connect()
        client.write(get())
        const head = await client.answerHead()
        await assert.rejects(client.body(head))
        only(edge, 'EK_RESPONSE_TIMEOUT')
        assert.notEqual(await origin.wires[0]!.ending(), 'open')
      })

    wire('that keeps answering has all the time it needs', async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        await upstream.request()
        upstream.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n')
        await upstream.writeSlowly('0123456789', 50)
        await upstream.ending()
      })
      const edge = await lab.edge({ origins: [origin], pool: { timeouts: { responseIdleMs: 400 } } })
      assert.equal((await edge.ask(get())).text, '0123456789')
    })

    wire('does not run out of time while the client does not take its answer', async (lab) => {
      const size = 24 * 1024 * 1024
      const origin = await lab.origin(async (upstream) => {
        await upstream.request()
        upstream.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
        await upstream.pour(Buffer.alloc(65_536), size)
        await upstream.ending()
      })
      const edge = await lab.edge({ origins: [origin], pool: { timeouts: { responseIdleMs: 200 } } })
      const client = await edge.connect()
      client.write(get())
      await client.answerHead()
      client.stopReading()
      await sleep(700)
      client.discard()
      client.startReading()
      await client.until(() => client.receivedBytes >= size, 'everything')
      assert.deepEqual(edge.counted, {})
    })

    wire('that stops reading the request is a 504', async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        await upstream.requestHead()
        upstream.stopReading()
      })
      const edge = await lab.edge({ origins: [origin], pool: { timeouts: { sendIdleMs: SHORT_MS } } })
      const client = await edge.connect()
      const size = 100 * 1024 * 1024
      client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`)
      const poured = client.pour(Buffer.alloc(65_536), size)
      const answer = await client.answer()
      assert.equal(answer.status, 504)
      assert.match(answer.text, /EK_SEND_STALLED/)
      only(edge, 'EK_SEND_STALLED')
      client.close()
      await poured
      origin.close()
    })
  })

  waiting('a client', () => {
    wire('that stops reading its answer loses the connection', async (lab) => {
      const size = 100 * 1024 * 1024
      const origin = await lab.origin(async (upstream) => {
        await upstream.request()
        upstream.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
        await upstream.pour(Buffer.alloc(65_536), size)
      })
      const edge = await lab.edge({ origins: [origin], timeouts: { sendIdleMs: SHORT_MS } })
      const client = await edge.connect()
      client.write(get())
      await client.answerHead()
      client.stopReading()
      await edge.quiet()
      only(edge, 'EK_SEND_TIMEOUT')
      assert.notEqual(await origin.wires[0]!.ending(), 'open')
      assert.equal(edge.table.snapshot(0).failures, 0, 'which is not the fault of the endpoint')
    })

    wire('that takes nothing loses the connection though it sends a byte now and then', async (lab) => {
      const size = 100 * 1024 * 1024
      const origin = await lab.origin(async (upstream) => {
        await upstream.request()
        upstream.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
        await upstream.pour(Buffer.alloc(65_536), size)
      })
      const edge = await lab.edge({ origins: [origin], timeouts: { sendIdleMs: SHORT_MS } })
      const client = await edge.connect()
      client.stopReading()
      client.write(get())
      const drip = setInterval(() => client.write('x'), SHORT_MS / 3)
      try {
        await edge.quiet()
      } finally {
        clearInterval(drip)
      }
      only(edge, 'EK_SEND_TIMEOUT')
    })

    wire('that reads slowly is reading all the same', async (lab) => {
      const size = 20_000_000
      const origin = await lab.origin(async (upstream) => {
        await upstream.request()
        upstream.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
        await upstream.pour(Buffer.alloc(65_536), size)
        await upstream.ending()
      })
      // A unix socket, whose buffer stays small: what is read at one end soon makes room at the other.
      const address = { kind: 'unix' as const, path: lab.path('edge.sock') }
      const edge = await lab.edge({ origins: [origin], address, timeouts: { sendIdleMs: 1800 } })
      const client = await edge.connect()
      client.write(get())
      client.discard()
      const began = performance.now()
      while (performance.now() - began < 5000) {
        client.stopReading()
        await sleep(400)
        const before = client.receivedBytes
        client.startReading()
        await client.until(() => client.receivedBytes > before || client.ended !== 'open', 'the next bytes')
      }
      assert.equal(client.ended, 'open')
      assert.deepEqual(edge.counted, {})
    })

    wire('that pauses behind a complete answer gets the rest of it, however the connection is to end', async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        const request = await upstream.request()
        const size = Number(request.target.slice(1))
        upstream.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
        await upstream.pour(Buffer.alloc(65_536), size)
        await upstream.ending()
      })
      const edge = await lab.edge({ origins: [origin] })
      // How much goes out until everything between here and the client is full?
      const probe = await edge.connect()
      probe.stopReading()
      probe.write(get('/100000000'))
      await sleep(500)
      const size = edge.counter('BYTES_SENT') - 20_000
      probe.reset()
      // So the last of this one waits in the edge when its answer is complete.
      const client = await edge.connect()
      client.stopReading()
      client.write(get(`/${size}`, 'Connection: close\r\n'))
      // Longer than a closing connection is borne when there is nothing left to send.
      await sleep(3000)
      assert.equal(edge.counter('EXCHANGES_OPEN'), 0, 'the answer is complete')
      client.discard()
      client.startReading()
      await client.ending()
      assert.ok(client.receivedBytes >= size, `${client.receivedBytes} of ${size}`)
    })

    wire('that does not close behind our own close is closed', async (lab) => {
      const origin = await lab.origin()
      const edge = await lab.edge({ origins: [origin] })
      const client = await edge.connect()
      client.write('GET / HTTP/1.1\r\nHost : a\r\n\r\n')
      await client.answer()
      assert.equal(await client.ending(), 'fin')
      await edge.quiet()
    })
  })

  waiting('an exchange', () => {
    wire('as a whole has its time: before the answer a 504', async (lab) => {
      const origin = await silent(lab)
      const edge = await lab.edge({ origins: [origin], timeouts: { exchangeMs: SHORT_MS } })
      const client = await edge.connect()
      client.write(get())
      await answerAfter(client, SHORT_MS, 'EK_EXCHANGE_TIMEOUT', 504)
      only(edge, 'EK_EXCHANGE_TIMEOUT')
      assert.notEqual(await origin.wires[0]!.ending(), 'open')
    })

    wire('within the answer it is cut short', async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        await upstream.request()
        upstream.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
        for (let i = 0; i < 100 && upstream.ended === 'open'; i++) {
          upstream.write('1\r\n.\r\n')
          await sleep(20)
        }
      })
      const edge = await lab.edge({ origins: [origin], timeouts: { exchangeMs: 300 } })
      const client = await edge.connect()
      client.write(get())
      const head = await client.answerHead()
      await assert.rejects(client.body(head))
      only(edge, 'EK_EXCHANGE_TIMEOUT')
    })

    wire('ends in time also while its body still comes', async (lab) => {
      const origin = await silent(lab)
      const edge = await lab.edge({ origins: [origin], timeouts: { exchangeMs: 300 } })
      const client = await edge.connect()
      client.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
      const drip = client.writeSlowly(new Array<string>(30).fill('1\r\n.\r\n'), 20)
      await answerAfter(client, 250, 'EK_EXCHANGE_TIMEOUT', 504)
      await drip
    })

    wire('that is short has nothing to fear from any of them', async (lab) => {
      const timeouts = { headMs: 300, bodyIdleMs: 300, sendIdleMs: 300, exchangeMs: 300, keepAliveMs: 300 }
      const pool = { timeouts: { connectMs: 300, firstByteMs: 300, responseIdleMs: 300, sendIdleMs: 300 } }
      const origin = await lab.origin(answering(ok()))
      const edge = await lab.edge({ origins: [origin], timeouts, pool })
      const client = await edge.connect()
      // Longer than any of them in total, each request well within.
      for (let i = 0; i < 12; i++) {
        client.write(
          i % 2 === 0
            ? post('body')
            : `PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['x'])}`,
        )
        assert.equal((await client.answer()).status, 200)
        await sleep(50)
      }
      assert.deepEqual(edge.counted, {})
    })
  })
})
