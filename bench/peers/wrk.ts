/** The load: wrk, an outside referee that shares no code with anything measured. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface Load {
  readonly url: string
  readonly cores: string
  readonly connections: number
  readonly seconds: number
  readonly headers: readonly string[]
  readonly threads?: number
}

export interface LoadResult {
  readonly requests: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Socket errors of any kind and answers that are not 2xx or 3xx. */
  readonly errors: number
}

export async function runWrk(load: Load): Promise<LoadResult> {
  const { url, cores, connections, seconds, headers, threads = 1 } = load
  const fixed = ['--latency', '--timeout', '10s', `-t${threads}`, `-c${connections}`, `-d${seconds}s`]
  const fields = headers.flatMap((header) => ['-H', header])
  const child = spawn('taskset', ['-c', cores, 'wrk', ...fixed, ...fields, url], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`wrk ended with ${code}:\n${output}`)
  return parseWrk(output)
}

/** Reads what wrk 4 prints. */
export function parseWrk(output: string): LoadResult {
  const number = (pattern: RegExp): number => Number(pattern.exec(output)?.[1] ?? Number.NaN)
  const socketErrors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output)
  const statusErrors = /Non-2xx or 3xx responses: (\d+)/.exec(output)
  const result = {
    requests: number(/(\d+) requests in/),
    requestsPerSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50Ms: durationMs(/50%\s+([\d.]+)(us|ms|s|m)\b/.exec(output)),
    p99Ms: durationMs(/99%\s+([\d.]+)(us|ms|s|m)\b/.exec(output)),
    errors: (socketErrors?.slice(1).reduce((sum, text) => sum + Number(text), 0) ?? 0) + Number(statusErrors?.[1] ?? 0),
  }
  if (Object.values(result).some(Number.isNaN)) throw new Error(`what wrk printed could not be read:\n${output}`)
  return result
}

const UNIT_MS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000, m: 60_000 }

function durationMs(match: RegExpExecArray | null): number {
  return match === null ? Number.NaN : Number(match[1]) * UNIT_MS[match[2]!]!
}
