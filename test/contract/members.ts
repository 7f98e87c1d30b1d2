import type { Accept, Members } from '../../src/core/balance/picker.ts'

/** Members in slots 0, 1, 2, … unless `slots` says otherwise. */
export function membersOf(weights: readonly number[], slots?: readonly number[]): Members {
  return {
    count: weights.length,
    slots: Int32Array.from(slots ?? weights.map((_, position) => position)),
    weights: Float64Array.from(weights),
    ids: weights.map((_, position) => `e${slots?.[position] ?? position}`),
  }
}

/** No veto. */
export const acceptAll: Accept = () => true
