/**
 * Brings what is asked for into force: works out the smallest step from the plan in force to the wanted one, tells the
 * workers, and waits until they have acknowledged.
 *
 * | what differs | what is sent |
 * |---|---|
 * | routes, listeners, settings of a pool | a new plan, whole |
 * | which endpoints a pool has | a delta per pool |
 * | weights, states | the table is written, then a refresh |
 *
 * Reloads run one after the other, and of those that wait only the latest is applied. Changes by hand do not wait for them.
 */
import type { Problem } from '../config/problem.ts'
import type { Settings } from '../config/schema.ts'
import { formatAddress } from '../core/address.ts'
import { type EndpointTable, Fitness } from '../memory/endpoint-table.ts'
import type { CheckedEndpoint, HealthChecks } from '../pool/health-checks.ts'
import type { EndpointPlan, ListenerPlan, Plan, PoolDelta, PoolPlan } from '../pool/plan.ts'
import type { EndpointState } from '../service/protocol.ts'
import { type HeldListeners, type ListenProblem, listenReason, type PreparedListeners } from './listening.ts'
import type { Names } from './names.ts'
import { type EndpointOverlay, type EndpointRecord, type ListenAddress, type Planner, writeRecord } from './plan.ts'
import type { Workers } from './workers.ts'

/** Deltas of weights and addresses are gathered for this long. A drain or a removal is sent at once. */
const GATHER_MS = 50
/** A worker that has not acknowledged after this is named. */
const ACKNOWLEDGE_MS = 5000
/** Names that are new in a reload, or at the start, may take this long before it goes on without them. */
const NAMES_MS = 1000
/** How often rows that are no longer named are looked at. */
const SWEEP_MS = 250

export interface ApplierDeps {
  readonly planner: Planner
  readonly table: EndpointTable
  readonly workers: Workers
  readonly health: HealthChecks
  readonly names: Names
  readonly prepare: (settings: Settings, held: HeldListeners) => Promise<PreparedListeners>
  readonly onEndpoint: (record: EndpointRecord, what: EndpointEdit, detail: string, cause: 'admin' | 'config') => void
  /** A plan, an endpoint or a name changed: views are out of date. */
  readonly onChange: () => void
  /** Something went wrong that nobody foresaw: a mistake of ours. What was in force stays as far as it can. */
  readonly onFault: (error: unknown) => void
}

export type EndpointEdit = 'added' | 'removed' | 'weight' | 'state' | 'address'

export interface Applied {
  /** The settings that were in force until then, and those that are now. */
  readonly before: Settings
  readonly after: Settings
  readonly version: number
  readonly warnings: readonly string[]
}

export type ApplyResult =
  | ({ readonly ok: true } & Applied)
  | { readonly ok: false; readonly problems: readonly Problem[] }

export type FirstResult = { readonly release: () => void } & (
  | ({ readonly ok: true } & Applied)
  | { readonly ok: false; readonly code: string; readonly problems: readonly Problem[] }
)

export interface EndpointTarget {
  readonly record: EndpointRecord
  readonly weight?: number
  readonly state?: EndpointState
}

interface Pending<T> {
  settings: Settings
  tag: T
  readonly promise: Promise<{ readonly tag: T; readonly result: ApplyResult }>
}

type ListenAddresses = ReadonlyMap<string, ListenAddress>

type Rebuilt =
  | {
      readonly ok: true
      readonly version: number
      readonly opened: readonly ListenerPlan[]
      readonly warnings: readonly string[]
    }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** The plan in force and every way to change it. `T` travels with a reload, to tell which of several was applied. */
