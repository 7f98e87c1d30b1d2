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
 * New sockets are opened before old ones are closed: a plan that opens any names those to be closed as well, and once every
 * worker listens a second plan leaves them out. So a bind that fails costs nothing that served.
 *
 * Reloads run one after the other, and of those that wait only the latest is applied. Changes by hand do not wait for them.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { Problem } from '../config/problem.ts'
import type { Settings } from '../config/schema.ts'
import { formatAddress } from '../core/address.ts'
import { type EndpointTable, Fitness } from '../memory/endpoint-table.ts'
import type { CheckedEndpoint, HealthChecks } from '../pool/health-checks.ts'
import type { ListenerPlan, Plan, PoolDelta } from '../pool/plan.ts'
import type { ChangeCause } from './announcer.ts'
import {
  type EndpointEdit,
  EndpointRecords,
  type OnEndpointEdit,
  tellDifferences,
  tellEdits,
} from './endpoint-records.ts'
import { ListenerOpening } from './listener-opening.ts'
import type { HeldListeners, ListenProblem, PreparedListeners } from './listening.ts'
import type { Names } from './names.ts'
import { Overlay, type OverlayEdit } from './overlay.ts'
import { type EndpointRecord, type ListenAddress, type PlanDraft, type Planner, writeRecord } from './plan.ts'
import { differenceSteps, listenersMissingIn, type PoolDifference } from './plan-difference.ts'
import { GATHER_MS, RefreshBatch } from './refresh-batch.ts'
import { type QueuedResult, ReloadQueue } from './reload-queue.ts'
import { eachInSteps, inSlices } from './slices.ts'
import type { Workers } from './workers.ts'

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
  readonly onEndpoint: (record: EndpointRecord, edit: EndpointEdit, cause: ChangeCause) => void
  /** A reload opened a listener, or moved one. */
  readonly onListening: (listener: ListenerPlan) => void
  /** A plan, an endpoint or a name changed: views are out of date. */
  readonly onChange: () => void
  /** Something went wrong that nobody foresaw: a mistake of ours. What was in force stays as far as it can. */
  readonly onFault: (error: unknown) => void
}

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

/** An endpoint after a change by hand, and who has not heard of it. */
export interface EditResult {
  readonly record: EndpointRecord
  readonly version: number
  readonly late: readonly number[]
}

type ListenAddresses = ReadonlyMap<string, ListenAddress>

type Rebuilt =
  | {
      readonly ok: true
      readonly version: number
      readonly opened: readonly ListenerPlan[]
      /** They still listen, until `#closeListeners`. */
      readonly closing: readonly ListenerPlan[]
    }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** The plan in force and every way to change it. `T` travels with a reload, to tell which of several was applied. */
export class Applier<T> {
  readonly #deps: ApplierDeps
  readonly #records = new EndpointRecords()
  readonly #overlay = new Overlay()
  readonly #opening: ListenerOpening
  readonly #refreshes: RefreshBatch
  readonly #queue = new ReloadQueue<T, ApplyResult>((settings) => this.#reloadOrFault(settings))
  #settings: Settings
  #version = 0
  #plan: Plan = { version: 0, listeners: [], routes: [], pools: [], identity: NO_IDENTITY, accessLog: null }
  #held: HeldListeners = new Map()
  #namesTimer: NodeJS.Timeout | null = null
  #sweepTimer: NodeJS.Timeout | null = null
  #isStopped = false

