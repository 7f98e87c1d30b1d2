/** May an attempt that failed be repeated? The error says what it allows, the request what it bears, the pool how often. */
import { errorAt } from '../core/errors.ts'
import type { Exchange } from './exchange.ts'
import type { WorkerEndpoint } from './pick-endpoint.ts'

export function mayRepeat(exchange: Exchange, error: number, endpoint: WorkerEndpoint): boolean {
  if (exchange.isOver || exchange.responseStarted || !exchange.canReplay) return false
  if (exchange.attempts > endpoint.pool.plan.retries.max) return false
  switch (errorAt(error).retry) {
    case 'never':
      return false
    case 'safe':
      return true
    case 'if-reused':
      // The endpoint itself is well: it may be tried again, on another connection.
      if (!exchange.isIdempotent) return false
      exchange.forgetTried(endpoint.slot)
      return true
    case 'if-idempotent':
      return exchange.isIdempotent
  }
}
