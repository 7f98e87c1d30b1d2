/** How many threads and how much shared memory a balancer gets. */
import { availableParallelism, totalmem } from 'node:os'
import type { Settings } from '../config/schema.ts'
import type { MemorySizes } from '../memory/shared-memory.ts'
import { WORKER_COUNTERS } from '../observe/counters.ts'

/** What the config allows as a number; `auto` never takes more. */
const MAX_WORKERS = 64
/** A listener costs 4 bytes per worker, a pool a cache line: room for reloads that add some is nearly free. */
const LISTENERS = 256
const POOLS = 1024
const MIB = 1024 * 1024

/** Systems on which Node shares a port between threads. */
const SHARING_PLATFORMS: ReadonlySet<string> = new Set(['linux', 'freebsd', 'dragonfly', 'sunos', 'aix'])

/** May several workers listen on one port? The option first, then `EVENKEEL_NO_REUSEPORT=1`, then the platform. */
export function maySharePorts(
  option: boolean | undefined,
  env: NodeJS.ProcessEnv = process.env,
  platform: string = process.platform,
): boolean {
  if (option !== undefined) return option
  return env['EVENKEEL_NO_REUSEPORT'] !== '1' && SHARING_PLATFORMS.has(platform)
}

/** `auto` is one per core, or one where more could not listen. */
export function workerCount(settings: Settings, canShare: boolean): number {
  if (settings.workers !== 'auto') return settings.workers
  const isShared = canShare && settings.listeners.some(({ address }) => address.kind === 'ip')
  return isShared ? Math.min(MAX_WORKERS, availableParallelism()) : 1
}

/** Rows of everything that is shared; fixed until the balancer ends. */
export function memorySizes(settings: Settings, workers: number): MemorySizes {
  return {
    endpoints: settings.memory.endpoints,
    workers,
    pools: Math.max(POOLS, Object.keys(settings.pools).length * 2),
    listeners: Math.max(LISTENERS, settings.listeners.length * 2),
    addresses: settings.memory.addresses,
    workerCounters: WORKER_COUNTERS,
  }
}

/** Half of what the process may use, over all workers; 256 MiB carries some 20 000 connections, more than 4 GiB is a leak. */
export function workerHeapMb(workers: number): number {
  const allowed = process.constrainedMemory()
  const memory = allowed > 0 && allowed < totalmem() ? allowed : totalmem()
  return Math.round(Math.min(4096, Math.max(256, memory / MIB / 2 / workers)))
}
