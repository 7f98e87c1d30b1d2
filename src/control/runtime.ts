/**
 * The composition root: puts the parts of a balancer together, and is the only place that knows them all.
 *
 * Control's own thread is that of the embedding program. Nothing here waits for a worker, the service, a name server or an
 * endpoint without a bound, and nothing here is on the path of a request.
 */
import { EventEmitter } from 'node:events'
import { diffSettings } from '../config/diff.ts'
import type { Problem } from '../config/problem.ts'
import type { Config, Settings } from '../config/schema.ts'
import type { SocketAddress } from '../core/address.ts'
import { EndpointTable } from '../memory/endpoint-table.ts'
import { KeyedTable } from '../memory/keyed-table.ts'
import { createSharedMemory, type SharedMemory } from '../memory/shared-memory.ts'
import { WorkerBoard } from '../memory/worker-board.ts'
import * as channels from '../observe/channels.ts'
import { type HealthChange, HealthChecks } from '../pool/health-checks.ts'
import type { BalancerView } from '../service/protocol.ts'
import { defaultTokenFile } from '../service/state-directory.ts'
import { Applier, type ApplyResult, type EndpointEdit } from './apply.ts'
import type {
  Balancer,
  BalancerEvents,
  BalancerOptions,
  ControlRefusal,
  ControlResult,
  EndpointChange,
  LogLevel,
  LogRecord,
  ReloadResult,
  ReloadSource,
  StartReport,
  StopReport,
} from './balancer.ts'
import { ConfigError, StartError } from './balancer-errors.ts'
import { findEndpoint } from './endpoint-change.ts'
import { canSharePorts, clearStaleSocket, listenReason, prepareListeners } from './listening.ts'
import { Names } from './names.ts'
import { type EndpointRecord, Planner } from './plan.ts'
import { productVersion } from './product-version.ts'
import { hashOf, readSettings } from './read-settings.ts'
import { answerCall, problemText } from './service-calls.ts'
import { ServiceThread } from './service-thread.ts'
import { maySharePorts, memorySizes, workerCount, workerHeapMb } from './sizing.ts'
import { listenerReports, restartWarnings, startWarnings } from './start-report.ts'
import { threadUrl } from './thread-url.ts'
import { makeView } from './view.ts'
import { type WorkerEnd, Workers } from './workers.ts'

/** All workers serve within this, or the start failed. */
const READY_MS = 30_000
/** The admin API is waited for this long; it may also come later. */
const ADMIN_MS = 5000
/** A worker that was told to crash is gone after this, one way or the other. */
const KILL_MS = 5000
/** Times of checks in the view may be this old; everything else is sent at once. */
const CHECK_TIMES_MS = 2000

type State = 'created' | 'starting' | 'ready' | 'draining' | 'stopped'

/** What travels with a reload. */
interface Origin {
  readonly configFile: string | null
  readonly configHash: string
}

let balancersMade = 0

/** The one implementation of `Balancer`. */
const MAX_DRAIN_MS = 2_147_000_000

export class Runtime extends EventEmitter<BalancerEvents> implements Balancer {
  readonly memory: SharedMemory
  /** Tells balancers of one process apart. */
  readonly #name: string
  readonly #options: BalancerOptions
  readonly #canShare: boolean
  readonly #table: EndpointTable
  readonly #board: WorkerBoard
  readonly #workers: Workers
  readonly #health: HealthChecks
  readonly #names: Names
  readonly #applier: Applier<Origin>
  readonly #addresses: KeyedTable
  #service: ServiceThread | null = null
  readonly #told = new WeakMap<ApplyResult, ReloadResult>()
  #serviceTurn: Promise<void> = Promise.resolve()
  #state: State = 'created'
  #startedAtMs = 0
  #origin: Origin
  #loadedAtMs = Date.now()
  #refusal: readonly string[] = []
  #adminProblem: string | null = null
  #adminUrl: string | null = null
  #startFailure: StartError | null = null
  #stopping: Promise<StopReport> | null = null
  #stopAt = 0
  #lostAtStop = 0
  #checkTimer: NodeJS.Timeout | null = null
  readonly #product = productVersion()

