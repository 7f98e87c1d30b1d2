/** What `GET /api/v1/status` answers: names from the view, numbers from shared memory. Keys are API. */
import { ERROR_CODES } from '../core/errors.ts'
import { type EndpointSnapshot, EndpointTable, Fitness, LATENCY_BOUNDS_MS } from '../memory/endpoint-table.ts'
import type { SharedMemory } from '../memory/shared-memory.ts'
import { WorkerBoard } from '../memory/worker-board.ts'
import { Counter, errorCounter } from '../observe/counters.ts'
import { STATUS_CLASSES } from '../observe/metrics.ts'
import type { BalancerView, EndpointState, EndpointValues, EndpointView, PoolView, WorkerView } from './protocol.ts'
import { bucketQuantile } from './quantile.ts'

/** Why an endpoint is not fit. */
export type UnfitReason = 'unhealthy' | 'passive' | 'draining' | 'maintenance' | 'retired'

export type StatusCounts = Readonly<Record<(typeof STATUS_CLASSES)[number], number>>

export interface StatusDocument {
  readonly product: 'evenkeel'
  readonly version: string
  readonly pid: number
  readonly state: BalancerView['state']
  readonly startedAtMs: number
  readonly uptimeMs: number
  readonly config: BalancerView['config']
  readonly totals: StatusTotals
  readonly workers: readonly WorkerStatus[]
  readonly listeners: readonly ListenerStatus[]
  readonly routes: BalancerView['routes']
  readonly pools: readonly PoolStatus[]
}

/** Over all workers, since the start. */
export interface StatusTotals {
  readonly connectionsAccepted: number
  readonly connectionsOpen: number
  readonly exchanges: number
  readonly exchangesOpen: number
  readonly tunnelsOpen: number
  /** Further attempts after one that failed, whatever the cause. */
  readonly retries: number
  readonly clientAborts: number
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly statuses: StatusCounts
  /** By code; codes that never happened are left out. */
  readonly errors: Readonly<Record<string, number>>
}

export interface WorkerStatus extends WorkerView {
  /** The plan version that it works by. */
  readonly acknowledgedVersion: number
  readonly connectionsOpen: number
  readonly exchangesOpen: number
  readonly exchanges: number
  /** Time by which its event loop was late, added up. */
  readonly lateMs: number
}

export interface ListenerStatus {
  readonly name: string
  readonly bind: string
  readonly port: number | null
  readonly connectionsOpen: number
}

export interface PoolStatus {
  readonly name: string
  readonly picker: string
  readonly fitEndpoints: number
  readonly endpoints: readonly EndpointStatus[]
}

export interface EndpointStatus {
  readonly id: string
  readonly address: string
  readonly zone: string | null
  readonly state: EndpointState
  /** Weight and state by the file. */
  readonly base: EndpointValues
  /** What of them was set by hand, and holds instead. */
  readonly overlay: Partial<EndpointValues>
  /** Every pool that has this endpoint: a drain, a weight set by hand and the health check act in all of them. */
  readonly pools: readonly string[]
  /** The pool whose health check it has; null: none. */
  readonly healthPool: string | null
  /** False: gets no new requests, and `unfit` says why. A fit endpoint of weight 0 gets none either. */
  readonly fit: boolean
  readonly unfit: readonly UnfitReason[]
  /** What the last completed health check said. */
  readonly checked: 'unknown' | 'healthy' | 'unhealthy'
  readonly lastCheck: EndpointView['lastCheck']
  readonly weight: number
  readonly maxConnections: number
  readonly inFlight: number
  readonly connections: number
  /** Attempts that ended. */
  readonly requests: number
  readonly failures: number
  /** Attempts here that followed one that had failed, here or elsewhere. */
  readonly retries: number
  readonly statuses: StatusCounts
  readonly bytesReceived: number
  readonly bytesSent: number
  /** Average of late answers; null before the first. */
  readonly ewmaMs: number | null
  /** Estimated from the histogram of all answers since the start. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

/** Reads status documents; opens the tables once. */
export class StatusReader {
  readonly table: EndpointTable
  readonly board: WorkerBoard

  constructor(memory: SharedMemory) {
    this.table = new EndpointTable(memory)
    this.board = new WorkerBoard(memory)
  }

