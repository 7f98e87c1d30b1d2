import type { SignalColumn, SignalTable } from '../../core/balance/picker.ts'
import type { Fleet } from './fleet.ts'

/** What one endpoint did since the last report. */
interface Reading {
  readonly slot: number
  /** 0 to 1: its own work and what the antagonist takes. */
  readonly cpu: number
  /** 0 to 1: a base, and what requests hold. */
  readonly memory: number
  readonly perSecond: number
  readonly failuresPerSecond: number
  readonly latencyMs: number
  /** Answers that were good, 0 to 1. */
  readonly reliability: number
}

const MEMORY_BASE = 0.2
/** Requests per slot that fill the memory. */
const MEMORY_REQUESTS = 32

/** By name, letters alone: what the documents' scores, and ORCA's reports, call them. */
const READINGS: Readonly<Record<string, (reading: Reading, fleet: Fleet) => number>> = {
  cpu: ({ cpu }) => cpu,
  cpuutilization: ({ cpu }) => cpu,
  applicationutilization: ({ cpu }) => cpu,
  utilization: ({ cpu }) => cpu,
  load: ({ cpu }) => cpu,
  memory: ({ memory }) => memory,
  memutilization: ({ memory }) => memory,
  rps: ({ perSecond }) => perSecond,
  rpsfractional: ({ perSecond }) => perSecond,
  qps: ({ perSecond }) => perSecond,
  eps: ({ failuresPerSecond }) => failuresPerSecond,
  latency: ({ latencyMs }) => latencyMs,
  reliability: ({ reliability }) => reliability,
  totalcapacity: ({ slot }, fleet) => fleet.slots[slot]! * fleet.speed[slot]!,
  availablecapacity: ({ slot, cpu }, fleet) => fleet.slots[slot]! * fleet.speed[slot]! * (1 - cpu),
  connections: ({ slot }, fleet) => fleet.load(slot),
  inflight: ({ slot }, fleet) => fleet.load(slot),
  proximity: () => 1,
  lag: () => 0,
}

interface Filled {
  readonly column: SignalColumn
  readonly values: Float64Array
  readonly atMs: Float64Array
  readonly read: (reading: Reading, fleet: Fleet) => number
}

/**
 * What endpoints report of themselves, every `reportMs`, heard by all balancers at once. Only names that a picker asks for cost
 * anything; one that nobody reports stays unheard.
 */
export class Reports implements SignalTable {
  readonly #fleet: Fleet
  readonly #columns = new Map<string, SignalColumn>()
  readonly #filled: Filled[] = []
  readonly #busyMs: Float64Array
  readonly #answers: Float64Array
  readonly #failed: Float64Array
  readonly #responseMs: Float64Array
  #sinceMs = 0

  constructor(fleet: Fleet) {
    this.#fleet = fleet
    this.#busyMs = new Float64Array(fleet.size)
    this.#answers = new Float64Array(fleet.size)
    this.#failed = new Float64Array(fleet.size)
    this.#responseMs = new Float64Array(fleet.size)
  }

  /** Somebody listens. */
  get isWanted(): boolean {
    return this.#filled.length > 0
  }

  column(name: string): SignalColumn {
    const known = this.#columns.get(name)
    if (known !== undefined) return known
    const { size } = this.#fleet
    const values = new Float64Array(size)
    const atMs = new Float64Array(size)
    const column = { values, atMs }
    this.#columns.set(name, column)
    const letters = name.toLowerCase().replace(/[^a-z]/g, '')
    const read = Object.hasOwn(READINGS, letters) ? READINGS[letters] : undefined
    if (read !== undefined) this.#filled.push({ column, values, atMs, read })
    return column
  }

  /** A round of reports. `clockMs`: the time as pickers are told it. */
  report(now: number, clockMs: number): void {
    const fleet = this.#fleet
    const elapsed = now - this.#sinceMs
    if (elapsed <= 0) return
    for (let slot = 0; slot < fleet.size; slot++) {
      // A crashed or silent one reports nothing.
      if (!fleet.isAnswering(slot)) continue
      fleet.settle(slot, now)
      const busy = Math.min(1, (fleet.busyMs[slot]! - this.#busyMs[slot]!) / (elapsed * fleet.slots[slot]!))
      const answers = fleet.answers[slot]! - this.#answers[slot]!
      const failed = fleet.failed[slot]! - this.#failed[slot]!
      const good = answers - failed
      const reading: Reading = {
        slot,
        cpu: 1 - (1 - busy) * fleet.antagonistSpeed(slot),
        memory: Math.min(1, MEMORY_BASE + fleet.load(slot) / (fleet.slots[slot]! * MEMORY_REQUESTS)),
        perSecond: (answers * 1000) / elapsed,
        failuresPerSecond: (failed * 1000) / elapsed,
        latencyMs: good > 0 ? (fleet.responseMs[slot]! - this.#responseMs[slot]!) / good : 0,
        reliability: answers > 0 ? good / answers : 1,
      }
      this.#busyMs[slot] = fleet.busyMs[slot]!
      this.#answers[slot] = fleet.answers[slot]!
      this.#failed[slot] = fleet.failed[slot]!
      this.#responseMs[slot] = fleet.responseMs[slot]!
      for (const { values, atMs, read } of this.#filled) {
        values[slot] = read(reading, fleet)
        atMs[slot] = clockMs
      }
    }
    this.#sinceMs = now
  }
}
