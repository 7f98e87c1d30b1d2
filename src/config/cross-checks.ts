/**
 * What needs several fields of a config at once. It runs on the config as written, whatever the schema says of it, so
 * that every problem is named in one go: it steps over whatever has not the expected shape, for the schema names that.
 */

import type { SocketAddress } from '../core/address.ts'
import { formatAddress, isEveryInterface, parseBind, parseEndpointUrl } from '../core/address.ts'
import { createLocalDeps } from '../core/balance/local-deps.ts'
import type { PickerEntry } from '../core/balance/picker.ts'
import { PICKERS, type PickerName } from '../core/balance/registry.ts'
import { nearest } from './nearest.ts'
import { automaticRoom, defaultEndpointId } from './normalise.ts'
import type { Finding, PathStep } from './problem.ts'
import { SharedEndpoints } from './shared-endpoints.ts'

/** Comparing every route with every earlier one is quadratic: past this many only catch-alls are looked at. */
const MOST_COMPARED_ROUTES = 2000

type Loose = Readonly<Record<string, unknown>>

/** Everything wrong or doubtful that needs several fields to be seen. */
export function crossCheck(config: unknown): Finding[] {
  if (!isObject(config)) return []
  const findings: Finding[] = []
  checkPrototypeKeys(config, [], findings)
  checkListeners(config, findings)
  checkPools(config, findings)
  checkRoutes(config, findings)
  return findings
}

/** The schema's parser passes over a key `__proto__` in silence, and nothing may be passed over. */
function checkPrototypeKeys(
  value: object,
  path: readonly PathStep[],
  findings: Finding[],
  seen = new Set<object>(),
): void {
  if (seen.has(value)) return
  seen.add(value)
  for (const [key, inner] of Object.entries(value)) {
    const here = [...path, Array.isArray(value) ? Number(key) : key]
    if (key === '__proto__') {
      findings.push({
        path: here,
        message: "nothing can be named '__proto__'",
        severity: 'error',
        code: 'unknown-key',
        atKey: true,
      })
    } else if (typeof inner === 'object' && inner !== null) checkPrototypeKeys(inner as object, here, findings, seen)
  }
}

function checkListeners(config: Loose, findings: Finding[]): void {
  const names = new Map<string, number>()
  const binds: { readonly address: SocketAddress; readonly path: readonly PathStep[] }[] = []
  for (const [index, listener] of array(config['listeners']).entries()) {
    if (!isObject(listener)) continue
    const path = ['listeners', index]
    const name = listener['name']
    if (typeof name === 'string') {
      const earlier = names.get(name)
      if (earlier !== undefined)
        findings.push(duplicate([...path, 'name'], `the name '${name}'`, ['listeners', earlier]))
      else names.set(name, index)
    }
    noteBind(listener['bind'], [...path, 'bind'], binds, findings)
    const limits = listener['limits']
    if (isObject(limits)) {
      const { requestLineBytes = 8192, headBytes = 32_768 } = limits
      if (typeof requestLineBytes === 'number' && typeof headBytes === 'number' && requestLineBytes > headBytes) {
        const at = limits['requestLineBytes'] === undefined ? 'headBytes' : 'requestLineBytes'
        findings.push({
          path: [...path, 'limits', at],
          message: `the request line (${requestLineBytes}) may be longer than the whole head (${headBytes})`,
          severity: 'error',
          code: 'out-of-range',
        })
      }
    }
  }
  const admin = config['admin']
  if (isObject(admin)) {
    const isWritten = admin['bind'] !== undefined
    noteBind(admin['bind'] ?? '127.0.0.1:9090', isWritten ? ['admin', 'bind'] : ['admin'], binds, findings)
    const address = typeof admin['bind'] === 'string' ? parseBind(admin['bind']) : undefined
    if (address?.ok && isEveryInterface(address.value)) {
      findings.push({
        path: ['admin', 'bind'],
        message: 'the admin API is open to every interface, without TLS: its token crosses the network in the clear',
        hint: "write '127.0.0.1:9090', or make sure that the network is private",
        severity: 'warning',
        code: 'doubtful',
      })
    }
  }
}

function noteBind(
  text: unknown,
  path: readonly PathStep[],
  binds: { readonly address: SocketAddress; readonly path: readonly PathStep[] }[],
  findings: Finding[],
): void {
  if (typeof text !== 'string') return
  const reading = parseBind(text)
  if (!reading.ok) return
  const address = reading.value
  const earlier = binds.find((other) => takesTheSame(other.address, address))
  if (earlier) findings.push(duplicate(path, `the address ${formatAddress(address)}`, earlier.path))
  else binds.push({ address, path })
}

