import { Histogram } from '../../core/signals/histogram.ts'
import { type KeysMoved, keysMoved } from './keys-moved.ts'
import { ORACLE_NAME } from './picker-choices.ts'
import type { GroupResult, RunResult, Timeline } from './result.ts'
import { errorRatio, quantileOf } from './result.ts'
import type { Scenario } from './scenario.ts'
import { type PickerChoice, Simulation } from './simulation.ts'
import { type MedianInterval, medianInterval } from './statistics.ts'

/** What is to be run. */
export interface StudyPlan {
  readonly parts: readonly { readonly scenario: Scenario; readonly pickers: readonly PickerChoice[] }[]
  /** Seeds `firstSeed`, `firstSeed` + 1, … are run for each. */
  readonly seeds: number
  readonly firstSeed: number
}

export interface StudyProgress {
  readonly runsDone: number
  readonly runsTotal: number
  readonly scenario: string
  readonly picker: string
  readonly seed: number
  /** Of this run, 0 to 1 in simulated time; what is in flight at the end comes on top. */
  readonly runRatio: number
}

/** A picker in a scenario, over all seeds. Times in milliseconds; all but `p99OverBest` and `p99` are medians over seeds. */
export interface PickerResult {
  readonly picker: string
  /** It knows what no real picker can. */
  readonly isOracle: boolean
  readonly meanMs: number
  readonly p50: number
  readonly p90: number
  readonly p99: MedianInterval
  readonly p999: number
  /** This picker's p99 over that of the best realisable picker of the scenario (the one with the least median), seed by seed. */
  readonly p99OverBest: MedianInterval
  readonly errorRatio: number
  readonly perSecond: number
  readonly utilisation: number
  readonly peakUtilisation: number
  readonly utilisationDeviation: number
  readonly imbalance: number
  readonly focusShare: number | null
  readonly focusFairShare: number | null
  readonly hitRatio: number | null
  readonly keysMoved: KeysMoved | null
  /** Further attempts, and probes, per request. */
  readonly retryRatio: number
  readonly hedgeRatio: number
  readonly probeRatio: number
  /** Of the first seed. */
  readonly groups: readonly GroupResult[]
  readonly timeline: Timeline
  /** Of all seeds together: [1 - quantile, latency]. */
  readonly tail: readonly (readonly [rest: number, latencyMs: number])[]
}

export interface ScenarioResult {
  readonly scenario: Scenario
  /** By median p99, the best first. */
  readonly pickers: readonly PickerResult[]
  /** The best realisable one; null when only the oracle ran. */
  readonly best: string | null
  readonly seeds: number
}

/** Events between two looks at the clock by whoever drives a study. */
const EVENTS_PER_STEP = 200_000
/** 1 - q from 0.5 to 0.0001. */
const TAIL: readonly number[] = Array.from({ length: 30 }, (_, step) => 0.5 * 10 ** ((-step * 3.7) / 29))

/** Runs a plan, a part at a time: each step is a fraction of a second. Returns the results in the order of the plan. */
export function* runStudy(plan: StudyPlan): Generator<StudyProgress, ScenarioResult[]> {
  const runsTotal = plan.parts.reduce((total, { pickers }) => total + pickers.length * plan.seeds, 0)
  const results: ScenarioResult[] = []
  let runsDone = 0
  for (const { scenario, pickers } of plan.parts) {
    const gathered: Gathered[] = pickers.map((choice) => ({ choice, runs: [], latency: new Histogram() }))
    // Seed by seed, so that what slows the machine down for a while meets all pickers.
    for (let seed = plan.firstSeed; seed < plan.firstSeed + plan.seeds; seed++) {
      for (const each of gathered) {
        const simulation = new Simulation(scenario, each.choice, seed)
        const at = { runsTotal, scenario: scenario.name, picker: each.choice.label, seed }
        while (simulation.step(EVENTS_PER_STEP)) {
          yield { ...at, runsDone, runRatio: Math.min(1, simulation.nowMs / scenario.durationMs) }
        }
        gather(each, simulation.result())
        runsDone++
        yield { ...at, runsDone, runRatio: 1 }
      }
    }
    results.push(summarise(scenario, gathered, plan.seeds))
  }
  return results
}

/** A run without its histogram and timeline, which would be kept for nothing. */
interface RunFigures extends Omit<RunResult, 'latency' | 'timeline'> {
  readonly meanMs: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
}

interface Gathered {
  readonly choice: PickerChoice
  readonly runs: RunFigures[]
  /** Of all runs. */
  readonly latency: Histogram
  timeline?: Timeline
}

function gather(each: Gathered, result: RunResult): void {
  const { latency, timeline, ...rest } = result
  each.timeline ??= timeline
  each.latency.merge(latency)
  each.runs.push({
    ...rest,
    meanMs: latency.mean,
    p50: quantileOf(latency, 0.5),
    p90: quantileOf(latency, 0.9),
    p99: quantileOf(latency, 0.99),
    p999: quantileOf(latency, 0.999),
  })
}

function summarise(scenario: Scenario, gathered: readonly Gathered[], seeds: number): ScenarioResult {
  const medianP99 = (each: Gathered): number => medianInterval(each.runs.map(({ p99 }) => p99)).median
  const sorted = [...gathered].sort((a, b) => medianP99(a) - medianP99(b))
  const best = sorted.find(({ choice }) => choice.label !== ORACLE_NAME)
  return {
    scenario,
    best: best?.choice.label ?? null,
    seeds,
    pickers: sorted.map((each) => summarisePicker(scenario, each, best ?? each)),
  }
}

function summarisePicker(scenario: Scenario, each: Gathered, best: Gathered): PickerResult {
  const { choice, runs, latency } = each
  const median = (of: (run: RunFigures) => number): number => medianInterval(runs.map(of)).median
  const medianOrNull = (of: (run: RunFigures) => number | null): number | null => {
    const values = runs.map(of).filter((value) => value !== null)
    return values.length === 0 ? null : medianInterval(values).median
  }
  return {
    picker: choice.label,
    isOracle: choice.label === ORACLE_NAME,
    meanMs: median(({ meanMs }) => meanMs),
    p50: median(({ p50 }) => p50),
    p90: median(({ p90 }) => p90),
    p99: medianInterval(runs.map(({ p99 }) => p99)),
    p999: median(({ p999 }) => p999),
    p99OverBest: medianInterval(runs.map(({ p99 }, index) => p99 / best.runs[index]!.p99)),
    errorRatio: median(errorRatio),
    perSecond: median(({ perSecond }) => perSecond),
    utilisation: median(({ utilisation }) => utilisation),
    peakUtilisation: median(({ peakUtilisation }) => peakUtilisation),
    utilisationDeviation: median(({ utilisationDeviation }) => utilisationDeviation),
    imbalance: median(({ imbalance }) => imbalance),
    focusShare: medianOrNull(({ focusShare }) => focusShare),
    focusFairShare: medianOrNull(({ focusFairShare }) => focusFairShare),
    hitRatio: medianOrNull(({ hitRatio }) => hitRatio),
    keysMoved: keysMoved(scenario, choice),
    retryRatio: median(({ retries, requests }) => retries / requests),
    hedgeRatio: median(({ hedges, requests }) => hedges / requests),
    probeRatio: median(({ probes, begunTotal }) => probes / begunTotal),
    groups: runs[0]!.groups,
    timeline: each.timeline!,
    tail: TAIL.map((rest) => [rest, quantileOf(latency, 1 - rest)] as const),
  }
}
