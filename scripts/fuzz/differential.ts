/**
 * What the codec accepts and the writer forwards, read by others: node's http.Server, and nginx in front of it.
 *
 * Each accepted request is written as it goes to an endpoint, followed by a sentinel request, and sent through a socket.
 * The other must see two requests, ours with the method, target, fields and body that the reference read from the
 * client's bytes, and the sentinel unharmed: a body that it took for longer or shorter would eat or spill it.
 * Where the other refuses, the reason must be one of `EXPLAINED`; anything else is a finding.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import * as http from 'node:http'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ChunkedDecoder } from '../../src/http1/chunked.ts'
import { FIELD_NAMES } from '../../src/http1/fields.ts'
import { Framing, MethodId, type RequestHead } from '../../src/http1/head.ts'
import { ParseStatus } from '../../src/http1/parse-status.ts'
import { RequestHeadParser } from '../../src/http1/request-head-parser.ts'
import { normalPath } from '../../src/http1/target.ts'
import { cutTable, writeRequestHead } from '../../src/http1/write-request.ts'
import { writeLastChunk } from '../../src/http1/write-response.ts'
import { FUZZ_LIMITS } from './reader.ts'
import { type ReferenceMessage, referenceRequest } from './reference.ts'

export interface DifferentialResult {
  readonly reader: string
  sent: number
  agreed: number
  /** Not forwarded by the edge either: CONNECT, and paths without a normal form. */
  skipped: number
  readonly explained: Map<string, number>
  finding: { readonly what: string; readonly input: string; readonly forwarded: string; readonly answer: string } | null
}

/** A request as the reader's last server saw it. */
interface Seen {
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
  body: string
  rawTrailers: readonly string[]
}

const ADDED_HOST = 'endpoint.example'
const ANSWER_TIMEOUT_MS = 5000
const CUT_NOTHING = cutTable([])

/** Sends the requests to a reader one by one. `texts`: accepted requests, one byte a character. */
export async function differential(reader: 'node' | 'nginx', texts: Iterable<string>): Promise<DifferentialResult> {
  const result: DifferentialResult = { reader, sent: 0, agreed: 0, skipped: 0, explained: new Map(), finding: null }
  const origin = await startOrigin()
  const nginx = reader === 'nginx' ? await startNginx(origin.port) : null
  const client = new Client(nginx?.port ?? origin.port)
  try {
    for (const text of texts) {
      if (result.finding !== null) break
      const reference = referenceRequest(text)
      if (typeof reference === 'string') throw new Error(`the reference calls an accepted request ${reference}`)
      const forwarded = forward(text)
      if (forwarded === null) {
        result.skipped++
        continue
      }
      result.sent++
      origin.seen.length = 0
      const answer = await client.exchange(forwarded, result.sent)
      const difference = judge(reader, reference, origin.seen, result.sent)
      if (difference === null) {
        result.agreed++
        continue
      }
      const final = answer.replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '')
      const reason = EXPLAINED.find(({ of, holds }) => (of === 'both' || of === reader) && holds(reference, final))
      if (reason === undefined) result.finding = { what: difference, input: text, forwarded, answer }
      else result.explained.set(reason.why, (result.explained.get(reason.why) ?? 0) + 1)
    }
  } finally {
    client.close()
    await nginx?.stop()
    origin.close()
  }
  return result
}

interface Explanation {
  readonly of: 'node' | 'nginx' | 'both'
  readonly why: string
  /** Is this why the reader refused? `answer` begins with its final status. */
  readonly holds: (reference: ReferenceMessage, answer: string) => boolean
}

/** Case by case, why a reader refuses what we forward. None is about where a message ends. */
const EXPLAINED: readonly Explanation[] = [
  {
    of: 'both',
    why: 'node reads only the methods on its list',
    holds: ({ line }, answer) => answer.startsWith('HTTP/1.1 400') && !http.METHODS.includes(line[0]!),
  },
  {
    of: 'nginx',
    why: 'nginx takes methods of A to Z, "-" and "_" alone, and refuses TRACE',
    holds: ({ line }, answer) =>
      /^HTTP\/1\.1 40[05]/.test(answer) && (!/^[A-Z_-]+$/.test(line[0]!) || line[0] === 'TRACE'),
  },
  {
    of: 'nginx',
    why: 'nginx takes no asterisk target',
    holds: ({ line }, answer) =>
      answer.startsWith('HTTP/1.1 400') && (line[1] === '*' || originForm(line[0]!, line[1]!) === '*'),
  },
]

