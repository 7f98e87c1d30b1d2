/**
 * `npm run bench:peers`: what a request costs through nginx, HAProxy and Evenkeel, measured in one run.
 *
 *   npm run bench:peers                                   the whole table: about 25 minutes
 *   npm run bench:peers -- --rows small,connect           some rows
 *   npm run bench:peers -- --rounds 3 --seconds 2         quicker and less sure
 *   npm run bench:peers -- --peers nginx,evenkeel         some programs
 *   npm run bench:peers -- --short                        one row, 2 rounds of 1 s, nothing written: does the rig work?
 *
 * Writes docs/evidence/peers.md, bench/results/peers.json and the table in README.md unless `--no-write` is given or only
 * a part was measured. Needs nginx, haproxy, wrk and taskset (Debian: scripts/install-engines.sh).
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { numberOption, runMain } from '../scripts/run-main.ts'
import { BALANCERS, type Balancer, needProgram } from './peers/balancers.ts'
import { coresFor, measureIdle, measureLoad } from './peers/measure.ts'
import { benchFolder, startOrigins } from './peers/origins.ts'
import {
  asJson,
  describeMachine,
  evidencePage,
  knownRow,
  provenance,
  type RowResult,
  readIfThere,
  replaceBetweenMarkers,
  summaryTable,
} from './peers/report.ts'
import { ROWS } from './peers/rows.ts'

export interface BenchOptions {
  readonly rows: readonly string[]
  readonly peers: readonly string[]
  readonly rounds: number
  readonly seconds: number
  readonly warmSeconds: number
  readonly log: (line: string) => void
}

/** What must be installed before anything can be measured; empty when all is there. */
export function missingPrograms(peers: readonly string[]): string[] {
  const tools = [needProgram('wrk', 'wrk'), needProgram('nginx', 'nginx-light'), needProgram('taskset', 'util-linux')]
  const programs = BALANCERS.filter(({ name }) => peers.includes(name)).map((balancer) => balancer.missing())
  return [...new Set([...tools, ...programs].filter((missing) => missing !== null))]
}

/** Runs the rows; writes nothing. */
export async function runPeers(options: BenchOptions): Promise<RowResult[]> {
  const rows = options.rows.map((name) => knownRow(ROWS, name))
  const balancers = options.peers.map((name): Balancer => {
    const found = BALANCERS.find((balancer) => balancer.name === name)
    if (found === undefined) throw new Error(`no program ${name}; there are ${BALANCERS.map((b) => b.name).join(', ')}`)
    return found
  })
  const folder = mkdtempSync(join(benchFolder(), 'evenkeel-bench-'))
  // Where nginx is started as root its workers are nobody, and must read the files.
  chmodSync(folder, 0o755)
  const results: RowResult[] = []
  try {
    for (const row of rows) {
      options.log(`${row.name}: ${row.title}; ${coresFor(row.workers).note}`)
      const origins = await startOrigins(folder, coresFor(row.workers).load)
      try {
        const shared = { folder, originPorts: origins.ports, balancers, ...options }
        if (row.kind === 'load') results.push({ row, samples: await measureLoad(row, shared) })
        // Memory hardly varies between rounds: three tell as much as nine.
        else results.push({ row, samples: await measureIdle(row, { ...shared, rounds: Math.min(3, options.rounds) }) })
      } finally {
        await origins.program.stop()
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return results
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string', default: '9' },
      seconds: { type: 'string', default: '4' },
      short: { type: 'boolean', default: false },
      write: { type: 'boolean', default: true },
    },
    allowNegative: true,
  })
  const peers = values.peers?.split(',') ?? BALANCERS.map(({ name }) => name)
  const rows = values.rows?.split(',') ?? (values.short ? ['small'] : ROWS.map(({ name }) => name))
  const rounds = values.short ? 2 : numberOption('rounds', values.rounds, 1)
  const seconds = values.short ? 1 : numberOption('seconds', values.seconds, 1)

  const missing = missingPrograms(peers)
  if (missing.length > 0) {
    console.error(missing.join('\n'))
    return 1
  }

  const results = await runPeers({ rows, peers, rounds, seconds, warmSeconds: values.short ? 1 : 3, log: console.log })
  const versions = Object.fromEntries(
    BALANCERS.filter(({ name }) => peers.includes(name)).map((balancer) => [balancer.name, balancer.version()]),
  )
  const machine = describeMachine(versions)
  const run = { rounds, seconds, command: 'npm run bench:peers' }
  console.log(`\n${summaryTable(results, machine)}\n\n${provenance(machine, run)}`)

  const isWhole = rows.length === ROWS.length && peers.length === BALANCERS.length
  if (!values.write || values.short || !isWhole) return 0
  const root = resolve(import.meta.dirname, '..')
  mkdirSync(join(root, 'bench/results'), { recursive: true })
  writeFileSync(join(root, 'bench/results/peers.json'), asJson(results, machine, run))
  writeFileSync(join(root, 'docs/evidence/peers.md'), evidencePage(results, machine, run))
  const readme = join(root, 'README.md')
  const table = `${summaryTable(results, machine)}\n\n${provenance(machine, run)}`
  const replaced = replaceBetweenMarkers(readIfThere(readme), table)
  if (replaced === null)
    console.log('README.md has no <!-- bench:peers --> … <!-- /bench:peers --> to put the table in')
  else writeFileSync(readme, replaced)
  return 0
}

if (import.meta.main) await runMain(main)
