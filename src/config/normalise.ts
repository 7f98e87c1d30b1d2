/**
 * From the config as written to the settings that the program works with: names given, addresses parsed, one form for
 * what may be written in several. Everything that could fail was checked by the schema before.
 */

import type { Reading, SocketAddress } from '../core/address.ts'
import { formatAddress, parseBind, parseEndpointUrl } from '../core/address.ts'
import type { BoundedLoadOptions } from '../core/balance/modifiers/bounded-load.ts'
import type { PanicOptions } from '../core/balance/modifiers/panic.ts'
import type { SlowStartOptions } from '../core/balance/modifiers/slow-start.ts'
import type { SubsetOptions } from '../core/balance/modifiers/subset.ts'
import type { TiersAndZonesOptions } from '../core/balance/modifiers/tiers-and-zones.ts'
import type { PickerEntry } from '../core/balance/picker.ts'
import { PICKERS, type PickerName } from '../core/balance/registry.ts'
import type { StatusRange } from './patterns.ts'
import { parseHostPattern, parseStatusRange } from './patterns.ts'
import type { StructuredConfig } from './schema.ts'

type Listener = StructuredConfig['listeners'][number]
type Route = StructuredConfig['routes'][number]
type Pool = StructuredConfig['pools'][string]
type Endpoint = Pool['endpoints'][number]
type EndpointObject = Exclude<Endpoint, string>
type HealthCheck = Exclude<Pool['health'], false>

/** What a route asks of a request, in the one form that plans carry. */
export interface MatchSettings {
  readonly listener?: string
  readonly hosts?: readonly string[]
  readonly paths?: readonly string[]
  readonly methods?: readonly string[]
  /** Name in lower case; a value of null asks for presence only. */
  readonly headers?: readonly { readonly name: string; readonly value: string | null }[]
}

export interface NormalEndpoint {
  readonly id: string
  /** As written. */
  readonly url: string
  /** `host` may still be a name: control resolves it. */
  readonly address: SocketAddress
  readonly weight: number
  readonly zone: string | null
  /** Priority, 0 first. */
  readonly tier: number
  /** 0: the pool's `connections.max`. */
  readonly maxConnections: number
  readonly state: EndpointObject['state']
}

export interface NormalHealth extends Omit<HealthCheck, 'statuses' | 'host' | 'headers'> {
  readonly statuses: readonly StatusRange[]
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Null: the endpoint's own address. */
  readonly host: string | null
}

/** Gives the settings of a structurally valid config. */
export function normalise(config: StructuredConfig) {
  const pools = Object.fromEntries(Object.entries(config.pools).map(([name, pool]) => [name, normalisePool(pool)]))
  const endpoints = Object.values(pools).reduce((sum, pool) => sum + pool.endpoints.length, 0)
  return {
    version: config.version,
    instance: { name: config.instance.name, zone: config.instance.zone ?? null },
    workers: config.workers,
    listeners: nameListeners(config.listeners),
    routes: config.routes.map((route, index) => ({
      name: route.name ?? `route-${index + 1}`,
      match: normaliseMatch(route.match),
      pool: route.pool,
    })),
    pools,
    forwarded: config.forwarded,
    accessLog:
      config.accessLog === false
        ? config.accessLog
        : { ...config.accessLog, requestHeaders: config.accessLog.requestHeaders.map((name) => name.toLowerCase()) },
    health: config.health,
    memory: {
      endpoints: config.memory.endpoints === 'auto' ? automaticRoom(endpoints) : config.memory.endpoints,
      addresses: config.memory.addresses,
    },
    stop: config.stop,
    reload: config.reload,
    admin: config.admin === false ? config.admin : { ...config.admin, address: must(parseBind(config.admin.bind)) },
  }
}

/** The id of an endpoint that gives none: `host:port`, or the path of its socket. */
export function defaultEndpointId(address: SocketAddress): string {
  return address.kind === 'unix' ? address.path : formatAddress(address)
}

/** What an endpoint is known by: pools that have the same id at the same address share one endpoint. */
export function endpointIdentity(id: string, address: SocketAddress): string {
  return `${id} ${formatAddress(address)}`
}

/** Room for four times what is configured (reloads hold old and new for a while), as a power of two so that it seldom changes. */
export function automaticRoom(endpoints: number): number {
  let room = 1024
  while (room < endpoints * 4) room *= 2
  return room
}

