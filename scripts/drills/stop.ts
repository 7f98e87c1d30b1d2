/** SIGTERM under load. Whatever was begun is finished, everybody is told that the connection ends, and the process goes. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { describeLoad, Load, type RequestSpec, type Sent } from './load.ts'
import { type DrillReport, groupFailures, Notes } from './report.ts'
import { baseConfig, SERVERS, Stage } from './stage.ts'
import { WebSockets } from './web-sockets.ts'

export interface StopOptions {
  readonly perSecond: number
  readonly connections: number
  /** How long the longest answer and the slowest upload take that run when it is told to stop. */
  readonly longestMs: number
  readonly rounds: number
  readonly log: (line: string) => void
}

const LONG_ANSWERS = 12
const SLOW_UPLOADS = 12
const WEB_SOCKETS = 10
/** Beyond the time in which idle connections are closed. */
const STILL_SENDING_MS = 800
/** With tunnels open a stop takes as long as it may. */
const TUNNEL_DRAIN_MS = 1000
/** From the end of the last exchange, or from the deadline, until the process is gone. */
const EXIT_GRACE_MS = 1500
/** Answers of one worker are read here in another order than it wrote them. */
const ORDER_MS = 20

function mix(turn: number): RequestSpec {
  if (turn % 10 === 1) return { method: 'POST', path: '/echo', bytes: 300, uploadBytes: 2000, waitMs: turn % 50 }
  return { method: 'GET', path: '/echo', bytes: 100 + (turn % 2000), waitMs: (turn % 8) * 30 }
}

export async function stopDrill(options: StopOptions): Promise<DrillReport> {
  const notes = new Notes()
  for (let round = 0; round < options.rounds; round++) {
    await underLoad(options, notes)
    options.log(`stopped under load${options.rounds > 1 ? ` (${round + 1})` : ''}`)
  }
  await withTunnels(notes)
  options.log('stopped with tunnels open')
  return notes.report(
    'stop',
    'After SIGTERM every request whose head was read is answered, connections end with connection: close, and it exits 0 in time.',
  )
}

async function underLoad({ perSecond, connections, longestMs }: StopOptions, notes: Notes): Promise<void> {
  await using stage = await Stage.start((on) => ({ ...baseConfig(on), accessLog: { to: on.accessLog } }))
  const load = new Load({ port: stage.ports.public, perSecond, connections, mix })
  const long = new Load({ port: stage.ports.public, perSecond: 0, connections: LONG_ANSWERS + SLOW_UPLOADS, mix })
  try {
    await load.start()
    await long.open()
    await sleep(800)
    sendLong(long, longestMs)
    await sleep(200)
    const since = performance.now()
    const stopping = stage.stop(longestMs + 15_000)
    // New ones keep coming, as clients do that know nothing of it.
    await sleep(STILL_SENDING_MS)
    await load.stop()
    await long.stop()
    const { code, tookMs } = await stopping
    const goneAt = since + tookMs
    const sent = [...load.sent, ...long.sent]
    const lastAnswerAt = Math.max(...sent.filter(({ failure }) => failure === null).map(({ endedAt }) => endedAt))
    notes.see('load', describeLoad(sent))
    await judge({ stage, notes, sent, longSent: long.sent, since })
    notes.check(code === 0, `it ended with ${code}`)
    notes.check(
      goneAt - lastAnswerAt < EXIT_GRACE_MS,
      `it was gone ${(goneAt - lastAnswerAt).toFixed(0)} ms after the last answer`,
    )
    notes.see(
      'exit',
      `code ${code} ${(tookMs / 1000).toFixed(2)} s after SIGTERM, ${(goneAt - lastAnswerAt).toFixed(0)} ms after the last answer`,
    )
  } finally {
    load.close()
    long.close()
  }
}

/** Answers that stream and uploads that trickle: both are in the middle when the stop comes. */
function sendLong(load: Load, ms: number): void {
  const pieces = 20
  for (let i = 0; i < LONG_ANSWERS; i++)
    load.send({ method: 'GET', path: '/stream', bytes: 50_000 + i, pieces, everyMs: ms / pieces })
  for (let i = 0; i < SLOW_UPLOADS; i++)
    load.send({ method: 'POST', path: '/echo', bytes: 1000, uploadBytes: 100_000 + i, uploadMs: ms })
}

interface Scene {
  readonly stage: Stage
  readonly notes: Notes
  readonly sent: readonly Sent[]
  readonly longSent: readonly Sent[]
  readonly since: number
}

