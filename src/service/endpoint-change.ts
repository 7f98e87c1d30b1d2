/** The body of `POST /api/v1/endpoints/{id}`, checked by hand: three keys, and a message for each way to get them wrong. */
import { nearest } from '../config/nearest.ts'
import type { ApiProblem } from './problem-response.ts'
import type { BalancerView, EndpointState } from './protocol.ts'

/** A change as asked for. `pool` null: whichever pool has the id. */
export interface EndpointChangeRequest {
  readonly pool: string | null
  readonly weight?: number
  readonly state?: EndpointState
}

/** The same bound as the config's. */
const WEIGHT_MAX = 1_000_000
const STATES: readonly EndpointState[] = ['active', 'draining', 'maintenance']
const KEYS = ['weight', 'state', 'pool']

/** Reads a body; the problem says which key is wrong and what was probably meant. */
export function readEndpointChange(text: string): EndpointChangeRequest | ApiProblem {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return wrong(`The body is not JSON: ${(error as Error).message}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return wrong('The body must be a JSON object.')
  const body = value as Record<string, unknown>
  for (const key of Object.keys(body)) {
    if (!KEYS.includes(key)) return wrong(`The key ${quote(key)} is not known.`, nearest(key, KEYS))
  }
  const { weight, state, pool } = body
  if (weight !== undefined && !(typeof weight === 'number' && weight >= 0 && weight <= WEIGHT_MAX)) {
    return wrong(`'weight' must be a number from 0 to ${WEIGHT_MAX}.`)
  }
  if (state !== undefined && !STATES.includes(state as EndpointState)) {
    const hint = typeof state === 'string' ? nearest(state, STATES) : undefined
    return wrong(`'state' must be one of ${STATES.join(', ')}.`, hint)
  }
  if (pool !== undefined && typeof pool !== 'string') return wrong("'pool' must be a pool's name.")
  if (weight === undefined && state === undefined) return wrong("One of 'weight' and 'state' must be given.")
  return {
    pool: pool ?? null,
    ...(weight === undefined ? {} : { weight }),
    ...(state === undefined ? {} : { state: state as EndpointState }),
  }
}

/** Is there such an endpoint (in that pool)? A problem with the nearest name, or null when there is. */
export function unknownEndpoint(view: BalancerView, id: string, pool: string | null): ApiProblem | null {
  const pools = pool === null ? view.pools : view.pools.filter(({ name }) => name === pool)
  if (pool !== null && pools.length === 0) {
    const hint = nearest(
      pool,
      view.pools.map(({ name }) => name),
    )
    return { status: 404, title: 'no such pool', detail: `There is no pool ${quote(pool)}.`, hint }
  }
  const ids = pools.flatMap(({ endpoints }) => endpoints.map((endpoint) => endpoint.id))
  if (ids.includes(id)) return null
  const where = pool === null ? '' : ` in the pool ${quote(pool)}`
  const hint = nearestId(id, ids)
  const list = hint === undefined ? `: ${listOf([...new Set(ids)])}` : ''
  return { status: 404, title: 'no such endpoint', detail: `There is no endpoint ${quote(id)}${where}${list}.`, hint }
}

/** A port alone, or a host alone, is taken for the one endpoint that has it. */
function nearestId(id: string, ids: readonly string[]): string | undefined {
  const parts = new Set(ids.filter((each) => each.endsWith(`:${id}`) || each.startsWith(`${id}:`)))
  return parts.size === 1 ? [...parts][0] : nearest(id, ids)
}

const LISTED_MAX = 8

function listOf(ids: readonly string[]): string {
  if (ids.length === 0) return 'there are none'
  const more = ids.length > LISTED_MAX ? ` and ${ids.length - LISTED_MAX} more` : ''
  return `there ${ids.length === 1 ? 'is' : 'are'} ${ids.slice(0, LISTED_MAX).map(quote).join(', ')}${more}`
}

/** A name from a request as it may stand in an answer: bounded, on one line. */
function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}

function wrong(detail: string, hint?: string): ApiProblem {
  return { status: 400, title: 'the change is malformed', detail, hint }
}
