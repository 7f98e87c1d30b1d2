/** What control and the service thread say to each other. Plain data over `postMessage`; numbers are read from shared memory. */
import type { SharedMemory } from '../memory/shared-memory.ts'

export interface ServiceBoot {
  readonly memory: SharedMemory
  readonly admin: { readonly bind: string; readonly allowWorkerKill: boolean } | null
  /** Holds the write token, mode 0600; made at first start. */
  readonly tokenFile: string
  readonly view: BalancerView
  /** One Int32 that the service thread adds to twice a second: signs of life for control's watchdog. */
  readonly signs: SharedArrayBuffer
}

/** The names behind the numbers in shared memory; sent anew whenever one changes. */
export interface BalancerView {
  readonly version: number
  readonly product: string
  readonly pid: number
  readonly startedAtMs: number
  readonly state: 'starting' | 'ready' | 'draining'
  readonly config: {
    readonly file: string | null
    readonly hash: string
    readonly loadedAtMs: number
    readonly problems: readonly string[]
  }
  readonly workers: readonly WorkerView[]
  readonly listeners: readonly {
    readonly name: string
    readonly slot: number
    readonly bind: string
    readonly port: number | null
  }[]
  readonly routes: readonly { readonly name: string; readonly pool: string; readonly summary: string }[]
  readonly pools: readonly PoolView[]
}

export interface WorkerView {
  readonly index: number
  readonly state: 'starting' | 'running' | 'draining' | 'replacing'
  readonly restarts: number
  readonly lastExit: string | null
}

export interface PoolView {
  readonly name: string
  readonly picker: string
  readonly endpoints: readonly EndpointView[]
}

export interface EndpointView {
  readonly id: string
  readonly slot: number
  readonly generation: number
  readonly address: string
  readonly zone: string | null
  readonly state: EndpointState
  /** By the file: what holds again where a change by hand is undone. */
  readonly base: EndpointValues
  /** What of them was changed by hand, and differs from the file. */
  readonly overlay: Partial<EndpointValues>
  /** Every pool that has this endpoint: state, weight and health check act in all of them. */
  readonly pools: readonly string[]
  /** The pool whose health check it has; null: it is not checked. */
  readonly healthPool: string | null
  /** The last health check in words, null where none ran. */
  readonly lastCheck: { readonly ok: boolean; readonly atMs: number; readonly detail: string } | null
}

export type EndpointState = 'active' | 'draining' | 'maintenance'

/** What may be set by hand. */
export interface EndpointValues {
  readonly weight: number
  readonly state: EndpointState
}

/** An endpoint after a change: what holds, and where. */
export interface ChangedEndpoint extends EndpointValues {
  readonly pools: readonly string[]
}

export type ServiceCall =
  | {
      readonly name: 'set-endpoint'
      readonly pool: string | null
      readonly id: string
      /** Null: the file's again. */
      readonly weight?: number | null
      readonly state?: EndpointState | null
    }
  | {
      readonly name: 'set-signals'
      readonly pool: string | null
      readonly id: string
      readonly signals: Readonly<Record<string, number>>
    }
  | { readonly name: 'kill-worker'; readonly index: number }
  | { readonly name: 'reload' }

/** Service → control. */
export type ServiceEvent =
  | { readonly type: 'listening'; readonly url: string }
  | { readonly type: 'listen-failed'; readonly code: string; readonly message: string }
  | { readonly type: 'warning'; readonly message: string }
  | { readonly type: 'call'; readonly id: number; readonly call: ServiceCall }

/** Control → service. */
export type ServiceCommand =
  | { readonly type: 'view'; readonly view: BalancerView }
  | { readonly type: 'result'; readonly id: number; readonly result: CallResult }
  | { readonly type: 'stop' }

/** `version` is the plan version that every worker has acknowledged; `endpoint`: after a change of one. */
export type CallResult =
  | { readonly ok: true; readonly version: number; readonly endpoint?: ChangedEndpoint }
  | { readonly ok: false; readonly status: number; readonly title: string; readonly detail: string }
