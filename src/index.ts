/**
 * Evenkeel as a library.
 *
 * ```ts
 * import { createBalancer, defineConfig } from 'evenkeel'
 *
 * const balancer = createBalancer(defineConfig({
 *   version: 1,
 *   listeners: [{ name: 'public', bind: '127.0.0.1:8080' }],
 *   routes: [{ pool: 'web' }],
 *   pools: { web: { endpoints: ['http://127.0.0.1:9001', 'http://127.0.0.1:9002'], health: {} } },
 * }))
 * await balancer.start()
 * // …
 * await balancer.stop({ drainMs: 5000 })
 * ```
 */

export type { SettingsChange } from './config/diff.ts'
export type { Problem, ProblemCode } from './config/problem.ts'
export type { Config, Settings } from './config/schema.ts'
export { defineConfig } from './config/schema.ts'
export type {
  Balancer,
  BalancerEvents,
  BalancerOptions,
  ControlRefusal,
  ControlResult,
  EndpointChange,
  EndpointChanged,
  EndpointSignals,
  LogLevel,
  LogRecord,
  ReloadResult,
  ReloadSource,
  StartReport,
  StopReport,
  WorkerExit,
} from './control/balancer.ts'
export { ConfigError, createBalancer, StartError } from './control/balancer.ts'
export type { SocketAddress } from './core/address.ts'
export type { SharedMemory } from './memory/shared-memory.ts'
export type { BalancerView, EndpointState, EndpointView, PoolView, WorkerView } from './service/protocol.ts'