  /** @throws ConfigError */
  constructor(config: Config | Settings, options: BalancerOptions) {
    super()
    const parsed = readSettings(config)
    if (parsed.settings === undefined) throw new ConfigError(parsed.problems)
    const { settings } = parsed
    balancersMade += 1
    this.#name = String(balancersMade)
    this.#options = options
    this.#origin = { configFile: options.configFile ?? null, configHash: options.configHash ?? hashOf(settings) }
    this.#canShare = maySharePorts(options.reusePort)
    const count = workerCount(settings, this.#canShare)
    this.memory = createSharedMemory(memorySizes(settings, count))
    this.#table = new EndpointTable(this.memory)
    this.#board = new WorkerBoard(this.memory)
    this.#addresses = new KeyedTable(this.memory)
    this.#workers = this.#makeWorkers(count)
    this.#health = new HealthChecks(
      {
        table: this.#table,
        random: Math.random,
        onChange: (change) => this.#healthChanged(change),
        onCheck: () => this.#checkEnded(),
        onTrouble: (event, message) => this.#log('warn', 'health', event, message),
      },
      settings.health,
    )
    this.#names = new Names({
      ...(options.lookup === undefined ? {} : { lookup: options.lookup }),
      onChange: (host) => this.#nameChanged(host),
    })
    this.#applier = new Applier<Origin>(
      {
        planner: new Planner(this.memory, this.#table, this.#board),
        table: this.#table,
        workers: this.#workers,
        health: this.#health,
        names: this.#names,
        prepare: async ({ listeners }, held) =>
          prepareListeners(listeners, held, this.#canShare && (await canSharePorts())),
        onEndpoint: (record, what, detail, cause) => this.#endpointChanged(record, what, detail, cause),
        onChange: () => this.#changed(),
        onFault: (error) => {
          const message = error instanceof Error ? error.message : String(error)
          this.#log('error', 'apply', 'fault', `something went wrong inside the balancer: ${message}`, {
            stack: error instanceof Error ? error.stack : undefined,
          })
        },
      },
      settings,
    )
  }

  get settings(): Settings {
    return this.#applier.settings
  }

  get adminUrl(): string | null {
    return this.#adminUrl
  }

  async start(): Promise<StartReport> {
    if (this.#state !== 'created')
      throw new StartError('STATE', `the balancer is ${this.#state}, it can be started once`)
    this.#state = 'starting'
    this.#startedAtMs = Date.now()
    try {
      const first = await this.#applier.first()
      try {
        if (!first.ok)
          throw new StartError(first.code, first.problems.map(({ message }) => message).join('; '), first.problems)
        await this.#startWorkers()
      } finally {
        first.release()
      }
      await this.#startService(this.settings)
      this.#throwIfStopped()
      this.#state = 'ready'
      this.#changed()
      this.#service?.flush()
      return this.#startReport(first.version, first.warnings)
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
    // What a timer can hold, with room for what is added on the way; Infinity means that.
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
    if (this.#state !== 'ready') return this.#refuse([problemOf(`the balancer is ${this.#state}, it cannot reload`)])
    const parsed = readSettings(config)
    if (parsed.settings === undefined) return this.#refuse(parsed.problems)
    const { settings } = parsed
    const origin: Origin = {
      configFile: source.configFile === undefined ? this.#origin.configFile : source.configFile,
      configHash: source.configHash ?? hashOf(settings),
    }
    const startedAt = performance.now()
    const { tag, result } = await this.#applier.reload(settings, origin)
    // Of several callers whose reloads became one, the first to be back tells of it.
    let told = this.#told.get(result)
    if (told === undefined) {
      told = result.ok ? this.#adopted(tag, result, startedAt) : this.#refuse(result.problems)
      this.#told.set(result, told)
    }
    return told
  }

  refuseReload(problems: readonly Problem[]): void {
    this.#refuse(problems)
  }

  view(): BalancerView {
    const { settings, plan, records } = this.#applier
    const { configFile, configHash } = this.#origin
    const problems = this.#adminProblem === null ? this.#refusal : [...this.#refusal, this.#adminProblem]
    return makeView({
      product: this.#product,
      startedAtMs: this.#startedAtMs,
      state: VIEW_STATES[this.#state],
      config: { file: configFile, hash: configHash, loadedAtMs: this.#loadedAtMs, problems },
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
    const { weight, state } = change
    const { version, late } = await this.#applier.setEndpoint({
      record: found.record,
      ...(weight === undefined ? {} : { weight }),
      ...(state === undefined ? {} : { state }),
    })
    if (late.length === 0) return { ok: true, version }
    return refusal('late', `it is applied, but worker ${late.join(', ')} has not acknowledged within 5 s`)
  }

  async killWorker(index: number): Promise<ControlResult> {
    if (this.#state !== 'ready') return refusal('not-running', `the balancer is ${this.#state}`)
    if (!Number.isInteger(index) || index < 0 || index >= this.#workers.count) {
      return refusal('not-found', `there is no worker ${index}: there are 0 to ${this.#workers.count - 1}`)
    }
    const restarts = (): number => this.#workers.views()[index]!.restarts
    const before = restarts()
    if (!this.#workers.kill(index)) return refusal('not-running', `worker ${index} is not running at the moment`)
    await this.#workers.until(() => restarts() > before, KILL_MS)
    return { ok: true, version: this.#applier.plan.version }
  }

  address(listener: string): SocketAddress | null {
    return this.#applier.address(listener)?.address ?? null
  }

  reopenLogs(): void {
    this.#workers.broadcast({ type: 'reopen-logs' })
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
        onReady: (index, restarts) => {
          this.#log(restarts === 0 ? 'debug' : 'info', 'worker', 'worker-ready', `worker ${index} serves`, {
            worker: index,
            restarts,
          })
          this.#tell('worker-ready', { index, restarts })
        },
        onExit: (end) => this.#workerEnded(end),
        onListenFailed: (index, failure) => {
          const message = `worker ${index} cannot listen on '${failure.listener}': ${listenReason(failure.code, failure.message)}`
          if (this.#state === 'starting') this.#startFailure ??= new StartError(failure.code, message)
          else if (!this.#applier.isOpening && this.#applier.address(failure.listener) !== null) {
            this.#log('error', 'worker', 'worker-listen-failed', message, { worker: index, code: failure.code })
            this.#workers.replace(index, message)
          }
        },
        onWarning: (index, message) =>
          this.#log('warn', 'worker', 'worker-warning', `worker ${index}: ${message}`, { worker: index }),
        onTrouble: (event, message) => this.#log(event === 'worker-stuck' ? 'error' : 'warn', 'worker', event, message),
        onChange: () => this.#changed(),
      },
      { count, heapMb: this.#options.workerHeapMb ?? workerHeapMb(count) },
    )
  }

  /** A worker that died could not remove the file of its unix socket, and the next could not bind. */
  async #clearSockets(index: number): Promise<void> {
    if (index !== 0) return
    for (const { address } of this.#applier.plan.listeners)
      if (address.kind === 'unix') await clearStaleSocket(address.path)
  }

  #workerEnded({ index, reason, detail, stack, connectionsLost, replacedInMs }: WorkerEnd): void {
    if (replacedInMs === null) this.#lostAtStop += connectionsLost
    if (reason === 'stopped') return
    if (this.#state === 'starting') {
      this.#startFailure ??= new StartError('NOT_READY', `worker ${index} ended while it started: ${detail}`)
    }
    const next =
      replacedInMs === null
        ? ''
        : replacedInMs === 0
          ? ', it is replaced at once'
          : `, it is replaced in ${replacedInMs} ms`
    this.#log(
      reason === 'killed' ? 'warn' : 'error',
      'worker',
      'worker-exit',
      `worker ${index} ended (${reason}): ${detail}${next}`,
      {
        worker: index,
        reason,
        detail,
        connectionsLost,
        replacedInMs,
        ...(stack === null ? {} : { stack }),
      },
    )
    this.#tell('worker-exit', { index, reason, detail, connectionsLost, replacedInMs })
    if (replacedInMs === null) return
    channels.workerReplaced.publish(() => ({
      balancer: this.#name,
      worker: index,
      reason: reason === 'hung' ? 'hang' : reason === 'heap' ? 'memory' : reason,
      detail,
      restarts: this.#workers.views()[index]?.restarts ?? 0,
      delayMs: replacedInMs,
    }))
  }

  async #startService(settings: Settings): Promise<void> {
    if (settings.admin === false || this.#options.serviceUrl === null) return
    const { bind, allowWorkerKill } = settings.admin
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#adminProblem = null
    const service = new ServiceThread({
      url: this.#options.serviceUrl ?? threadUrl('../service/service'),
      boot: () => ({
        memory: this.memory,
        admin: { bind, allowWorkerKill },
        tokenFile: this.#options.tokenFile ?? defaultTokenFile(),
        view: this.view(),
      }),
      onListening: (url) => {
        this.#adminUrl = url
        this.#adminProblem = null
        this.#log('debug', 'service', 'admin-listening', `the admin API listens on ${url}`, { url })
        this.#tell('admin-listening', { url })
        resolve()
      },
      onListenFailed: (code, message) => {
        this.#adminUrl = null
        this.#adminProblem = `the admin API cannot listen on ${bind}: ${listenReason(code, message)}`
        this.#log('error', 'service', 'admin-listen-failed', this.#adminProblem, { code, bind })
        this.#changed()
        resolve()
      },
      onWarning: (message) => this.#log('warn', 'service', 'service-warning', message),
      onCall: (call) => answerCall(call, this, this.#options.onReloadCall),
      onExit: (detail, replacedInMs) => {
        this.#adminUrl = null
        this.#log(
          'error',
          'service',
          'service-exit',
          `the service thread ended: ${detail}; it is replaced, traffic is not touched`,
          {
            detail,
            replacedInMs,
          },
        )
      },
    })
    this.#service = service
    service.start()
    const timer = setTimeout(() => {
      if (this.#service === service)
        this.#log('warn', 'service', 'admin-late', `the admin API does not listen after ${ADMIN_MS / 1000} s`)
      resolve()
    }, ADMIN_MS)
    // A stop does not wait for it.
    timer.unref()
    await promise
    clearTimeout(timer)
  }

  #adopted(origin: Origin, result: ApplyResult & { readonly ok: true }, startedAt: number): ReloadResult {
    const { before, after: settings } = result
    const changes = diffSettings(before, settings)
    const warnings = [
      ...result.warnings,
      ...restartWarnings(settings, workerCount(settings, this.#canShare), this.memory.sizes),
    ]
    this.#origin = origin
    this.#loadedAtMs = Date.now()
    this.#refusal = []
    this.#health.setMaxConcurrent(settings.health.maxConcurrent)
    if (JSON.stringify(before.admin) !== JSON.stringify(settings.admin)) this.#restartService(settings)
    for (const warning of warnings) this.#log('warn', 'apply', 'reload-warning', warning)
    const { version } = result
    this.#log('debug', 'apply', 'reloaded', `version ${version} is in force: ${changes.length} changes`, {
      version,
      changes: changes.map(({ path, kind }) => ({ path, kind })),
    })
    this.#changed()
    this.#tell('reloaded', { version, changes, warnings })
    this.#publishReload(
      true,
      changes.map(({ path, kind }) => `${kind} ${path}`),
      startedAt,
    )
    return { ok: true, version, changes, warnings }
  }

  #refuse(problems: readonly Problem[]): ReloadResult {
    this.#refusal = problems.filter(({ severity }) => severity === 'error').map(problemText)
    this.#log(
      'debug',
      'apply',
      'reload-refused',
      `the config was refused, the one before is in force: ${this.#refusal.join('; ')}`,
      { problems },
    )
    this.#changed()
    this.#tell('reload-refused', { problems })
    this.#publishReload(false, this.#refusal, performance.now())
    return { ok: false, problems }
  }

  #publishReload(ok: boolean, details: readonly string[], startedAt: number): void {
    channels.reloaded.publish(() => ({
      balancer: this.#name,
      ok,
      file: this.#origin.configFile,
      hash: this.#origin.configHash,
      details,
      durationMs: performance.now() - startedAt,
    }))
  }

  /** One after the other: two reloads in a row must not leave two service threads. */
  #restartService(settings: Settings): void {
    this.#serviceTurn = this.#serviceTurn.then(async () => {
      const before = this.#service
      this.#service = null
      this.#adminUrl = null
      await before?.stop()
      if (this.#state === 'ready') await this.#startService(settings)
      this.#changed()
    })
  }

  #startReport(version: number, planWarnings: readonly string[]): StartReport {
    const { plan, records } = this.#applier
    const unresolved = [...records]
      .filter(({ address }) => address === null)
      .map(({ id, slot }) => ({ id, detail: this.#health.lastCheck(slot)?.detail ?? 'its name does not resolve' }))
    const { count } = this.#workers
    const warnings = [...planWarnings, ...startWarnings(plan, count, unresolved)]
    return { version, workers: count, listeners: listenerReports(plan), adminUrl: this.#adminUrl, warnings }
  }

  async #stop(): Promise<StopReport> {
    const startedAt = performance.now()
    const wasRunning = this.#state === 'ready' || this.#state === 'starting'
    this.#state = wasRunning ? 'draining' : 'stopped'
    let cutOff = 0
    if (wasRunning) {
      this.#changed()
      this.#service?.flush()
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
    await Promise.all([this.#workers.abort(), this.#service?.stop()])
    this.#service = null
    this.#adminUrl = null
  }

  #healthChanged({ slot, kind, detail }: HealthChange): void {
    const record = this.#applier.bySlot(slot)
    if (record === null) return
    const isFit = this.#table.fitness[slot] === 0
    const words = {
      healthy: 'is healthy',
      unhealthy: 'is unhealthy',
      passive: 'is set aside',
      'passive-cleared': 'is used again',
    }[kind]
    const level = kind === 'unhealthy' || kind === 'passive' ? 'warn' : 'info'
    this.#log(
      level,
      'health',
      `endpoint-${kind}`,
      `endpoint '${record.id}' (${record.pools.join(', ')}) ${words}: ${detail}`,
      {
        endpoint: record.id,
        pools: record.pools,
        detail,
      },
    )
    if ((kind === 'passive' || kind === 'unhealthy') && record.configured.kind === 'ip')
      this.#names.ask(record.configured.host)
    this.#tell('endpoint-changed', { id: record.id, pools: record.pools, slot, what: 'health', isFit, detail })
    const cause = kind === 'passive' || kind === 'passive-cleared' ? 'passive' : 'check'
    this.#publishEndpoint(record, cause, isFit ? 'fit' : 'unfit', detail)
    this.#changed()
  }

  #endpointChanged(record: EndpointRecord, what: EndpointEdit, detail: string, cause: 'admin' | 'config'): void {
    this.#log(
      'info',
      'apply',
      `endpoint-${what}`,
      `endpoint '${record.id}' (${record.pools.join(', ')}) ${what}: ${detail}`,
      {
        endpoint: record.id,
        pools: record.pools,
        detail,
      },
    )
    const isFit = what !== 'removed' && this.#table.fitness[record.slot] === 0
    this.#tell('endpoint-changed', { id: record.id, pools: record.pools, slot: record.slot, what, isFit, detail })
    if (what !== 'address') this.#publishEndpoint(record, cause, what, detail)
    this.#changed()
  }

  #publishEndpoint(
    record: EndpointRecord,
    cause: channels.EndpointChanged['cause'],
    change: channels.EndpointChanged['change'],
    detail: string,
  ): void {
    for (const pool of record.pools)
      channels.endpointChanged.publish(() => ({
        balancer: this.#name,
        pool,
        endpoint: record.id,
        cause,
        change,
        detail,
      }))
  }

  #nameChanged(host: string): void {
    const { address, problem } = this.#names.get(host)
    if (problem !== null) {
      const kept = address === null ? '' : `; ${address} stays in use`
      this.#log('warn', 'names', 'name-failed', `'${host}': ${problem}${kept}`, { host, address, problem })
    } else this.#log('info', 'names', 'name-resolved', `'${host}' is ${address}`, { host, address })
    this.#applier.nameChanged()
  }

  #checkEnded(): void {
    this.#checkTimer ??= setTimeout(() => {
      this.#checkTimer = null
      this.#changed()
    }, CHECK_TIMES_MS)
  }

  #changed(): void {
    this.#service?.send(() => this.view())
  }

  /** Listeners are the caller's: one that throws must not stop what control is in the middle of. */
  #tell<K extends keyof BalancerEvents>(event: K, ...values: BalancerEvents[K]): void {
    try {
      // `emit` is typed for one known event at a time.
      ;(this as { emit(name: string, ...values: unknown[]): boolean }).emit(event, ...values)
    } catch (error) {
      setImmediate(() => {
        throw error
      })
    }
  }

  #log(
    level: LogLevel,
    component: LogRecord['component'],
    event: string,
    message: string,
    fields: Readonly<Record<string, unknown>> = {},
  ): void {
    if (this.listenerCount('log') === 0) return
    this.#tell('log', { ...fields, level, time: new Date().toISOString(), component, event, message })
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

function problemOf(message: string): Problem {
  return { path: '', message, severity: 'error', code: 'bad-value' }
}
