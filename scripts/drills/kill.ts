/** A server dies, or ends, or lets go of all its connections, under load. No GET whose answer had not begun may fail. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describeLoad, Load, type RequestSpec, type Sent } from './load.ts'
import { sumOf } from './metrics.ts'
import { type DrillReport, groupFailures, Notes } from './report.ts'
import { baseConfig, SERVERS, type ServerName, Stage } from './stage.ts'

export interface KillOptions {
  readonly perSecond: number
  readonly connections: number
  readonly pickers: readonly string[]
  /** How often each of the mishaps happens with each picker; the server is another one each time. */
  readonly rounds: number
  readonly downMs: number
  /** How often servers are checked. */
  readonly checkEveryMs: number
  readonly log: (line: string) => void
}

type Mishap = 'kill -9' | 'SIGTERM' | 'closes idle connections' | 'closes all connections'
const MISHAPS: readonly Mishap[] = ['kill -9', 'SIGTERM', 'closes idle connections', 'closes all connections']

/** Connections that are idle before each mishap, over all servers and workers. */
const BURST = 90
const BURST_WAIT_MS = 150
const WATCH_EVERY_MS = 10
const BACK_WITHIN_MS = 8000
/** After it is back, shares are looked at for this long. */
const SHARES_MS = 600
/** Of three; the rest is chance, and what the others have in flight. */
const LEAST_SHARE = 0.05
/** A server that lets go of its connections does it so often, in a row. */
const DROPS = 5
const DROP_EVERY_MS = 100

/** Mostly small; now and then one that a kill can catch in the middle of its answer, or of its request. */
function mix(turn: number): RequestSpec {
  const waitMs = (turn % 7) * 5
  if (turn % 20 === 3) return { method: 'GET', path: '/echo', bytes: 40_000, waitMs }
  if (turn % 20 === 7) return { method: 'GET', path: '/stream', bytes: 5000, pieces: 5, everyMs: 20 }
  if (turn % 20 === 11) return { method: 'POST', path: '/echo', bytes: 300, uploadBytes: 900, waitMs }
  return { method: 'GET', path: '/echo', bytes: 100 + (turn % 900), waitMs }
}

export async function killDrill(options: KillOptions): Promise<DrillReport> {
  const notes = new Notes()
  for (const picker of options.pickers) {
    await using stage = await Stage.start((on) => {
      const base = baseConfig(on)
      const health = { path: '/health', intervalMs: options.checkEveryMs, timeoutMs: 1000 }
      return { ...base, pools: { web: { ...base.pools.web, balance: picker, health } } }
    })
    const load = new Load({ ...options, port: stage.ports.public, mix })
    await load.start()
    await sleep(1000)
    for (const [at, mishap] of MISHAPS.entries()) {
      const outcomes: Outcome[] = []
      for (let round = 0; round < options.rounds; round++) {
        const server = SERVERS[(at + round) % SERVERS.length]!
        outcomes.push(await happen({ stage, load, notes, picker, mishap, server, downMs: options.downMs }))
      }
      notes.see(`${picker}: ${mishap}`, describeOutcomes(outcomes))
    }
    await load.stop()
    load.close()
    notes.see(`${picker}: load`, describeLoad(load.sent))
    const bad = load.sent.filter(isUnexpected)
    notes.check(
      bad.length === 0,
      `${picker}: ${bad.length} requests failed that should not have: ${groupFailures(bad).join('; ')}`,
    )
    options.log(`${picker}: ${load.sent.length} requests, ${bad.length} failed that should not have`)
  }
  return notes.report(
    'a server goes away',
    'When one of three servers is killed, ends, or closes its connections, no GET whose answer had not begun fails.',
  )
}

/** What was begun may be cut, and what is not idempotent may be refused when the server may have begun it. */
function isUnexpected({ failure, spec }: Sent): boolean {
  if (failure === null || failure.stage === 'cut') return false
  return !(spec.method === 'POST' && isRefusedRepeat(failure.cause))
}

function isRefusedRepeat(cause: string): boolean {
  return cause.startsWith('502') && /EK_UPSTREAM_CLOSED|EK_REUSED_CLOSED/.test(cause)
}

interface Scene {
  readonly stage: Stage
  readonly load: Load
  readonly notes: Notes
  readonly picker: string
  readonly mishap: Mishap
  readonly server: ServerName
  readonly downMs: number
}

interface Outcome {
  readonly server: ServerName
  readonly requests: number
  readonly failedGets: number
  /** Attempts that were repeats. */
  readonly repeats: number
  /** Answers that had begun. */
  readonly cut: number
  /** POSTs that the server may have begun. */
  readonly refused: number
  readonly outage: Outage | null
}

interface Outage {
  /** From the mishap until the server was given nothing more. */
  readonly outMs: number
  /** From the mishap until the last attempt at it had failed. */
  readonly lastFailureMs: number
  /** From when it listens again until its first answer. */
  readonly backMs: number
  /** Of all answers, soon after. */
  readonly share: number
}

async function happen(scene: Scene): Promise<Outcome> {
  const { stage, load, notes, mishap, picker, server } = scene
  await fillIdle(load)
  const first = load.sent.length
  const before = await repeatsOf(stage)
  const isOutage = mishap === 'kill -9' || mishap === 'SIGTERM'
  const outage = isOutage ? await leave(scene) : null
  if (!isOutage) await drop(scene)
  const repeats = (await repeatsOf(stage)) - before
  const during = load.sent.slice(first)
  // A request that is still under way is judged with the rest at the end.
  const count = (isIt: (one: Sent) => boolean): number => during.filter(isIt).length
  const cut = count(({ failure }) => failure?.stage === 'cut')
  const what = `${picker}: ${server} ${mishap}`
  const mayCut = mishap === 'kill -9' || mishap === 'closes all connections'
  notes.check(mayCut || cut === 0, `${what}: ${cut} answers were cut, and the server had cut none`)
  if (mishap === 'kill -9') notes.check(repeats > 0, `${what}: nothing was repeated, so the drill shows nothing`)
  return {
    server,
    requests: during.length,
    failedGets: count((one) => one.spec.method === 'GET' && isUnexpected(one)),
    repeats,
    cut,
    refused: count(({ failure, spec }) => spec.method === 'POST' && failure?.stage === 'wrong'),
    outage,
  }
}

