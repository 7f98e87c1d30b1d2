/**
 * Both ends of the request path without a socket: a client whose connection carries any number of exchanges at once, and
 * endpoints that a test answers for. What HTTP/2 will be to the path, these are already.
 */
import assert from 'node:assert/strict'
import { ERROR_INDEX, type ErrorCode } from '../../src/core/errors.ts'
import { AddressSet } from '../../src/edge/client-address.ts'
import type { WorkerContext } from '../../src/edge/context.ts'
import type { DownstreamStream, ListenerContext } from '../../src/edge/downstream-stream.ts'
import { EdgeWorker } from '../../src/edge/edge-worker.ts'
import type { Exchange } from '../../src/edge/exchange.ts'
import type { ExchangePool } from '../../src/edge/exchange-pool.ts'
import type { ForwardedCache } from '../../src/edge/forwarded.ts'
import { WorkerPool } from '../../src/edge/pick-endpoint.ts'
import { handleRequest } from '../../src/edge/request-path.ts'
import { RouteTable } from '../../src/edge/route-table.ts'
import type { Endpoint, UpstreamConnection } from '../../src/edge/upstream-connections.ts'
import type { UpstreamAttempt } from '../../src/edge/upstream-stream.ts'
import type { MessageHead, ResponseHead } from '../../src/http1/head.ts'
import { Cursors } from '../../src/memory/cursors.ts'
import { EndpointTable } from '../../src/memory/endpoint-table.ts'
import { createSharedMemory } from '../../src/memory/shared-memory.ts'
import { Counter, type CounterKey, errorCounter, WORKER_COUNTERS } from '../../src/observe/counters.ts'
import type { IdentityPlan, ListenerPlan, PoolPlan } from '../../src/pool/plan.ts'
import { type RequestParts, type ResponseParts, requestHead, responseHead } from './heads.ts'

/** One exchange, from the client's side. */
export class MemoryStream implements DownstreamStream {
  readonly listener: ListenerContext
  readonly clientAddress = '192.0.2.1'
  readonly isTrusted = false
  readonly scheme = 'https'
  forwardedCache: ForwardedCache | null = null
  /** Null once it has ended. */
  exchange: Exchange | null
  readonly #context: WorkerContext
  readonly #exchanges: ExchangePool

  /** What came, in order, as the client would see it. */
  readonly events: string[] = []
  body = ''
  /** What `respond` and `data` say. */
  hasRoom = true
  corks = 0

  constructor(context: WorkerContext, exchanges: ExchangePool, listener: ListenerContext) {
    this.#context = context
    this.#exchanges = exchanges
    this.listener = listener
    this.exchange = exchanges.take(this)
  }

