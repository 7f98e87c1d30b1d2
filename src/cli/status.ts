/** `evenkeel status`: what a running balancer is doing, as a table. */
import { styleText } from 'node:util'
import type { Command } from 'commander'
import type { EndpointStatus, PoolStatus, StatusDocument } from '../service/status.ts'
import { duration, fitnessWords, sharedWords, weightWords } from '../service/status-page.ts'
import { type AdminOptions, findBalancer, printable, withAdminOptions } from './admin-client.ts'
import { nearPath } from './problem-lines.ts'
import { type Cell, type Column, tableLines } from './text-table.ts'

type Style = Parameters<typeof styleText>[0]

export function register(program: Command): void {
  withAdminOptions(
    program
      .command('status')
      .summary('show what a running balancer is doing')
      .description(
        'Shows pools, endpoints, workers and listeners of a running balancer, with their numbers since its start.',
      ),
  )
    .addHelpText('after', '\nExample:\n  evenkeel status --admin http://127.0.0.1:9090')
    .action(async (options: AdminOptions) => {
      const status = (await findBalancer(options).get('/api/v1/status')) as StatusDocument
      console.log(options.json === true ? JSON.stringify(status, null, 2) : statusLines(status).join('\n'))
    })
}

/** The whole picture, line by line. */
export function statusLines(status: StatusDocument): string[] {
  const { totals, config } = status
  const lines = [
    `${paint(STATE_STYLE[status.state], '●')} ${paint('bold', `Evenkeel ${status.version}`)} is ${status.state}, up for ${duration(
      status.uptimeMs,
    )}, pid ${status.pid}`,
    paint('dim', `  config ${config.hash}${config.file === null ? '' : ` from ${printable(nearPath(config.file))}`}`),
    `  ${many(totals.exchanges, 'exchange')} (${count(totals.exchangesOpen)} running), ${many(
      totals.connectionsOpen,
      'connection',
    )} and ${many(totals.tunnelsOpen, 'tunnel')} open, ${many(totals.statuses['5xx'], '5xx answer')}, ${many(
      totals.retries,
      'retry',
      'retries',
    )}, ${many(totals.clientAborts, 'client abort')}`,
    ...config.problems.map((problem) => paint('red', `  ! ${printable(problem)}`)),
  ]
  for (const pool of status.pools) lines.push('', ...poolLines(pool))
  lines.push('', ...indented(workerLines(status)), '', ...indented(listenerLines(status)))
  const errors = Object.entries(totals.errors).toSorted((a, b) => b[1] - a[1])
  if (errors.length > 0) lines.push('', ...indented(errorLines(errors)))
  return lines
}

const STATE_STYLE: Readonly<Record<StatusDocument['state'], Style>> = {
  starting: 'yellow',
  ready: 'green',
  draining: 'yellow',
}

const ENDPOINT_COLUMNS: readonly Column[] = [
  { title: 'endpoint', align: 'left' },
  { title: 'state', align: 'left' },
  { title: 'weight', align: 'right' },
  { title: 'in flight', align: 'right' },
  { title: 'requests', align: 'right' },
  { title: 'failures', align: 'right' },
  { title: 'average', align: 'right' },
  { title: 'p50', align: 'right' },
  { title: 'p99', align: 'right' },
]

function poolLines(pool: PoolStatus): string[] {
  const fit = `${pool.fitEndpoints} of ${pool.endpoints.length} fit`
  const fitStyle: Style =
    pool.fitEndpoints === pool.endpoints.length ? 'green' : pool.fitEndpoints === 0 ? 'red' : 'yellow'
  return [
    `${paint('bold', printable(pool.name))}  ${paint('dim', pool.picker)}  ${paint(fitStyle, fit)}`,
    ...indented(tableLines(ENDPOINT_COLUMNS, pool.endpoints.map(endpointCells), (text) => paint('dim', text))),
    ...indented(sharedWords(pool).map((line) => paint('dim', printable(line)))),
  ]
}

function endpointCells(endpoint: EndpointStatus): Cell[] {
  const style = endpointStyle(endpoint)
  const check = endpoint.unfit.includes('unhealthy') ? endpoint.lastCheck?.detail : undefined
  const words = fitnessWords(endpoint) + (check === undefined ? '' : ` (${check})`)
  return [
    { text: printable(endpoint.id) },
    { text: printable(words), paint: (text) => paint(style, text) },
    { text: weightWords(endpoint) },
    { text: count(endpoint.inFlight) },
    { text: count(endpoint.requests) },
    {
      text: count(endpoint.failures),
      ...(endpoint.failures > 0 ? { paint: (text: string) => paint('yellow', text) } : {}),
    },
    { text: milliseconds(endpoint.ewmaMs) },
    { text: milliseconds(endpoint.p50Ms) },
    { text: milliseconds(endpoint.p99Ms) },
  ]
}

function endpointStyle({ fit, unfit, weight }: EndpointStatus): Style {
  if (fit) return weight > 0 ? 'green' : 'yellow'
  return unfit.includes('unhealthy') || unfit.includes('passive') ? 'red' : 'yellow'
}

function workerLines(status: StatusDocument): string[] {
  const columns: Column[] = [
    { title: 'worker', align: 'left' },
    { title: 'state', align: 'left' },
    { title: 'exchanges', align: 'right' },
    { title: 'running', align: 'right' },
    { title: 'connections', align: 'right' },
    { title: 'restarts', align: 'right' },
    { title: 'last exit', align: 'left' },
  ]
  const rows = status.workers.map((worker): Cell[] => [
    { text: String(worker.index) },
    { text: worker.state, paint: (text) => paint(worker.state === 'running' ? 'green' : 'yellow', text) },
    { text: count(worker.exchanges) },
    { text: count(worker.exchangesOpen) },
    { text: count(worker.connectionsOpen) },
    {
      text: count(worker.restarts),
      ...(worker.restarts > 0 ? { paint: (text: string) => paint('yellow', text) } : {}),
    },
    { text: printable(worker.lastExit ?? '') },
  ])
  const isQuiet = status.workers.every(({ lastExit }) => lastExit === null)
  return tableLines(isQuiet ? columns.slice(0, -1) : columns, rows, (text) => paint('dim', text))
}

function listenerLines(status: StatusDocument): string[] {
  const columns: Column[] = [
    { title: 'listener', align: 'left' },
    { title: 'bound to', align: 'left' },
    { title: 'connections', align: 'right' },
  ]
  const rows = status.listeners.map(({ name, bind, port, connectionsOpen }): Cell[] => [
    { text: printable(name) },
    { text: printable(port !== null && bind.endsWith(':0') ? `${bind.slice(0, -1)}${port}` : bind) },
    { text: count(connectionsOpen) },
  ])
  return tableLines(columns, rows, (text) => paint('dim', text))
}

function errorLines(errors: readonly (readonly [string, number])[]): string[] {
  const columns: Column[] = [
    { title: 'error', align: 'left' },
    { title: 'times', align: 'right' },
  ]
  return tableLines(
    columns,
    errors.map(([code, times]) => [{ text: printable(code) }, { text: count(times) }]),
    (text) => paint('dim', text),
  )
}

/** Obeys NO_COLOR, FORCE_COLOR, and whether standard output is a terminal. */
function paint(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout })
}

function indented(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`)
}

function milliseconds(ms: number | null): string {
  if (ms === null) return '–'
  return `${ms < 10 ? ms.toFixed(1) : count(Math.round(ms))} ms`
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}

function many(value: number, one: string, several: string = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : several}`
}
