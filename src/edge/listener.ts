/**
 * One bound socket of this worker and the connections that came in by it.
 * Limits are looked at here, before a connection costs anything else; counts are shared by all workers.
 */
import * as net from 'node:net'
import { ERROR_INDEX } from '../core/errors.ts'
import { Counter, errorCounter } from '../observe/counters.ts'
import type { ListenerPlan } from '../pool/plan.ts'
import { AddressSet, addressKey, plainAddress } from './client-address.ts'
import type { WorkerContext } from './context.ts'
import type { DownstreamConnection, ListenerContext } from './downstream-stream.ts'
import type { ExchangePool } from './exchange-pool.ts'
import { Http1Downstream } from './http1-downstream.ts'
import { refusalText } from './respond.ts'
import type { RouteTable } from './route-table.ts'
import { acceptWithSharedBuffer } from './shared-read-buffer.ts'

/** The kernel cuts it to net.core.somaxconn. */
const BACKLOG = 4096
/** How long a refused client has to take the reason. */
const REFUSED_MS = 1000

export class Listener implements ListenerContext {
  plan: ListenerPlan
  routes: RouteTable
  isDraining = false
  trusted: AddressSet
  readonly #context: WorkerContext
  readonly #exchanges: ExchangePool
  readonly #server: net.Server
  /** The key of each connection that is counted by address. */
  readonly #connections = new Map<DownstreamConnection, Uint8Array | null>()
  #exempt: AddressSet
  #onEmpty: (() => void) | null = null

  constructor(context: WorkerContext, exchanges: ExchangePool, plan: ListenerPlan, routes: RouteTable) {
    this.#context = context
    this.#exchanges = exchanges
    this.plan = plan
    this.routes = routes
    this.trusted = new AddressSet(plan.trustedProxies)
    this.#exempt = new AddressSet([...plan.limits.perAddressExempt, ...plan.trustedProxies])
    // Half-open: a client may end its side and still wait for the answer.
    this.#server = net.createServer({ allowHalfOpen: true })
  }

  /** Resolves with the port (0 for unix sockets); rejects with the system's error. */
  listen(): Promise<number> {
    const { address, reusePort } = this.plan
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      const listening = (): void => {
        this.#server.off('error', reject)
        this.#server.on('error', ignoreError) // a failed accept (no descriptors left) is the kernel's to repeat
        acceptWithSharedBuffer(this.#server, (socket) => this.#accept(socket))
        const bound = this.#server.address()
        resolve(typeof bound === 'object' && bound !== null ? bound.port : 0)
      }
      if (address.kind === 'unix') this.#server.listen({ path: address.path, backlog: BACKLOG }, listening)
      else {
        const { host, port, ipv6Only } = address
        this.#server.listen({ host, port, ipv6Only, reusePort, backlog: BACKLOG }, listening)
      }
    })
  }

  /** New settings for the same socket; open connections see limits and timeouts from their next step on. */
  update(plan: ListenerPlan, routes: RouteTable): void {
    this.plan = plan
    this.routes = routes
    this.trusted = new AddressSet(plan.trustedProxies)
    this.#exempt = new AddressSet([...plan.limits.perAddressExempt, ...plan.trustedProxies])
  }

  get openConnections(): number {
    return this.#connections.size
  }

  /** Accepts nothing more; resolves when the last connection is closed. */
  drain(): Promise<void> {
    this.isDraining = true
    this.#server.close()
    for (const connection of [...this.#connections.keys()]) connection.drain()
    if (this.#connections.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onEmpty = resolve
    })
  }

  /** Cuts off what is left. */
  destroy(): void {
    this.#server.close()
    for (const connection of [...this.#connections.keys()]) connection.destroy()
  }

  closed(connection: DownstreamConnection): void {
    const key = this.#connections.get(connection)
    if (key === undefined) return
    this.#connections.delete(connection)
    const { index, board, addresses, counters } = this.#context
    counters[Counter.CONNECTIONS_OPEN]! -= 1
    board.listenerConnections.add(index, this.plan.slot, -1)
    if (key !== null) addresses.decrement(index, key)
    if (this.#connections.size === 0 && this.#onEmpty !== null) this.#onEmpty()
  }

  #accept(socket: net.Socket): void {
    const { index, board, addresses, counters } = this.#context
    const { limits, slot } = this.plan
    counters[Counter.CONNECTIONS_ACCEPTED]! += 1
    // Infinity would overflow the shared column.
    const limit = limits.connections > 0 ? limits.connections : 0x7fff_ffff
    if (!board.listenerConnections.tryAdd(index, slot, limit))
      return this.#refuse(socket, ERROR_INDEX.EK_TOO_MANY_CONNECTIONS)
    const address = plainAddress(socket.remoteAddress ?? '')
    let key: Uint8Array | null = null
    if (limits.connectionsPerAddress > 0 && address !== '' && !this.#exempt.has(address)) {
      key = new Uint8Array(16)
      if (!addressKey(address, key)) key = null
      else if (!addresses.tryIncrement(index, key, limits.connectionsPerAddress)) {
        board.listenerConnections.add(index, slot, -1)
        return this.#refuse(socket, ERROR_INDEX.EK_TOO_MANY_FROM_ADDRESS)
      }
    }
    counters[Counter.CONNECTIONS_OPEN]! += 1
    const connection = new Http1Downstream(this.#context, this.#exchanges, this, socket, address)
    this.#connections.set(connection, key)
  }

  /** Says why and closes. A flood must not be helped along: one small write, no reading, and an end in any case. */
  #refuse(socket: net.Socket, error: number): void {
    this.#context.counters[errorCounter(error)]! += 1
    socket.on('error', ignoreError)
    socket.end(refusalText(error), 'latin1')
    socket.resume()
    // Not the socket's own timeout, which begins anew with every byte that comes.
    const deadline = setTimeout(() => socket.destroy(), REFUSED_MS)
    socket.on('end', () => socket.destroySoon())
    socket.on('close', () => clearTimeout(deadline))
  }
}

function ignoreError(): void {}
