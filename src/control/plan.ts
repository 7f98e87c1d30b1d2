/**
 * From settings to the plan that workers follow: rows of the shared tables given out, names replaced by addresses, what was
 * changed by hand laid over what the file says.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { endpointIdentity } from '../config/normalise.ts'
import type { Problem } from '../config/problem.ts'
import type { EndpointSettings, HealthSettings, ListenerSettings, PoolSettings, Settings } from '../config/schema.ts'
import type { SocketAddress } from '../core/address.ts'
import type { ModifierOptions } from '../core/balance/balanced-picker.ts'
import { type EndpointTable, Fitness } from '../memory/endpoint-table.ts'
import { sharedNowMs } from '../memory/shared-clock.ts'
import type { SharedMemory } from '../memory/shared-memory.ts'
import type { WorkerBoard } from '../memory/worker-board.ts'
import type { EndpointPlan, ListenerPlan, PickerPlan, Plan, PoolPlan } from '../pool/plan.ts'
import type { EndpointState } from '../service/protocol.ts'
import { effective, overlayOver } from './overlay.ts'
import { atOnce, eachInSteps } from './slices.ts'
import { numberedSlots, type Slot, SlotBook, type SlotDraft } from './slots.ts'

/** Where a listener really is, after its bind was tried. */
export interface ListenAddress {
  readonly address: SocketAddress
  readonly reusePort: boolean
}

/** What was changed by hand on an endpoint. */
export interface EndpointOverlay {
  readonly weight?: number
  readonly state?: EndpointState
}

export interface PlanInputs {
  readonly settings: Settings
  /** By listener name. */
  readonly listenAddresses: ReadonlyMap<string, ListenAddress>
  /** By endpoint key. */
  readonly overlay: ReadonlyMap<string, EndpointOverlay>
  /** The literal address of a host; null while it does not resolve. */
  readonly resolve: (host: string) => string | null
}

/** One endpoint as control knows it: one row, whichever pools have it. */
export interface EndpointRecord {
  readonly key: string
  readonly id: string
  readonly slot: number
  readonly generation: number
  /** As configured; its host may be a name. */
  readonly configured: SocketAddress
  /** Null while its name does not resolve: then no worker knows it. */
  readonly address: SocketAddress | null
  readonly pools: readonly string[]
  readonly zones: ReadonlyMap<string, string | null>
  /** By the file. */
  readonly base: { readonly weight: number; readonly state: EndpointState }
  /** What was changed by hand, and differs from the file. */
  readonly overlay: EndpointOverlay
  /** In force. */
  readonly weight: number
  readonly state: EndpointState
  readonly maxConnections: number
  readonly health: HealthSettings | null
  /** The pool whose `health` that is; null: not checked. */
  readonly healthPool: string | null
  readonly holdMs: number
}

/** A plan that is not decided on: exactly one of `commit` and `discard` ends it. */
export interface PlanDraft {
  /** Without a version. */
  readonly plan: Omit<Plan, 'version'>
  readonly records: readonly EndpointRecord[]
  /** The same by key; whoever commits may keep it. */
  readonly byKey: Map<string, EndpointRecord>
  /** Looks at the overlay again: it may have been changed since the draft was begun. */
  readonly layOverlay: () => void
  /** Writes the table; from `version` on the rows that are no longer named may be freed. */
  readonly commit: (version: number) => void
  readonly discard: () => void
}

export type PlanResult =
  | { readonly ok: true; readonly draft: PlanDraft }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** An endpoint's identity: its state outlives edits of its settings and changes of its pool. */
export function endpointKey(endpoint: { readonly id: string; readonly address: SocketAddress }): string {
  let key = keys.get(endpoint)
  if (key === undefined) {
    key = endpointIdentity(endpoint.id, endpoint.address)
    keys.set(endpoint, key)
  }
  return key
}

/** Settings are frozen: an endpoint's key is made once, however often plans are. */
const keys = new WeakMap<object, string>()

/** The bits of `Fitness` that an operator's word sets. */
export function fitnessOf(state: EndpointState): number {
  return state === 'draining' ? Fitness.DRAINING : state === 'maintenance' ? Fitness.MAINTENANCE : 0
}

interface Gathered {
  readonly key: string
  readonly id: string
  readonly configured: SocketAddress
  readonly pools: string[]
  readonly zones: Map<string, string | null>
  readonly weight: number
  readonly state: EndpointState
  maxConnections: number
  health: HealthSettings | null
  healthPool: string | null
  holdMs: number
}

