/**
 * `npm run soak`: mixed traffic of every kind against one balancer of two workers, for as long as asked, and then the
 * question whether it is as it was: memory, descriptors, connections.
 *
 *   npm run soak -- --minutes 30        the real one; writes docs/evidence/soak.md
 *   npm run soak -- --minutes 1         does the drill work? (memory is not judged, nothing is written)
 *
 * Exit 1 when a client saw something it should not, when memory grew by 1 MB a minute or more over the last two thirds
 * (judged from 10 minutes on: before that the compiler and the heap are still settling), when descriptors or connections
 * did not come back, or when the balancer did not end in good order.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { numberOption, runMain } from '../scripts/run-main.ts'
import { benchFolder } from './peers/origins.ts'
import { descriptorsOf, freePorts, memoryOf, type Program, start } from './peers/processes.ts'
import { describeMachine } from './peers/report.ts'
import { slopeOf } from './peers/statistics.ts'
import { startTraffic, type Tally } from './soak/traffic.ts'

export interface SoakOptions {
  readonly minutes: number
  readonly sampleEveryMs: number
  /** From the end of the load until everything must be closed. */
  readonly settleMs: number
  readonly log: (line: string) => void
}

export interface Sample {
  readonly minute: number
  readonly rssMb: number
  readonly descriptors: number
  readonly exchanges: number
}

export interface SoakResult {
  readonly minutes: number
  readonly tallies: ReadonlyMap<string, Tally>
  readonly samples: readonly Sample[]
  /** MB per minute over the last two thirds. */
  readonly slope: number
  readonly descriptorsBefore: number
  readonly descriptorsAfter: number
  /** Kinds of which there are more than before: `socket +1`. */
  readonly moreDescriptors: readonly string[]
  /** What still counted more than 0 ten seconds after the load. */
  readonly leftOver: readonly string[]
  /** Gauges that were looked at. */
  readonly gauges: readonly string[]
  readonly exitCode: number | null
}

