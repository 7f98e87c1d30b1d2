/**
 * A worker of the data plane in this process, between origins that follow a script and clients that write bytes.
 *
 *     wire('a property', async (lab) => {
 *       const origin = await lab.origin(answering('HTTP/1.1 204 No Content\r\n\r\n'))
 *       const edge = await lab.edge({ origins: [origin] })
 *       const client = await edge.connect()
 *       …
 *     })
 *
 * When the body of a test is over, clients and origins go away, and then everything that the worker counts as open has to
 * come back to zero by itself: so every test is a leak test for the kind of connection that it uses.
 */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import * as net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { SocketAddress } from '../../src/core/address.ts'
import { ERROR_INDEX, type ErrorCode } from '../../src/core/errors.ts'
import { EdgeWorker } from '../../src/edge/edge-worker.ts'
import type { Connect } from '../../src/edge/upstream-connections.ts'
import { EndpointTable } from '../../src/memory/endpoint-table.ts'
import { createSharedMemory } from '../../src/memory/shared-memory.ts'
import { Counter, type CounterKey, errorCounter, WORKER_COUNTERS } from '../../src/observe/counters.ts'
import type { EndpointPlan, ListenerPlan, Plan, PoolPlan, RoutePlan, WorkerEvent } from '../../src/pool/plan.ts'
import type { Message } from './message.ts'
import { eventually, sleep, Wire, WireEnded } from './wire.ts'

export { chunked, Message } from './message.ts'
export { eventually, sleep, Wire, WireEnded } from './wire.ts'

const HOST = '127.0.0.1'

/** A test with a lab of its own, which is closed and examined afterwards. */
export function wire(name: string, body: (lab: Lab) => Promise<void>): void {
  void test(name, { timeout: 60_000 }, async () => {
    const lab = new Lab()
    try {
      await body(lab)
    } catch (error) {
      await lab.destroy()
      throw error
    }
    await lab.close()
  })
}

/** Tests that mostly wait, several at a time. */
export function waiting(title: string, define: () => void): void {
  void describe(title, { concurrency: 8 }, define)
}

// -------------------------------------------------------------------- origins

/** What an origin does with one connection. When the promise is over, the connection stays open until the other side ends it. */
export type Script = (wire: Wire, index: number) => Promise<void> | void

export class Origin {
  readonly address: SocketAddress
  /** Every connection so far, in order. */
  readonly wires: Wire[] = []
  /** Every request that `answering` has read. */
  readonly requests: Message[] = []
  readonly failures: unknown[] = []
  readonly #server: net.Server

  private constructor(server: net.Server, address: SocketAddress) {
    this.#server = server
    this.address = address
  }

  static async start(script: Script | Scripted, at: SocketAddress): Promise<Origin> {
    const server = net.createServer({ allowHalfOpen: true, noDelay: true })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(at.kind === 'unix' ? { path: at.path } : { host: at.host, port: at.port }, resolve)
    })
    const bound = server.address()
    const port = bound !== null && typeof bound === 'object' ? bound.port : 0
    const origin = new Origin(server, at.kind === 'unix' ? at : { ...at, port })
    server.on('connection', (socket) => origin.#serve(script, new Wire(socket)))
    return origin
  }

  get port(): number {
    return this.address.kind === 'ip' ? this.address.port : 0
  }

  /** Refuses further connections; open ones stay. */
  stopListening(): void {
    this.#server.close()
  }

  async connections(count: number): Promise<void> {
    await eventually(
      () => this.wires.length >= count,
      () => `${count} connections, not ${this.wires.length}`,
    )
  }

  close(): void {
    this.#server.close()
    for (const wire of this.wires) wire.close()
  }

  #serve(script: Script | Scripted, wire: Wire): void {
    this.wires.push(wire)
    const run = async (): Promise<void> => {
      if (typeof script === 'function') await script(wire, this.wires.length - 1)
      else await script.serve(wire, this)
    }
    // The other side going away is part of many scripts; whatever else goes wrong is the test's to know.
    void run()
      .catch((error: unknown) => {
        if (!(error instanceof WireEnded)) this.failures.push(error)
      })
      .then(() => {
        // As servers do: when nothing is left to say, the end of the other side is the end.
        if (wire.ended !== 'open') wire.close()
        else wire.socket.on('end', () => wire.close())
      })
  }
}

