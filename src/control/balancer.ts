/**
 * The balancer as a program holds it: `createBalancer(config, options)` and everything it promises.
 *
 * For callers (the command line, an embedding program, tests), in order of a life:
 *
 * 1. `createBalancer(config)` checks the config and throws `ConfigError` (`.problems`) when it cannot be used. It starts
 *    nothing: no thread, no socket, no timer. `config` is what a config file holds, or the `settings` of `loadConfig`.
 * 2. `await start()` binds every listener once to see that it is free, starts workers, the service thread and health
 *    checks, and resolves when every worker serves. It rejects with `StartError` (`.code`, `.problems`; e.g. `EADDRINUSE` naming the
 *    address) and leaves nothing running behind. An admin API that cannot listen does not fail a start: it is an `error`
 *    log line, stands in `view().config.problems`, and `adminUrl` is null.
 * 3. `address(name)` says where a listener really is (port 0 resolved), `adminUrl` where the admin API is.
 * 4. `await reload(config)` answers `{ ok: true, version, changes, warnings }` when every running worker has
 *    acknowledged, or `{ ok: false, problems }`: then the old config is still live, whole. It never rejects.
 * 5. `await stop({ drainMs })` stops accepting, lets what runs finish, cuts off the rest at the deadline (default: the
 *    config's `stop.drainMs`), and leaves nothing that keeps the process alive. Calling it twice is one stop; a second
 *    call with a shorter `drainMs` shortens the first (a second SIGTERM may say 0).
 *
 * Nothing process-wide is touched: no signal handlers, nothing on the console (listen to `log`). Two balancers live in
 * one process. Signals, config files, watching them and printing are the caller's.
 *
 * Events, each with one argument: `worker-exit` (not for those that a stop ends), `worker-ready`, `endpoint-changed`,
 * `reloaded`, `reload-refused`, `admin-listening`, `log`. An exception thrown by a listener is the caller's own: it
 * surfaces as an uncaught one, a little later, and the balancer goes on.
 */
import type { EventEmitter } from 'node:events'
import type { SettingsChange } from '../config/diff.ts'
import type { Problem } from '../config/problem.ts'
import type { Config, Settings } from '../config/schema.ts'
import type { SocketAddress } from '../core/address.ts'
import type { SharedMemory } from '../memory/shared-memory.ts'
import type { BalancerView, ChangedEndpoint, EndpointState } from '../service/protocol.ts'
import { Runtime } from './runtime.ts'

export { ConfigError, StartError } from './balancer-errors.ts'

/** What a caller may say beside the config. Everything has a default. */
export interface BalancerOptions {
  /** Where the config came from, for `view()` and the log. Default null: it was given as a value. */
  readonly configFile?: string | null
  /** The hash of the config as loaded (`loadConfig` gives it). Default: a hash of the settings. */
  readonly configHash?: string
  /**
   * Answers the admin API's call for a reload: reads the file again and gives it to `reload`. Without it the call is
   * refused, because control does not read files.
   */
  readonly onReloadCall?: () => Promise<ReloadResult>
  /** Holds the admin API's write token, mode 0600. Default: `defaultTokenFile()` of src/service/state-directory.ts. */
  readonly tokenFile?: string
  /** Old-space limit of one worker's heap in MiB. Default: half of the machine's memory over all workers, 256 to 4096. */
  readonly workerHeapMb?: number
  /** False: worker 0 alone listens, as where the platform has no SO_REUSEPORT. Default: true unless `EVENKEEL_NO_REUSEPORT=1`. */
  readonly reusePort?: boolean
  /** Resolves an endpoint's name to its addresses, the preferred one first; rejects when there are none. Default: `dns.lookup`. */
  readonly lookup?: (host: string) => Promise<readonly string[]>
  /** Another data-plane thread, for tests of supervision. Default: the one of `src/edge`. */
  readonly workerUrl?: URL
  /** Another service thread, for tests; null starts none. Default: the one of `src/service`. */
  readonly serviceUrl?: URL | null
}

/** Where a reload's config came from: see `BalancerOptions`. What is left out stays as it was. */
export interface ReloadSource {
  readonly configFile?: string | null
  readonly configHash?: string
  /** Gives a problem that was found while the config was applied its line in the file, where that is known. */
  readonly place?: (problem: Problem) => Problem
}

export interface StartReport {
  readonly version: number
  readonly workers: number
  readonly listeners: readonly {
    readonly name: string
    readonly address: SocketAddress
    readonly everyInterface: boolean
  }[]
  readonly adminUrl: string | null
  /** Sentences for a person: more workers than can listen, an endpoint name that does not resolve yet, running as root. */
  readonly warnings: readonly string[]
}

export type ReloadResult =
  | {
      readonly ok: true
      readonly version: number
      readonly changes: readonly SettingsChange[]
      readonly warnings: readonly string[]
    }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** What an endpoint reports of itself, for pickers that go by signals. */
export interface EndpointSignals {
  readonly id: string
  /** Needed where several pools have different endpoints of this id. */
  readonly pool?: string | null
  /** Numbers by name: `cpu`, `memory`, `utilization`, `rps`, `eps`, `capacity`, `reliability`, `proximity`, or one that some pool's picker goes by. */
  readonly signals: Readonly<Record<string, number>>
}

