import type { EndpointState } from '../service/protocol.ts'
import type { ControlRefusal, EndpointChange } from './balancer.ts'
import type { EndpointRecord } from './plan.ts'

const STATES: ReadonlySet<EndpointState> = new Set(['active', 'draining', 'maintenance'])

/** The endpoint that a change means, or why there is not exactly one. */
export type FoundEndpoint =
  | { readonly ok: true; readonly record: EndpointRecord }
  | { readonly ok: false; readonly code: ControlRefusal; readonly message: string }

/** Finds what a change is for, and checks its values. */
export function findEndpoint(change: EndpointChange, records: Iterable<EndpointRecord>): FoundEndpoint {
  const wrong = wrongValue(change)
  return wrong === null ? findRecord(change, records) : { ok: false, code: 'bad-value', message: wrong }
}

/** The one endpoint of this id, in this pool where one is named. */
export function findRecord(
  { id, pool = null }: Pick<EndpointChange, 'id' | 'pool'>,
  records: Iterable<EndpointRecord>,
): FoundEndpoint {
  const found = [...records].filter((record) => record.id === id && (pool === null || record.pools.includes(pool)))
  const [record] = found
  if (record === undefined) {
    const message = pool === null ? `there is no endpoint '${id}'` : `pool '${pool}' has no endpoint '${id}'`
    return { ok: false, code: 'not-found', message }
  }
  if (found.length === 1) return { ok: true, record }
  const pools = found.flatMap((each) => each.pools).join(', ')
  const message = `'${id}' stands for different endpoints in the pools ${pools}: name the pool`
  return { ok: false, code: 'ambiguous', message }
}

function wrongValue({ weight, state }: EndpointChange): string | null {
  if (weight === undefined && state === undefined) return 'nothing to change: give a weight or a state'
  if (weight !== undefined && weight !== null && !(weight >= 0 && weight <= 1_000_000)) {
    return `the weight must be 0 to 1000000, not ${weight}`
  }
  if (state !== undefined && state !== null && !STATES.has(state)) {
    return `the state must be active, draining or maintenance, not ${String(state)}`
  }
  return null
}
