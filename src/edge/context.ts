/** What everything in a worker shares: the shared tables, the clock, the plan in force, and what is kept for reuse. */

import type { EndpointTable } from '../memory/endpoint-table.ts'
import type { KeyedTable } from '../memory/keyed-table.ts'
import type { WorkerBoard } from '../memory/worker-board.ts'
import type { IdentityPlan } from '../pool/plan.ts'
import type { Exchange } from './exchange.ts'
import type { ExchangePool } from './exchange-pool.ts'
import type { AccessRecorder } from './record.ts'
import type { RequestIds } from './request-ids.ts'
import type { Timers } from './timers.ts'

export interface WorkerContext {
  readonly index: number
  readonly workers: number
  readonly table: EndpointTable
  readonly board: WorkerBoard
  readonly addresses: KeyedTable
  /** This worker's row: see `observe/counters.ts`. */
  readonly counters: Float64Array
  readonly timers: Timers
  readonly requestIds: RequestIds
  /** Random in [0, 1), not for secrets. */
  readonly random: () => number
  readonly exchanges: ExchangePool
  identity: IdentityPlan
  /** Null: no access log, and nothing is kept for one. */
  accessLog: AccessRecorder | null
  /** The worker accepts nothing new and closes what falls idle. */
  isDraining: boolean
  /** Chooses an endpoint and sends the exchange there; set by the composition root, as it closes a circle. */
  startAttempt: (exchange: Exchange) => void
}
