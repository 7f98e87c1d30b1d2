import type { Accept, Explanation, Members, Picker } from '../picker.ts'

/** Part of a picker that limits what may be taken beyond the caller's veto. */
export interface Admitting {
  /** Whether an endpoint that something else has chosen (a session) may be taken as far as this picker goes. */
  admits(position: number, accept: Accept): boolean
}

/** A picker around another: it changes what the inner one sees of members and vetoes. Passes on what endpoints teach. */
export abstract class Modifier implements Picker, Admitting {
  readonly inner: Picker
  // Absent where the inner picker has none, so that the host does not call for nothing.
  began?: (slot: number) => void
  ended?: (slot: number, latencyMs: number, outcome: number) => void
  readonly wantsProbe?: () => number
  readonly probed?: (slot: number, inFlight: number, latencyMs: number) => void

  constructor(inner: Picker) {
    this.inner = inner
    if (inner.began !== undefined) this.began = (slot) => inner.began?.(slot)
    if (inner.ended !== undefined) this.ended = (slot, latencyMs, outcome) => inner.ended?.(slot, latencyMs, outcome)
    if (inner.wantsProbe !== undefined) this.wantsProbe = () => inner.wantsProbe?.() ?? -1
    if (inner.probed !== undefined)
      this.probed = (slot, inFlight, latencyMs) => inner.probed?.(slot, inFlight, latencyMs)
  }

  abstract update(members: Members): void
  abstract pick(key: number, accept: Accept): number
  abstract explain(key: number, accept: Accept): Explanation

  admits(position: number, accept: Accept): boolean {
    return admits(this.inner, position, accept)
  }
}

/** Whether `position` may be taken although `picker` did not choose it. */
export function admits(picker: Picker, position: number, accept: Accept): boolean {
  return isAdmitting(picker) ? picker.admits(position, accept) : accept(position)
}

function isAdmitting(picker: Picker): picker is Picker & Admitting {
  return 'admits' in picker
}

/** The explanation of a picker that may have none. */
export function explainInner(picker: Picker, key: number, accept: Accept): Explanation {
  return (
    picker.explain?.(key, accept) ?? {
      position: picker.pick(key, accept),
      reason: 'the picker does not explain itself',
      candidates: [],
      others: 0,
    }
  )
}
