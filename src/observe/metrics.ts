/**
 * The one list of every metric that `/metrics` shows. Names, kinds and labels are API.
 *
 * Labels come from names in the config and from our own tables, never from the bytes of a request: nobody outside can make
 * new series. Durations are seconds and sizes bytes, whatever the tables hold. The names of `process_*` are those that
 * Prometheus's own client libraries use, so that existing dashboards and rules find them.
 */
import { COUNTERS } from './counters.ts'

export type MetricKind = 'counter' | 'gauge' | 'histogram'

export interface MetricRow {
  readonly name: string
  readonly kind: MetricKind
  readonly labels: readonly string[]
  readonly help: string
}

/** Metrics that are not simply a counter of the workers. */
export const METRIC = {
  BUILD_INFO: row('evenkeel_build_info', 'gauge', ['version', 'node'], 'Always 1; the labels say what runs.'),
  READY: row('evenkeel_ready', 'gauge', [], '1 while requests are served and new ones are welcome, else 0.'),
  CONFIG_INFO: row('evenkeel_config_info', 'gauge', ['hash'], 'Always 1; the label is the hash of the live config.'),
  CONFIG_LOADED: row(
    'evenkeel_config_loaded_timestamp_seconds',
    'gauge',
    [],
    'When the live config was loaded, in seconds since the epoch.',
  ),
  CONFIG_PROBLEMS: row(
    'evenkeel_config_problems',
    'gauge',
    [],
    'Problems of the config that was refused last; 0 when the newest one is live.',
  ),

  LISTENER_CONNECTIONS: row(
    'evenkeel_listener_open_connections',
    'gauge',
    ['listener'],
    'Downstream connections open now, over all workers.',
  ),

  POOL_ENDPOINTS: row('evenkeel_pool_endpoints', 'gauge', ['pool'], 'Endpoints of the pool.'),
  POOL_FIT: row(
    'evenkeel_pool_fit_endpoints',
    'gauge',
    ['pool'],
    'Endpoints of the pool that may be chosen: fit, and of a weight above 0.',
  ),

  ENDPOINT_UP: row(
    'evenkeel_endpoint_up',
    'gauge',
    ['pool', 'endpoint'],
    '1 when the endpoint is fit to be chosen, else 0.',
  ),
  ENDPOINT_UNFIT: row(
    'evenkeel_endpoint_unfit',
    'gauge',
    ['pool', 'endpoint', 'reason'],
    '1 for each reason that makes the endpoint unfit: unhealthy (a health check), passive (live traffic), draining, maintenance.',
  ),
  ENDPOINT_WEIGHT: row('evenkeel_endpoint_weight', 'gauge', ['pool', 'endpoint'], 'Live weight.'),
  ENDPOINT_REQUESTS: row(
    'evenkeel_endpoint_requests_total',
    'counter',
    ['pool', 'endpoint', 'class'],
    'Attempts that the endpoint answered, by status class.',
  ),
  ENDPOINT_FAILURES: row(
    'evenkeel_endpoint_failures_total',
    'counter',
    ['pool', 'endpoint'],
    'Attempts that failed without an answer, or in the middle of one.',
  ),
  ENDPOINT_RETRIES: row(
    'evenkeel_endpoint_retries_total',
    'counter',
    ['pool', 'endpoint'],
    'Attempts at this endpoint that were repeats of one that had failed.',
  ),
  ENDPOINT_IN_FLIGHT: row(
    'evenkeel_endpoint_in_flight_requests',
    'gauge',
    ['pool', 'endpoint'],
    'Attempts running at the endpoint now, over all workers.',
  ),
  ENDPOINT_CONNECTIONS: row(
    'evenkeel_endpoint_open_connections',
    'gauge',
    ['pool', 'endpoint'],
    'Connections to the endpoint open now, over all workers, idle ones included.',
  ),
  ENDPOINT_RECEIVED: row(
    'evenkeel_endpoint_received_bytes_total',
    'counter',
    ['pool', 'endpoint'],
    'Bytes read from the endpoint in answers.',
  ),
  ENDPOINT_SENT: row(
    'evenkeel_endpoint_sent_bytes_total',
    'counter',
    ['pool', 'endpoint'],
    'Bytes written to the endpoint in requests.',
  ),
  ENDPOINT_LATENCY: row(
    'evenkeel_endpoint_latency_seconds',
    'histogram',
    ['pool', 'endpoint'],
    'Time from the start of an attempt to the first byte of its answer, of attempts that were answered.',
  ),

  WORKER_UP: row('evenkeel_worker_up', 'gauge', ['worker'], '1 while the worker serves, else 0.'),
  WORKER_RESTARTS: row(
    'evenkeel_worker_restarts_total',
    'counter',
    ['worker'],
    'Times the worker was replaced after it died or hung.',
  ),
  WORKER_ERRORS: row(
    'evenkeel_worker_errors_total',
    'counter',
    ['worker', 'code'],
    'Errors by their code; see the error reference.',
  ),

  SERVICE_HEAP: row(
    'evenkeel_service_heap_used_bytes',
    'gauge',
    [],
    'JavaScript heap in use by the service thread, which answers this page.',
  ),
  SERVICE_LATE: row(
    'evenkeel_service_event_loop_late_seconds_total',
    'counter',
    [],
    'Time by which the 500 ms tick of the service thread came late, added up.',
  ),

  PROCESS_RSS: row('process_resident_memory_bytes', 'gauge', [], 'Resident memory of the process, all threads.'),
  PROCESS_CPU: row(
    'process_cpu_seconds_total',
    'counter',
    [],
    'CPU time of the process, user and system, all threads.',
  ),
  PROCESS_START: row(
    'process_start_time_seconds',
    'gauge',
    [],
    'When the balancer started, in seconds since the epoch.',
  ),
  PROCESS_FDS: row('process_open_fds', 'gauge', [], 'Descriptors open in the process; absent where there is no /proc.'),
  PROCESS_MAX_FDS: row(
    'process_max_fds',
    'gauge',
    [],
    'Descriptors that the process may open; absent where there is no /proc.',
  ),
} as const satisfies Record<string, MetricRow>

/** The metrics made of the workers' own counters, in their order, each name once. */
export const WORKER_METRICS: readonly MetricRow[] = workerMetrics()

const SECTIONS = [
  'evenkeel_build',
  'evenkeel_ready',
  'evenkeel_config',
  'evenkeel_listener',
  'evenkeel_pool',
  'evenkeel_endpoint',
  'evenkeel_worker',
  'evenkeel_service',
  'process',
]

/** Everything, in the order of the page. */
export const METRICS: readonly MetricRow[] = [...Object.values(METRIC), ...WORKER_METRICS].toSorted(
  (a, b) => section(a.name) - section(b.name),
)

/** Status classes in the order of the tables that count them: 1xx to 5xx. */
export const STATUS_CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const

function section(name: string): number {
  return SECTIONS.findIndex((prefix) => name === prefix || name.startsWith(`${prefix}_`))
}

function workerMetrics(): MetricRow[] {
  const byName = new Map<string, MetricRow>()
  for (const counter of COUNTERS) {
    if (byName.has(counter.name)) continue
    const labels = ['worker', ...Object.keys(counter.labels ?? {})]
    byName.set(counter.name, row(counter.name, counter.kind, labels, counter.help))
  }
  return [...byName.values()]
}

function row(name: string, kind: MetricKind, labels: readonly string[], help: string): MetricRow {
  return { name, kind, labels, help }
}