export class Applier<T> {
  readonly #deps: ApplierDeps
  #settings: Settings
  #version = 0
  #plan: Plan = { version: 0, listeners: [], routes: [], pools: [], identity: NO_IDENTITY, accessLog: null }
  #records = new Map<string, EndpointRecord>()
  #bySlot = new Map<number, EndpointRecord>()
  readonly #overlay = new Map<string, EndpointOverlay & { readonly id: string }>()
  #held: HeldListeners = new Map()
  #pending: Pending<T> | null = null
  #last: Promise<unknown> = Promise.resolve()
  #isOpening = false
  #refresh: { readonly pools: Set<string>; readonly version: Promise<number>; readonly send: () => void } | null = null
  #refreshTimer: NodeJS.Timeout | null = null
  #namesTimer: NodeJS.Timeout | null = null
  #sweepTimer: NodeJS.Timeout | null = null
  #isStopped = false

  constructor(deps: ApplierDeps, settings: Settings) {
    this.#deps = deps
    this.#settings = settings
    deps.names.watch((host, address) => this.#isFailing(host, address))
  }

  get plan(): Plan {
    return this.#plan
  }

  get settings(): Settings {
    return this.#settings
  }

  /** Every endpoint, in the order of the config. */
  get records(): Iterable<EndpointRecord> {
    return this.#records.values()
  }

  /** Do `first` or a reload wait for listeners at this moment? Then they deal with those that fail. */
  get isOpening(): boolean {
    return this.#isOpening
  }

  bySlot(slot: number): EndpointRecord | null {
    return this.#bySlot.get(slot) ?? null
  }

  /** Where a listener is, once tried. */
  address(listener: string): ListenAddress | null {
    return this.#held.get(listener)?.actual ?? null
  }

  /**
   * The first plan; workers are started with it afterwards. `release` is to be called when they listen, or will not. `code` is
   * the system's where a bind failed.
   */
  async first(): Promise<FirstResult> {
    const settings = this.#settings
    const prepared = await this.#deps.prepare(settings, this.#held)
    const { release } = prepared
    if (prepared.problems.length > 0)
      return { ok: false, code: prepared.problems[0]!.code, problems: prepared.problems.map(problemOf), release }
    await this.#resolveNames(settings)
    const rebuilt = this.#rebuild(settings, prepared.addresses)
    if (!rebuilt.ok)
      return { ...rebuilt, code: rebuilt.problems[0]?.code === 'out-of-range' ? 'CAPACITY' : 'CONFIG', release }
    this.#hold(settings, prepared.addresses)
    return {
      ok: true,
      before: settings,
      after: settings,
      version: rebuilt.version,
      warnings: rebuilt.warnings,
      release,
    }
  }

  /** Never rejects. `tag` in the answer is that of the reload that was really applied: this one, or a later one that replaced it. */
  reload(settings: Settings, tag: T): Promise<{ readonly tag: T; readonly result: ApplyResult }> {
    if (this.#pending !== null) {
      this.#pending.settings = settings
      this.#pending.tag = tag
      return this.#pending.promise
    }
    const promise = this.#inTurn(async (): Promise<{ readonly tag: T; readonly result: ApplyResult }> => {
      const pending = this.#pending!
      this.#pending = null
      try {
        return { tag: pending.tag, result: await this.#reload(pending.settings) }
      } catch (error) {
        this.#deps.onFault(error)
        const message = `the reload failed inside the balancer: ${error instanceof Error ? error.message : String(error)}`
        return { tag: pending.tag, result: { ok: false, problems: [problem('', message)] } }
      }
    })
    this.#pending = { settings, tag, promise }
    return promise
  }

