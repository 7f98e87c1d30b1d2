/** The config is rewritten every second, and now and then broken, under load and open WebSockets. Nobody may notice. */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describeLoad, describeSpread, Load, type RequestSpec, spreadOf } from './load.ts'
import { errorsIn, settle, sumOf } from './metrics.ts'
import { type DrillReport, groupFailures, Notes } from './report.ts'
import { type BaseConfig, baseConfig, type ProductEvent, SERVERS, Stage } from './stage.ts'
import { WebSockets } from './web-sockets.ts'

export interface ReloadOptions {
  readonly seconds: number
  readonly perSecond: number
  readonly connections: number
  readonly webSockets: number
  readonly log: (line: string) => void
}

/** Through the second listener, opened when it first appears; it goes and they stay. */
const SECOND_WEB_SOCKETS = 10
/** Upstream connections are idle for at most this long, so that they are gone when counts are read. */
const KEEP_ALIVE_MS = 1000
const APPLIED_WITHIN_MS = 900
/** An idle connection of a removed listener may bring one more request for half a second. */
const CLOSED_WITHIN_MS = 2000
const SHOWN_WITHIN_MS = 500
const SETTLE_MS = 10_000
const BROKEN_EVERY = 7
const FIRST_BROKEN = 3

function mix(turn: number): RequestSpec {
  if (turn % 10 === 1) return { method: 'POST', path: '/echo', bytes: 300, uploadBytes: 2000, waitMs: turn % 5 }
  if (turn % 10 === 3) return { method: 'GET', path: '/extra/echo', bytes: 200 }
  if (turn % 20 === 5) return { method: 'GET', path: '/stream', bytes: 30_000, pieces: 12, everyMs: 100 }
  if (turn % 20 === 15) return { method: 'POST', path: '/echo', bytes: 100, uploadBytes: 60_000, uploadMs: 500 }
  return { method: 'GET', path: '/echo', bytes: 100 + (turn % 3000), waitMs: turn % 9 }
}

/** The config of a turn; each differs from the one before in several of the things that may change. */
function configAt(stage: Stage, turn: number): BaseConfig {
  const base = baseConfig(stage)
  const { web } = base.pools
  const hasSecond = turn % 4 === 1 || turn % 4 === 2
  const hasExtra = turn % 3 !== 0
  const endpoints = web.endpoints
    .filter(({ id }) => id !== 'c' || turn % 2 === 0)
    .map((endpoint) => (endpoint.id === 'b' ? { ...endpoint, weight: weightAt(turn) } : endpoint))
  return {
    ...base,
    listeners: [
      { ...base.listeners[0], timeouts: { keepAliveMs: 60_000 + turn } },
      ...(hasSecond ? [{ name: 'second', bind: `127.0.0.1:${stage.ports.second}` }] : []),
    ],
    routes: [...(hasExtra ? [{ name: 'extra', match: { path: '/extra/*' }, pool: 'extra' }] : []), ...base.routes],
    pools: {
      web: { ...web, endpoints, timeouts: { firstByteMs: 30_000 + turn, keepAliveMs: KEEP_ALIVE_MS } },
      ...(hasExtra
        ? { extra: { ...web, endpoints: web.endpoints.slice(0, 1), timeouts: { keepAliveMs: KEEP_ALIVE_MS } } }
        : {}),
    },
  }
}

function weightAt(turn: number): number {
  return 1 + (turn % 3)
}

interface Broken {
  readonly text: string
  /** Must be named in what is said about it. */
  readonly names: string
}

/** A file that must be refused, another kind each time. */
function brokenAt(stage: Stage, turn: number): Broken {
  const config = configAt(stage, turn)
  const json = (value: unknown): string => JSON.stringify(value, null, 2)
  switch (Math.floor(turn / BROKEN_EVERY) % 4) {
    case 0:
      return { text: json(config).replace('"balance"', '"balanse"'), names: 'balanse' }
    case 1:
      return { text: json(config).slice(0, -20), names: '"line"' }
    case 2:
      return { text: json({ ...config, routes: [{ pool: 'nowhere' }] }), names: 'nowhere' }
    default: {
      const taken = { name: 'taken', bind: `127.0.0.1:${stage.ports.servers.a}` }
      return { text: json({ ...config, listeners: [...config.listeners, taken] }), names: 'taken' }
    }
  }
}

