/** One row of the table: its programs started, warmed up, and measured in alternating rounds. */
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Balancer, Running } from './balancers.ts'
import { cpuNanoseconds, type Memory, memoryOf } from './processes.ts'
import type { IdleRow, LoadRow, Row } from './rows.ts'
import { slopeOf } from './statistics.ts'
import { runWrk } from './wrk.ts'

/** Before memory is read: collectors that wait for a pause have had one. */
const IDLE_SETTLE_MS = 4000

export interface LoadSample {
  readonly round: number
  readonly cpuMicrosPerRequest: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly errors: number
}

export interface IdleSample {
  readonly round: number
  readonly pssKibPerConnection: number
  readonly rssKibPerConnection: number
}

/** `name`, or `name again` for the second of twins. */
export type Samples<Sample> = ReadonlyMap<string, Sample[]>

export interface MeasureOptions {
  readonly folder: string
  readonly originPorts: readonly number[]
  readonly balancers: readonly Balancer[]
  readonly rounds: number
  readonly seconds: number
  readonly warmSeconds: number
  readonly log: (line: string) => void
}

/** Which cores the balancer gets, and which the load and the origins. */
export function coresFor(workers: number): { readonly balancer: string; readonly load: string; readonly note: string } {
  const count = availableParallelism()
  if (count === 1) return { balancer: '0', load: '0', note: 'everything on one core' }
  if (workers === 1) return { balancer: '0', load: '1', note: 'balancer on core 0, load and origins on core 1' }
  if (count === 2) return { balancer: '0,1', load: '0,1', note: 'two cores for everything, unpinned' }
  return count === 3
    ? { balancer: '0,1', load: '2', note: 'balancer on cores 0 and 1, load and origins on core 2' }
    : { balancer: '0,1', load: '2,3', note: 'balancer on cores 0 and 1, load and origins on cores 2 and 3' }
}

export async function measureLoad(row: LoadRow, options: MeasureOptions): Promise<Samples<LoadSample>> {
  const { rounds, seconds, warmSeconds, log } = options
  const cores = coresFor(row.workers)
  const running = new Map<string, Running>()
  const samples = new Map<string, LoadSample[]>()
  try {
    for (const balancer of options.balancers) {
      for (const name of row.isTwin === true ? [balancer.name, `${balancer.name} again`] : [balancer.name]) {
        running.set(name, await startIn(balancer, name, row, options))
        samples.set(name, [])
      }
    }
    const load = (port: number, forSeconds: number): ReturnType<typeof runWrk> =>
      runWrk({
        url: `http://127.0.0.1:${port}${row.path}`,
        cores: cores.load,
        connections: row.connections,
        seconds: forSeconds,
        headers: row.headers,
      })
    for (const { port } of running.values()) await load(port, warmSeconds)

    const names = [...running.keys()]
    for (let round = 0; round < rounds; round++) {
      // Rotated: nobody is always first, or always after the same other.
      for (let turn = 0; turn < names.length; turn++) {
        const name = names[(round + turn) % names.length]!
        const { program, port } = running.get(name)!
        const before = cpuNanoseconds(program.pid)
        const result = await load(port, seconds)
        const cpuMicrosPerRequest = (cpuNanoseconds(program.pid) - before) / 1000 / result.requests
        const { requestsPerSecond, p50Ms, p99Ms, errors } = result
        samples.get(name)!.push({ round, cpuMicrosPerRequest, requestsPerSecond, p50Ms, p99Ms, errors })
        log(
          `  ${row.name} ${round + 1}/${rounds} ${name.padEnd(14)} ${cpuMicrosPerRequest.toFixed(2)} µs/request, ` +
            `${Math.round(requestsPerSecond)}/s, p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms` +
            (errors > 0 ? `, ${errors} ERRORS` : ''),
        )
      }
    }
  } finally {
    for (const { program } of running.values()) await program.stop()
  }
  return samples
}

/**
 * Memory that one more idle connection costs: the slope of the least-squares line through readings with one to four
 * quarters of the connections open. A single difference will not do: a garbage-collected heap grows by steps, and room
 * left over from a load before would hide thousands of connections.
 */
export async function measureIdle(row: IdleRow, options: MeasureOptions): Promise<Samples<IdleSample>> {
  const samples = new Map<string, IdleSample[]>(options.balancers.map(({ name }) => [name, []]))
  for (let round = 0; round < options.rounds; round++) {
    for (const balancer of options.balancers) {
      const { program, port } = await startIn(balancer, balancer.name, row, options)
      const sockets: Socket[] = []
      try {
        const readings: { readonly connections: number; readonly memory: Memory }[] = []
        for (let quarter = 1; quarter <= 4; quarter++) {
          while (sockets.length < (row.connections * quarter) / 4) {
            sockets.push(...(await Promise.all(Array.from({ length: 100 }, () => openAndAsk(port, row.path)))))
          }
          await sleep(IDLE_SETTLE_MS)
          readings.push({ connections: sockets.length, memory: memoryOf(program.pid) })
        }
        const closed = sockets.filter((socket) => socket.destroyed).length
        if (closed > 0) throw new Error(`${balancer.name} closed ${closed} of ${row.connections} idle connections`)
        const kibPerConnection = (of: (memory: Memory) => number): number =>
          slopeOf(readings.map(({ connections, memory }) => [connections, of(memory) / 1024]))
        const sample = {
          round,
          pssKibPerConnection: kibPerConnection(({ pssBytes }) => pssBytes),
          rssKibPerConnection: kibPerConnection(({ rssBytes }) => rssBytes),
        }
        samples.get(balancer.name)!.push(sample)
        options.log(
          `  ${row.name} ${round + 1}/${options.rounds} ${balancer.name.padEnd(14)} ` +
            `${sample.pssKibPerConnection.toFixed(2)} KiB/connection (PSS), ${sample.rssKibPerConnection.toFixed(2)} (RSS)`,
        )
      } finally {
        for (const socket of sockets) socket.destroy()
        await program.stop()
      }
    }
  }
  return samples
}

async function startIn(balancer: Balancer, name: string, row: Row, options: MeasureOptions): Promise<Running> {
  const folder = join(options.folder, name.replaceAll(' ', '-'))
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  return await balancer.start({
    folder,
    cores: coresFor(row.workers).balancer,
    workers: row.workers,
    originPorts: options.originPorts,
    isLargeBuffers: row.kind === 'load' && row.isLargeBuffers === true,
  })
}

/** A connection that asked once, was answered, and now stays open. */
async function openAndAsk(port: number, path: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' })
  await once(socket, 'connect')
  socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`)
  let text = ''
  while (!isWholeAnswer(text)) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    text += chunk.toString('latin1')
  }
  socket.pause()
  socket.on('error', () => socket.destroy())
  return socket
}

function isWholeAnswer(text: string): boolean {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return false
  const length = /^content-length: (\d+)/im.exec(text)?.[1]
  return length === undefined ? text.endsWith('0\r\n\r\n') : text.length >= end + 4 + Number(length)
}