/** The name of a listener defaults to its bind's text; only port 0 can stand there twice, and is then numbered. */
function nameListeners(listeners: readonly Listener[]) {
  const taken = new Set(listeners.flatMap(({ name }) => name ?? []))
  return listeners.map((listener) => {
    let name = listener.name
    if (name === undefined) {
      name = listener.bind
      for (let number = 2; taken.has(name); number++) name = `${listener.bind}#${number}`
      taken.add(name)
    }
    return { ...listener, name, address: must(parseBind(listener.bind)) }
  })
}

function normaliseMatch(match: Route['match']): MatchSettings {
  const headers = match.headers === undefined ? undefined : Object.entries(match.headers)
  return {
    ...(match.listener === undefined ? {} : { listener: match.listener }),
    ...(match.host === undefined ? {} : { hosts: list(match.host).map((host) => must(parseHostPattern(host))) }),
    ...(match.path === undefined ? {} : { paths: list(match.path) }),
    ...(match.method === undefined ? {} : { methods: list(match.method) }),
    ...(headers === undefined || headers.length === 0
      ? {}
      : {
          headers: headers.map(([name, value]) => ({ name: name.toLowerCase(), value: value === true ? null : value })),
        }),
  }
}

function normalisePool(pool: Pool) {
  return {
    ...pool,
    balance: normaliseBalance(pool.balance),
    endpoints: pool.endpoints.map(normaliseEndpoint),
    health: pool.health === false ? pool.health : normaliseHealth(pool.health),
  }
}

/** How a pool picks, as its config says it. What is not asked for is not there. */
export interface NormalBalance {
  readonly name: string
  /** The picker's own. */
  readonly options: Readonly<Record<string, unknown>>
  readonly key?: string
  readonly hash?: string
  readonly slowStart?: SlowStartOptions
  readonly boundedLoad?: BoundedLoadOptions
  readonly panic?: PanicOptions
  readonly subset?: Omit<SubsetOptions, 'instance'>
  /** Absent: as tiers and zones of the endpoints ask for it. */
  readonly tiersAndZones?: false | Omit<TiersAndZonesOptions, 'zone'>
  readonly passReports?: boolean
  readonly probePath?: string
  readonly probeTimeoutMs?: number
}

function normaliseBalance(balance: Pool['balance']): NormalBalance {
  if (typeof balance === 'string') return { name: balance, options: {} }
  const {
    picker,
    key,
    hash,
    slowStart,
    boundedLoad,
    panic,
    subset,
    tiersAndZones,
    passReports,
    probePath,
    probeTimeoutMs,
    ...own
  } = balance
  const entry: PickerEntry | undefined = Object.hasOwn(PICKERS, picker) ? PICKERS[picker as PickerName] : undefined
  // A picker that places its endpoints by hashes as well uses the same function for both.
  const options = hash !== undefined && entry !== undefined && 'hash' in entry.options ? { ...own, hash } : own
  return {
    name: picker,
    options,
    ...defined({ key, hash, slowStart, boundedLoad, panic, passReports, probePath, probeTimeoutMs }),
    ...(subset === undefined ? {} : { subset: defined(subset) }),
    ...(tiersAndZones === undefined ? {} : { tiersAndZones: tiersAndZones === false ? false : defined(tiersAndZones) }),
  }
}

/** Without the keys that are there and undefined. */
function defined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as Defined<T>
}

/** A key whose value may be undefined is optional, and its value is not. */
type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}

function normaliseEndpoint(endpoint: Endpoint): NormalEndpoint {
  if (typeof endpoint === 'string') {
    const address = must(parseEndpointUrl(endpoint))
    return {
      id: defaultEndpointId(address),
      url: endpoint,
      address,
      weight: 1,
      zone: null,
      tier: 0,
      maxConnections: 0,
      state: 'active',
    }
  }
  const address = must(parseEndpointUrl(endpoint.url))
  const { url, weight, maxConnections, state } = endpoint
  return {
    id: endpoint.id ?? defaultEndpointId(address),
    url,
    address,
    weight,
    zone: endpoint.zone ?? null,
    tier: endpoint.tier,
    maxConnections,
    state,
  }
}

function normaliseHealth(health: HealthCheck): NormalHealth {
  return {
    ...health,
    statuses: health.statuses.map((range) => must(parseStatusRange(range))),
    headers: Object.fromEntries(Object.entries(health.headers).map(([name, value]) => [name.toLowerCase(), value])),
    host: health.host ?? null,
  }
}

function list<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [value as T]
}

/** The schema has read this text before, so it cannot fail here. */
function must<T>(reading: Reading<T>): T {
  if (!reading.ok) throw new Error(`unchecked config text: ${reading.reason}`)
  return reading.value
}
