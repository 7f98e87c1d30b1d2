/** Waits for the workers to listen where a new plan says, and tells why they cannot. */
import type { Problem } from '../config/problem.ts'
import { formatAddress } from '../core/address.ts'
import { listenerSocket } from '../pool/listener-socket.ts'
import type { ListenerPlan } from '../pool/plan.ts'
import { listenReason } from './listening.ts'
import type { Workers } from './workers.ts'

export class ListenerOpening {
  readonly #workers: Workers
  readonly #timeoutMs: number
  #isWaiting = false

  constructor(workers: Workers, timeoutMs: number) {
    this.#workers = workers
    this.#timeoutMs = timeoutMs
  }

  /** Is a reload waiting for listeners at this moment? Then it deals with those that fail. */
  get isWaiting(): boolean {
    return this.#isWaiting
  }

  /** The problems when not every worker listens on all of them in time; none when all do. */
  async wait(opened: readonly ListenerPlan[]): Promise<Problem[]> {
    if (opened.length === 0) return []
    const workers = this.#workers
    const bySocket = new Map(opened.map((listener) => [listenerSocket(listener), listener]))
    this.#isWaiting = true
    // All of them, also after one has failed: what is still under way could not be told from a later failure.
    const isDone = await workers.until(() => workers.isOpened(opened), this.#timeoutMs)
    this.#isWaiting = false
    const failed = workers.listenFailures().flatMap(({ index, failure: { socket, code, message } }) => {
      const listener = bySocket.get(socket)
      if (listener === undefined) return []
      const words = `worker ${index} cannot listen on ${formatAddress(listener.address)}: ${listenReason(code, message)}`
      return [problem(`listeners[${listener.name}].bind`, words)]
    })
    if (failed.length > 0 || isDone) return failed
    const where = opened.map(({ address }) => formatAddress(address)).join(', ')
    return [problem('listeners', `not every worker listens on ${where} within ${this.#timeoutMs / 1000} s`)]
  }
}

function problem(path: string, message: string): Problem {
  return { path, message, severity: 'error', code: 'bad-value' }
}