export interface EndpointChange {
  /** Null or absent: the pool is found by the id; refused as `ambiguous` when different endpoints have it. */
  readonly pool?: string | null
  readonly id: string
  /** 0 and up; 0 takes no new work. Null: what the config says again. */
  readonly weight?: number | null
  /** Null: what the config says again. */
  readonly state?: EndpointState | null
}

/** `version`: the plan version that every running worker has acknowledged. `endpoint`: after a change of one. */
export type ControlResult =
  | { readonly ok: true; readonly version: number; readonly endpoint?: ChangedEndpoint }
  | { readonly ok: false; readonly code: ControlRefusal; readonly message: string }

/** `late`: it is applied, but a worker (named in the message) has not acknowledged within 5 s. */
export type ControlRefusal = 'not-found' | 'ambiguous' | 'bad-value' | 'not-running' | 'late'

export interface StopReport {
  /** Exchanges and tunnels that were cut off at the deadline; idle connections are closed and not counted. */
  readonly cutOff: number
  readonly tookMs: number
}

export interface WorkerExit {
  readonly index: number
  /** `error`: it threw; `heap`: its heap limit; `hung`: it did not tick; `killed`: asked for; `exit`: it left by itself. */
  readonly reason: 'error' | 'heap' | 'hung' | 'killed' | 'exit'
  readonly detail: string
  /** Downstream connections that were open on it and are lost. */
  readonly connectionsLost: number
  /** Milliseconds until its replacement starts; null when there will be none. */
  readonly replacedInMs: number | null
}

export interface EndpointChanged {
  readonly id: string
  /** Every pool that has it. */
  readonly pools: readonly string[]
  readonly slot: number
  /** `health`: a check or a passive mark; `state` and `weight`: a caller or a reload; `address`: its name resolves to another; `added`, `removed`. */
  readonly what: 'health' | 'state' | 'weight' | 'address' | 'added' | 'removed'
  readonly isFit: boolean
  readonly detail: string
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** One line of the process log. `event` is stable (kebab-case), `message` is for a person; further fields are plain JSON. */
export interface LogRecord {
  readonly level: LogLevel
  /** ISO 8601, UTC. */
  readonly time: string
  readonly component: 'balancer' | 'worker' | 'health' | 'names' | 'apply' | 'service'
  readonly event: string
  readonly message: string
  readonly [field: string]: unknown
}

export interface BalancerEvents {
  'worker-exit': [WorkerExit]
  'worker-ready': [{ readonly index: number; readonly restarts: number }]
  'endpoint-changed': [EndpointChanged]
  reloaded: [
    { readonly version: number; readonly changes: readonly SettingsChange[]; readonly warnings: readonly string[] },
  ]
  'reload-refused': [{ readonly problems: readonly Problem[] }]
  'admin-listening': [{ readonly url: string }]
  log: [LogRecord]
}

/** A running (or not yet started) balancer. See the head of this file for the order of a life. */
export interface Balancer extends EventEmitter<BalancerEvents>, AsyncDisposable {
  /** Shared memory, for readers: open `EndpointTable`, `WorkerBoard` and so on over it; `view()` names the rows. */
  readonly memory: SharedMemory
  /** The settings in force (the file's layer, without what `setEndpoint` changed). */
  readonly settings: Settings
  /** `http://127.0.0.1:9090`, or null: no admin API, or it could not listen. */
  readonly adminUrl: string | null
  start(): Promise<StartReport>
  stop(options?: { readonly drainMs?: number }): Promise<StopReport>
  reload(config: Config | Settings, source?: ReloadSource): Promise<ReloadResult>
  /** Says that a config could not even be read: it stands in `view()` and in `reload-refused` as if `reload` had refused it. */
  refuseReload(problems: readonly Problem[]): void
  /** Says that the config's source is again what is in force: what was refused no longer stands in `view()`. True: something was. */
  clearRefusal(): boolean
  /** Names and states behind the numbers in `memory`, as of now. */
  view(): BalancerView
  /**
   * Changes an endpoint, in every pool that has it, until the balancer ends: the change outlives reloads as long as the config has
   * the endpoint, and each reload warns where the config says otherwise. A value that the config says itself is no change.
   */
  setEndpoint(change: EndpointChange): Promise<ControlResult>
  /** Notes what an endpoint says of its load; it ages from now on. Nothing waits for workers: they read it with their next picks. */
  setSignals(signals: EndpointSignals): ControlResult
  /** Makes a worker throw, for drills; resolves when it is gone, and a replacement starts by itself. */
  killWorker(index: number): Promise<ControlResult>
  /** Where a listener really listens; null: no such listener, or it is not listening yet. */
  address(listener: string): SocketAddress | null
  /** Workers close and open their log files again (after a rotation). */
  reopenLogs(): void
}

/**
 * Makes a balancer; nothing runs until `start()`.
 * @throws ConfigError when the config cannot be used.
 */
export function createBalancer(config: Config | Settings, options: BalancerOptions = {}): Balancer {
  return new Runtime(config, options)
}
