import type { SocketAddress } from '../core/address.ts'
import type { ModifierOptions } from '../core/balance/balanced-picker.ts'

/**
 * What control tells a worker: the whole plan at the start and after a reload, deltas in between.
 * Plain data, cloned by `postMessage`; frozen in meaning once sent. Durations are milliseconds, 0 switches a limit off.
 */

export interface Plan {
  /** Grows by one with every plan and delta; a worker acknowledges it in the worker board. */
  readonly version: number
  /** While a listener moves it is here twice, at its new address and at its old one. */
  readonly listeners: readonly ListenerPlan[]
  readonly routes: readonly RoutePlan[]
  readonly pools: readonly PoolPlan[]
  readonly identity: IdentityPlan
  readonly accessLog: AccessLogPlan | null
}

export interface ListenerPlan {
  readonly name: string
  /** Row in the listener table; kept by name over reloads. */
  readonly slot: number
  readonly address: SocketAddress
  /** False: this worker shares nothing, worker 0 alone listens (unix sockets, platforms without reusePort). */
  readonly reusePort: boolean
  readonly protocol: 'http'
  readonly trustedProxies: readonly string[]
  readonly limits: {
    readonly requestLineBytes: number
    readonly headBytes: number
    readonly fieldCount: number
    readonly bodyBytes: number
    readonly connections: number
    readonly connectionsPerAddress: number
    /** CIDR blocks that `connectionsPerAddress` does not count. */
    readonly perAddressExempt: readonly string[]
    /** Requests on one connection before it is closed. */
    readonly requestsPerConnection: number
  }
  readonly timeouts: {
    readonly headMs: number
    readonly bodyIdleMs: number
    readonly sendIdleMs: number
    readonly keepAliveMs: number
    readonly tunnelIdleMs: number
    readonly exchangeMs: number
    /** How long an exchange may go on after the client closed its sending side. */
    readonly halfCloseMs: number
  }
}

export interface RoutePlan {
  readonly name: string
  readonly match: {
    /** A listener's name. */
    readonly listener?: string
    /** Exact host in lower case, or `*.example.com` (one label or more). */
    readonly hosts?: readonly string[]
    /** `/exact`, `/prefix/*`, or a glob with `*` (within a segment) and `**` (across segments). */
    readonly paths?: readonly string[]
    readonly methods?: readonly string[]
    /** Name in lower case; a value of null asks for presence only. */
    readonly headers?: readonly { readonly name: string; readonly value: string | null }[]
  }
  readonly pool: string
}

export interface PoolPlan {
  readonly name: string
  /** Row of the shared cursor table; kept by name over reloads. */
  readonly slot: number
  readonly picker: PickerPlan
  readonly endpoints: readonly EndpointPlan[]
  readonly timeouts: {
    readonly connectMs: number
    readonly firstByteMs: number
    readonly responseIdleMs: number
    /** An idle upstream connection is closed after this; keep it below the origin's own. */
    readonly keepAliveMs: number
    readonly sendIdleMs: number
  }
  readonly connections: {
    /** Per endpoint, over all workers. */
    readonly max: number
    /** Idle ones kept per endpoint and worker. */
    readonly maxIdle: number
    readonly maxAgeMs: number
    readonly maxRequests: number
  }
  readonly retries: {
    /** Further attempts after the first. */
    readonly max: number
    /** Largest request body, in bytes, kept for a replay. */
    readonly bufferBytes: number
  }
  readonly passive: {
    /** Consecutive connect failures that make an endpoint unfit. */
    readonly failures: number
    /** For how long, where no health check decides earlier. */
    readonly holdMs: number
  }
  readonly limits: { readonly responseHeadBytes: number; readonly responseFieldCount: number }
}

/** How a pool picks. */
export interface PickerPlan {
  readonly name: string
  readonly options: Readonly<Record<string, unknown>>
  readonly modifiers?: ModifierOptions
  /** What of a request the pick depends on, as `parseRequestKey` reads it; only for pickers that use a key. Absent: the picker's default. */
  readonly key?: string
  /** The hash function of the key by name. Absent: `DEFAULT_HASH`. */
  readonly hash?: string
  /** Load reports in answers are passed on to clients although we have read them. */
  readonly passReports?: boolean
  /** Target of load probes, for pickers that want them. Absent: `/load`. */
  readonly probePath?: string
  /** How long the answer to one may take. Absent: 1000. */
  readonly probeTimeoutMs?: number
}

export interface EndpointPlan {
  readonly id: string
  /** Row in the endpoint table, valid together with `generation`. */
  readonly slot: number
  readonly generation: number
  readonly address: SocketAddress
  readonly zone: string | null
  /** Priority, 0 first. Absent: 0. */
  readonly tier?: number
}

/** Membership of one pool changed; weights and states travel in the endpoint table itself. */
export interface PoolDelta {
  readonly version: number
  readonly pool: string
  readonly add: readonly EndpointPlan[]
  /** Ids. */
  readonly remove: readonly string[]
}

export interface IdentityPlan {
  /** Our own name in `Via`; a request that carries it already is a loop. */
  readonly via: string
  readonly forwarded: { readonly xForwarded: boolean; readonly standard: boolean; readonly via: boolean }
}

export interface AccessLogPlan {
  /** `stdout` or a file's path. */
  readonly to: string
  /** Names in lower case that may be logged. */
  readonly requestHeaders: readonly string[]
  readonly query: boolean
}

/** Control → worker. */
export type WorkerCommand =
  | { readonly type: 'plan'; readonly plan: Plan }
  | { readonly type: 'delta'; readonly delta: PoolDelta }
  /** A weight or an administrative state changed in the table: derived picker state is rebuilt. */
  | { readonly type: 'refresh'; readonly version: number; readonly pools: readonly string[] }
  /** Stop accepting, finish what runs, close what is idle; what is left at the deadline is cut off. */
  | { readonly type: 'drain'; readonly deadlineMs: number }
  | { readonly type: 'reopen-logs' }
  /** Throws inside the worker: for drills and tests only. */
  | { readonly type: 'crash' }

/** A listener that should be open is not. */
export interface ListenFailed {
  readonly type: 'listen-failed'
  readonly listener: string
  readonly socket: string
  readonly code: string
  readonly message: string
}

/** Worker → control. The acknowledged version is in the worker board as well. */
export type WorkerEvent =
  /** `socket`: `listenerSocket` of the listener. */
  | { readonly type: 'listening'; readonly listener: string; readonly socket: string; readonly port: number }
  | ListenFailed
  | { readonly type: 'acknowledged'; readonly version: number }
  | { readonly type: 'drained' }
  | { readonly type: 'warning'; readonly message: string }