/** Would the second of these be refused by the system, or silently share the first one's port? Port 0 never clashes. */
function takesTheSame(a: SocketAddress, b: SocketAddress): boolean {
  if (a.kind === 'unix' || b.kind === 'unix') return a.kind === 'unix' && b.kind === 'unix' && a.path === b.path
  if (a.port !== b.port || a.port === 0) return false
  if (a.host === b.host) return true
  // The dual-stack `::` takes IPv4 as well.
  return isEveryInterface(a) && isEveryInterface(b)
}

function checkPools(config: Loose, findings: Finding[]): void {
  const pools = config['pools']
  if (!isObject(pools)) return
  const used = new Set(array(config['routes']).flatMap((route) => (isObject(route) ? route['pool'] : [])))
  // A route to a pool that is not there is an error of its own, and may well mean one of these.
  const isEveryRouteClear =
    used.size > 0 && [...used].every((name) => typeof name === 'string' && Object.hasOwn(pools, name))
  let total = 0
  const shared = new SharedEndpoints(findings)
  const hasSeveral = Object.keys(pools).length > 1
  for (const [name, pool] of Object.entries(pools)) {
    if (!isObject(pool)) continue
    const path = ['pools', name]
    const endpoints = array(pool['endpoints'])
    total += endpoints.length
    checkEndpoints(endpoints, [...path, 'endpoints'], findings)
    if (hasSeveral) {
      for (const [index, endpoint] of endpoints.entries()) shared.note(name, endpoint, [...path, 'endpoints', index])
    }
    if (Array.isArray(pool['endpoints']) && endpoints.length === 0) {
      findings.push({
        path: [...path, 'endpoints'],
        message: 'the pool has no endpoints: its requests are answered 503 until one is added',
        severity: 'warning',
        code: 'empty',
      })
    }
    if (isEveryRouteClear && !used.has(name)) {
      findings.push({ path, message: `no route leads to the pool '${name}'`, severity: 'warning', code: 'unreachable' })
    }
    checkHealth(pool['health'], [...path, 'health'], findings)
    checkPickerOptions(pool['balance'], [...path, 'balance'], findings)
  }
  const memory = config['memory']
  const room = isObject(memory) && typeof memory['endpoints'] === 'number' ? memory['endpoints'] : automaticRoom(total)
  if (total > room) {
    findings.push({
      path: ['memory', 'endpoints'],
      message: `there is room for ${room} endpoints, and the pools have ${total}`,
      hint: `write 'auto', or ${automaticRoom(total)}`,
      severity: 'error',
      code: 'out-of-range',
    })
  }
}

function checkEndpoints(endpoints: readonly unknown[], path: readonly PathStep[], findings: Finding[]): void {
  const ids = new Map<string, number>()
  let isAnyWeighted = false
  for (const [index, endpoint] of endpoints.entries()) {
    const url = isObject(endpoint) ? endpoint['url'] : endpoint
    const given = isObject(endpoint) ? endpoint['id'] : undefined
    isAnyWeighted ||= !isObject(endpoint) || endpoint['weight'] !== 0
    let id = typeof given === 'string' ? given : undefined
    if (id === undefined && typeof url === 'string') {
      const reading = parseEndpointUrl(url)
      if (reading.ok) id = defaultEndpointId(reading.value)
    }
    if (id === undefined) continue
    const earlier = ids.get(id)
    if (earlier === undefined) ids.set(id, index)
    else {
      const finding = duplicate([...path, index], `the id '${id}'`, [...path, earlier])
      findings.push(
        given === undefined ? { ...finding, hint: `${finding.hint}, or give one of them an 'id'` } : finding,
      )
    }
  }
  if (endpoints.length > 0 && !isAnyWeighted) {
    findings.push({
      path,
      message: 'every weight is 0: no endpoint gets requests, they are answered 503',
      severity: 'warning',
      code: 'empty',
    })
  }
}

function checkHealth(health: unknown, path: readonly PathStep[], findings: Finding[]): void {
  if (!isObject(health)) return
  const { signals, method = 'GET' } = health
  if (isObject(signals) && Object.keys(signals).length > 0 && method !== 'GET') {
    findings.push({
      path: [...path, 'signals'],
      message: `signals are read from the body of a check, and an answer to ${String(method)} has none`,
      hint: "method: 'GET'",
      severity: 'error',
      code: 'bad-value',
    })
  }
  const { intervalMs = 5000, timeoutMs = 2000 } = health
  if (typeof intervalMs !== 'number' || typeof timeoutMs !== 'number' || timeoutMs <= intervalMs) return
  findings.push({
    path: [...path, health['timeoutMs'] === undefined ? 'intervalMs' : 'timeoutMs'],
    message: `a check may take longer (${timeoutMs} ms) than the time to the next (${intervalMs} ms), which then waits`,
    hint: 'keep timeoutMs below intervalMs',
    severity: 'warning',
    code: 'doubtful',
  })
}

