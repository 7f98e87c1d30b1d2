/**
 * Three real servers in one process, for the soak and for the client drill: small and large answers, uploads summed,
 * chunked answers with trailers, server-sent events, WebSocket echoes, a page. The paths that the
 * client drill uses are those of the demo's servers. Prints its ports as one JSON line.
 */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'

const BIG = Buffer.alloc(1024 * 1024, 'evenkeel ')
const EVENT_INTERVAL_MS = 200

const PAGE = `<!doctype html><title>through Evenkeel</title><h1 id="heading">hello</h1><p id="fetched">waiting</p>
<script type="module">
const answer = await (await fetch('/small')).text()
const socket = new WebSocket('ws://' + location.host + '/ws')
socket.onopen = () => socket.send('from the page')
socket.onmessage = (event) => { document.getElementById('fetched').textContent = answer + ' / ' + event.data }
</script>
`

function answer(request: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(request.url ?? '/', 'http://origin')
  switch (pathname) {
    case '/':
      response.setHeader('Content-Type', 'text/html; charset=utf-8')
      response.end(PAGE)
      break
    case '/health':
    case '/small':
      response.setHeader('Content-Type', 'text/plain')
      response.end('a small answer')
      break
    case '/big':
      response.end(BIG)
      break
    case '/upload': {
      // The checksum of what arrived: what a client compares its upload with.
      const hash = createHash('sha256')
      let bytes = 0
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        hash.update(chunk)
      })
      request.on('end', () => {
        response.end(JSON.stringify({ bytes, sha256: hash.digest('hex') }))
      })
      break
    }
    case '/chunked':
      response.setHeader('Trailer', 'X-Checked')
      for (let part = 0; part < 20; part++) response.write('x'.repeat(500 + part))
      response.addTrailers({ 'X-Checked': 'yes' })
      response.end()
      break
    case '/slow':
      setTimeout(() => response.end('late'), 100)
      break
    case '/sse': {
      response.setHeader('Content-Type', 'text/event-stream')
      let id = 0
      const send = (): void => {
        id += 1
        response.write(`id: ${id}\ndata: ${Date.now()}\n\n`)
      }
      send()
      const timer = setInterval(send, EVENT_INTERVAL_MS)
      response.on('close', () => {
        clearInterval(timer)
      })
      break
    }
    default:
      response.statusCode = 404
      response.end('not here')
  }
}

/** One server on a free port of loopback. */
export async function startOrigin(): Promise<Server> {
  const server = createServer({ keepAliveTimeout: 120_000, requestTimeout: 0 }, answer)
  const sockets = new WebSocketServer({ server, path: '/ws' })
  sockets.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => {
      socket.send(data, { binary: isBinary })
    })
    // A client that breaks off is part of the drill.
    socket.on('error', () => {
      socket.terminate()
    })
  })
  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return server
}

if (import.meta.main) {
  const servers = await Promise.all([startOrigin(), startOrigin(), startOrigin()])
  console.log(JSON.stringify({ ports: servers.map((server) => (server.address() as AddressInfo).port) }))
}