/** The difference between what the client sent and what the reader saw, or null. */
function judge(
  reader: 'node' | 'nginx',
  reference: ReferenceMessage,
  seen: readonly Seen[],
  index: number,
): string | null {
  const [ours, sentinel, ...more] = seen
  if (ours === undefined) return 'nothing was read'
  if (ours.url === sentinelPath(index)) return 'the request was not read, the sentinel was'
  if (sentinel === undefined) return 'the sentinel was not read'
  if (more.length > 0) return 'more than two requests were read'
  if (sentinel.method !== 'GET' || sentinel.url !== sentinelPath(index) || sentinel.body !== '')
    return 'the sentinel is not as it was sent'
  const [method, target] = reference.line
  if (ours.method !== method) return `the method is ${ours.method}`
  if (ours.url !== originForm(method, target!)) return `the target is ${ours.url}`
  if (ours.body !== reference.body) return `the body is ${JSON.stringify(ours.body)}`
  // nginx writes a head of its own; what it makes of the fields is its business.
  return reader === 'nginx' ? null : fieldDifference(reference, ours)
}

function fieldDifference(reference: ReferenceMessage, seen: Seen): string | null {
  const fields = pairs(seen.rawHeaders)
  const valuesOf = (name: string) => fields.filter(([one]) => one!.toLowerCase() === name).map(([, value]) => value)
  const host = hostOf(reference)
  if (JSON.stringify(valuesOf('host')) !== JSON.stringify([host])) return `Host is ${JSON.stringify(valuesOf('host'))}`
  const lengths = valuesOf('content-length')
  const codings = valuesOf('transfer-encoding')
  const framing =
    codings.length === 1 && codings[0] === 'chunked' && lengths.length === 0
      ? 'chunked'
      : codings.length === 0 && lengths.length === 1
        ? 'length'
        : codings.length + lengths.length === 0
          ? 'none'
          : 'ambiguous'
  if (framing !== reference.framing) return `the framing is ${framing}`
  const rest = (list: readonly (readonly string[])[]) =>
    list.filter(([name]) => !/^(?:host|transfer-encoding)$/i.test(name!))
  const kept = reference.fields.filter(([name], i) => !reference.hop[i] && !isVariant(name))
  if (JSON.stringify(rest(fields)) !== JSON.stringify(rest(kept))) return `the fields are ${JSON.stringify(fields)}`
  const trailers = reference.trailers.filter(([name]) => !isVariant(name))
  return JSON.stringify(pairs(seen.rawTrailers)) === JSON.stringify(trailers)
    ? null
    : `the trailers are ${JSON.stringify(seen.rawTrailers)}`
}

function isVariant(name: string): boolean {
  return name.includes('_') && FIELD_NAMES.includes(name.toLowerCase().replaceAll('_', '-'))
}

function hostOf({ line, fields }: ReferenceMessage): string {
  const absolute = /^https?:\/\/([^/?]*)/i.exec(line[1]!)
  if (absolute !== null) return absolute[1]!
  return fields.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? ADDED_HOST
}

/** RFC 9112 section 3.2: what a target looks like to an origin. */
function originForm(method: string, target: string): string {
  const absolute = /^https?:\/\/[^/?]*(.*)$/is.exec(target)
  if (absolute === null) return target
  const [, path] = absolute
  if (path === '') return method === 'OPTIONS' ? '*' : '/'
  return path!.startsWith('?') ? `/${path!}` : path!
}

function pairs(raw: readonly string[]): string[][] {
  return Array.from({ length: raw.length / 2 }, (_, i) => [raw[2 * i]!, raw[2 * i + 1]!])
}

/** What the edge would send to an endpoint, one byte a character; null when it would send nothing. */
function forward(text: string): string | null {
  const bytes = Buffer.from(text, 'latin1')
  const parser = new RequestHeadParser(FUZZ_LIMITS)
  if (parser.feed(bytes, 0, bytes.length) !== ParseStatus.DONE) throw new Error('an accepted request is refused')
  const { head } = parser
  if (head.method === MethodId.CONNECT || normalPath(head) === null) return null
  const framing = head.framing === Framing.CHUNKED ? 'transfer-encoding: chunked\r\n' : ''
  const host = head.authorityStart === head.authorityEnd ? `host: ${ADDED_HOST}\r\n` : ''
  return `${writeRequestHead(head, CUT_NOTHING, framing + host)}\r\n${forwardedBody(head, bytes, parser.consumed)}`
}

