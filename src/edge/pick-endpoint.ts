/**
 * Where an endpoint is picked for a request: a worker's view of a pool, that is its endpoints by position, the picker
 * over them, and the connections to each.
 * Fitness, weights and counts live in the shared endpoint table; what is here belongs to one worker.
 */
import { createBalancedPicker } from '../core/balance/balanced-picker.ts'
import { explainInner } from '../core/balance/modifiers/modifier.ts'
import type { Accept, Explanation, Members, Picker, PickerEntry } from '../core/balance/picker.ts'
import { PICKERS } from '../core/balance/registry.ts'
import { ERROR_INDEX } from '../core/errors.ts'
import { DEFAULT_HASH, HASH_FUNCTIONS, type HashName } from '../core/hash/registry.ts'
import { defaultRequestKey, parseRequestKey } from '../core/hash/request-key.ts'
import { Fitness } from '../memory/endpoint-table.ts'
import { SHARED_CLOCK_OFFSET_MS } from '../memory/shared-clock.ts'
import type { EndpointPlan, PickerPlan, PoolDelta, PoolPlan } from '../pool/plan.ts'
import type { WorkerContext } from './context.ts'
import { LoadProber, type ProbingPicker } from './load-prober.ts'
import { LoadReports } from './load-reports.ts'
import { type KeyReader, keyReader } from './request-key.ts'
import { type Connect, type Endpoint, UpstreamConnections } from './upstream-connections.ts'

export class WorkerEndpoint implements Endpoint {
  /** Its zone and tier may change in place, nothing else. */
  plan: EndpointPlan
  readonly pool: WorkerPool
  readonly id: string
  readonly slot: number
  readonly generation: number
  readonly connections: UpstreamConnections
  readonly authority: string

  constructor(context: WorkerContext, pool: WorkerPool, plan: EndpointPlan, connect: Connect) {
    this.plan = plan
    this.pool = pool
    this.id = plan.id
    this.slot = plan.slot
    this.generation = plan.generation
    this.authority = authorityOf(plan)
    this.connections = new UpstreamConnections(context, this, connect)
  }
}

/** What a pick needs of a request: its key, and which endpoints were tried before. */
export interface TriedEndpoints {
  readonly attempts: number
  /** As the pool's `keyOf` made it; 0 where it has none. */
  readonly hashKey: number
  wasTried(slot: number): boolean
}

export class WorkerPool {
  plan: PoolPlan
  readonly #context: WorkerContext
  readonly #cursor: Int32Array
  readonly #connect: Connect
  #endpoints: WorkerEndpoint[] = []
  #members: Members = { count: 0, slots: new Int32Array(0), weights: new Float64Array(0), ids: [] }
  #picker!: Picker
  #keyOf: KeyReader | null = null
  #learner: Picker | null = null
  #reports: LoadReports | null = null
  #prober: LoadProber | null = null
  /** Bits of `Fitness` that keep requests away; with a panic threshold health is the modifier's business. */
  #barred = -1
  /** For the pick that is being made: lets `#accept` be one function instead of a closure per request. */
  #tried: TriedEndpoints | null = null
  readonly #accept: Accept

  constructor(context: WorkerContext, plan: PoolPlan, cursor: Int32Array, connect: Connect) {
    this.#context = context
    this.#cursor = cursor
    this.#connect = connect
    this.plan = plan
    this.#accept = (position) => this.#isAcceptable(position)
    this.#replacePicker(plan.picker)
    this.#setMembers(plan.endpoints.map((endpoint) => new WorkerEndpoint(context, this, endpoint, connect)))
  }

  /** Makes the key of a request; null where the picker goes by none. */
  get keyOf(): KeyReader | null {
    return this.#keyOf
  }

  /** The picker where it wants to hear of attempts, else null. */
  get learner(): Picker | null {
    return this.#learner
  }

  /** Reads load reports in answers; null where the picker goes by no signals. */
  get reports(): LoadReports | null {
    return this.#reports
  }

  /** Asks endpoints how busy they are; null where the picker does not want to know. */
  get prober(): LoadProber | null {
    return this.#prober
  }

