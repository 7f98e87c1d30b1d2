/** A worker dies under load. Its own connections are lost, nobody else's, and what it had counted is given back. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Connection, describeLoad, Load, type RequestSpec, type Sent } from './load.ts'
import { settle, sumOf } from './metrics.ts'
import { type DrillReport, groupFailures, Notes } from './report.ts'
import { baseConfig, Stage } from './stage.ts'
import { WebSockets } from './web-sockets.ts'

export interface WorkerKillOptions {
  readonly kills: number
  /** From one kill to the next. */
  readonly everyMs: number
  readonly perSecond: number
  readonly connections: number
  readonly webSockets: number
  readonly log: (line: string) => void
}

const WORKERS = 2
/** New clients keep coming, one by one, so that it shows when the replacement accepts and who waited in a dead queue. */
const NEWCOMER_EVERY_MS = 10
const REPLACED_WITHIN_MS = 5000
/** Upstream connections are idle for at most this long, so that they are gone when counts are read. */
const KEEP_ALIVE_MS = 1000
/** The promise: everything is back at 0 this long after the load. */
const SETTLE_MS = 10_000

function mix(turn: number): RequestSpec {
  if (turn % 10 === 1) return { method: 'POST', path: '/echo', bytes: 300, uploadBytes: 2000, waitMs: turn % 5 }
  if (turn % 20 === 5) return { method: 'GET', path: '/stream', bytes: 20_000, pieces: 10, everyMs: 30 }
  return { method: 'GET', path: '/echo', bytes: 100 + (turn % 2000), waitMs: turn % 20 }
}

export async function workerKillDrill(options: WorkerKillOptions): Promise<DrillReport> {
  const notes = new Notes()
  await using stage = await Stage.start((on) => {
    const base = baseConfig(on)
    return { ...base, pools: { web: { ...base.pools.web, timeouts: { keepAliveMs: KEEP_ALIVE_MS } } } }
  })
  const load = new Load({ ...options, port: stage.ports.public, mix })
  const newcomers = new Newcomers(stage.ports.public)
  const sockets = new WebSockets()
  try {
    await sockets.open(options.webSockets, stage.ports.public)
    await load.start()
    newcomers.start()
    await sleep(500)
    for (let kill = 0; kill < options.kills; kill++) {
      // Those that were lost before come again, so that both workers have some of everything.
      await load.open()
      await sockets.open(options.webSockets - sockets.all.length + sockets.lost.length, stage.ports.public)
      await sleep(options.everyMs)
      await killOnce({ stage, load, newcomers, sockets, notes, index: kill % WORKERS, kill })
      options.log(`${kill + 1} workers killed, ${load.sent.length} requests`)
    }
    await sockets.echo()
    notes.check(sockets.failures.length === 0, `echoes failed: ${sockets.failures.slice(0, 3).join('; ')}`)
    await newcomers.stop()
    await load.stop()
    await countsMatch(stage, load, sockets, notes)
    notes.see('load', describeLoad(load.sent))
    load.close()
    await sockets.close()
    const { tookMs, left, gauges } = await settle(stage, SETTLE_MS)
    notes.see(
      'counts of what is open',
      `all ${gauges} are 0 again ${(tookMs / 1000).toFixed(1)} s after everybody left`,
    )
    notes.check(left.length === 0, `${SETTLE_MS / 1000} s after the load: ${left.join(', ')}`)
  } finally {
    load.close()
    newcomers.close()
    sockets.terminate()
  }
  return notes.report(
    'a worker dies',
    'Killing a worker loses only its own connections and those waiting on it; it is replaced, and counts return to the truth.',
  )
}

interface Scene {
  readonly stage: Stage
  readonly load: Load
  readonly newcomers: Newcomers
  readonly sockets: WebSockets
  readonly notes: Notes
  readonly index: number
  readonly kill: number
}

