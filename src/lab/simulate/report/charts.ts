/** Charts as SVG text. Colours are classes of the page's style sheet, so that they follow its light or dark scheme. */
import type { PickerResult, ScenarioResult } from '../study.ts'
import { ratio } from './columns.ts'

/** Pickers with a colour of their own; the others are grey. */
export const COLOURED = 6

/** The class of a picker's colour, by its rank. */
export function seriesClass(picker: PickerResult, rank: number): string {
  if (picker.isOracle) return 'oracle'
  return rank < COLOURED ? `s${rank}` : 'other'
}

/** Ranks among pickers that can be built; the oracle has -1. */
export function ranksOf(result: ScenarioResult): Map<string, number> {
  let rank = 0
  return new Map(result.pickers.map((each) => [each.picker, each.isOracle ? -1 : rank++]))
}

export function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (found) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[found] ?? '&quot;')
}

/** Ticks 1, 2, 5, 10, … between two values. */
function logTicks(from: number, to: number): number[] {
  const ticks: number[] = []
  for (let decade = 10 ** Math.floor(Math.log10(from)); decade <= to; decade *= 10) {
    for (const factor of [1, 2, 5]) if (decade * factor >= from && decade * factor <= to) ticks.push(decade * factor)
  }
  return ticks
}

/** How much is drawn above the best picker: what is further up is off the chart and in the table. */
const TAIL_SPAN = 8

/** Latency by quantile, one line per picker: the tail to the right, both axes logarithmic. */
export function tailChart(result: ScenarioResult): string {
  const width = 620
  const height = 340
  const left = 56
  const right = 14
  const top = 12
  const bottom = 40
  const ranks = ranksOf(result)
  const values = result.pickers.flatMap(({ tail }) => tail.map(([, value]) => value)).filter((value) => value > 0)
  if (values.length === 0) return ''
  const best = result.pickers.find(({ isOracle }) => !isOracle) ?? result.pickers[0]!
  const low = Math.min(...values) / 1.15
  const high = Math.min(Math.max(...values) * 1.1, best.tail.at(-1)![1] * TAIL_SPAN)
  const x = (rest: number): number =>
    left + ((Math.log10(0.5) - Math.log10(rest)) / (Math.log10(0.5) + 4)) * (width - left - right)
  const y = (value: number): number =>
    height - bottom - (Math.log(Math.max(value, low) / low) / Math.log(high / low)) * (height - top - bottom)
  const parts: string[] = []
  for (const tick of logTicks(low, high)) {
    parts.push(
      line(left, y(tick), width - right, y(tick), 'grid'),
      label(left - 8, y(tick) + 4, tick >= 10_000 ? `${tick / 1000} s` : String(Number(tick.toPrecision(2))), 'end'),
    )
  }
  for (const [rest, name] of [
    [0.5, 'p50'],
    [0.1, 'p90'],
    [0.01, 'p99'],
    [0.001, 'p99.9'],
    [0.0001, 'p99.99'],
  ] as const) {
    parts.push(line(x(rest), top, x(rest), height - bottom, 'grid'))
    parts.push(label(x(rest), height - bottom + 18, name, rest === 0.0001 ? 'end' : 'middle'))
  }
  const id = `clip-${result.scenario.name}`
  parts.push(
    `<clipPath id="${id}"><rect x="${left}" y="${top}" width="${width - left - right}" height="${height - top - bottom}"/></clipPath>`,
  )
  // The best is drawn last, above the others.
  for (const picker of [...result.pickers].reverse()) {
    const points = picker.tail.map(([rest, value]) => `${fixed(x(rest))},${fixed(y(value))}`).join(' ')
    parts.push(
      `<polyline clip-path="url(#${id})" class="line ${seriesClass(picker, ranks.get(picker.picker)!)}" points="${points}"><title>${escaped(picker.picker)}</title></polyline>`,
    )
  }
  parts.push(label(left, height - 4, 'share of requests that are faster; milliseconds upwards', 'start', 'note'))
  return svg(width, height, `Latency by quantile in ${result.scenario.name}`, parts)
}

const RATIO_MAX = 3

