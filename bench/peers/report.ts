/** From samples to tables: on the terminal, in docs/evidence/peers.md, in README.md, and as JSON. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism, release, totalmem } from 'node:os'
import { coresFor, type IdleSample, type LoadSample, type Samples } from './measure.ts'
import type { IdleRow, LoadRow, Row } from './rows.ts'
import { type Spread, spreadOf } from './statistics.ts'

export type RowResult =
  | { readonly row: LoadRow; readonly samples: Samples<LoadSample> }
  | { readonly row: IdleRow; readonly samples: Samples<IdleSample> }

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly kernel: string
  readonly date: string
  readonly commit: string
  readonly versions: Readonly<Record<string, string>>
}

export interface RunOptions {
  readonly rounds: number
  readonly seconds: number
  readonly command: string
}

/** The program whose cost is compared, and those it is compared with. */
const OURS = 'evenkeel'
const THEIRS: readonly string[] = ['nginx', 'haproxy']
/** As they write themselves. */
const TITLES: Readonly<Record<string, string>> = { haproxy: 'HAProxy', evenkeel: 'Evenkeel' }

export function describeMachine(versions: Readonly<Record<string, string>>): Machine {
  const cpu = /^model name\s*:\s*(.+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown CPU'
  return {
    cpu,
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release().split('.', 2).join('.'),
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    versions,
  }
}

function commit(): string {
  try {
    const args = ['--no-optional-locks', 'describe', '--always', '--dirty', '--exclude', '*']
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return 'unknown'
  }
}

interface Cell {
  readonly name: string
  /** CPU µs per request, or KiB per connection. */
  readonly cost: Spread
}

function cellsOf(result: RowResult): Cell[] {
  return result.row.kind === 'load'
    ? [...(result as { samples: Samples<LoadSample> }).samples].map(([name, samples]) => ({
        name,
        cost: spreadOf(samples.map((sample) => sample.cpuMicrosPerRequest)),
      }))
    : [...(result as { samples: Samples<IdleSample> }).samples].map(([name, samples]) => ({
        name,
        cost: spreadOf(samples.map((sample) => sample.pssKibPerConnection)),
      }))
}

/**
 * Our cost to that of the better of the others, round by round: rounds of one number lie seconds apart, so what drifts
 * on the machine drifts for both. Null when one side was not measured.
 */
export function ratioOf(result: RowResult): { readonly to: string; readonly ratio: Spread } | null {
  if (result.row.kind !== 'load') return null
  const { samples } = result as { samples: Samples<LoadSample> }
  const ours = samples.get(OURS)
  const others = cellsOf(result).filter(({ name }) => THEIRS.includes(name))
  if (ours === undefined || others.length === 0) return null
  const better = others.reduce((best, cell) => (cell.cost.median < best.cost.median ? cell : best))
  return { to: better.name, ratio: pairedRatio(ours, samples.get(better.name)!) }
}

function pairedRatio(of: readonly LoadSample[], to: readonly LoadSample[]): Spread {
  return spreadOf(of.map((sample, round) => sample.cpuMicrosPerRequest / to[round]!.cpuMicrosPerRequest))
}

/** Of twins: the second to the first. What it strays from 1 is noise. */
function noiseOf(result: RowResult): { readonly name: string; readonly ratio: Spread }[] {
  if (result.row.kind !== 'load' || result.row.isTwin !== true) return []
  const { samples } = result as { samples: Samples<LoadSample> }
  return [...samples.keys()]
    .filter((name) => samples.has(`${name} again`))
    .map((name) => ({ name, ratio: pairedRatio(samples.get(`${name} again`)!, samples.get(name)!) }))
}

/** The table that README.md shows. */
export function summaryTable(results: readonly RowResult[], machine: Machine): string {
  const names = [...THEIRS, OURS].filter((name) => machine.versions[name] !== undefined)
  const head = [
    'CPU per request, µs',
    ...names.map((name) => `${titleOf(name)} ${machine.versions[name]!.split(' ')[0]}`),
  ]
  const lines = [row([...head, 'ratio to the better', 'goal']), row(head.map(() => '---').concat('---', '---'))]
  for (const result of results) {
    if (result.row.kind === 'load' && result.row.isTwin === true) continue
    const cells = cellsOf(result)
    const unit = result.row.kind === 'idle' ? ' KiB' : ''
    const costs = names.map((name) => {
      const cell = cells.find((candidate) => candidate.name === name)
      return cell === undefined ? '' : `${spread(cell.cost)}${unit}`
    })
    const ratio = ratioOf(result)
    const goal =
      result.row.goal === undefined
        ? ''
        : result.row.kind === 'idle'
          ? `≤ ${result.row.goal} KiB`
          : `≤ ${result.row.goal}`
    const shownRatio = ratio === null ? '' : `**${ratio.ratio.median.toFixed(2)}** (${titleOf(ratio.to)})`
    lines.push(row([result.row.title, ...costs, shownRatio, goal]))
  }
  for (const result of results) {
    const noise = noiseOf(result)
    if (noise.length === 0) continue
    const cells = names.map((name) => {
      const found = noise.find((candidate) => candidate.name === name)
      return found === undefined ? '' : `×${found.ratio.median.toFixed(3)}`
    })
    lines.push(row([`noise (the same program twice, first row)`, ...cells, '', '']))
  }
  return lines.join('\n')
}

/** What stands under the table wherever it is shown. */
export function provenance(machine: Machine, run: RunOptions): string {
  return (
    `Median of ${run.rounds} alternating rounds of ${run.seconds} s (quartiles in brackets), ${machine.date}, ` +
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, commit ${machine.commit}. ` +
    `Made by \`${run.command}\`.`
  )
}

/** docs/evidence/peers.md */
export function evidencePage(results: readonly RowResult[], machine: Machine, run: RunOptions): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${titleOf(name)} ${version}`)
  const ratios = results.flatMap((result) => {
    const found = ratioOf(result)
    if (found === null || (result.row.kind === 'load' && result.row.isTwin === true)) return []
    const { to, ratio } = found
    return [
      row([result.row.title, titleOf(to), ratio.median.toFixed(3), ratio.lower.toFixed(3), ratio.upper.toFixed(3)]),
    ]
  })
  const noise = results.flatMap(noiseOf)
  const details = results.flatMap((result) => {
    if (result.row.kind !== 'load') return []
    const { samples } = result as { samples: Samples<LoadSample> }
    return [...samples].map(([name, list]) =>
      row([
        result.row.title,
        titleOf(name),
        spread(spreadOf(list.map((sample) => sample.cpuMicrosPerRequest))),
        String(Math.round(spreadOf(list.map((sample) => sample.requestsPerSecond)).median)),
        spreadOf(list.map((sample) => sample.p50Ms)).median.toFixed(2),
        spreadOf(list.map((sample) => sample.p99Ms)).median.toFixed(2),
        String(list.reduce((sum, sample) => sum + sample.errors, 0)),
      ]),
    )
  })
  const idle = results.flatMap((result) => {
    if (result.row.kind !== 'idle') return []
    const { samples } = result as { samples: Samples<IdleSample> }
    return [...samples].map(([name, list]) =>
      row([
        titleOf(name),
        spread(spreadOf(list.map((sample) => sample.pssKibPerConnection))),
        spread(spreadOf(list.map((sample) => sample.rssKibPerConnection))),
      ]),
    )
  })
  const cores = [...new Set(results.map(({ row: { workers } }) => `${workers} worker(s): ${coresFor(workers).note}`))]

  return `# Beside nginx and HAProxy

${provenance(machine, run)}

${summaryTable(results, machine)}

## What was measured

- Machine: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}. Programs: ${versions.join(', ')}.
- Placement: ${cores.join('; ')}. Everything on loopback.
- Load: wrk, closed loop (each connection asks again when it was answered; latencies are those of a saturated balancer
  and say nothing about an idle one). Origins: one nginx process, three servers on three ports, answers of about
  100 bytes from memory, larger ones from memory-backed files.