  /** Changes an endpoint by hand. Resolves when every running worker has acknowledged, or with those that have not in 5 s. */
  async setEndpoint({
    record,
    weight,
    state,
  }: EndpointTarget): Promise<{ readonly version: number; readonly late: readonly number[] }> {
    const { key } = record
    const wanted = { weight: weight ?? record.weight, state: state ?? record.state }
    const overlay: EndpointOverlay = {
      ...(wanted.weight === record.base.weight ? {} : { weight: wanted.weight }),
      ...(wanted.state === record.base.state ? {} : { state: wanted.state }),
    }
    if (Object.keys(overlay).length === 0) this.#overlay.delete(key)
    else this.#overlay.set(key, { ...overlay, id: record.id })
    const changed = { ...record, ...wanted }
    this.#keep(changed)
    writeRecord(this.#deps.table, changed)
    this.#deps.health.updateOne(checkedOf(changed))
    this.#tellOf(record, changed, 'admin')
    const version = await this.#askRefresh(record.pools, wanted.state !== record.state && wanted.state !== 'active')
    const late = await this.#acknowledged(version)
    this.#deps.onChange()
    return { version, late }
  }

  /** A name has another address, or began or stopped to resolve. */
  nameChanged(): void {
    if (this.#isStopped || this.#version === 0) return
    this.#namesTimer ??= setTimeout(() => {
      this.#namesTimer = null
      void this.#inTurn(() => {
        if (this.#isStopped) return
        // Only addresses changed, so nothing can be refused but for room, and there is as much as before.
        this.#rebuild(this.#settings, actualAddresses(this.#held))
        this.#deps.onChange()
      }).catch((error: unknown) => this.#deps.onFault(error))
    }, GATHER_MS)
  }

  /** Ends timers; nothing is sent afterwards. */
  stop(): void {
    this.#isStopped = true
    for (const timer of [this.#refreshTimer, this.#namesTimer, this.#sweepTimer])
      if (timer !== null) clearTimeout(timer)
    this.#refresh?.send()
  }

  async #reload(settings: Settings): Promise<ApplyResult> {
    if (this.#hasStopped()) return { ok: false, problems: [stopping()] }
    const before = this.#settings
    const held = this.#held
    const prepared = await this.#deps.prepare(settings, held)
    if (prepared.problems.length > 0) return { ok: false, problems: prepared.problems.map(problemOf) }
    await this.#resolveNames(settings)
    // A stop that began meanwhile: workers drain, and must not open anything again.
    const rebuilt: Rebuilt = this.#hasStopped()
      ? { ok: false, problems: [stopping()] }
      : this.#rebuild(settings, prepared.addresses)
    if (!rebuilt.ok) {
      prepared.release()
      this.#deps.names.update(hostsOf(before))
      return rebuilt
    }
    const { version, opened } = rebuilt
    const problems = await this.#open(opened)
    prepared.release()
    if (problems.length > 0) {
      await this.#rollBack(before, held, opened)
      return { ok: false, problems }
    }
    this.#hold(settings, prepared.addresses)
    const forgotten = this.#forgetChanges()
    const late = await this.#acknowledged(version)
    const lateWarnings = late.map((index) => `worker ${index} has not acknowledged within ${ACKNOWLEDGE_MS / 1000} s`)
    return {
      ok: true,
      before,
      after: settings,
      version,
      warnings: [...rebuilt.warnings, ...forgotten, ...lateWarnings],
    }
  }

  /** A method, because the answer changes while something is awaited. */
  #hasStopped(): boolean {
    return this.#isStopped
  }

  /** Waits for the workers to listen on what is new; the problems when they cannot. */
  async #open(opened: readonly ListenerPlan[]): Promise<Problem[]> {
    if (opened.length === 0) return []
    const { workers } = this.#deps
    const names = new Set(opened.map(({ name }) => name))
    const failures = (): { index: number; failure: { listener: string; code: string; message: string } }[] =>
      workers.listenFailures().filter(({ failure }) => names.has(failure.listener))
    this.#isOpening = true
    // All of them, also after one has failed: what is still under way could not be told from a later failure.
    const isDone = await workers.until(() => workers.isOpened(opened), ACKNOWLEDGE_MS)
    this.#isOpening = false
    const failed = failures().map(({ index, failure: { listener, code, message } }) =>
      problem(`listeners[${listener}].bind`, `worker ${index} cannot listen: ${listenReason(code, message)}`),
    )
    if (failed.length > 0 || isDone) return failed
    const message = `not every worker listens on ${opened.map(({ address }) => formatAddress(address)).join(', ')} within ${ACKNOWLEDGE_MS / 1000} s`
    return [problem('listeners', message)]
  }

