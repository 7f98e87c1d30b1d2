/**
 * An exchange after 101 Switching Protocols: two flows of raw bytes until either side ends.
 * Bytes only touch a stamp; the idle deadline looks at it when it comes round.
 */
import { Counter } from '../observe/counters.ts'
import type { ListenerPlan } from '../pool/plan.ts'
import type { WorkerContext } from './context.ts'
import type { Deadline } from './timers.ts'
import { WebSocketFrames } from './websocket-frames.ts'

export class Tunnel {
  readonly #context: WorkerContext
  /** Expires when it may have been idle for too long: its exchange. */
  readonly #deadline: Deadline
  readonly #halfCloseMs: number
  #idleMs: number
  /** Follows the frames towards the client, so that a drain can put a Close frame between two of them. */
  readonly frames: WebSocketFrames | null
  #touchedAt: number
  #isClosed = false

  constructor(context: WorkerContext, deadline: Deadline, timeouts: ListenerPlan['timeouts'], upgrade: string) {
    this.#context = context
    this.#deadline = deadline
    this.#halfCloseMs = timeouts.halfCloseMs
    this.frames = upgrade.toLowerCase() === 'websocket' ? new WebSocketFrames() : null
    this.#idleMs = timeouts.tunnelIdleMs
    const { counters, timers } = context
    this.#touchedAt = timers.clock()
    counters[Counter.TUNNELS]! += 1
    counters[Counter.TUNNELS_OPEN]! += 1
    // From here on it counts as a tunnel instead; its end is counted by `close`.
    counters[Counter.EXCHANGES_OPEN]! -= 1
    timers.arm(deadline, this.#idleMs)
  }

  /** Bytes flow; the wheel's last reading of the clock is exact enough here. */
  touch(): void {
    this.#touchedAt = this.#context.timers.nowMs
  }

  fromEndpoint(bytes: Buffer, start: number, end: number): void {
    this.touch()
    if (this.frames !== null) this.frames.follow(bytes, start, end)
  }

  /** The client ended its side. It may have gone, which nothing tells: so from here on silence is borne for a short time only. */
  clientEnded(): void {
    const halfCloseMs = this.#halfCloseMs
    if (halfCloseMs <= 0 || (this.#idleMs > 0 && this.#idleMs <= halfCloseMs)) return
    this.#idleMs = halfCloseMs
    this.touch()
    this.#context.timers.arm(this.#deadline, halfCloseMs)
  }

  isIdle(): boolean {
    return this.#context.timers.clock() - this.#touchedAt >= this.#idleMs
  }

  rearm(): void {
    const { timers } = this.#context
    timers.arm(this.#deadline, Math.max(1, this.#idleMs - (timers.nowMs - this.#touchedAt)))
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#context.counters[Counter.TUNNELS_OPEN]! -= 1
  }
}
