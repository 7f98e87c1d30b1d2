import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { METRIC_REFERENCE_FILE, metricReference } from '../../scripts/metric-reference.ts'
import { ERROR_INDEX } from '../../src/core/errors.ts'
import { EndpointTable, Fitness } from '../../src/memory/endpoint-table.ts'
import { Counter, errorCounter } from '../../src/observe/counters.ts'
import { METRICS } from '../../src/observe/metrics.ts'
import { isReady, metricsPage, type ProcessFacts, processFacts } from '../../src/service/scrape.ts'
import { StatusReader } from '../../src/service/status.ts'
import { endpointView, memoryFor, viewOf } from './harness.ts'

const facts: ProcessFacts = {
  nodeVersion: 'v24.0.0',
  rssBytes: 1000,
  heapUsedBytes: 500,
  cpuSeconds: 1.5,
  lateSeconds: 0.25,
  openFds: 20,
  maxFds: 1024,
}

/** A page over two pools with hostile names and some traffic. */
function busyPage(): string {
  const memory = memoryFor(8, 2)
  const table = new EndpointTable(memory)
  const reader = new StatusReader(memory)
  const first = endpointView(table, 'a:1')
  const second = endpointView(table, 'quote " slash \\ line \n end')
  const { slot, generation } = first
  table.acquire(0, slot, generation)
  table.openConnection(1, slot, generation)
  table.record(0, slot, generation, 200, 3, 1000, 100)
  table.record(1, slot, generation, 404, 30, 10, 1)
  table.record(1, slot, generation, 200, 30_000, 10, 1)
  table.recordFailure(1, slot, generation)
  table.recordRetry(1, slot, generation)
  table.weight[second.slot] = 0.5
  Atomics.or(table.fitness, second.slot, Fitness.DRAINING)
  const counters = reader.board.counters(1)
  counters[Counter.LATE_MS] = 1500
  counters[Counter.RESPONSES_2XX] = 7
  counters[errorCounter(ERROR_INDEX.EK_NO_ROUTE)] = 4
  reader.board.listenerConnections.add(0, 0, 1)
  return metricsPage(viewOf({ web: [first], 'odd "pool"': [second, first] }), reader, facts)
}

function samples(page: string): Map<string, number> {
  return new Map(
    page
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  )
}

test('the numbers of the tables are on the page, in base units', () => {
  const page = samples(busyPage())
  const expected: Record<string, number> = {
    'evenkeel_build_info{version="1.2.3",node="v24.0.0"}': 1,
    evenkeel_ready: 1,
    'evenkeel_listener_open_connections{listener="public"}': 1,
    'evenkeel_pool_endpoints{pool="web"}': 1,
    'evenkeel_pool_fit_endpoints{pool="odd \\"pool\\""}': 1,
    'evenkeel_endpoint_up{pool="web",endpoint="a:1"}': 1,
    'evenkeel_endpoint_up{pool="odd \\"pool\\"",endpoint="quote \\" slash \\\\ line \\n end"}': 0,
    'evenkeel_endpoint_unfit{pool="odd \\"pool\\"",endpoint="quote \\" slash \\\\ line \\n end",reason="draining"}': 1,
    'evenkeel_endpoint_unfit{pool="odd \\"pool\\"",endpoint="quote \\" slash \\\\ line \\n end",reason="unhealthy"}': 0,
    'evenkeel_endpoint_weight{pool="odd \\"pool\\"",endpoint="quote \\" slash \\\\ line \\n end"}': 0.5,
    'evenkeel_endpoint_requests_total{pool="web",endpoint="a:1",class="2xx"}': 2,
    'evenkeel_endpoint_requests_total{pool="web",endpoint="a:1",class="4xx"}': 1,
    'evenkeel_endpoint_failures_total{pool="web",endpoint="a:1"}': 1,
    'evenkeel_endpoint_retries_total{pool="web",endpoint="a:1"}': 1,
    'evenkeel_endpoint_in_flight_requests{pool="web",endpoint="a:1"}': 1,
    'evenkeel_endpoint_open_connections{pool="web",endpoint="a:1"}': 1,
    'evenkeel_endpoint_received_bytes_total{pool="web",endpoint="a:1"}': 1020,
    'evenkeel_endpoint_sent_bytes_total{pool="web",endpoint="a:1"}': 102,
    'evenkeel_endpoint_latency_seconds_bucket{pool="web",endpoint="a:1",le="0.0025"}': 0,
    'evenkeel_endpoint_latency_seconds_bucket{pool="web",endpoint="a:1",le="0.005"}': 1,
    'evenkeel_endpoint_latency_seconds_bucket{pool="web",endpoint="a:1",le="5"}': 2,
    'evenkeel_endpoint_latency_seconds_bucket{pool="web",endpoint="a:1",le="+Inf"}': 3,
    'evenkeel_endpoint_latency_seconds_sum{pool="web",endpoint="a:1"}': 30.033,
    'evenkeel_endpoint_latency_seconds_count{pool="web",endpoint="a:1"}': 3,
    'evenkeel_worker_up{worker="1"}': 1,
    'evenkeel_worker_restarts_total{worker="1"}': 2,
    'evenkeel_worker_errors_total{worker="1",code="EK_NO_ROUTE"}': 4,
    'evenkeel_worker_errors_total{worker="0",code="EK_NO_ROUTE"}': 0,
    'evenkeel_worker_responses_total{worker="1",class="2xx"}': 7,
    'evenkeel_worker_event_loop_late_seconds_total{worker="1"}': 1.5,
    evenkeel_service_heap_used_bytes: 500,
    evenkeel_service_event_loop_late_seconds_total: 0.25,
    process_resident_memory_bytes: 1000,
    process_cpu_seconds_total: 1.5,
    process_open_fds: 20,
    process_max_fds: 1024,
  }
  for (const [series, value] of Object.entries(expected)) assert.equal(page.get(series), value, series)
})