  constructor(deps: ApplierDeps, settings: Settings) {
    this.#deps = deps
    this.#settings = settings
    this.#opening = new ListenerOpening(deps.workers, ACKNOWLEDGE_MS)
    this.#refreshes = new RefreshBatch((pools) => this.#sendRefresh(pools))
    deps.names.watch((host, address) => this.#records.everyAt(host, address, (slot) => this.#isSetAside(slot)))
  }

  get plan(): Plan {
    return this.#plan
  }

  get settings(): Settings {
    return this.#settings
  }

  /** Every endpoint, in the order of the config. */
  get records(): Iterable<EndpointRecord> {
    return this.#records
  }

  /** Does a reload wait for listeners at this moment? Then it deals with those that fail. */
  get isOpening(): boolean {
    return this.#opening.isWaiting
  }

  bySlot(slot: number): EndpointRecord | null {
    return this.#records.bySlot(slot)
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
    const rebuilt = await this.#rebuild(settings, prepared.addresses)
    if (!rebuilt.ok)
      return { ...rebuilt, code: rebuilt.problems[0]?.code === 'out-of-range' ? 'CAPACITY' : 'CONFIG', release }
    this.#hold(settings, prepared.addresses)
    return { ok: true, before: settings, after: settings, version: rebuilt.version, warnings: [], release }
  }

  /** Never rejects. */
  reload(settings: Settings, tag: T): Promise<QueuedResult<T, ApplyResult>> {
    return this.#queue.reload(settings, tag)
  }

  /** Changes an endpoint by hand. Resolves when every running worker has acknowledged, or with those that have not in 5 s. */
  async setEndpoint(record: EndpointRecord, edit: OverlayEdit): Promise<EditResult> {
    const changed = this.#overlay.edit(record, edit)
    this.#records.set(changed)
    writeRecord(this.#deps.table, changed)
    this.#deps.health.updateOne(checkedOf(changed))
    tellEdits(record, changed, (each, what) => this.#deps.onEndpoint(each, what, 'admin'))
    const isUrgent = changed.state !== record.state && changed.state !== 'active'
    const version = await this.#refreshes.ask(record.pools, isUrgent)
    const late = await this.#acknowledged(version)
    this.#deps.onChange()
    return { record: changed, version, late }
  }

  /** An endpoint is fit again: pools that start it slowly hear of it. */
  recovered(record: EndpointRecord): void {
    const { pools } = this.#settings
    const slow = record.pools.filter((pool) => pools[pool]?.balance.slowStart !== undefined)
    if (slow.length > 0 && !this.#isStopped) void this.#refreshes.ask(slow, false)
  }

  /** A name has another address, or began or stopped to resolve. */
  nameChanged(): void {
    if (this.#isStopped || this.#version === 0) return
    this.#namesTimer ??= setTimeout(() => {
      this.#namesTimer = null
      void this.#queue
        .inTurn(async () => {
          if (this.#isStopped) return
          // Only addresses changed, so nothing can be refused but for room, and there is as much as before.
          await this.#rebuild(this.#settings, actualAddresses(this.#held))
          this.#deps.onChange()
        })
        .catch((error: unknown) => this.#deps.onFault(error))
    }, GATHER_MS)
  }

  /** Ends timers; nothing is sent afterwards. */
  stop(): void {
    this.#isStopped = true
    for (const timer of [this.#namesTimer, this.#sweepTimer]) if (timer !== null) clearTimeout(timer)
    this.#refreshes.flush()
  }

  async #reloadOrFault(settings: Settings): Promise<ApplyResult> {
    try {
      return await this.#reload(settings)
    } catch (error) {
      this.#deps.onFault(error)
      const message = `the reload failed inside the balancer: ${error instanceof Error ? error.message : String(error)}`
      return { ok: false, problems: [problem('', message)] }
    }
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
      : await this.#rebuild(settings, prepared.addresses)
    if (!rebuilt.ok) {
      prepared.release()
      this.#deps.names.update(hostsOf(before))
      return rebuilt
    }
    const { opened, closing } = rebuilt
    const problems = await this.#opening.wait(opened)
    prepared.release()
    if (problems.length > 0) {
      await this.#rollBack(before, held)
      return { ok: false, problems }
    }
    const version = closing.length === 0 ? rebuilt.version : this.#closeListeners(closing)
    this.#hold(settings, prepared.addresses)
    for (const listener of opened) this.#deps.onListening(listener)
    const byHand = this.#settleOverlay()
    const late = await this.#acknowledged(version)
    const lateWarnings = late.map((index) => `worker ${index} has not acknowledged within ${ACKNOWLEDGE_MS / 1000} s`)
    return {
      ok: true,
      before,
      after: settings,
      version,
      warnings: [...byHand, ...lateWarnings],
    }
  }

  /** A method, because the answer changes while something is awaited. */
  #hasStopped(): boolean {
    return this.#isStopped
  }

  async #rollBack(before: Settings, held: HeldListeners): Promise<void> {
    await this.#rebuild(before, actualAddresses(held))
    await this.#acknowledged(this.#version)
  }

  async #resolveNames(settings: Settings): Promise<void> {
    const { names } = this.#deps
    // Until the step is decided the names of both are needed.
    names.update([...hostsOf(this.#settings), ...hostsOf(settings)])
    await names.settled(NAMES_MS)
  }

  /**
   * One step to the wanted settings, by whoever has the turn. What is long is done in slices; what must not be seen half done, from
   * the table to the records, at once. Changes by hand may come between slices: they are laid over at the end.
   */
  async #rebuild(settings: Settings, listenAddresses: ListenAddresses): Promise<Rebuilt> {
    const { planner, names, workers } = this.#deps
    const resolve = (host: string): string | null => names.get(host).address
    const overlay = this.#overlay.entries
    const result = await inSlices(
      planner.draftSteps({ settings, listenAddresses, overlay, resolve }, (version) =>
        workers.isAcknowledgedByAll(version),
      ),
    )
    if (!result.ok) return result
    const { draft } = result
    const isFirst = this.#version === 0
    const difference = isFirst ? null : await inSlices(differenceSteps(this.#plan, draft.plan))
    const changed = await inSlices(this.#changedPools(draft.records))
    if (this.#hasStopped()) {
      draft.discard()
      return { ok: false, problems: [stopping()] }
    }
    const before = this.#plan
    const opened = isFirst ? [] : listenersMissingIn(before, draft.plan)
    const closing = opened.length === 0 ? [] : listenersMissingIn(draft.plan, before)
    draft.layOverlay()
    if (difference === null) {
      this.#version += 1
      // Where listeners are closed, the next version is the first that does not name them.
      draft.commit(closing.length === 0 ? this.#version : this.#version + 1)
      this.#sendPlan({ ...draft.plan, listeners: [...draft.plan.listeners, ...closing] })
    } else this.#sendDifference(difference, changed, draft)
    const version = this.#version
    this.#settings = settings
    const recordsBefore = this.#records.replace(draft.byKey)
    await turn()
    this.#watchEndpoints(settings)
    this.#sweepSoon()
    const tell: OnEndpointEdit = (record, edit) => this.#deps.onEndpoint(record, edit, 'config')
    if (!isFirst) await inSlices(tellDifferences(recordsBefore, draft.records, tell))
    return { ok: true, version, opened, closing }
  }

  /** Health checks and names follow the records. */
  #watchEndpoints(settings: Settings): void {
    const { health, names } = this.#deps
    if (this.#hasStopped()) return
    const records = [...this.#records]
    health.update(records.map(checkedOf))
    for (const { address, configured, slot } of records) {
      if (address !== null || configured.kind === 'unix') continue
      health.markUnresolved(slot, names.get(configured.host).problem ?? 'the name is not resolved yet')
    }
    names.update(hostsOf(settings))
  }

  #sendPlan(plan: Omit<Plan, 'version'>): void {
    this.#plan = { ...plan, version: this.#version }
    this.#deps.workers.broadcast({ type: 'plan', plan: this.#plan })
  }

  /** The second half of a reload that opened listeners: what they replace is closed, now that they all listen. */
  #closeListeners(closing: readonly ListenerPlan[]): number {
    const gone = new Set(closing)
    this.#version += 1
    this.#sendPlan({ ...this.#plan, listeners: this.#plan.listeners.filter((listener) => !gone.has(listener)) })
    return this.#version
  }

  /** Pools with endpoints whose weight or state changes. What changes by hand meanwhile is told of by its own refresh. */
  *#changedPools(records: readonly EndpointRecord[]): Generator<void, ReadonlySet<string>> {
    const changed = new Set<string>()
    yield* eachInSteps(records, (record) => {
      const known = this.#records.get(record.key)
      if (known === undefined || (known.weight === record.weight && known.state === record.state)) return
      for (const pool of record.pools) changed.add(pool)
    })
    return changed
  }

  #sendDifference(difference: readonly PoolDifference[], changed: ReadonlySet<string>, draft: PlanDraft): void {
    // A delta has weights read anew too.
    const refreshed = difference.flatMap(({ name, endpoints }) =>
      endpoints === null && changed.has(name) ? [name] : [],
    )
    const deltas: PoolDelta[] = []
    const pools = difference.map(({ before, endpoints }) => {
      if (endpoints === null) return before
      this.#version += 1
      deltas.push({ version: this.#version, pool: before.name, add: endpoints.add, remove: endpoints.remove })
      return { ...before, endpoints: endpoints.result }
    })
    if (refreshed.length > 0) this.#version += 1
    // The table first: whoever hears of a change reads it there.
    draft.commit(this.#version)
    this.#plan = { ...this.#plan, version: this.#version, pools }
    for (const delta of deltas) this.#deps.workers.broadcast({ type: 'delta', delta })
    if (refreshed.length > 0)
      this.#deps.workers.broadcast({ type: 'refresh', version: this.#version, pools: refreshed })
  }

  #sendRefresh(pools: readonly string[]): number {
    this.#version += 1
    this.#plan = { ...this.#plan, version: this.#version }
    this.#deps.workers.broadcast({ type: 'refresh', version: this.#version, pools })
    return this.#version
  }

  #settleOverlay(): string[] {
    const times = new Map<string, number>()
    for (const { id } of this.#records) times.set(id, (times.get(id) ?? 0) + 1)
    return this.#overlay.settle(
      (key) => this.#records.get(key),
      (id) => times.get(id)! > 1,
    )
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

  #isSetAside(slot: number): boolean {
    return (this.#deps.table.fitness[slot]! & (Fitness.UNHEALTHY | Fitness.PASSIVE)) !== 0
  }

  #sweepSoon(): void {
    if (this.#sweepTimer !== null || this.#isStopped) return
    this.#sweepTimer = setTimeout(() => {
      this.#sweepTimer = null
      if (this.#deps.planner.sweep((version) => this.#deps.workers.isAcknowledgedByAll(version)) > 0) this.#sweepSoon()
    }, SWEEP_MS)
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