async function killOnce({ stage, load, newcomers, sockets, notes, index, kill }: Scene): Promise<void> {
  const open = load.connections.filter(({ closedAt }) => closedAt === 0)
  const openSockets = sockets.all.filter(({ closed }) => closed === null)
  const known = new Set([...open, ...openSockets].map(({ worker }) => worker).filter((worker) => worker !== ''))
  // Both tell of the workers that live now, so a third one can only be the replacement.
  const what = `kill ${kill + 1}, worker ${index}`
  notes.check(known.size === WORKERS, `${what}: clients are on ${known.size} workers: ${[...known].join(', ')}`)
  const since = performance.now()
  await stage.killWorker(index)
  const exit = await stage.event(['worker-exit'], since, REPLACED_WITHIN_MS)
  const ready = await stage.event(['worker-ready'], since, REPLACED_WITHIN_MS)
  const isNew = ({ worker, sentAt }: Sent): boolean => sentAt > since && worker !== '' && !known.has(worker)
  while (!newcomers.sent.some(isNew) && performance.now() - since < REPLACED_WITHIN_MS) await sleep(5)
  const firstServed = newcomers.sent.find(isNew)
  notes.check(exit !== null && ready !== null, `${what}: the product did not say that it ended and was replaced`)
  notes.check(
    firstServed !== undefined,
    `${what}: no new client reached the replacement within ${REPLACED_WITHIN_MS} ms`,
  )

  const lost = open.filter(({ closedAt }) => closedAt >= since)
  const lostSockets = openSockets.filter(({ closed }) => closed !== null)
  const dead = new Set([...lost, ...lostSockets].map(({ worker }) => worker).filter((worker) => worker !== ''))
  notes.check(dead.size === 1, `${what}: connections of ${dead.size} workers were closed`)
  const [deadWorker = ''] = dead
  const isOfDead = ({ worker }: { readonly worker: string }): boolean => worker === deadWorker
  const survivors = [
    ...open.filter(isOfDead).filter(({ closedAt }) => closedAt === 0),
    ...openSockets.filter(isOfDead).filter(({ closed }) => closed === null),
  ]
  notes.check(survivors.length === 0, `${what}: ${survivors.length} connections of the dead worker are still open`)
  const told = exit?.['connectionsLost']
  const diedAt = Math.max(...lost.map(({ closedAt }) => closedAt), since)
  const failed = load.sent.filter((one) => one.failure !== null && one.endedAt >= since)
  const others = failed.filter((one) => !mayBeLost(load.connections[one.connection], one, deadWorker, since, diedAt))
  notes.check(others.length === 0, `${what}: requests of others failed: ${groupFailures(others).join('; ')}`)
  const waiting = newcomers.sent.filter((one) => one.failure !== null && one.endedAt >= since)
  // Those that came before it was dead were in its queue, or in its hands.
  const strays = waiting.filter((one) => one.plannedAt > diedAt + NEWCOMER_EVERY_MS)
  notes.check(strays.length === 0, `${what}: new clients failed after it was dead: ${groupFailures(strays).join('; ')}`)
  notes.see(
    what,
    `${lost.length} of ${open.length} kept-alive connections and ${lostSockets.length} of ${openSockets.length} WebSockets lost, ` +
      `all of them its own (it had ${String(told)}, newcomers included); ${failed.length} requests failed, ${others.length} of others; ` +
      `${waiting.length} new clients were waiting on it; replaced after ${time(ready?.at, since)}, ` +
      `which served its first client after ${time(firstServed?.endedAt, since)}`,
  )
}

/** Its own connection died, or it was still being opened and waited in its queue. */
function mayBeLost(
  connection: Connection | undefined,
  { failure }: Sent,
  deadWorker: string,
  since: number,
  diedAt: number,
): boolean {
  if (failure!.stage === 'wrong') return false
  if (connection === undefined) return failure!.stage === 'connect'
  if (connection.worker === deadWorker) return true
  return connection.worker === '' && connection.openedAt <= diedAt && connection.closedAt >= since
}

/** While everything is quiet but still connected, the product counts what the clients count. */
async function countsMatch(stage: Stage, load: Load, sockets: WebSockets, notes: Notes): Promise<void> {
  const held = load.openConnections + sockets.all.length - sockets.lost.length
  const until = performance.now() + 2000
  for (;;) {
    const metrics = await stage.metrics()
    const listener = sumOf(metrics, 'evenkeel_listener_open_connections')
    const workers = sumOf(metrics, 'evenkeel_worker_open_connections')
    const exchanges = sumOf(metrics, 'evenkeel_worker_open_exchanges')
    if (listener === held && workers === held) {
      notes.see(
        'connections, load stopped',
        `clients hold ${held}, the listener's ledger says ${listener}, the workers ${workers}`,
      )
      return
    }
    if (performance.now() > until) {
      notes.failures.push(
        `clients hold ${held} connections, the listener's ledger says ${listener}, the workers ${workers} (${exchanges} exchanges open)`,
      )
      return
    }
    await sleep(50)
  }
}

/** A new client every few milliseconds, with one request each. */
class Newcomers {
  readonly sent: Sent[] = []
  readonly #port: number
  readonly #loads = new Set<Load>()
  #timer: NodeJS.Timeout | null = null
  #turn = 0

  constructor(port: number) {
    this.#port = port
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#turn += 1
      const load = new Load({ port: this.#port, perSecond: 0, connections: 1, mix })
      this.#loads.add(load)
      this.sent.push(load.send({ method: 'GET', path: '/echo', bytes: 100 + (this.#turn % 50) }))
      void load.stop().then(() => {
        load.close()
        this.#loads.delete(load)
      })
    }, NEWCOMER_EVERY_MS)
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    while (this.#loads.size > 0) await sleep(10)
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    for (const load of this.#loads) load.close()
  }
}

function time(at: number | undefined, since: number): string {
  return at === undefined ? 'never' : `${(at - since).toFixed(0)} ms`
}
