/**
 * Where an endpoint is picked for a request: a worker's view of a pool, that is its endpoints by position, the picker
 * over them, and the connections to each.
 * Fitness, weights and counts live in the shared endpoint table; what is here belongs to one worker.
 */
import type { Accept, Members, Picker } from '../core/balance/picker.ts'
import { PICKERS } from '../core/balance/registry.ts'
import { ERROR_INDEX } from '../core/errors.ts'
import type { EndpointPlan, PoolDelta, PoolPlan } from '../pool/plan.ts'
import type { WorkerContext } from './context.ts'
import { type Connect, type Endpoint, UpstreamConnections } from './upstream-connections.ts'

export class WorkerEndpoint implements Endpoint {
  readonly plan: EndpointPlan
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

/** Which endpoints were tried before for the request at hand. */
export interface TriedEndpoints {
  readonly attempts: number
  wasTried(slot: number): boolean
}

export class WorkerPool {
  plan: PoolPlan
  readonly #context: WorkerContext
  readonly #cursor: Int32Array
  readonly #connect: Connect
  #endpoints: WorkerEndpoint[] = []
  #members: Members = { count: 0, slots: new Int32Array(0), weights: new Float64Array(0) }
  #picker: Picker
  /** For the pick that is being made: lets `#accept` be one function instead of a closure per request. */
  #tried: TriedEndpoints | null = null
  readonly #accept: Accept

  constructor(context: WorkerContext, plan: PoolPlan, cursor: Int32Array, connect: Connect) {
    this.#context = context
    this.#cursor = cursor
    this.#connect = connect
    this.plan = plan
    this.#picker = this.#createPicker(plan)
    this.#accept = (position) => this.#isAcceptable(position)
    this.#setMembers(plan.endpoints.map((endpoint) => new WorkerEndpoint(context, this, endpoint, connect)))
  }

  /** Null when no endpoint may take the request: `whyNone` says why. */
  pickEndpoint(tried: TriedEndpoints): WorkerEndpoint | null {
    this.#tried = tried
    const position = this.#picker.pick(0, this.#accept)
    this.#tried = null
    return position < 0 ? null : (this.#endpoints[position] ?? null)
  }

  /** An `ERROR_INDEX`. */
  whyNone(tried: TriedEndpoints): number {
    const { fitness } = this.#context.table
    const isAnyFit = this.#endpoints.some(
      ({ slot }, position) => fitness[slot] === 0 && this.#members.weights[position]! > 0 && !tried.wasTried(slot),
    )
    return isAnyFit ? ERROR_INDEX.EK_NO_CAPACITY : ERROR_INDEX.EK_NO_ENDPOINT
  }

  /** A new plan for the same pool: endpoints that stay keep their connections, the picker stays unless another is asked for. */
  update(plan: PoolPlan): void {
    const before = this.plan
    this.plan = plan
    if (JSON.stringify(before.picker) !== JSON.stringify(plan.picker)) this.#picker = this.#createPicker(plan)
    const byKey = new Map(this.#endpoints.map((endpoint) => [keyOf(endpoint.plan), endpoint]))
    const next = plan.endpoints.map((endpoint) => {
      const key = keyOf(endpoint)
      const kept = byKey.get(key)
      byKey.delete(key)
      return kept ?? new WorkerEndpoint(this.#context, this, endpoint, this.#connect)
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
  }

  #createPicker(plan: PoolPlan): Picker {
    const entry = PICKERS[plan.picker.name as keyof typeof PICKERS]
    const { table, random } = this.#context
    return entry.create({ loads: table.inFlight.total, cursor: this.#cursor, random }, plan.picker.options)
  }

  #setMembers(endpoints: WorkerEndpoint[]): void {
    const { weight } = this.#context.table
    this.#endpoints = endpoints
    this.#members = {
      count: endpoints.length,
      slots: Int32Array.from(endpoints, ({ slot }) => slot),
      weights: Float64Array.from(endpoints, ({ slot }) => weight[slot] ?? 0),
    }
    this.#picker.update(this.#members)
  }

  #isAcceptable(position: number): boolean {
    const slot = this.#members.slots[position]!
    if (this.#context.table.fitness[slot] !== 0) return false
    const tried = this.#tried!
    if (tried.attempts > 0 && tried.wasTried(slot)) return false
    return this.#context.table.maxConnections[slot] === 0 || this.#endpoints[position]!.connections.hasRoom()
  }
}

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