/** Gauges of /metrics that must be 0 when nobody is connected. */
const COUNTS_OF_OPEN = /^evenkeel_\w+_(?:open_\w+|in_flight_\w+)(?:\{|$)/
const JUDGE_MEMORY_FROM_MINUTES = 10

const root = resolve(import.meta.dirname, '..')
const READY_MS = 20_000
const SETTLED_MS = 3000

export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const folder = mkdtempSync(join(benchFolder(), 'evenkeel-soak-'))
  const origin = fork(join(import.meta.dirname, 'soak/origin.ts'), [], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  let balancer: Program | null = null
  try {
    const [line] = (await once(origin.stdout!, 'data')) as [Buffer]
    const { ports } = JSON.parse(line.toString()) as { readonly ports: readonly number[] }
    const [port, adminPort] = (await freePorts(2)) as [number, number]
    const config = join(folder, 'evenkeel.config.json')
    writeFileSync(config, JSON.stringify(soakConfig(port, adminPort, ports, folder), null, 2))
    const args = [join(root, 'bin/evenkeel'), 'start', '--config', config]
    const cores = `0-${cpus().length - 1}`
    balancer = await start(process.execPath, args, { cores, port, env: { EVENKEEL_STATE_DIR: join(folder, 'state') } })
    const { pid } = balancer
    await untilReady(adminPort)
    const before = await fewestDescriptors(pid)

    const traffic = startTraffic(port)
    const samples: Sample[] = []
    const began = performance.now()
    const lengthMs = options.minutes * 60_000
    let nextLog = 0
    while (performance.now() - began < lengthMs) {
      await sleep(Math.min(options.sampleEveryMs, lengthMs - (performance.now() - began)))
      const minute = (performance.now() - began) / 60_000
      const exchanges = [...traffic.tallies.values()].reduce((sum, { done }) => sum + done, 0)
      const rssMb = memoryOf(pid).rssBytes / 1e6
      const sample = { minute, rssMb, descriptors: sumOf(descriptorsOf(pid)), exchanges }
      samples.push(sample)
      if (minute >= nextLog) {
        nextLog = Math.floor(minute) + 1
        const failed = [...traffic.tallies.values()].reduce((sum, tally) => sum + tally.failed, 0)
        options.log(
          `${minute.toFixed(1)} min: ${rssMb.toFixed(1)} MB, ${sample.descriptors} descriptors, ` +
            `${exchanges} as expected, ${failed} not`,
        )
      }
    }
    await traffic.stop()
    await sleep(options.settleMs)

    // In this order: asking for the gauges opens a connection.
    const after = await fewestDescriptors(pid)
    const gauges = await openGauges(adminPort)
    await balancer.stop(40_000)
    return {
      minutes: options.minutes,
      tallies: traffic.tallies,
      samples,
      slope: slopeOf(
        samples.filter(({ minute }) => minute >= options.minutes / 3).map(({ minute, rssMb }) => [minute, rssMb]),
      ),
      descriptorsBefore: sumOf(before),
      descriptorsAfter: sumOf(after),
      moreDescriptors: [...after].flatMap(([kind, count]) => {
        const more = count - (before.get(kind) ?? 0)
        return more > 0 ? [`${kind} +${more}`] : []
      }),
      leftOver: gauges.filter((gauge) => !gauge.endsWith(' 0')),
      gauges,
      exitCode: balancer.child.exitCode,
    }
  } finally {
    await balancer?.stop()
    origin.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Ready, and the rest of the start done (the watch on the config comes last), however busy the machine is. */
async function untilReady(adminPort: number): Promise<void> {
  const deadline = performance.now() + READY_MS
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/readyz`).catch(() => null)
    await answer?.body?.cancel()
    if (answer?.ok === true) break
    if (performance.now() > deadline) throw new Error(`the balancer was not ready within ${READY_MS} ms`)
    await sleep(100)
  }
  await sleep(SETTLED_MS)
}

/** The fewest of each kind in some readings: a health check that is just running holds one more. */
async function fewestDescriptors(pid: number): Promise<Map<string, number>> {
  const fewest = descriptorsOf(pid)
  for (let reading = 0; reading < 10; reading++) {
    await sleep(100)
    const now = descriptorsOf(pid)
    for (const [kind, count] of fewest) fewest.set(kind, Math.min(count, now.get(kind) ?? 0))
  }
  return fewest
}

function sumOf(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0)
}

function soakConfig(port: number, adminPort: number, originPorts: readonly number[], folder: string): unknown {
  return {
    version: 1,
    workers: 2,
    listeners: [{ name: 'public', bind: `127.0.0.1:${port}` }],
    // Other hosts have no route.
    routes: [{ match: { host: ['127.0.0.1', 'a'] }, pool: 'web' }],
    pools: {
      web: {
        balance: 'least-requests',
        endpoints: originPorts.map((origin) => `http://127.0.0.1:${origin}`),
        health: { path: '/health', intervalMs: 1000 },
        // Idle upstream connections must be gone when the counts are read.
        timeouts: { keepAliveMs: 4000 },
      },
    },
    accessLog: { to: join(folder, 'access.log') },
    admin: { bind: `127.0.0.1:${adminPort}` },
  }
}

