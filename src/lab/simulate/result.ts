import type { Histogram } from '../../core/signals/histogram.ts'

/** How requests ended; each ends once. */
export const Ending = {
  OK: 0,
  /** The last attempt failed. */
  FAILED: 1,
  /** Its deadline passed, or its last try took too long. */
  TIMED_OUT: 2,
  /** There was no endpoint to send it to. */
  REFUSED: 3,
  /** A queue was full or stood for too long. */
  SHED: 4,
  /** It was still under way when the simulation was broken off. */
  UNFINISHED: 5,
} as const

/** Attempts begun over time. */
export interface Timeline {
  readonly binMs: number
  readonly bins: number
  /** Endpoints, or groups where there are many. */
  readonly rows: readonly { readonly name: string; readonly group: string; readonly endpoints: number }[]
  /** By row, then by bin. */
  readonly counts: Float64Array
}

/** A group of endpoints in one run, over the measured time. */
export interface GroupResult {
  readonly name: string
  readonly endpoints: number
  /** Of all attempts. */
  readonly share: number
  /** Of the capacity that there was, antagonists counted by their mean: what `share` would be if all were equally busy. */
  readonly fairShare: number
  /** Slots that worked, of those there were. */
  readonly utilisation: number
}

/** One run: one scenario, one picker, one seed. */
export interface RunResult {
  readonly scenario: string
  readonly picker: string
  readonly seed: number
  /** Requests that came in the measured time, and how they ended, by `Ending`. */
  readonly requests: number
  readonly endings: readonly number[]
  /** From the first to the last of the run, warm-up included. */
  readonly begunTotal: number
  readonly endedTotal: number
  /** Of all measured requests; one that failed counts as `failureMs`, or longer if it took longer. */
  readonly latency: Histogram
  /** Mean wait for a slot, of all attempts that got one; and the mean of those who answered well, network included. */
  readonly waitMs: number
  readonly okMs: number
  /** Good answers per second of the measured time. */
  readonly perSecond: number
  readonly groups: readonly GroupResult[]
  /** Busy slots over slots: over the fleet, of the busiest endpoint, and the standard deviation among endpoints. */
  readonly utilisation: number
  readonly peakUtilisation: number
  readonly utilisationDeviation: number
  /** Busiest over mean. */
  readonly imbalance: number
  /** The share of attempts that went to `scenario.focus`, and its fair one; null without focus. */
  readonly focusShare: number | null
  readonly focusFairShare: number | null
  readonly attempts: number
  readonly retries: number
  readonly hedges: number
  readonly probes: number
  /** Null without caches. */
  readonly hitRatio: number | null
  readonly timeline: Timeline
  /** Events that were worked off. */
  readonly events: number
}

/**
 * The value at rank q, evenly spread within its bucket: far nearer than the bucket's middle where distributions are smooth. NaN when empty.
 */
export function quantileOf(histogram: Histogram, q: number): number {
  const rank = q * histogram.count
  let seen = 0
  for (const { from, to, count } of histogram.buckets()) {
    if (seen + count >= rank) {
      const low = Math.max(from, histogram.min)
      const high = Math.min(to, histogram.max)
      return low + ((high - low) * Math.max(0, rank - seen)) / count
    }
    seen += count
  }
  return Number.NaN
}

/** Requests without a good answer, 0 to 1. */
export function errorRatio(result: Pick<RunResult, 'requests' | 'endings'>): number {
  return result.requests === 0 ? 0 : 1 - result.endings[Ending.OK]! / result.requests
}