test('the page shows exactly the metrics of the list, in its order, with exactly their labels', () => {
  const page = busyPage()
  const types = [...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, kind]) => `${name} ${kind}`)
  assert.deepEqual(
    types,
    METRICS.map(({ name, kind }) => `${name} ${kind}`),
  )
  for (const { name, kind, labels } of METRICS) {
    const series = [...samples(page).keys()].find((key) => key.replace(/_bucket(?=\{)|\{.*/g, '').startsWith(name))
    assert.ok(series !== undefined, name)
    const found = [...series.matchAll(/([a-z]+)="(?:[^"\\]|\\.)*"/g)].map((match) => match[1])
    assert.deepEqual(found, kind === 'histogram' ? [...labels, 'le'] : labels, name)
  }
})

test('no series stands twice', () => {
  const lines = busyPage()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  assert.equal(samples(busyPage()).size, lines.length)
})

const hasPromtool = spawnSync('promtool', ['--version']).error === undefined
test('promtool finds nothing to object to', {
  skip: hasPromtool ? false : 'promtool is missing: scripts/install-engines.sh installs it (Debian package prometheus)',
}, () => {
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
    input: busyPage(),
    encoding: 'utf8',
  })
  assert.equal(`${stdout}${stderr}`, '')
  assert.equal(status, 0)
})

test('the reference page is made from the list', () => {
  assert.equal(readFileSync(METRIC_REFERENCE_FILE, 'utf8'), metricReference(), 'run: npm run docs:metrics')
})

test('the reference page states the number of series that an endpoint really has', () => {
  const count = [...samples(busyPage()).keys()].filter((key) => key.includes('pool="web",endpoint="a:1"')).length
  assert.match(metricReference(), new RegExp(`An endpoint has ${count} series`))
})

test('a page of 1 000 endpoints and 4 workers is made in less than 100 ms', () => {
  const memory = memoryFor(1024, 4)
  const table = new EndpointTable(memory)
  const reader = new StatusReader(memory)
  const endpoints = Array.from({ length: 1000 }, (_, i) => endpointView(table, `10.0.${i >> 8}.${i & 255}:8080`))
  for (const { slot, generation } of endpoints) {
    for (let i = 0; i < 10; i++) table.record(i % 4, slot, generation, 200, i * slot * 0.01, 123, 456)
  }
  const view = viewOf({ web: endpoints })
  const times: number[] = []
  let bytes = 0
  for (let i = 0; i < 7; i++) {
    const start = performance.now()
    // Encoded, because the strings are only joined then.
    bytes = Buffer.from(metricsPage(view, reader, processFacts(0))).length
    times.push(performance.now() - start)
  }
  const best = Math.min(...times)
  console.log(
    `  1 000 endpoints: first ${times[0]?.toFixed(0)} ms, best ${best.toFixed(0)} ms, ${(bytes / 1024).toFixed(0)} KiB`,
  )
  assert.ok(best < 100, `${best} ms`)
})

test('a balancer without a running worker is not ready', () => {
  const view = viewOf({})
  assert.ok(isReady(view))
  assert.ok(!isReady({ ...view, workers: view.workers.map((worker) => ({ ...worker, state: 'replacing' as const })) }))
  assert.ok(!isReady({ ...view, state: 'draining' }))
})

test('the process is seen as the system sees it', () => {
  const seen = processFacts(0)
  assert.ok(seen.rssBytes > 10e6 && seen.cpuSeconds > 0)
  if (process.platform === 'linux') assert.ok(seen.openFds !== null && seen.openFds > 3 && seen.maxFds !== null)
})
