/** The access log of one worker: an exchange that is over is put into words here, the log only writes. */
import { ERROR_CODES, ERROR_INDEX } from '../core/errors.ts'
import { AccessEntry, AccessLog } from '../observe/access-log.ts'
import type { AccessLogPlan } from '../pool/plan.ts'
import type { Timers } from './timers.ts'

/** What a line of the log tells of an exchange. */
export interface RecordedExchange {
  readonly context: { readonly timers: Timers }
  readonly downstream: {
    readonly listener: { readonly plan: { readonly name: string } }
    readonly clientAddress: string
  }
  readonly startedAt: number
  readonly requestId: string
  readonly route: { readonly name: string } | null
  readonly pool: { readonly plan: { readonly name: string } } | null
  readonly endpointId: string
  /** The request's head: offsets for `remembered`. */
  readonly methodStart: number
  readonly methodEnd: number
  readonly authorityStart: number
  readonly authorityEnd: number
  readonly pathStart: number
  readonly pathEnd: number
  readonly versionMinor: number
  readonly loggedFields: readonly (string | null)[] | null
  readonly status: number
  /** An `ERROR_INDEX`, -1 for none. */
  readonly error: number
  readonly connectMs: number
  readonly firstByteMs: number
  readonly attempts: number
  readonly bytesReceived: number
  readonly bytesSent: number
  remembered(start: number, end: number): string
}

const CLIENT_CLOSED = ERROR_INDEX.EK_CLIENT_CLOSED

export class AccessRecorder {
  readonly fields: readonly string[]
  readonly #log: AccessLog
  readonly #query: boolean
  readonly #entry = new AccessEntry()

  /** `onProblem` is told once when the log cannot be written, and with null once it can again. */
  constructor(plan: AccessLogPlan, worker: number, onProblem: (problem: string | null) => void) {
    this.fields = plan.requestHeaders
    this.#query = plan.query
    this.#log = new AccessLog({ ...plan, worker, onProblem })
  }

  get dropped(): number {
    return this.#log.dropped
  }

  record(exchange: RecordedExchange): void {
    const entry = this.#entry
    const { timers } = exchange.context
    const durationMs = timers.clock() - exchange.startedAt
    entry.timeMs = Date.now() - durationMs
    entry.requestId = exchange.requestId
    entry.listener = exchange.downstream.listener.plan.name
    entry.route = exchange.route?.name ?? ''
    entry.pool = exchange.pool?.plan.name ?? ''
    entry.endpoint = exchange.endpointId
    entry.clientAddress = exchange.downstream.clientAddress
    entry.method = exchange.remembered(exchange.methodStart, exchange.methodEnd)
    entry.host = exchange.remembered(exchange.authorityStart, exchange.authorityEnd)
    const target = exchange.remembered(exchange.pathStart, exchange.pathEnd)
    const question = target.indexOf('?')
    entry.path = question < 0 ? target : target.slice(0, question)
    entry.query = this.#query && question >= 0 ? target.slice(question + 1) : ''
    entry.httpVersion = exchange.versionMinor === 1 ? '1.1' : '1.0'
    // 499: the client went away before there was a status to send (the number that nginx made common).
    entry.status = exchange.status > 0 ? exchange.status : exchange.error === CLIENT_CLOSED ? 499 : 0
    entry.error = exchange.error >= 0 ? (ERROR_CODES[exchange.error] ?? '') : ''
    entry.durationMs = durationMs
    entry.connectMs = exchange.connectMs
    entry.firstByteMs = exchange.firstByteMs
    entry.attempts = exchange.attempts
    entry.bytesReceived = exchange.bytesReceived
    entry.bytesSent = exchange.bytesSent
    const { loggedFields } = exchange
    for (let i = 0; i < this.fields.length; i++) entry.headerValues[i] = loggedFields?.[i] ?? null
    this.#log.write(entry)
  }

  reopen(): void {
    this.#log.reopen()
  }

  close(): Promise<void> {
    return this.#log.close()
  }
}