interface Scripted {
  serve(wire: Wire, origin: Origin): Promise<void>
}

/** Reads requests and answers each with the same bytes, or with what a function makes of the request. */
export function answering(answer: string | ((request: Message, index: number) => string | Promise<string>)): Scripted {
  return {
    async serve(wire, origin) {
      for (;;) {
        const request = await wire.request()
        origin.requests.push(request)
        wire.write(typeof answer === 'string' ? answer : await answer(request, origin.requests.length - 1))
      }
    },
  }
}

/** A whole answer with a body of known length. */
export function ok(body = 'ok', fields = ''): string {
  return `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`
}

/** A whole request without a body, in HTTP/1.1. */
export function get(target = '/', fields = '', method = 'GET'): string {
  return `${method} ${target} HTTP/1.1\r\nHost: test.example\r\n${fields}\r\n`
}

/** A whole request with a body of known length. */
export function post(body: string, target = '/', fields = '', method = 'POST'): string {
  return `${method} ${target} HTTP/1.1\r\nHost: test.example\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`
}

// -------------------------------------------------------------------- the edge

export interface EdgeOptions {
  /** The endpoints of the pool `web`, in the order in which round-robin takes them. */
  readonly origins?: readonly (Origin | SocketAddress)[]
  readonly limits?: Partial<ListenerPlan['limits']>
  readonly timeouts?: Partial<ListenerPlan['timeouts']>
  readonly trustedProxies?: readonly string[]
  readonly address?: SocketAddress
  readonly pool?: PoolOptions
  readonly forwarded?: Partial<Plan['identity']['forwarded']>
  /** Instead of one that sends everything to `web`. */
  readonly routes?: readonly RoutePlan[]
  /** Further pools by name. */
  readonly pools?: Readonly<Record<string, readonly (Origin | SocketAddress)[]>>
  /** Further listeners by name, like the first but for what is given. */
  readonly listeners?: Readonly<Record<string, Partial<ListenerPlan>>>
  readonly accessLog?: Plan['accessLog']
  readonly connect?: Connect
}

export interface PoolOptions {
  readonly picker?: PoolPlan['picker']
  readonly timeouts?: Partial<PoolPlan['timeouts']>
  readonly connections?: Partial<PoolPlan['connections']>
  readonly retries?: Partial<PoolPlan['retries']>
  readonly passive?: Partial<PoolPlan['passive']>
  readonly limits?: Partial<PoolPlan['limits']>
}

export class Edge {
  readonly worker: EdgeWorker
  readonly table: EndpointTable
  readonly events: WorkerEvent[] = []
  readonly plan: Plan
  /** By listener. */
  readonly ports = new Map<string, number>()
  readonly #clients: Wire[]
  #connected = 0

  constructor(options: EdgeOptions, clients: Wire[]) {
    this.#clients = clients
    const memory = createSharedMemory({
      endpoints: 32,
      workers: 1,
      pools: 8,
      listeners: 8,
      addresses: 256,
      workerCounters: WORKER_COUNTERS,
    })
    this.table = new EndpointTable(memory)
    this.plan = makePlan(options, this.table)
    const post = (event: WorkerEvent): void => {
      this.events.push(event)
      if (event.type === 'listening') this.ports.set(event.listener, event.port)
    }
    this.worker = new EdgeWorker({ index: 0, memory, plan: this.plan }, post, options.connect)
  }

  /** Applies a plan and waits until it is in force. */
  async apply(plan: Plan): Promise<void> {
    this.worker.apply(plan)
    await eventually(
      () => this.events.some((event) => event.type === 'acknowledged' && event.version === plan.version),
      () => `plan ${plan.version} in force: ${JSON.stringify(this.events)}`,
    )
    const failed = this.events.find((event) => event.type === 'listen-failed')
    assert.equal(failed, undefined)
  }