export async function reloadDrill(options: ReloadOptions): Promise<DrillReport> {
  const notes = new Notes()
  await using stage = await Stage.start((on) => configAt(on, 0))
  const load = new Load({ ...options, port: stage.ports.public, mix })
  const sockets = new WebSockets()
  const storm = new Storm(stage, notes, sockets)
  try {
    await sockets.open(options.webSockets, stage.ports.public)
    await sockets.echo()
    await load.start()
    for (let turn = 1; turn <= options.seconds; turn++) {
      const nextAt = performance.now() + 1000
      await storm.turn(turn)
      await sockets.echo()
      if (turn % 10 === 0) options.log(`${turn} s: ${load.sent.length} requests, ${sockets.echoes} echoes`)
      await sleep(Math.max(0, nextAt - performance.now()))
    }
    await storm.end()
    await load.stop()
    await sockets.echo()
    const metrics = await stage.metrics()
    const failed = load.sent.filter(({ failure }) => failure !== null)
    notes.see('load', `${failed.length} failed of ${describeLoad(load.sent)}`)
    notes.check(failed.length === 0, `${failed.length} requests failed: ${groupFailures(failed).join('; ')}`)
    const closedIdle = load.connections.filter(({ closedAt }) => closedAt > 0).length
    notes.check(closedIdle === 0, `${closedIdle} of ${load.connections.length} kept-alive connections were closed`)
    noteSockets(notes, sockets)
    notes.see(
      'reloads',
      `${storm.applied.length} taken over (${describeSpread(spreadOf(storm.applied))} from the write until it is in force), ` +
        `${storm.refused} broken files refused by name`,
    )
    notes.see('second listener', storm.describe())
    const [tunnels, exchanges] = ['tunnels', 'exchanges'].map((what) => sumOf(metrics, `evenkeel_worker_open_${what}`))
    const open = sockets.all.length - sockets.lost.length
    notes.check(
      tunnels === open && exchanges === 0,
      `with ${open} WebSockets open and no request, ${tunnels} tunnels and ${exchanges} exchanges are counted`,
    )
    notes.check(sumOf(metrics, 'evenkeel_worker_restarts_total') === 0, 'a worker was replaced')
    const errors = errorsIn(metrics)
    notes.check(errors.length === 0, `errors were counted: ${errors.join(', ')}`)
    load.close()
    storm.close()
    await sockets.close()
    const { tookMs, left, gauges } = await settle(stage, SETTLE_MS)
    notes.see(
      'counts of what is open',
      `all ${gauges} are 0 again ${(tookMs / 1000).toFixed(1)} s after everybody left`,
    )
    notes.check(left.length === 0, `${SETTLE_MS / 1000} s after everybody left: ${left.join(', ')}`)
  } finally {
    load.close()
    storm.close()
    sockets.terminate()
  }
  return notes.report(
    'reload storm',
    'Reloading every second fails no request and closes no open WebSocket; a broken file is refused by name.',
  )
}

function noteSockets(notes: Notes, sockets: WebSockets): void {
  const { all, lost, echoes, failures } = sockets
  const byServer = SERVERS.map((name) => `${all.filter(({ server }) => server === name).length} to ${name}`).join(', ')
  notes.see(
    'WebSockets',
    `${all.length - lost.length} of ${all.length} open to the end (${byServer}); ${echoes} echoes, ${failures.length} wrong or missing`,
  )
  notes.check(
    lost.length === 0,
    `${lost.length} WebSockets were closed, such as ${lost[0]?.number} with ${lost[0]?.closed?.code}`,
  )
  notes.check(failures.length === 0, `echoes failed: ${failures.slice(0, 3).join('; ')}`)
}

/** Rewrites the config, and looks whether what it says is so. */
class Storm {
  /** How long each took, from the write until the product said so. */
  readonly applied: number[] = []
  refused = 0
  readonly #stage: Stage
  readonly #notes: Notes
  readonly #sockets: WebSockets
  #second: Load | null = null
  #secondDone: Load[] = []
  #secondClosed: number[] = []

  constructor(stage: Stage, notes: Notes, sockets: WebSockets) {
    this.#stage = stage
    this.#notes = notes
    this.#sockets = sockets
  }

  async turn(turn: number): Promise<void> {
    const stage = this.#stage
    const isBroken = turn % BROKEN_EVERY === FIRST_BROKEN
    const since = performance.now()
    const broken = isBroken ? brokenAt(stage, turn) : null
    stage.write(broken?.text ?? configAt(stage, turn), turn % 2 === 0 ? 'rename' : 'in-place')
    const event = await stage.event(['reloaded', 'reload-refused'], since, APPLIED_WITHIN_MS)
    if (event === null)
      this.#notes.failures.push(`turn ${turn}: nothing was said about the new file in ${APPLIED_WITHIN_MS} ms`)
    else if (broken === null) await this.#tookOver(turn, event, since)
    else await this.#refused(turn, event, broken)
  }

