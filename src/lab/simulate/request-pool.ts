import { copied } from './attempt-pool.ts'
import { SUBJECTS_MAX } from './event-queue.ts'

/** Requests at a time, at most. */
const REQUESTS_MAX = Math.min(2 ** 23, SUBJECTS_MAX)

/** All requests that have begun and not ended, as columns. The arrays are replaced when the pool grows. */
export class RequestPool {
  live = 0
  /** Attempts that one request may have in all: the stride of `tried` and `attempts`. */
  readonly stride: number
  isLive = new Uint8Array(0)
  worker = new Int32Array(0)
  key = new Int32Array(0)
  startMs = new Float64Array(0)
  work = new Float64Array(0)
  /** Attempts begun, and of them under way. */
  tries = new Uint8Array(0)
  running = new Uint8Array(0)
  /** `stride` per request: the endpoint of each attempt, and the attempt while it runs (else -1). */
  tried = new Int32Array(0)
  attempts = new Int32Array(0)
  /** Its ticket in the balancer's queue, or -1. */
  ticket = new Float64Array(0)
  /** An event of this kind means something only at just this time; NaN: never. */
  deadlineAt = new Float64Array(0)
  hedgeAt = new Float64Array(0)
  retryAt = new Float64Array(0)
  #next = new Int32Array(0)
  #free = -1

  constructor(stride: number) {
    this.stride = stride
  }

  /** A free place, or -1 when there are too many. */
  take(): number {
    if (this.#free < 0 && !this.#grow()) return -1
    const request = this.#free
    this.#free = this.#next[request]!
    this.isLive[request] = 1
    this.tries[request] = 0
    this.running[request] = 0
    this.ticket[request] = -1
    this.#stopTimers(request)
    this.live++
    return request
  }

  release(request: number): void {
    this.isLive[request] = 0
    this.#stopTimers(request)
    this.#next[request] = this.#free
    this.#free = request
    this.live--
  }

  #stopTimers(request: number): void {
    this.deadlineAt[request] = Number.NaN
    this.hedgeAt[request] = Number.NaN
    this.retryAt[request] = Number.NaN
  }

  #grow(): boolean {
    const from = this.isLive.length
    const length = Math.max(1024, from * 2)
    if (length > REQUESTS_MAX) return false
    const { stride } = this
    this.isLive = copied(this.isLive, new Uint8Array(length))
    this.worker = copied(this.worker, new Int32Array(length))
    this.key = copied(this.key, new Int32Array(length))
    this.startMs = copied(this.startMs, new Float64Array(length))
    this.work = copied(this.work, new Float64Array(length))
    this.tries = copied(this.tries, new Uint8Array(length))
    this.running = copied(this.running, new Uint8Array(length))
    this.tried = copied(this.tried, new Int32Array(length * stride))
    this.attempts = copied(this.attempts, new Int32Array(length * stride))
    this.ticket = copied(this.ticket, new Float64Array(length))
    this.deadlineAt = copied(this.deadlineAt, new Float64Array(length))
    this.hedgeAt = copied(this.hedgeAt, new Float64Array(length))
    this.retryAt = copied(this.retryAt, new Float64Array(length))
    this.#next = copied(this.#next, new Int32Array(length))
    for (let place = length - 1; place >= from; place--) {
      this.#next[place] = this.#free
      this.#free = place
    }
    return true
  }
}