  async #rollBack(before: Settings, held: HeldListeners, opened: readonly ListenerPlan[]): Promise<void> {
    this.#rebuild(before, actualAddresses(held))
    this.#deps.workers.forgetListeners(opened.map(({ name }) => name).filter((name) => !held.has(name)))
    await this.#acknowledged(this.#version)
  }

  async #resolveNames(settings: Settings): Promise<void> {
    const { names } = this.#deps
    // Until the step is decided the names of both are needed.
    names.update([...hostsOf(this.#settings), ...hostsOf(settings)])
    await names.settled(NAMES_MS)
  }

  /** One step to the wanted settings: everything here happens at once, so that no other step can come between. */
  #rebuild(settings: Settings, listenAddresses: ListenAddresses): Rebuilt {
    const { planner, names, workers, health } = this.#deps
    const resolve = (host: string): string | null => names.get(host).address
    const result = planner.draft({ settings, listenAddresses, overlay: this.#overlay, resolve }, (version) =>
      workers.isAcknowledgedByAll(version),
    )
    if (!result.ok) return result
    const { draft } = result
    const before = this.#plan
    const isFirst = this.#version === 0
    const opened = isFirst ? [] : draft.plan.listeners.filter((listener) => !isOpen(before, listener))
    if (isFirst || needsPlan(before, draft.plan)) {
      this.#version += 1
      this.#plan = { version: this.#version, ...draft.plan }
      draft.commit(this.#version)
      workers.forgetListeners(opened.map(({ name }) => name))
      workers.broadcast({ type: 'plan', plan: this.#plan })
    } else this.#sendDifference(before, draft.plan.pools, draft.records, (version) => draft.commit(version))
    this.#adopt(settings, draft.records, isFirst)
    health.update(draft.records.map(checkedOf))
    for (const { address, configured, slot } of draft.records) {
      if (address !== null || configured.kind === 'unix') continue
      health.markUnresolved(slot, names.get(configured.host).problem ?? 'the name is not resolved yet')
    }
    names.update(hostsOf(settings))
    this.#sweepSoon()
    return { ok: true, version: this.#version, opened, warnings: draft.warnings }
  }

  #sendDifference(
    before: Plan,
    pools: readonly PoolPlan[],
    records: readonly EndpointRecord[],
    commit: (version: number) => void,
  ): void {
    const deltas: PoolDelta[] = []
    const kept = pools.map((after) => {
      const now = before.pools.find(({ name }) => name === after.name)!
      const difference = diffEndpoints(now.endpoints, after.endpoints)
      if (difference === null) return now
      this.#version += 1
      deltas.push({ version: this.#version, pool: after.name, add: difference.add, remove: difference.remove })
      return { ...now, endpoints: difference.result }
    })
    const isChanged = new Set(deltas.map(({ pool }) => pool))
    const refreshed = new Set<string>()
    for (const record of records) {
      const known = this.#records.get(record.key)
      if (known === undefined || (known.weight === record.weight && known.state === record.state)) continue
      for (const pool of record.pools) if (!isChanged.has(pool)) refreshed.add(pool)
    }
    if (refreshed.size > 0) this.#version += 1
    // The table first: whoever hears of a change reads it there.
    commit(this.#version)
    this.#plan = { ...before, version: this.#version, pools: kept }
    for (const delta of deltas) this.#deps.workers.broadcast({ type: 'delta', delta })
    if (refreshed.size > 0)
      this.#deps.workers.broadcast({ type: 'refresh', version: this.#version, pools: [...refreshed] })
  }

  /** Makes the records the ones in force. */
  #adopt(settings: Settings, records: readonly EndpointRecord[], isFirst: boolean): void {
    const before = this.#records
    this.#settings = settings
    this.#records = new Map(records.map((record) => [record.key, record]))
    this.#bySlot = new Map(records.map((record) => [record.slot, record]))
    if (isFirst) return
    for (const record of records) {
      const known = before.get(record.key)
      if (known === undefined) this.#deps.onEndpoint(record, 'added', formatAddress(record.configured), 'config')
      else this.#tellOf(known, record, 'config')
    }
    for (const [key, record] of before)
      if (!this.#records.has(key)) this.#deps.onEndpoint(record, 'removed', formatAddress(record.configured), 'config')
  }

  /** What was changed by hand on an endpoint that is gone is forgotten, once it is sure that it is gone; says so. */
  #forgetChanges(): string[] {
    const warnings: string[] = []
    for (const [key, { id }] of this.#overlay) {
      if (this.#records.has(key)) continue
      this.#overlay.delete(key)
      warnings.push(`endpoint '${id}' is gone, and what was changed on it by hand with it`)
    }
    return warnings
  }

  #keep(record: EndpointRecord): void {
    this.#records.set(record.key, record)
    this.#bySlot.set(record.slot, record)
  }

  #tellOf(before: EndpointRecord, after: EndpointRecord, cause: 'admin' | 'config'): void {
    const { onEndpoint } = this.#deps
    if (before.weight !== after.weight)
      onEndpoint(after, 'weight', `weight ${after.weight}, was ${before.weight}`, cause)
    if (before.state !== after.state) onEndpoint(after, 'state', `${after.state}, was ${before.state}`, cause)
    const [from, to] = [before, after].map(({ address }) => (address === null ? 'none' : formatAddress(address)))
    if (from !== to) onEndpoint(after, 'address', `${to}, was ${from}`, cause)
  }

  /** Has the workers read weights and states anew; resolves with the version that says they did. */
  #askRefresh(pools: readonly string[], isUrgent: boolean): Promise<number> {
    if (this.#refresh === null) {
      const { promise, resolve } = Promise.withResolvers<number>()
      const dirty = new Set<string>()
      const send = (): void => {
        if (this.#refreshTimer !== null) clearTimeout(this.#refreshTimer)
        this.#refreshTimer = null
        this.#refresh = null
        this.#version += 1
        this.#plan = { ...this.#plan, version: this.#version }
        this.#deps.workers.broadcast({ type: 'refresh', version: this.#version, pools: [...dirty] })
        resolve(this.#version)
      }
      this.#refresh = { pools: dirty, version: promise, send }
      this.#refreshTimer = setTimeout(send, GATHER_MS)
    }
    const { pools: dirty, version, send } = this.#refresh
    for (const pool of pools) dirty.add(pool)
    if (isUrgent) send()
    return version
  }

  /** Workers that have not acknowledged in time. */
  async #acknowledged(version: number): Promise<readonly number[]> {
    const { workers } = this.#deps
    await workers.until(() => workers.late(version).length === 0, ACKNOWLEDGE_MS)
    return workers.late(version)
  }

  #hold(settings: Settings, addresses: ListenAddresses): void {
    this.#held = new Map(
      settings.listeners.map(({ name, address }) => [name, { asked: address, actual: addresses.get(name)! }]),
    )
    this.#deps.onChange()
  }

  /** Is every endpoint that has this address by this name set aside? False while none has. */
  #isFailing(host: string, address: string): boolean {
    const { fitness } = this.#deps.table
    let isFailing = false
    for (const { configured, address: actual, slot } of this.#records.values()) {
      if (configured.kind !== 'ip' || configured.host !== host || actual?.kind !== 'ip' || actual.host !== address)
        continue
      if ((fitness[slot]! & (Fitness.UNHEALTHY | Fitness.PASSIVE)) === 0) return false
      isFailing = true
    }
    return isFailing
  }

  #sweepSoon(): void {
    if (this.#sweepTimer !== null || this.#isStopped) return
    this.#sweepTimer = setTimeout(() => {
      this.#sweepTimer = null
      if (this.#deps.planner.sweep((version) => this.#deps.workers.isAcknowledgedByAll(version)) > 0) this.#sweepSoon()
    }, SWEEP_MS)
  }

  #inTurn<R>(work: () => R | Promise<R>): Promise<R> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => {})
    return turn
  }
}

