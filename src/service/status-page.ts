/**
 * The page at `/`: the status as HTML, made here and reloaded by the browser every two seconds. No script, so its policy can
 * forbid all of them; every text goes through the template's escaping.
 */
import { createHash } from 'node:crypto'
import { html, raw } from 'hono/html'
import type { EndpointStatus, PoolStatus, StatusDocument } from './status.ts'

const STYLE = `
:root { color-scheme: light dark; --muted: color-mix(in srgb, currentColor 60%, transparent); --line: color-mix(in srgb, currentColor 15%, transparent) }
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
h1 { font-size: 1.3rem; margin: 0 } h2 { font-size: 1rem; margin: 2rem 0 .5rem }
p, small { color: var(--muted); margin: .2rem 0 }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap }
th { color: var(--muted); font-weight: 500 }
th:first-child, td:first-child, .left { text-align: left }
.fit::before, .unfit::before, .idle::before { content: ''; display: inline-block; width: .6em; height: .6em; border-radius: 50%; margin-right: .5em }
.fit::before { background: #2a9d4a } .unfit::before { background: #d33 } .idle::before { background: #c90 }
.problem { color: #d33 }
`

/** Allows this page's own style and nothing else. */
export const STATUS_PAGE_CSP: string =
  `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; ` +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** Made by the template, so already escaped. */
type Html = ReturnType<typeof html>

/** The whole page. */
export function statusPage(status: StatusDocument): Html {
  const { totals } = status
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="2">
<title>Evenkeel: ${status.state}</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<h1 class="${status.state === 'ready' ? 'fit' : 'idle'}">Evenkeel ${status.version} is ${status.state}</h1>
<p>Up for ${duration(status.uptimeMs)}, pid ${status.pid}, config ${status.config.hash}${
    status.config.file === null ? '' : ` from ${status.config.file}`
  }.</p>
${status.config.problems.map((problem) => html`<p class="problem">${problem}</p>`)}
<p>${count(totals.exchanges)} exchanges, ${count(totals.exchangesOpen)} running; ${count(totals.connectionsOpen)} connections and ${count(
    totals.tunnelsOpen,
  )} tunnels open; ${count(totals.statuses['5xx'])} answers of 5xx, ${count(totals.retries)} retries.</p>
${status.pools.map(poolTable)}
<h2>Workers</h2>
<table>
<tr><th>worker</th><th class="left">state</th><th>exchanges</th><th>running</th><th>connections</th><th>restarts</th></tr>
${status.workers.map(
  (
    worker,
  ) => html`<tr><td>${worker.index}</td><td class="left ${worker.state === 'running' ? 'fit' : 'idle'}">${worker.state}</td>
<td>${count(worker.exchanges)}</td><td>${count(worker.exchangesOpen)}</td><td>${count(worker.connectionsOpen)}</td><td>${worker.restarts}</td></tr>
`,
)}
</table>
<h2>Listeners</h2>
<table>
<tr><th>listener</th><th class="left">bound to</th><th>connections</th></tr>
${status.listeners.map(
  (
    listener,
  ) => html`<tr><td>${listener.name}</td><td class="left">${listener.bind}</td><td>${count(listener.connectionsOpen)}</td></tr>
`,
)}
</table>
</body>
</html>
`
}

function poolTable(pool: PoolStatus): Html {
  return html`<h2>${pool.name} <small>${pool.picker}, ${pool.fitEndpoints} of ${pool.endpoints.length} fit</small></h2>
<table>
<tr><th>endpoint</th><th class="left">state</th><th>weight</th><th>in flight</th><th>requests</th><th>failures</th><th>p50 ms</th><th>p99 ms</th></tr>
${pool.endpoints.map(
  (endpoint) => html`<tr><td title="${endpoint.address}">${endpoint.id}</td>
<td class="left ${dot(endpoint)}">${fitnessWords(endpoint)}</td><td>${weightWords(endpoint)}</td><td>${count(endpoint.inFlight)}</td>
<td>${count(endpoint.requests)}</td><td>${count(endpoint.failures)}</td><td>${milliseconds(endpoint.p50Ms)}</td><td>${milliseconds(
    endpoint.p99Ms,
  )}</td></tr>
`,
)}
</table>
${sharedWords(pool).map((line) => html`<p>${line}</p>`)}
`
}

/** `fit`, or why not, and whether a hand is in it. */
export function fitnessWords({
  fit,
  unfit,
  weight,
  base,
  overlay,
}: Pick<EndpointStatus, 'fit' | 'unfit' | 'weight' | 'base' | 'overlay'>): string {
  const words = fit ? (weight > 0 ? 'fit' : 'fit, weight 0') : unfit.join(', ')
  if (overlay.state === undefined) return words
  return overlay.state === 'active' ? `${words} (by hand, file: ${base.state})` : `${words} (by hand)`
}

/** The weight, and what the file says where that is something else. */
export function weightWords({ weight, base, overlay }: Pick<EndpointStatus, 'weight' | 'base' | 'overlay'>): string {
  return overlay.weight === undefined ? String(weight) : `${weight} (by hand, file: ${base.weight})`
}

/** Which endpoints are also in other pools, where what is done to them acts as well; bounded. */
export function sharedWords(pool: Pick<PoolStatus, 'name' | 'endpoints'>): string[] {
  const shared = pool.endpoints.filter(({ pools }) => pools.length > 1)
  const lines = shared.slice(0, SHARED_MAX).map(({ id, pools, healthPool }) => {
    const others = pools.filter((name) => name !== pool.name).join(', ')
    const check = healthPool === null ? '' : `; the health check is that of ${healthPool}`
    return `${id} is in ${others} as well: its numbers are those of all of them together, and drain and weight act in all of them${check}`
  })
  return shared.length > SHARED_MAX ? [...lines, `and ${shared.length - SHARED_MAX} more`] : lines
}

const SHARED_MAX = 10

function dot(endpoint: EndpointStatus): string {
  if (endpoint.fit) return endpoint.weight > 0 ? 'fit' : 'idle'
  return endpoint.unfit.includes('unhealthy') || endpoint.unfit.includes('passive') ? 'unfit' : 'idle'
}

function milliseconds(ms: number | null): string {
  if (ms === null) return '–'
  return ms < 10 ? ms.toFixed(1) : String(Math.round(ms))
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** `3 d 4 h`, `5 min 6 s`: the two largest units. */
export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const units: readonly (readonly [number, string])[] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ]
  const largest = units.findIndex(([value]) => value > 0)
  const shown = largest < 0 ? units.slice(-1) : units.slice(largest, largest + 2)
  return shown.map(([value, unit]) => `${value} ${unit}`).join(' ')
}