  /** The head, and with it the body when there is one already. */
  request(parts: RequestParts, body: readonly string[] = []): this {
    const exchange = this.exchange!
    const head = requestHead(parts)
    exchange.begin(head, this.#context.timers.clock())
    const isGoing = handleRequest(this.#context, exchange, head)
    // Nobody may look at it from here on, as no parser would keep it.
    head.bytes.fill(0x2e)
    if (!isGoing) return this
    for (const piece of body) exchange.relayRequestBody(Buffer.from(piece))
    if (body.length > 0) exchange.requestEnd('')
    exchange.startAttempt()
    return this
  }

  send(piece: string): void {
    this.exchange!.relayRequestBody(Buffer.from(piece))
  }

  endRequest(trailers = ''): void {
    this.exchange!.requestEnd(trailers)
  }

  drained(): void {
    this.hasRoom = true
    this.exchange!.responseDrained()
  }

  /** The client goes away. */
  leave(): void {
    this.exchange!.abort(ERROR_INDEX.EK_CLIENT_CLOSED)
    this.#letGo()
  }

  // ------------------------------------------------------------------ DownstreamStream

  interim(head: ResponseHead): void {
    this.events.push(`interim ${head.status}`)
  }

  respond(head: ResponseHead, bytes: Buffer, start: number, end: number, isLast: boolean): boolean {
    const names = Array.from({ length: head.count }, (_, index) => `${head.name(index)}=${head.value(index)}`)
    this.events.push(['respond', head.status, ...names].join(' '))
    this.body += bytes.toString('latin1', start, end)
    if (isLast) this.events.push('last')
    return this.hasRoom
  }

  switchProtocols(head: ResponseHead, upgrade: string): void {
    this.events.push(`switch ${head.status} ${upgrade}`)
  }

  data(bytes: Buffer, start: number, end: number): boolean {
    this.body += bytes.toString('latin1', start, end)
    return this.hasRoom
  }

  end(trailers: MessageHead | null): void {
    const names =
      trailers === null
        ? []
        : Array.from({ length: trailers.count }, (_, index) => `${trailers.name(index)}=${trailers.value(index)}`)
    this.events.push(['end', ...names].join(' '))
    this.exchange!.finish()
    this.#letGo()
  }

  answer(status: number, text: string, mustClose: boolean): void {
    this.events.push(`answer ${status} ${/\((EK_\w+)\)/.exec(text)?.[1]}${mustClose ? ' and close' : ''}`)
    this.exchange!.finish()
    this.#letGo()
  }

  cut(): void {
    this.events.push('cut')
    // As a codec does that hears of the end of its stream later.
    queueMicrotask(() => this.#letGo())
  }

  abandon(): void {
    this.cut()
  }

  pauseRequest(): void {
    this.events.push('pause')
  }

  resumeRequest(): void {
    this.events.push('resume')
  }

  cork(): void {
    this.corks++
  }

  uncork(): void {
    this.corks--
  }

  #letGo(): void {
    const { exchange } = this
    if (exchange === null) return
    this.exchange = null
    assert.equal(exchange.isOver, true)
    assert.equal(this.corks, 0)
    this.#exchanges.giveBack(exchange)
  }
}

/** A connection to an endpoint, whose answers the test gives. */
export class MemoryUpstream implements UpstreamConnection {
  readonly endpoint: Endpoint
  usedAt = 0
  isUsable = true
  attempt: UpstreamAttempt | null = null
  /** Heads as they were sent, one per attempt. */
  readonly heads: string[] = []
  body = ''
  trailers: string | null = null
  /** What `data` says. */
  hasRoom = true
  isClosed = false
  isPaused = false
  isCancelled = false
  readonly #context: WorkerContext

  constructor(context: WorkerContext, endpoint: Endpoint) {
    this.#context = context
    this.endpoint = endpoint
  }

  // ------------------------------------------------------------------ UpstreamConnection

  start(attempt: UpstreamAttempt): void {
    this.attempt = attempt
    this.body = ''
    this.trailers = null
    if (this.heads.length > 0) this.#send()
  }

  data(bytes: Buffer): boolean {
    this.body += bytes.toString('latin1')
    return this.hasRoom
  }

  end(trailers: string): void {
    this.trailers = trailers
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  cancel(): void {
    this.attempt = null
    this.isCancelled = true
    this.close()
  }

  close(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.endpoint.connections.closed(this)
  }

  // ------------------------------------------------------------------ what the test lets the endpoint do

  connect(): this {
    this.attempt!.connected()
    this.#send()
    return this
  }

  fail(code: ErrorCode): void {
    const attempt = this.attempt!
    this.attempt = null
    this.close()
    attempt.failed(ERROR_INDEX[code])
  }

  interim(status: number): void {
    this.attempt!.interim(responseHead({ status }))
  }

  respond(parts: ResponseParts, body = '', isLast = false): boolean {
    const bytes = Buffer.from(`##${body}##`)
    const head = responseHead(parts)
    const isRoom = this.attempt!.respond(head, bytes, 2, 2 + body.length, isLast)
    // Borrowed: gone when the call is over.
    bytes.fill(0x2e)
    head.bytes.fill(0x2e)
    return isRoom
  }

  answerData(piece: string): boolean {
    const bytes = Buffer.from(piece)
    const isRoom = this.attempt!.data(bytes, 0, bytes.length, null)
    bytes.fill(0x2e)
    return isRoom
  }

  answerEnd(trailers: ResponseParts['fields'] = []): void {
    const attempt = this.attempt!
    this.attempt = null
    this.usedAt = this.#context.timers.nowMs
    if (!this.endpoint.connections.keep(this)) this.close()
    attempt.end(trailers.length === 0 ? null : responseHead({ fields: trailers }))
  }

  switchTo(protocol: string): void {
    this.attempt!.switchProtocols(responseHead({ status: 101 }), protocol)
  }

  #send(): void {
    const attempt = this.attempt!
    const { exchange } = attempt
    attempt.hasSentHead = true
    this.heads.push(exchange.upstreamHead)
    for (const piece of exchange.body) this.data(piece)
    exchange.bodySent()
    if (exchange.requestEnded) this.end(exchange.requestTrailers)
  }
}

export interface MemoryEdgeOptions {
  readonly endpoints?: number
  readonly retries?: PoolPlan['retries']
  readonly timeouts?: Partial<ListenerPlan['timeouts']>
}

/** The request path of a worker between the two. */
export class MemoryEdge {
  readonly context: WorkerContext
  readonly listener: ListenerContext
  /** Every connection that was made, in order. */
  readonly upstreams: MemoryUpstream[] = []
  readonly #worker: EdgeWorker
  readonly #pool: WorkerPool

  constructor(options: MemoryEdgeOptions = {}) {
    const { endpoints = 2, retries = { max: 2, bufferBytes: 1000 } } = options
    const memory = createSharedMemory({
      endpoints: 8,
      workers: 1,
      pools: 1,
      listeners: 1,
      addresses: 16,
      workerCounters: WORKER_COUNTERS,
    })
    const identity: IdentityPlan = { via: 'me', forwarded: { xForwarded: true, standard: false, via: true } }
    const boot = { version: 1, listeners: [], routes: [], pools: [], identity, accessLog: null }
    this.#worker = new EdgeWorker({ index: 0, memory, plan: boot }, () => {})
    this.context = this.#worker.context
    const table = new EndpointTable(memory)
    const pool: PoolPlan = {
      name: 'web',
      slot: 0,
      picker: { name: 'round-robin', options: {} },
      endpoints: Array.from({ length: endpoints }, (_, index) => {
        const place = table.allocate(1, 0)!
        return {
          id: `e${index}`,
          slot: place.slot,
          generation: place.generation,
          address: { kind: 'ip', host: '192.0.2.9', port: 80 + index, ipv6Only: false },
          zone: null,
        }
      }),
      timeouts: { connectMs: 0, firstByteMs: 0, responseIdleMs: 0, keepAliveMs: 0, sendIdleMs: 0 },
      connections: { max: 0, maxIdle: 10, maxAgeMs: 0, maxRequests: 0 },
      retries,
      passive: { failures: 0, holdMs: 0 },
      limits: { responseHeadBytes: 1000, responseFieldCount: 100 },
    }
    this.#pool = new WorkerPool(this.context, pool, new Cursors(memory).cursor(0), (context, endpoint) => {
      const upstream = new MemoryUpstream(context, endpoint)
      this.upstreams.push(upstream)
      return upstream
    })
    const routes = new RouteTable(
      [{ name: 'all', match: { paths: ['/*'] }, pool: 'web' }],
      'memory',
      new Map([['web', this.#pool]]),
    )
    const timeouts = {
      headMs: 0,
      bodyIdleMs: 0,
      sendIdleMs: 0,
      keepAliveMs: 0,
      tunnelIdleMs: 0,
      exchangeMs: 0,
      halfCloseMs: 0,
      ...options.timeouts,
    }
    const limits = {
      requestLineBytes: 1000,
      headBytes: 1000,
      fieldCount: 100,
      bodyBytes: 100_000,
      connections: 0,
      connectionsPerAddress: 0,
      perAddressExempt: [],
      requestsPerConnection: 0,
    }
    const plan: ListenerPlan = {
      name: 'memory',
      slot: 0,
      address: { kind: 'unix', path: '/nowhere' },
      reusePort: false,
      protocol: 'http',
      trustedProxies: [],
      limits,
      timeouts,
    }
    this.listener = { plan, routes, trusted: new AddressSet([]), isDraining: false, closed: () => {} }
  }

  stream(): MemoryStream {
    return new MemoryStream(this.context, this.#worker.exchanges, this.listener)
  }

  counter(key: CounterKey): number {
    return this.context.counters[Counter[key]]!
  }

  errors(code: ErrorCode): number {
    return this.context.counters[errorCounter(ERROR_INDEX[code])]!
  }

  close(): Promise<void> {
    return this.#worker.close()
  }

  /** But for kept connections, which are let go. */
  nothingIsOpen(): void {
    this.#pool.retire()
    const { table } = this.context
    const open = {
      exchanges: this.counter('EXCHANGES_OPEN'),
      tunnels: this.counter('TUNNELS_OPEN'),
      upstream: this.counter('UPSTREAM_CONNECTIONS_OPEN'),
      inFlight: table.inFlight.total.some((count) => count !== 0),
      connections: table.connections.total.some((count) => count !== 0),
    }
    assert.deepEqual(open, { exchanges: 0, tunnels: 0, upstream: 0, inFlight: false, connections: false })
  }
}
