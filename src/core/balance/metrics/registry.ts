import { expectedDelayMetricEntry } from './expected-delay.ts'
import type { MetricEntry } from './load-metric.ts'
import { peakEwmaMetricEntry } from './peak-ewma.ts'
import { requestsEntry } from './requests.ts'
import { responseTimeEntry } from './response-time.ts'

/** Every load metric by its name. */
export const METRICS = {
  requests: requestsEntry,
  'response-time': responseTimeEntry,
  'peak-ewma': peakEwmaMetricEntry,
  'expected-delay': expectedDelayMetricEntry,
} satisfies Record<string, MetricEntry>

/** The metric that an option names; throws a RangeError that lists those there are. */
export function metricOption(options: Readonly<Record<string, unknown>>, preset: keyof typeof METRICS): MetricEntry {
  const name = options['metric'] ?? preset
  if (typeof name === 'string' && Object.hasOwn(METRICS, name)) return METRICS[name as keyof typeof METRICS]
  throw new RangeError(`metric is ${JSON.stringify(name)}, it must be one of ${Object.keys(METRICS).join(', ')}`)
}
