import { Ledger, ledgerBytes } from './ledger.ts'
import type { MemorySizes, SharedMemory } from './shared-memory.ts'
import { SharedSignals } from './signals.ts'

/** Why an endpoint gets no new work; an endpoint whose word is 0 is fit. */
export const Fitness = {
  /** The active health check says so. */
  UNHEALTHY: 1,
  /** By hand: finish what runs, nothing new. */
  DRAINING: 2,
  /** By hand: out of service. */
  MAINTENANCE: 4,
  /** Connecting failed several times in a row. */
  PASSIVE: 8,
  /** Left the plan: the slot waits to be freed, or is free. */
  RETIRED: 16,
} as const

/** Upper bounds of the latency buckets in milliseconds; a twelfth bucket holds what is slower than the last. */
export const LATENCY_BOUNDS_MS: readonly number[] = [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1000, 5000]

/** Samples after which an answer counts half in the latency average. */
export const EWMA_HALF_LIFE_SAMPLES = 16
const EWMA_DECAY = 2 ** (-1 / EWMA_HALF_LIFE_SAMPLES)

const BUCKETS = 12

/** A record: what one worker has seen of one endpoint. Float64 each, three cache lines, approximate only in the last two. */
const Field = {
  FAILURES: 0,
  RETRIES: 1,
  /** 1xx to 5xx; what is outside counts as the nearest. */
  STATUSES: 2,
  BYTES_RECEIVED: 7,
  BYTES_SENT: 8,
  LATENCY_SUM: 9,
  BUCKETS: 10,
  /** Decayed sum of latencies, and decayed number of samples: their quotient is the average, unbiased from the first sample. */
  EWMA_SUM: 22,
  EWMA_MASS: 23,
} as const
const RECORD = 24

/** What the last completed check said. */
export const Checked = { UNKNOWN: 0, HEALTHY: 1, UNHEALTHY: 2 } as const

/** Everything known of one endpoint, summed over workers. */
export interface EndpointSnapshot {
  readonly slot: number
  readonly generation: number
  /** Bits of `Fitness`. */
  readonly fitness: number
  /** One of `Checked`. */
  readonly checked: number
  readonly weight: number
  readonly maxConnections: number
  /** Attempts that ended: answers and failures. */
  readonly requests: number
  /** Attempts that ended without a whole answer. */
  readonly failures: number
  /** Attempts that were repetitions of one that failed before. */
  readonly retries: number
  /** Answers by class, 1xx first. */
  readonly statuses: readonly number[]
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly inFlight: number
  readonly connections: number
  /** Consecutive. */
  readonly connectFailures: number
  /** Average latency of the latest answers, null before the first. */
  readonly ewmaMs: number | null
  /** Answers by latency: one count per bucket of `LATENCY_BOUNDS_MS` and one for the rest; not cumulative. */
  readonly buckets: readonly number[]
  /** Sum of all latencies. */
  readonly sumMs: number
}

/**
 * What all threads know of the endpoints, by slot.
 *
 * A slot has a generation: odd while in use, even while free. Whoever works with a slot says which generation it means, and
 * a stale one is a no-op. The life of a slot:
 *
 * 1. `allocate`: counts zeroed, generation made odd, fitness 0.
 * 2. in use: workers acquire and release.
 * 3. `retire`: sets RETIRED. From here on no `acquire` and no `openConnection` succeeds; what is held is released as before.
 *    Control calls it once every worker has acknowledged a plan without the endpoint, so that nobody is refused for it.
 * 4. `tryFree`: when totals and rows are zero the generation is made even, and the slot may be allocated again.
 *
 * Nothing slips between 3 and 4: a worker first counts itself in and then looks at RETIRED and the generation, control first
 * sets RETIRED and then looks at the counts. With sequentially consistent Atomics at least one of them sees the other.
 * While a worker holds a count its generation cannot change: so call `record` and the like before `release`.
 */
