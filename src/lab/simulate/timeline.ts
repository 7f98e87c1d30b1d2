import type { Timeline } from './result.ts'
import type { Scenario } from './scenario.ts'
import { endpointCount } from './scenario.ts'

const BINS = 60
/** With more endpoints than this a row is a group. */
const ROWS_MAX = 16

/** Names of the endpoints, the same in every run: the group's name and a number. */
export function endpointIds(scenario: Scenario): string[] {
  return scenario.groups.flatMap(({ name, count }) =>
    count === 1 ? [name] : Array.from({ length: count }, (_, index) => `${name}-${index + 1}`),
  )
}

/** Counts attempts over the whole run, in `BINS` steps. */
export class TimelineCounter {
  readonly #binMs: number
  readonly #rowOf: Int32Array
  readonly #rows: Timeline['rows']
  readonly #counts: Float64Array

  constructor(scenario: Scenario, groupOf: Int32Array) {
    this.#binMs = scenario.durationMs / BINS
    const { groups } = scenario
    const isByEndpoint = endpointCount(scenario) <= ROWS_MAX
    this.#rowOf = isByEndpoint ? Int32Array.from(groupOf.keys()) : groupOf
    this.#rows = isByEndpoint
      ? endpointIds(scenario).map((name, endpoint) => ({ name, group: groups[groupOf[endpoint]!]!.name, endpoints: 1 }))
      : groups.map(({ name, count }) => ({ name, group: name, endpoints: count }))
    this.#counts = new Float64Array(this.#rows.length * BINS)
  }

  count(endpoint: number, now: number): void {
    const bin = Math.floor(now / this.#binMs)
    if (bin >= BINS) return
    const at = this.#rowOf[endpoint]! * BINS + bin
    this.#counts[at] = this.#counts[at]! + 1
  }

  get timeline(): Timeline {
    return { binMs: this.#binMs, bins: BINS, rows: this.#rows, counts: this.#counts }
  }
}
