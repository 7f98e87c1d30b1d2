/**
 * The soak's mixed traffic: clients of many kinds, each a loop that acts, judges the outcome and pauses. What a client
 * expects stands beside what it does; anything else is counted with its reason.
 */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'

export interface Kind {
  readonly name: string
  /** How many of it at once. */
  readonly clients: number
  readonly pauseMs: number
  /** Throws when the outcome is not the expected one. */
  readonly act: (context: Context) => Promise<void>
}

export interface Context {
  readonly port: number
  /** One kept-alive connection of this client. */
  readonly agent: Agent
  /** How often this client acted before. */
  readonly turn: number
}

export interface Tally {
  done: number
  failed: number
  /** Reason → how often. */
  readonly reasons: Map<string, number>
}

const UPLOAD = randomBytes(256 * 1024)
const UPLOAD_SHA256 = createHash('sha256').update(UPLOAD).digest('hex')
const ACT_TIMEOUT_MS = 20_000

/** Requests that must be refused with a 4xx or 5xx and a closed connection. */
const MALFORMED: readonly string[] = [
  'GET / HTTP/1.1\nHost: a\n\n',
  'GET / HTTP/1.1\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  'GET / HTTP/1.1\r\nHost : a\r\n\r\n',
  'GET / HTTP/3.9\r\nHost: a\r\n\r\n',
  'GET /\u0000 HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nx',
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
  'POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
  `GET / HTTP/1.1\r\nHost: a\r\n${'X-Y: z\r\n'.repeat(300)}\r\n`,
  // Well framed, but refused: such a connection could go on.
  'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nConnection: close\r\n\r\n',
  'GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
]

export const KINDS: readonly Kind[] = [
  { name: 'kept-alive GET', clients: 16, pauseMs: 5, act: keptAlive },
  { name: 'new connection', clients: 4, pauseMs: 10, act: newConnection },
  { name: 'HTTP/1.0', clients: 1, pauseMs: 20, act: http10 },
  { name: 'pipelined', clients: 2, pauseMs: 20, act: pipelined },
  { name: 'upload with length', clients: 2, pauseMs: 50, act: upload },
  { name: 'chunked upload', clients: 2, pauseMs: 50, act: chunkedUpload },
  { name: 'chunked answer', clients: 2, pauseMs: 10, act: chunkedAnswer },
  { name: 'large answer', clients: 2, pauseMs: 50, act: largeAnswer },
  { name: 'slow reader', clients: 4, pauseMs: 100, act: slowReader },
  { name: 'slow sender', clients: 4, pauseMs: 100, act: slowSender },
  { name: 'aborted client', clients: 4, pauseMs: 20, act: abortedClient },
  { name: 'WebSocket', clients: 6, pauseMs: 50, act: webSocket },
  { name: 'server-sent events', clients: 4, pauseMs: 50, act: serverSentEvents },
  { name: 'no such path', clients: 1, pauseMs: 20, act: noSuchPath },
  { name: 'no route', clients: 1, pauseMs: 20, act: noRoute },
  { name: 'malformed', clients: 2, pauseMs: 20, act: malformed },
]

/** Starts every client. The function that it gives back ends them all and resolves when the last one has stopped. */
export function startTraffic(port: number): {
  readonly tallies: ReadonlyMap<string, Tally>
  readonly stop: () => Promise<void>
} {
  const tallies = new Map<string, Tally>()
  const stopping = new AbortController()
  const loops = KINDS.flatMap((kind) => {
    const tally: Tally = { done: 0, failed: 0, reasons: new Map() }
    tallies.set(kind.name, tally)
    return Array.from({ length: kind.clients }, () => loop(kind, port, tally, stopping.signal))
  })
  return {
    tallies,
    stop: async () => {
      stopping.abort()
      await Promise.all(loops)
    },
  }
}