/** p99 over the best one's, a bar per picker, with its interval. */
export function ratioChart(result: ScenarioResult): string {
  const { pickers } = result
  const ranks = ranksOf(result)
  const width = 620
  const left = 190
  const right = 70
  const row = 21
  const top = 8
  const height = top + pickers.length * row + 26
  const max = Math.min(RATIO_MAX, Math.max(1.25, ...pickers.map(({ p99OverBest }) => p99OverBest.median * 1.05)))
  const x = (value: number): number => left + (Math.min(value, max) / max) * (width - left - right)
  const parts: string[] = []
  for (let tick = 0; tick <= max; tick += max > 2 ? 0.5 : 0.25) {
    parts.push(line(x(tick), top, x(tick), height - 24, tick === 1 ? 'grid strong' : 'grid'))
    parts.push(label(x(tick), height - 8, ratio(tick).replace(/0$/, ''), 'middle'))
  }
  for (const [index, picker] of pickers.entries()) {
    const y = top + index * row
    const { median, lower, upper } = picker.p99OverBest
    const colour = seriesClass(picker, ranks.get(picker.picker)!)
    parts.push(label(left - 8, y + 14, picker.picker, 'end'))
    parts.push(
      `<rect class="bar ${colour}" x="${left}" y="${y + 4}" width="${fixed(x(median) - left)}" height="${row - 8}"><title>${escaped(picker.picker)}: ${ratio(median)}</title></rect>`,
    )
    if (Number.isFinite(lower) && lower < max && upper > lower) {
      const middle = y + row / 2
      parts.push(line(x(lower), middle, x(upper), middle, 'whisker'))
      for (const end of [lower, upper])
        if (end < max) parts.push(line(x(end), middle - 3, x(end), middle + 3, 'whisker'))
    }
    const end = Math.max(x(median), Number.isFinite(upper) ? x(upper) : 0)
    parts.push(label(end + 6, y + 14, median > max ? `→ ${ratio(median)}` : ratio(median), 'start', 'value'))
  }
  return svg(width, height, `p99 over the best p99 in ${result.scenario.name}`, parts)
}

/** Attempts per second to each endpoint (or, of many, the mean of each group) over time, for one picker. `max`: of the axis. */
export function loadChart(result: ScenarioResult, picker: PickerResult, max: number): string {
  const width = 300
  const height = 150
  const left = 34
  const right = 6
  const top = 8
  const bottom = 20
  const { timeline } = picker
  const { binMs, bins } = timeline
  const x = (bin: number): number => left + ((bin + 0.5) / bins) * (width - left - right)
  const y = (perSecond: number): number => height - bottom - (Math.min(perSecond, max) / max) * (height - top - bottom)
  const parts: string[] = []
  for (const share of [0, 0.5, 1]) {
    parts.push(line(left, y(max * share), width - right, y(max * share), 'grid'))
    parts.push(label(left - 5, y(max * share) + 4, short(max * share), 'end'))
  }
  const seconds = (bins * binMs) / 1000
  for (const share of [0, 0.5, 1]) {
    const at = left + share * (width - left - right)
    parts.push(
      label(at, height - 5, `${short(seconds * share)} s`, share === 0 ? 'start' : share === 1 ? 'end' : 'middle'),
    )
  }
  for (const { atMs } of result.scenario.changes ?? []) {
    const at = left + (atMs / (bins * binMs)) * (width - left - right)
    parts.push(line(at, top, at, height - bottom, 'event'))
  }
  const groups = result.scenario.groups.map(({ name }) => name)
  for (const [index, row] of timeline.rows.entries()) {
    const points = rates(picker, index).map((perSecond, bin) => `${fixed(x(bin))},${fixed(y(perSecond))}`)
    parts.push(
      `<polyline class="thin ${groupClass(result, groups.indexOf(row.group))}" points="${points.join(' ')}"><title>${escaped(row.name)}</title></polyline>`,
    )
  }
  return svg(width, height, `Load per endpoint over time with ${picker.picker}`, parts)
}

/** The top of the axis that all load charts of a scenario share: nearly all of what is drawn is below it. */
export function loadChartMax(shown: readonly PickerResult[]): number {
  const all = shown
    .flatMap((picker) => picker.timeline.rows.flatMap((_, index) => rates(picker, index)))
    .sort((a, b) => a - b)
  return Math.max(1e-9, (all[Math.floor((all.length - 1) * 0.995)] ?? 0) * 1.1)
}

/** The group that the scenario asks about has the accent colour. */
export function groupClass(result: ScenarioResult, group: number): string {
  const { groups, focus } = result.scenario
  if (groups.length === 1) return 'g0'
  const focused = groups.findIndex(({ name }) => name === focus?.group)
  if (focused < 0) return `g${group % 4}`
  if (group === focused) return 'gfocus'
  return `g${group > focused ? (group - 1) % 4 : group % 4}`
}

/** Attempts per second and endpoint, by bin. */
function rates({ timeline }: PickerResult, row: number): number[] {
  const { bins, binMs, counts, rows } = timeline
  const perCount = 1000 / binMs / rows[row]!.endpoints
  return Array.from(counts.subarray(row * bins, (row + 1) * bins), (count) => count * perCount)
}

function svg(width: number, height: number, title: string, parts: readonly string[]): string {
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(title)}">${parts.join('')}</svg>`
}

function line(x1: number, y1: number, x2: number, y2: number, kind: string): string {
  return `<line class="${kind}" x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}"/>`
}

function label(x: number, y: number, text: string, anchor: 'start' | 'middle' | 'end', kind = 'tick'): string {
  return `<text class="${kind}" x="${fixed(x)}" y="${fixed(y)}" text-anchor="${anchor}">${escaped(text)}</text>`
}

function fixed(value: number): string {
  return String(Math.round(value * 10) / 10)
}

function short(value: number): string {
  if (value >= 10_000) return `${Math.round(value / 1000)}k`
  return String(Number(value.toPrecision(value >= 100 ? 3 : 2)))
}
