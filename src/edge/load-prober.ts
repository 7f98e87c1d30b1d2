/**
 * Probes for pickers that ask endpoints how busy they are (`prequal`): `GET <path>`, answered by
 * `{ "inFlight": n, "latencyMs": x }` in JSON. One object per pool and worker, only where the pool's picker wants probes.
 *
 * Each endpoint has a connection for its probes, apart from those of requests: a probe never waits behind a request, nor a request
 * behind a probe, and the endpoint's `maxConnections` does not count it. There is one probe at a time on it. Whatever is doubtful
 * about an answer closes it, and an endpoint that does not answer as it should is asked less and less often.
 */
import * as net from 'node:net'
import { ChunkedDecoder, type ChunkSink } from '../http1/chunked.ts'
import { Framing } from '../http1/head.ts'
import { latin1 } from '../http1/latin1.ts'
import { ParseStatus } from '../http1/parse-status.ts'
import { ResponseHeadParser } from '../http1/response-head-parser.ts'
import { Counter } from '../observe/counters.ts'
import type { WorkerContext } from './context.ts'
import { Deadline } from './timers.ts'
import type { Endpoint } from './upstream-connections.ts'

/** Of one worker, over all its pools. What would be more is not asked. */
const RUNNING_MAX = 32
/** So many questions are asked after one pick, whatever a picker still wants. */
const PER_PICK_MAX = 8
const HEAD_LIMITS = { headBytes: 4096, fieldCount: 64 }
const TRAILER_LIMITS = { trailerBytes: 1024, fieldCount: 16 }
const BODY_BYTES = 4096
/** Below the 5 s after which a Node server closes an idle connection. */
const IDLE_MS = 4000
/** After a failure an endpoint is left alone so long, twice as long after each further one. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 5000
/** No server has as much to do, or takes as long: a number above is a mistake of whoever sends it. */
const MOST = 1e9

/** One per worker thread: every byte is used or copied before the next read. */
const readBuffer = Buffer.allocUnsafeSlow(8192)

export interface LoadProbeSettings {
  readonly path: string
  readonly timeoutMs: number
  /** Bits of `Fitness` with which an endpoint gets no requests, and so no probes. */
  readonly barred: number
}

/** What a probe has to know of an endpoint. */
export type ProbedEndpoint = Pick<Endpoint, 'plan' | 'slot' | 'authority'>

/** A picker that wants probes. */
export interface ProbingPicker {
  wantsProbe(): number
  probed(slot: number, inFlight: number, latencyMs: number): void
}

export class LoadProber {
  readonly #context: WorkerContext
  readonly #picker: ProbingPicker
  readonly #settings: LoadProbeSettings
  /** By slot. */
  #probes = new Map<number, EndpointProbe>()
  #isRetired = false

  constructor(context: WorkerContext, picker: ProbingPicker, settings: LoadProbeSettings) {
    this.#context = context
    this.#picker = picker
    this.#settings = settings
  }

  /** The pool's endpoints as they are now: probes of those that left end without an answer. */
  update(endpoints: readonly ProbedEndpoint[]): void {
    const before = this.#probes
    this.#probes = new Map()
    for (const endpoint of endpoints) {
      const kept = before.get(endpoint.slot)
      if (kept?.endpoint === endpoint) {
        this.#probes.set(endpoint.slot, kept)
        before.delete(endpoint.slot)
      } else this.#probes.set(endpoint.slot, new EndpointProbe(this.#context, endpoint, this.#settings, this.#picker))
    }
    for (const gone of before.values()) gone.close()
  }

