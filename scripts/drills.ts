/**
 * `npm run drills`: things that go wrong in operation, acted out against the real product under load: a server is killed,
 * the config is rewritten every second, a worker dies, the whole is stopped. Clients verify every answer.
 *
 *   npm run drills                       all of them, some five minutes; writes docs/evidence/drills.md
 *   npm run drills -- --only reload      kill, reload, worker or stop
 *   npm run drills -- --short            seconds instead of minutes; nothing is written
 *
 * Exit 1 when a drill contradicts its claim.
 */
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { describeMachine } from '../bench/peers/report.ts'
import { killDrill } from './drills/kill.ts'
import { reloadDrill } from './drills/reload.ts'
import { type DrillReport, tableOf } from './drills/report.ts'
import { stopDrill } from './drills/stop.ts'
import { workerKillDrill } from './drills/worker-kill.ts'
import { runMain, UsageError } from './run-main.ts'

const root = resolve(import.meta.dirname, '..')

type Log = (line: string) => void

export interface Drill {
  readonly name: 'kill' | 'reload' | 'worker' | 'stop'
  readonly full: (log: Log) => Promise<DrillReport>
  /** For the tests. */
  readonly short: (log: Log) => Promise<DrillReport>
}

export const DRILLS: readonly Drill[] = [
  {
    name: 'kill',
    full: (log) =>
      killDrill({
        perSecond: 1000,
        connections: 128,
        pickers: ['round-robin', 'least-requests', 'p2c'],
        rounds: 3,
        downMs: 2000,
        checkEveryMs: 1000,
        log,
      }),
    short: (log) =>
      killDrill({
        perSecond: 400,
        connections: 128,
        pickers: ['least-requests'],
        rounds: 1,
        downMs: 500,
        checkEveryMs: 250,
        log,
      }),
  },
  {
    name: 'reload',
    full: (log) => reloadDrill({ seconds: 60, perSecond: 400, connections: 64, webSockets: 200, log }),
    short: (log) => reloadDrill({ seconds: 6, perSecond: 200, connections: 32, webSockets: 200, log }),
  },
  {
    name: 'worker',
    full: (log) => workerKillDrill({ kills: 6, everyMs: 2000, perSecond: 800, connections: 64, webSockets: 40, log }),
    short: (log) => workerKillDrill({ kills: 2, everyMs: 400, perSecond: 300, connections: 40, webSockets: 20, log }),
  },
  {
    name: 'stop',
    full: (log) => stopDrill({ perSecond: 500, connections: 128, longestMs: 3000, rounds: 3, log }),
    short: (log) => stopDrill({ perSecond: 300, connections: 96, longestMs: 800, rounds: 1, log }),
  },
]

function page(reports: readonly DrillReport[]): string {
  const { cpu, cores, kernel, date, commit } = describeMachine({})
  const sections = reports.map(({ name, claim, rows, failures }) => {
    const lines = rows.map(({ what, seen }) => `| ${what} | ${seen.replaceAll('|', '\\|')} |`)
    const verdict = failures.length === 0 ? 'as claimed' : `**not as claimed**: ${failures.join('; ')}`
    return `## ${name[0]!.toUpperCase()}${name.slice(1)}\n\n${claim}\n\n| | seen |\n|---|---|\n${lines.join('\n')}\n| verdict | ${verdict} |\n`
  })
  return `# Drills

Things that go wrong in operation, acted out against \`evenkeel start\` with two workers, health checks on and three servers, each a
process of its own, on ${date}: ${cpu}, ${cores} cores (shared with the clients and the servers), Linux ${kernel}, Node ${process.version}, commit ${commit}.
Made by \`npm run drills\`; what exactly is done stands in \`scripts/drills/\`.

Clients send in an open loop on kept-alive connections, never repeat a request, and compare every answer byte by byte with the
one that belongs to it. Latencies count from when a request was due.

${sections.join('\n')}`
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { short: { type: 'boolean', default: false }, only: { type: 'string' } },
  })
  const chosen = DRILLS.filter(({ name }) => values.only === undefined || values.only === name)
  if (chosen.length === 0) {
    throw new UsageError(`--only takes one of ${DRILLS.map(({ name }) => name).join(', ')}`)
  }
  const reports: DrillReport[] = []
  for (const { name, full, short } of chosen) {
    const log: Log = (line) => console.log(`${name}: ${line}`)
    reports.push(await (values.short ? short(log) : full(log)))
  }
  console.log(`\n${tableOf(reports)}`)
  if (!values.short && chosen.length === DRILLS.length) {
    writeFileSync(join(root, 'docs/evidence/drills.md'), page(reports))
    console.log('\nwritten: docs/evidence/drills.md')
  }
  return reports.every(({ failures }) => failures.length === 0) ? 0 : 1
}

if (import.meta.main) await runMain(main)
