/** Errors become answers here and nowhere else: the table gives the status, the client learns the code and the request id. */
import { STATUS_CODES } from 'node:http'
import { ERROR_CODES, ERROR_INDEX, errorAt } from '../core/errors.ts'
import { Counter, errorCounter, responseCounter } from '../observe/counters.ts'
import type { WorkerContext } from './context.ts'
import type { DownstreamStream } from './downstream-stream.ts'

/** What an error ends: an exchange, as far as that takes. */
export interface FailingExchange {
  readonly context: WorkerContext
  readonly downstream: DownstreamStream
  readonly isOver: boolean
  readonly requestEnded: boolean
  requestId: string
  attempt: { cancel(): void } | null
  responseStarted: boolean
  responseEnded: boolean
  status: number
  error: number
  cutShort(): void
}

/** Ends an exchange that cannot go on. Before the answer began it gets one of ours, afterwards the answer is cut short. */
export function failExchange(exchange: FailingExchange, error: number): void {
  if (exchange.isOver) return
  exchange.error = error
  const { context } = exchange
  context.counters[errorCounter(error)]! += 1
  const { attempt } = exchange
  if (attempt !== null) {
    // First: whatever fails in here, nothing cancels it a second time.
    exchange.attempt = null
    attempt.cancel()
  }
  if (exchange.responseStarted) return exchange.cutShort()
  const { status, source } = errorAt(error)
  if (status === 0) return exchange.cutShort()
  exchange.responseStarted = true
  exchange.responseEnded = true
  exchange.status = status
  const text = textOf(error, exchange.requestId)
  // Whoever sent what we refuse may mean something else by the next bytes than we do; behind a bug of ours nothing is sure.
  const mustClose = !exchange.requestEnded || source === 'downstream' || error === ERROR_INDEX.EK_INTERNAL
  exchange.downstream.answer(status, text, mustClose)
}

/** The head could not be read: whatever follows it means nothing, so the connection ends with this answer. */
export function refuseHead(exchange: FailingExchange, error: number): void {
  exchange.requestId = exchange.context.requestIds.make()
  failExchange(exchange, error)
}

/** Counts an end without an answer. */
export function countError({ counters }: WorkerContext, error: number): void {
  counters[errorCounter(error)]! += 1
  if (error === ERROR_INDEX.EK_CLIENT_CLOSED) counters[Counter.CLIENT_ABORTS]! += 1
}

export function countResponse({ counters }: WorkerContext, status: number): void {
  if (status >= 100) counters[responseCounter(status)]! += 1
}

/** An answer for a connection that is not served at all. */
export function refusalText(error: number): string {
  const { status } = errorAt(error)
  const text = textOf(error, '')
  return `HTTP/1.1 ${status} ${reasonOf(status)}\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ${text.length}\r\n\r\n${text}`
}

export function reasonOf(status: number): string {
  return STATUS_CODES[status] ?? ''
}

function textOf(error: number, requestId: string): string {
  const { status, message } = errorAt(error)
  const about = `${status} ${reasonOf(status)}: ${message} (${ERROR_CODES[error]})\n`
  return requestId === '' ? about : `${about}request id: ${requestId}\n`
}