  /** Everything as of now. */
  read(view: BalancerView, nowMs: number): StatusDocument {
    return {
      product: 'evenkeel',
      version: view.product,
      pid: view.pid,
      state: view.state,
      startedAtMs: view.startedAtMs,
      uptimeMs: Math.max(0, nowMs - view.startedAtMs),
      config: view.config,
      totals: this.#totals(),
      workers: view.workers.map((worker) => this.#worker(worker)),
      listeners: view.listeners.map(({ name, bind, port, slot }) => ({
        name,
        bind,
        port,
        connectionsOpen: Atomics.load(this.board.listenerConnections.total, slot),
      })),
      routes: view.routes,
      pools: view.pools.map((pool) => this.pool(pool)),
    }
  }

  /** One pool with its endpoints. */
  pool(pool: PoolView): PoolStatus {
    const endpoints = pool.endpoints.map((endpoint) => this.endpoint(endpoint))
    const fitEndpoints = endpoints.filter(({ fit, weight }) => fit && weight > 0).length
    return { name: pool.name, picker: pool.picker, fitEndpoints, endpoints }
  }

  /** One endpoint. A slot that has gone to another one since the view was sent counts as retired, without numbers. */
  endpoint(view: EndpointView): EndpointStatus {
    const snapshot = this.snapshot(view)
    const unfit = snapshot === null ? (['retired'] as const) : unfitReasons(snapshot.fitness)
    return {
      id: view.id,
      address: view.address,
      zone: view.zone,
      state: view.state,
      base: view.base,
      overlay: view.overlay,
      pools: view.pools,
      healthPool: view.healthPool,
      fit: unfit.length === 0,
      unfit,
      checked: CHECK_WORDS[snapshot?.checked ?? 0] ?? 'unknown',
      lastCheck: view.lastCheck,
      weight: snapshot?.weight ?? 0,
      maxConnections: snapshot?.maxConnections ?? 0,
      inFlight: snapshot?.inFlight ?? 0,
      connections: snapshot?.connections ?? 0,
      requests: snapshot?.requests ?? 0,
      failures: snapshot?.failures ?? 0,
      retries: snapshot?.retries ?? 0,
      statuses: statusCounts(snapshot?.statuses ?? []),
      bytesReceived: snapshot?.bytesReceived ?? 0,
      bytesSent: snapshot?.bytesSent ?? 0,
      ewmaMs: rounded(snapshot?.ewmaMs ?? null),
      p50Ms: rounded(snapshot === null ? null : bucketQuantile(LATENCY_BOUNDS_MS, snapshot.buckets, 0.5)),
      p99Ms: rounded(snapshot === null ? null : bucketQuantile(LATENCY_BOUNDS_MS, snapshot.buckets, 0.99)),
    }
  }

  /** The numbers of an endpoint of the view; null when its slot is another's by now. */
  snapshot(view: EndpointView): EndpointSnapshot | null {
    const snapshot = this.table.snapshot(view.slot)
    return snapshot.generation === view.generation ? snapshot : null
  }

  #totals(): StatusTotals {
    const total = (index: number): number => this.board.counterTotal(index)
    const errors: Record<string, number> = {}
    for (const [index, code] of ERROR_CODES.entries()) {
      const count = total(errorCounter(index))
      if (count > 0) errors[code] = count
    }
    return {
      connectionsAccepted: total(Counter.CONNECTIONS_ACCEPTED),
      connectionsOpen: total(Counter.CONNECTIONS_OPEN),
      exchanges: total(Counter.EXCHANGES),
      exchangesOpen: total(Counter.EXCHANGES_OPEN),
      tunnelsOpen: total(Counter.TUNNELS_OPEN),
      retries: total(Counter.RETRIES),
      clientAborts: total(Counter.CLIENT_ABORTS),
      bytesReceived: total(Counter.BYTES_RECEIVED),
      bytesSent: total(Counter.BYTES_SENT),
      statuses: statusCounts(STATUS_CLASSES.map((_, index) => total(Counter.RESPONSES_1XX + index))),
      errors,
    }
  }

  #worker(worker: WorkerView): WorkerStatus {
    const counters = this.board.counters(worker.index)
    return {
      ...worker,
      acknowledgedVersion: this.board.acknowledged(worker.index),
      connectionsOpen: counters[Counter.CONNECTIONS_OPEN] ?? 0,
      exchangesOpen: counters[Counter.EXCHANGES_OPEN] ?? 0,
      exchanges: counters[Counter.EXCHANGES] ?? 0,
      lateMs: counters[Counter.LATE_MS] ?? 0,
    }
  }
}

/** The bits that make an endpoint unfit, in words; the gravest first. */
export const UNFIT_REASONS: readonly (readonly [number, UnfitReason])[] = [
  [Fitness.UNHEALTHY, 'unhealthy'],
  [Fitness.PASSIVE, 'passive'],
  [Fitness.DRAINING, 'draining'],
  [Fitness.MAINTENANCE, 'maintenance'],
  [Fitness.RETIRED, 'retired'],
]

/** In words why an endpoint with these bits gets no new requests. */
export function unfitReasons(fitness: number): UnfitReason[] {
  return UNFIT_REASONS.flatMap(([bit, reason]) => ((fitness & bit) === 0 ? [] : [reason]))
}

/** By `EndpointTable.checked`. */
const CHECK_WORDS = ['unknown', 'healthy', 'unhealthy'] as const

function statusCounts(counts: readonly number[]): StatusCounts {
  return {
    '1xx': counts[0] ?? 0,
    '2xx': counts[1] ?? 0,
    '3xx': counts[2] ?? 0,
    '4xx': counts[3] ?? 0,
    '5xx': counts[4] ?? 0,
  }
}

/** To a microsecond: more would be noise. */
function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 1000) / 1000
}
