/**
 * Before workers listen: is the address free, which port did the kernel choose, may several threads share it?
 *
 * A bind with SO_REUSEPORT succeeds beside any other such socket of the same user, so a second instance would silently
 * take half of the connections. Therefore control binds plainly first, which is refused if anybody has the address.
 */
import { lookup } from 'node:dns/promises'
import { lstat, stat, unlink } from 'node:fs/promises'
import { connect, createServer, isIP, type ListenOptions, type Server } from 'node:net'
import { dirname } from 'node:path'
import { formatAddress, type SocketAddress } from '../core/address.ts'
import type { ListenAddress } from './plan.ts'

/** A unix socket on which nobody took a connection within this is taken by somebody busy. */
const ANSWER_MS = 1000

export interface AskedListener {
  readonly name: string
  readonly address: SocketAddress
}

export interface ListenProblem {
  readonly listener: string
  readonly code: string
  readonly message: string
  readonly hint: string | null
}

export interface PreparedListeners {
  /** By listener name; complete when there are no problems. */
  readonly addresses: ReadonlyMap<string, ListenAddress>
  readonly problems: readonly ListenProblem[]
  /** Lets go of ports that the kernel chose; once workers listen on them, or nobody will. */
  readonly release: () => void
}

/** What a balancer holds already: the address asked for and the one in use, by listener name. */
export type HeldListeners = ReadonlyMap<string, { readonly asked: SocketAddress; readonly actual: ListenAddress }>

/**
 * Finds out where listeners can listen. Those that are held with the same address keep it untouched; the others are tried.
 * Never rejects.
 */
export async function prepareListeners(
  listeners: readonly AskedListener[],
  held: HeldListeners,
  mayShare: boolean,
): Promise<PreparedListeners> {
  const addresses = new Map<string, ListenAddress>()
  const problems: ListenProblem[] = []
  const holding: Server[] = []
  for (const { name, address } of listeners) {
    const own = held.get(name)
    if (own !== undefined && isSame(own.asked, address)) {
      addresses.set(name, own.actual)
      continue
    }
    try {
      addresses.set(name, await prepare(address, held, mayShare, holding))
    } catch (error) {
      problems.push(describe(name, address, error as NodeJS.ErrnoException))
    }
  }
  const release = (): void => {
    for (const server of holding.splice(0)) server.close()
  }
  if (problems.length > 0) release()
  return { addresses, problems, release }
}

let sharing: Promise<boolean> | null = null

/** Can several threads listen on one port here? Asked of the system once. */
export function canSharePorts(): Promise<boolean> {
  sharing ??= listenOnce({ host: '127.0.0.1', port: 0, reusePort: true }).then(
    (server) => {
      server.close()
      return true
    },
    () => false,
  )
  return sharing
}

/** Removes a unix socket that nobody answers on. Never rejects; what cannot be removed fails later, when it is bound. */
export async function clearStaleSocket(path: string): Promise<void> {
  try {
    if ((await lstat(path)).isSocket() && !(await isAnswered(path))) await unlink(path)
  } catch {
    // Gone already, or not ours: binding says which.
  }
}

async function prepare(
  address: SocketAddress,
  held: HeldListeners,
  mayShare: boolean,
  holding: Server[],
): Promise<ListenAddress> {
  if (address.kind === 'unix') {
    await tryUnixPath(address.path, held)
    return { address, reusePort: false }
  }
  const host = await literalHost(address.host)
  if (address.port === 0) return takeFreePort({ ...address, host }, mayShare, holding)
  const actual = await tryPort({ ...address, host }, held, mayShare)
  return { address: actual, reusePort: mayShare }
}

type IpAddress = Extract<SocketAddress, { kind: 'ip' }>

async function tryPort(address: IpAddress, held: HeldListeners, mayShare: boolean): Promise<IpAddress> {
  const { host, port, ipv6Only } = address
  // Our own workers hold the port, under another name or on another address: then only strangers matter, and they show by this.
  const isOurs = [...held.values()].some(({ actual }) => actual.address.kind === 'ip' && actual.address.port === port)
  return withIpv4Instead(
    address,
    async (tried) => {
      const server = await listenOnce({
        host: tried,
        port,
        ipv6Only,
        ...(isOurs && mayShare ? { reusePort: true } : { exclusive: true }),
      })
      await closed(server)
      return { ...address, host: tried }
    },
    host,
  )
}

/**
 * Port 0: the kernel chooses once, and every worker gets that port. Where ports are shared control keeps its socket until
 * workers listen, so that nobody else is given the port in between.
 */
