/** The names and states behind the numbers in shared memory, as the service and callers see them. */
import type { Settings } from '../config/schema.ts'
import { formatAddress } from '../core/address.ts'
import type { LastCheck } from '../pool/health-checks.ts'
import type { Plan } from '../pool/plan.ts'
import type { BalancerView, EndpointView, WorkerView } from '../service/protocol.ts'
import type { EndpointRecord } from './plan.ts'

/** What a view is made of beside the plan. */
export interface ViewSources {
  readonly product: string
  readonly startedAtMs: number
  readonly state: BalancerView['state']
  readonly config: BalancerView['config']
  readonly settings: Settings
  readonly plan: Plan
  readonly records: Iterable<EndpointRecord>
  readonly workers: readonly WorkerView[]
  readonly lastCheck: (slot: number) => LastCheck | null
}

/** O(endpoints): 10 000 take some 2 ms. */
export function makeView(sources: ViewSources): BalancerView {
  const { product, startedAtMs, state, config, settings, plan, records, workers, lastCheck } = sources
  const byPool = new Map(Object.keys(settings.pools).map((name): [string, EndpointView[]] => [name, []]))
  for (const record of records) {
    for (const pool of record.pools) byPool.get(pool)?.push(endpointView(record, pool, lastCheck(record.slot)))
  }
  const binds = new Map(settings.listeners.map(({ name, bind }) => [name, bind]))
  return {
    version: plan.version,
    product,
    pid: process.pid,
    startedAtMs,
    state,
    config,
    workers,
    // One that moves is in the plan twice for a moment, where it goes first.
    listeners: uniqueByName(plan.listeners).map(({ name, slot, address }) => ({
      name,
      slot,
      bind: binds.get(name) ?? formatAddress(address),
      port: address.kind === 'ip' ? address.port : null,
    })),
    routes: settings.routes.map(({ name, pool, match }) => ({ name, pool, summary: summaryOf(match) })),
    pools: Object.entries(settings.pools).map(([name, { balance }]) => ({
      name,
      picker: balance.name,
      endpoints: byPool.get(name)!,
    })),
  }
}

function uniqueByName<T extends { readonly name: string }>(all: readonly T[]): T[] {
  return all.filter(({ name }, index) => all.findIndex((other) => other.name === name) === index)
}

function endpointView(record: EndpointRecord, pool: string, lastCheck: LastCheck | null): EndpointView {
  const { id, slot, generation, configured, zones, state, base, overlay, pools, healthPool } = record
  const address = formatAddress(record.address ?? configured)
  const zone = zones.get(pool) ?? null
  return { id, slot, generation, address, zone, state, base, overlay, pools, healthPool, lastCheck }
}

/** A match in words: `host a.example or b.example, path /x/*`. */
function summaryOf({ listener, hosts, paths, methods, headers }: Settings['routes'][number]['match']): string {
  const parts = [
    listener === undefined ? [] : [`listener ${listener}`],
    hosts === undefined ? [] : [`host ${hosts.join(' or ')}`],
    paths === undefined ? [] : [`path ${paths.join(' or ')}`],
    methods === undefined ? [] : [`method ${methods.join(' or ')}`],
    // The value may be a secret shared with a proxy in front: the status is open to more readers than the config.
    (headers ?? []).map(({ name, value }) => (value === null ? `header ${name}` : `header ${name}: …`)),
  ].flat()
  return parts.length === 0 ? 'every request' : parts.join(', ')
}