  /** After a pick: sends the probes that the picker wants. A bug here costs probes, never the request. */
  ask(): void {
    const context = this.#context
    if (this.#isRetired || context.isDraining) return
    try {
      for (let left = PER_PICK_MAX; left > 0 && context.loadProbesRunning < RUNNING_MAX; left--) {
        const slot = this.#picker.wantsProbe()
        if (slot < 0) return
        if ((context.table.fitness[slot]! & this.#settings.barred) === 0) this.#probes.get(slot)?.start()
      }
    } catch (error) {
      context.internalErrors.report(error)
    }
  }

  /** Ends what runs and closes all connections; nothing is asked from now on. */
  retire(): void {
    this.#isRetired = true
    for (const probe of this.#probes.values()) probe.close()
  }
}

const Phase = { IDLE: 0, HEAD: 1, BODY: 2 } as const

/** The probes of one endpoint, one at a time. The deadline is that of the running probe, or of the idle connection. */
class EndpointProbe extends Deadline implements ChunkSink {
  readonly endpoint: ProbedEndpoint
  readonly #context: WorkerContext
  readonly #settings: LoadProbeSettings
  readonly #picker: ProbingPicker
  #socket: net.Socket | null = null
  #phase: number = Phase.IDLE
  /** The connection was kept from an earlier probe. */
  #isReused = false
  #parser: ResponseHeadParser | null = null
  #decoder: ChunkedDecoder | null = null
  #framing: number = Framing.NONE
  #mayKeep = false
  /** Of a body of known length: bytes still to come. */
  #left = 0
  /** The body, one character a byte: what we look for in it is ASCII. */
  #text = ''
  #isTooLong = false
  /** In a row. */
  #failures = 0
  #notBefore = 0

  constructor(context: WorkerContext, endpoint: ProbedEndpoint, settings: LoadProbeSettings, picker: ProbingPicker) {
    super()
    this.#context = context
    this.endpoint = endpoint
    this.#settings = settings
    this.#picker = picker
  }

  /** Nothing happens while one is under way, or too soon after a failure. */
  start(): void {
    const { timers, counters } = this.#context
    if (this.#phase !== Phase.IDLE || timers.nowMs < this.#notBefore) return
    this.#phase = Phase.HEAD
    this.#context.loadProbesRunning++
    counters[Counter.LOAD_PROBES]! += 1
    timers.arm(this, this.#settings.timeoutMs)
    this.#isReused = this.#socket !== null
    try {
      this.#send(this.#socket ?? this.#connect())
    } catch (error) {
      this.#fail()
      throw error
    }
  }

  /** Whatever runs ends without an answer; it is nobody's failure. */
  close(): void {
    this.#settle()
    this.#drop()
    this.#context.timers.remove(this)
  }

  expire(): void {
    if (this.#phase === Phase.IDLE) this.#drop()
    else this.#fail()
  }

  /** Of a body of any framing. */
  chunkData(bytes: Buffer, start: number, end: number): void {
    if (this.#text.length + end - start > BODY_BYTES) this.#isTooLong = true
    else this.#text += latin1(bytes, start, end)
  }

  // ------------------------------------------------------------------ the connection

  #connect(): net.Socket {
    const { address } = this.endpoint.plan
    const onread = {
      buffer: readBuffer,
      callback: (size: number, bytes: Uint8Array): boolean => {
        this.#guarded(socket, () => this.#read(bytes as Buffer, size))
        return this.#socket === socket
      },
    }
    const socket =
      address.kind === 'unix'
        ? net.connect({ path: address.path, onread })
        : net.connect({ host: address.host, port: address.port, onread, autoSelectFamily: false, noDelay: true })
    socket.on('error', ignoreError) // 'close' follows
    socket.on('end', () => this.#guarded(socket, () => this.#ended()))
    socket.on('close', () => this.#guarded(socket, () => this.#lost()))
    this.#socket = socket
    return socket
  }

  #drop(): void {
    const socket = this.#socket
    this.#socket = null
    this.#parser = null
    this.#decoder = null
    this.#text = ''
    socket?.destroy()
  }

  /** Events of a connection that was given up are nobody's; a bug of ours costs the probe. */
  #guarded(socket: net.Socket, handle: () => void): void {
    if (this.#socket !== socket) return
    try {
      handle()
    } catch (error) {
      if (this.#phase === Phase.IDLE) this.#drop()
      else this.#fail()
      this.#context.internalErrors.report(error)
    }
  }

  #ended(): void {
    if (this.#phase === Phase.BODY && this.#framing === Framing.CLOSE) this.#complete()
    else this.#lost()
  }

  #lost(): void {
    if (this.#phase === Phase.IDLE) {
      this.#drop()
      this.#context.timers.remove(this)
    } else if (this.#phase === Phase.HEAD && this.#isReused && this.#parser?.idle !== false) {
      // The endpoint closed its idle connection just then: that says nothing of it. Within the same time limit.
      this.#isReused = false
      this.#drop()
      this.#send(this.#connect())
    } else this.#fail()
  }

  // ------------------------------------------------------------------ the probe

  #send(socket: net.Socket): void {
    const { path } = this.#settings
    socket.write(
      `GET ${path} HTTP/1.1\r\nhost: ${this.endpoint.authority}\r\nuser-agent: evenkeel-load-probe\r\naccept: application/json\r\n\r\n`,
      'latin1',
    )
  }

  #read(bytes: Buffer, size: number): void {
    // An idle connection has nothing to say.
    if (this.#phase === Phase.IDLE) return this.#lost()
    let start = 0
    if (this.#phase === Phase.HEAD) {
      this.#parser ??= new ResponseHeadParser(HEAD_LIMITS)
      const status = this.#parser.feed(bytes, 0, size)
      if (status === ParseStatus.MORE) return
      if (status !== ParseStatus.DONE) return this.#fail()
      const { head, consumed } = this.#parser
      if (head.status !== 200 || head.contentLength > BODY_BYTES || head.framing === Framing.NONE) return this.#fail()
      start = consumed
      this.#phase = Phase.BODY
      this.#framing = head.framing
      this.#mayKeep = head.keepAlive
      this.#left = head.contentLength
      this.#text = ''
      this.#isTooLong = false
    }
    this.#readBody(bytes, start, size)
  }

  #readBody(bytes: Buffer, start: number, size: number): void {
    if (this.#framing === Framing.CHUNKED) {
      this.#decoder ??= new ChunkedDecoder(TRAILER_LIMITS)
      const status = this.#decoder.feed(bytes, start, size, this)
      if (this.#isTooLong || status === ParseStatus.ERROR) this.#fail()
      else if (status === ParseStatus.DONE && this.#decoder.consumed < size) this.#fail()
      else if (status === ParseStatus.DONE) this.#complete()
      return
    }
    this.chunkData(bytes, start, size)
    if (this.#framing === Framing.CLOSE) {
      if (this.#isTooLong) this.#fail()
      return
    }
    this.#left -= size - start
    // Below 0: more than one answer to one question.
    if (this.#left < 0) this.#fail()
    else if (this.#left === 0) this.#complete()
  }

  #complete(): void {
    const answer = readAnswer(this.#text)
    if (answer === null) return this.#fail()
    const { timers } = this.#context
    this.#text = ''
    this.#failures = 0
    this.#settle()
    if (this.#mayKeep && this.#framing !== Framing.CLOSE) timers.arm(this, IDLE_MS)
    else {
      this.#drop()
      timers.remove(this)
    }
    // The picker dates the answer by the clock as last read.
    timers.clock()
    this.#picker.probed(this.endpoint.slot, answer.inFlight, answer.latencyMs)
  }

  #fail(): void {
    const { timers, counters } = this.#context
    counters[Counter.LOAD_PROBES_FAILED]! += 1
    this.#notBefore = timers.clock() + Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures)
    this.#failures = Math.min(this.#failures + 1, 16)
    this.#settle()
    this.#drop()
    timers.remove(this)
  }

  #settle(): void {
    if (this.#phase === Phase.IDLE) return
    this.#phase = Phase.IDLE
    this.#context.loadProbesRunning--
  }
}

/** Null where it is not what was asked for. Other members of the object are nobody's business. */
function readAnswer(text: string): { readonly inFlight: number; readonly latencyMs: number } | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof value !== 'object' || value === null || !('inFlight' in value) || !('latencyMs' in value)) return null
  const { inFlight, latencyMs } = value
  return isAmount(inFlight) && isAmount(latencyMs) ? { inFlight, latencyMs } : null
}

function isAmount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= MOST
}

function ignoreError(): void {}