async function loop(kind: Kind, port: number, tally: Tally, signal: AbortSignal): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  for (let turn = 0; !signal.aborted; turn++) {
    try {
      await kind.act({ port, agent, turn })
      tally.done += 1
    } catch (error) {
      tally.failed += 1
      const reason = (error as Error).message
      tally.reasons.set(reason, (tally.reasons.get(reason) ?? 0) + 1)
    }
    await sleep(kind.pauseMs)
  }
  agent.destroy()
}

interface Answer {
  readonly status: number
  readonly body: string
  readonly trailers: NodeJS.Dict<string>
}

/** One request with node:http; `send` writes the body and ends it. */
function ask(
  { port, agent }: Context,
  path: string,
  options: RequestOptions = {},
  send?: (write: NodeJS.WritableStream) => void,
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const outgoing = request({ port, host: '127.0.0.1', path, agent, ...options }, (response: IncomingMessage) => {
    const parts: Buffer[] = []
    response.on('data', (part: Buffer) => parts.push(part))
    response.on('error', reject)
    response.on('end', () => {
      resolve({
        status: response.statusCode ?? 0,
        body: Buffer.concat(parts).toString('latin1'),
        trailers: response.trailers,
      })
    })
  })
  outgoing.setTimeout(ACT_TIMEOUT_MS, () => outgoing.destroy(new Error('no answer in time')))
  outgoing.on('error', reject)
  if (send === undefined) outgoing.end()
  else send(outgoing)
  return promise
}

function expect(isRight: boolean, otherwise: string): void {
  if (!isRight) throw new Error(otherwise)
}

async function keptAlive(context: Context): Promise<void> {
  const { status, body } = await ask(context, '/small')
  expect(status === 200 && body === 'a small answer', `status ${status}`)
}

async function newConnection(context: Context): Promise<void> {
  const { status } = await ask(context, '/small', { agent: false })
  expect(status === 200, `status ${status}`)
}

async function http10({ port }: Context): Promise<void> {
  const text = await exchange(port, 'GET /small HTTP/1.0\r\nHost: a\r\n\r\n')
  expect(text.startsWith('HTTP/1.') && text.includes(' 200 ') && text.endsWith('a small answer'), firstLine(text))
}