function forwardedBody(head: RequestHead, bytes: Buffer, start: number): string {
  if (head.framing === Framing.LENGTH) return bytes.toString('latin1', start, start + head.contentLength)
  if (head.framing !== Framing.CHUNKED) return ''
  let body = ''
  const decoder = new ChunkedDecoder({ trailerBytes: 8192, fieldCount: 100 })
  const sink = {
    chunkData: (data: Buffer, from: number, to: number) => {
      body += `${(to - from).toString(16)}\r\n${data.toString('latin1', from, to)}\r\n`
    },
  }
  if (decoder.feed(bytes, start, bytes.length, sink) !== ParseStatus.DONE)
    throw new Error('an accepted body is refused')
  return body + writeLastChunk(decoder.trailers)
}

function sentinelPath(index: number): string {
  return `/sentinel/${index}`
}

/** One connection, used until the other side closes it. */
class Client {
  readonly #port: number
  #socket: net.Socket | null = null
  #received = ''
  #wake: (() => void) | null = null

  constructor(port: number) {
    this.#port = port
  }

  /** Sends the request and its sentinel. Returns what came back until the sentinel's answer, or until the close. */
  async exchange(request: string, index: number): Promise<string> {
    const socket = this.#socket ?? (await this.#connect())
    this.#received = ''
    socket.write(`${request}GET ${sentinelPath(index)} HTTP/1.1\r\nHost: sentinel.example\r\n\r\n`, 'latin1')
    const deadline = Date.now() + ANSWER_TIMEOUT_MS
    while (this.#socket === socket && !this.#received.includes(`x-sentinel: ${index}\r\n`) && Date.now() < deadline) {
      await Promise.race([
        new Promise<void>((resolve) => (this.#wake = resolve)),
        sleep(ANSWER_TIMEOUT_MS, undefined, { ref: false }),
      ])
    }
    if (!this.#received.includes(`x-sentinel: ${index}\r\n`)) this.close()
    return this.#received
  }

  close(): void {
    this.#socket?.destroy()
    this.#socket = null
  }

  async #connect(): Promise<net.Socket> {
    const socket = net.connect(this.#port, '127.0.0.1')
    socket.setNoDelay(true)
    socket.setEncoding('latin1')
    const wake = () => this.#wake?.()
    socket.on('data', (text: string) => {
      this.#received += text
      wake()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = null
      wake()
    })
    await once(socket, 'connect')
    this.#socket = socket
    return socket
  }
}

/** Notes every request that node's own server reads. */
async function startOrigin(): Promise<{ port: number; seen: Seen[]; close(): void }> {
  const seen: Seen[] = []
  const server = http.createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 }, (request, response) => {
    const one: Seen = {
      method: request.method ?? '',
      url: request.url ?? '',
      rawHeaders: request.rawHeaders,
      body: '',
      rawTrailers: [],
    }
    seen.push(one)
    request.setEncoding('latin1')
    request.on('data', (text: string) => {
      one.body += text
    })
    request.on('end', () => {
      one.rawTrailers = request.rawTrailers
      const sentinel = /^\/sentinel\/([0-9]+)$/.exec(one.url)
      if (sentinel !== null) response.setHeader('x-sentinel', sentinel[1]!)
      response.setHeader('Content-Length', '0')
      response.end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  return {
    port,
    seen,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** An nginx that passes everything on to the origin, as much as it came as nginx can be told to. */
async function startNginx(originPort: number): Promise<{ port: number; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-nginx-'))
  const port = await freePort()
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  )
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log crit;
    events { worker_connections 64; }
    http {
      access_log off; ${paths.join(' ')}
      underscores_in_headers on; ignore_invalid_headers off; merge_slashes off; keepalive_requests 1000000000;
      upstream origin { server 127.0.0.1:${originPort}; keepalive 4; keepalive_requests 1000000000; }
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://origin; proxy_http_version 1.1; proxy_pass_request_headers off;
          proxy_set_header Host origin.example; proxy_set_header Connection "";
        }
      }
    }`,
  )
  const child = spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')], {
    stdio: 'ignore',
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` },
  })
  const exited = once(child, 'exit')
  for (let tries = 0; tries < 100 && !(await canConnect(port)); tries++) await sleep(50)
  return {
    port,
    async stop() {
      child.kill('SIGTERM')
      await exited
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function canConnect(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1')
  return new Promise((resolve) => {
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