async function openGauges(adminPort: number): Promise<string[]> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/metrics`)
  const text = await response.text()
  return text.split('\n').filter((line) => COUNTS_OF_OPEN.test(line))
}

/** What is wrong with the outcome, as sentences; empty when all is well. */
export function verdict(result: SoakResult): string[] {
  const found: string[] = []
  for (const [name, { done, failed, reasons }] of result.tallies) {
    if (done === 0) found.push(`${name}: never succeeded`)
    for (const [reason, times] of reasons) found.push(`${name}: ${times} of ${done + failed}: ${reason}`)
  }
  if (result.minutes >= JUDGE_MEMORY_FROM_MINUTES && result.slope >= 1) {
    found.push(`memory grew by ${result.slope.toFixed(2)} MB a minute`)
  }
  if (result.descriptorsAfter > result.descriptorsBefore) {
    found.push(
      `${result.descriptorsBefore} descriptors before, ${result.descriptorsAfter} after: ${result.moreDescriptors.join(', ')}`,
    )
  }
  if (result.gauges.length === 0) found.push('no count of open connections was found in /metrics')
  for (const gauge of result.leftOver) found.push(`ten seconds after the load: ${gauge}`)
  if (result.exitCode !== 0) found.push(`after SIGTERM the balancer ended with ${result.exitCode}`)
  return found
}

function page(result: SoakResult): string {
  const machine = describeMachine({})
  const tallies = [...result.tallies].map(
    ([name, { done, failed }]) => `| ${name} | ${done.toLocaleString('en')} | ${failed} |`,
  )
  const total = [...result.tallies.values()].reduce((sum, { done }) => sum + done, 0)
  const every = Math.max(1, Math.floor(result.samples.length / 30))
  const rows = result.samples
    .filter((_, index) => index % every === every - 1)
    .map(
      ({ minute, rssMb, descriptors, exchanges }) =>
        `| ${minute.toFixed(1)} | ${rssMb.toFixed(1)} | ${descriptors} | ${exchanges.toLocaleString('en')} |`,
    )
  const problems = verdict(result)
  return `# Soak

${result.minutes} minutes of mixed traffic against one balancer with two workers, health checks and the access log on, on
${machine.date}: ${machine.cpu}, ${machine.cores} cores (shared with the clients and the origins), Linux ${machine.kernel}, Node ${process.version}, commit ${machine.commit}.
Made by \`npm run soak -- --minutes ${result.minutes}\`.

| | |
|---|---|
| memory, slope of the last ${Math.round((result.minutes * 2) / 3)} minutes | ${result.slope.toFixed(3)} MB/min (least squares over ${result.samples.length} samples of the resident set) |
| memory at the end of the load | ${result.samples.at(-1)?.rssMb.toFixed(1) ?? '?'} MB |
| descriptors before the load / 10 s after it | ${result.descriptorsBefore} / ${result.descriptorsAfter} |
| connections and attempts counted 10 s after the load | ${result.leftOver.length === 0 ? `0 in all ${result.gauges.length} counts` : result.leftOver.join('; ')} |
| exchanges that ended as expected | ${total.toLocaleString('en')} |
| exit code after SIGTERM | ${result.exitCode} |
| verdict | ${problems.length === 0 ? 'passed' : problems.join('; ')} |

## Traffic

Each kind is a number of clients in a loop; what each does and expects stands in \`bench/soak/traffic.ts\`.

| kind | as expected | otherwise |
|---|---|---|
${tallies.join('\n')}

## Samples

| minute | resident MB | descriptors | exchanges |
|---|---|---|---|
${rows.join('\n')}
`
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { minutes: { type: 'string', default: '30' }, write: { type: 'boolean' } },
    allowNegative: true,
  })
  const minutes = numberOption('minutes', values.minutes, 0.1)
  const result = await runSoak({
    minutes,
    sampleEveryMs: minutes > 5 ? 5000 : 1000,
    settleMs: 10_000,
    log: console.log,
  })
  for (const [name, { done, failed }] of result.tallies)
    console.log(`  ${name.padEnd(20)} ${done} as expected, ${failed} not`)
  console.log(`memory: ${result.slope.toFixed(3)} MB/min over the last two thirds`)
  console.log(`descriptors: ${result.descriptorsBefore} before, ${result.descriptorsAfter} after`)
  console.log(`open 10 s after the load: ${result.leftOver.length === 0 ? 'nothing' : result.leftOver.join('; ')}`)
  if (values.write ?? minutes >= JUDGE_MEMORY_FROM_MINUTES) {
    writeFileSync(join(root, 'docs/evidence/soak.md'), page(result))
    console.log('written: docs/evidence/soak.md')
  }
  const problems = verdict(result)
  for (const problem of problems) console.error(`NOT WELL: ${problem}`)
  return problems.length === 0 ? 0 : 1
}

if (import.meta.main) await runMain(main)