/** The schema lets a picker's options through: which there are depends on the picker. */
function checkPickerOptions(balance: unknown, path: readonly PathStep[], findings: Finding[]): void {
  if (!isObject(balance) || typeof balance['picker'] !== 'string') return
  const name = balance['picker']
  const picker: PickerEntry | undefined = Object.hasOwn(PICKERS, name) ? PICKERS[name as PickerName] : undefined
  if (picker === undefined) return
  const own = Object.keys(picker.options)
  const known = [
    ...new Set([
      ...own,
      ...(picker.usesKey === true ? KEY_OPTIONS : []),
      ...(picker.probes === true ? PROBE_OPTIONS : []),
    ]),
  ]
  checkPickerValues(picker, balance, own, path, findings)
  for (const key of Object.keys(balance)) {
    if (BESIDE_PICKER.has(key) || known.includes(key)) continue
    const near = nearest(key, known)
    const list = known.length === 0 ? 'it has none' : `it has ${known.join(', ')}`
    findings.push({
      path: [...path, key],
      message: `the picker '${name}' has no option '${key}'`,
      hint: near === undefined ? list : `did you mean '${near}'?`,
      severity: 'error',
      code: 'unknown-key',
      atKey: true,
    })
  }
}

/** Keys of `balance` that are there for every picker. */
const BESIDE_PICKER: ReadonlySet<string> = new Set([
  'picker',
  'slowStart',
  'boundedLoad',
  'panic',
  'subset',
  'tiersAndZones',
  'passReports',
])
/** And for those that go by a key. */
const KEY_OPTIONS = ['key', 'hash']
/** And for those that ask endpoints. */
const PROBE_OPTIONS = ['probePath', 'probeTimeoutMs']

/** Options of pickers that are false in a balancer of several workers and others beside it. */
const LIBRARY_OPTIONS: ReadonlySet<string> = new Set(['index'])

/** Whether the picker takes its options is known best by making one. */
function checkPickerValues(
  picker: PickerEntry,
  balance: Loose,
  own: readonly string[],
  path: readonly PathStep[],
  findings: Finding[],
): void {
  const options = Object.fromEntries(Object.entries(balance).filter(([key]) => own.includes(key)))
  const functions = Object.keys(options).filter((key) => holdsFunction(options[key]))
  for (const key of functions) {
    findings.push({
      path: [...path, key],
      message: 'a function cannot be given here: the config is plain data by the time that it reaches the workers',
      hint: "pickers with functions of their own are for programs that use 'evenkeel/core'",
      severity: 'error',
      code: 'bad-value',
    })
  }
  if (functions.length > 0) return
  for (const key of own.filter((each) => LIBRARY_OPTIONS.has(each) && balance[each] === true)) {
    findings.push({
      path: [...path, key],
      message: `'${key}' is right only where one owner sends all requests: each worker would count its own alone`,
      hint: "leave it out, or write exact: true; it is for programs that use 'evenkeel/core'",
      severity: 'error',
      code: 'bad-value',
    })
  }
  try {
    picker.create(createLocalDeps(1), options)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const option = own.find((key) => new RegExp(`\\b${key}\\b`).test(error.message))
    findings.push({
      path: option === undefined ? path : [...path, option],
      message: error.message,
      severity: 'error',
      code: 'bad-value',
    })
  }
}

function holdsFunction(value: unknown): boolean {
  if (typeof value === 'function') return true
  return isObject(value) && Object.values(value).some((each) => typeof each === 'function')
}

interface LooseRoute {
  readonly index: number
  readonly label: string
  readonly listener: string | null
  /** Null: any. */
  readonly hosts: readonly string[] | null
  readonly paths: readonly string[] | null
  readonly methods: readonly string[] | null
  readonly headers: ReadonlyMap<string, unknown>
}

