/**
 * One of the demo's servers: a real HTTP server in a process of its own, to be balanced over and to be killed.
 *
 * `node server.ts NAME PORT BASE_MS`: listens on 127.0.0.1, says its port to its parent, and ends with it: the channel to a
 * parent breaks however the parent ends, SIGKILL included.
 *
 * | path | answer |
 * |---|---|
 * | `/` | who answered: a page for a browser, else JSON |
 * | `/health` | `ok` |
 * | `/slow?ms=2000` | the same after a while (at most 30 s) |
 * | `/sse` | an event stream, one event per second |
 * | `/ws` | WebSocket: echoes every message |
 * | `/upload` | what was sent: its bytes and SHA-256 |
 * | `/echo` | the request's body, as it arrives |
 * | anything else | the same as `/` |
 */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { demoPage } from './page.ts'
import { acceptWebSocket, echoFrames } from './websocket-echo.ts'

/** What a server tells its parent. */
export interface ServerMessage {
  readonly type: 'listening' | 'listen-failed'
  readonly port: number
  readonly detail: string
}

const MOST_DELAY_MS = 30_000

const [name = 'server', portText = '0', baseText = '5'] = process.argv.slice(2)
const baseMs = Number(baseText)
const startedAt = Date.now()
let answered = 0

const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy())
})
server.on('upgrade', upgrade)
server.on('error', (error: NodeJS.ErrnoException) => {
  tell({ type: 'listen-failed', port: Number(portText), detail: error.code ?? error.message })
  process.exitCode = 1
  if (process.connected) process.disconnect()
})
server.keepAliveTimeout = 75_000
server.listen(Number(portText), '127.0.0.1', () => {
  tell({ type: 'listening', port: (server.address() as AddressInfo).port, detail: '' })
})

process.on('disconnect', () => process.exit())
// Ctrl-C reaches the whole foreground group: it is the parent's to end its children.
process.on('SIGINT', () => {})

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://demo')
  response.setHeader('x-served-by', name)
  response.setHeader('cache-control', 'no-store')
  switch (url.pathname) {
    case '/health':
      response.setHeader('content-type', 'text/plain')
      response.end('ok\n')
      return
    case '/sse':
      streamEvents(response)
      return
    case '/upload': {
      const hash = createHash('sha256')
      let bytes = 0
      for await (const chunk of request as AsyncIterable<Buffer>) {
        hash.update(chunk)
        bytes += chunk.length
      }
      sendJson(response, { server: name, bytes, sha256: hash.digest('hex') })
      return
    }
    case '/echo':
      response.setHeader('content-type', request.headers['content-type'] ?? 'application/octet-stream')
      request.pipe(response)
      return
    case '/slow':
      await delay(Math.min(MOST_DELAY_MS, Math.max(0, Number(url.searchParams.get('ms') ?? 2000) || 0)))
      break
    default:
      await delay(serviceMs())
  }
  // Whatever was sent is read, so that the connection can be used again.
  request.resume()
  answered++
  if (request.headers.accept?.includes('text/html') === true) {
    response.setHeader('content-type', 'text/html; charset=utf-8')
    response.end(demoPage(name))
    return
  }
  sendJson(response, {
    server: name,
    pid: process.pid,
    method: request.method,
    path: request.url,
    answered,
    upSeconds: Math.round((Date.now() - startedAt) / 1000),
  })
}

/** Mostly near the base, now and then several times it: a tail, as real servers have. */
function serviceMs(): number {
  const tail = Math.random() < 0.05 ? 4 : 1
  return baseMs * (0.6 - 0.5 * Math.log(1 - Math.random())) * tail
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.setHeader('content-type', 'application/json')
  response.end(`${JSON.stringify(value)}\n`)
}

function streamEvents(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  let count = 0
  const send = () => {
    count++
    response.write(`id: ${count}\ndata: ${JSON.stringify({ server: name, count, at: new Date().toISOString() })}\n\n`)
  }
  send()
  const timer = setInterval(send, 1000)
  response.on('close', () => clearInterval(timer))
}

function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
  socket.on('error', () => socket.destroy())
  const key = request.headers['sec-websocket-key']
  if (request.headers.upgrade?.toLowerCase() !== 'websocket' || key === undefined) {
    socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
    return
  }
  acceptWebSocket(socket, key, `x-served-by: ${name}\r\n`)
  echoFrames(socket, head)
}

function tell(message: ServerMessage): void {
  process.send?.(message)
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