async function judge({ stage, notes, sent, longSent, since }: Scene): Promise<void> {
  const running = sent.filter(({ sentAt, endedAt }) => sentAt > 0 && sentAt < since && endedAt > since)
  const runningLong = longSent.filter(({ endedAt }) => endedAt > since).length
  notes.check(running.length > 20, `only ${running.length} requests were running, so the drill shows little`)
  // Read means: it stands in the access log, or arrived at a server. Both are looked at after the process has ended.
  const logged = readLog(stage.accessLog)
  const failed = sent.filter(({ failure }) => failure !== null)
  const arrived = await arrivedIds(stage, failed)
  const wasRead = ({ id }: Sent): boolean => logged.has(id) || arrived.has(id)
  const answers = failed.filter(({ failure }) => failure!.stage === 'wrong' || failure!.stage === 'cut')
  const broken = [...answers, ...failed.filter((one) => !answers.includes(one) && wasRead(one))]
  notes.check(
    broken.length === 0,
    `${broken.length} requests were read and not answered: ${groupFailures(broken).join('; ')}`,
  )
  const early = failed.filter(({ endedAt }) => endedAt < since)
  notes.check(early.length === 0, `${early.length} requests failed before SIGTERM: ${groupFailures(early).join('; ')}`)
  const refused = failed.filter(({ failure }) => failure!.stage === 'connect').length
  const unread = failed.filter((one) => one.failure!.stage === 'unanswered' && !wasRead(one)).length
  notes.see(
    'requests at SIGTERM',
    `${running.length} were running (${runningLong} of them long answers and slow uploads): ` +
      `${running.filter(({ failure }) => failure === null).length} answered in full, ${broken.length} read and not answered; ` +
      `${unread} met the closing of their idle connection unread; ${refused} found no connection any more`,
  )

  const answered = sent.filter(({ failure }) => failure === null)
  const unlogged = answered.filter(({ id }) => !logged.has(id))
  notes.check(
    unlogged.length === 0,
    `${unlogged.length} answered requests are not in the access log, such as ${unlogged[0]?.id}`,
  )
  const wrongLines = answered.filter(({ id }) => logged.has(id) && logged.get(id) !== 200)
  notes.check(wrongLines.length === 0, `${wrongLines.length} answered requests are not 200 in the access log`)

  // A worker that has said so once says it with every head from then on.
  const drainedAt = new Map<string, number>()
  for (const { saysClose, worker, headAt } of answered)
    if (saysClose) drainedAt.set(worker, Math.min(drainedAt.get(worker) ?? Number.POSITIVE_INFINITY, headAt))
  const after = answered.filter(
    ({ worker, headAt }) => headAt > (drainedAt.get(worker) ?? Number.POSITIVE_INFINITY) + ORDER_MS,
  )
  const silent = after.filter(({ saysClose }) => !saysClose)
  const told = answered.filter(({ saysClose }) => saysClose).length
  notes.check(drainedAt.size === 2, `${drainedAt.size} workers said connection: close`)
  notes.check(silent.length === 0, `${silent.length} answers that began during the stop did not say connection: close`)
  notes.see(
    'connection: close',
    `on ${told} answers of ${drainedAt.size} workers, on each that began after a worker's first; missing on ${silent.length}`,
  )
}

/** Status by request. */
function readLog(file: string): ReadonlyMap<string, number> {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
  return new Map(
    lines.map((line) => {
      const { path, status } = JSON.parse(line) as { readonly path: string; readonly status: number }
      return [path.slice(path.lastIndexOf('/') + 1), status]
    }),
  )
}

async function arrivedIds(stage: Stage, sent: readonly Sent[]): Promise<ReadonlySet<string>> {
  const ids = sent.map(({ id }) => id)
  const seen = await Promise.all(SERVERS.map((name) => stage.servers[name].seen(ids)))
  return new Set(seen.flat())
}

/** Tunnels do not end by themselves: the deadline ends them. */
async function withTunnels(notes: Notes): Promise<void> {
  await using stage = await Stage.start((on) => ({ ...baseConfig(on), stop: { drainMs: TUNNEL_DRAIN_MS } }))
  const sockets = new WebSockets()
  try {
    await sockets.open(WEB_SOCKETS, stage.ports.public)
    const since = performance.now()
    const stopping = stage.stop(TUNNEL_DRAIN_MS + 10_000)
    await sleep(TUNNEL_DRAIN_MS / 2)
    await sockets.echo()
    const { code, tookMs } = await stopping
    await sleep(50)
    const early = sockets.lost.filter(({ closed }) => closed!.at - since < TUNNEL_DRAIN_MS - 50).length
    notes.check(
      early === 0 && sockets.failures.length === 0,
      `${early} WebSockets were closed before the deadline: ${sockets.failures[0]}`,
    )
    notes.check(code === 0, `with tunnels open it ended with ${code}`)
    const cutOff = stage.events.find(({ event }) => event === 'stopped')?.['cutOff']
    notes.check(cutOff === WEB_SOCKETS, `${WEB_SOCKETS} WebSockets were cut off, and it says ${String(cutOff)}`)
    notes.check(
      tookMs < TUNNEL_DRAIN_MS + EXIT_GRACE_MS,
      `with tunnels open it ended ${tookMs.toFixed(0)} ms after SIGTERM`,
    )
    notes.see(
      `${WEB_SOCKETS} WebSockets open, drainMs ${TUNNEL_DRAIN_MS}`,
      `${sockets.echoes} echoed while it drained, cut at the deadline; code ${code} ${(tookMs / 1000).toFixed(2)} s after SIGTERM`,
    )
  } finally {
    sockets.terminate()
  }
}
