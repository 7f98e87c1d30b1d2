/** `evenkeel demo`: three real servers, a balancer in front of them, and a picture of what happens. */
import { Worker } from 'node:worker_threads'
import { type Command, InvalidArgumentError } from 'commander'
import { parseConfig } from '../config/parse.ts'
import { PICKER_NAMES } from '../config/picker-names.ts'
import type { Config } from '../config/schema.ts'
import { type Balancer, createBalancer } from '../control/balancer.ts'
import { EndpointTable } from '../memory/endpoint-table.ts'
import { WorkerBoard } from '../memory/worker-board.ts'
import { DEMO_SERVERS } from './demo/cast.ts'
import { freePort } from './demo/free-port.ts'
import { drawLiveView, drawPlainLine, drawStarting, type LiveViewState, type Screen } from './demo/live-view.ts'
import { Meter } from './demo/meter.ts'
import { ServerProcess } from './demo/server-process.ts'
import { Terminal } from './demo/terminal.ts'
import type { TrafficBoot, TrafficCommand } from './demo/traffic.ts'
import { CommandError } from './report-error.ts'

interface DemoOptions {
  readonly port: number
  readonly adminPort: number
  readonly balance: string
  readonly traffic: boolean
  readonly json?: true
}

const HOST = '127.0.0.1'
/** As it can be typed where the demo was started: in a checkout nothing is on PATH. */
const STATUS_COMMAND = import.meta.url.endsWith('.ts') ? 'npm run -s evenkeel -- status' : 'evenkeel status'
const SAMPLE_MS = 250
const PLAIN_MS = 5000
const DRAIN_MS = 1000
/** A server that somebody killed from outside stays away for long enough to be missed. */
const RESTART_MS = 8000
const MOST_EVENTS = 50

export function register(program: Command): void {
  program
    .command('demo')
    .summary('see it work: three servers, a balancer, a live view')
    .description(
      'Starts three small HTTP servers and a balancer in front of them on this machine, with a little traffic of its own,\nand shows what happens. Open it in a browser, kill servers by key, watch them leave and come back.',
    )
    .option('--port <number>', 'where the balancer listens; the next free one when it is taken', readPort, 8080)
    .option('--admin-port <number>', 'where the admin API listens; likewise', readPort, 9090)
    .option('--balance <picker>', PICKER_NAMES.join(', '), 'round-robin')
    .option('--no-traffic', 'no traffic of its own at first')
    .option('--json', 'no live view: one JSON object per line every 5 s')
    .addHelpText('after', '\nExample:\n  evenkeel demo --balance least-requests')
    .action(async (options: DemoOptions) => {
      const demo = new Demo(options)
      try {
        await demo.run()
      } finally {
        await demo.end()
      }
    })
}

class Demo {
  readonly #options: DemoOptions
  readonly #servers: readonly ServerProcess[] = DEMO_SERVERS.map((traits) => new ServerProcess(traits))
  readonly #terminal: Terminal | null
  readonly #events: { atMs: number; text: string }[] = []
  readonly #startedAtMs = Date.now()
  readonly #leaving = Promise.withResolvers<void>()
  #timers: NodeJS.Timeout[] = []
  #balancer: Balancer | null = null
  #traffic: Worker | null = null
  #meter: Meter | null = null
  #url = ''
  #isTrafficOn: boolean
  /** Somebody wants to leave: nothing is started any more, and ends are no news. */
  #isLeaving = false
  /** Servers that the balancer has said to be out. */
  readonly #out = new Set<string>()

  constructor(options: DemoOptions) {
    this.#options = options
    this.#isTrafficOn = options.traffic
    this.#terminal = options.json !== true && Terminal.isAvailable() ? new Terminal() : null
  }

