/** What differs between two plans, in the terms in which workers are told. Pure. */
import { formatAddress } from '../core/address.ts'
import { listenerSocket } from '../pool/listener-socket.ts'
import type { EndpointPlan, ListenerPlan, Plan, PoolPlan } from '../pool/plan.ts'

type UnversionedPlan = Omit<Plan, 'version'>

/** What a pool's endpoints differ in; null: in nothing. */
export interface PoolDifference {
  readonly name: string
  readonly before: PoolPlan
  readonly endpoints: EndpointsDifference | null
}

export interface EndpointsDifference {
  readonly add: readonly EndpointPlan[]
  /** Ids. */
  readonly remove: readonly string[]
  /** In the order that workers have: what stays, then what is new. */
  readonly result: readonly EndpointPlan[]
}

/**
 * What differs, in steps, pool by pool in the order of both; null where the plans differ in something that deltas and refreshes cannot
 * say: then workers need the whole plan.
 */
export function* differenceSteps(
  before: UnversionedPlan,
  after: UnversionedPlan,
): Generator<void, readonly PoolDifference[] | null> {
  if (structureOf(before) !== structureOf(after)) return null
  const differences: PoolDifference[] = []
  for (const [index, pool] of after.pools.entries()) {
    const known = before.pools[index]!
    yield
    if (isRezoned(known, pool)) return null
    yield
    differences.push({ name: pool.name, before: known, endpoints: diffEndpoints(known.endpoints, pool.endpoints) })
  }
  return differences
}

/** Listeners of `from` whose socket `other` has not: they are to be opened, or, the other way round, closed. */
export function listenersMissingIn(other: UnversionedPlan, from: UnversionedPlan): ListenerPlan[] {
  const open = new Set(other.listeners.map(listenerSocket))
  return from.listeners.filter((listener) => !open.has(listenerSocket(listener)))
}

function diffEndpoints(before: readonly EndpointPlan[], after: readonly EndpointPlan[]): EndpointsDifference | null {
  const had = placesOf(before)
  const has = placesOf(after)
  const add = after.filter((endpoint) => !isPlaced(had, endpoint))
  const gone = before.filter((endpoint) => !isPlaced(has, endpoint))
  if (add.length === 0 && gone.length === 0) return null
  const remove = gone.map(({ id }) => id)
  const removed = new Set(remove)
  return { add, remove, result: [...before.filter(({ id }) => !removed.has(id)), ...add] }
}

function structureOf({ listeners, routes, pools, identity, accessLog }: UnversionedPlan): string {
  return JSON.stringify({
    listeners,
    routes,
    identity,
    accessLog,
    pools: pools.map((pool) => ({ ...pool, endpoints: null })),
  })
}

/** A zone or a tier changed and nothing else: in a delta the endpoint would leave and come back, and lose its connections. */
function isRezoned(before: PoolPlan, after: PoolPlan): boolean {
  const places = placesOf(before.endpoints)
  return after.endpoints.some(
    (endpoint) =>
      isPlaced(places, endpoint) &&
      (places.get(endpoint.slot)!.zone !== endpoint.zone || places.get(endpoint.slot)!.tier !== endpoint.tier),
  )
}

/** The row is unique within a pool, and much cheaper to compare by than a text made of everything. */
function placesOf(endpoints: readonly EndpointPlan[]): ReadonlyMap<number, EndpointPlan> {
  return new Map(endpoints.map((endpoint) => [endpoint.slot, endpoint]))
}

/** Is an endpoint there with everything about it that a worker cannot change in place? */
function isPlaced(places: ReadonlyMap<number, EndpointPlan>, { id, slot, generation, address }: EndpointPlan): boolean {
  const known = places.get(slot)
  return (
    known !== undefined &&
    known.id === id &&
    known.generation === generation &&
    (known.address === address || formatAddress(known.address) === formatAddress(address))
  )
}
