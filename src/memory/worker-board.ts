import { Ledger } from './ledger.ts'
import type { MemorySizes, SharedMemory } from './shared-memory.ts'

/** What a worker is doing. */
export const WorkerState = { ABSENT: 0, STARTING: 1, RUNNING: 2, DRAINING: 3, REPLACING: 4 } as const

/** Int32 per worker: a cache line of its own. */
const STRIDE = 16
const STATE = 0
const ACKNOWLEDGED = 1
const TICKS = 2

/** What the workers say of themselves: state, acknowledged plan version, heartbeat, counters; and the listeners' connections. */
export class WorkerBoard {
  /** Open connections by listener slot. Exact. */
  readonly listenerConnections: Ledger
  readonly #words: Int32Array
  readonly #counters: SharedArrayBuffer
  readonly #width: number
  readonly #stride: number
  readonly #workers: number

  constructor(memory: SharedMemory) {
    const { workers, listeners, workerCounters } = memory.sizes
    this.#words = new Int32Array(memory.board)
    this.#counters = memory.workerCounters
    this.#width = workerCounters
    this.#stride = counterStride(workerCounters)
    this.#workers = workers
    this.listenerConnections = new Ledger(memory.listenerConnections, 0, listeners, workers)
  }

  /** The worker has applied everything up to this version. */
  acknowledge(worker: number, version: number): void {
    Atomics.store(this.#words, worker * STRIDE + ACKNOWLEDGED, version)
  }

  /** The version that a worker acknowledged last; 0 before the first. */
  acknowledged(worker: number): number {
    return Atomics.load(this.#words, worker * STRIDE + ACKNOWLEDGED)
  }

  /** A sign of life. */
  tick(worker: number): void {
    Atomics.add(this.#words, worker * STRIDE + TICKS, 1)
  }

  /** Signs of life so far; compare with an earlier reading. */
  ticks(worker: number): number {
    return Atomics.load(this.#words, worker * STRIDE + TICKS)
  }

  /** One of `WorkerState`. */
  setState(worker: number, state: number): void {
    Atomics.store(this.#words, worker * STRIDE + STATE, state)
  }

  /** One of `WorkerState`. */
  state(worker: number): number {
    return Atomics.load(this.#words, worker * STRIDE + STATE)
  }

  /** A worker's own counters, written by plain adds in that worker alone; they go on where a predecessor of the same index stopped. */
  counters(worker: number): Float64Array {
    return new Float64Array(this.#counters, worker * this.#stride * 8, this.#width)
  }

  /** One counter over all workers. Approximate only in that adds of this very moment may be missed. */
  counterTotal(index: number): number {
    const cells = new Float64Array(this.#counters)
    let total = 0
    for (let worker = 0; worker < this.#workers; worker++) total += cells[worker * this.#stride + index]!
    return total
  }
}

/** Bytes of the state words. */
export function boardBytes({ workers }: MemorySizes): number {
  return workers * STRIDE * 4
}

/** Bytes of the counters of all workers. */
export function counterBytes({ workers, workerCounters }: MemorySizes): number {
  return workers * counterStride(workerCounters) * 8
}

/** Float64 from one worker's row to the next: whole cache lines. */
function counterStride(width: number): number {
  return Math.ceil(width / 8) * 8
}
