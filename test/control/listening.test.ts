import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type ListenOptions, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { canSharePorts, clearStaleSocket, prepareListeners } from '../../src/control/listening.ts'
import type { ListenAddress } from '../../src/control/plan.ts'
import { parseBind, type SocketAddress } from '../../src/core/address.ts'

function bind(text: string): SocketAddress {
  const reading = parseBind(text)
  assert.ok(reading.ok)
  return reading.value
}

async function listen(context: TestContext, options: ListenOptions): Promise<Server> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, resolve)
  })
  context.after(() => new Promise<void>((resolve) => void server.close(() => resolve())))
  return server
}

function portOf(server: Server): number {
  return (server.address() as { port: number }).port
}

async function prepareOne(text: string, mayShare = true) {
  const prepared = await prepareListeners([{ name: 'public', address: bind(text) }], new Map(), mayShare)
  prepared.release()
  return prepared
}

function folder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'evenkeel-listen-'))
  context.after(() => rmSync(path, { recursive: true }))
  return path
}

/** A socket file whose owner was killed. */
function staleSocket(path: string): void {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', script])
  assert.ok(existsSync(path))
}

test('a port that somebody has is a problem that names the address', async (context) => {
  const port = portOf(await listen(context, { host: '127.0.0.1', port: 0 }))
  const { problems } = await prepareOne(`127.0.0.1:${port}`)
  assert.equal(problems[0]?.code, 'EADDRINUSE')
  assert.equal(problems[0].message, `cannot listen on 127.0.0.1:${port}: the address is in use (EADDRINUSE)`)
})

test('a second instance is refused, though the system would let it share the port', async (context) => {
  if (!(await canSharePorts())) return context.skip('this system does not share ports')
  const port = portOf(await listen(context, { host: '127.0.0.1', port: 0, reusePort: true }))
  await listen(context, { host: '127.0.0.1', port, reusePort: true })
  const { problems } = await prepareOne(`127.0.0.1:${port}`)
  assert.equal(problems[0]?.code, 'EADDRINUSE')
})

test('port 0 becomes one real port, and nobody else is given it until it is let go', async (context) => {
  const asked = ['a', 'b'].map((name) => ({ name, address: bind('127.0.0.1:0') }))
  const { addresses, problems, release } = await prepareListeners(asked, new Map(), true)
  assert.deepEqual(problems, [])
  const ports = [...addresses.values()].map(({ address }) => (address.kind === 'ip' ? address.port : 0))
  assert.equal(new Set(ports).size, 2)
  assert.ok(ports.every((port) => port > 0))
  await assert.rejects(listen(context, { host: '127.0.0.1', port: ports[0]! }))
  release()
  await listen(context, { host: '127.0.0.1', port: ports[1]! })
})

test('all problems are told at once, and the ports of the others are let go', async (context) => {
  const port = portOf(await listen(context, { host: '127.0.0.1', port: 0 }))
  const asked = [
    { name: 'free', address: bind('127.0.0.1:0') },
    { name: 'taken', address: bind(`127.0.0.1:${port}`) },
    { name: 'strange', address: bind('192.0.2.1:0') },
  ]
  const { problems, addresses } = await prepareListeners(asked, new Map(), true)
  assert.deepEqual(
    problems.map(({ listener, code }) => [listener, code]),
    [
      ['taken', 'EADDRINUSE'],
      ['strange', 'EADDRNOTAVAIL'],
    ],
  )
  assert.match(problems[1]?.hint ?? '', /`ip addr`.*0\.0\.0\.0/)
  const free = addresses.get('free')!.address
  await listen(context, { host: '127.0.0.1', port: free.kind === 'ip' ? free.port : 0 })
})

test('what is held with the same address is kept untouched, its port too', async (context) => {
  const port = portOf(await listen(context, { host: '127.0.0.1', port: 0 }))
  const actual: ListenAddress = { address: bind(`127.0.0.1:${port}`), reusePort: true }
  const held = new Map([['public', { asked: bind('127.0.0.1:0'), actual }]])
  const { addresses, problems } = await prepareListeners([{ name: 'public', address: bind('127.0.0.1:0') }], held, true)
  assert.deepEqual(problems, [])
  assert.equal(addresses.get('public'), actual)
})

test("a port of our own may get another name or a wider address, a stranger's may not", async (context) => {
  if (!(await canSharePorts())) return context.skip('this system does not share ports')
  const port = portOf(await listen(context, { host: '127.0.0.1', port: 0, reusePort: true }))
  const held = new Map([
    ['old', { asked: bind(`127.0.0.1:${port}`), actual: { address: bind(`127.0.0.1:${port}`), reusePort: true } }],
  ])
  for (const text of [`127.0.0.1:${port}`, `0.0.0.0:${port}`]) {
    const { problems } = await prepareListeners([{ name: 'new', address: bind(text) }], held, true)
    assert.deepEqual(problems, [], text)
  }
})

test('where ports are not shared one worker is meant', async () => {
  const { addresses } = await prepareOne('127.0.0.1:0', false)
  const found = addresses.get('public')!
  assert.equal(found.reusePort, false)
  assert.ok(found.address.kind === 'ip' && found.address.port > 0)
})

test('every address of both families is one listener', async () => {
  const { addresses, problems } = await prepareOne(':0')
  assert.deepEqual(problems, [])
  const { address } = addresses.get('public')!
  assert.ok(address.kind === 'ip' && ['::', '0.0.0.0'].includes(address.host))
})

test('a name is resolved before it is bound', async () => {
  const { addresses } = await prepareOne('localhost:0')
  const { address } = addresses.get('public')!
  assert.ok(address.kind === 'ip' && ['127.0.0.1', '::1'].includes(address.host))
})

test('a unix socket is tried and left free', async (context) => {
  const path = join(folder(context), 's')
  const { addresses, problems } = await prepareOne(`unix:${path}`)
  assert.deepEqual(problems, [])
  assert.deepEqual(addresses.get('public'), { address: { kind: 'unix', path }, reusePort: false })
  assert.equal(existsSync(path), false)
})

test('a socket file on which nobody answers is removed, one on which somebody answers is not', async (context) => {
  const path = join(folder(context), 's')
  staleSocket(path)
  assert.deepEqual((await prepareOne(`unix:${path}`)).problems, [])
  await listen(context, { path })
  assert.equal((await prepareOne(`unix:${path}`)).problems[0]?.code, 'EADDRINUSE')
  await clearStaleSocket(path)
  assert.ok(existsSync(path))
})

test('a file that is no socket is never removed', async (context) => {
  const path = join(folder(context), 'precious')
  writeFileSync(path, 'data')
  assert.equal((await prepareOne(`unix:${path}`)).problems[0]?.code, 'EEXIST')
  await clearStaleSocket(path)
  assert.ok(existsSync(path))
})

test('a missing directory is a problem with words', async (context) => {
  const { problems } = await prepareOne(`unix:${join(folder(context), 'absent', 's')}`)
  assert.equal(problems[0]?.code, 'ENOENT')
  assert.match(problems[0].message, /the directory of the socket does not exist/)
})