  /** Resolves when somebody wants to leave. */
  async run(): Promise<void> {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => this.#leave())
    this.#terminal?.open((key) => this.#onKey(key))
    this.#sayStarting()
    await Promise.all(this.#servers.map((server) => this.#startServer(server).then(() => this.#drawStarting())))
    if (this.#isLeaving) return
    if (this.#servers.some(({ state }) => state !== 'up')) {
      throw new CommandError('the demo needs its servers', { hint: this.#events.map(({ text }) => text).join('\n  ') })
    }
    const balancer = await this.#startBalancer()
    const table = new EndpointTable(balancer.memory)
    const endpoints = balancer.view().pools.flatMap((pool) => pool.endpoints)
    const slots = this.#servers.map(({ id }) => endpoints.find((endpoint) => endpoint.id === id)!.slot)
    this.#meter = new Meter(table, new WorkerBoard(balancer.memory), slots)
    this.#meter.sample(Date.now())
    this.#startTraffic()
    this.#show()
    await this.#leaving.promise
  }

  /** Ends everything that was started; may be called at any time. */
  async end(): Promise<void> {
    this.#leave()
    for (const timer of this.#timers) clearTimeout(timer)
    const reading = this.#meter?.read()
    this.#terminal?.close()
    await this.#traffic?.terminate()
    await this.#balancer?.stop({ drainMs: DRAIN_MS })
    for (const server of this.#servers) server.kill()
    if (reading !== undefined && this.#options.json !== true) {
      const failed = reading.failed === 0 ? 'none failed' : `${reading.failed} failed`
      console.log(`evenkeel demo: answered ${reading.answered} requests, ${failed}; all servers are stopped`)
    }
  }

  async #startServer(server: ServerProcess): Promise<void> {
    try {
      await server.start((detail) => {
        // A signal to the whole group ends the servers as well.
        if (this.#isLeaving) return
        this.#note(`${server.id} is gone: ${detail}; it starts again in ${RESTART_MS / 1000} s`)
        this.#after(RESTART_MS, () => void this.#startServer(server))
      })
    } catch (error) {
      if (this.#isLeaving) return
      this.#note(`${server.id} does not start: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  async #startBalancer(): Promise<Balancer> {
    const port = await this.#portFor('the balancer', this.#options.port)
    const adminPort = await this.#portFor('the admin API', this.#options.adminPort, port)
    const parsed = parseConfig(demoConfig(this.#options.balance, port, adminPort, this.#servers))
    if (parsed.problems !== undefined) {
      throw new CommandError('the options cannot be used', { problems: parsed.problems })
    }
    const balancer = createBalancer(parsed.settings)
    this.#balancer = balancer
    balancer.on('endpoint-changed', ({ id, what, isFit, detail }) => {
      if (what !== 'health' || this.#isLeaving || isFit !== this.#out.has(id)) return
      if (isFit) this.#out.delete(id)
      else this.#out.add(id)
      this.#note(`${id} is ${isFit ? 'back' : 'out'}${detail === '' ? '' : `: ${detail}`}`)
    })
    balancer.on('worker-exit', ({ index, detail }) => {
      if (!this.#isLeaving) this.#note(`worker ${index} ended: ${detail}`)
    })
    balancer.on('log', ({ level, message }) => {
      if (level === 'error') this.#note(message)
    })
    await balancer.start()
    this.#url = `http://${HOST}:${port}`
    return balancer
  }

  async #portFor(what: string, wanted: number, taken?: number): Promise<number> {
    const port = await freePort(HOST, wanted === taken ? wanted + 1 : wanted)
    if (port === null) {
      throw new CommandError(`ports ${wanted} to ${wanted + 49} are all taken`, {
        hint: 'give another: --port, --admin-port',
      })
    }
    if (port !== wanted) this.#note(`port ${wanted} is taken: ${what} listens on ${port}`)
    return port
  }

  #startTraffic(): void {
    const suffix = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
    const boot: TrafficBoot = { port: Number(new URL(this.#url).port), isOn: this.#isTrafficOn }
    this.#traffic = new Worker(new URL(`./demo/traffic${suffix}`, import.meta.url), { workerData: boot })
    this.#traffic.on('error', (error) => this.#note(`the demo's own traffic stopped: ${error.message}`))
  }

  #show(): void {
    const terminal = this.#terminal
    if (terminal === null) {
      this.#sayReady()
      this.#every(SAMPLE_MS, () => this.#meter!.sample(Date.now()))
      this.#every(PLAIN_MS, () => this.#sayLine())
      return
    }
    const draw = () => {
      this.#meter!.sample(Date.now())
      terminal.draw(drawLiveView(this.#state(), screenOf(terminal)))
    }
    process.stdout.on('resize', draw)
    draw()
    this.#every(SAMPLE_MS, draw)
  }

  /** Something to look at from the first moment on. */
  #sayStarting(): void {
    this.#drawStarting()
    if (this.#terminal !== null || this.#options.json === true) return
    console.log(
      `evenkeel demo: starting ${this.#servers.map(({ id }) => id).join(', ')} and a balancer in front of them`,
    )
  }

  #drawStarting(): void {
    const terminal = this.#terminal
    if (terminal === null) return
    const servers = this.#servers.map(({ id, state }) => ({ name: `the server ${id}`, isUp: state === 'up' }))
    terminal.draw(drawStarting([...servers, { name: 'the balancer', isUp: false }], screenOf(terminal)))
  }

  #state(): LiveViewState {
    return {
      url: this.#url,
      statusCommand: this.#balancer!.adminUrl === null ? null : STATUS_COMMAND,
      picker: this.#options.balance,
      upMs: Date.now() - this.#startedAtMs,
      isTrafficOn: this.#isTrafficOn,
      hasKeys: Terminal.hasKeys(),
      servers: this.#servers,
      reading: this.#meter!.read(),
      events: this.#events,
    }
  }

  #onKey(key: string): void {
    if (key === 'q' || key === '\x03' || key === '\x04') {
      this.#leave()
      return
    }
    // Nothing to play with yet.
    if (this.#meter === null) return
    const server = this.#servers[Number(key) - 1]
    if (server !== undefined) {
      if (server.state === 'stopped') {
        this.#note(`starting ${server.id} again`)
        void this.#startServer(server)
      } else {
        server.kill()
        this.#note(`${server.id} was killed (SIGKILL); press ${key} to start it again`)
      }
    } else if (key === 't') {
      this.#isTrafficOn = !this.#isTrafficOn
      const command: TrafficCommand = { type: this.#isTrafficOn ? 'on' : 'off' }
      this.#traffic?.postMessage(command)
    }
  }

  #leave(): void {
    this.#isLeaving = true
    this.#leaving.resolve()
  }

  #sayReady(): void {
    const { adminUrl } = this.#balancer!
    if (this.#options.json === true) {
      const servers = this.#servers.map(({ id, url, pid }) => ({ id, url, pid }))
      console.log(JSON.stringify({ event: 'ready', url: this.#url, adminUrl, servers }))
      return
    }
    console.log(
      `evenkeel demo: ${this.#url} balances over ${this.#servers.map(({ id, url }) => `${id} (${url})`).join(', ')}`,
    )
    console.log(`  open ${this.#url} in a browser, or: curl -i ${this.#url}`)
    console.log(`  kill a server and watch it leave: kill -9 ${this.#servers[1]!.pid} (${this.#servers[1]!.id})`)
    if (adminUrl !== null) console.log(`  the admin API is on ${adminUrl} (${STATUS_COMMAND})`)
    console.log('  stop with Ctrl-C')
  }

  #sayLine(): void {
    if (this.#options.json === true) {
      const servers = this.#servers.map(({ id, state }, index) => ({
        id,
        state,
        ...this.#meter!.read().endpoints[index]!,
      }))
      const { history, endpoints, ...reading } = this.#meter!.read()
      console.log(JSON.stringify({ event: 'reading', ...reading, servers }))
    } else console.log(`${new Date().toTimeString().slice(0, 8)}  ${drawPlainLine(this.#state())}`)
  }

  #note(text: string): void {
    const atMs = Date.now()
    this.#events.push({ atMs, text })
    if (this.#events.length > MOST_EVENTS) this.#events.shift()
    if (this.#terminal !== null) return
    if (this.#options.json === true)
      console.log(JSON.stringify({ event: 'note', at: new Date(atMs).toISOString(), text }))
    else console.log(`${new Date(atMs).toTimeString().slice(0, 8)}  ${text}`)
  }

  #after(ms: number, task: () => void): void {
    if (this.#isLeaving) return
    this.#timers.push(setTimeout(task, ms))
  }

  #every(ms: number, task: () => void): void {
    this.#timers.push(setInterval(task, ms))
  }
}

function demoConfig(balance: string, port: number, adminPort: number, servers: readonly ServerProcess[]): Config {
  return {
    version: 1,
    listeners: [{ name: 'demo', bind: `${HOST}:${port}` }],
    routes: [{ name: 'everything', pool: 'servers' }],
    pools: {
      servers: {
        balance,
        endpoints: servers.map(({ id, url }) => ({ id, url })),
        // Checked often, so that a person sees a server come back while still looking.
        health: { path: '/health', intervalMs: 1000, timeoutMs: 800 },
      },
    },
    admin: { bind: `${HOST}:${adminPort}` },
  }
}

function screenOf({ columns, rows }: Terminal): Screen {
  return { columns, rows, hasColours: process.stdout.hasColors() }
}

function readPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) throw new InvalidArgumentError('It must be a number from 1 to 65535.')
  return port
}
