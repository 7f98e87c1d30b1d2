import type { KeySpec } from './keys.ts'
import type { Scenario } from './scenario.ts'

/** Requests taken from a log; later ones are left out. */
const REQUESTS_MAX = 5_000_000
/** Paths told apart; further ones share a key. */
const PATHS_MAX = 1_000_000

interface Row {
  readonly atMs: number
  readonly workMs: number
  readonly key: number
}

/** The fleet that a log is played to. */
export interface TraceFleet {
  readonly endpoints: number
  readonly slots: number
  readonly balancers: number
}

/**
 * Arrivals, work and keys out of an access log of Evenkeel's, line by line (docs/reference/access-log.md).
 *
 * Work is `first_byte_ms` without `connect_ms`: what the endpoint took, its own waiting included, so a log of a busy fleet makes the
 * work look larger than it is. The key is the path. Lines that are none of the log's, and requests that no endpoint answered, are skipped.
 */
export class AccessLogTrace {
  /** Lines without a request to play. */
  skipped = 0
  /** Requests beyond `REQUESTS_MAX`. */
  leftOut = 0
  readonly #rows: Row[] = []
  readonly #keys = new Map<string, number>()

  get size(): number {
    return this.#rows.length
  }

  add(line: string): void {
    if (line.trim() === '') return
    const row = this.#read(line)
    if (row === null) this.skipped++
    else if (this.#rows.length >= REQUESTS_MAX) this.leftOut++
    else this.#rows.push(row)
  }

  /** The log as a scenario. Only with at least two requests. */
  scenario(fleet: TraceFleet): Scenario {
    // Workers write in turns: the lines of a log are in order only roughly.
    const rows = this.#rows.toSorted((a, b) => a.atMs - b.atMs)
    const first = rows[0]!.atMs
    const atMs = Float64Array.from(rows, (row) => row.atMs - first)
    const keys: KeySpec = {
      count: Math.max(1, this.#keys.size),
      distribution: 'replayed',
      order: Int32Array.from(rows, ({ key }) => key),
    }
    return {
      name: 'trace',
      summary: `${rows.length} requests of an access log, ${fleet.endpoints} equal endpoints of ${fleet.slots} slots.`,
      groups: [{ name: 'server', count: fleet.endpoints, slots: fleet.slots }],
      balancers: fleet.balancers,
      arrivals: { kind: 'trace', atMs },
      service: { kind: 'replayed', valuesMs: Float64Array.from(rows, ({ workMs }) => workMs) },
      keys,
      // Just above the last arrival, so that it counts.
      durationMs: Math.max(1, atMs.at(-1)!) * (1 + 1e-9) + 1,
    }
  }

  #read(line: string): Row | null {
    let entry: unknown
    try {
      entry = JSON.parse(line)
    } catch {
      return null
    }
    if (typeof entry !== 'object' || entry === null) return null
    const { time, path, first_byte_ms: firstByteMs, connect_ms: connectMs } = entry as Record<string, unknown>
    const atMs = typeof time === 'string' ? Date.parse(time) : Number.NaN
    if (Number.isNaN(atMs) || typeof firstByteMs !== 'number') return null
    const workMs = firstByteMs - (typeof connectMs === 'number' ? connectMs : 0)
    return { atMs, workMs: Math.max(0, workMs), key: this.#keyOf(typeof path === 'string' ? path : '') }
  }

  #keyOf(path: string): number {
    const known = this.#keys.get(path)
    if (known !== undefined) return known
    if (this.#keys.size >= PATHS_MAX) return 0
    this.#keys.set(path, this.#keys.size)
    return this.#keys.size - 1
  }
}
