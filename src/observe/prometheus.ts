/**
 * Prometheus's text exposition format 0.0.4, written into one string.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 *
 * Samples of one metric stand together under one HELP and TYPE, so writers go metric by metric, not object by object.
 */
import type { MetricRow } from './metrics.ts'

export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Label names with their values, written once and used for every metric of the same object. */
export type LabelText = string

/** Writes `a="x",b="y"`; values are escaped and made well-formed Unicode. */
export function labelText(labels: Readonly<Record<string, string | number>>): LabelText {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${typeof value === 'number' ? value : escapeLabelValue(value)}"`)
    .join(',')
}

/** In a label value a backslash, a quote and a line feed are escaped; lone surrogates have no UTF-8 and become U+FFFD. */
export function escapeLabelValue(value: string): string {
  if (!/[^\x20\x21\x23-\x5b\x5d-\x7e]/.test(value)) return value
  return value.toWellFormed().replace(/[\\"\n]/g, (found) => (found === '\n' ? '\\n' : `\\${found}`))
}

/** Numbers as Go reads them: `+Inf`, `-Inf`, `NaN`, else JavaScript's shortest form. */
export function sampleValue(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf'
}

/** One page of metrics under construction. */
export class Exposition {
  #text = ''
  #name = ''

  /** Begins a metric; the samples that follow are its. */
  metric(row: MetricRow): this {
    this.#name = row.name
    const help = row.help.replace(/[\\\n]/g, (found) => (found === '\n' ? '\\n' : '\\\\'))
    this.#text += `# HELP ${row.name} ${help}\n# TYPE ${row.name} ${row.kind}\n`
    return this
  }

  /** Adds a sample of the metric begun last. `labels` as made by `labelText`, '' for none. */
  sample(labels: LabelText, value: number): this {
    this.#text +=
      labels === '' ? `${this.#name} ${sampleValue(value)}\n` : `${this.#name}{${labels}} ${sampleValue(value)}\n`
    return this
  }

  /**
   * Adds a histogram of the metric begun last.
   * @param bounds the `le` labels in ascending order, `+Inf` last, each as text.
   * @param counts how many observations fell into each bucket, not accumulated.
   * @param sum of all observations, in the metric's unit.
   */
  histogram(labels: LabelText, bounds: readonly string[], counts: ArrayLike<number>, sum: number): this {
    const before = labels === '' ? '' : `${labels},`
    let total = 0
    let text = ''
    for (let i = 0; i < bounds.length; i++) {
      total += counts[i] ?? 0
      text += `${this.#name}_bucket{${before}le="${bounds[i]}"} ${total}\n`
    }
    const own = labels === '' ? '' : `{${labels}}`
    this.#text += `${text}${this.#name}_sum${own} ${sampleValue(sum)}\n${this.#name}_count${own} ${total}\n`
    return this
  }

  /** The page so far. */
  toString(): string {
    return this.#text
  }
}
