/** Fills the metrics page from shared memory and the view. Only names of our own and of the config become labels. */
import fs from 'node:fs'
import { ERROR_CODES } from '../core/errors.ts'
import { type EndpointSnapshot, LATENCY_BOUNDS_MS } from '../memory/endpoint-table.ts'
import { COUNTERS, errorCounter } from '../observe/counters.ts'
import { METRIC, type MetricRow, STATUS_CLASSES, WORKER_METRICS } from '../observe/metrics.ts'
import { Exposition, type LabelText, labelText } from '../observe/prometheus.ts'
import type { BalancerView } from './protocol.ts'
import { type StatusReader, UNFIT_REASONS } from './status.ts'

/** Numbers of the process and of the service thread. */
export interface ProcessFacts {
  readonly nodeVersion: string
  readonly rssBytes: number
  readonly heapUsedBytes: number
  readonly cpuSeconds: number
  readonly lateSeconds: number
  /** Null where the platform has no /proc. */
  readonly openFds: number | null
  readonly maxFds: number | null
}

/** An endpoint of a pool with its numbers, read once for all metrics of the page. */
interface Reading {
  readonly labels: LabelText
  readonly snapshot: EndpointSnapshot
}

/** The `le` labels: seconds, the last bucket open. */
const BOUNDS: readonly string[] = [...LATENCY_BOUNDS_MS.map((ms) => String(ms / 1000)), '+Inf']

/** The whole page. O(pools × endpoints × workers). */
export function metricsPage(view: BalancerView, reader: StatusReader, facts: ProcessFacts): string {
  const page = new Exposition()
  writeBalancer(page, view, facts)
  writeListeners(page, view, reader)
  const readings = view.pools.map((pool) => ({ pool: pool.name, readings: readPool(pool, reader) }))
  writePools(page, view, readings)
  writeEndpoints(
    page,
    readings.flatMap((pool) => pool.readings),
  )
  writeWorkers(page, view, reader)
  writeProcess(page, view, facts)
  return page.toString()
}

function readPool(pool: BalancerView['pools'][number], reader: StatusReader): Reading[] {
  return pool.endpoints.flatMap((endpoint) => {
    const snapshot = reader.snapshot(endpoint)
    // Its slot has gone to another endpoint since the view was sent.
    if (snapshot === null) return []
    return [{ labels: labelText({ pool: pool.name, endpoint: endpoint.id }), snapshot }]
  })
}

function writeBalancer(page: Exposition, view: BalancerView, facts: ProcessFacts): void {
  page.metric(METRIC.BUILD_INFO).sample(labelText({ version: view.product, node: facts.nodeVersion }), 1)
  page.metric(METRIC.READY).sample('', isReady(view) ? 1 : 0)
  page.metric(METRIC.CONFIG_INFO).sample(labelText({ hash: view.config.hash }), 1)
  page.metric(METRIC.CONFIG_LOADED).sample('', view.config.loadedAtMs / 1000)
  page.metric(METRIC.CONFIG_PROBLEMS).sample('', view.config.problems.length)
}

/** New requests are welcome: started, not draining, and somebody is there to serve them. */
export function isReady(view: BalancerView): boolean {
  return view.state === 'ready' && view.workers.some((worker) => worker.state === 'running')
}

function writeListeners(page: Exposition, view: BalancerView, reader: StatusReader): void {
  page.metric(METRIC.LISTENER_CONNECTIONS)
  for (const { name, slot } of view.listeners) {
    page.sample(labelText({ listener: name }), Atomics.load(reader.board.listenerConnections.total, slot))
  }
}

function writePools(
  page: Exposition,
  view: BalancerView,
  pools: readonly { readonly pool: string; readonly readings: readonly Reading[] }[],
): void {
  page.metric(METRIC.POOL_ENDPOINTS)
  for (const { name, endpoints } of view.pools) page.sample(labelText({ pool: name }), endpoints.length)
  page.metric(METRIC.POOL_FIT)
  for (const { pool, readings } of pools) {
    const fit = readings.filter(({ snapshot }) => snapshot.fitness === 0 && snapshot.weight > 0)
    page.sample(labelText({ pool }), fit.length)
  }
}

