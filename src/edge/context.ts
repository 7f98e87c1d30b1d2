/** What everything in a worker shares: the shared tables, the clock, and the settings in force. */

import type { EndpointTable } from '../memory/endpoint-table.ts'
import type { KeyedTable } from '../memory/keyed-table.ts'
import type { WorkerBoard } from '../memory/worker-board.ts'
import type { IdentityPlan } from '../pool/plan.ts'
import type { AccessRecorder } from './access-recorder.ts'
import type { InternalErrors } from './internal-errors.ts'
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
  readonly internalErrors: InternalErrors
  identity: IdentityPlan
  /** Null: no access log, and nothing is kept for one. */
  accessLog: AccessRecorder | null
  /** The worker accepts nothing new and closes what falls idle. */
  isDraining: boolean
  /** Of all pools: see `load-prober.ts`. */
  loadProbesRunning: number
}
