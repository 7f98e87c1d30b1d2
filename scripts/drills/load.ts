/**
 * Clients on raw kept-alive connections, in an open loop: a request is due when its time has come, whether or not the ones
 * before were answered, and how late it could be sent is measured. They never repeat anything, so that every failure shows,
 * and compare every answer with the one that belongs to it.
 */
import { connect, type Socket } from 'node:net'
import { type Answer, AnswerReader } from './answer-reader.ts'
import { expectedBody } from './expected-body.ts'

/** An answer that takes longer has failed. */
const PATIENCE_MS = 15_000
const TICK_MS = 2
/** So many characters of a request id tell workers apart. */
const WORKER_ID_LENGTH = 12

export interface RequestSpec {
  readonly method: 'GET' | 'POST'
  /** Before `/ID?…`. */
  readonly path: string
  readonly bytes: number
  readonly waitMs?: number
  /** For `/stream`. */
  readonly pieces?: number
  readonly everyMs?: number
  /** Of the body of a POST; sent in pieces when `uploadMs` is given. */
  readonly uploadBytes?: number
  readonly uploadMs?: number
}

export interface Failure {
  /** `connect`: there was no connection. `unanswered`: nothing of an answer came. `cut`: it had begun. `wrong`: it was another one than it should be. */
  readonly stage: 'connect' | 'unanswered' | 'cut' | 'wrong'
  readonly cause: string
}

/** One request and what came of it. Times are `performance.now()`, 0 where it did not come to that. */
export interface Sent {
  readonly id: string
  readonly spec: RequestSpec
  readonly plannedAt: number
  sentAt: number
  headAt: number
  endedAt: number
  status: number
  /** The server that answered. */
  server: string
  /** The worker that passed it on. */
  worker: string
  /** The client's connection, by number. */
  connection: number
  /** The answer said that the connection ends. */
  saysClose: boolean
  failure: Failure | null
}

export interface LoadOptions {
  readonly port: number
  readonly perSecond: number
  /** Most connections at once; all are opened at the start. */
  readonly connections: number
  readonly mix: (turn: number) => RequestSpec
}

/** A client's connection. */
export interface Connection {
  readonly number: number
  readonly socket: Socket
  readonly openedAt: number
  closedAt: number
  /** The worker that serves it, once an answer has told. */
  worker: string
  busy: Sent | null
}

interface OwnConnection extends Connection {
  readonly reader: AnswerReader
  isConnected: boolean
  error: string
}

let requestsMade = 0

export class Load {
  readonly sent: Sent[] = []
  /** All there ever were. */
  readonly connections: Connection[] = []
  readonly #options: LoadOptions
  readonly #idle: OwnConnection[] = []
  readonly #waiting: Sent[] = []
  #open = 0
  #busy = 0
  #timer: NodeJS.Timeout | null = null
  #onQuiet: (() => void) | null = null

  constructor(options: LoadOptions) {
    this.#options = options
  }