const NO_IDENTITY = { via: '', forwarded: { xForwarded: false, standard: false, via: false } }

function actualAddresses(held: HeldListeners): ListenAddresses {
  return new Map([...held].map(([name, { actual }]) => [name, actual]))
}

/** What health checks are told of an endpoint. */
function checkedOf(record: EndpointRecord): CheckedEndpoint {
  const { slot, generation, address, configured, health, holdMs, state } = record
  // As curl and browsers write it: without the port that is the scheme's own.
  const authority = configured.kind === 'unix' ? 'localhost' : formatAddress(configured).replace(/:80$/, '')
  return { slot, generation, address, authority, health, holdMs, isPaused: state === 'maintenance' }
}

function hostsOf(settings: Settings): string[] {
  return Object.values(settings.pools).flatMap(({ endpoints }) =>
    endpoints.flatMap(({ address }) => (address.kind === 'ip' ? [address.host] : [])),
  )
}

/** Differ the plans in anything that deltas and refreshes cannot say? */
function needsPlan(before: Plan, after: Omit<Plan, 'version'>): boolean {
  return (
    structureOf(before) !== structureOf(after) ||
    after.pools.some((pool, index) => isRezoned(before.pools[index]!, pool))
  )
}

function structureOf({ listeners, routes, pools, identity, accessLog }: Omit<Plan, 'version'>): string {
  return JSON.stringify({
    listeners,
    routes,
    identity,
    accessLog,
    pools: pools.map((pool) => ({ ...pool, endpoints: null })),
  })
}

