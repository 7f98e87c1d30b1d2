/** Rates, shares and quantiles over the last seconds, from the counters in shared memory. */
import type { EndpointSnapshot, EndpointTable } from '../../memory/endpoint-table.ts'
import { LATENCY_BOUNDS_MS } from '../../memory/endpoint-table.ts'
import type { WorkerBoard } from '../../memory/worker-board.ts'
import { Counter } from '../../observe/counters.ts'
import { bucketQuantile } from '../../service/quantile.ts'

export interface EndpointReading {
  readonly fitness: number
  readonly perSecond: number
  /** Of all answers of the last 10 s, 0 to 1. */
  readonly share: number
  /** Milliseconds over the last 10 s; null without an answer. */
  readonly p50: number | null
  readonly p95: number | null
  readonly inFlight: number
}

export interface MeterReading {
  readonly endpoints: readonly EndpointReading[]
  readonly perSecond: number
  readonly p50: number | null
  readonly p95: number | null
  /** Since the start, as clients see it. */
  readonly answered: number
  readonly failed: number
  readonly retried: number
  /** Answers in each of the last seconds, the newest last; at most 60. */
  readonly history: readonly number[]
}

interface Sample {
  readonly atMs: number
  readonly answered: number
  readonly endpoints: readonly EndpointSnapshot[]
}

const RATE_MS = 2000
const WINDOW_MS = 10_000
const HISTORY_SECONDS = 60

export class Meter {
  readonly #table: EndpointTable
  readonly #board: WorkerBoard
  readonly #slots: readonly number[]
  /** The oldest first, no older than the window needs. */
  readonly #samples: Sample[] = []
  readonly #history: number[] = []
  #second: Sample | undefined

  constructor(table: EndpointTable, board: WorkerBoard, slots: readonly number[]) {
    this.#table = table
    this.#board = board
    this.#slots = slots
  }

  /** Takes a sample, several times a second. */
  sample(nowMs: number): void {
    const now: Sample = {
      atMs: nowMs,
      answered: this.#answered(),
      endpoints: this.#slots.map((slot) => this.#table.snapshot(slot)),
    }
    this.#samples.push(now)
    while (this.#samples.length > 2 && this.#samples[1]!.atMs <= nowMs - WINDOW_MS) this.#samples.shift()
    this.#second ??= now
    const elapsed = nowMs - this.#second.atMs
    if (elapsed >= 1000) {
      this.#history.push(((now.answered - this.#second.answered) * 1000) / elapsed)
      if (this.#history.length > HISTORY_SECONDS) this.#history.shift()
      this.#second = now
    }
  }

  /** What the samples say; needs at least one. */
  read(): MeterReading {
    const now = this.#samples.at(-1)!
    const first = this.#samples[0]!
    const recent = this.#samples.findLast(({ atMs }) => atMs <= now.atMs - RATE_MS) ?? first
    const seconds = Math.max(0.001, (now.atMs - recent.atMs) / 1000)
    const deltas = now.endpoints.map((snapshot, index) => differences(snapshot, first.endpoints[index]!))
    const total = deltas.reduce((sum, { requests }) => sum + requests, 0)
    const all = LATENCY_BUCKETS.map((bucket) => deltas.reduce((sum, { buckets }) => sum + buckets[bucket]!, 0))
    return {
      endpoints: now.endpoints.map((snapshot, index) => ({
        fitness: snapshot.fitness,
        perSecond: (snapshot.requests - recent.endpoints[index]!.requests) / seconds,
        share: total === 0 ? 0 : deltas[index]!.requests / total,
        p50: bucketQuantile(LATENCY_BOUNDS_MS, deltas[index]!.buckets, 0.5),
        p95: bucketQuantile(LATENCY_BOUNDS_MS, deltas[index]!.buckets, 0.95),
        inFlight: snapshot.inFlight,
      })),
      perSecond: (now.answered - recent.answered) / seconds,
      p50: bucketQuantile(LATENCY_BOUNDS_MS, all, 0.5),
      p95: bucketQuantile(LATENCY_BOUNDS_MS, all, 0.95),
      answered: now.answered,
      failed: this.#board.counterTotal(Counter.RESPONSES_5XX),
      retried: this.#board.counterTotal(Counter.RETRIES),
      history: this.#history,
    }
  }

  #answered(): number {
    let sum = 0
    for (let counter: number = Counter.RESPONSES_2XX; counter <= Counter.RESPONSES_5XX; counter++) {
      sum += this.#board.counterTotal(counter)
    }
    return sum
  }
}

const LATENCY_BUCKETS = Array.from({ length: LATENCY_BOUNDS_MS.length + 1 }, (_, bucket) => bucket)

function differences(now: EndpointSnapshot, then: EndpointSnapshot): { requests: number; buckets: readonly number[] } {
  return {
    requests: now.requests - then.requests,
    buckets: now.buckets.map((count, bucket) => count - then.buckets[bucket]!),
  }
}