  /** Opens every connection and begins. */
  async start(): Promise<void> {
    await this.open()
    const { perSecond, mix } = this.#options
    const beganAt = performance.now()
    let turn = 0
    this.#timer = setInterval(() => {
      const now = performance.now()
      for (;;) {
        const plannedAt = beganAt + (turn * 1000) / perSecond
        if (plannedAt > now) return
        this.send(mix(turn), plannedAt)
        turn += 1
      }
    }, TICK_MS)
  }

  async open(): Promise<void> {
    const opening: Promise<void>[] = []
    while (this.#open < this.#options.connections) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const connection = this.#connect()
      connection.socket.once('connect', () => {
        this.#idle.push(connection)
        resolve()
      })
      connection.socket.once('close', () => reject(new Error(`a client could not connect: ${connection.error}`)))
      opening.push(promise)
    }
    await Promise.all(opening)
  }

  /** One request more, on the connection that is idle for longest. */
  send(spec: RequestSpec, plannedAt: number = performance.now()): Sent {
    requestsMade += 1
    const one: Sent = {
      id: `r${requestsMade.toString(36)}`,
      spec,
      plannedAt,
      sentAt: 0,
      headAt: 0,
      endedAt: 0,
      status: 0,
      server: '',
      worker: '',
      connection: -1,
      saysClose: false,
      failure: null,
    }
    this.sent.push(one)
    this.#busy += 1
    const idle = this.#idle.shift()
    if (idle !== undefined) this.#sendOn(idle, one)
    else if (this.#open < this.#options.connections) {
      const connection = this.#connect()
      connection.busy = one
      connection.socket.once('connect', () => this.#sendOn(connection, one))
    } else this.#waiting.push(one)
    return one
  }

  /** Sends nothing more; resolves when everything sent has come to an end. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    if (this.#busy === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onQuiet = resolve
    await promise
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    for (const { socket } of this.connections) socket.destroy()
  }

  get openConnections(): number {
    return this.#open
  }

  #connect(): OwnConnection {
    const socket = connect({ host: '127.0.0.1', port: this.#options.port, noDelay: true })
    const connection: OwnConnection = {
      number: this.connections.length,
      socket,
      openedAt: performance.now(),
      closedAt: 0,
      worker: '',
      busy: null,
      reader: new AnswerReader(),
      isConnected: false,
      error: '',
    }
    this.connections.push(connection)
    this.#open += 1
    socket.on('connect', () => {
      connection.isConnected = true
    })
    socket.on('data', (chunk: Buffer) => this.#read(connection, chunk))
    socket.on('error', ({ code, message }: NodeJS.ErrnoException) => {
      connection.error = code ?? message
    })
    socket.on('timeout', () => {
      connection.error = `nothing for ${PATIENCE_MS / 1000} s`
      socket.destroy()
    })
    socket.on('close', () => this.#closed(connection))
    return connection
  }

  #sendOn(connection: OwnConnection, one: Sent): void {
    const { socket } = connection
    connection.busy = one
    one.connection = connection.number
    one.sentAt = performance.now()
    socket.setTimeout(PATIENCE_MS)
    const { method, uploadBytes = 0, uploadMs = 0 } = one.spec
    const target = targetOf(one)
    const head = `${method} ${target} HTTP/1.1\r\nHost: drill.example\r\nUser-Agent: evenkeel-drills\r\n`
    if (method === 'GET') {
      socket.write(`${head}\r\n`)
      return
    }
    const body = expectedBody(target, uploadBytes)
    socket.write(`${head}Content-Length: ${uploadBytes}\r\n\r\n`)
    if (uploadMs === 0) socket.write(body)
    else sendSlowly(socket, body, uploadMs)
  }

  #read(connection: OwnConnection, chunk: Buffer): void {
    const one = connection.busy
    try {
      if (one === null) throw new Error('an answer to nothing')
      const answer = connection.reader.feed(chunk)
      if (connection.reader.headAt > 0) one.headAt = connection.reader.headAt
      if (answer !== null) this.#answered(connection, one, answer)
    } catch (error) {
      if (one !== null) one.failure = { stage: 'wrong', cause: (error as Error).message }
      connection.socket.destroy()
    }
  }

  #answered(connection: OwnConnection, one: Sent, answer: Answer): void {
    const { fields, status } = answer
    if (one.headAt === 0) one.headAt = performance.now()
    one.status = status
    one.server = fields.get('x-server') ?? ''
    one.worker = (fields.get('x-seen-request-id') ?? '').slice(0, WORKER_ID_LENGTH)
    one.saysClose = fields.get('connection') === 'close'
    if (one.worker !== '') connection.worker = one.worker
    const wrong = wrongWith(one, answer)
    if (wrong !== '') one.failure = { stage: 'wrong', cause: wrong }
    connection.busy = null
    connection.socket.setTimeout(0)
    this.#ended(one)
    if (one.saysClose) {
      // As a client should: the answer said that nothing follows.
      this.#release(connection)
      connection.socket.destroy()
      return
    }
    const next = this.#waiting.shift()
    if (next === undefined) this.#idle.push(connection)
    else this.#sendOn(connection, next)
  }

  #closed(connection: OwnConnection): void {
    connection.closedAt = performance.now()
    this.#release(connection)
    const one = connection.busy
    connection.busy = null
    if (one !== null) {
      const stage = connection.isConnected ? (connection.reader.hasBegun ? 'cut' : 'unanswered') : 'connect'
      one.failure ??= { stage, cause: connection.error === '' ? 'the connection was closed' : connection.error }
      this.#ended(one)
    }
    const next = this.#waiting.shift()
    if (next === undefined) return
    const another = this.#connect()
    another.busy = next
    another.socket.once('connect', () => this.#sendOn(another, next))
  }

  #release(connection: OwnConnection): void {
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
    if (this.#released.has(connection)) return
    this.#released.add(connection)
    this.#open -= 1
  }

  readonly #released = new WeakSet<Connection>()

  #ended(one: Sent): void {
    one.endedAt = performance.now()
    this.#busy -= 1
    if (this.#busy === 0) this.#onQuiet?.()
  }
}

/** The request's target: the id in the path, what is wanted behind it. */
export function targetOf({ id, spec }: Sent): string {
  const { path, bytes, waitMs = 0, pieces = 0, everyMs = 0 } = spec
  const more = pieces === 0 ? '' : `&pieces=${pieces}&everyMs=${everyMs}`
  return `${path}/${id}?bytes=${bytes}&waitMs=${waitMs}${more}`
}

/** In what way an answer is not the one that belongs to the request; empty when it is. */
function wrongWith(one: Sent, { status, body }: Answer): string {
  if (status !== 200) return `${status}: ${body.toString('latin1', 0, 120).trim().replaceAll('\n', ', ')}`
  if (body.length !== one.spec.bytes) return `a body of ${body.length} bytes instead of ${one.spec.bytes}`
  return body.equals(expectedBody(targetOf(one), one.spec.bytes)) ? '' : 'the body of another answer'
}

function sendSlowly(socket: Socket, body: Buffer, ms: number): void {
  const pieces = 10
  const size = Math.ceil(body.length / pieces)
  let at = 0
  const timer = setInterval(() => {
    socket.write(body.subarray(at, at + size))
    at += size
    if (at >= body.length || socket.destroyed) clearInterval(timer)
  }, ms / pieces)
}

export interface Spread {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** Milliseconds; zeros when there is nothing. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 }
}

export function describeSpread({ p50, p99, max }: Spread): string {
  return `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, most ${max.toFixed(0)} ms`
}

/** How late requests were sent, and how long answers took from when they were due. */
export function describeLoad(sent: readonly Sent[]): string {
  const late = spreadOf(sent.filter(({ sentAt }) => sentAt > 0).map(({ sentAt, plannedAt }) => sentAt - plannedAt))
  const latency = spreadOf(
    sent.filter(({ failure }) => failure === null).map(({ endedAt, plannedAt }) => endedAt - plannedAt),
  )
  return `${sent.length.toLocaleString('en')} requests; sent late by ${describeSpread(late)}; answered after ${describeSpread(latency)}`
}