export class EndpointTable {
  /** Bits of `Fitness`. Exact: changed by Atomics.or and Atomics.and only. */
  readonly fitness: Int32Array
  /** One of `Checked`. Written by control alone. */
  readonly checked: Int32Array
  /** Written by control alone. */
  readonly generation: Int32Array
  /** Live weight, >= 0. Written by control alone; workers rebuild what they derived when a refresh says so. */
  readonly weight: Float64Array
  /** Connections over all workers, 0: no limit. Written by control alone. */
  readonly maxConnections: Int32Array
  /** Attempts running. Exact. */
  readonly inFlight: Ledger
  /** Connections open or opening. Exact. */
  readonly connections: Ledger
  /** Consecutive failures to connect, over all workers. Exact (Atomics), but a success elsewhere may come between. */
  readonly connectFailures: Int32Array
  /** Milliseconds since the epoch when PASSIVE was set. Approximate: workers that set it at once write nearly the same. */
  readonly passiveSince: Float64Array
  /**
   * Since when the endpoint is fit, by `sharedNowMs`; 0: since the start. Written by control alone, when an endpoint joins,
   * recovers or is made active again, for slow start.
   */
  readonly fitSince: Float64Array
  /** What endpoints say of themselves. */
  readonly signals: SharedSignals

  readonly #records: Float64Array
  readonly #endpoints: number
  readonly #workers: number
  /** No slot below is free. Control's own. */
  #lowestFree = 0

  constructor(memory: SharedMemory) {
    const { endpoints, workers } = memory.sizes
    const buffer = memory.endpointColumns
    this.#endpoints = endpoints
    this.#workers = workers
    this.weight = new Float64Array(buffer, 0, endpoints)
    this.passiveSince = new Float64Array(buffer, endpoints * 8, endpoints)
    this.fitSince = new Float64Array(buffer, endpoints * 16, endpoints)
    this.signals = new SharedSignals(memory)
    const integers = (column: number): Int32Array => new Int32Array(buffer, endpoints * (24 + column * 4), endpoints)
    this.fitness = integers(0)
    this.checked = integers(1)
    this.generation = integers(2)
    this.maxConnections = integers(3)
    this.connectFailures = integers(4)
    this.inFlight = new Ledger(memory.inFlight, 0, endpoints, workers)
    this.connections = new Ledger(memory.connections, 0, endpoints, workers)
    this.#records = new Float64Array(memory.endpointRecords)
  }

