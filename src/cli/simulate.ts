/** `evenkeel simulate [SCENARIO…]`: the pickers against made-up fleets, without a network; tables and a report. */
import { createReadStream, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { styleText } from 'node:util'
import { type Command, InvalidArgumentError } from 'commander'
import { nearest } from '../config/nearest.ts'
import { productVersion } from '../control/product-version.ts'
import { AccessLogTrace } from '../lab/simulate/access-log-trace.ts'
import { choiceNames, choicesOf, ORACLE, parseChoice } from '../lab/simulate/picker-choices.ts'
import { columnsOf, interval, ratio } from '../lab/simulate/report/columns.ts'
import { htmlReport } from '../lab/simulate/report/html.ts'
import { judge } from '../lab/simulate/report/judgement.ts'
import { markdownReport } from '../lab/simulate/report/markdown.ts'
import { endpointCount, type Scenario } from '../lab/simulate/scenario.ts'
import { SCENARIOS } from '../lab/simulate/scenarios/index.ts'
import type { PickerChoice } from '../lab/simulate/simulation.ts'
import { runStudy, type ScenarioResult, type StudyPlan, type StudyProgress } from '../lab/simulate/study.ts'
import { CommandError } from './report-error.ts'
import { type Cell, type Column, tableLines } from './text-table.ts'

const SEEDS = 5
/** The interval of a median is from its 6th to its 15th value then. */
const JUDGE_SEEDS = 20
const SEEDS_MAX = 1000
const DEFAULT_SCENARIO = 'one-slow'
/** Against this the hash pickers stand in scenarios of keys. */
const YARDSTICK = 'least-requests'
const REDRAW_MS = 100

interface SimulateOptions {
  readonly pickers?: string
  readonly seeds?: number
  readonly firstSeed: number
  readonly out?: string
  readonly judge?: true
  readonly list?: true
  readonly json?: true
  readonly trace?: string
  readonly endpoints: number
  readonly slots: number
  readonly balancers: number
}

export function register(program: Command): void {
  program
    .command('simulate')
    .summary('try the pickers on simulated fleets')
    .description(
      `Runs the pickers against simulated fleets, the same requests for each, and compares latencies. Deterministic by seed.\nWithout a scenario it takes ${DEFAULT_SCENARIO}; --list says what there is.`,
    )
    .argument('[scenario...]', "names, as --list shows them, or 'all'")
    .option('--pickers <names>', 'these only, with commas; options after a colon: p2c,ring-hash:vnodes=1000')
    .option('--seeds <n>', `runs of each, default ${SEEDS}, with --judge ${JUDGE_SEEDS}`, count(1, SEEDS_MAX))
    .option('--first-seed <n>', 'the seed of the first run', count(0, 2 ** 31), 1)
    .option('--out <file>', 'writes a report: .html with charts, .md with tables')
    .option(
      '--judge',
      'which picker could be the default: all scenarios that do not turn on keys, p99 over the best p99',
    )
    .option('--trace <file>', 'plays an access log instead of a scenario')
    .option('--endpoints <n>', 'with --trace: how many there are', count(1, 10_000), 10)
    .option('--slots <n>', 'with --trace: requests that each works on at a time', count(1, 10_000), 2)
    .option('--balancers <n>', 'with --trace: how many share the traffic', count(1, 100), 1)
    .option('--list', 'says which scenarios and pickers there are')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  evenkeel simulate one-slow recovery --pickers least-requests,p2c --out report.html\n  evenkeel simulate --judge --seeds 20 --out judgement.html',
    )
    .action(async (names: readonly string[], options: SimulateOptions, command: Command) => {
      if (options.list === true) {
        list(options.json === true)
        return
      }
      const { out } = options
      if (out !== undefined && !/\.(html|md)$/.test(out)) {
        command.error(`error: --out ${out}: a report is a .html or a .md file`, { exitCode: 2 })
      }
      if (options.trace !== undefined && names.length > 0) {
        command.error('error: give a scenario or --trace, not both', { exitCode: 2 })
      }
      const scenarios =
        options.trace === undefined ? chosenScenarios(names, options, command) : [await readTrace(options)]
      const chosen = options.pickers === undefined ? null : chosenPickers(options.pickers, command)
      const plan: StudyPlan = {
        parts: scenarios.map((scenario) => ({ scenario, pickers: chosen ?? pickersFor(scenario) })),
        seeds: options.seeds ?? (options.judge === true ? JUDGE_SEEDS : SEEDS),
        firstSeed: options.firstSeed,
      }
      const startedMs = performance.now()
      const results = run(plan)
      const head = {
        title: options.judge === true ? 'Pickers judged' : `Pickers in ${scenarios.map(({ name }) => name).join(', ')}`,
        command: commandLine(names, options),
        version: productVersion(),
      }
      if (out !== undefined) {
        write(out, out.endsWith('.md') ? markdownReport(results, head) : htmlReport(results, head))
      }
      if (options.json === true)
        console.log(JSON.stringify({ ok: true, ...head, results: results.map(jsonOf) }, null, 2))
      else {
        const isMany = results.length > 1
        for (const result of results) if (options.judge !== true) printResult(result)
        if (isMany || options.judge === true) printJudgement(results)
        const runs = plan.parts.reduce((sum, { pickers }) => sum + pickers.length * plan.seeds, 0)
        console.log(
          dim(
            `\n${runs} runs in ${span(performance.now() - startedMs)}${out === undefined ? '' : `; ${out} has the charts`}`,
          ),
        )
      }
    })
}

