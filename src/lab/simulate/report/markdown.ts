/** The report as Markdown tables, for the documentation. */
import type { ScenarioResult } from '../study.ts'
import { columnsOf, interval } from './columns.ts'
import type { ReportHead } from './html.ts'
import { judge } from './judgement.ts'

export function markdownReport(results: readonly ScenarioResult[], head: ReportHead): string {
  const parts = [`# ${head.title}`, `Made by \`${head.command}\`, evenkeel ${head.version}.`]
  if (results.length > 1) {
    parts.push(
      '## p99 over that of the best picker that can be built',
      'Medians over seeds, with the interval that holds the true median with 95 % certainty.',
      overview(results),
    )
  }
  for (const result of results) {
    const columns = columnsOf(result)
    parts.push(
      `## ${result.scenario.name}`,
      result.scenario.summary,
      rows([
        ['picker', ...columns.map(({ title }) => title)],
        ...result.pickers.map((picker) => [picker.picker, ...columns.map(({ of }) => of(picker))]),
      ]),
    )
  }
  return `${parts.join('\n\n')}\n`
}

/** Scenarios down, pickers across: there are more scenarios than fit side by side. */
function overview(results: readonly ScenarioResult[]): string {
  const judgements = judge(results)
  return rows([
    ['scenario', ...judgements.map(({ picker }) => picker)],
    ...results.map(({ scenario }, index) => [
      scenario.name,
      ...judgements.map(({ ratios }) => {
        const each = ratios[index] ?? null
        return each === null ? '–' : interval(each)
      }),
    ]),
    ['**worst**', ...judgements.map(({ worst }) => `**${interval(worst)}**`)],
  ])
}

function rows(cells: readonly (readonly string[])[]): string {
  const [titles, ...rest] = cells.map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
  const rule = `|---|${'---:|'.repeat(cells[0]!.length - 1)}`
  return [titles, rule, ...rest].join('\n')
}
