/** What every drill plays on: the product as a user starts it, and three real servers, each a process of its own. */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const root = resolve(import.meta.dirname, '../..')
const START_MS = 15_000
/** Below the range from which the kernel takes ports for connections: a server must get its own back after a kill. */
const LOWEST_PORT = 20_000
const PORTS = 12_000

export const SERVERS = ['a', 'b', 'c'] as const
export type ServerName = (typeof SERVERS)[number]

/** A line that the product says about itself. */
export interface ProductEvent {
  readonly event: string
  readonly message: string
  /** `performance.now()` when it was read here. */
  readonly at: number
  readonly [field: string]: unknown
}

export interface EndpointStatus {
  readonly id: string
  readonly fit: boolean
  readonly unfit: readonly string[]
  readonly failures: number
}

export interface Status {
  readonly workers: readonly { readonly index: number; readonly state: string; readonly restarts: number }[]
  readonly pools: readonly { readonly name: string; readonly endpoints: readonly EndpointStatus[] }[]
}

export interface Ports {
  readonly public: number
  readonly second: number
  readonly admin: number
  readonly servers: Readonly<Record<ServerName, number>>
}

/** One of the three. */
export class Server {
  readonly name: ServerName
  readonly port: number
  child: ChildProcess | null = null

  constructor(name: ServerName, port: number) {
    this.name = name
    this.port = port
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const child = fork(join(import.meta.dirname, 'origin.ts'), [this.name, String(this.port)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.child = child
    leaveNothingRunning(child)
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`server ${this.name} ended with ${code} while it started`)
    })
    await Promise.race([once(child, 'message'), ended])
    ended.catch(() => {})
  }

  /** Resolves when the process has ended. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const { child } = this
    this.child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }

  drop(which: 'drop-idle' | 'drop-all'): void {
    this.child!.send(which)
  }

  /** Those of the ids that arrived here. */
  async seen(ids: readonly string[]): Promise<readonly string[]> {
    const { child } = this
    const answered = once(child!, 'message')
    child!.send({ ids })
    const [message] = (await answered) as [{ readonly seen: readonly string[] }]
    return message.seen
  }
}

const running = new Set<ChildProcess>()
let isWatched = false

/** However this process ends, short of a kill -9, nothing that it started goes on. */
function leaveNothingRunning(child: ChildProcess): void {
  running.add(child)
  child.once('exit', () => running.delete(child))
  if (isWatched) return
  isWatched = true
  process.on('exit', () => {
    for (const one of running) one.kill('SIGKILL')
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))
}

export class Stage implements AsyncDisposable {
  readonly ports: Ports
  readonly servers: Readonly<Record<ServerName, Server>>
  readonly folder: string
  readonly configFile: string
  readonly accessLog: string
  readonly events: ProductEvent[] = []
  #product: ChildProcess | null = null
  #exit: Promise<number | null> = Promise.resolve(null)
  #rest = ''
  /** What it said that was no JSON. */
  #said = ''

  private constructor(ports: Ports) {
    this.ports = ports
    this.servers = {
      a: new Server('a', ports.servers.a),
      b: new Server('b', ports.servers.b),
      c: new Server('c', ports.servers.c),
    }
    this.folder = mkdtempSync(join(tmpdir(), 'evenkeel-drills-'))
    this.configFile = join(this.folder, 'evenkeel.config.json')
    this.accessLog = join(this.folder, 'access.log')
  }

  static async start(configOf: (stage: Stage) => unknown): Promise<Stage> {
    const [front, second, admin, a, b, c] = (await freePorts(6)) as [number, number, number, number, number, number]
    const stage = new Stage({ public: front, second, admin, servers: { a, b, c } })
    try {
      await Promise.all(SERVERS.map((name) => stage.servers[name].start()))
      stage.write(configOf(stage))
      await stage.#startProduct()
    } catch (error) {
      await stage[Symbol.asyncDispose]()
      throw error
    }
    return stage
  }

  get pid(): number {
    return this.#product!.pid!
  }

  /** In place, or as deployments do it: another file renamed over it. */
  write(config: unknown, how: 'in-place' | 'rename' = 'in-place'): void {
    const text = typeof config === 'string' ? config : JSON.stringify(config, null, 2)
    if (how === 'in-place') {
      writeFileSync(this.configFile, text)
      return
    }
    writeFileSync(`${this.configFile}.new`, text)
    renameSync(`${this.configFile}.new`, this.configFile)
  }

