/**
 * Says what happens in the balancer: one wording for the log, the events and the diagnostics channels of each fact.
 * Nothing here decides anything.
 */
import type { EventEmitter } from 'node:events'
import type { SettingsChange } from '../config/diff.ts'
import type { Problem } from '../config/problem.ts'
import * as channels from '../observe/channels.ts'
import type { HealthChange } from '../pool/health-checks.ts'
import type { BalancerEvents, LogLevel, LogRecord } from './balancer.ts'
import type { EndpointEdit } from './endpoint-records.ts'
import type { NameState } from './names.ts'
import type { EndpointRecord } from './plan.ts'
import type { WorkerEnd } from './workers.ts'

/** Who changed an endpoint. */
export type ChangeCause = 'admin' | 'config'

/** A reload as it is told. */
export interface ToldReload {
  readonly file: string | null
  readonly hash: string
  readonly durationMs: number
}

export class Announcer {
  readonly #emitter: EventEmitter<BalancerEvents>
  /** Tells balancers of one process apart on the channels. */
  readonly #balancer: string

  constructor(emitter: EventEmitter<BalancerEvents>, balancer: string) {
    this.#emitter = emitter
    this.#balancer = balancer
  }

  log(
    level: LogLevel,
    component: LogRecord['component'],
    event: string,
    message: string,
    fields: Readonly<Record<string, unknown>> = {},
  ): void {
    if (this.#emitter.listenerCount('log') === 0) return
    this.#tell('log', { ...fields, level, time: new Date().toISOString(), component, event, message })
  }

  /** A mistake of ours that nobody foresaw. */
  fault(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error)
    const stack = error instanceof Error ? error.stack : undefined
    this.log('error', 'apply', 'fault', `something went wrong inside the balancer: ${message}`, { stack })
  }

  adminListening(url: string): void {
    this.log('debug', 'service', 'admin-listening', `the admin API listens on ${url}`, { url })
    this.#tell('admin-listening', { url })
  }

  workerReady(index: number, restarts: number): void {
    const level = restarts === 0 ? 'debug' : 'info'
    this.log(level, 'worker', 'worker-ready', `worker ${index} serves`, { worker: index, restarts })
    this.#tell('worker-ready', { index, restarts })
  }

  /** Not for workers that a stop ends. `restarts`: with this one. */
  workerEnded(end: WorkerEnd & { readonly reason: Exclude<WorkerEnd['reason'], 'stopped'> }, restarts: number): void {
    const { index, reason, detail, stack, connectionsLost, replacedInMs } = end
    const level = reason === 'killed' ? 'warn' : 'error'
    const message = `worker ${index} ended (${reason}): ${detail}${replacementWords(replacedInMs)}`
    this.log(level, 'worker', 'worker-exit', message, {
      worker: index,
      reason,
      detail,
      connectionsLost,
      replacedInMs,
      ...(stack === null ? {} : { stack }),
    })
    this.#tell('worker-exit', { index, reason, detail, connectionsLost, replacedInMs })
    if (replacedInMs === null) return
    channels.workerReplaced.publish(() => ({
      balancer: this.#balancer,
      worker: index,
      reason: reason === 'hung' ? 'hang' : reason === 'heap' ? 'memory' : reason,
      detail,
      restarts,
      delayMs: replacedInMs,
    }))
  }

  /** The table says already what it is about. */
  healthChanged(record: EndpointRecord, { kind, detail }: HealthChange, isFit: boolean): void {
    const { id, pools, slot } = record
    const level = kind === 'unhealthy' || kind === 'passive' ? 'warn' : 'info'
    const message = `endpoint '${id}' (${pools.join(', ')}) ${HEALTH_WORDS[kind]}: ${detail}`
    this.log(level, 'health', `endpoint-${kind}`, message, { endpoint: id, pools, detail })
    this.#tell('endpoint-changed', { id, pools, slot, what: 'health', isFit, detail })
    const cause = kind === 'passive' || kind === 'passive-cleared' ? 'passive' : 'check'
    this.#publishEndpoint(record, cause, isFit ? 'fit' : 'unfit', detail)
  }

  endpointChanged(record: EndpointRecord, { what, detail }: EndpointEdit, cause: ChangeCause, isFit: boolean): void {
    const { id, pools, slot } = record
    const message = `endpoint '${id}' (${pools.join(', ')}) ${what}: ${detail}`
    this.log('info', 'apply', `endpoint-${what}`, message, { endpoint: id, pools, detail })
    this.#tell('endpoint-changed', { id, pools, slot, what, isFit, detail })
    if (what !== 'address') this.#publishEndpoint(record, cause, what, detail)
  }

  nameChanged(host: string, { address, problem }: NameState): void {
    if (problem === null) {
      this.log('info', 'names', 'name-resolved', `'${host}' is ${address}`, { host, address })
      return
    }
    const kept = address === null ? '' : `; ${address} stays in use`
    this.log('warn', 'names', 'name-failed', `'${host}': ${problem}${kept}`, { host, address, problem })
  }

  reloaded(version: number, changes: readonly SettingsChange[], warnings: readonly string[], reload: ToldReload): void {
    for (const warning of warnings) this.log('warn', 'apply', 'reload-warning', warning)
    this.log('debug', 'apply', 'reloaded', `version ${version} is in force: ${changes.length} changes`, {
      version,
      changes: changes.map(({ path, kind }) => ({ path, kind })),
    })
    this.#tell('reloaded', { version, changes, warnings })
    const details = changes.map(({ path, kind }) => `${kind} ${path}`)
    channels.reloaded.publish(() => ({ balancer: this.#balancer, ok: true, details, ...reload }))
  }

  /** `details`: the problems in words. */
  reloadRefused(problems: readonly Problem[], details: readonly string[], reload: ToldReload): void {
    const message = `the config was refused, the one before is in force: ${details.join('; ')}`
    this.log('debug', 'apply', 'reload-refused', message, { problems })
    this.#tell('reload-refused', { problems })
    channels.reloaded.publish(() => ({ balancer: this.#balancer, ok: false, details, ...reload }))
  }

  #publishEndpoint(
    { id, pools }: EndpointRecord,
    cause: channels.EndpointChanged['cause'],
    change: channels.EndpointChanged['change'],
    detail: string,
  ): void {
    for (const pool of pools)
      channels.endpointChanged.publish(() => ({ balancer: this.#balancer, pool, endpoint: id, cause, change, detail }))
  }

  /** Listeners are the caller's: one that throws must not stop what control is in the middle of. */
  #tell<K extends keyof BalancerEvents>(event: K, ...values: BalancerEvents[K]): void {
    try {
      // `emit` is typed for one known event at a time.
      ;(this.#emitter as { emit(name: string, ...values: unknown[]): boolean }).emit(event, ...values)
    } catch (error) {
      setImmediate(() => {
        throw error
      })
    }
  }
}

const HEALTH_WORDS: Readonly<Record<HealthChange['kind'], string>> = {
  healthy: 'is healthy',
  unhealthy: 'is unhealthy',
  passive: 'is set aside',
  'passive-cleared': 'is used again',
}

function replacementWords(replacedInMs: number | null): string {
  if (replacedInMs === null) return ''
  return replacedInMs === 0 ? ', it is replaced at once' : `, it is replaced in ${replacedInMs} ms`
}