  /** A client's connection. */
  async connect(listener = 'public', options: Partial<net.TcpNetConnectOpts> = {}): Promise<Wire> {
    const { address } = this.plan.listeners.find(({ name }) => name === listener)!
    const client =
      address.kind === 'unix'
        ? await Wire.connect({ path: address.path })
        : await Wire.connect({ host: address.host, port: this.ports.get(listener)!, ...options })
    this.#clients.push(client)
    if (!client.isClosed) this.#connected++
    return client
  }

  /** One exchange on a connection of its own. */
  async ask(request: string, method = request.slice(0, request.indexOf(' '))): Promise<Message> {
    const client = await this.connect()
    client.write(request)
    const answer = await client.answer(method)
    client.close()
    return answer
  }

  counter(key: CounterKey): number {
    return this.worker.context.counters[Counter[key]]!
  }

  /** How often an error was counted. */
  errors(code: ErrorCode): number {
    return this.worker.context.counters[errorCounter(ERROR_INDEX[code])]!
  }

  /** Every error that was counted. */
  get counted(): Partial<Record<ErrorCode, number>> {
    const codes = Object.keys(ERROR_INDEX) as ErrorCode[]
    return Object.fromEntries(codes.map((code) => [code, this.errors(code)]).filter(([, count]) => count !== 0))
  }

  /** Everything that is open now, by name, and not zero. */
  get open(): Record<string, number> {
    const { board, addresses } = this.worker.context
    const open: Record<string, number> = {
      connections: this.counter('CONNECTIONS_OPEN'),
      exchanges: this.counter('EXCHANGES_OPEN'),
      tunnels: this.counter('TUNNELS_OPEN'),
      upstream: this.counter('UPSTREAM_CONNECTIONS_OPEN'),
      addresses: addresses.live(),
      listeners: sum(board.listenerConnections.total),
      inFlight: sum(this.table.inFlight.total),
      endpointConnections: sum(this.table.connections.total),
    }
    return Object.fromEntries(Object.entries(open).filter(([, count]) => count !== 0))
  }

  /** Nothing but kept upstream connections is open. */
  async quiet(): Promise<void> {
    const busy = (): string[] =>
      Object.keys(this.open).filter((key) => key !== 'upstream' && key !== 'endpointConnections')
    await eventually(
      // What waits in the accept queue is still to be opened.
      () => this.counter('CONNECTIONS_ACCEPTED') >= this.#connected && busy().length === 0,
      () => `still open: ${JSON.stringify(this.open)}`,
    )
  }

  async zero(): Promise<void> {
    await eventually(
      () => Object.keys(this.open).length === 0,
      () => `still open: ${JSON.stringify(this.open)}`,
    )
  }
}

function sum(column: Int32Array): number {
  // Of absolute values: a leak and its opposite must not cancel each other out.
  return column.reduce((total, value) => total + Math.abs(value), 0)
}

const DEFAULT_LIMITS: ListenerPlan['limits'] = {
  requestLineBytes: 8192,
  headBytes: 32_768,
  fieldCount: 100,
  bodyBytes: 0,
  connections: 1000,
  connectionsPerAddress: 1000,
  perAddressExempt: [],
  requestsPerConnection: 0,
}

/** Long enough to play no part; tests set those that they are about. */
const DEFAULT_TIMEOUTS: ListenerPlan['timeouts'] = {
  headMs: 20_000,
  bodyIdleMs: 20_000,
  sendIdleMs: 20_000,
  keepAliveMs: 20_000,
  tunnelIdleMs: 20_000,
  exchangeMs: 0,
  halfCloseMs: 5000,
}

