/** A worker of the data plane: applies plans and deltas, owns listeners and pools, ends when it is told to. */
import { randomBytes, randomInt } from 'node:crypto'
import { createRandom } from '../core/random.ts'
import { Cursors } from '../memory/cursors.ts'
import { EndpointTable } from '../memory/endpoint-table.ts'
import { KeyedTable } from '../memory/keyed-table.ts'
import type { SharedMemory } from '../memory/shared-memory.ts'
import { WorkerBoard, WorkerState } from '../memory/worker-board.ts'
import { Counter } from '../observe/counters.ts'
import { listenerSocket } from '../pool/listener-socket.ts'
import type { AccessLogPlan, ListenerPlan, Plan, PoolDelta, WorkerCommand, WorkerEvent } from '../pool/plan.ts'
import { AccessRecorder } from './access-recorder.ts'
import type { WorkerContext } from './context.ts'
import { ExchangePool } from './exchange-pool.ts'
import { Http1Upstream } from './http1-upstream.ts'
import { InternalErrors } from './internal-errors.ts'
import { Listener } from './listener.ts'
import { WorkerPool } from './pick-endpoint.ts'
import { RequestIds } from './request-ids.ts'
import { startAttempt } from './request-path.ts'
import { RouteTable } from './route-table.ts'
import { Timers } from './timers.ts'
import type { Connect } from './upstream-connections.ts'

/** `workerData` of a worker thread. */
export interface WorkerBoot {
  readonly index: number
  readonly memory: SharedMemory
  readonly plan: Plan
}

export class EdgeWorker {
  readonly context: WorkerContext
  readonly exchanges: ExchangePool
  readonly #post: (event: WorkerEvent) => void
  readonly #cursors: Cursors
  readonly #connect: Connect
  readonly #pools = new Map<string, WorkerPool>()
  /** By `listenerSocket`. */
  readonly #listeners = new Map<string, Listener>()
  /** Removed by a reload, with connections still open. */
  readonly #retired = new Set<Listener>()
  #accessPlan = ''
  /** Plans are applied one after the other: binding a listener takes a moment. */
  #applying: Promise<void> = Promise.resolve()
  #hasApplied = false
  /** A step failed, and no whole plan has come since. */
  #isBehind = false

  constructor(
    boot: WorkerBoot,
    post: (event: WorkerEvent) => void,
    connect: Connect = (context, endpoint) => new Http1Upstream(context, endpoint),
  ) {
    const { index, memory, plan } = boot
    const board = new WorkerBoard(memory)
    this.#post = post
    this.#connect = connect
    this.#cursors = new Cursors(memory)
    const timers = new Timers(
      () => performance.now(),
      (lateMs) => this.#tick(lateMs),
    )
    this.context = {
      index,
      workers: memory.sizes.workers,
      board,
      table: new EndpointTable(memory),
      addresses: new KeyedTable(memory),
      counters: board.counters(index),
      timers,
      requestIds: new RequestIds(randomBytes(9).toString('hex').slice(0, 12)),
      random: createRandom(randomInt(2 ** 32 - 1)),
      identity: plan.identity,
      accessLog: null,
      isDraining: false,
      loadProbesRunning: 0,
      internalErrors: new InternalErrors(
        (message) => post({ type: 'warning', message }),
        () => timers.clock(),
      ),
    }
    this.exchanges = new ExchangePool(this.context, startAttempt)
    board.setState(index, WorkerState.STARTING)
  }

