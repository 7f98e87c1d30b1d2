/** Calls from the service thread to control: sent with a number, answered by it, given up after a while. */
import type { CallResult, ServiceCall, ServiceEvent } from './protocol.ts'

/** Calls that may wait at once; control answers in milliseconds unless workers hang. */
const WAITING_MAX = 256

export class ControlCalls {
  readonly #send: (event: ServiceEvent) => void
  readonly #timeoutMs: number
  readonly #waiting = new Map<number, (result: CallResult) => void>()
  #nextId = 1
  #closed = false

  constructor(send: (event: ServiceEvent) => void, timeoutMs: number) {
    this.#send = send
    this.#timeoutMs = timeoutMs
  }

  /** Resolves with control's answer, or with a 503 or 504 of our own; never rejects. */
  call(call: ServiceCall): Promise<CallResult> {
    if (this.#closed) return Promise.resolve(STOPPING)
    if (this.#waiting.size >= WAITING_MAX) return Promise.resolve(BUSY)
    const id = this.#nextId++
    return new Promise((resolve) => {
      const timer = setTimeout(() => settle(LATE), this.#timeoutMs)
      const settle = (result: CallResult): void => {
        clearTimeout(timer)
        this.#waiting.delete(id)
        resolve(result)
      }
      this.#waiting.set(id, settle)
      this.#send({ type: 'call', id, call })
    })
  }

  /** Control's answer; one that comes after the time was up is ignored. */
  result(id: number, result: CallResult): void {
    this.#waiting.get(id)?.(result)
  }

  /** Answers everything that waits: the service stops. */
  close(): void {
    this.#closed = true
    for (const settle of this.#waiting.values()) settle(STOPPING)
  }
}

const LATE: CallResult = {
  ok: false,
  status: 504,
  title: 'control did not answer in time',
  detail: 'The change may still take effect: look at the status.',
}
const BUSY: CallResult = {
  ok: false,
  status: 503,
  title: 'too many changes are waiting',
  detail: 'Wait until some are done.',
}
const STOPPING: CallResult = {
  ok: false,
  status: 503,
  title: 'the balancer is stopping',
  detail: 'No changes are taken any more.',
}