function makePlan(options: EdgeOptions, table: EndpointTable): Plan {
  const first: ListenerPlan = {
    name: 'public',
    slot: 0,
    address: options.address ?? { kind: 'ip', host: HOST, port: 0, ipv6Only: false },
    reusePort: options.address?.kind !== 'unix',
    protocol: 'http',
    trustedProxies: options.trustedProxies ?? [],
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    timeouts: { ...DEFAULT_TIMEOUTS, ...options.timeouts },
  }
  const more = Object.entries(options.listeners ?? {}).map(([name, plan], index) => ({
    ...first,
    ...plan,
    name,
    slot: index + 1,
  }))
  const pools = Object.entries({ web: options.origins ?? [], ...options.pools })
  return {
    version: 1,
    listeners: [first, ...more],
    routes: options.routes ?? [{ name: 'all', match: {}, pool: 'web' }],
    pools: pools.map(([name, origins], slot) => makePool(name, slot, origins, options.pool ?? {}, table)),
    identity: {
      via: 'evenkeel',
      forwarded: { xForwarded: true, standard: false, via: true, ...options.forwarded },
    },
    accessLog: options.accessLog ?? null,
  }
}

function makePool(
  name: string,
  slot: number,
  origins: readonly (Origin | SocketAddress)[],
  options: PoolOptions,
  table: EndpointTable,
): PoolPlan {
  const connections = { max: 0, maxIdle: 128, maxAgeMs: 0, maxRequests: 0, ...options.connections }
  return {
    name,
    slot,
    picker: options.picker ?? { name: 'round-robin', options: {} },
    endpoints: origins.map((origin, index) =>
      endpointPlan(table, `${name}-${index}`, origin instanceof Origin ? origin.address : origin, connections.max),
    ),
    timeouts: {
      connectMs: 10_000,
      firstByteMs: 20_000,
      responseIdleMs: 20_000,
      keepAliveMs: 20_000,
      sendIdleMs: 20_000,
      ...options.timeouts,
    },
    connections,
    retries: { max: 2, bufferBytes: 65_536, ...options.retries },
    passive: { failures: 0, holdMs: 10_000, ...options.passive },
    limits: { responseHeadBytes: 65_536, responseFieldCount: 200, ...options.limits },
  }
}

/** A row of the table for an endpoint. */
export function endpointPlan(table: EndpointTable, id: string, address: SocketAddress, max = 0): EndpointPlan {
  const place = table.allocate(1, max)
  assert.ok(place)
  return { id, slot: place.slot, generation: place.generation, address, zone: null }
}

// -------------------------------------------------------------------- the lab

export class Lab {
  readonly #origins: Origin[] = []
  readonly #edges: Edge[] = []
  readonly #clients: Wire[] = []
  #folder = ''

  /** An origin that follows a script on every connection. */
  async origin(
    script: Script | Scripted = answering(ok()),
    at: SocketAddress = { kind: 'ip', host: HOST, port: 0, ipv6Only: false },
  ): Promise<Origin> {
    const origin = await Origin.start(script, at)
    this.#origins.push(origin)
    return origin
  }

  /** An address where nobody listens. */
  async deadEnd(): Promise<SocketAddress> {
    const origin = await Origin.start(() => {}, { kind: 'ip', host: HOST, port: 0, ipv6Only: false })
    origin.close()
    await sleep(1)
    return origin.address
  }

  async edge(options: EdgeOptions): Promise<Edge> {
    const edge = new Edge(options, this.#clients)
    this.#edges.push(edge)
    await edge.apply(edge.plan)
    return edge
  }

  /** A file that goes away with the lab. */
  path(name: string): string {
    if (this.#folder === '') this.#folder = mkdtempSync(join(tmpdir(), 'evenkeel-wire-'))
    return join(this.#folder, name)
  }

  /** Everybody leaves, and nothing may stay open. */
  async close(): Promise<void> {
    try {
      // By a reset: a plain close could be half of one, which is borne for a while.
      for (const client of this.#clients) client.reset()
      for (const edge of this.#edges) await edge.quiet()
      for (const origin of this.#origins) origin.close()
      for (const edge of this.#edges) await edge.zero()
      for (const origin of this.#origins) assert.deepEqual(origin.failures, [], 'the script of an origin failed')
    } finally {
      await this.destroy()
    }
  }

  async destroy(): Promise<void> {
    for (const client of this.#clients) client.close()
    for (const origin of this.#origins) origin.close()
    for (const edge of this.#edges) await edge.worker.close()
    if (this.#folder !== '') rmSync(this.#folder, { recursive: true, force: true })
  }
}
