import type { SignalColumn, SignalTable } from '../core/balance/picker.ts'
import { fnv1a } from '../core/hash/fnv1a.ts'
import { murmur3 } from '../core/hash/murmur3.ts'
import type { MemorySizes, SharedMemory } from './shared-memory.ts'

/** Signals that always have a column. */
export const SIGNAL_NAMES = [
  'cpu',
  'memory',
  'utilization',
  'rps',
  'eps',
  'capacity',
  'reliability',
  'proximity',
] as const

/** Further ones, by whatever names the pickers of all pools ask for. */
export const MORE_SIGNALS = 8

const COLUMNS = SIGNAL_NAMES.length + MORE_SIGNALS
/** One Int64 per further name. */
const NAME_BYTES = MORE_SIGNALS * 8

/**
 * What endpoints report of themselves, by name and slot. Written by workers (load reports in answers) and by control (health
 * answers, the admin API), read by the pickers of all workers. Approximate: of two reports at the same moment either may
 * stay, value and time are two plain writes, value first. Times are by `sharedNowMs`.
 *
 * A further name is known by its hash, claimed by the first picker that asks for it and never given back: names come from
 * configs, so there are as many as somebody wrote. Where no place is left the name's column is one in which nothing is ever
 * heard.
 */
export class SharedSignals implements SignalTable {
  readonly #names: BigInt64Array
  readonly #columns: readonly SignalColumn[]
  readonly #endpoints: number

  constructor(memory: SharedMemory) {
    const { endpoints } = memory.sizes
    this.#endpoints = endpoints
    this.#names = new BigInt64Array(memory.signals, 0, MORE_SIGNALS)
    const column = (index: number): Float64Array =>
      new Float64Array(memory.signals, NAME_BYTES + index * endpoints * 8, endpoints)
    this.#columns = Array.from({ length: COLUMNS }, (_, index) => ({
      values: column(2 * index),
      atMs: column(2 * index + 1),
    }))
  }

  /** For who reads: a name that is not known yet becomes known. */
  column(name: string): SignalColumn {
    const known = this.find(name)
    if (known !== null) return known
    const key = keyOf(name)
    for (let index = 0; index < MORE_SIGNALS; index++) {
      const before = Atomics.compareExchange(this.#names, index, 0n, key)
      if (before === 0n || before === key) return this.#columns[SIGNAL_NAMES.length + index]!
    }
    return { values: new Float64Array(this.#endpoints), atMs: new Float64Array(this.#endpoints) }
  }

  /** For who writes: null for a name that no picker asks for. */
  find(name: string): SignalColumn | null {
    const fixed = (SIGNAL_NAMES as readonly string[]).indexOf(name)
    if (fixed >= 0) return this.#columns[fixed]!
    const key = keyOf(name)
    for (let index = 0; index < MORE_SIGNALS; index++) {
      const known = Atomics.load(this.#names, index)
      if (known === key) return this.#columns[SIGNAL_NAMES.length + index]!
      if (known === 0n) break
    }
    return null
  }

  /** Notes a value; false when the name is not known. The caller sees to it that the slot is still whom it means. */
  report(name: string, slot: number, value: number, atMs: number): boolean {
    const column = this.find(name)
    if (column === null) return false
    column.values[slot] = value
    column.atMs[slot] = atMs
    return true
  }

  /** The slot gets another owner, of whom nothing was heard. */
  clear(slot: number): void {
    for (const { values, atMs } of this.#columns) {
      // Memory that was never written is not paid for.
      if (atMs[slot] === 0) continue
      atMs[slot] = 0
      values[slot] = 0
    }
  }
}

/** Bytes of all signals. */
export function signalBytes({ endpoints }: MemorySizes): number {
  return NAME_BYTES + COLUMNS * 2 * endpoints * 8
}

/** 64 bits of two functions, never 0. */
function keyOf(name: string): bigint {
  return BigInt.asIntN(64, (BigInt(murmur3.ofString(name)) << 32n) | BigInt(fnv1a.ofString(name))) || 1n
}
