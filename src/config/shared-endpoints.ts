/**
 * An endpoint (an id at an address) that several pools have is one: it has one weight, one state and one health check. Where
 * the pools say different things of it, that is found here, before anything starts.
 */
import { parseEndpointUrl } from '../core/address.ts'
import { defaultEndpointId, endpointIdentity, type NormalEndpoint, type NormalHealth } from './normalise.ts'
import type { Finding, PathStep } from './problem.ts'

/** What stands for a value that is not written. */
const DEFAULTS = { weight: 1, state: 'active' } as const
const FIELDS = ['weight', 'state'] as const

interface Mention {
  readonly pool: string
  readonly weight: unknown
  readonly state: unknown
}

/** Endpoints as written, pool by pool; finds those that two pools give another weight or state. O(endpoints). */
export class SharedEndpoints {
  readonly #firsts = new Map<string, Mention>()
  readonly #findings: Finding[]

  constructor(findings: Finding[]) {
    this.#findings = findings
  }

  /** `path` is that of the endpoint. What has not the expected shape is stepped over: the schema names it. */
  note(pool: string, endpoint: unknown, path: readonly PathStep[]): void {
    const written: Readonly<Record<string, unknown>> =
      typeof endpoint === 'string'
        ? { url: endpoint }
        : typeof endpoint === 'object' && endpoint !== null
          ? (endpoint as Readonly<Record<string, unknown>>)
          : {}
    const { url, id, weight = DEFAULTS.weight, state = DEFAULTS.state } = written
    if (typeof url !== 'string' || (id !== undefined && typeof id !== 'string')) return
    const reading = parseEndpointUrl(url)
    if (!reading.ok) return
    const name = id ?? defaultEndpointId(reading.value)
    const key = endpointIdentity(name, reading.value)
    const here: Mention = { pool, weight, state }
    const first = this.#firsts.get(key)
    if (first === undefined) this.#firsts.set(key, here)
    // Twice in one pool is a duplicate, which is another problem.
    else if (first.pool !== pool) this.#compare(name, first, here, path, written)
  }

  #compare(
    name: string,
    first: Mention,
    here: Mention,
    path: readonly PathStep[],
    written: Readonly<Record<string, unknown>>,
  ): void {
    for (const field of FIELDS) {
      if (here[field] === first[field]) continue
      this.#findings.push({
        path: written[field] === undefined ? path : [...path, field],
        message: `'${name}' has the ${field} ${String(here[field])} in pool '${here.pool}' and ${String(first[field])} in pool '${first.pool}': one endpoint has one ${field}`,
        hint: "give it another 'id' in one of the pools, then they are two",
        severity: 'error',
        code: 'bad-value',
      })
    }
  }
}

interface CheckedPool {
  readonly endpoints: readonly NormalEndpoint[]
  readonly health: false | NormalHealth
}

/** One warning for each two pools that share endpoints and check them differently: the check of the first one is used. */
export function differingHealth(pools: Readonly<Record<string, CheckedPool>>): Finding[] {
  const checkers = new Map<string, string>()
  const found = new Map<string, { path: readonly PathStep[]; id: string; pool: string; used: string; more: number }>()
  const texts = new Map(Object.entries(pools).map(([name, { health }]) => [name, JSON.stringify(health)]))
  for (const [pool, { endpoints, health }] of Object.entries(pools)) {
    if (health === false) continue
    for (const [index, { id, address }] of endpoints.entries()) {
      const key = endpointIdentity(id, address)
      const used = checkers.get(key)
      if (used === undefined) checkers.set(key, pool)
      if (used === undefined || texts.get(used) === texts.get(pool)) continue
      const pair = JSON.stringify([used, pool])
      const earlier = found.get(pair)
      if (earlier !== undefined) earlier.more += 1
      else found.set(pair, { path: ['pools', pool, 'endpoints', index], id, pool, used, more: 0 })
    }
  }
  return [...found.values()].map(({ path, id, pool, used, more }) => ({
    path,
    message: `endpoint '${id}'${more === 0 ? ' is' : ` and ${more} more are`} checked as pool '${used}' says, not as pool '${pool}' does`,
    hint: "give it another 'id' in one of them to have both checks",
    severity: 'warning',
    code: 'doubtful',
  }))
}
