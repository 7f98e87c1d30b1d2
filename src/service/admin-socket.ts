/** Where the admin API listens, and what that means for who may reach it. */
import { lookup } from 'node:dns/promises'
import fs from 'node:fs'
import type { Server } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { isEveryInterface, parseBind, parseIp } from '../core/address.ts'
import { isLoopback } from './request-guard.ts'

/** An address of the config, its name resolved. */
export type AdminAddress =
  | { readonly kind: 'ip'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }

/**
 * Reads `admin.bind`; a name is resolved once, now.
 * @throws Error when it cannot be read or resolved; `code` says so.
 */
export async function resolveAdminAddress(bind: string): Promise<AdminAddress> {
  const reading = parseBind(bind)
  if (!reading.ok) throw Object.assign(new Error(`cannot bind ${bind}: ${reading.reason}`), { code: 'EINVAL' })
  const address = reading.value
  if (address.kind === 'unix') return address
  if (parseIp(address.host) !== null) return { kind: 'ip', host: address.host, port: address.port }
  const { address: literal } = await lookup(address.host)
  return { kind: 'ip', host: literal, port: address.port }
}

/** Can only this machine reach it? */
export function isLocal(address: AdminAddress): boolean {
  return address.kind === 'unix' || isLoopback(address.host)
}

/**
 * Listens, and resolves with the URL for programs on this machine.
 * @throws the system's error (`EADDRINUSE`, `EACCES`, …).
 */
export async function listen(server: Server, address: AdminAddress): Promise<string> {
  if (address.kind === 'unix') {
    await removeStaleSocket(address.path)
    await listening(server, { path: address.path })
    // The socket was made with the process's umask. A worker thread cannot change that, so this follows at once.
    fs.chmodSync(address.path, 0o600)
    return `unix:${address.path}`
  }
  await listening(server, { host: address.host, port: address.port })
  const { port } = server.address() as AddressInfo
  const isEvery = isEveryInterface({ ...address, ipv6Only: false })
  const host = isEvery ? (address.host.includes(':') ? '::1' : '127.0.0.1') : address.host
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

function listening(server: Server, where: { path: string } | { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...where, exclusive: true }, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
}

/** A socket file that nobody listens on is what a killed process leaves. Anything else at the path is left alone. */
async function removeStaleSocket(path: string): Promise<void> {
  if (!fs.lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return
  const isAnswered = await new Promise<boolean>((resolve) => {
    const probe = net.connect({ path })
    probe.on('connect', () => {
      probe.destroy()
      resolve(true)
    })
    // Only a refusal proves that nobody listens; a full backlog (EAGAIN) or missing permission does not.
    probe.on('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'))
  })
  if (!isAnswered) fs.rmSync(path, { force: true })
}
