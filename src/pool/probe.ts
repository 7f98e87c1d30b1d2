/**
 * One health check on the wire: connect, send a request, read the status line, close. A client of its own rather than
 * `node:http`, because a check wants to see no more than the first line and to hold nothing afterwards.
 */
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import type { SocketAddress } from '../core/address.ts'
import { BodyReader } from './probe-body.ts'

/** A status line longer than this is no answer. */
const STATUS_LINE_BYTES = 1024
/** More interim (1xx) heads than this before the answer are no answer. */
const MAX_INTERIM = 8
const NOTHING = Buffer.alloc(0)

export type ProbeOutcome =
  /** `body`: only where it was asked for; null where it cannot be read. */
  | { readonly kind: 'answer'; readonly status: number; readonly body?: string | null }
  /** The endpoint's doing: refused, closed, not HTTP. `isAbrupt`: our own lateness could have caused it. */
  | { readonly kind: 'failure'; readonly detail: string; readonly isAbrupt: boolean }
  /** Ours: no descriptor or memory was left. Says nothing about the endpoint. */
  | { readonly kind: 'local'; readonly detail: string }

export interface ProbeRequest {
  readonly method: string
  readonly path: string
  readonly host: string
  readonly headers: Readonly<Record<string, string>>
}

/** The bytes of a check's request, made once per endpoint. */
export function probeRequestBytes(request: ProbeRequest): Buffer {
  const lines = [`${request.method} ${request.path} HTTP/1.1`]
  const given = new Set(Object.keys(request.headers).map((name) => name.toLowerCase()))
  const own = { host: request.host, 'user-agent': 'evenkeel-health-check', accept: '*/*', connection: 'close' }
  for (const [name, value] of Object.entries(own)) if (!given.has(name)) lines.push(`${name}: ${value}`)
  for (const [name, value] of Object.entries(request.headers)) lines.push(`${name}: ${value}`)
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
}

/** A running check. Calls `onDone` exactly once, unless `abandon` came first; never from within the constructor. */
export class Probe {
  readonly #onDone: (outcome: ProbeOutcome) => void
  readonly #socket: Socket
  #line: Buffer | null = null
  /** Interim heads so far; the fields of the last one are being skipped. */
  #interim = 0
  #isSkipping = false
  /** Bytes of the field line that is being skipped: none means that the head ends. */
  #fieldBytes = 0
  #isDone = false
  #isConnected = false
  readonly #wantsBody: boolean
  #status = 0
  #body: BodyReader | null = null

  /** `wantsBody`: what follows the status line is read as well, as far as `BodyReader` does. */
  constructor(
    address: SocketAddress,
    request: Buffer,
    onDone: (outcome: ProbeOutcome) => void,
    wantsBody: boolean = false,
  ) {
    this.#onDone = onDone
    this.#wantsBody = wantsBody
    const options: NetConnectOpts =
      address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port }
    const socket = connect(options)
    this.#socket = socket
    socket.on('connect', () => {
      this.#isConnected = true
      socket.write(request)
    })
    socket.on('data', (bytes: Buffer) => this.#read(bytes))
    socket.on('end', () => this.#ended())
    socket.on('error', (error: NodeJS.ErrnoException) => this.#failed(error))
    socket.on('close', () => this.#ended())
  }

  /** Has the connection been made? Says which half of a timeout it was. */
  get isConnected(): boolean {
    return this.#isConnected
  }

  /** Of an answer whose body is still being read; 0: none yet. */
  get status(): number {
    return this.#status
  }

  /** Drops the check; `onDone` is not called any more. */
  abandon(): void {
    this.#isDone = true
    this.#socket.destroy()
  }

  #read(bytes: Buffer): void {
    if (this.#body !== null) return this.#readBody(this.#body, bytes)
    let rest = bytes
    while (!this.#isDone && rest.length > 0) rest = this.#isSkipping ? this.#skipFields(rest) : this.#readStatus(rest)
  }

  /** What follows the interim head; nothing while it has not ended. */
  #skipFields(bytes: Buffer): Buffer {
    for (let index = 0; index < bytes.length; index++) {
      const byte = bytes[index]!
      if (byte !== 0x0a) {
        if (byte !== 0x0d) this.#fieldBytes += 1
      } else if (this.#fieldBytes > 0) this.#fieldBytes = 0
      else {
        this.#isSkipping = false
        return bytes.subarray(index + 1)
      }
    }
    return NOTHING
  }

  /** What follows the status line of an interim head; nothing where there is no more to be read now. */
  #readStatus(bytes: Buffer): Buffer {
    // A copy of at most what is still missing of the limit: the rest is of no interest.
    const had = this.#line?.length ?? 0
    const room = STATUS_LINE_BYTES - had
    const part = bytes.subarray(0, room)
    const line = this.#line === null ? part : Buffer.concat([this.#line, part])
    const end = line.indexOf(0x0a)
    if (end < 0) {
      if (!couldBecomeStatusLine(line)) this.#fail('its answer is not HTTP', false)
      else if (line.length >= STATUS_LINE_BYTES) this.#fail('its status line is longer than 1 KiB', false)
      else this.#line = line
      return NOTHING
    }
    const match = /^HTTP\/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?\r?$/.exec(line.toString('latin1', 0, end))
    const status = Number(match?.[1])
    if (match === null) this.#fail('its answer is not HTTP', false)
    // 101 is no interim answer: nothing of HTTP follows it.
    else if (status >= 200 && this.#wantsBody) {
      this.#status = status
      this.#body = new BodyReader()
      this.#readBody(this.#body, bytes.subarray(end + 1 - had))
    } else if (status >= 200 || status === 101) this.#done({ kind: 'answer', status })
    else if (this.#interim === MAX_INTERIM) this.#fail(`it sent more than ${MAX_INTERIM} interim answers`, false)
    else {
      this.#interim += 1
      this.#line = null
      this.#isSkipping = true
      this.#fieldBytes = 0
      return bytes.subarray(end + 1 - had)
    }
    return NOTHING
  }

  #readBody(body: BodyReader, bytes: Buffer): void {
    if (body.feed(bytes)) this.#done({ kind: 'answer', status: this.#status, body: body.text() })
  }

  #ended(): void {
    if (this.#body === null) return this.#fail('it closed before it answered', true)
    this.#body.end()
    this.#done({ kind: 'answer', status: this.#status, body: this.#body.text() })
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (this.#body !== null) return this.#ended()
    const code = error.code ?? error.message
    if (LOCAL_CODES.has(code)) this.#done({ kind: 'local', detail: code })
    else this.#fail(FAILURE_WORDS[code] ?? code, code === 'ECONNRESET' || code === 'EPIPE')
  }

  #fail(detail: string, isAbrupt: boolean): void {
    this.#done({ kind: 'failure', detail, isAbrupt })
  }

  #done(outcome: ProbeOutcome): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#socket.destroy()
    this.#onDone(outcome)
  }
}

/**
 * Errors that tell about this machine. Not EADDRNOTAVAIL: an address that this machine has no way to (IPv6 where there is none)
 * says so for ever, and requests fail by it as well.
 */
const LOCAL_CODES: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])

const FAILURE_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was reset',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
  ETIMEDOUT: 'the connection timed out',
  EADDRNOTAVAIL: 'no address of this machine can reach it',
  ENOENT: 'the socket does not exist',
  EACCES: 'the socket may not be opened',
  EAGAIN: 'its accept queue is full',
}

function couldBecomeStatusLine(line: Buffer): boolean {
  const start = 'HTTP/1.'
  return line.toString('latin1', 0, start.length) === start.slice(0, line.length)
}
