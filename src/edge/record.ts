/** What remains of an exchange when it is over: counters, and a line in the access log when there is one. */
import { ERROR_CODES, ERROR_INDEX } from '../core/errors.ts'
import { AccessEntry, AccessLog } from '../observe/access-log.ts'
import { Counter } from '../observe/counters.ts'
import type { AccessLogPlan } from '../pool/plan.ts'
import type { Exchange } from './exchange.ts'
import { countError, countResponse } from './respond.ts'

const CLIENT_CLOSED = ERROR_INDEX.EK_CLIENT_CLOSED

export function recordExchange(exchange: Exchange): void {
  const { context, error } = exchange
  if (exchange.tunnel === null) context.counters[Counter.EXCHANGES_OPEN]! -= 1
  countResponse(exchange)
  // An error that was answered, or for which the answer was cut, is counted where that was decided.
  if (error >= 0 && isSilent(error)) countError(exchange, error)
  if (context.accessLog !== null) context.accessLog.record(exchange)
}

/** Ends that no answer of ours tells about. */
function isSilent(error: number): boolean {
  return (
    error === CLIENT_CLOSED ||
    error === ERROR_INDEX.EK_SEND_TIMEOUT ||
    error === ERROR_INDEX.EK_BODY_CUT_SHORT ||
    error === ERROR_INDEX.EK_TUNNEL_IDLE ||
    error === ERROR_INDEX.EK_DRAIN_DEADLINE
  )
}

/** The access log of one worker: an exchange is put into words here, the log only writes. */
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

  record(exchange: Exchange): void {
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