async function takeFreePort(address: IpAddress, mayShare: boolean, holding: Server[]): Promise<ListenAddress> {
  const actual = await withIpv4Instead(
    address,
    async (host) => {
      const server = await listenOnce({
        host,
        port: 0,
        ipv6Only: address.ipv6Only,
        ...(mayShare ? { reusePort: true } : { exclusive: true }),
      })
      const bound = server.address()
      const port = typeof bound === 'object' && bound !== null ? bound.port : 0
      if (mayShare) holding.push(server)
      else await closed(server)
      return { ...address, host, port }
    },
    address.host,
  )
  return { address: actual, reusePort: mayShare }
}

/** `::` means every address; on a machine without IPv6 that is every IPv4 address. */
async function withIpv4Instead<T>(address: IpAddress, attempt: (host: string) => Promise<T>, host: string): Promise<T> {
  try {
    return await attempt(host)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (host !== '::' || address.ipv6Only || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL' && code !== 'EINVAL'))
      throw error
    return attempt('0.0.0.0')
  }
}

async function tryUnixPath(path: string, held: HeldListeners): Promise<void> {
  const isOurs = [...held.values()].some(({ actual }) => actual.address.kind === 'unix' && actual.address.path === path)
  // Only one thread can have it, and the old listener still does: the two cannot change places in one step.
  if (isOurs) throw coded('EADDRINUSE', 'another listener of this balancer has the socket: remove that one first')
  // The system says EACCES for a missing directory as well.
  await stat(dirname(path))
  let isThere = true
  try {
    if (!(await lstat(path)).isSocket()) throw coded('EEXIST', 'the file exists and is not a socket')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    isThere = false
  }
  if (isThere) {
    if (await isAnswered(path)) throw coded('EADDRINUSE', 'somebody answers on the socket')
    await unlink(path)
  }
  await closed(await listenOnce({ path }))
}

/** Does anybody take connections on a unix socket? What is refused is stale; anything else is somebody's. */
function isAnswered(path: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect({ path })
  const timer = setTimeout(() => answer(true), ANSWER_MS)
  const answer = (isTaken: boolean): void => {
    clearTimeout(timer)
    socket.destroy()
    resolve(isTaken)
  }
  socket.on('connect', () => answer(true))
  socket.on('error', ({ code }: NodeJS.ErrnoException) => answer(code !== 'ECONNREFUSED' && code !== 'ENOENT'))
  return promise
}

function listenOnce(options: ListenOptions): Promise<Server> {
  const { promise, resolve, reject } = Promise.withResolvers<Server>()
  // Whoever connects in this short time is sent away rather than left waiting.
  const server = createServer((socket) => socket.destroy())
  server.once('error', reject)
  server.listen(options, () => {
    server.removeListener('error', reject)
    server.on('error', () => {})
    resolve(server)
  })
  return promise
}

function closed(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  return promise
}

async function literalHost(host: string): Promise<string> {
  return isIP(host) === 0 ? (await lookup(host, { order: 'ipv4first' })).address : host
}

function isSame(a: SocketAddress, b: SocketAddress): boolean {
  return formatAddress(a) === formatAddress(b) && (a.kind === 'unix' || b.kind === 'unix' || a.ipv6Only === b.ipv6Only)
}

function describe(listener: string, address: SocketAddress, error: NodeJS.ErrnoException): ListenProblem {
  const code = error.code ?? 'ERROR'
  const where = formatAddress(address)
  const known = LISTEN_WORDS[code]
  const reason = error.syscall === undefined ? error.message : (known?.reason ?? error.message)
  return { listener, code, message: `cannot listen on ${where}: ${reason}`, hint: known?.hint ?? null }
}

/** Says a failure to listen in words; `code` as the system gave it. */
export function listenReason(code: string, message: string): string {
  return LISTEN_WORDS[code]?.reason ?? message
}

const LISTEN_WORDS: Readonly<Record<string, { readonly reason: string; readonly hint: string }>> = {
  EADDRINUSE: {
    reason: 'the address is in use (EADDRINUSE)',
    hint: 'stop the program that has it, or bind another address',
  },
  EACCES: {
    reason: 'permission denied (EACCES)',
    hint: 'ports below 1024 need CAP_NET_BIND_SERVICE; a unix socket needs a directory that may be written',
  },
  EADDRNOTAVAIL: {
    reason: 'no interface of this machine has the address (EADDRNOTAVAIL)',
    hint: "`ip addr` lists the machine's addresses; 0.0.0.0 (or :PORT) is all of them, 127.0.0.1 this machine alone",
  },
  ENOTFOUND: { reason: 'the name does not resolve (ENOTFOUND)', hint: 'write an address' },
  ENOENT: { reason: 'the directory of the socket does not exist (ENOENT)', hint: 'make the directory first' },
}

function coded(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code })
}
