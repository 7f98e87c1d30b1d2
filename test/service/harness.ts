/** A service thread over real shared memory, with a control that answers as the test says. */
import fs from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { EndpointTable } from '../../src/memory/endpoint-table.ts'
import { createSharedMemory, type SharedMemory } from '../../src/memory/shared-memory.ts'
import { WorkerBoard } from '../../src/memory/worker-board.ts'
import { WORKER_COUNTERS } from '../../src/observe/counters.ts'
import type {
  BalancerView,
  CallResult,
  EndpointView,
  ServiceBoot,
  ServiceCall,
  ServiceCommand,
  ServiceEvent,
} from '../../src/service/protocol.ts'

export function memoryFor(endpoints: number, workers: number): SharedMemory {
  return createSharedMemory({
    endpoints,
    workers,
    pools: 16,
    listeners: 4,
    addresses: 64,
    workerCounters: WORKER_COUNTERS,
  })
}

/** Allocates a slot and makes its view. */
export function endpointView(table: EndpointTable, id: string, more: Partial<EndpointView> = {}): EndpointView {
  const place = table.allocate(1, 0)
  if (place === null) throw new Error('the table is full')
  return {
    id,
    ...place,
    address: `http://${id}`,
    zone: null,
    state: 'active',
    base: { weight: 1, state: 'active' },
    overlay: {},
    pools: ['web'],
    healthPool: null,
    lastCheck: null,
    ...more,
  }
}

export function viewOf(
  pools: Readonly<Record<string, readonly EndpointView[]>>,
  more: Partial<BalancerView> = {},
): BalancerView {
  return {
    version: 1,
    product: '1.2.3',
    pid: process.pid,
    startedAtMs: Date.now() - 65_000,
    state: 'ready',
    config: { file: '/etc/evenkeel.config.ts', hash: 'abcdef0123456789', loadedAtMs: 1_700_000_000_000, problems: [] },
    workers: [
      { index: 0, state: 'running', restarts: 0, lastExit: null },
      { index: 1, state: 'running', restarts: 2, lastExit: 'it threw' },
    ],
    listeners: [{ name: 'public', slot: 0, bind: '0.0.0.0:8080', port: 8080 }],
    routes: [{ name: 'all', pool: 'web', summary: 'everything' }],
    pools: Object.entries(pools).map(([name, endpoints]) => ({ name, picker: 'round-robin', endpoints })),
    ...more,
  }
}

export interface HarnessOptions {
  readonly bind?: string
  readonly allowWorkerKill?: boolean
  readonly view?: (table: EndpointTable) => BalancerView
  readonly answer?: (call: ServiceCall) => CallResult | null
  /** Text of the token file before the start. */
  readonly token?: string
  readonly folder?: string
}

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
  readonly json: any
}

export interface Question {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly body?: string | Buffer
}

export class Harness {
  readonly folder: string
  readonly tokenFile: string
  readonly memory: SharedMemory
  readonly table: EndpointTable
  readonly board: WorkerBoard
  readonly signs = new Int32Array(new SharedArrayBuffer(4))
  readonly calls: ServiceCall[] = []
  readonly events: ServiceEvent[] = []
  readonly exited: Promise<number>
  view: BalancerView
  url = ''
  #worker: Worker

  private constructor(options: HarnessOptions) {
    this.folder = options.folder ?? fs.mkdtempSync(path.join(os.tmpdir(), 'evenkeel-service-'))
    this.tokenFile = path.join(this.folder, 'secrets', 'token')
    if (options.token !== undefined) {
      fs.mkdirSync(path.dirname(this.tokenFile), { recursive: true })
      fs.writeFileSync(this.tokenFile, options.token, { mode: 0o600 })
    }
    this.memory = memoryFor(32, 2)
    this.table = new EndpointTable(this.memory)
    this.board = new WorkerBoard(this.memory)
    this.view =
      options.view?.(this.table) ??
      viewOf({ web: [endpointView(this.table, '127.0.0.1:9001'), endpointView(this.table, '127.0.0.1:9002')] })
    const boot: ServiceBoot = {
      memory: this.memory,
      admin: { bind: options.bind ?? '127.0.0.1:0', allowWorkerKill: options.allowWorkerKill ?? false },
      tokenFile: this.tokenFile,
      view: this.view,
      signs: this.signs.buffer,
    }
    this.#worker = new Worker(new URL('../../src/service/service.ts', import.meta.url), {
      workerData: boot,
      env: { ...process.env, EVENKEEL_STATE_DIR: path.join(this.folder, 'state') },
      // What the service says on the console is looked at, not shown.
      stderr: true,
    })
    this.#worker.on('message', (event: ServiceEvent) => {
      this.events.push(event)
      if (event.type !== 'call') return
      this.calls.push(event.call)
      const result = options.answer === undefined ? answerOf(event.call) : options.answer(event.call)
      if (result !== null) this.send({ type: 'result', id: event.id, result })
    })
    this.exited = new Promise((resolve) => this.#worker.once('exit', resolve))
  }

  /** Starts the thread and waits until it listens or says that it cannot. */
  static async start(options: HarnessOptions = {}): Promise<Harness> {
    const harness = new Harness(options)
    const event = await new Promise<ServiceEvent>((resolve, reject) => {
      harness.#worker.once('message', resolve)
      harness.#worker.once('error', reject)
    })
    if (event.type === 'listening') harness.url = event.url
    return harness
  }

  send(command: ServiceCommand): void {
    this.#worker.postMessage(command)
  }

  /** Sends a view and waits until the service has it. */
  async show(view: BalancerView): Promise<void> {
    this.view = view
    this.send({ type: 'view', view })
    await new Promise((resolve) => setTimeout(resolve, 30))
  }

  get token(): string {
    return fs.readFileSync(this.tokenFile, 'utf8').trim()
  }

  get writeHeaders(): Record<string, string> {
    return { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' }
  }

  get(path: string, headers: Question['headers'] = {}): Promise<Answer> {
    return ask(this.url, { path, headers })
  }

  /** A write that should be allowed, unless headers say otherwise. */
  post(path: string, body: unknown, headers: Question['headers'] = {}): Promise<Answer> {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    return ask(this.url, { method: 'POST', path, body: text, headers: { ...this.writeHeaders, ...headers } })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.send({ type: 'stop' })
    await this.exited
    fs.rmSync(this.folder, { recursive: true, force: true })
  }
}

/** What control says to a call that it carries out. */
function answerOf(call: ServiceCall): CallResult {
  if (call.name !== 'set-endpoint') return { ok: true, version: 7 }
  const { weight, state } = call
  return { ok: true, version: 7, endpoint: { weight: weight ?? 1, state: state ?? 'active', pools: ['web'] } }
}

/** One request on a connection of its own; `url` is an instance's, `http://…` or `unix:/path`. */
export function ask(url: string, question: Question): Promise<Answer> {
  const where = url.startsWith('unix:')
    ? { socketPath: url.slice(5) }
    : { host: new URL(url).hostname.replace(/[[\]]/g, ''), port: new URL(url).port }
  const headers = Object.fromEntries(Object.entries(question.headers ?? {}).filter(([, value]) => value !== undefined))
  return new Promise((resolve, reject) => {
    const request = http.request(
      {
        ...where,
        method: question.method ?? 'GET',
        path: question.path ?? '/',
        headers: headers as http.OutgoingHttpHeaders,
        agent: false,
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          let json: unknown
          try {
            json = JSON.parse(text)
          } catch {
            // Not every answer is JSON.
          }
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json })
        })
      },
    )
    request.on('error', reject)
    request.end(question.body)
  })
}
