/**
 * The composition root: puts the parts of a balancer together, and is the only place that knows them all.
 *
 * Control's own thread is that of the embedding program. Nothing here waits for a worker, the service, a name server or an
 * endpoint without a bound, and nothing here is on the path of a request.
 */
import { EventEmitter } from 'node:events'
import { formatProblem, type Problem } from '../config/problem.ts'
import type { Config, Settings } from '../config/schema.ts'
import { formatAddress, type SocketAddress } from '../core/address.ts'
import { EndpointTable } from '../memory/endpoint-table.ts'
import { KeyedTable } from '../memory/keyed-table.ts'
import { sharedNowMs } from '../memory/shared-clock.ts'
import { createSharedMemory, type SharedMemory } from '../memory/shared-memory.ts'
import { WorkerBoard } from '../memory/worker-board.ts'
import { type HealthChange, HealthChecks } from '../pool/health-checks.ts'
import type { ListenFailed } from '../pool/plan.ts'
import type { BalancerView } from '../service/protocol.ts'
import { defaultTokenFile } from '../service/state-directory.ts'
import { AdminService } from './admin-service.ts'
import { Announcer } from './announcer.ts'
import { Applier } from './apply.ts'
import type {
  Balancer,
  BalancerEvents,
  BalancerOptions,
  ControlRefusal,
  ControlResult,
  EndpointChange,
  EndpointSignals,
  ReloadResult,
  ReloadSource,
  StartReport,
  StopReport,
} from './balancer.ts'
import { ConfigError, StartError } from './balancer-errors.ts'
import { findEndpoint, findRecord } from './endpoint-change.ts'
import { canSharePorts, clearStaleSocket, listenReason, prepareListeners } from './listening.ts'
import { Names } from './names.ts'
import { Planner } from './plan.ts'
import { productVersion } from './product-version.ts'
import { hashOf, readSettings } from './read-settings.ts'
import { type Origin, Reloads } from './reloads.ts'
import { answerCall } from './service-calls.ts'
import { maySharePorts, memorySizes, workerCount, workerHeapMb } from './sizing.ts'
import { listenerReports, startWarnings } from './start-report.ts'
import { threadUrl } from './thread-url.ts'
import { makeView } from './view.ts'
import { type WorkerEnd, Workers } from './workers.ts'

/** All workers serve within this, or the start failed. */
const READY_MS = 30_000
/** A worker that was told to crash is gone after this, one way or the other. */
const KILL_MS = 5000
/** Times of checks in the view may be this old; everything else is sent at once. */
const CHECK_TIMES_MS = 2000
/** What a timer can hold, with room for what is added on the way. */
const MAX_DRAIN_MS = 2_147_000_000

type State = 'created' | 'starting' | 'ready' | 'draining' | 'stopped'

let balancersMade = 0

/** The one implementation of `Balancer`. */
export class Runtime extends EventEmitter<BalancerEvents> implements Balancer {
  readonly memory: SharedMemory
  readonly #options: BalancerOptions
  readonly #announcer: Announcer
  readonly #canShare: boolean
  readonly #table: EndpointTable
  readonly #board: WorkerBoard
  readonly #addresses: KeyedTable
  readonly #workers: Workers
  readonly #health: HealthChecks
  readonly #names: Names
  readonly #applier: Applier<Origin>
  readonly #reloads: Reloads
  readonly #admin: AdminService
  readonly #product = productVersion()
  /** For the report of the start. */
  readonly #configWarnings: readonly string[]
  #state: State = 'created'
  #startedAtMs = 0
  #startFailure: StartError | null = null
  #stopping: Promise<StopReport> | null = null
  #stopAt = 0
  #lostAtStop = 0
  #checkTimer: NodeJS.Timeout | null = null

