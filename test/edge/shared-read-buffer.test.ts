import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { acceptWithSharedBuffer } from '../../src/edge/shared-read-buffer.ts'

async function listen(context: TestContext, where: net.ListenOptions): Promise<net.Server> {
  const server = net.createServer({ allowHalfOpen: true })
  server.listen(where)
  await once(server, 'listening')
  context.after(() => server.close())
  return server
}

function connect(context: TestContext, server: net.Server): net.Socket {
  const address = server.address()
  assert.ok(address !== null)
  const client = typeof address === 'string' ? net.connect(address) : net.connect(address.port, '127.0.0.1')
  context.after(() => client.destroy())
  return client
}

test('the connections of a worker read into one buffer: this node has the names that it needs', async (context) => {
  const server = await listen(context, { host: '127.0.0.1', port: 0 })
  const memories: ArrayBufferLike[] = []
  const texts: string[] = []
  acceptWithSharedBuffer(server, (socket) => {
    context.after(() => socket.destroy())
    socket.on('data', (bytes: Buffer) => {
      memories.push(bytes.buffer)
      texts.push(bytes.toString())
      socket.write(bytes.toString().toUpperCase())
    })
  })
  for (const word of ['one', 'two', 'three']) {
    const client = connect(context, server)
    client.write(word)
    const [answer] = (await once(client, 'data')) as [Buffer]
    assert.equal(answer.toString(), word.toUpperCase())
  }
  assert.deepEqual(texts, ['one', 'two', 'three'])
  assert.equal(new Set(memories).size, 1)
})

test('a client that ends its side still gets its answer, and both ends are seen', async (context) => {
  const server = await listen(context, { host: '127.0.0.1', port: 0 })
  let received = 0
  const closed = new Promise<void>((resolve) => {
    acceptWithSharedBuffer(server, (socket) => {
      socket.on('data', (bytes: Buffer) => {
        received += bytes.length
      })
      socket.on('end', () => socket.end(`had ${received}`))
      socket.on('close', () => resolve())
    })
  })
  const client = connect(context, server)
  client.end(Buffer.alloc(300_000, 1))
  const pieces: Buffer[] = []
  client.on('data', (bytes) => pieces.push(bytes))
  await once(client, 'end')
  assert.equal(Buffer.concat(pieces).toString(), 'had 300000')
  await closed
})

test('nothing is read of a paused socket, and nothing lost', async (context) => {
  const server = await listen(context, { host: '127.0.0.1', port: 0 })
  const accepted = new Promise<net.Socket>((resolve) => acceptWithSharedBuffer(server, resolve))
  const client = connect(context, server)
  const socket = await accepted
  context.after(() => socket.destroy())
  let received = 0
  socket.on('data', (bytes: Buffer) => {
    received += bytes.length
    socket.pause()
  })
  client.write(Buffer.alloc(1_000_000))
  for (let turn = 0; turn < 200 && received < 1_000_000; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    const before = received
    await new Promise((resolve) => setTimeout(resolve, 2))
    assert.equal(received, before, 'read while paused')
    socket.resume()
  }
  assert.equal(received, 1_000_000)
})

test('unix sockets are accepted alike', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'accept-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  const server = await listen(context, { path: join(folder, 'socket') })
  acceptWithSharedBuffer(server, (socket) => {
    socket.on('data', (bytes: Buffer) => socket.end(bytes.toString()))
  })
  const client = connect(context, server)
  client.write('hello')
  const [answer] = (await once(client, 'data')) as [Buffer]
  assert.equal(answer.toString(), 'hello')
})

test("where node's private names are not as expected its own sockets serve", async (context) => {
  const server = await listen(context, { host: '127.0.0.1', port: 0 })
  const without = new Proxy(server, {
    get: (target, name) => {
      if (name === '_handle') return undefined
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  acceptWithSharedBuffer(without, (socket) => {
    socket.on('data', (bytes: Buffer) => socket.end(bytes.toString()))
  })
  const client = connect(context, server)
  client.write('plain')
  const [answer] = (await once(client, 'data')) as [Buffer]
  assert.equal(answer.toString(), 'plain')
})
