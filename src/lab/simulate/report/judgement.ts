import type { MedianInterval } from '../statistics.ts'
import type { ScenarioResult } from '../study.ts'

/** One picker over all scenarios that it ran in. */
export interface PickerJudgement {
  readonly picker: string
  readonly isOracle: boolean
  /** By scenario, in the order of the results; null where it did not run. */
  readonly ratios: readonly (MedianInterval | null)[]
  /** The highest median, with its interval and scenario. */
  readonly worst: MedianInterval
  readonly worstScenario: string
}

/** Pickers by their worst p99 over the best one's, the best first; oracles last. */
export function judge(results: readonly ScenarioResult[]): PickerJudgement[] {
  const names = new Set(results.flatMap(({ pickers }) => pickers.map(({ picker }) => picker)))
  const judgements = Array.from(names, (name): PickerJudgement => {
    const found = results.map(({ pickers }) => pickers.find(({ picker }) => picker === name) ?? null)
    let worst: MedianInterval = { median: Number.NEGATIVE_INFINITY, lower: Number.NaN, upper: Number.NaN }
    let worstScenario = ''
    for (const [index, each] of found.entries()) {
      if (each === null || each.p99OverBest.median <= worst.median) continue
      worst = each.p99OverBest
      worstScenario = results[index]!.scenario.name
    }
    return {
      picker: name,
      isOracle: found.some((each) => each?.isOracle === true),
      ratios: found.map((each) => each?.p99OverBest ?? null),
      worst,
      worstScenario,
    }
  })
  return judgements.sort(
    (a, b) =>
      Number(a.isOracle) - Number(b.isOracle) || a.worst.median - b.worst.median || (a.picker < b.picker ? -1 : 1),
  )
}
