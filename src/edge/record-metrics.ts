/** Metrics of an exchange that is over: counters of this worker, and a line in the access log when there is one. */
import { ERROR_INDEX } from '../core/errors.ts'
import { Counter } from '../observe/counters.ts'
import type { RecordedExchange } from './access-recorder.ts'
import type { WorkerContext } from './context.ts'
import { countError, countResponse } from './respond.ts'

/** What the counters are made of. */
interface EndedExchange extends RecordedExchange {
  readonly context: WorkerContext
  /** Set when it became a tunnel, which is counted apart. */
  readonly tunnel: object | null
}

export function recordMetrics(exchange: EndedExchange): void {
  const { context, error } = exchange
  if (exchange.tunnel === null) context.counters[Counter.EXCHANGES_OPEN]! -= 1
  countResponse(context, exchange.status)
  // An error that was answered, or for which the answer was cut, is counted where that was decided.
  if (error >= 0 && isSilent(error)) countError(context, error)
  if (context.accessLog !== null) context.accessLog.record(exchange)
}

/** Ends that no answer of ours tells about. */
function isSilent(error: number): boolean {
  return (
    error === ERROR_INDEX.EK_CLIENT_CLOSED ||
    error === ERROR_INDEX.EK_SEND_TIMEOUT ||
    error === ERROR_INDEX.EK_BODY_CUT_SHORT ||
    error === ERROR_INDEX.EK_TUNNEL_IDLE ||
    error === ERROR_INDEX.EK_DRAIN_DEADLINE
  )
}