  /** The listener of that name, for whoever embeds a worker. */
  listener(name: string): Listener | undefined {
    return [...this.#listeners.values()].find(({ plan }) => plan.name === name)
  }

  command(command: WorkerCommand): void {
    switch (command.type) {
      case 'plan':
        this.apply(command.plan)
        break
      case 'delta':
        this.#inTurn(() => this.#applyDelta(command.delta))
        break
      case 'refresh':
        this.#inTurn(() => {
          for (const name of command.pools) this.#pools.get(name)?.refresh()
          this.#acknowledge(command.version)
        })
        break
      case 'drain':
        this.#inTurn(() => void this.#drain(command.deadlineMs))
        break
      case 'reopen-logs':
        this.context.accessLog?.reopen()
        break
      case 'crash':
        throw new Error(`worker ${this.context.index} was told to crash`)
    }
  }

  /** Swaps the plan in: pools and routes at once, then listeners come and go. */
  apply(plan: Plan): void {
    this.#inTurn(() => this.#apply(plan))
  }

  async close(): Promise<void> {
    for (const listener of [...this.#listeners.values(), ...this.#retired]) listener.destroy()
    for (const pool of this.#pools.values()) pool.retire()
    this.context.timers.stop()
    await this.context.accessLog?.close()
  }

  /**
   * A step that fails says why and is not acknowledged, nor is any behind it until a whole plan has been applied: what was
   * in force goes on to serve. The very first plan leaves nothing to serve, so its failure ends the worker, which is replaced.
   */
  #inTurn(work: () => void | Promise<void>): void {
    this.#applying = this.#applying.then(work).catch((error: unknown) => {
      if (!this.#hasApplied) throw error
      this.#isBehind = true
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      this.#post({ type: 'warning', message: `a change could not be applied and is not in force here: ${text}` })
    })
  }

  async #apply(plan: Plan): Promise<void> {
    const { context } = this
    context.identity = plan.identity
    this.#openAccessLog(plan.accessLog)
    this.#applyPools(plan)
    // New sockets before old ones go: a listener that moves is never without one.
    for (const listenerPlan of plan.listeners) await this.#applyListener(listenerPlan, plan)
    const wanted = new Set(plan.listeners.map(listenerSocket))
    for (const [socket, listener] of this.#listeners) if (!wanted.has(socket)) this.#retire(socket, listener)
    this.#hasApplied = true
    this.#isBehind = false
    if (!context.isDraining) context.board.setState(context.index, WorkerState.RUNNING)
    this.#acknowledge(plan.version)
  }

  #applyPools(plan: Plan): void {
    const gone = new Map(this.#pools)
    for (const poolPlan of plan.pools) {
      const pool = this.#pools.get(poolPlan.name)
      gone.delete(poolPlan.name)
      if (pool !== undefined) pool.update(poolPlan)
      else {
        const cursor = this.#cursors.cursor(poolPlan.slot)
        this.#pools.set(poolPlan.name, new WorkerPool(this.context, poolPlan, cursor, this.#connect))
      }
    }
    for (const [name, pool] of gone) {
      this.#pools.delete(name)
      pool.retire()
    }
  }

  async #applyListener(plan: ListenerPlan, whole: Plan): Promise<void> {
    const routes = new RouteTable(whole.routes, plan.name, this.#pools)
    const socket = listenerSocket(plan)
    const open = this.#listeners.get(socket)
    if (open !== undefined) return open.update(plan, routes)
    if (!plan.reusePort && this.context.index !== 0) return
    const listener = new Listener(this.context, this.exchanges, plan, routes)
    try {
      const port = await listener.listen()
      this.#listeners.set(socket, listener)
      this.#post({ type: 'listening', listener: plan.name, socket, port })
    } catch (error) {
      const { code = 'unknown', message } = error as NodeJS.ErrnoException
      this.#post({ type: 'listen-failed', listener: plan.name, socket, code, message })
    }
  }

  #applyDelta(delta: PoolDelta): void {
    this.#pools.get(delta.pool)?.apply(delta)
    this.#acknowledge(delta.version)
  }

  #retire(socket: string, listener: Listener): void {
    this.#listeners.delete(socket)
    this.#retired.add(listener)
    void listener.drain().then(() => this.#retired.delete(listener))
  }

  async #drain(deadlineMs: number): Promise<void> {
    const { context } = this
    context.isDraining = true
    context.board.setState(context.index, WorkerState.DRAINING)
    for (const pool of this.#pools.values()) pool.prober?.retire()
    const listeners = [...this.#listeners.values(), ...this.#retired]
    const deadline = setTimeout(() => {
      for (const listener of listeners) listener.destroy()
    }, deadlineMs)
    await Promise.all(listeners.map((listener) => listener.drain()))
    clearTimeout(deadline)
    await this.close()
    this.#post({ type: 'drained' })
  }

  #openAccessLog(plan: AccessLogPlan | null): void {
    const text = JSON.stringify(plan)
    if (text === this.#accessPlan) return
    this.#accessPlan = text
    const before = this.context.accessLog
    const warn = (problem: string | null): void =>
      this.#post({ type: 'warning', message: `access log ${plan?.to}: ${problem ?? 'it can be written again'}` })
    this.context.accessLog = plan === null ? null : new AccessRecorder(plan, this.context.index, warn)
    void before?.close()
  }

  #acknowledge(version: number): void {
    if (this.#isBehind) return
    this.context.board.acknowledge(this.context.index, version)
    this.#post({ type: 'acknowledged', version })
  }

  #tick(lateMs: number): void {
    const { context } = this
    context.counters[Counter.LATE_MS]! += lateMs
    if (context.accessLog !== null) context.counters[Counter.ACCESS_LOG_DROPPED] = context.accessLog.dropped
    context.board.tick(context.index)
  }
}
