/** Small real servers to be checked, and to be ended with the test that made them. */
import { createServer, type Server, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import type { SocketAddress } from '../../src/core/address.ts'

export interface RawServer {
  readonly address: SocketAddress
  readonly port: number
  /** Connections so far, and those open now with the most there ever were at once. */
  readonly seen: { connections: number; open: number; most: number }
  /** Everything that clients sent, by connection. */
  readonly received: string[]
  readonly server: Server
  close(): Promise<void>
}

/** Listens on loopback, or where `path` says; `answer` is called with the first bytes of each connection. */
export async function serve(
  context: TestContext,
  answer: (socket: Socket, request: string) => void,
  where: { readonly host?: string; readonly port?: number; readonly path?: string } = {},
): Promise<RawServer> {
  const seen = { connections: 0, open: 0, most: 0 }
  const received: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    const index = received.push('') - 1
    seen.connections += 1
    seen.open += 1
    seen.most = Math.max(seen.most, seen.open)
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => {
      seen.open -= 1
      sockets.delete(socket)
    })
    socket.on('data', (bytes) => {
      const isFirst = received[index] === ''
      received[index] += bytes.toString('latin1')
      if (isFirst) answer(socket, received[index]!)
    })
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(
    where.path === undefined ? { host: where.host ?? '127.0.0.1', port: where.port ?? 0 } : { path: where.path },
    resolve,
  )
  await promise
  const close = (): Promise<void> => {
    for (const socket of sockets) socket.destroy()
    return new Promise((done) => void server.close(() => done()))
  }
  context.after(close)
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  const address: SocketAddress =
    where.path === undefined
      ? { kind: 'ip', host: where.host ?? '127.0.0.1', port, ipv6Only: false }
      : { kind: 'unix', path: where.path }
  return { address, port, seen, received, server, close }
}

/** Answers each connection with a status and ends it. */
export function answering(status: number): (socket: Socket) => void {
  return (socket) => void socket.end(`HTTP/1.1 ${status} Whatever\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`)
}

/** Resolves once `isTrue`; rejects, naming what was waited for, after `timeoutMs`. */
export async function eventually(isTrue: () => boolean, what: string, timeoutMs = 5000): Promise<void> {
  const until = performance.now() + timeoutMs
  while (!isTrue()) {
    if (performance.now() > until) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Blocks this thread, as a busy embedding program would. */
export function block(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}