- CPU per request: nanoseconds that the kernel says all threads of all processes of the program were running
  (\`/proc/PID/task/*/schedstat\`), by the requests that wrk counted. For Evenkeel that is the whole process: workers, control,
  service thread, compiler and garbage collector.
- The same features are on in all of them: least-loaded choice among three endpoints, kept-alive upstream connections,
  Host kept, X-Forwarded-For, -Proto and -Host, Via, an X-Request-ID made for each request. Access logs are off, active
  health checks are off. The configurations stand in \`bench/peers/balancers.ts\`.
- Rounds alternate between the programs and the order rotates. Ratios are taken round by round and their median is shown,
  so a drift of the machine cancels. The noise row runs each program twice under the first row's load.
- Memory: growth of the program's proportional set size per idle connection, each of which was answered once: slope of the
  least-squares line through readings at a quarter to all of ${idleConnections(results)} connections; a fresh process for each round.
  What the kernel holds for a socket is in none of the figures.

## Ratios to the better of nginx and HAProxy

${row(['row', 'better', 'median', 'lower quartile', 'upper quartile'])}
${row(['---', '---', '---', '---', '---'])}
${ratios.join('\n')}

${noise.length === 0 ? '' : `Noise, second twin to first: ${noise.map(({ name, ratio }) => `${titleOf(name)} ${ratio.median.toFixed(3)} (${ratio.lower.toFixed(3)} to ${ratio.upper.toFixed(3)})`).join(', ')}.\n`}
## Every row

${row(['row', 'program', 'CPU µs per request', 'requests/s', 'p50 ms', 'p99 ms', 'errors'])}
${row(['---', '---', '---', '---', '---', '---', '---'])}
${details.join('\n')}

## Idle connections

${row(['program', 'KiB per connection (PSS)', 'KiB per connection (RSS)'])}
${row(['---', '---', '---'])}
${idle.join('\n')}
`
}