/** A zone changed and nothing else: in a delta the endpoint would leave and come back, and lose its connections. */
function isRezoned(before: PoolPlan, after: PoolPlan): boolean {
  const zones = new Map(before.endpoints.map((endpoint) => [placeOf(endpoint), endpoint.zone]))
  return after.endpoints.some((endpoint) => {
    const zone = zones.get(placeOf(endpoint))
    return zone !== undefined && zone !== endpoint.zone
  })
}

function isOpen(plan: Plan, listener: ListenerPlan): boolean {
  const known = plan.listeners.find(({ name }) => name === listener.name)
  return (
    known !== undefined &&
    known.reusePort === listener.reusePort &&
    formatAddress(known.address) === formatAddress(listener.address)
  )
}

/** Null when nothing differs. The result keeps the order that workers have: what stays, then what is new. */
function diffEndpoints(
  before: readonly EndpointPlan[],
  after: readonly EndpointPlan[],
): {
  readonly add: readonly EndpointPlan[]
  readonly remove: readonly string[]
  readonly result: readonly EndpointPlan[]
} | null {
  const had = new Set(before.map(placeOf))
  const has = new Set(after.map(placeOf))
  const add = after.filter((endpoint) => !had.has(placeOf(endpoint)))
  const gone = before.filter((endpoint) => !has.has(placeOf(endpoint)))
  if (add.length === 0 && gone.length === 0) return null
  const remove = gone.map(({ id }) => id)
  const removed = new Set(remove)
  return { add, remove, result: [...before.filter(({ id }) => !removed.has(id)), ...add] }
}

/** Everything about an endpoint that a worker cannot change in place. */
function placeOf({ id, slot, generation, address }: EndpointPlan): string {
  return `${id} ${slot} ${generation} ${formatAddress(address)}`
}

function problemOf({ listener, message, hint }: ListenProblem): Problem {
  return {
    path: `listeners[${listener}].bind`,
    message,
    ...(hint === null ? {} : { hint }),
    severity: 'error',
    code: 'bad-value',
  }
}

function stopping(): Problem {
  return problem('', 'the balancer is stopping')
}

function problem(path: string, message: string): Problem {
  return { path, message, severity: 'error', code: 'bad-value' }
}