interface EndpointSlot extends Slot {
  readonly generation: number
}

/** Makes plans over one shared memory and keeps the books of its rows. Control's own. */
export class Planner {
  /** Its own in `Via`: two balancers in a row must not take each other for themselves. */
  readonly #ownName = `evenkeel-${randomBytes(4).toString('hex')}`
  readonly #table: EndpointTable
  readonly #memory: SharedMemory
  readonly #listeners: SlotBook<Slot>
  readonly #pools: SlotBook<Slot>
  readonly #endpoints: SlotBook<EndpointSlot>

  constructor(memory: SharedMemory, table: EndpointTable, board: WorkerBoard) {
    this.#memory = memory
    this.#table = table
    this.#listeners = new SlotBook(
      numberedSlots(memory.sizes.listeners, (slot) => board.listenerConnections.isZero(slot)),
    )
    this.#pools = new SlotBook(numberedSlots(memory.sizes.pools, () => true))
    this.#endpoints = new SlotBook({
      allocate: () => table.allocate(0, 0),
      retire: ({ slot }) => table.retire(slot),
      // Generation and counts are as they were: only control ever frees a row.
      revive: ({ slot }) => void Atomics.and(table.fitness, slot, ~Fitness.RETIRED),
      tryFree: ({ slot }) => table.tryFree(slot),
    })
  }

  /** Frees rows that no worker can name any more; returns how many still wait. */
  sweep(isAcknowledgedByAll: (version: number) => boolean): number {
    return (
      this.#listeners.sweep(isAcknowledgedByAll) +
      this.#pools.sweep(isAcknowledgedByAll) +
      this.#endpoints.sweep(isAcknowledgedByAll)
    )
  }

  /** `isAcknowledgedByAll` lets it free rows, when it needs them, that no sweep has come to yet. */
  draft(inputs: PlanInputs, isAcknowledgedByAll: (version: number) => boolean = () => false): PlanResult {
    return atOnce(this.draftSteps(inputs, isAcknowledgedByAll))
  }

  /** The same in steps, for thousands of endpoints. No two drafts may be under way, and each has to be run to its end. */
  *draftSteps(
    inputs: PlanInputs,
    isAcknowledgedByAll: (version: number) => boolean = () => false,
  ): Generator<void, PlanResult> {
    const { settings } = inputs
    const gathered = yield* gatherEndpoints(settings)

    const draftRows = (): readonly [SlotDraft<Slot> | null, SlotDraft<Slot> | null, SlotDraft<EndpointSlot> | null] => {
      const drafts = [
        this.#listeners.draft(settings.listeners.map(({ name }) => name)),
        this.#pools.draft(Object.keys(settings.pools)),
        this.#endpoints.draft(gathered.keys()),
      ] as const
      if (drafts.includes(null)) for (const draft of drafts) draft?.discard()
      return drafts
    }
    let [listeners, pools, endpoints] = draftRows()
    if (listeners === null || pools === null || endpoints === null) {
      this.sweep(isAcknowledgedByAll)
      ;[listeners, pools, endpoints] = draftRows()
    }
    if (listeners === null || pools === null || endpoints === null) {
      return { ok: false, problems: [this.#full(settings, gathered.size, listeners === null, pools === null)] }
    }

    yield
    const records = new Map<string, EndpointRecord>()
    yield* eachInSteps(gathered.values(), (each) => {
      records.set(each.key, makeRecord(each, endpoints.slots.get(each.key)!, inputs))
    })
    const plan = yield* makePlan(inputs, this.#ownName, records, listeners.slots, pools.slots)
    const all = [...records.values()]
    const layOverlay = (): void => {
      for (const [index, record] of all.entries()) {
        const given = inputs.overlay.get(record.key)
        if (given === undefined && record.overlay === NOTHING_BY_HAND) continue
        const overlay = overlayOver(record.base, given ?? NOTHING_BY_HAND)
        const laid = { ...record, overlay, ...effective(record.base, overlay) }
        all[index] = laid
        records.set(laid.key, laid)
      }
    }
    const discard = (): void => {
      for (const draft of [listeners, pools, endpoints]) draft.discard()
    }
    const commit = (version: number): void => {
      // Who is there from the start needs no slow one: nobody is warmer.
      if (version > 1) {
        const now = sharedNowMs()
        for (const key of endpoints.added) this.#table.fitSince[endpoints.slots.get(key)!.slot] = now
      }
      for (const record of all) writeRecord(this.#table, record)
      for (const draft of [listeners, pools, endpoints] as readonly SlotDraft<Slot>[]) draft.commit(version)
    }
    return { ok: true, draft: { plan, records: all, byKey: records, layOverlay, commit, discard } }
  }

  #full(settings: Settings, endpointCount: number, isListeners: boolean, isPools: boolean): Problem {
    const { sizes } = this.#memory
    if (isListeners) return tooMany('listeners', `there is room for ${sizes.listeners} listeners`)
    if (isPools)
      return tooMany(
        'pools',
        `there is room for ${sizes.pools} pools, ${Object.keys(settings.pools).length} are configured`,
      )
    const leaving = this.#endpoints.leaving
    const waiting = leaving === 0 ? '' : ` (${leaving} that were removed still finish their work)`
    return {
      ...tooMany(
        'memory.endpoints',
        `there is room for ${sizes.endpoints} endpoints and ${endpointCount} are configured${waiting}`,
      ),
      hint: 'a larger memory.endpoints takes effect at the next start',
    }
  }
}

/** Writes what control says of an endpoint into its row; workers may read at any time, so bits are only added and taken. */
export function writeRecord(table: EndpointTable, record: EndpointRecord): void {
  const { slot } = record
  table.weight[slot] = record.weight
  table.maxConnections[slot] = record.maxConnections
  const wanted = fitnessOf(record.state)
  Atomics.or(table.fitness, slot, wanted)
  const lifted = (Fitness.DRAINING | Fitness.MAINTENANCE) & ~wanted
  if ((Atomics.and(table.fitness, slot, ~lifted) & lifted) !== 0 && wanted === 0) table.fitSince[slot] = sharedNowMs()
}

/** Endpoints by key, those that several pools share merged. */
function* gatherEndpoints(settings: Settings): Generator<void, Map<string, Gathered>> {
  const gathered = new Map<string, Gathered>()
  for (const [poolName, pool] of Object.entries(settings.pools)) {
    yield* eachInSteps(pool.endpoints, (endpoint) => {
      const key = endpointKey(endpoint)
      const known = gathered.get(key)
      if (known === undefined) gathered.set(key, firstMention(key, poolName, pool, endpoint))
      else mergeMention(known, poolName, pool, endpoint)
    })
  }
  return gathered
}

function firstMention(key: string, poolName: string, pool: PoolSettings, endpoint: EndpointSettings): Gathered {
  return {
    key,
    id: endpoint.id,
    configured: endpoint.address,
    pools: [poolName],
    zones: new Map([[poolName, endpoint.zone]]),
    weight: endpoint.weight,
    state: endpoint.state,
    maxConnections: endpoint.maxConnections === 0 ? pool.connections.max : endpoint.maxConnections,
    health: pool.health === false ? null : pool.health,
    healthPool: pool.health === false ? null : poolName,
    holdMs: pool.passive.holdMs,
  }
}

/** The pools agree on its weight and state: config refuses what contradicts itself, and warns of checks that differ. */
function mergeMention(known: Gathered, poolName: string, pool: PoolSettings, endpoint: EndpointSettings): void {
  const max = endpoint.maxConnections === 0 ? pool.connections.max : endpoint.maxConnections
  // The strictest limit holds for both.
  if (max > 0 && (known.maxConnections === 0 || max < known.maxConnections)) known.maxConnections = max
  if (pool.health !== false && known.health === null) {
    known.health = pool.health
    known.healthPool = poolName
    known.holdMs = pool.passive.holdMs
  }
  known.pools.push(poolName)
  known.zones.set(poolName, endpoint.zone)
}

function makeRecord(
  gathered: Gathered,
  { slot, generation }: { readonly slot: number; readonly generation: number },
  { overlay, resolve }: PlanInputs,
): EndpointRecord {
  const { key, id, configured, pools, zones, maxConnections, health, healthPool, holdMs } = gathered
  const base = { weight: gathered.weight, state: gathered.state }
  const given = overlay.get(key)
  const byHand = given === undefined ? NOTHING_BY_HAND : overlayOver(base, given)
  const { weight, state } = effective(base, byHand)
  const address = literalAddress(configured, resolve)
  return {
    key,
    id,
    slot,
    generation,
    configured,
    address,
    pools,
    zones,
    base,
    overlay: byHand,
    weight,
    state,
    maxConnections,
    health,
    healthPool,
    holdMs,
  }
}

const NOTHING_BY_HAND: EndpointOverlay = {}

function literalAddress(configured: SocketAddress, resolve: PlanInputs['resolve']): SocketAddress | null {
  if (configured.kind === 'unix') return configured
  const host = resolve(configured.host)
  return host === null ? null : host === configured.host ? configured : { ...configured, host }
}

function* makePlan(
  { settings, listenAddresses }: PlanInputs,
  ownName: string,
  records: ReadonlyMap<string, EndpointRecord>,
  listenerSlots: ReadonlyMap<string, Slot>,
  poolSlots: ReadonlyMap<string, Slot>,
): Generator<void, Omit<Plan, 'version'>> {
  const { forwarded, accessLog } = settings
  const pools: PoolPlan[] = []
  for (const [name, pool] of Object.entries(settings.pools))
    pools.push(yield* makePool(name, pool, poolSlots.get(name)!.slot, records, settings.instance))
  return {
    listeners: settings.listeners.map((listener) =>
      makeListener(listener, listenAddresses.get(listener.name)!, listenerSlots.get(listener.name)!.slot),
    ),
    routes: settings.routes.map(({ name, match, pool }) => ({ name, match, pool })),
    pools,
    identity: {
      via: forwarded.viaName === 'auto' ? ownName : forwarded.viaName,
      forwarded: { xForwarded: forwarded.xForwarded, standard: forwarded.standard, via: forwarded.via },
    },
    accessLog:
      accessLog === false
        ? null
        : { to: accessLog.to, requestHeaders: accessLog.requestHeaders, query: accessLog.query },
  }
}

function makeListener(listener: ListenerSettings, { address, reusePort }: ListenAddress, slot: number): ListenerPlan {
  const { name, protocol, trustedProxies, limits, timeouts } = listener
  return { name, slot, address, reusePort, protocol, trustedProxies, limits, timeouts }
}

function* makePool(
  name: string,
  pool: PoolSettings,
  slot: number,
  records: ReadonlyMap<string, EndpointRecord>,
  instance: Settings['instance'],
): Generator<void, PoolPlan> {
  const { timeouts, connections, retries, passive, limits } = pool
  const endpoints: EndpointPlan[] = []
  yield* eachInSteps(pool.endpoints, (endpoint) => {
    const record = records.get(endpointKey(endpoint))!
    const { id, address, generation, zones } = record
    if (address === null) return
    const place = { id, slot: record.slot, generation, address, zone: zones.get(name) ?? null }
    endpoints.push(endpoint.tier === 0 ? place : { ...place, tier: endpoint.tier })
  })
  return {
    name,
    slot,
    picker: makePicker(pool, instance),
    endpoints,
    timeouts,
    connections,
    retries,
    passive,
    limits,
  }
}

/** What is not asked for is not there, so that it costs nothing. */
export function makePicker(
  { balance, endpoints }: Pick<PoolSettings, 'balance' | 'endpoints'>,
  instance: Settings['instance'],
): PickerPlan {
  const {
    name,
    options,
    key,
    hash,
    slowStart,
    boundedLoad,
    panic,
    subset,
    tiersAndZones,
    passReports,
    probePath,
    probeTimeoutMs,
  } = balance
  const isTiered = endpoints.some(({ tier, zone }) => tier > 0 || (zone !== null && instance.zone !== null))
  const spillover = tiersAndZones ?? (isTiered ? {} : false)
  const modifiers: ModifierOptions = {
    ...(panic === undefined ? {} : { panic }),
    ...(slowStart === undefined ? {} : { slowStart }),
    ...(boundedLoad === undefined ? {} : { boundedLoad }),
    ...(spillover === false ? {} : { tiersAndZones: { ...spillover, zone: instance.zone } }),
    ...(subset === undefined
      ? {}
      : { subset: { ...subset, instance: instance.name === 'auto' ? hostname() : instance.name } }),
  }
  return {
    name,
    options,
    ...(Object.keys(modifiers).length === 0 ? {} : { modifiers }),
    ...(key === undefined ? {} : { key }),
    ...(hash === undefined ? {} : { hash }),
    ...(passReports === undefined ? {} : { passReports }),
    ...(probePath === undefined ? {} : { probePath }),
    ...(probeTimeoutMs === undefined ? {} : { probeTimeoutMs }),
  }
}

function tooMany(path: string, message: string): Problem {
  return { path, message, severity: 'error', code: 'out-of-range' }
}
