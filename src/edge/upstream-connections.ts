/**
 * The connections of one worker to one endpoint: idle ones are kept, the most recently used is taken first,
 * so that a quiet time lets the others expire.
 */
import { ERROR_INDEX } from '../core/errors.ts'
import { Counter } from '../observe/counters.ts'
import type { EndpointPlan, PoolPlan } from '../pool/plan.ts'
import type { WorkerContext } from './context.ts'
import type { UpstreamAttempt, UpstreamStream } from './upstream-stream.ts'

/** A request that must not be repeated only goes on a connection that was alive this recently. */
const LATELY_MS = 1000

/** A connection that carries one attempt at a time. */
export interface UpstreamConnection extends UpstreamStream {
  /** When its last answer ended. */
  readonly usedAt: number
  /** False once its end is known, even while it is not told yet. */
  readonly isUsable: boolean
  /** Takes the attempt; sends at once when connected. */
  start(attempt: UpstreamAttempt): void
  /** Reports its end (`UpstreamConnections.closed`) before it returns, so that its place can be taken. */
  close(): void
}

/** An endpoint, as the connections to it know it. */
export interface Endpoint {
  readonly plan: EndpointPlan
  /** Settings of its pool, as they are now. */
  readonly pool: { readonly plan: PoolPlan }
  readonly slot: number
  readonly generation: number
  /** What stands in the Host field when the client sent none. */
  readonly authority: string
  readonly connections: UpstreamConnections
}

/** Makes a connection to an endpoint; a test passes one of its own. */
export type Connect = (context: WorkerContext, endpoint: Endpoint) => UpstreamConnection

export class UpstreamConnections {
  readonly #context: WorkerContext
  readonly #endpoint: Endpoint
  readonly #connect: Connect
  readonly #idle: UpstreamConnection[] = []
  #isRetired = false

  constructor(context: WorkerContext, endpoint: Endpoint, connect: Connect) {
    this.#context = context
    this.#endpoint = endpoint
    this.#connect = connect
  }

  /** False when neither an idle connection nor a place for a new one is there. */
  hasRoom(): boolean {
    const { table } = this.#context
    const { slot } = this.#endpoint
    const max = table.maxConnections[slot]!
    return this.#idle.length > 0 || max === 0 || table.connections.total[slot]! < max
  }

  /** Reuses a kept connection for the attempt, or makes a new one. False: there was no place left. */
  reuseOrConnect(attempt: UpstreamAttempt): boolean {
    const { exchange } = attempt
    const { bufferBytes } = this.#endpoint.pool.plan.retries
    // What is whole and small enough to be sent again; of a body that still comes nobody knows that.
    const mayDie =
      exchange.isIdempotent && exchange.canReplay && exchange.requestEnded && exchange.bodyBytes <= bufferBytes
    // An endpoint that ends drops all its connections at once, and we hear of them one by one: a repeat on the next of
    // them would use up its tries on dead ones.
    const mustBeNew = exchange.lastError === ERROR_INDEX.EK_REUSED_CLOSED
    const last = this.#lastUsable()
    if (last !== undefined && !mustBeNew && (mayDie || attempt.startedAt - last.usedAt < LATELY_MS)) {
      this.#idle.pop()
      this.#context.counters[Counter.UPSTREAM_CONNECTIONS_REUSED]! += 1
      attempt.carriedBy(last, true)
      last.start(attempt)
      return true
    }
    const { table, index, counters } = this.#context
    const { slot, generation } = this.#endpoint
    if (!table.openConnection(index, slot, generation)) {
      // The places are taken by our own idle connections: one of them makes room.
      if (last === undefined) return false
      last.close()
      if (!table.openConnection(index, slot, generation)) return false
    }
    counters[Counter.UPSTREAM_CONNECTIONS]! += 1
    counters[Counter.UPSTREAM_CONNECTIONS_OPEN]! += 1
    const connection = this.#connect(this.#context, this.#endpoint)
    attempt.carriedBy(connection, false)
    connection.start(attempt)
    return true
  }

  #lastUsable(): UpstreamConnection | undefined {
    for (;;) {
      const last = this.#idle.at(-1)
      if (last === undefined || last.isUsable) return last
      this.#idle.pop()
      last.close()
    }
  }

  /** An attempt ended well. False: the connection is not wanted any more and closes. */
  keep(connection: UpstreamConnection): boolean {
    const { maxIdle } = this.#endpoint.pool.plan.connections
    const max = this.#context.table.maxConnections[this.#endpoint.slot]!
    // Under a limit over all workers no worker may sit on more than its share.
    const share = max === 0 ? maxIdle : Math.min(maxIdle, Math.floor(max / this.#context.workers))
    if (this.#isRetired || this.#context.isDraining || this.#idle.length >= share) return false
    this.#idle.push(connection)
    return true
  }

  /** Every connection reports its end once, whatever it was. */
  closed(connection: UpstreamConnection): void {
    const { table, index, counters } = this.#context
    counters[Counter.UPSTREAM_CONNECTIONS_OPEN]! -= 1
    table.closeConnection(index, this.#endpoint.slot, this.#endpoint.generation)
    const at = this.#idle.lastIndexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  /** The endpoint left the pool: nothing is kept from now on. */
  retire(): void {
    this.#isRetired = true
    for (const connection of this.#idle.slice()) connection.close()
  }
}