function chosenScenarios(names: readonly string[], options: SimulateOptions, command: Command): readonly Scenario[] {
  if (names.includes('all')) return SCENARIOS
  if (names.length === 0) {
    return SCENARIOS.filter(({ name, isAffinity }) =>
      options.judge === true ? isAffinity !== true : name === DEFAULT_SCENARIO,
    )
  }
  return [...new Set(names)].map((name) => {
    const found = SCENARIOS.find((scenario) => scenario.name === name)
    if (found !== undefined) return found
    const near = nearest(
      name,
      SCENARIOS.map((scenario) => scenario.name),
    )
    return command.error(
      `error: there is no scenario '${name}'${near === undefined ? '' : `, did you mean ${near}?`}\n(evenkeel simulate --list says what there is)`,
      { exitCode: 2 },
    )
  })
}

function chosenPickers(text: string, command: Command): readonly PickerChoice[] {
  const choices = text.split(',').map((each) => {
    const choice = parseChoice(each)
    if ('create' in choice) return choice
    const near = nearest(each.split(':')[0]!.trim(), choiceNames())
    return command.error(
      `error: --pickers: ${choice.problem}${near === undefined || !choice.problem.startsWith('there is no') ? '' : `, did you mean ${near}?`}`,
      { exitCode: 2 },
    )
  })
  return [...new Map(choices.map((choice) => [choice.label, choice])).values()]
}

/** Where keys matter the pickers that go by keys, and one that does not to compare; elsewhere all the others. */
function pickersFor(scenario: Scenario): readonly PickerChoice[] {
  if (scenario.isAffinity !== true) return [...choicesOf('balancing'), ORACLE]
  return [...choicesOf('keyed'), ...choicesOf('balancing').filter(({ label }) => label === YARDSTICK)]
}