function writeEndpoints(page: Exposition, readings: readonly Reading[]): void {
  const each = (row: MetricRow, value: (snapshot: EndpointSnapshot) => number): void => {
    page.metric(row)
    for (const { labels, snapshot } of readings) page.sample(labels, value(snapshot))
  }
  each(METRIC.ENDPOINT_UP, ({ fitness }) => (fitness === 0 ? 1 : 0))
  page.metric(METRIC.ENDPOINT_UNFIT)
  for (const { labels, snapshot } of readings) {
    for (const [bit, reason] of UNFIT_REASONS) {
      if (reason !== 'retired') page.sample(`${labels},reason="${reason}"`, (snapshot.fitness & bit) === 0 ? 0 : 1)
    }
  }
  each(METRIC.ENDPOINT_WEIGHT, ({ weight }) => weight)
  page.metric(METRIC.ENDPOINT_REQUESTS)
  for (const { labels, snapshot } of readings) {
    for (const [index, name] of STATUS_CLASSES.entries()) {
      page.sample(`${labels},class="${name}"`, snapshot.statuses[index] ?? 0)
    }
  }
  each(METRIC.ENDPOINT_FAILURES, ({ failures }) => failures)
  each(METRIC.ENDPOINT_RETRIES, ({ retries }) => retries)
  each(METRIC.ENDPOINT_IN_FLIGHT, ({ inFlight }) => inFlight)
  each(METRIC.ENDPOINT_CONNECTIONS, ({ connections }) => connections)
  each(METRIC.ENDPOINT_RECEIVED, ({ bytesReceived }) => bytesReceived)
  each(METRIC.ENDPOINT_SENT, ({ bytesSent }) => bytesSent)
  page.metric(METRIC.ENDPOINT_LATENCY)
  for (const { labels, snapshot } of readings) page.histogram(labels, BOUNDS, snapshot.buckets, snapshot.sumMs / 1000)
}

function writeWorkers(page: Exposition, view: BalancerView, reader: StatusReader): void {
  const workers = view.workers.map((worker) => ({
    worker,
    labels: labelText({ worker: worker.index }),
    counters: reader.board.counters(worker.index),
  }))
  page.metric(METRIC.WORKER_UP)
  for (const { worker, labels } of workers) page.sample(labels, worker.state === 'running' ? 1 : 0)
  page.metric(METRIC.WORKER_RESTARTS)
  for (const { worker, labels } of workers) page.sample(labels, worker.restarts)
  page.metric(METRIC.WORKER_ERRORS)
  for (const { labels, counters } of workers) {
    for (const [index, code] of ERROR_CODES.entries()) {
      page.sample(`${labels},code="${code}"`, counters[errorCounter(index)] ?? 0)
    }
  }
  for (const row of WORKER_METRICS) {
    page.metric(row)
    for (const { labels, counters } of workers) {
      for (const [index, counter] of COUNTERS.entries()) {
        if (counter.name !== row.name) continue
        const own = counter.labels === undefined ? labels : `${labels},${labelText(counter.labels)}`
        page.sample(own, (counters[index] ?? 0) * (counter.scale ?? 1))
      }
    }
  }
}

function writeProcess(page: Exposition, view: BalancerView, facts: ProcessFacts): void {
  page.metric(METRIC.SERVICE_HEAP).sample('', facts.heapUsedBytes)
  page.metric(METRIC.SERVICE_LATE).sample('', facts.lateSeconds)
  page.metric(METRIC.PROCESS_RSS).sample('', facts.rssBytes)
  page.metric(METRIC.PROCESS_CPU).sample('', facts.cpuSeconds)
  page.metric(METRIC.PROCESS_START).sample('', view.startedAtMs / 1000)
  if (facts.openFds !== null) page.metric(METRIC.PROCESS_FDS).sample('', facts.openFds)
  if (facts.maxFds !== null) page.metric(METRIC.PROCESS_MAX_FDS).sample('', facts.maxFds)
}

/** Looks at this process. `lateSeconds` comes from the caller's own tick. */
export function processFacts(lateSeconds: number): ProcessFacts {
  const { user, system } = process.cpuUsage()
  return {
    nodeVersion: process.version,
    rssBytes: process.memoryUsage.rss(),
    heapUsedBytes: process.memoryUsage().heapUsed,
    cpuSeconds: (user + system) / 1e6,
    lateSeconds,
    openFds: openDescriptors(),
    maxFds: descriptorLimit(),
  }
}

function openDescriptors(): number | null {
  try {
    // The directory itself is open while it is read.
    return fs.readdirSync('/proc/self/fd').length - 1
  } catch {
    return null
  }
}

/** The soft limit of open descriptors; null where there is no /proc or no limit. */
export function descriptorLimit(): number | null {
  try {
    const match = /^Max open files\s+(\d+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8'))
    return match === null ? null : Number(match[1])
  } catch {
    return null
  }
}