  /** @throws ConfigError */
  constructor(config: Config | Settings, options: BalancerOptions) {
    super()
    const parsed = readSettings(config)
    if (parsed.settings === undefined) throw new ConfigError(parsed.problems)
    const { settings } = parsed
    this.#configWarnings = parsed.warnings.map(formatProblem)
    balancersMade += 1
    this.#options = options
    this.#announcer = new Announcer(this, String(balancersMade))
    this.#canShare = maySharePorts(options.reusePort)
    const count = workerCount(settings, this.#canShare)
    this.memory = createSharedMemory(memorySizes(settings, count))
    this.#table = new EndpointTable(this.memory)
    this.#board = new WorkerBoard(this.memory)
    this.#addresses = new KeyedTable(this.memory)
    this.#workers = this.#makeWorkers(count)
    this.#health = this.#makeHealthChecks(settings)
    this.#names = this.#makeNames()
    this.#applier = this.#makeApplier(settings)
    this.#reloads = this.#makeReloads({
      configFile: options.configFile ?? null,
      configHash: options.configHash ?? hashOf(settings),
      warnings: [],
    })
    this.#admin = this.#makeAdmin()
  }

  get settings(): Settings {
    return this.#applier.settings
  }

  get adminUrl(): string | null {
    return this.#admin.url
  }

  async start(): Promise<StartReport> {
    if (this.#state !== 'created')
      throw new StartError('STATE', `the balancer is ${this.#state}, it can be started once`)
    this.#state = 'starting'
    this.#startedAtMs = Date.now()
    try {
      const first = await this.#applier.first()
      try {
        this.#throwIfStopped()
        if (!first.ok)
          throw new StartError(first.code, first.problems.map(({ message }) => message).join('; '), first.problems)
        await this.#startWorkers()
      } finally {
        first.release()
      }
      await this.#admin.restart(this.settings.admin)
      this.#throwIfStopped()
      this.#state = 'ready'
      this.#changed()
      this.#admin.flush()
      return this.#startReport(first.version)
    } catch (error) {
      if (!this.#isEnding) {
        await this.#teardown()
        this.#state = 'stopped'
      }
      throw error
    }
  }

  stop(options: { readonly drainMs?: number } = {}): Promise<StopReport> {
    const asked = options.drainMs ?? this.settings.stop.drainMs
    const drainMs = Math.min(Math.max(Number.isNaN(asked) ? 0 : asked, 0), MAX_DRAIN_MS)
    const stopAt = performance.now() + drainMs
    if (this.#stopping === null) {
      this.#stopAt = stopAt
      this.#stopping = this.#stop()
      this.#workers.poke()
    } else if (stopAt < this.#stopAt) {
      this.#stopAt = stopAt
      this.#workers.poke()
    }
    return this.#stopping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async reload(config: Config | Settings, source: ReloadSource = {}): Promise<ReloadResult> {
    if (this.#state !== 'ready') return this.#reloads.refuse([notReady(this.#state)])
    const parsed = readSettings(config)
    if (parsed.settings === undefined) return this.#reloads.refuse(parsed.problems)
    return this.#reloads.apply(parsed.settings, source, parsed.warnings.map(formatProblem))
  }

  refuseReload(problems: readonly Problem[]): void {
    this.#reloads.refuse(problems)
  }

  clearRefusal(): boolean {
    return this.#reloads.clearRefusal()
  }

  view(): BalancerView {
    const { settings, plan, records } = this.#applier
    const { config } = this.#reloads
    const { problem } = this.#admin
    return makeView({
      product: this.#product,
      startedAtMs: this.#startedAtMs,
      state: VIEW_STATES[this.#state],
      config: problem === null ? config : { ...config, problems: [...config.problems, problem] },
      settings,
      plan,
      records,
      workers: this.#workers.views(),
      lastCheck: (slot) => this.#health.lastCheck(slot),
    })
  }

  async setEndpoint(change: EndpointChange): Promise<ControlResult> {
    if (this.#state !== 'ready') return refusal('not-running', `the balancer is ${this.#state}`)
    const found = findEndpoint(change, this.#applier.records)
    if (!found.ok) return found
    const { record, version, late } = await this.#applier.setEndpoint(found.record, change)
    const { weight, state, pools } = record
    if (late.length === 0) return { ok: true, version, endpoint: { weight, state, pools } }
    return refusal('late', `it is applied, but worker ${late.join(', ')} has not acknowledged within 5 s`)
  }

  setSignals({ id, pool, signals }: EndpointSignals): ControlResult {
    if (this.#state !== 'ready') return refusal('not-running', `the balancer is ${this.#state}`)
    const found = findRecord({ id, pool: pool ?? null }, this.#applier.records)
    if (!found.ok) return found
    const table = this.#table.signals
    const entries = Object.entries(signals)
    for (const [name, value] of entries) {
      if (!Number.isFinite(value)) return refusal('bad-value', `the signal '${name}' must be a finite number`)
      if (table.find(name) === null) return refusal('bad-value', `no pool's picker goes by a signal '${name}'`)
    }
    const now = sharedNowMs()
    for (const [name, value] of entries) table.report(name, found.record.slot, value, now)
    return { ok: true, version: this.#applier.plan.version }
  }

  async killWorker(index: number): Promise<ControlResult> {
    if (this.#state !== 'ready') return refusal('not-running', `the balancer is ${this.#state}`)
    if (!Number.isInteger(index) || index < 0 || index >= this.#workers.count) {
      return refusal('not-found', `there is no worker ${index}: there are 0 to ${this.#workers.count - 1}`)
    }
    const before = this.#restarts(index)
    if (!this.#workers.kill(index)) return refusal('not-running', `worker ${index} is not running at the moment`)
    await this.#workers.until(() => this.#restarts(index) > before, KILL_MS)
    return { ok: true, version: this.#applier.plan.version }
  }

  address(listener: string): SocketAddress | null {
    return this.#applier.address(listener)?.address ?? null
  }

  reopenLogs(): void {
    this.#workers.broadcast({ type: 'reopen-logs' })
  }

  #makeWorkers(count: number): Workers {
    return new Workers(
      {
        url: this.#options.workerUrl ?? threadUrl('../edge/worker'),
        board: this.#board,
        boot: (index) => ({ index, memory: this.memory, plan: this.#applier.plan }),
        beforeStart: (index) => this.#clearSockets(index),
        giveBack: (index) => {
          this.#table.giveBack(index)
          this.#board.listenerConnections.giveBack(index)
          this.#addresses.giveBack(index)
        },
        reconcile: () =>
          this.#table.reconcile() + this.#board.listenerConnections.reconcile() + this.#addresses.reconcile(),
        onReady: (index, restarts) => this.#announcer.workerReady(index, restarts),
        onExit: (end) => this.#workerEnded(end),
        onListenFailed: (index, failure) => this.#listenFailed(index, failure),
        onWarning: (index, message) =>
          this.#announcer.log('warn', 'worker', 'worker-warning', `worker ${index}: ${message}`, { worker: index }),
        onTrouble: (event, message) =>
          this.#announcer.log(event === 'worker-stuck' ? 'error' : 'warn', 'worker', event, message),
        onChange: () => this.#changed(),
      },
      { count, heapMb: this.#options.workerHeapMb ?? workerHeapMb(count) },
    )
  }

  #makeHealthChecks(settings: Settings): HealthChecks {
    return new HealthChecks(
      {
        table: this.#table,
        random: Math.random,
        onChange: (change) => this.#healthChanged(change),
        onCheck: () => this.#checkEnded(),
        onTrouble: (event, message) => this.#announcer.log('warn', 'health', event, message),
      },
      settings.health,
    )
  }

  #makeNames(): Names {
    const { lookup } = this.#options
    return new Names({
      ...(lookup === undefined ? {} : { lookup }),
      onChange: (host) => {
        this.#announcer.nameChanged(host, this.#names.get(host))
        this.#applier.nameChanged()
      },
    })
  }

  #makeApplier(settings: Settings): Applier<Origin> {
    return new Applier<Origin>(
      {
        planner: new Planner(this.memory, this.#table, this.#board),
        table: this.#table,
        workers: this.#workers,
        health: this.#health,
        names: this.#names,
        prepare: async ({ listeners }, held) =>
          prepareListeners(listeners, held, this.#canShare && (await canSharePorts())),
        onEndpoint: (record, edit, cause) => {
          const isFit = edit.what !== 'removed' && this.#isFit(record.slot)
          this.#announcer.endpointChanged(record, edit, cause, isFit)
          this.#changed()
        },
        onListening: ({ name, address }) => {
          const message = `listening on ${formatAddress(address)} (${name})`
          this.#announcer.log('info', 'apply', 'listening', message, {
            listener: name,
            address: formatAddress(address),
          })
        },
        onChange: () => this.#changed(),
        onFault: (error) => this.#announcer.fault(error),
      },
      settings,
    )
  }

  #makeReloads(origin: Origin): Reloads {
    return new Reloads(
      {
        announcer: this.#announcer,
        applier: this.#applier,
        sizes: this.memory.sizes,
        workerCount: (settings) => workerCount(settings, this.#canShare),
        onAdopted: (before, after) => {
          this.#health.setMaxConcurrent(after.health.maxConcurrent)
          if (JSON.stringify(before.admin) !== JSON.stringify(after.admin)) void this.#admin.restart(after.admin)
          this.#changed()
        },
        onRefusal: () => this.#changed(),
      },
      origin,
    )
  }

  #makeAdmin(): AdminService {
    const { serviceUrl, tokenFile, onReloadCall } = this.#options
    return new AdminService({
      url: serviceUrl === undefined ? threadUrl('../service/service') : serviceUrl,
      announcer: this.#announcer,
      boot: () => ({ memory: this.memory, tokenFile: tokenFile ?? defaultTokenFile(), view: this.view() }),
      onCall: (call) => answerCall(call, this, onReloadCall),
      onChange: () => this.#changed(),
    })
  }

  get #isEnding(): boolean {
    return this.#stopping !== null
  }

  #throwIfStopped(): void {
    if (this.#isEnding) throw new StartError('STATE', 'the balancer was stopped while it started')
  }

  async #startWorkers(): Promise<void> {
    this.#throwIfStopped()
    this.#health.start()
    this.#workers.start()
    const isReady = await this.#workers.until(
      () => this.#workers.isReady() || this.#startFailure !== null || this.#isEnding,
      READY_MS,
    )
    this.#throwIfStopped()
    if (this.#startFailure !== null) throw this.#startFailure
    if (!isReady) throw new StartError('NOT_READY', `not every worker serves after ${READY_MS / 1000} s`)
  }

  #startReport(version: number): StartReport {
    const { plan, records } = this.#applier
    const unresolved = [...records]
      .filter(({ address }) => address === null)
      .map(({ id, slot }) => ({ id, detail: this.#health.lastCheck(slot)?.detail ?? 'its name does not resolve' }))
    const { count } = this.#workers
    const warnings = [...this.#configWarnings, ...startWarnings(plan, count, unresolved)]
    return { version, workers: count, listeners: listenerReports(plan), adminUrl: this.adminUrl, warnings }
  }

  async #stop(): Promise<StopReport> {
    const startedAt = performance.now()
    const wasRunning = this.#state === 'ready' || this.#state === 'starting'
    this.#state = wasRunning ? 'draining' : 'stopped'
    let cutOff = 0
    if (wasRunning) {
      this.#changed()
      this.#admin.flush()
      cutOff = await this.#workers.stop(() => this.#stopAt)
      await this.#teardown()
      this.#state = 'stopped'
    }
    return { cutOff: cutOff + this.#lostAtStop, tookMs: Math.round(performance.now() - startedAt) }
  }

  async #teardown(): Promise<void> {
    this.#applier.stop()
    this.#health.stop()
    this.#names.stop()
    if (this.#checkTimer !== null) clearTimeout(this.#checkTimer)
    this.#checkTimer = null
    await Promise.all([this.#workers.abort(), this.#admin.stop()])
  }

  /** A worker that died could not remove the file of its unix socket, and the next could not bind. */
  async #clearSockets(index: number): Promise<void> {
    if (index !== 0) return
    for (const { address } of this.#applier.plan.listeners)
      if (address.kind === 'unix') await clearStaleSocket(address.path)
  }

  #listenFailed(index: number, { listener, code, message }: ListenFailed): void {
    const words = `worker ${index} cannot listen on '${listener}': ${listenReason(code, message)}`
    if (this.#state === 'starting') this.#startFailure ??= new StartError(code, words)
    else if (!this.#applier.isOpening && this.#applier.address(listener) !== null) {
      this.#announcer.log('error', 'worker', 'worker-listen-failed', words, { worker: index, code })
      this.#workers.replace(index, words)
    }
  }

  #workerEnded(end: WorkerEnd): void {
    const { index, reason, detail, connectionsLost, replacedInMs } = end
    if (replacedInMs === null) this.#lostAtStop += connectionsLost
    if (reason === 'stopped') return
    if (this.#state === 'starting')
      this.#startFailure ??= new StartError('NOT_READY', `worker ${index} ended while it started: ${detail}`)
    this.#announcer.workerEnded({ ...end, reason }, this.#restarts(index))
  }

  #healthChanged(change: HealthChange): void {
    const record = this.#applier.bySlot(change.slot)
    if (record === null) return
    if (change.kind === 'healthy' || change.kind === 'passive-cleared') this.#applier.recovered(record)
    this.#announcer.healthChanged(record, change, this.#isFit(change.slot))
    if ((change.kind === 'passive' || change.kind === 'unhealthy') && record.configured.kind === 'ip')
      this.#names.ask(record.configured.host)
    this.#changed()
  }

  #checkEnded(): void {
    this.#checkTimer ??= setTimeout(() => {
      this.#checkTimer = null
      this.#changed()
    }, CHECK_TIMES_MS)
  }

  #isFit(slot: number): boolean {
    return this.#table.fitness[slot] === 0
  }

  #restarts(index: number): number {
    return this.#workers.views()[index]!.restarts
  }

  #changed(): void {
    this.#admin.send(() => this.view())
  }
}

const VIEW_STATES: Readonly<Record<State, BalancerView['state']>> = {
  created: 'starting',
  starting: 'starting',
  ready: 'ready',
  draining: 'draining',
  stopped: 'draining',
}

function refusal(code: ControlRefusal, message: string): ControlResult {
  return { ok: false, code, message }
}

function notReady(state: State): Problem {
  return { path: '', message: `the balancer is ${state}, it cannot reload`, severity: 'error', code: 'bad-value' }
}