async function readTrace(options: SimulateOptions): Promise<Scenario> {
  const file = resolve(options.trace!)
  const trace = new AccessLogTrace()
  try {
    for await (const line of createInterface({
      input: createReadStream(file, 'utf8'),
      crlfDelay: Number.POSITIVE_INFINITY,
    })) {
      trace.add(line)
    }
  } catch (error) {
    throw new CommandError(`${options.trace} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
  if (trace.size < 2) {
    throw new CommandError(`${options.trace} has no requests to play`, {
      hint: "it must be an access log of Evenkeel's: a JSON object per line, with time and first_byte_ms",
    })
  }
  for (const [number, what] of [
    [trace.skipped, 'lines have no request that an endpoint answered, and are skipped'],
    [trace.leftOut, 'requests are more than can be played, and are left out'],
  ] as const) {
    if (number > 0) console.error(dim(`${number} ${what}`, process.stderr))
  }
  return trace.scenario(options)
}

// ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function run(plan: StudyPlan): ScenarioResult[] {
  const study = runStudy(plan)
  const progress = new Progress()
  for (;;) {
    const step = study.next()
    if (step.done === true) {
      progress.end()
      return step.value
    }
    progress.show(step.value)
  }
}

/** A bar on a terminal, elsewhere a line for every scenario that is done; both on standard error. */
class Progress {
  readonly #isTerminal = process.stderr.isTTY && process.env['TERM'] !== 'dumb'
  readonly #startedMs = performance.now()
  #shownMs = 0
  #scenario = ''
  #scenarioMs = performance.now()

  show(progress: StudyProgress): void {
    const nowMs = performance.now()
    if (!this.#isTerminal) {
      if (progress.scenario !== this.#scenario) this.#scenarioDone(nowMs)
      this.#scenario = progress.scenario
      return
    }
    if (nowMs - this.#shownMs < REDRAW_MS) return
    this.#shownMs = nowMs
    const { runsDone, runsTotal, runRatio, scenario, picker, seed } = progress
    const done = Math.min(1, (runsDone + (runRatio < 1 ? runRatio : 0)) / runsTotal)
    const elapsedMs = nowMs - this.#startedMs
    const left = done > 0.01 ? `, ${span((elapsedMs * (1 - done)) / done)} left` : ''
    const width = 24
    const full = Math.round(done * width)
    const text = `${'█'.repeat(full)}${'░'.repeat(width - full)} ${(done * 100).toFixed(0).padStart(3)} %${left}  ${scenario}, ${picker}, seed ${seed}`
    process.stderr.write(`\r\x1b[K${text.slice(0, Math.max(20, process.stderr.columns - 1))}`)
  }

  end(): void {
    if (this.#isTerminal) process.stderr.write('\r\x1b[K')
    else this.#scenarioDone(performance.now())
  }

  #scenarioDone(nowMs: number): void {
    if (this.#scenario !== '') console.error(`${this.#scenario}: done in ${span(nowMs - this.#scenarioMs)}`)
    this.#scenarioMs = nowMs
  }
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text)
  } catch (error) {
    throw new CommandError(`${file} cannot be written: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** What makes the same report again, whatever was defaulted. */
function commandLine(names: readonly string[], options: SimulateOptions): string {
  const parts = ['evenkeel simulate', ...names]
  if (options.judge === true) parts.push('--judge')
  if (options.trace !== undefined) {
    parts.push(`--trace ${options.trace} --endpoints ${options.endpoints} --slots ${options.slots}`)
    parts.push(`--balancers ${options.balancers}`)
  }
  if (options.pickers !== undefined) parts.push(`--pickers ${options.pickers}`)
  if (options.seeds !== undefined) parts.push(`--seeds ${options.seeds}`)
  if (options.firstSeed !== 1) parts.push(`--first-seed ${options.firstSeed}`)
  return parts.join(' ')
}

// ── what is printed ─────────────────────────────────────────────────────────────────────────────────────────────────

function list(asJson: boolean): void {
  if (asJson) {
    const scenarios = SCENARIOS.map(({ name, summary, isAffinity = false }) => ({ name, summary, isAffinity }))
    console.log(JSON.stringify({ ok: true, scenarios, pickers: choiceNames() }, null, 2))
    return
  }
  const columns: readonly Column[] = [
    { title: 'scenario', align: 'left' },
    { title: 'endpoints', align: 'right' },
    { title: 'balancers', align: 'right' },
    { title: 'what it asks', align: 'left' },
  ]
  const rows = SCENARIOS.map((scenario): Cell[] => [
    { text: scenario.name, paint: bold },
    { text: String(endpointCount(scenario)) },
    { text: String(scenario.balancers ?? 1) },
    { text: scenario.summary },
  ])
  for (const line of tableLines(columns, rows, dim)) console.log(line)
  console.log(`\n${dim('pickers')}  ${choiceNames().join(', ')}`)
}

function printResult(result: ScenarioResult): void {
  const shown = columnsOf(result)
  const columns: readonly Column[] = [
    { title: 'picker', align: 'left' },
    ...shown.map(({ title }): Column => ({ title, align: 'right' })),
  ]
  const rows = result.pickers.map((picker): Cell[] => {
    const paint = picker.isOracle ? dim : picker.picker === result.best ? good : plain
    return [{ text: picker.picker, paint }, ...shown.map(({ of }): Cell => ({ text: of(picker), paint }))]
  })
  console.log(`\n${bold(result.scenario.name)}  ${result.scenario.summary}`)
  for (const line of tableLines(columns, rows, dim)) console.log(`  ${line}`)
}

function printJudgement(results: readonly ScenarioResult[]): void {
  const judgements = judge(results)
  // Side by side where it fits: a column per scenario is too wide for a terminal, one per picker is as well. So: the matrix by
  // scenario number, and the names below.
  const columns: readonly Column[] = [
    { title: 'picker', align: 'left' },
    { title: 'worst', align: 'right' },
    { title: 'in', align: 'left' },
    ...results.map((_, index): Column => ({ title: String(index + 1), align: 'right' })),
  ]
  const rows = judgements.map(({ picker, isOracle, worst, worstScenario, ratios }): Cell[] => [
    { text: picker, paint: isOracle ? dim : plain },
    { text: interval(worst), paint: isOracle ? dim : plain },
    { text: worstScenario, paint: dim },
    ...ratios.map((each): Cell => {
      if (each === null) return { text: '–', paint: dim }
      const paint = isOracle ? dim : each.median <= 1.05 ? good : each.median > 1.5 ? bad : plain
      return { text: ratio(each.median), paint }
    }),
  ])
  console.log(
    `\n${bold("p99 over that of the scenario's best picker")}, medians over seeds; the interval of the worst has 95 %`,
  )
  for (const line of tableLines(columns, rows, dim)) console.log(`  ${line}`)
  const names = results.map(({ scenario }, index) => `${index + 1} ${scenario.name}`)
  console.log(dim(`\n  ${names.join(', ')}`))
}

/** Without what only charts need. */
function jsonOf({ scenario, best, seeds, pickers }: ScenarioResult) {
  return {
    scenario: scenario.name,
    summary: scenario.summary,
    best,
    seeds,
    pickers: pickers.map(({ timeline: _timeline, tail, ...rest }) => ({
      ...rest,
      tail: tail.map(([above, latencyMs]) => ({ above, latencyMs })),
    })),
  }
}

function count(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(`it must be a whole number from ${min} to ${max}.`)
    }
    return value
  }
}

function span(elapsedMs: number): string {
  const seconds = elapsedMs / 1000
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 100) return `${seconds.toFixed(0)} s`
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
}

function dim(text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText('dim', text, { stream })
}

function bold(text: string): string {
  return styleText('bold', text, { stream: process.stdout })
}

function good(text: string): string {
  return styleText('green', text, { stream: process.stdout })
}

function bad(text: string): string {
  return styleText('red', text, { stream: process.stdout })
}

function plain(text: string): string {
  return text
}
