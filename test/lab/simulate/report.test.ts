import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PICKERS } from '../../../src/core/balance/registry.ts'
import { ORACLE, registryChoice } from '../../../src/lab/simulate/picker-choices.ts'
import { interval, ms, percent } from '../../../src/lab/simulate/report/columns.ts'
import { htmlReport } from '../../../src/lab/simulate/report/html.ts'
import { judge } from '../../../src/lab/simulate/report/judgement.ts'
import { markdownReport } from '../../../src/lab/simulate/report/markdown.ts'
import type { Scenario } from '../../../src/lab/simulate/scenario.ts'
import { runStudy, type ScenarioResult, type StudyProgress } from '../../../src/lab/simulate/study.ts'

const slow: Scenario = {
  name: 'slow',
  summary: 'One <of> four is "slower".',
  groups: [
    { name: 'server', count: 3 },
    { name: 'slow', count: 1, speed: 0.2 },
  ],
  balancers: 2,
  utilisation: 0.6,
  service: { kind: 'exponential', meanMs: 20 },
  changes: [{ atMs: 8000, group: 'slow', speed: 1 }],
  durationMs: 12_000,
  focus: { group: 'slow', fromMs: 0 },
}
const many: Scenario = {
  ...slow,
  name: 'many',
  groups: [{ name: 'server', count: 40 }],
  changes: [],
  focus: undefined!,
}
const { focus: _, ...manyWithout } = many

const pickers = [registryChoice(PICKERS.random), registryChoice(PICKERS['least-requests']), ORACLE]
const plan = { parts: [slow, manyWithout].map((scenario) => ({ scenario, pickers })), seeds: 7, firstSeed: 1 }

function study(): { results: ScenarioResult[]; steps: StudyProgress[] } {
  const running = runStudy(plan)
  const steps: StudyProgress[] = []
  for (;;) {
    const step = running.next()
    if (step.done === true) return { results: step.value, steps }
    steps.push(step.value)
  }
}

const { results, steps } = study()

describe('a study', () => {
  test('tells its progress, run by run, to the last', () => {
    const done = steps.map(({ runsDone }) => runsDone)
    assert.deepEqual(
      done,
      done.toSorted((a, b) => a - b),
    )
    assert.equal(done.at(-1), 2 * 3 * 7)
    assert.ok(steps.every(({ runsTotal, runRatio }) => runsTotal === 42 && runRatio >= 0 && runRatio <= 1))
  })

  test('compares with the best picker that can be built: its ratio is 1 at every seed, and the oracle is not it', () => {
    for (const { best, pickers: found } of results) {
      assert.equal(best, 'least-requests')
      const [least, random] = ['least-requests', 'random'].map((name) => found.find(({ picker }) => picker === name)!)
      assert.deepEqual(least!.p99OverBest, { median: 1, lower: 1, upper: 1 })
      assert.ok(random!.p99OverBest.lower > 1)
      assert.ok(random!.p50 <= random!.p90 && random!.p90 <= random!.p99.median && random!.p99.median <= random!.p999)
    }
  })

  test('is the same when it is made again', () => {
    assert.deepEqual(study().results, results)
  })

  test('judges by the worst scenario, oracles last', () => {
    const judged = judge(results)
    assert.deepEqual(
      judged.map(({ picker }) => picker),
      ['least-requests', 'random', 'oracle'],
    )
    const random = judged[1]!
    assert.equal(random.worst.median, Math.max(...random.ratios.map((each) => each!.median)))
    assert.equal(random.worstScenario, 'slow')
  })
})

describe('the report', () => {
  const head = { title: 'A <title>', command: 'evenkeel simulate slow', version: '1.2.3' }
  const html = htmlReport(results, head)

  test('is one page that asks for nothing else, in a light and a dark scheme', () => {
    assert.doesNotMatch(html, /<script|<link|<img|@import|url\(['"]?(?!#)|(?:src|href)="(?!#)/)
    assert.doesNotMatch(html, /https?:\/\//)
    assert.match(html, /prefers-color-scheme: dark/)
    assert.match(html, /evenkeel 1\.2\.3, 7 seeds each: <code>evenkeel simulate slow<\/code>/)
  })

  test('writes what comes from outside as text', () => {
    assert.match(html, /<h1>A &lt;title&gt;<\/h1>/)
    assert.match(html, /One &lt;of&gt; four is &quot;slower&quot;\./)
  })

  test('has its elements closed, and no figure that is none', () => {
    const open: string[] = []
    for (const [, slash, name, rest] of html.matchAll(/<(\/?)([a-zA-Z][a-zA-Z0-9]*)([^>]*)>/g)) {
      if (slash === '/') assert.equal(open.pop(), name)
      else if (!rest!.endsWith('/') && name !== 'meta') open.push(name!)
    }
    assert.deepEqual(open, [])
    assert.doesNotMatch(html, /NaN|Infinity|undefined/)
  })

  test('has a chart of the tail, one of the ratios and the load over time for each scenario', () => {
    for (const { scenario, pickers: found } of results) {
      const section = html.slice(html.indexOf(`<section id="${scenario.name}">`)).split('</section>')[0]!
      assert.equal(section.match(/<svg /g)!.length, 2 + found.length)
      for (const { picker } of found) assert.ok(section.includes(`<title>${picker}</title>`), picker)
    }
    // Few endpoints have a line each, many are their group.
    assert.equal(html.match(/<title>server-2<\/title>/g)!.length, 3)
  })

  test('as Markdown has the same figures', () => {
    const text = markdownReport(results, head)
    const random = results[0]!.pickers.find(({ picker }) => picker === 'random')!
    assert.ok(text.includes(interval(random.p99OverBest)))
    assert.ok(html.includes(interval(random.p99OverBest)))
    for (const line of text.split('\n').filter((each) => each.startsWith('|'))) assert.match(line, /\|$/)
  })

  test('writes numbers so that they can be compared', () => {
    assert.deepEqual([0.1234, 12.34, 123.4, 12_345, 123_456].map(ms), ['0.12', '12.3', '123', '12.3 s', '123 s'])
    assert.deepEqual([0, 0.0012, 0.5, 1].map(percent), ['0.0 %', '0.12 %', '50.0 %', '100.0 %'])
    assert.equal(interval({ median: 1.5, lower: Number.NEGATIVE_INFINITY, upper: Number.POSITIVE_INFINITY }), '1.50')
  })
})
