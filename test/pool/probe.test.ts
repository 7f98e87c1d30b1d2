import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { SocketAddress } from '../../src/core/address.ts'
import { Probe, type ProbeOutcome, probeRequestBytes } from '../../src/pool/probe.ts'
import { answering, eventually, serve } from './servers.ts'

const REQUEST = probeRequestBytes({
  method: 'GET',
  path: '/health?deep=1',
  host: 'shop.example:81',
  headers: { 'x-check': 'yes' },
})

function probe(address: SocketAddress): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    new Probe(address, REQUEST, resolve)
  })
}

async function probeServerThatSends(context: TestContext, ...parts: readonly string[]): Promise<ProbeOutcome> {
  const server = await serve(context, async (socket) => {
    for (const part of parts) {
      socket.write(part, 'latin1')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    socket.end()
  })
  return probe(server.address)
}

test('a status line is read whatever its reason, and however it is cut', async (context) => {
  assert.deepEqual(await probeServerThatSends(context, 'HTTP/1.1 200 OK\r\n\r\n'), { kind: 'answer', status: 200 })
  assert.deepEqual(await probeServerThatSends(context, 'HTTP/1.0 503\r\n\r\n'), { kind: 'answer', status: 503 })
  assert.deepEqual(await probeServerThatSends(context, 'HTTP/1.1 204 \r\n\r\n'), { kind: 'answer', status: 204 })
  assert.deepEqual(await probeServerThatSends(context, ...'HTTP/1.1 301 Moved\n'.split('')), {
    kind: 'answer',
    status: 301,
  })
})

test('the request is HTTP with the host, the path and the further fields it was given', async (context) => {
  const server = await serve(context, answering(200))
  await probe(server.address)
  const lines = server.received[0]!.split('\r\n')
  assert.equal(lines[0], 'GET /health?deep=1 HTTP/1.1')
  assert.deepEqual(lines.slice(-2), ['', ''])
  assert.deepEqual(
    new Set(lines.slice(1, -2)),
    new Set([
      'host: shop.example:81',
      'user-agent: evenkeel-health-check',
      'accept: */*',
      'connection: close',
      'x-check: yes',
    ]),
  )
})

test('a field of the config replaces our own of the same name', () => {
  const text = probeRequestBytes({ method: 'HEAD', path: '/', host: 'a', headers: { 'User-Agent': 'mine' } }).toString()
  assert.equal(text.match(/user-agent/gi)?.length, 1)
})

test('what is not HTTP is a failure as soon as it shows', async (context) => {
  for (const garbage of [
    'SSH-2.0-OpenSSH\r\n',
    'HTTP/2 200 OK\r\n',
    'HTTP/1.1 20x OK\r\n',
    'HTTP/1.1 999 OK\r\n',
    'HTTP/1.1\r\n',
    '\x16\x03\x01',
  ]) {
    const outcome = await probeServerThatSends(context, garbage)
    assert.deepEqual(outcome, { kind: 'failure', detail: 'its answer is not HTTP', isAbrupt: false }, garbage)
  }
})

test('a status line without end is given up at 1 KiB', async (context) => {
  const outcome = await probeServerThatSends(
    context,
    'HTTP/1.1 200 ',
    ...Array.from({ length: 40 }, () => 'x'.repeat(100)),
  )
  assert.deepEqual(outcome, { kind: 'failure', detail: 'its status line is longer than 1 KiB', isAbrupt: false })
})

test('a server that closes without a word is a failure that our own lateness could have caused', async (context) => {
  const outcome = await probeServerThatSends(context, 'HTTP/1.1 20')
  assert.deepEqual(outcome, { kind: 'failure', detail: 'it closed before it answered', isAbrupt: true })
})

test('a refused connection is a failure and never our fault', async (context) => {
  const server = await serve(context, answering(200))
  await server.close()
  assert.deepEqual(await probe(server.address), {
    kind: 'failure',
    detail: 'the connection was refused',
    isAbrupt: false,
  })
})

test('IPv6 and unix sockets are checked like IPv4', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-probe-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const unix = await serve(context, answering(200), { path: join(folder, 's') })
  assert.deepEqual(await probe(unix.address), { kind: 'answer', status: 200 })
  assert.deepEqual(await probe({ kind: 'unix', path: join(folder, 'absent') }), {
    kind: 'failure',
    detail: 'the socket does not exist',
    isAbrupt: false,
  })
  let ipv6: Awaited<ReturnType<typeof serve>>
  try {
    ipv6 = await serve(context, answering(200), { host: '::1' })
  } catch {
    context.diagnostic('this machine has no IPv6 loopback')
    return
  }
  assert.deepEqual(await probe(ipv6.address), { kind: 'answer', status: 200 })
})

test('an abandoned check says nothing and holds no connection', async (context) => {
  const server = await serve(context, () => {})
  let said = 0
  const running = new Probe(server.address, REQUEST, () => {
    said += 1
  })
  await eventually(() => server.seen.open === 1, 'the check is connected')
  assert.equal(running.isConnected, true)
  running.abandon()
  await eventually(() => server.seen.open === 0, 'the connection is closed')
  assert.equal(said, 0)
})

test('a finished check holds no connection, though the server keeps its side open', async (context) => {
  const server = await serve(context, (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel'))
  assert.deepEqual(await probe(server.address), { kind: 'answer', status: 200 })
  await eventually(() => server.seen.open === 0, 'the connection is closed')
})

test('interim answers are passed over, however they are cut, up to eight of them', async (context) => {
  const interim = 'HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n'
  const final = 'HTTP/1.1 200 OK\r\n\r\n'
  assert.deepEqual(await probeServerThatSends(context, `HTTP/1.1 100 Continue\r\n\r\n${interim}${final}`), {
    kind: 'answer',
    status: 200,
  })
  assert.deepEqual(await probeServerThatSends(context, ...`${interim}${final}`.split('')), {
    kind: 'answer',
    status: 200,
  })
  assert.deepEqual(await probeServerThatSends(context, interim.repeat(8) + final), { kind: 'answer', status: 200 })
  assert.deepEqual(await probeServerThatSends(context, interim.repeat(9) + final), {
    kind: 'failure',
    detail: 'it sent more than 8 interim answers',
    isAbrupt: false,
  })
})

test('an address that this machine cannot reach is a failure; that it has no descriptors left is local trouble', async (context) => {
  const kinds: Record<string, string> = {}
  for (const code of ['EADDRNOTAVAIL', 'EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']) {
    const { mock } = context.mock.method(Socket.prototype, 'connect', function (this: Socket) {
      return this.destroy(Object.assign(new Error(code), { code }))
    })
    kinds[code] = (await probe({ kind: 'ip', host: '127.0.0.1', port: 9, ipv6Only: false })).kind
    mock.restore()
  }
  assert.deepEqual(kinds, {
    EADDRNOTAVAIL: 'failure',
    EMFILE: 'local',
    ENFILE: 'local',
    ENOBUFS: 'local',
    ENOMEM: 'local',
  })
})
