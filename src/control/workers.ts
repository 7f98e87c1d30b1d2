/**
 * Supervision of the data plane's threads: each seat (index) holds one worker; whoever dies, hangs or fills its heap is
 * replaced, its counts given back, and the others never notice.
 *
 * What cannot be contained ends the process: a native crash, V8's fatal out-of-memory, a native call that never returns.
 */
import { Worker } from 'node:worker_threads'
import type { SharedMemory } from '../memory/shared-memory.ts'
import { type WorkerBoard, WorkerState } from '../memory/worker-board.ts'
import { Counter, OPEN_COUNTERS } from '../observe/counters.ts'
import { listenerSocket } from '../pool/listener-socket.ts'
import type { ListenerPlan, ListenFailed, Plan, WorkerCommand, WorkerEvent } from '../pool/plan.ts'
import type { WorkerView } from '../service/protocol.ts'
import { RestartDelay } from './restart-delay.ts'
import { Silence, TICK_MS } from './silence.ts'

/** Silent watchdog ticks that make a running worker hung: 3 s. */
const HUNG_TICKS = 12
/** A worker that is still loading may be silent for 30 s, and one that cannot listen may stay for 6 s, for a reload that undoes it. */
const HUNG_STARTING_TICKS = 120
const CANNOT_LISTEN_TICKS = 24
const RECONCILE_EVERY_MS = 100
const RECONCILE_FOR_MS = 2000
/** `terminate` ends any JavaScript; what is left after this hangs in native code. */
const TERMINATE_MS = 5000
const CUT_AFTER_MS = 50
/** What a worker may take beyond its drain deadline to say that it is done. */
const DRAIN_GRACE_MS = 1000

/** `workerData` of a worker. */
export interface WorkerBoot {
  readonly index: number
  readonly memory: SharedMemory
  readonly plan: Plan
}

export type WorkerExitReason = 'error' | 'heap' | 'hung' | 'killed' | 'exit' | 'stopped'

export interface WorkerEnd {
  readonly index: number
  readonly reason: WorkerExitReason
  readonly detail: string
  /** Of an exception nobody caught. */
  readonly stack: string | null
  /** Downstream connections that were open and are lost. */
  readonly connectionsLost: number
  readonly replacedInMs: number | null
}

export interface WorkersDeps {
  readonly url: URL
  readonly board: WorkerBoard
  /** What a worker that starts now is given: the plan in force. */
  readonly boot: (index: number) => WorkerBoot
  /** Runs before each start of the worker at `index`, e.g. to clear a stale socket; must not reject. */
  readonly beforeStart: (index: number) => Promise<void>
  /** Takes what a dead worker held out of the shared counts. Called once its thread is gone. */
  readonly giveBack: (index: number) => void
  /** One pass over the shared counts; returns how many were corrected. */
  readonly reconcile: () => number
  readonly onReady: (index: number, restarts: number) => void
  readonly onExit: (exit: WorkerEnd) => void
  /** While nobody waits for it (`start`, a reload) the worker should be replaced. */
  readonly onListenFailed: (index: number, failure: ListenFailed) => void
  readonly onWarning: (index: number, message: string) => void
  readonly onTrouble: (event: 'worker-stuck' | 'counts-corrected', message: string) => void
  /** A state changed: views are out of date. */
  readonly onChange: () => void
}

export interface WorkersOptions {
  readonly count: number
  readonly heapMb: number
}

interface Seat {
  readonly index: number
  worker: Worker | null
  state: WorkerView['state']
  restarts: number
  lastExit: string | null
  readonly delay: RestartDelay
  startTimer: NodeJS.Timeout | null
  killTimer: NodeJS.Timeout | null
  readyAt: number
  silence: Silence
  /** Watchdog ticks for which it could not listen where it should, while it starts. */
  failedTicks: number
  /** Why we are ending it, when it is we. */
  intent: { readonly reason: WorkerExitReason; readonly detail: string } | null
  error: { readonly reason: 'error' | 'heap'; readonly detail: string; readonly stack: string | null } | null
  /** Sockets (`listenerSocket`) that it should have; which of them it has, and which it cannot have. */
  expected: ReadonlySet<string>
  readonly listening: Set<string>
  readonly listenFailed: Map<string, ListenFailed>
  bootVersion: number
  isDrained: boolean
}

