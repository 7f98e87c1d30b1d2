import type { MedianInterval } from '../statistics.ts'
import type { PickerResult, ScenarioResult } from '../study.ts'

/** A column of a scenario's table, the same in the terminal, in HTML and in Markdown. */
export interface ReportColumn {
  readonly title: string
  /** What it means, in a sentence. */
  readonly meaning: string
  readonly of: (picker: PickerResult) => string
}

const ALWAYS: readonly ReportColumn[] = [
  {
    title: 'p99 ÷ best',
    meaning:
      'p99 over that of the best picker that can be built, seed by seed: the median, and where it lies with 95 % certainty',
    of: ({ p99OverBest, isOracle }) => (isOracle ? `(${ratio(p99OverBest.median)})` : interval(p99OverBest)),
  },
  { title: 'p50', meaning: 'milliseconds, of all requests; an error counts as its deadline', of: ({ p50 }) => ms(p50) },
  { title: 'p90', meaning: 'the same', of: ({ p90 }) => ms(p90) },
  { title: 'p99', meaning: 'the same', of: ({ p99 }) => ms(p99.median) },
  { title: 'p99.9', meaning: 'the same', of: ({ p999 }) => ms(p999) },
  { title: 'mean', meaning: 'the same', of: ({ meanMs }) => ms(meanMs) },
  { title: 'errors', meaning: 'requests without a good answer', of: ({ errorRatio }) => percent(errorRatio) },
  { title: 'good/s', meaning: 'good answers per second', of: ({ perSecond }) => perSecond.toFixed(0) },
  { title: 'busy', meaning: 'slots at work, of all', of: ({ utilisation }) => percent(utilisation) },
  {
    title: '± sd',
    meaning: 'standard deviation of that among endpoints',
    of: ({ utilisationDeviation }) => percent(utilisationDeviation),
  },
  { title: 'peak ÷ mean', meaning: 'the busiest endpoint over the mean', of: ({ imbalance }) => ratio(imbalance) },
]

/** The columns that say something about this scenario. */
export function columnsOf({ scenario, pickers }: ScenarioResult): ReportColumn[] {
  const columns = [...ALWAYS]
  const { focus } = scenario
  if (focus !== undefined) {
    const fair = pickers.find(({ focusFairShare }) => focusFairShare !== null)?.focusFairShare ?? 0
    columns.push({
      title: `${focus.group} gets`,
      meaning: `attempts that went to ${focus.group}${focus.fromMs > 0 ? ` from ${focus.fromMs / 1000} s on` : ''}; by its capacity it could take ${percent(fair)}`,
      of: ({ focusShare }) => percent(focusShare ?? Number.NaN),
    })
  }
  const isAny = (of: (picker: PickerResult) => number | null): boolean =>
    pickers.some((picker) => (of(picker) ?? 0) > 0)
  if (isAny(({ hitRatio }) => hitRatio)) {
    columns.push({
      title: 'hits',
      meaning: 'requests whose key was in the cache',
      of: ({ hitRatio }) => percent(hitRatio ?? Number.NaN),
    })
  }
  if (pickers.some(({ keysMoved }) => keysMoved !== null)) {
    columns.push({
      title: 'keys moved',
      meaning: 'keys with another owner after the first change of members, and how many had to have one',
      of: ({ keysMoved }) =>
        keysMoved === null ? '–' : `${percent(keysMoved.ratio)} of ${percent(keysMoved.neededRatio)}`,
    })
  }
  if (isAny(({ retryRatio }) => retryRatio)) {
    columns.push({ title: 'retries', meaning: 'per request', of: ({ retryRatio }) => percent(retryRatio) })
  }
  if (isAny(({ hedgeRatio }) => hedgeRatio)) {
    columns.push({ title: 'hedges', meaning: 'per request', of: ({ hedgeRatio }) => percent(hedgeRatio) })
  }
  if (isAny(({ probeRatio }) => probeRatio)) {
    columns.push({ title: 'probes', meaning: 'per request', of: ({ probeRatio }) => ratio(probeRatio) })
  }
  return columns
}

/** Milliseconds with three digits that count; from 10 s on in seconds. */
export function ms(value: number): string {
  if (Number.isNaN(value)) return '–'
  if (value >= 10_000) return `${(value / 1000).toFixed(value >= 100_000 ? 0 : 1)} s`
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)
}

export function percent(value: number): string {
  if (Number.isNaN(value)) return '–'
  const hundredths = value * 100
  return `${hundredths.toFixed(hundredths !== 0 && Math.abs(hundredths) < 9.95 ? 2 : 1)} %`
}

export function ratio(value: number): string {
  if (Number.isNaN(value)) return '–'
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)
}

/** `1.12 [1.08 1.15]`; without brackets where there are too few values for an interval. */
export function interval({ median, lower, upper }: MedianInterval): string {
  return Number.isFinite(lower) ? `${ratio(median)} [${ratio(lower)} ${ratio(upper)}]` : ratio(median)
}