  /** The second listener's last clients. */
  async end(): Promise<void> {
    if (this.#second !== null) await this.#leaveSecond(0)
  }

  close(): void {
    for (const load of [...this.#secondDone, ...(this.#second === null ? [] : [this.#second])]) load.close()
  }

  describe(): string {
    const sent = this.#secondDone.flatMap((load) => load.sent)
    const failed = sent.filter(({ failure }) => failure !== null)
    this.#notes.check(failed.length === 0, `through the second listener: ${groupFailures(failed).join('; ')}`)
    return (
      `came and went ${this.#secondClosed.length} times; ${failed.length} failed of ${sent.length} requests, ` +
      `those that outlast it included; idle connections closed by ${Math.max(0, ...this.#secondClosed).toFixed(0)} ms after the write`
    )
  }

  async #tookOver(turn: number, event: ProductEvent, since: number): Promise<void> {
    if (event.event !== 'reloaded') {
      this.#notes.failures.push(`turn ${turn}: refused: ${JSON.stringify(event['problems'])}`)
      return
    }
    this.applied.push(event.at - since)
    await this.#shows(turn, {
      'evenkeel_endpoint_weight{pool="web",endpoint="b"}': weightAt(turn),
      'evenkeel_endpoint_weight{pool="web",endpoint="c"}': turn % 2 === 0 ? 1 : undefined,
      'evenkeel_pool_endpoints{pool="extra"}': turn % 3 === 0 ? undefined : 1,
      evenkeel_config_problems: 0,
    })
    const hasSecond = turn % 4 === 1 || turn % 4 === 2
    if (hasSecond) await this.#useSecond()
    else if (this.#second !== null) await this.#leaveSecond(since)
  }

  async #refused(turn: number, event: ProductEvent, { names }: Broken): Promise<void> {
    const said = JSON.stringify(event['problems'] ?? null)
    const isNamed = event.event === 'reload-refused' && said.includes(names)
    this.#notes.check(isNamed, `turn ${turn}: a broken file (${names}): ${event.event}: ${said}`)
    await this.#shows(turn, { evenkeel_config_problems: 1 })
    if (isNamed) this.refused += 1
  }

  /** /metrics says so, soon: its thread is told a moment after the event is written. */
  async #shows(turn: number, wanted: Readonly<Record<string, number | undefined>>): Promise<void> {
    const until = performance.now() + SHOWN_WITHIN_MS
    for (;;) {
      const metrics = await this.#stage.metrics()
      const wrong = Object.entries(wanted).filter(([key, value]) => metrics.get(key) !== value)
      if (wrong.length === 0) return
      if (performance.now() > until) {
        for (const [key, value] of wrong)
          this.#notes.failures.push(`turn ${turn}: ${key} is ${metrics.get(key)}, not ${value}`)
        return
      }
      await sleep(20)
    }
  }

  /** It is there: at once for everybody, and with requests that go on when it is gone. */
  async #useSecond(): Promise<void> {
    const { ports } = this.#stage
    if (this.#second === null) {
      const isFirst = this.#secondDone.length === 0
      this.#second = new Load({ port: ports.second, perSecond: 0, connections: 8, mix })
      await this.#second.open()
      if (isFirst) await this.#sockets.open(SECOND_WEB_SOCKETS, ports.second)
    }
    for (let i = 0; i < 6; i++) this.#second.send({ method: 'GET', path: '/echo', bytes: 500 })
    for (let i = 0; i < 2; i++)
      this.#second.send({ method: 'GET', path: '/stream', bytes: 9000, pieces: 25, everyMs: 100 })
  }

  /** `since`: when the file without it was written; 0: it is still there. */
  async #leaveSecond(since: number): Promise<void> {
    const load = this.#second!
    this.#second = null
    this.#secondDone.push(load)
    if (since === 0) {
      await load.stop()
      return
    }
    const accepts = await canConnect(this.#stage.ports.second)
    this.#notes.check(!accepts, 'the second listener was removed and still accepts')
    const idle = load.connections.filter(({ busy }) => busy === null)
    while (idle.some(({ closedAt }) => closedAt === 0) && performance.now() - since < CLOSED_WITHIN_MS) await sleep(5)
    const open = idle.filter(({ closedAt }) => closedAt === 0).length
    this.#notes.check(open === 0, `${open} idle connections of the second listener stayed open after it was removed`)
    this.#secondClosed.push(Math.max(0, ...idle.map(({ closedAt }) => closedAt - since)))
    // Its last answers are waited for without holding up the next turn.
    void load.stop()
  }
}

function canConnect(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('connect', () => {
    socket.destroy()
    resolve(true)
  })
  socket.on('error', () => resolve(false))
  return promise
}
