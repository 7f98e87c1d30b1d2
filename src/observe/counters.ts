/**
 * The counters that every worker keeps in its own row of the worker board: plain `Float64` adds, no Atomics, because one
 * worker writes a row and readers only sum. Error counters follow the named ones, one per code of the error table.
 *
 * The key is API for the code, the name and labels are API for whoever scrapes; the position is neither.
 */
import { ERROR_CODES } from '../core/errors.ts'

/**
 * The index of each named counter in a worker's row. A literal, so that the hot path folds `row[Counter.X]` to a constant;
 * `COUNTERS` holds the rows in the same order, and a test holds the two together.
 */
export const Counter = {
  CONNECTIONS_ACCEPTED: 0,
  CONNECTIONS_OPEN: 1,
  EXCHANGES: 2,
  EXCHANGES_OPEN: 3,
  RESPONSES_1XX: 4,
  RESPONSES_2XX: 5,
  RESPONSES_3XX: 6,
  RESPONSES_4XX: 7,
  RESPONSES_5XX: 8,
  TUNNELS: 9,
  TUNNELS_OPEN: 10,
  BYTES_RECEIVED: 11,
  BYTES_SENT: 12,
  UPSTREAM_CONNECTIONS: 13,
  UPSTREAM_CONNECTIONS_OPEN: 14,
  UPSTREAM_CONNECTIONS_REUSED: 15,
  RETRIES: 16,
  REPLAYS: 17,
  CLIENT_ABORTS: 18,
  ACCESS_LOG_DROPPED: 19,
  LATE_MS: 20,
  LOAD_PROBES: 21,
  LOAD_PROBES_FAILED: 22,
} as const

export type CounterKey = keyof typeof Counter

/** Where the counter of the error at index 0 of `ERROR_CODES` stands; the others follow in the table's order. */
export const ERROR_COUNTER_BASE = 23

/** What `MemorySizes.workerCounters` has to be. */
export const WORKER_COUNTERS = ERROR_COUNTER_BASE + ERROR_CODES.length

/** `100..199` → `RESPONSES_1XX`, and so on; the caller passes a status of 100 to 599. */
export function responseCounter(status: number): number {
  return Counter.RESPONSES_1XX - 1 + ((status / 100) | 0)
}

/** The counter of an error by its `ERROR_INDEX`. */
export function errorCounter(errorIndex: number): number {
  return ERROR_COUNTER_BASE + errorIndex
}

/** One counter as the metrics show it. */
export interface CounterRow {
  readonly key: CounterKey
  /** The metric's name; several rows may share one and differ by `labels`. */
  readonly name: string
  /** A gauge goes down again, so it has to be set to 0 when its worker dies: see `OPEN_COUNTERS`. */
  readonly kind: 'counter' | 'gauge'
  /** What one step in the row means. */
  readonly unit: string
  readonly help: string
  readonly labels?: Readonly<Record<string, string>>
  /** The exposed number is the row's times this (milliseconds are exposed as seconds). */
  readonly scale?: number
}