  /** Counts an attempt in. False: the slot is retired or of another generation, nothing was counted. */
  acquire(worker: number, slot: number, generation: number): boolean {
    if (this.generation[slot] !== generation) return false
    this.inFlight.add(worker, slot, 1)
    if (this.#takesWork(slot, generation)) return true
    this.inFlight.add(worker, slot, -1)
    return false
  }

  /** Counts an attempt out. */
  release(worker: number, slot: number, generation: number): void {
    if (this.generation[slot] === generation) this.inFlight.add(worker, slot, -1)
  }

  /** Counts a connection in, before it is opened. False: at the limit, retired, or of another generation. */
  openConnection(worker: number, slot: number, generation: number): boolean {
    if (this.generation[slot] !== generation) return false
    if (!this.connections.tryAdd(worker, slot, this.maxConnections[slot]!)) return false
    if (this.#takesWork(slot, generation)) return true
    this.connections.add(worker, slot, -1)
    return false
  }

  /** Counts a connection out, after it closed or failed to open. */
  closeConnection(worker: number, slot: number, generation: number): void {
    if (this.generation[slot] === generation) this.connections.add(worker, slot, -1)
  }

  /**
   * An attempt ended with an answer. Exactly one of `record` and `recordFailure` per attempt, before its `release`. Allocates
   * nothing, but `ms` had better be a whole number: V8 boxes a fraction for a call that it does not inline.
   */
  record(
    worker: number,
    slot: number,
    generation: number,
    status: number,
    ms: number,
    bytesReceived: number,
    bytesSent: number,
  ): void {
    if (this.generation[slot] !== generation) return
    const records = this.#records
    const base = this.#recordAt(worker, slot)
    const statusClass = status < 200 ? 0 : status < 300 ? 1 : status < 400 ? 2 : status < 500 ? 3 : 4
    // A clock that went backwards must not poison the sums for good.
    const latency = ms > 0 ? ms : 0
    let bucket = 0
    while (bucket < BUCKETS - 1 && latency > LATENCY_BOUNDS_MS[bucket]!) bucket++
    add(records, base + Field.STATUSES + statusClass, 1)
    add(records, base + Field.BYTES_RECEIVED, bytesReceived)
    add(records, base + Field.BYTES_SENT, bytesSent)
    add(records, base + Field.LATENCY_SUM, latency)
    add(records, base + Field.BUCKETS + bucket, 1)
    records[base + Field.EWMA_SUM] = records[base + Field.EWMA_SUM]! * EWMA_DECAY + latency
    records[base + Field.EWMA_MASS] = records[base + Field.EWMA_MASS]! * EWMA_DECAY + 1
  }

  /** An attempt ended without a whole answer. */
  recordFailure(worker: number, slot: number, generation: number): void {
    if (this.generation[slot] === generation) add(this.#records, this.#recordAt(worker, slot) + Field.FAILURES, 1)
  }

  /** This endpoint was taken for a repetition of an attempt that had failed. */
  recordRetry(worker: number, slot: number, generation: number): void {
    if (this.generation[slot] === generation) add(this.#records, this.#recordAt(worker, slot) + Field.RETRIES, 1)
  }

  /**
   * Connecting failed. At `threshold` failures in a row (0: never) the endpoint becomes PASSIVE; true when this very call
   * made it so. The count stays, so that after a hold the first failure marks it again.
   */
  connectFailed(slot: number, generation: number, threshold: number, now: number): boolean {
    if (this.generation[slot] !== generation) return false
    const failures = Atomics.add(this.connectFailures, slot, 1) + 1
    if (threshold <= 0 || failures < threshold) return false
    if ((Atomics.load(this.fitness, slot) & Fitness.PASSIVE) !== 0) return false
    // The time first: whoever sees the bit must not find the time of an earlier hold.
    this.passiveSince[slot] = now
    return (Atomics.or(this.fitness, slot, Fitness.PASSIVE) & Fitness.PASSIVE) === 0
  }

  /** Connecting succeeded: the failures in a row end. PASSIVE is control's to clear. */
  connectSucceeded(slot: number, generation: number): void {
    if (this.generation[slot] !== generation) return
    // Read first: nearly always 0, and a write would take the cache line from the other workers.
    if (this.connectFailures[slot] !== 0) Atomics.store(this.connectFailures, slot, 0)
  }

  /** Takes the lowest free slot; null when all are in use. Control only. */
  allocate(weight: number, maxConnections: number): { slot: number; generation: number } | null {
    let slot = this.#lowestFree
    while (slot < this.#endpoints && (this.generation[slot]! & 1) === 1) slot++
    this.#lowestFree = slot
    if (slot === this.#endpoints) return null
    this.#lowestFree = slot + 1
    if (this.generation[slot] !== 0) this.#clearRecords(slot)
    this.weight[slot] = weight
    this.maxConnections[slot] = maxConnections
    this.checked[slot] = Checked.UNKNOWN
    this.passiveSince[slot] = 0
    this.fitSince[slot] = 0
    this.signals.clear(slot)
    Atomics.store(this.connectFailures, slot, 0)
    const generation = Atomics.add(this.generation, slot, 1) + 1
    Atomics.store(this.fitness, slot, 0)
    return { slot, generation }
  }

  /** Ends new work at a slot; see the class for when. Control only. */
  retire(slot: number): void {
    Atomics.or(this.fitness, slot, Fitness.RETIRED)
  }

  /** Frees a retired slot once nobody holds it; true when it is free now. Control only. */
  tryFree(slot: number): boolean {
    if ((this.generation[slot]! & 1) === 0) return false
    if ((Atomics.load(this.fitness, slot) & Fitness.RETIRED) === 0) return false
    if (!this.inFlight.isZero(slot) || !this.connections.isZero(slot)) return false
    Atomics.add(this.generation, slot, 1)
    if (slot < this.#lowestFree) this.#lowestFree = slot
    return true
  }

  /** Takes a dead worker's attempts and connections out of the totals; what it recorded stays. Only after its thread has exited. */
  giveBack(worker: number): void {
    this.inFlight.giveBack(worker)
    this.connections.giveBack(worker)
  }

  /** One pass over both ledgers, see `Ledger.reconcile`; returns how many totals it corrected. */
  reconcile(): number {
    return this.inFlight.reconcile() + this.connections.reconcile()
  }

  /** Reads one slot, summed over workers. Allocates: for status, metrics and tests, not for the request path. */
  snapshot(slot: number): EndpointSnapshot {
    const sums = new Float64Array(RECORD)
    for (let worker = 0; worker < this.#workers; worker++) {
      const base = this.#recordAt(worker, slot)
      for (let field = 0; field < RECORD; field++) sums[field] = sums[field]! + this.#records[base + field]!
    }
    const statuses = Array.from(sums.subarray(Field.STATUSES, Field.STATUSES + 5))
    const failures = sums[Field.FAILURES]!
    const mass = sums[Field.EWMA_MASS]!
    return {
      slot,
      generation: this.generation[slot]!,
      fitness: Atomics.load(this.fitness, slot),
      checked: this.checked[slot]!,
      weight: this.weight[slot]!,
      maxConnections: this.maxConnections[slot]!,
      requests: statuses.reduce((sum, count) => sum + count, failures),
      failures,
      retries: sums[Field.RETRIES]!,
      statuses,
      bytesReceived: sums[Field.BYTES_RECEIVED]!,
      bytesSent: sums[Field.BYTES_SENT]!,
      inFlight: Atomics.load(this.inFlight.total, slot),
      connections: Atomics.load(this.connections.total, slot),
      connectFailures: Atomics.load(this.connectFailures, slot),
      ewmaMs: mass > 0 ? sums[Field.EWMA_SUM]! / mass : null,
      buckets: Array.from(sums.subarray(Field.BUCKETS, Field.BUCKETS + BUCKETS)),
      sumMs: sums[Field.LATENCY_SUM]!,
    }
  }

  /** Not at a slot's first use: its records are zero, and memory that was never written is not paid for. */
  #clearRecords(slot: number): void {
    for (let worker = 0; worker < this.#workers; worker++) {
      const base = this.#recordAt(worker, slot)
      this.#records.fill(0, base, base + RECORD)
    }
  }

  #takesWork(slot: number, generation: number): boolean {
    return (
      Atomics.load(this.generation, slot) === generation && (Atomics.load(this.fitness, slot) & Fitness.RETIRED) === 0
    )
  }

  #recordAt(worker: number, slot: number): number {
    return (worker * this.#endpoints + slot) * RECORD
  }
}

/** Bytes of the columns that have no row per worker: three Float64 and five Int32. */
export function endpointColumnBytes({ endpoints }: MemorySizes): number {
  return endpoints * (3 * 8 + 5 * 4)
}

/** Bytes of the records, the largest part: 192 per endpoint and worker. */
export function endpointRecordBytes({ endpoints, workers }: MemorySizes): number {
  return endpoints * workers * RECORD * 8
}

/** Bytes of one of the two ledgers. */
export function endpointLedgerBytes({ endpoints, workers }: MemorySizes): number {
  return ledgerBytes(endpoints, workers)
}

function add(records: Float64Array, index: number, amount: number): void {
  records[index] = records[index]! + amount
}
