/** Supervision of the service thread: spawned and replaced like a worker, but its death never touches traffic. */
import { Worker } from 'node:worker_threads'
import type {
  BalancerView,
  CallResult,
  ServiceBoot,
  ServiceCall,
  ServiceCommand,
  ServiceEvent,
} from '../service/protocol.ts'
import { RestartDelay } from './restart-delay.ts'
import { Silence, TICK_MS } from './silence.ts'

/** A change is sent after this, together with whatever changes meanwhile. */
const GATHER_MS = 100
/** Cloning a view of 10 000 endpoints takes some 10 ms: sending views may take this share of control's time. */
const SEND_RATIO = 0.05
/** A thread that was told to stop is ended after this. */
const STOP_MS = 1000
const TERMINATE_MS = 5000
/** It may be slow, e.g. over the metrics of 10 000 endpoints, but not for 10 s; one that is still loading may be silent for 30 s. */
const HUNG_TICKS = 40
const HUNG_STARTING_TICKS = 120
/** It may use more than a worker's share, but must not starve the process. */
const HEAP_MB = 512

export interface ServiceThreadDeps {
  readonly url: URL
  readonly boot: () => Omit<ServiceBoot, 'signs'>
  readonly onListening: (url: string) => void
  readonly onListenFailed: (code: string, message: string) => void
  readonly onWarning: (message: string) => void
  /** Must not reject. */
  readonly onCall: (call: ServiceCall) => Promise<CallResult>
  readonly onExit: (detail: string, replacedInMs: number) => void
  /** It was ended and does not end. */
  readonly onStuck: (message: string) => void
}

export interface ServiceThreadOptions {
  /** How often the watchdog looks; tests of it have less patience. */
  readonly tickMs: number
}

/** One service thread, kept running until `stop`. */
export class ServiceThread {
  readonly #deps: ServiceThreadDeps
  readonly #options: ServiceThreadOptions
  readonly #delay = new RestartDelay()
  #worker: Worker | null = null
  /** 0 until it has said that it listens, or that it cannot. */
  #readyAt = 0
  #signs = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  #silence = new Silence()
  #watchdog: NodeJS.Timeout | null = null
  #stuckTimer: NodeJS.Timeout | null = null
  #startTimer: NodeJS.Timeout | null = null
  #sendTimer: NodeJS.Timeout | null = null
  #latestView: (() => BalancerView) | null = null
  #sendCostMs = 0
  #error: string | null = null
  #isStopping = false
  #ended: (() => void) | null = null

  constructor(deps: ServiceThreadDeps, options: ServiceThreadOptions = { tickMs: TICK_MS }) {
    this.#deps = deps
    this.#options = options
  }

  start(): void {
    this.#startTimer = null
    this.#error = null
    this.#readyAt = 0
    // Of its own: what is left of a thread that hung must not vouch for the next.
    const signs = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
    this.#signs = new Int32Array(signs)
    this.#silence = new Silence()
    let worker: Worker
    try {
      worker = new Worker(this.#deps.url, {
        workerData: { ...this.#deps.boot(), signs } satisfies ServiceBoot,
        name: 'evenkeel service',
        resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
      })
    } catch (error) {
      // No thread left to give: a death like another, and tried again as late.
      this.#error = error instanceof Error ? error.message : String(error)
      this.#exited(1)
      return
    }
    this.#worker = worker
    this.#watchdog ??= setInterval(() => this.#watch(), this.#options.tickMs)
    worker.on('message', (event: ServiceEvent) => this.#hear(worker, event))
    worker.on('error', (error: unknown) => {
      this.#error = error instanceof Error ? error.message : String(error)
    })
    worker.on('exit', (code) => this.#exited(code))
  }

  /** The view changed: `make` is called once the gathering time is over, however many changes come until then. */
  send(make: () => BalancerView): void {
    this.#latestView = make
    if (this.#sendTimer !== null || this.#isStopping) return
    this.#sendTimer = setTimeout(() => this.#flush(), Math.max(GATHER_MS, this.#sendCostMs / SEND_RATIO))
  }

  /** Sends the latest view now, if it changed: before an answer that tells of it. */
  flush(): void {
    if (this.#latestView !== null) this.#flush()
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    if (this.#startTimer !== null) clearTimeout(this.#startTimer)
    if (this.#sendTimer !== null) clearTimeout(this.#sendTimer)
    if (this.#watchdog !== null) clearInterval(this.#watchdog)
    if (this.#stuckTimer !== null) clearTimeout(this.#stuckTimer)
    const worker = this.#worker
    if (worker === null) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#ended = resolve
    worker.postMessage({ type: 'stop' } satisfies ServiceCommand)
    const terminate = setTimeout(() => void worker.terminate(), STOP_MS)
    const giveUp = setTimeout(resolve, STOP_MS + TERMINATE_MS)
    await promise
    clearTimeout(terminate)
    clearTimeout(giveUp)
  }

  #flush(): void {
    if (this.#sendTimer !== null) clearTimeout(this.#sendTimer)
    this.#sendTimer = null
    const make = this.#latestView
    this.#latestView = null
    if (make === null || this.#worker === null) return
    const before = performance.now()
    this.#worker.postMessage({ type: 'view', view: make() } satisfies ServiceCommand)
    this.#sendCostMs = performance.now() - before
  }

  #watch(): void {
    const worker = this.#worker
    if (worker === null || this.#stuckTimer !== null) return
    const silentTicks = this.#silence.tick(Atomics.load(this.#signs, 0))
    const limit = this.#readyAt === 0 ? HUNG_STARTING_TICKS : HUNG_TICKS
    if (silentTicks < limit) return
    this.#error = `it gave no sign of life for ${(limit * this.#options.tickMs) / 1000} s`
    this.#stuckTimer = setTimeout(() => {
      const seconds = TERMINATE_MS / 1000
      this.#deps.onStuck(
        `the service thread did not end within ${seconds} s: it hangs in native code, restart the process`,
      )
    }, TERMINATE_MS)
    void worker.terminate()
  }

  #hear(worker: Worker, event: ServiceEvent): void {
    if (this.#readyAt === 0 && event.type.startsWith('listen')) this.#readyAt = performance.now()
    switch (event.type) {
      case 'listening':
        this.#deps.onListening(event.url)
        break
      case 'listen-failed':
        this.#deps.onListenFailed(event.code, event.message)
        break
      case 'warning':
        this.#deps.onWarning(event.message)
        break
      case 'call':
        void this.#answer(worker, event.id, event.call)
        break
    }
  }

  async #answer(worker: Worker, id: number, call: ServiceCall): Promise<void> {
    const result = await this.#deps.onCall(call)
    if (this.#worker !== worker) return
    this.flush()
    worker.postMessage({ type: 'result', id, result } satisfies ServiceCommand)
  }

  #exited(code: number): void {
    const livedMs = this.#readyAt === 0 ? 0 : performance.now() - this.#readyAt
    this.#worker = null
    if (this.#stuckTimer !== null) clearTimeout(this.#stuckTimer)
    this.#stuckTimer = null
    const detail = this.#error ?? `it ended with code ${code}`
    if (this.#isStopping) {
      this.#ended?.()
      return
    }
    const delayMs = this.#delay.next(livedMs)
    this.#deps.onExit(detail, delayMs)
    this.#startTimer = setTimeout(() => this.start(), delayMs)
  }
}