  /** By the whole name with labels. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const response = await fetch(`http://127.0.0.1:${this.ports.admin}/metrics`)
    const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').at(-1))]))
  }

  async status(): Promise<Status> {
    return (await (await fetch(`http://127.0.0.1:${this.ports.admin}/api/v1/status`)).json()) as Status
  }

  async endpoint(server: ServerName): Promise<EndpointStatus | null> {
    const { pools } = await this.status()
    return pools.find(({ name }) => name === 'web')?.endpoints.find(({ id }) => id === server) ?? null
  }

  async killWorker(index: number): Promise<void> {
    const token = readFileSync(join(this.folder, 'state/token'), 'utf8').trim()
    const response = await fetch(`http://127.0.0.1:${this.ports.admin}/api/v1/workers/${index}/kill`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: '{}',
    })
    if (!response.ok) throw new Error(`killing worker ${index}: ${response.status} ${await response.text()}`)
  }

  /** The first event of one of these names after `since`, null when none comes in time. */
  async event(names: readonly string[], since: number, withinMs: number): Promise<ProductEvent | null> {
    const until = performance.now() + withinMs
    for (;;) {
      const found = this.events.find(({ event, at }) => at >= since && names.includes(event))
      if (found !== undefined) return found
      if (performance.now() > until) return null
      await sleep(5)
    }
  }

  /** SIGTERM; resolves when the process has ended. */
  async stop(withinMs: number): Promise<{ readonly code: number | null; readonly tookMs: number }> {
    const at = performance.now()
    this.#product!.kill('SIGTERM')
    const timer = setTimeout(() => this.#product?.kill('SIGKILL'), withinMs)
    const code = await this.#exit
    clearTimeout(timer)
    return { code, tookMs: performance.now() - at }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const product = this.#product
    if (product !== null && product.exitCode === null && product.signalCode === null) {
      product.kill('SIGKILL')
      await this.#exit
    }
    await Promise.all(SERVERS.map((name) => this.servers[name].end('SIGKILL')))
    rmSync(this.folder, { recursive: true, force: true })
  }

  async #startProduct(): Promise<void> {
    const args = [join(root, 'bin/evenkeel'), 'start', '--config', this.configFile, '--json']
    const product = spawn(process.execPath, args, {
      cwd: this.folder,
      env: { ...process.env, EVENKEEL_STATE_DIR: join(this.folder, 'state'), NO_COLOR: '1' },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#product = product
    leaveNothingRunning(product)
    this.#exit = once(product, 'exit').then(([code]) => code as number | null)
    product.stderr.on('data', (chunk: Buffer) => this.#hear(chunk.toString()))
    const until = performance.now() + START_MS
    while (!this.events.some(({ event }) => event === 'started')) {
      if (product.exitCode !== null || performance.now() > until)
        throw new Error(`it did not start; it said:\n${this.#said}${JSON.stringify(this.events, null, 1)}`)
      await sleep(10)
    }
    // Every server was checked once, so that no drill begins in the middle of the first checks.
    await sleep(300)
  }

  #hear(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      try {
        this.events.push({ ...(JSON.parse(line) as ProductEvent), at: performance.now() })
      } catch {
        this.#said += `${line}\n`
      }
    }
  }
}

/** Ports of loopback that are free and that no connection is given. */
async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = []
  while (ports.length < count) {
    const port = LOWEST_PORT + Math.floor(Math.random() * PORTS)
    if (!ports.includes(port) && (await isFree(port))) ports.push(port)
  }
  return ports
}

function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const server = createServer()
  server.once('error', () => resolve(false))
  server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  return promise
}

/** The config that drills vary. */
export function baseConfig(stage: Stage): BaseConfig {
  const { ports } = stage
  return {
    version: 1,
    workers: 2,
    listeners: [{ name: 'public', bind: `127.0.0.1:${ports.public}` }],
    routes: [{ name: 'rest', pool: 'web' }],
    pools: {
      web: {
        balance: 'least-requests',
        endpoints: SERVERS.map((name) => ({ id: name, url: `http://127.0.0.1:${ports.servers[name]}` })),
        health: { path: '/health', intervalMs: 500, timeoutMs: 1000 },
      },
    },
    admin: { bind: `127.0.0.1:${ports.admin}`, allowWorkerKill: true },
  }
}

export interface BaseConfig {
  readonly version: 1
  readonly workers: number
  readonly listeners: readonly object[]
  readonly routes: readonly object[]
  readonly pools: { readonly web: PoolConfig; readonly [name: string]: PoolConfig }
  readonly admin: object
}

export interface PoolConfig {
  readonly balance: string
  readonly endpoints: readonly { readonly id: string; readonly url: string; readonly weight?: number }[]
  readonly health: object
  readonly timeouts?: object
}
