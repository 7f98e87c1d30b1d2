/** The report as one HTML page that needs nothing else: style, tables and charts inline, light and dark. */
import type { PickerResult, ScenarioResult } from '../study.ts'
import { escaped, groupClass, loadChart, loadChartMax, ranksOf, ratioChart, seriesClass, tailChart } from './charts.ts'
import { columnsOf, interval, ratio } from './columns.ts'
import { judge } from './judgement.ts'

export interface ReportHead {
  readonly title: string
  /** How to make the same report again. */
  readonly command: string
  readonly version: string
}

/** Timelines are drawn for so many pickers of a scenario. */
const TIMELINES_MAX = 8

export function htmlReport(results: readonly ScenarioResult[], head: ReportHead): string {
  const seeds = Math.max(0, ...results.map((result) => result.seeds))
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(head.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<header>
<h1>${escaped(head.title)}</h1>
<p>Simulated with evenkeel ${escaped(head.version)}, ${seeds} ${seeds === 1 ? 'seed' : 'seeds'} each: <code>${escaped(head.command)}</code></p>
</header>
${results.length > 1 ? overview(results) : ''}
${results.map(section).join('\n')}
</body>
</html>
`
}

function overview(results: readonly ScenarioResult[]): string {
  const rows = judge(results).map(({ picker, isOracle, ratios, worst, worstScenario }) => {
    const cells = ratios.map((each) =>
      each === null
        ? '<td class="none">–</td>'
        : `<td class="${isOracle ? 'none' : heat(each.median)}" title="${escaped(interval(each))}">${ratio(each.median)}</td>`,
    )
    return `<tr><th scope="row">${escaped(picker)}</th><td class="worst" title="${escaped(`${worstScenario}: ${interval(worst)}`)}">${ratio(worst.median)}</td>${cells.join('')}</tr>`
  })
  const titles = results.map(
    ({ scenario: { name } }) =>
      `<th scope="col" class="turned"><a href="#${name}"><span>${escaped(name)}</span></a></th>`,
  )
  return `<section>
<h2>p99 over that of the best picker that can be built</h2>
<p>Medians over seeds; the interval of each is its tooltip, and in the scenario's own table. 1.00 is the best of its column. Pickers are in the order of their worst scenario. The oracle knows what no picker can know.</p>
<div class="wide"><table class="heat"><thead><tr><th scope="col">picker</th><th scope="col" class="turned"><span>worst</span></th>${titles.join('')}</tr></thead>
<tbody>${rows.join('\n')}</tbody></table></div>
</section>`
}

function heat(median: number): string {
  if (median <= 1.05) return 'h0'
  if (median <= 1.2) return 'h1'
  if (median <= 1.5) return 'h2'
  return median <= 3 ? 'h3' : 'h4'
}

function section(result: ScenarioResult): string {
  const { scenario, pickers } = result
  const shown = timelinePickers(pickers)
  const max = loadChartMax(shown)
  const legend = scenario.groups.map(
    ({ name, count }, index) =>
      `<span class="key"><i class="${groupClass(result, index)}"></i>${escaped(name)}${count > 1 ? ` × ${count}` : ''}</span>`,
  )
  const charts = shown.map(
    (picker) => `<figure><figcaption>${escaped(picker.picker)}</figcaption>${loadChart(result, picker, max)}</figure>`,
  )
  return `<section id="${scenario.name}">
<h2>${escaped(scenario.name)}</h2>
<p>${escaped(scenario.summary)}${scenario.source === undefined ? '' : ` <span class="source">${escaped(scenario.source)}.</span>`}</p>
<div class="pair">
<figure><figcaption>Latency by quantile, all seeds together</figcaption>${tailChart(result)}</figure>
<figure><figcaption>p99 ÷ the best one's p99</figcaption>${ratioChart(result)}</figure>
</div>
${table(result)}
<h3>Attempts per second and endpoint over time</h3>
<p class="legend">${legend.join('')}</p>
<div class="grid-of-charts">${charts.join('')}</div>
</section>`
}

/** The best ones, and the oracle if it is among them. */
function timelinePickers(pickers: readonly PickerResult[]): readonly PickerResult[] {
  return pickers.slice(0, TIMELINES_MAX)
}

function table(result: ScenarioResult): string {
  const columns = columnsOf(result)
  const ranks = ranksOf(result)
  const titles = columns.map(
    ({ title, meaning }) => `<th scope="col" title="${escaped(meaning)}">${escaped(title)}</th>`,
  )
  const rows = result.pickers.map((picker) => {
    const cells = columns.map(({ of }) => `<td>${escaped(of(picker))}</td>`)
    return `<tr${picker.isOracle ? ' class="oracle-row"' : ''}><th scope="row"><i class="${seriesClass(picker, ranks.get(picker.picker)!)}"></i>${escaped(picker.picker)}</th>${cells.join('')}</tr>`
  })
  return `<div class="wide"><table><thead><tr><th scope="col">picker</th>${titles.join('')}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`
}

const STYLE = `
:root { --paper: #fff; --ink: #1d2430; --soft: #5b6675; --rule: #dfe4ea; --band: #f5f7f9;
  --s0: #1f6feb; --s1: #c2410c; --s2: #15803d; --s3: #9333ea; --s4: #b7791f; --s5: #0e7490; --other: #b8c0ca; --oracle: #1d2430;
  --g0: #7d8da1; --g1: #1f6feb; --g2: #15803d; --g3: #9333ea; --gfocus: #d9480f;
  --h0: #c9ecd3; --h1: #e6f3d4; --h2: #fdf0c3; --h3: #fbd9bf; --h4: #f5c2c2; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #12161c; --ink: #e4e9f0; --soft: #98a4b3; --rule: #2a323d; --band: #1a2028;
    --s0: #6ea8fe; --s1: #ff9b6a; --s2: #62d08a; --s3: #c99bff; --s4: #e3b95c; --s5: #5ccbdf; --other: #4c5868; --oracle: #e4e9f0;
    --g0: #8495a8; --g1: #6ea8fe; --g2: #62d08a; --g3: #c99bff; --gfocus: #ff9b6a;
    --h0: #1d4a2c; --h1: #33461f; --h2: #524516; --h3: #5c3619; --h4: #5e2323; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1320px; padding: 24px 28px 64px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 26px; margin: 8px 0 4px; } h2 { font-size: 20px; margin: 44px 0 4px; } h3 { font-size: 15px; margin: 24px 0 4px; }
p { margin: 4px 0 12px; max-width: 90ch; color: var(--soft); } code { color: var(--ink); }
.source { font-style: italic; }
section { border-top: 1px solid var(--rule); margin-top: 32px; } section h2 { margin-top: 24px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 28px; align-items: start; }
figure { margin: 12px 0; } figcaption { font-weight: 600; font-size: 13px; margin-bottom: 4px; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font-size: 11.5px; font-family: inherit; } svg text.value { fill: var(--ink); } svg text.note { font-size: 11px; }
.grid { stroke: var(--rule); stroke-width: 1; } .strong { stroke: var(--soft); }
.event { stroke: var(--soft); stroke-dasharray: 3 3; }
.whisker { stroke: var(--ink); stroke-width: 1.2; }
.line { fill: none; stroke-width: 2; } .thin { fill: none; stroke-width: 1.2; opacity: .85; }
polyline.other { stroke: var(--other); stroke-width: 1.2; } polyline.oracle { stroke: var(--oracle); stroke-dasharray: 2 4; stroke-width: 1.6; }
rect.other { fill: var(--other); } rect.oracle { fill: none; stroke: var(--oracle); stroke-dasharray: 2 3; }
${[0, 1, 2, 3, 4, 5].map((n) => `polyline.s${n} { stroke: var(--s${n}); } rect.s${n} { fill: var(--s${n}); } i.s${n} { background: var(--s${n}); }`).join('\n')}
${['g0', 'g1', 'g2', 'g3', 'gfocus'].map((g) => `polyline.${g} { stroke: var(--${g}); } i.${g} { background: var(--${g}); }`).join('\n')}
polyline.gfocus { stroke-width: 2; opacity: 1; }
i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 7px; }
i.other { background: var(--other); } i.oracle { border: 1px dashed var(--oracle); }
.grid-of-charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); gap: 8px 22px; }
.grid-of-charts figure { margin: 6px 0; } .grid-of-charts figcaption { font-weight: 500; }
.legend { font-size: 13px; } .key { margin-right: 18px; white-space: nowrap; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: 4px 9px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th:first-child { text-align: left; } thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; } tbody th { font-weight: 500; }
tbody tr:hover { background: var(--band); } .oracle-row { color: var(--soft); }
table.heat { width: auto; } table.heat th { border-bottom: 0; } table.heat td { text-align: center; min-width: 46px; border: 2px solid var(--paper); }
.heat .worst { font-weight: 700; } .none { color: var(--soft); }
.heat thead .turned { height: 128px; padding: 0; vertical-align: bottom; text-align: center; } .turned span { display: inline-block; writing-mode: vertical-rl; transform: rotate(180deg); padding: 4px 0; }
.turned a { color: inherit; text-decoration: none; } .turned a:hover { text-decoration: underline; }
${[0, 1, 2, 3, 4].map((n) => `.h${n} { background: var(--h${n}); }`).join(' ')}
@media print { section { break-inside: avoid; } }
`