interface Waiter {
  readonly isDone: () => boolean
  readonly resolve: (isDone: boolean) => void
  readonly timer: NodeJS.Timeout
}

/** All workers of one balancer. */
export class Workers {
  readonly #deps: WorkersDeps
  readonly #options: WorkersOptions
  readonly #seats: readonly Seat[]
  readonly #waiters = new Set<Waiter>()
  #watchdog: NodeJS.Timeout | null = null
  #reconcileTimer: NodeJS.Timeout | null = null
  #reconcileUntil = 0
  #isStopping = false

  constructor(deps: WorkersDeps, options: WorkersOptions) {
    this.#deps = deps
    this.#options = options
    this.#seats = Array.from({ length: options.count }, (_, index) => ({
      index,
      worker: null,
      state: 'starting' as const,
      restarts: 0,
      lastExit: null,
      delay: new RestartDelay(),
      startTimer: null,
      killTimer: null,
      readyAt: 0,
      silence: new Silence(),
      failedTicks: 0,
      intent: null,
      error: null,
      expected: new Set<string>(),
      bootVersion: 0,
      listening: new Set<string>(),
      listenFailed: new Map<string, ListenFailed>(),
      isDrained: false,
    }))
  }

  get count(): number {
    return this.#seats.length
  }

  start(): void {
    this.#watchdog = setInterval(() => this.#watch(), TICK_MS)
    for (const seat of this.#seats) void this.#spawn(seat)
  }

  views(): WorkerView[] {
    return this.#seats.map(({ index, state, restarts, lastExit }) => ({ index, state, restarts, lastExit }))
  }

  /** To every worker that has a thread, those that are still starting included: their port keeps it until they read. */
  broadcast(command: WorkerCommand): void {
    if (command.type === 'plan') for (const seat of this.#seats) expect(seat, command.plan)
    for (const { worker } of this.#seats) worker?.postMessage(command)
  }

  /** Running workers that have not acknowledged a version. */
  late(version: number): number[] {
    const { board } = this.#deps
    return this.#seats
      .filter(
        ({ worker, state, index }) => worker !== null && state === 'running' && board.acknowledged(index) < version,
      )
      .map(({ index }) => index)
  }

  /** Has every thread there is, starting and draining ones too, applied the version? Then nobody uses what it took away. */
  isAcknowledgedByAll(version: number): boolean {
    const { board } = this.#deps
    return this.#seats.every(({ worker, index }) => worker === null || board.acknowledged(index) >= version)
  }

  /** Is every worker running? */
  isReady(): boolean {
    return this.#seats.every(({ state }) => state === 'running')
  }

  /** Has every running worker that should listen on these listeners told whether it can? */
  isOpened(listeners: readonly ListenerPlan[]): boolean {
    return this.#seats.every(
      ({ worker, state, index, listening, listenFailed }) =>
        worker === null ||
        state !== 'running' ||
        socketsOf(listeners, index).every((socket) => listening.has(socket) || listenFailed.has(socket)),
    )
  }

  /** Failures to listen that workers have told of and not overcome since. */
  listenFailures(): { readonly index: number; readonly failure: ListenFailed }[] {
    return this.#seats.flatMap(({ index, listenFailed }) =>
      [...listenFailed.values()].map((failure) => ({ index, failure })),
    )
  }

  /** Resolves true as soon as `isDone` holds (looked at whenever a worker says something), false after `timeoutMs`. */
  async until(isDone: () => boolean, timeoutMs: number): Promise<boolean> {
    if (isDone()) return true
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const waiter: Waiter = { isDone, resolve, timer: setTimeout(() => this.#release(waiter, isDone()), timeoutMs) }
    this.#waiters.add(waiter)
    return promise
  }

  /** Looks at every `until` again: something they depend on changed outside of the workers. */
  poke(): void {
    for (const waiter of this.#waiters) if (waiter.isDone()) this.#release(waiter, true)
  }

  /** Makes a worker throw; false when none runs at the index right now. `views` tell when it was: its `restarts` grow. */
  kill(index: number): boolean {
    const seat = this.#seats[index]
    if (seat?.worker == null || seat.state !== 'running') return false
    seat.intent = { reason: 'killed', detail: 'it was asked for' }
    const { worker } = seat
    worker.postMessage({ type: 'crash' } satisfies WorkerCommand)
    // One that does not even crash when told to is ended.
    seat.killTimer = setTimeout(() => void worker.terminate(), 1000)
    return true
  }

  /** Ends a worker that is of no use; its replacement starts as after any death. */
  replace(index: number, detail: string): void {
    const seat = this.#seats[index]
    if (seat?.worker == null) return
    this.#terminate(seat, { reason: 'error', detail })
  }

  /**
   * Ends all of them: they stop accepting and finish what runs; what is not done at the deadline (`performance.now()`) is cut off.
   * The deadline is asked again whenever `poke` is called, so that a second call can shorten the first. Resolves with the
   * number of exchanges and tunnels that were cut off.
   */
  async stop(deadlineAt: () => number): Promise<number> {
    this.#isStopping = true
    for (const seat of this.#seats) {
      if (seat.startTimer !== null) clearTimeout(seat.startTimer)
      seat.startTimer = null
      if (seat.worker !== null && seat.state !== 'starting') this.#setState(seat, 'draining')
    }
    let cutOff = 0
    for (let isOver = false; !isOver; ) {
      const told = deadlineAt()
      const leftMs = Math.max(0, told - performance.now())
      // Workers cut a little later than the deadline, so that what they cut can be counted here before.
      this.broadcast({ type: 'drain', deadlineMs: leftMs + CUT_AFTER_MS })
      await this.until(() => this.#isDrained() || deadlineAt() < told, leftMs)
      isOver = this.#isDrained() || (deadlineAt() === told && performance.now() >= told - 1)
    }
    if (!this.#isDrained()) {
      const { board } = this.#deps
      cutOff = board.counterTotal(Counter.EXCHANGES_OPEN) + board.counterTotal(Counter.TUNNELS_OPEN)
      await this.until(() => this.#isDrained(), CUT_AFTER_MS + DRAIN_GRACE_MS)
    }
    await this.abort()
    return cutOff
  }

  /** Ends all of them at once. Bounded: a thread stuck in native code is left behind, with an error. */
  async abort(): Promise<void> {
    this.#isStopping = true
    for (const seat of this.#seats) {
      if (seat.startTimer !== null) clearTimeout(seat.startTimer)
      seat.startTimer = null
      if (seat.worker !== null) this.#terminate(seat, { reason: 'stopped', detail: 'the balancer stops' })
    }
    await this.until(() => this.#seats.every(({ worker }) => worker === null), TERMINATE_MS)
    if (this.#watchdog !== null) clearInterval(this.#watchdog)
    if (this.#reconcileTimer !== null) clearInterval(this.#reconcileTimer)
    this.#watchdog = null
    this.#reconcileTimer = null
    for (const seat of this.#seats) if (seat.killTimer !== null) clearTimeout(seat.killTimer)
    for (const waiter of this.#waiters) this.#release(waiter, waiter.isDone())
  }

  #isDrained(): boolean {
    return this.#seats.every(({ worker, isDrained }) => worker === null || isDrained)
  }

  async #spawn(seat: Seat): Promise<void> {
    seat.startTimer = null
    await this.#deps.beforeStart(seat.index)
    if (this.#isStopping) return
    const { board } = this.#deps
    const boot = this.#deps.boot(seat.index)
    seat.bootVersion = boot.plan.version
    seat.expected = new Set(socketsOf(boot.plan.listeners, seat.index))
    seat.listening.clear()
    seat.listenFailed.clear()
    seat.intent = null
    seat.error = null
    seat.isDrained = false
    seat.readyAt = 0
    seat.silence = new Silence(board.ticks(seat.index))
    seat.failedTicks = 0
    board.acknowledge(seat.index, 0)
    board.setState(seat.index, WorkerState.STARTING)
    const worker = this.#startThread(seat, boot)
    if (worker === null) return
    seat.worker = worker
    this.#setState(seat, 'starting')
    worker.on('message', (event: WorkerEvent) => this.#hear(seat, event))
    worker.on('error', (error: unknown) => {
      seat.error = describeError(error)
    })
    worker.on('exit', (code) => this.#exited(seat, code))
  }

  /** The system may have no thread left to give: that is a death like another, and tried again as late. */
  #startThread(seat: Seat, boot: unknown): Worker | null {
    try {
      return new Worker(this.#deps.url, {
        workerData: boot,
        name: `evenkeel worker ${seat.index}`,
        resourceLimits: { maxOldGenerationSizeMb: this.#options.heapMb },
      })
    } catch (error) {
      seat.error = describeError(error)
      this.#exited(seat, 1)
      return null
    }
  }

  #hear(seat: Seat, event: WorkerEvent): void {
    switch (event.type) {
      case 'listening':
        seat.listening.add(event.socket)
        seat.listenFailed.delete(event.socket)
        break
      case 'listen-failed':
        seat.listening.delete(event.socket)
        seat.listenFailed.set(event.socket, event)
        this.#deps.onListenFailed(seat.index, event)
        break
      case 'drained':
        seat.isDrained = true
        break
      case 'warning':
        this.#deps.onWarning(seat.index, event.message)
        break
      case 'acknowledged':
        break
    }
    if (seat.state === 'starting' && this.#isUp(seat)) {
      seat.readyAt = performance.now()
      this.#setState(seat, 'running')
      this.#deps.onReady(seat.index, seat.restarts)
    }
    this.poke()
  }

  #isUp(seat: Seat): boolean {
    if (this.#isStopping || this.#deps.board.acknowledged(seat.index) < seat.bootVersion) return false
    for (const socket of seat.expected) if (!seat.listening.has(socket)) return false
    return true
  }

  #watch(): void {
    for (const seat of this.#seats) {
      // A drained worker has stopped its clock.
      if (seat.worker === null || seat.intent !== null || seat.isDrained) continue
      if (seat.state === 'starting') this.#watchListening(seat)
      const silentTicks = seat.silence.tick(this.#deps.board.ticks(seat.index))
      const limit = seat.state === 'starting' ? HUNG_STARTING_TICKS : HUNG_TICKS
      if (silentTicks >= limit) {
        this.#terminate(seat, { reason: 'hung', detail: `it gave no sign of life for ${(limit * TICK_MS) / 1000} s` })
      }
    }
  }

  #watchListening(seat: Seat): void {
    const [failed] = [...seat.expected].flatMap((socket) => seat.listenFailed.get(socket) ?? [])
    seat.failedTicks = failed === undefined ? 0 : seat.failedTicks + 1
    if (failed === undefined || seat.failedTicks < CANNOT_LISTEN_TICKS) return
    this.#terminate(seat, { reason: 'error', detail: `it cannot listen on '${failed.listener}'` })
  }

  #terminate(seat: Seat, intent: Seat['intent']): void {
    const { worker } = seat
    if (worker === null) return
    seat.intent ??= intent
    if (seat.killTimer !== null) clearTimeout(seat.killTimer)
    seat.killTimer = setTimeout(() => {
      this.#deps.onTrouble(
        'worker-stuck',
        `worker ${seat.index} did not end within ${TERMINATE_MS / 1000} s: it hangs in native code, restart the process`,
      )
    }, TERMINATE_MS)
    void worker.terminate()
  }

  #exited(seat: Seat, code: number): void {
    const { board } = this.#deps
    const livedMs = seat.readyAt === 0 ? 0 : performance.now() - seat.readyAt
    seat.worker = null
    if (seat.killTimer !== null) clearTimeout(seat.killTimer)
    seat.killTimer = null
    // The thread is gone: what it held is nobody's now. What it counted stays, the successor counts on.
    this.#deps.giveBack(seat.index)
    const counters = board.counters(seat.index)
    const connectionsLost = counters[Counter.CONNECTIONS_OPEN]!
    for (const index of OPEN_COUNTERS) counters[index] = 0
    board.setState(seat.index, WorkerState.ABSENT)
    // Asked to crash, it does so by an error; asked to stop, it ends with a code: the intent says more than either.
    const cause = seat.intent ??
      seat.error ?? { reason: 'exit' as const, detail: `it ended by itself with code ${code}` }
    const stack = seat.intent === null ? (seat.error?.stack ?? null) : null
    seat.lastExit = `${cause.reason}: ${cause.detail}`
    let replacedInMs: number | null = null
    if (this.#isStopping) this.#setState(seat, 'draining')
    else {
      replacedInMs = seat.delay.next(livedMs)
      seat.restarts += 1
      board.setState(seat.index, WorkerState.REPLACING)
      this.#setState(seat, 'replacing')
      seat.startTimer = setTimeout(() => void this.#spawn(seat), replacedInMs)
      this.#reconcileForAWhile()
    }
    this.#deps.onExit({
      index: seat.index,
      reason: cause.reason,
      detail: cause.detail,
      stack,
      connectionsLost,
      replacedInMs,
    })
    this.poke()
  }

  #reconcileForAWhile(): void {
    this.#reconcileUntil = performance.now() + RECONCILE_FOR_MS
    this.#reconcileTimer ??= setInterval(() => {
      const corrected = this.#deps.reconcile()
      if (corrected > 0)
        this.#deps.onTrouble('counts-corrected', `${corrected} shared counts were corrected after a worker's death`)
      if (performance.now() < this.#reconcileUntil || this.#reconcileTimer === null) return
      clearInterval(this.#reconcileTimer)
      this.#reconcileTimer = null
    }, RECONCILE_EVERY_MS)
  }

  #setState(seat: Seat, state: WorkerView['state']): void {
    if (seat.state === state) return
    seat.state = state
    this.#deps.onChange()
  }

  #release(waiter: Waiter, isDone: boolean): void {
    clearTimeout(waiter.timer)
    if (this.#waiters.delete(waiter)) waiter.resolve(isDone)
  }
}

/** Which of the listeners the worker at `index` opens. */
function socketsOf(listeners: readonly ListenerPlan[], index: number): string[] {
  return listeners.filter(({ reusePort }) => reusePort || index === 0).map(listenerSocket)
}

/** A new plan: what was heard of sockets that the last one or this one does not name is void. */
function expect(seat: Seat, plan: Plan): void {
  const before = seat.expected
  seat.expected = new Set(socketsOf(plan.listeners, seat.index))
  for (const told of [seat.listening, seat.listenFailed])
    for (const socket of told.keys()) if (!before.has(socket) || !seat.expected.has(socket)) told.delete(socket)
}

function describeError(error: unknown): NonNullable<Seat['error']> {
  if (!(error instanceof Error)) return { reason: 'error', detail: String(error), stack: null }
  const isHeap = (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY'
  return { reason: isHeap ? 'heap' : 'error', detail: error.message, stack: error.stack ?? null }
}