/** Every named counter, by its index. */
export const COUNTERS: readonly CounterRow[] = [
  {
    key: 'CONNECTIONS_ACCEPTED',
    name: 'evenkeel_worker_connections_accepted_total',
    kind: 'counter',
    unit: 'connections',
    help: 'Downstream connections accepted, those closed at once by a limit included.',
  },
  {
    key: 'CONNECTIONS_OPEN',
    name: 'evenkeel_worker_open_connections',
    kind: 'gauge',
    unit: 'connections',
    help: 'Downstream connections open now.',
  },
  {
    key: 'EXCHANGES',
    name: 'evenkeel_worker_exchanges_total',
    kind: 'counter',
    unit: 'exchanges',
    help: 'Exchanges begun: request heads that were read whole and accepted by the parser.',
  },
  {
    key: 'EXCHANGES_OPEN',
    name: 'evenkeel_worker_open_exchanges',
    kind: 'gauge',
    unit: 'exchanges',
    help: 'Exchanges running now, tunnels not included.',
  },
  responses('RESPONSES_1XX', '1xx'),
  responses('RESPONSES_2XX', '2xx'),
  responses('RESPONSES_3XX', '3xx'),
  responses('RESPONSES_4XX', '4xx'),
  responses('RESPONSES_5XX', '5xx'),
  {
    key: 'TUNNELS',
    name: 'evenkeel_worker_tunnels_total',
    kind: 'counter',
    unit: 'tunnels',
    help: 'Exchanges that became a tunnel by an upgrade.',
  },
  {
    key: 'TUNNELS_OPEN',
    name: 'evenkeel_worker_open_tunnels',
    kind: 'gauge',
    unit: 'tunnels',
    help: 'Tunnels open now.',
  },
  {
    key: 'BYTES_RECEIVED',
    name: 'evenkeel_worker_downstream_received_bytes_total',
    kind: 'counter',
    unit: 'bytes',
    help: 'Bytes read from clients, heads and framing included.',
  },
  {
    key: 'BYTES_SENT',
    name: 'evenkeel_worker_downstream_sent_bytes_total',
    kind: 'counter',
    unit: 'bytes',
    help: 'Bytes written to clients, heads and framing included.',
  },
  {
    key: 'UPSTREAM_CONNECTIONS',
    name: 'evenkeel_worker_upstream_connections_total',
    kind: 'counter',
    unit: 'connections',
    help: 'Connections opened to endpoints.',
  },
  {
    key: 'UPSTREAM_CONNECTIONS_OPEN',
    name: 'evenkeel_worker_open_upstream_connections',
    kind: 'gauge',
    unit: 'connections',
    help: 'Connections to endpoints open now, idle ones included.',
  },
  {
    key: 'UPSTREAM_CONNECTIONS_REUSED',
    name: 'evenkeel_worker_upstream_connections_reused_total',
    kind: 'counter',
    unit: 'attempts',
    help: 'Attempts that ran on a kept-alive connection.',
  },
  {
    key: 'RETRIES',
    name: 'evenkeel_worker_retries_total',
    kind: 'counter',
    unit: 'attempts',
    help: 'Further attempts after one that failed, whatever the cause.',
  },
  {
    key: 'REPLAYS',
    name: 'evenkeel_worker_replays_total',
    kind: 'counter',
    unit: 'attempts',
    help: 'Those of the retries that followed a kept-alive connection which was closed before the answer began.',
  },
  {
    key: 'CLIENT_ABORTS',
    name: 'evenkeel_worker_client_aborts_total',
    kind: 'counter',
    unit: 'exchanges',
    help: 'Exchanges whose client went away before the answer was complete.',
  },
  {
    key: 'ACCESS_LOG_DROPPED',
    name: 'evenkeel_worker_access_log_dropped_lines_total',
    kind: 'counter',
    unit: 'lines',
    help: 'Access log lines dropped because the log could not be written fast enough, or at all.',
  },
  {
    key: 'LATE_MS',
    name: 'evenkeel_worker_event_loop_late_seconds_total',
    kind: 'counter',
    unit: 'milliseconds',
    help: 'Time by which the 250 ms tick of the worker came late, added up.',
    scale: 0.001,
  },
  {
    key: 'LOAD_PROBES',
    name: 'evenkeel_worker_load_probes_total',
    kind: 'counter',
    unit: 'probes',
    help: 'Load probes sent to endpoints, for pickers that ask how busy they are.',
  },
  {
    key: 'LOAD_PROBES_FAILED',
    name: 'evenkeel_worker_load_probes_failed_total',
    kind: 'counter',
    unit: 'probes',
    help: 'Those of the load probes that were not answered in time, or not as they should be.',
  },
]

/** The counters that say what is open now: whoever replaces a dead worker sets them to 0 in its row. */
export const OPEN_COUNTERS: readonly number[] = COUNTERS.flatMap((row, index) => (row.kind === 'gauge' ? [index] : []))

function responses(key: CounterKey, statusClass: string): CounterRow {
  return {
    key,
    name: 'evenkeel_worker_responses_total',
    kind: 'counter',
    unit: 'responses',
    help: 'Response heads sent to clients, by status class; interim 1xx heads count by themselves.',
    labels: { class: statusClass },
  }
}
