import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { EvenkeelProcess } from './evenkeel-process.ts'

interface Ready {
  readonly url: string
  readonly servers: readonly { readonly id: string; readonly url: string; readonly pid: number }[]
}

/** A demo on ports that are hardly anybody's; each test has its own. */
function demo(port: number, ...args: readonly string[]): EvenkeelProcess {
  return new EvenkeelProcess(['demo', '--json', '--port', String(port), '--admin-port', String(port + 50), ...args])
}

async function ready(running: EvenkeelProcess): Promise<Ready> {
  return (await running.event('stdout', 'ready')) as unknown as Ready
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function gone(pids: readonly number[]): Promise<void> {
  for (const until = Date.now() + 10_000; pids.some(isAlive); await sleep(50)) {
    assert.ok(Date.now() < until, `still there: ${pids.filter(isAlive).join(', ')}`)
  }
}

describe('evenkeel demo', () => {
  test('answers every request of its first second, from all three servers', async () => {
    await using running = demo(28_110)
    const { url } = await ready(running)
    const seen = new Set<string>()
    let asked = 0
    for (const until = Date.now() + 1000; Date.now() < until; asked++) {
      const response = await fetch(url)
      assert.equal(response.status, 200)
      seen.add(((await response.json()) as { server: string }).server)
    }
    assert.ok(asked > 10, `${asked}`)
    assert.deepEqual([...seen].sort(), ['amber', 'birch', 'cobalt'])
  })

  test('takes the next port where one is taken, and says which', async () => {
    const taken = createServer().listen(28_210, '127.0.0.1')
    await once(taken, 'listening')
    await using running = demo(28_210, '--no-traffic')
    const { url } = await ready(running)
    taken.close()
    assert.equal(url, 'http://127.0.0.1:28211')
    assert.match(running.stdout, /port 28210 is taken: the balancer listens on 28211/)
    assert.equal((await fetch(url)).status, 200)
  })

  test('loses no request when a server is killed, which leaves and comes back', async () => {
    await using running = demo(28_310, '--no-traffic')
    const { url, servers } = await ready(running)
    const birch = servers.find(({ id }) => id === 'birch')!
    process.kill(birch.pid, 'SIGKILL')
    const until = Date.now() + 1000
    const seen = new Set<string>()
    while (Date.now() < until) {
      const response = await fetch(url)
      assert.equal(response.status, 200)
      seen.add(((await response.json()) as { server: string }).server)
    }
    assert.deepEqual([...seen].sort(), ['amber', 'cobalt'])
    await running.says('stdout', /birch is out/)
    await running.says('stdout', /birch is back/)
    const answers = await Promise.all(
      Array.from({ length: 9 }, async () => ((await (await fetch(url)).json()) as { server: string }).server),
    )
    assert.ok(answers.includes('birch'), answers.join())
  })

  test('ends its servers when it ends, by a signal or by SIGKILL', async () => {
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      await using running = demo(28_410, '--no-traffic')
      const { servers } = await ready(running)
      const pids = servers.map(({ pid }) => pid)
      assert.ok(pids.every(isAlive))
      running.signal(signal)
      assert.equal(await running.exited(), signal === 'SIGINT' ? 0 : null)
      await gone(pids)
    }
  })

  test('serves a page, an event stream, uploads, and WebSockets through the balancer', async () => {
    await using running = demo(28_510, '--no-traffic')
    const { url } = await ready(running)

    const page = await fetch(url, { headers: { accept: 'text/html' } })
    assert.match(page.headers.get('content-type') ?? '', /text\/html/)
    const html = await page.text()
    assert.match(html, /<title>(amber|birch|cobalt) · Evenkeel demo<\/title>/)
    assert.doesNotMatch(html, /(?:src|href)="(?!data:)/, 'the page loads nothing from elsewhere')
    assert.doesNotMatch(html, /no answer fails/, 'what fails is counted, not promised')

    const sent = randomBytes(1_000_000)
    const upload = (await (await fetch(`${url}/upload`, { method: 'POST', body: sent })).json()) as {
      bytes: number
      sha256: string
    }
    assert.deepEqual([upload.bytes, upload.sha256], [sent.length, createHash('sha256').update(sent).digest('hex')])
    const echo = Buffer.from(await (await fetch(`${url}/echo`, { method: 'POST', body: sent })).arrayBuffer())
    assert.ok(echo.equals(sent))

    const events = await fetch(`${url}/sse`)
    const reader = events.body!.getReader()
    const startedAt = Date.now()
    const { value } = await reader.read()
    assert.match(Buffer.from(value).toString(), /^id: 1\ndata: \{"server"/)
    assert.ok(Date.now() - startedAt < 500)
    await reader.cancel()

    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`)
    const received: string[] = []
    socket.on('open', () => {
      for (let index = 0; index < 100; index++) socket.send(`${index} ${'x'.repeat(index * 20)}`)
      socket.send(Buffer.alloc(100_000, 7))
    })
    socket.on('message', (data: Buffer, isBinary) => {
      received.push(isBinary ? `binary ${data.length}` : data.toString())
      if (isBinary) socket.close(1000, 'done')
    })
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
    assert.deepEqual([code, reason.toString(), received.length, received.at(-1)], [1000, 'done', 101, 'binary 100000'])
    assert.ok(received.slice(0, 100).every((text, index) => text === `${index} ${'x'.repeat(index * 20)}`))
  })

  test('without a terminal prints a line every five seconds', async () => {
    await using running = new EvenkeelProcess(['demo', '--port', '28610', '--admin-port', '28660'])
    await running.says('stdout', /^evenkeel demo: starting amber, birch, cobalt and a balancer/)
    await running.says('stdout', /open http:\/\/127\.0\.0\.1:28610 in a browser/)
    await running.says(
      'stdout',
      /\d\d:\d\d:\d\d {2}[\d.]+ requests\/s, p50 .* failed 0; amber \d+ %, birch \d+ %, cobalt \d+ %\n/,
    )
    running.signal('SIGTERM')
    assert.equal(await running.exited(), 0)
    assert.match(running.stdout, /answered \d+ requests, none failed; all servers are stopped\n$/)
  })
})