async function pipelined({ port }: Context): Promise<void> {
  const one = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`
  const text = await exchange(port, one('/small') + one('/slow') + one('/small', 'Connection: close\r\n'))
  const bodies = [...text.matchAll(/a small answer|late/g)].map(([body]) => body)
  expect(bodies.join() === 'a small answer,late,a small answer', `pipelined answers: ${bodies.join()}`)
}

async function upload(context: Context): Promise<void> {
  const options = { method: 'POST', headers: { 'Content-Length': UPLOAD.length } }
  const { body } = await ask(context, '/upload', options, (write) => write.end(UPLOAD))
  expect(body.includes(UPLOAD_SHA256), 'the upload arrived changed')
}

async function chunkedUpload(context: Context): Promise<void> {
  const { body } = await ask(context, '/upload', { method: 'PUT' }, (write) => {
    for (let at = 0; at < UPLOAD.length; at += 10_007) write.write(UPLOAD.subarray(at, at + 10_007))
    write.end()
  })
  expect(body.includes(UPLOAD_SHA256), 'the chunked upload arrived changed')
}

async function chunkedAnswer(context: Context): Promise<void> {
  const { body, trailers } = await ask(context, '/chunked')
  expect(body.length === 20 * 500 + 190, `chunked answer of ${body.length} bytes`)
  expect(trailers['x-checked'] === 'yes' || Object.keys(trailers).length === 0, 'wrong trailers')
}

async function largeAnswer(context: Context): Promise<void> {
  const { body } = await ask(context, '/big')
  expect(body.length === 1024 * 1024, `large answer of ${body.length} bytes`)
}

/** Takes the large answer in sips, so that it must be held back at the origin. */
async function slowReader({ port }: Context): Promise<void> {
  const socket = await open(port)
  try {
    socket.write('GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    let bytes = 0
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      socket.pause()
      setTimeout(() => socket.resume(), 10)
    })
    await ended(socket)
    expect(bytes > 1024 * 1024, `slow reader got ${bytes} bytes`)
  } finally {
    socket.destroy()
  }
}

/** Sends a head and a body byte by byte, well inside the limits. */
async function slowSender({ port }: Context): Promise<void> {
  const socket = await open(port)
  try {
    const text = read(socket)
    for (const byte of 'POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nConnection: close\r\n\r\n0123456789') {
      socket.write(byte)
      await sleep(5)
    }
    expect((await text).includes('"bytes":10'), 'slow sender was not answered')
  } finally {
    socket.destroy()
  }
}

/** Goes away in the middle: of the head, of the upload, before the answer, within the answer. */
async function abortedClient({ port, turn }: Context): Promise<void> {
  const socket = await open(port)
  const scripts = [
    'GET /small HTTP/1.1\r\nHost: a\r\nX-Unfini',
    'POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nonly this',
    'GET /slow HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET /big HTTP/1.1\r\nHost: a\r\n\r\n',
    'POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc',
    'GET /sse HTTP/1.1\r\nHost: a\r\n\r\n',
  ]
  socket.write(scripts[turn % scripts.length]!)
  await sleep(30)
  // By turns with FIN and with RST.
  if (turn % 2 === 0) socket.resetAndDestroy()
  else socket.destroy()
}

async function webSocket({ port, turn }: Context): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { handshakeTimeout: ACT_TIMEOUT_MS })
  try {
    await once(socket, 'open')
    for (let i = 0; i < 20; i++) {
      const message = `${turn}-${i}-${'w'.repeat(i * 50)}`
      socket.send(message)
      const [echo] = (await once(socket, 'message')) as [Buffer]
      expect(echo.toString() === message, 'the echo differs')
    }
    if (turn % 3 === 0) return
    socket.close()
    await once(socket, 'close')
  } finally {
    // Every third one just breaks off.
    socket.on('error', () => {})
    socket.terminate()
  }
}

async function serverSentEvents({ port }: Context): Promise<void> {
  const socket = await open(port)
  try {
    socket.write('GET /sse HTTP/1.1\r\nHost: a\r\n\r\n')
    let text = ''
    while (!text.includes('id: 4\n')) text += String((await once(socket, 'data', { signal: timeout() }))[0])
    expect(text.startsWith('HTTP/1.1 200'), firstLine(text))
  } finally {
    socket.destroy()
  }
}

async function noSuchPath(context: Context): Promise<void> {
  const { status, body } = await ask(context, '/nothing/here')
  expect(status === 404 && body === 'not here', `status ${status} for a path that the origin does not know`)
}

async function noRoute(context: Context): Promise<void> {
  const { status } = await ask(context, '/small', { headers: { Host: 'unrouted.example' } })
  expect(status === 404, `status ${status} without a route`)
}

async function malformed({ port, turn }: Context): Promise<void> {
  const which = turn % MALFORMED.length
  const text = await exchange(port, MALFORMED[which]!)
  expect(/^HTTP\/1\.1 [45]\d\d /.test(text), `malformed ${which} was answered: ${firstLine(text)}`)
}

/** Sends bytes, reads until the other side closes. */
async function exchange(port: number, bytes: string): Promise<string> {
  const socket = await open(port)
  try {
    socket.write(bytes, 'latin1')
    return await read(socket)
  } finally {
    socket.destroy()
  }
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' })
  await once(socket, 'connect')
  // Judged by what arrived before; a later reset is part of the drill.
  socket.on('error', () => {})
  return socket
}

async function read(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
  })
  await ended(socket)
  return text
}

async function ended(socket: Socket): Promise<void> {
  const signal = timeout()
  await Promise.race([once(socket, 'end', { signal }), once(socket, 'close', { signal })])
}

function timeout(): AbortSignal {
  return AbortSignal.timeout(ACT_TIMEOUT_MS)
}

function firstLine(text: string): string {
  return text === '' ? 'nothing' : text.slice(0, Math.max(0, text.indexOf('\r\n')) || 60)
}
