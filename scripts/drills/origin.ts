/**
 * One real server, a process of its own, for the drills: `origin.ts NAME PORT`.
 *
 * - `/health`: 200.
 * - `/echo/ID?bytes=N&waitMs=W` (or below any other path): after W ms the body that belongs to this target, N bytes of it. A POST must bring the
 *   body that belongs to its own target, else it is a 422.
 * - `/stream/ID?bytes=N&pieces=P&everyMs=E`: the same, chunked, in pieces.
 * - an upgrade to WebSocket: says who it is and which request it got, then echoes.
 *
 * Every answer names the server and the request id that it was given. SIGTERM ends it as a careful server ends: nothing
 * new, idle connections closed, the rest finished. Messages: `drop-idle` and `drop-all` close connections at once,
 * `{ ask: 'seen', ids }` is answered with those of the ids that arrived here.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocketServer } from 'ws'
import { expectedBody } from './expected-body.ts'

const [name = '', port = ''] = process.argv.slice(2)
/** Longer than any drill: connections close when a drill says so. */
const KEEP_ALIVE_MS = 600_000
/** How often a server that ends looks for connections that became idle. */
const CLOSE_IDLE_EVERY_MS = 20

const seen = new Set<string>()
let isEnding = false

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const target = request.url ?? '/'
  const { pathname, searchParams } = new URL(target, 'http://origin')
  response.setHeader('x-server', name)
  response.setHeader('x-seen-request-id', request.headers['x-request-id'] ?? '')
  if (isEnding) response.setHeader('connection', 'close')
  if (pathname === '/health') {
    response.end('well')
    return
  }
  seen.add(pathname.slice(pathname.lastIndexOf('/') + 1))
  const number = (key: string): number => Number(searchParams.get(key) ?? 0)
  const body = expectedBody(target, number('bytes'))
  if (request.method === 'POST') {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const got = Buffer.concat(parts)
    if (!got.equals(expectedBody(target, got.length)) || got.length === 0) {
      response.statusCode = 422
      response.end('another body arrived than was sent')
      return
    }
  }
  const waitMs = number('waitMs')
  if (waitMs > 0) await sleep(waitMs)
  if (pathname.includes('/stream/')) await stream(response, body, number('pieces'), number('everyMs'))
  else response.end(body)
}

async function stream(response: ServerResponse, body: Buffer, pieces: number, everyMs: number): Promise<void> {
  const size = Math.ceil(body.length / pieces)
  for (let at = 0; at < body.length; at += size) {
    response.write(body.subarray(at, at + size))
    await sleep(everyMs)
  }
  response.end()
}

const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0 }, (request, response) => {
  // A client that went away in the middle of its request: nothing is left to answer.
  answer(request, response).catch(() => response.destroy())
})

const webSockets = new WebSocketServer({ noServer: true })
server.on('upgrade', (request, socket, head) => {
  webSockets.handleUpgrade(request, socket, head, (client) => {
    client.on('error', () => {})
    client.send(JSON.stringify({ server: name, requestId: request.headers['x-request-id'] ?? '' }))
    client.on('message', (message, isBinary) => client.send(message, { binary: isBinary }))
  })
})

process.on('SIGTERM', () => {
  isEnding = true
  server.close(() => process.exit(0))
  setInterval(() => server.closeIdleConnections(), CLOSE_IDLE_EVERY_MS)
})
process.on('message', (message: 'drop-idle' | 'drop-all' | { readonly ids: readonly string[] }) => {
  if (message === 'drop-idle') server.closeIdleConnections()
  else if (message === 'drop-all') server.closeAllConnections()
  else process.send!({ seen: message.ids.filter((id) => seen.has(id)) })
})
// Whoever started it is gone.
process.on('disconnect', () => process.exit(0))
server.listen(Number(port), '127.0.0.1', () => process.send!('ready'))