/** `haproxy again` → `HAProxy again`. */
function titleOf(name: string): string {
  const [first = '', ...rest] = name.split(' ')
  return [TITLES[first] ?? first, ...rest].join(' ')
}

function idleConnections(results: readonly RowResult[]): number {
  return results.find(({ row: { kind } }) => kind === 'idle')?.row.connections ?? 0
}

const BEGIN = '<!-- bench:peers -->'
const END = '<!-- /bench:peers -->'

/** The text with what stands between the markers replaced, or null when it has no markers. */
export function replaceBetweenMarkers(text: string, table: string): string | null {
  const from = text.indexOf(BEGIN)
  const to = text.indexOf(END)
  if (from < 0 || to < from) return null
  return `${text.slice(0, from + BEGIN.length)}\n${table}\n${text.slice(to)}`
}

/** Everything measured, for other programs. */
export function asJson(results: readonly RowResult[], machine: Machine, run: RunOptions): string {
  const rows = results.map((result) => ({
    row: result.row,
    ratio: ratioOf(result),
    samples: Object.fromEntries(result.samples as ReadonlyMap<string, unknown>),
  }))
  return `${JSON.stringify({ machine, run, rows }, null, 2)}\n`
}

/** Reads a file, or '' where there is none. */
export function readIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

export function knownRow(rows: readonly Row[], name: string): Row {
  const found = rows.find((candidate) => candidate.name === name)
  if (found === undefined) throw new Error(`no row ${name}; there are ${rows.map((one) => one.name).join(', ')}`)
  return found
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}

function spread({ median, lower, upper }: Spread): string {
  const digits = median >= 1000 ? 0 : median >= 100 ? 1 : 2
  return `${median.toFixed(digits)} (${lower.toFixed(digits)}–${upper.toFixed(digits)})`
}
