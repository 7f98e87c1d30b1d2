import type { Accept, Explanation, Picker } from '../picker.ts'
import { admits, explainInner } from './modifier.ts'

/**
 * The endpoint that a session is bound to, where it may be taken: accepted by the caller, and by the modifiers of the picker
 * (not over its bound of load, healthy unless in a panic). Else, or with `bound` < 0, what the picker picks: bind to that.
 */
export function pickBound(picker: Picker, bound: number, key: number, accept: Accept): number {
  return bound >= 0 && admits(picker, bound, accept) ? bound : picker.pick(key, accept)
}

/** Makes the pick that `pickBound` would make, and says why. */
export function explainBound(picker: Picker, bound: number, key: number, accept: Accept): Explanation {
  if (bound < 0) return explainInner(picker, key, accept)
  if (admits(picker, bound, accept)) {
    return { position: bound, reason: 'the session is bound to it, and it may be taken', candidates: [], others: 0 }
  }
  const told = explainInner(picker, key, accept)
  const why = accept(bound) ? 'is unhealthy or over its bound of load' : 'is refused'
  return { ...told, reason: `the session's endpoint ${why}; ${told.reason}` }
}