function checkRoutes(config: Loose, findings: Finding[]): void {
  const pools = isObject(config['pools']) ? Object.keys(config['pools']) : null
  const listeners = array(config['listeners']).flatMap((listener) => {
    if (!isObject(listener)) return []
    return typeof listener['name'] === 'string'
      ? listener['name']
      : typeof listener['bind'] === 'string'
        ? listener['bind']
        : []
  })
  const written = config['routes']
  if (written === undefined || (Array.isArray(written) && written.length === 0)) {
    const first = pools?.[0]
    findings.push({
      path: ['routes'],
      message: 'there are no routes: every request is answered 404',
      ...(first === undefined ? {} : { hint: `routes: [{ pool: '${first}' }] sends everything to one pool` }),
      severity: 'warning',
      code: 'empty',
    })
  }
  const names = new Map<string, number>()
  const earlier: LooseRoute[] = []
  const all = array(written)
  for (const [index, route] of all.entries()) {
    if (!isObject(route)) continue
    const path = ['routes', index]
    const { name, pool } = route
    if (typeof name === 'string') {
      const first = names.get(name)
      if (first !== undefined) findings.push(duplicate([...path, 'name'], `the name '${name}'`, ['routes', first]))
      else names.set(name, index)
    }
    if (typeof pool === 'string' && pools !== null && !pools.includes(pool)) {
      findings.push(unknownName([...path, 'pool'], 'pool', pool, pools))
    }
    const match = isObject(route['match']) ? route['match'] : {}
    const listener = match['listener']
    if (typeof listener === 'string' && listeners.length > 0 && !listeners.includes(listener)) {
      findings.push(unknownName([...path, 'match', 'listener'], 'listener', listener, listeners))
    }
    const current = looseRoute(route, match, index)
    const cover = earlier.find((other) => covers(other, current))
    if (cover) {
      findings.push({
        path,
        message: `no request reaches this route: ${cover.label} takes them all`,
        hint: 'put the narrower route first',
        severity: 'warning',
        code: 'unreachable',
      })
    } else if (all.length <= MOST_COMPARED_ROUTES || isCatchAll(current)) earlier.push(current)
  }
}

function looseRoute(route: Loose, match: Loose, index: number): LooseRoute {
  const headers = isObject(match['headers']) ? Object.entries(match['headers']) : []
  const paths = texts(match['path'])
  return {
    index,
    label: `routes[${index}]${typeof route['name'] === 'string' ? ` ('${route['name']}')` : ''}`,
    listener: typeof match['listener'] === 'string' ? match['listener'] : null,
    hosts: texts(match['host'])?.map((host) => host.toLowerCase().replace(/\.$/, '')) ?? null,
    paths: paths?.some((path) => path === '/*' || path === '/**') ? null : paths,
    methods: texts(match['method']),
    headers: new Map(headers.map(([name, value]) => [name.toLowerCase(), value])),
  }
}

function isCatchAll(route: LooseRoute): boolean {
  return route.hosts === null && route.paths === null && route.methods === null && route.headers.size === 0
}

/** Does `a` match everything that `b` matches? Sound, not complete: globs are compared as text, prefixes by prefix. */
function covers(a: LooseRoute, b: LooseRoute): boolean {
  return (
    (a.listener === null || a.listener === b.listener) &&
    coversAll(
      a.hosts,
      b.hosts,
      (wide, narrow) => wide.startsWith('*.') && narrow.replace(/^\*\./, 'x.').endsWith(wide.slice(1)),
    ) &&
    coversAll(a.methods, b.methods, () => false) &&
    coversAll(a.paths, b.paths, (wide, narrow) => isPrefix(wide) && narrow.startsWith(wide.slice(0, -1))) &&
    [...a.headers].every(([name, value]) => b.headers.get(name) === value || (value === true && b.headers.has(name)))
  )
}

function coversAll(
  wide: readonly string[] | null,
  narrow: readonly string[] | null,
  includes: (wide: string, narrow: string) => boolean,
): boolean {
  if (wide === null) return true
  if (narrow === null) return false
  return narrow.every((one) => wide.some((other) => other === one || includes(other, one)))
}

/** `/prefix/*` without any other wildcard. */
function isPrefix(pattern: string): boolean {
  return pattern.endsWith('/*') && !pattern.slice(0, -1).includes('*')
}

function unknownName(path: readonly PathStep[], what: string, name: string, known: readonly string[]): Finding {
  const near = nearest(name, known)
  const list =
    known.length === 0
      ? `there are no ${what}s`
      : `there ${known.length === 1 ? 'is' : 'are'} ${known.slice(0, 8).join(', ')}`
  return {
    path,
    message: `there is no ${what} '${name}'`,
    hint: near === undefined ? list : `did you mean '${near}'?`,
    severity: 'error',
    code: 'unknown-name',
  }
}

function duplicate(
  path: readonly PathStep[],
  what: string,
  earlier: readonly PathStep[],
): Finding & { readonly hint: string } {
  const first = earlier
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
    .slice(1)
  return { path, message: `${what} is taken already`, hint: `by ${first}`, severity: 'error', code: 'duplicate' }
}

function texts(value: unknown): readonly string[] | null {
  if (value === undefined) return null
  const all = Array.isArray(value) ? (value as unknown[]) : [value]
  return all.filter((each) => typeof each === 'string')
}

function array(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : []
}

function isObject(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
