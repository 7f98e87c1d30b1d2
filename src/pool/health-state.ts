/** What the completed checks of one endpoint add up to. The numbers are those of `EndpointTable.checked`. */
export const Verdict = { UNKNOWN: 0, HEALTHY: 1, UNHEALTHY: 2 } as const
export type Verdict = (typeof Verdict)[keyof typeof Verdict]

export interface HealthState {
  verdict: Verdict
  /** Results in a row that speak against `verdict`. */
  contrary: number
}

/** How many results in a row turn the verdict. Both at least 1. */
export interface HealthRule {
  readonly rise: number
  readonly fall: number
}

export function unknownHealth(): HealthState {
  return { verdict: Verdict.UNKNOWN, contrary: 0 }
}

/**
 * Counts one result; true when the verdict changed.
 *
 * The first result settles an unknown endpoint, so that a dead one is known at once. `isCertain` marks a failure that real
 * traffic saw first (a passive mark, then a failed probe): the two together are enough, whatever `fall` says.
 */
export function observeHealth(state: HealthState, isGood: boolean, rule: HealthRule, isCertain: boolean): boolean {
  const said = isGood ? Verdict.HEALTHY : Verdict.UNHEALTHY
  if (state.verdict === said) {
    state.contrary = 0
    return false
  }
  state.contrary += 1
  const isSettled = state.verdict !== Verdict.UNKNOWN && !(isCertain && !isGood)
  if (isSettled && state.contrary < (isGood ? rule.rise : rule.fall)) return false
  state.verdict = said
  state.contrary = 0
  return true
}