  /** Null when no endpoint may take the request: `whyNone` says why. */
  pickEndpoint(tried: TriedEndpoints): WorkerEndpoint | null {
    this.#tried = tried
    const position = this.#picker.pick(tried.hashKey, this.#accept)
    this.#tried = null
    return position < 0 ? null : (this.#endpoints[position] ?? null)
  }

  /** Picks as `pickEndpoint` does, and says why. */
  explainPick(tried: TriedEndpoints): { readonly endpoint: WorkerEndpoint | null; readonly told: Explanation } {
    this.#tried = tried
    const told = explainInner(this.#picker, tried.hashKey, this.#accept)
    this.#tried = null
    return { endpoint: this.#endpoints[told.position] ?? null, told }
  }

  idAt(position: number): string {
    return this.#endpoints[position]?.id ?? ''
  }

  /** An `ERROR_INDEX`. */
  whyNone(tried: TriedEndpoints): number {
    const { fitness } = this.#context.table
    const isAnyFit = this.#endpoints.some(
      ({ slot }, position) =>
        (fitness[slot]! & this.#barred) === 0 && this.#members.weights[position]! > 0 && !tried.wasTried(slot),
    )
    return isAnyFit ? ERROR_INDEX.EK_NO_CAPACITY : ERROR_INDEX.EK_NO_ENDPOINT
  }

  /** A new plan for the same pool: endpoints that stay keep their connections, the picker stays unless another is asked for. */
  update(plan: PoolPlan): void {
    const before = this.plan
    this.plan = plan
    if (JSON.stringify(before.picker) !== JSON.stringify(plan.picker)) this.#replacePicker(plan.picker)
    const byKey = new Map(this.#endpoints.map((endpoint) => [keyOf(endpoint.plan), endpoint]))
    const next = plan.endpoints.map((endpoint) => {
      const key = keyOf(endpoint)
      const kept = byKey.get(key)
      byKey.delete(key)
      if (kept === undefined) return new WorkerEndpoint(this.#context, this, endpoint, this.#connect)
      kept.plan = endpoint
      return kept
    })
    for (const gone of byKey.values()) gone.connections.retire()
    this.#setMembers(next)
  }

  apply(delta: PoolDelta): void {
    const removed = new Set(delta.remove)
    const kept = this.#endpoints.filter((endpoint) => {
      if (!removed.has(endpoint.id)) return true
      endpoint.connections.retire()
      return false
    })
    const added = delta.add.map((endpoint) => new WorkerEndpoint(this.#context, this, endpoint, this.#connect))
    this.#setMembers([...kept, ...added])
  }

  /** Weights changed in the table. */
  refresh(): void {
    this.#setMembers(this.#endpoints)
  }

  /** The pool is gone: what is idle closes now, what is busy when it is done. */
  retire(): void {
    for (const endpoint of this.#endpoints) endpoint.connections.retire()
    this.#prober?.retire()
  }

  #replacePicker(plan: PickerPlan): void {
    const entry: PickerEntry = PICKERS[plan.name as keyof typeof PICKERS]
    const { table, timers, random } = this.#context
    const { fitness, signals } = table
    const asked = { forSignals: false }
    const deps = {
      loads: table.inFlight.total,
      cursor: this.#cursor,
      random,
      // As of the event that is being handled: read once for all that it does.
      now: (): number => timers.nowMs + SHARED_CLOCK_OFFSET_MS,
      signals: {
        column: (name: string) => {
          asked.forSignals = true
          return signals.column(name)
        },
      },
    }
    const {
      options,
      modifiers = {},
      key = defaultRequestKey(plan.name),
      hash = DEFAULT_HASH,
      passReports = false,
      probePath: path = PROBE_PATH,
      probeTimeoutMs: timeoutMs = PROBE_TIMEOUT_MS,
    } = plan
    const isHealthy = (slot: number): boolean => (fitness[slot]! & HEALTH) === 0
    const picker = createBalancedPicker(deps, { entry, options, modifiers, isHealthy })
    this.#picker = picker
    // Looked at once: a picker that does not learn is never told.
    this.#learner = picker.began === undefined && picker.ended === undefined ? null : picker
    this.#reports = asked.forSignals ? new LoadReports(signals, passReports) : null
    this.#barred = modifiers.panic === undefined ? -1 : ~HEALTH
    this.#prober?.retire()
    this.#prober = wantsProbes(picker)
      ? new LoadProber(this.#context, picker, { path, timeoutMs, barred: this.#barred })
      : null
    const reading = entry.usesKey === true ? parseRequestKey(key) : null
    this.#keyOf = reading?.ok === true ? keyReader(reading.value, HASH_FUNCTIONS[hash as HashName], random) : null
  }

  #setMembers(endpoints: WorkerEndpoint[]): void {
    const { weight, fitSince } = this.#context.table
    const { tiersAndZones, slowStart } = this.plan.picker.modifiers ?? {}
    this.#endpoints = endpoints
    this.#members = {
      count: endpoints.length,
      slots: Int32Array.from(endpoints, ({ slot }) => slot),
      weights: Float64Array.from(endpoints, ({ slot }) => weight[slot] ?? 0),
      ids: endpoints.map(({ id }) => id),
      ...(tiersAndZones === undefined
        ? {}
        : {
            tiers: Int32Array.from(endpoints, ({ plan }) => plan.tier ?? 0),
            zones: endpoints.map(({ plan }) => plan.zone),
          }),
      ...(slowStart === undefined ? {} : { sinceMs: Float64Array.from(endpoints, ({ slot }) => fitSince[slot]!) }),
    }
    this.#picker.update(this.#members)
    this.#prober?.update(endpoints)
  }

  #isAcceptable(position: number): boolean {
    const slot = this.#members.slots[position]!
    if ((this.#context.table.fitness[slot]! & this.#barred) !== 0) return false
    const tried = this.#tried!
    if (tried.attempts > 0 && tried.wasTried(slot)) return false
    return this.#context.table.maxConnections[slot] === 0 || this.#endpoints[position]!.connections.hasRoom()
  }
}

const PROBE_PATH = '/load'
const PROBE_TIMEOUT_MS = 1000

function wantsProbes(picker: Picker): picker is Picker & ProbingPicker {
  return picker.wantsProbe !== undefined && picker.probed !== undefined
}

/** What health checks and failed connects say. */
const HEALTH = Fitness.UNHEALTHY | Fitness.PASSIVE

/** Another generation or another address is another endpoint, whatever its id. */
function keyOf(plan: EndpointPlan): string {
  return `${plan.slot} ${plan.generation} ${JSON.stringify(plan.address)} ${plan.id}`
}

function authorityOf(plan: EndpointPlan): string {
  const { address } = plan
  if (address.kind === 'unix') return 'localhost'
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return address.port === 80 ? host : `${host}:${address.port}`
}
