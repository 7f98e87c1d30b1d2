/** `npm run docs:metrics`: writes docs/reference/metrics.md from the one list of metrics. A test holds the two together. */
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { LATENCY_BOUNDS_MS } from '../src/memory/endpoint-table.ts'
import { METRICS } from '../src/observe/metrics.ts'

export const METRIC_REFERENCE_FILE: string = resolve(import.meta.dirname, '../docs/reference/metrics.md')

/** The whole page, as text. */
export function metricReference(): string {
  const rows = METRICS.map(({ name, kind, labels, help }) => {
    const shown = labels.length === 0 ? 'none' : labels.map((label) => `\`${label}\``).join(', ')
    return `| \`${name}\` | ${kind} | ${shown} | ${help.replaceAll('|', '\\|')} |`
  })
  return `# Metrics

Made from \`src/observe/metrics.ts\` and \`src/observe/counters.ts\` by \`npm run docs:metrics\`; a test fails when the two differ.

\`GET /metrics\` on the admin address answers in Prometheus's text format. On loopback and unix sockets it needs no token;
anywhere else it does:

\`\`\`yaml
scrape_configs:
  - job_name: evenkeel
    authorization: { credentials_file: /etc/prometheus/evenkeel-token }
    static_configs: [{ targets: ['lb1.internal:9090'] }]
\`\`\`

Names, kinds and labels are API. Labels come from names in the config and from Evenkeel's own tables, never from the bytes of
a request, so clients cannot make new series. An endpoint has ${endpointSeries()} series per pool that holds it.

- Counters of endpoints and workers go on when a worker is replaced. They begin at 0 when the process starts, and an endpoint's
  when it leaves the config and comes back.
- An endpoint that stands in several pools is one endpoint: its numbers show under each of them and do not add up over pools.
- Buckets of \`evenkeel_endpoint_latency_seconds\`: ${LATENCY_BOUNDS_MS.map((ms) => ms / 1000).join(', ')} and +Inf.
- \`code\` is one of the [error codes](errors.md).

| metric | kind | labels | meaning |
|---|---|---|---|
${rows.join('\n')}
`
}

/** Of one endpoint in one pool: reasons, status classes and buckets are more than one each. */
function endpointSeries(): number {
  const several: Readonly<Record<string, number>> = { reason: 4, class: 5 }
  return METRICS.filter(({ labels }) => labels.includes('endpoint')).reduce((sum, { kind, labels }) => {
    if (kind === 'histogram') return sum + LATENCY_BOUNDS_MS.length + 3
    return sum + labels.reduce((product, label) => product * (several[label] ?? 1), 1)
  }, 0)
}

if (import.meta.main) {
  writeFileSync(METRIC_REFERENCE_FILE, metricReference())
  console.log(`${METRICS.length} metrics written to docs/reference/metrics.md`)
}