function describeOutcomes(outcomes: readonly Outcome[]): string {
  const sum = (value: (one: Outcome) => number): number => outcomes.reduce((total, one) => total + value(one), 0)
  const list = (value: (one: Outcome) => number | string): string => outcomes.map(value).join(', ')
  const outages = outcomes.flatMap(({ outage }) => (outage === null ? [] : [outage]))
  const times = (value: (one: Outage) => number, digits = 0): string =>
    outages.map((one) => value(one).toFixed(digits)).join(', ')
  return (
    `server ${list(({ server }) => server)}: ${sum(({ failedGets }) => failedGets)} GETs failed of ${sum(({ requests }) => requests)} requests; ` +
    `${list(({ repeats }) => repeats)} repeated; ${list(({ cut }) => cut)} cut in an answer that had begun; ${list(({ refused }) => refused)} POSTs got a 502` +
    (outages.length === 0
      ? ` (${DROPS} times in ${DROPS * DROP_EVERY_MS} ms)`
      : `; kept away after ${times(({ outMs }) => outMs)} ms, last attempt at it failed by ${times(({ lastFailureMs }) => lastFailureMs)} ms; ` +
        `first answer ${times(({ backMs }) => backMs)} ms after it listened again, then ${times(({ share }) => share * 100)} % of all`)
  )
}

/**
 * A burst of slow requests leaves many idle connections to every server. They all die at once, but are heard of one by
 * one: a repeat must not run from one dead connection into the next until its tries are used up.
 */
async function fillIdle(load: Load): Promise<void> {
  for (let i = 0; i < BURST; i++) load.send({ method: 'GET', path: '/echo', bytes: 100, waitMs: BURST_WAIT_MS })
  await sleep(BURST_WAIT_MS * 2)
}

/** It goes, stays away, and comes back. */
async function leave({ stage, load, notes, picker, mishap, server, downMs }: Scene): Promise<Outage> {
  const origin = stage.servers[server]
  const watching = new AbortController()
  const { failures } = (await stage.endpoint(server))!
  const since = performance.now()
  const seen = watch(stage, server, failures, watching.signal)
  await origin.end(mishap === 'SIGTERM' ? 'SIGTERM' : 'SIGKILL')
  await sleep(downMs - (performance.now() - since))
  const downUntil = performance.now()
  await origin.start()
  const upAt = performance.now()
  const isBack = (one: Sent): boolean => one.sentAt > downUntil && one.server === server && one.failure === null
  while (!load.sent.some(isBack) && performance.now() - upAt < BACK_WITHIN_MS) await sleep(10)
  const back = load.sent.find(isBack)
  watching.abort()
  const { outAt, lastFailureAt } = await seen
  const what = `${picker}: ${server} ${mishap}`
  notes.check(outAt > 0, `${what}: it was never taken out`)
  const isNoticed = stage.events.some(
    ({ event, at, ...fields }) => event === 'endpoint-passive' && at > since && fields['endpoint'] === server,
  )
  notes.check(isNoticed, `${what}: no failed connect took it out, only a health check`)
  notes.check(back !== undefined, `${what}: it got nothing within ${BACK_WITHIN_MS / 1000} s of its return`)
  await sleep(SHARES_MS)
  const recent = load.sent.filter(({ endedAt }) => endedAt > performance.now() - SHARES_MS / 2)
  const share = recent.filter((one) => one.server === server).length / recent.length
  notes.check(share > LEAST_SHARE, `${what}: after its return it has ${(share * 100).toFixed(0)} % of the requests`)
  return {
    outMs: outAt - since,
    lastFailureMs: Math.max(0, lastFailureAt - since),
    backMs: (back?.endedAt ?? Number.NaN) - upAt,
    share,
  }
}

/** It stays, but lets go of its connections again and again. */
async function drop({ stage, server, mishap }: Scene): Promise<void> {
  for (let turn = 0; turn < DROPS; turn++) {
    stage.servers[server].drop(mishap === 'closes idle connections' ? 'drop-idle' : 'drop-all')
    await sleep(DROP_EVERY_MS)
  }
  // What was under way ends before the next mishap.
  await sleep(200)
}

/** When the endpoint became unfit, and when an attempt at it failed for the last time; 0 where that never was. */
async function watch(
  stage: Stage,
  server: ServerName,
  failuresBefore: number,
  signal: AbortSignal,
): Promise<{ readonly outAt: number; readonly lastFailureAt: number }> {
  let outAt = 0
  let lastFailureAt = 0
  let failures = failuresBefore
  while (!signal.aborted) {
    const now = (await stage.endpoint(server))!
    if (!now.fit && outAt === 0) outAt = performance.now()
    if (now.failures > failures) {
      failures = now.failures
      lastFailureAt = performance.now()
    }
    await sleep(WATCH_EVERY_MS)
  }
  return { outAt, lastFailureAt }
}

/** Attempts that were repeats, since the start. */
async function repeatsOf(stage: Stage): Promise<number> {
  const metrics = await stage.metrics()
  return sumOf(metrics, 'evenkeel_worker_retries_total')
}
