/**
 * `npm run bench:profile`: where the time of a worker goes under one of the bench's loads.
 *
 *   npm run bench:profile                              the first row of the bench for 8 s
 *   npm run bench:profile -- --row connect --top 40
 *   npm run bench:profile -- --keep worker.cpuprofile  keeps the profile, for a browser's developer tools
 *
 * "(program)" is native code outside JavaScript, most of it the kernel's work in read and write; "(idle)" is waiting.
 */
import { chmodSync, copyFileSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { numberOption, runMain } from '../scripts/run-main.ts'
import { BALANCERS, type Running } from './peers/balancers.ts'
import { coresFor } from './peers/measure.ts'
import { benchFolder, startOrigins } from './peers/origins.ts'
import { knownRow } from './peers/report.ts'
import { ROWS } from './peers/rows.ts'
import { runWrk } from './peers/wrk.ts'
import { missingPrograms } from './peers.ts'

/** What V8 writes; times are microseconds. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly startTime: number
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

export interface SelfTime {
  readonly name: string
  readonly micros: number
}

/** Self time by function, largest first, of what was sampled at least `skipMicros` after the start. */
export function selfTimes(profile: CpuProfile, skipMicros = 0): SelfTime[] {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const micros = new Map<string, number>()
  let elapsed = 0
  profile.samples.forEach((id, index) => {
    const delta = profile.timeDeltas[index]!
    elapsed += delta
    if (elapsed < skipMicros) return
    const name = frames.get(id) ?? '(unknown)'
    micros.set(name, (micros.get(name) ?? 0) + delta)
  })
  return [...micros].map(([name, time]) => ({ name, micros: time })).sort((a, b) => b.micros - a.micros)
}

function nameOf(frame: CpuProfile['nodes'][number]['callFrame']): string {
  const name = frame.functionName === '' ? '(anonymous)' : frame.functionName
  if (frame.url === '') return name
  return `${name}  ${frame.url.replace(/^.*\/((src|dist|node_modules)\/)/, '$1')}:${frame.lineNumber + 1}`
}

function busyMicros(times: readonly SelfTime[]): number {
  return times.reduce((sum, { name, micros }) => sum + (name === '(idle)' ? 0 : micros), 0)
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      row: { type: 'string', default: 'small' },
      seconds: { type: 'string', default: '8' },
      top: { type: 'string', default: '30' },
      keep: { type: 'string' },
    },
  })
  const seconds = numberOption('seconds', values.seconds, 1)
  const top = numberOption('top', values.top, 1)
  const evenkeel = BALANCERS.find(({ name }) => name === 'evenkeel')!
  const missing = missingPrograms(['evenkeel'])
  if (missing.length > 0) {
    console.error(missing.join('\n'))
    return 1
  }
  const row = knownRow(ROWS, values.row)
  if (row.kind !== 'load') throw new Error(`${row.name} has no load to profile`)

  const warmSeconds = 3
  const cores = coresFor(row.workers)
  const folder = mkdtempSync(join(benchFolder(), 'evenkeel-profile-'))
  chmodSync(folder, 0o755)
  const profiles = join(folder, 'profiles')
  mkdirSync(profiles)
  const origins = await startOrigins(folder, cores.load)
  let running: Running | null = null
  try {
    const started = performance.now()
    running = await evenkeel.start({
      folder,
      cores: cores.balancer,
      workers: row.workers,
      originPorts: origins.ports,
      isLargeBuffers: false,
      nodeFlags: ['--cpu-prof', `--cpu-prof-dir=${profiles}`, '--cpu-prof-interval=250'],
    })
    const url = `http://127.0.0.1:${running.port}${row.path}`
    const { connections, headers } = row
    await runWrk({ url, cores: cores.load, connections, seconds: warmSeconds, headers })
    const skipMicros = (performance.now() - started) * 1000
    const load = await runWrk({ url, cores: cores.load, connections, seconds, headers })
    console.log(`${row.title}: ${Math.round(load.requestsPerSecond)} requests/s while profiled, ${load.errors} errors`)
    // Each thread writes its profile when it ends.
    await running.program.stop(30_000)
    running = null

    const files = globSync(join(profiles, '*.cpuprofile'))
    const threads = files
      .map((file) => ({ file, times: selfTimes(read(file), skipMicros) }))
      .sort((a, b) => busyMicros(b.times) - busyMicros(a.times))
    const busiest = threads[0]
    if (busiest === undefined) throw new Error('no profile was written')
    const busy = busyMicros(busiest.times)
    const others = threads.slice(1).map(({ times }) => `${(busyMicros(times) / 1000).toFixed(0)} ms`)
    console.log(`busiest thread: ${(busy / 1000).toFixed(0)} ms of work (other threads: ${others.join(', ')})\n`)
    for (const { name, micros } of busiest.times.filter((time) => time.name !== '(idle)').slice(0, top)) {
      const share = `${((micros / busy) * 100).toFixed(1)} %`
      console.log(`${share.padStart(7)}  ${(micros / load.requests).toFixed(3).padStart(7)} µs/request  ${name}`)
    }
    if (values.keep !== undefined) {
      copyFileSync(busiest.file, resolve(values.keep))
      console.log(`\nkept: ${values.keep}`)
    }
  } finally {
    await running?.program.stop()
    await origins.program.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  return 0
}

function read(file: string): CpuProfile {
  return JSON.parse(readFileSync(file, 'utf8')) as CpuProfile
}

if (import.meta.main) await runMain(main)
