/** The routes of one listener, compiled: first match wins. Host and path are brought into normal form only if a route asks. */

import { MethodId, type RequestHead } from '../http1/head.ts'
import { METHOD_NAMES } from '../http1/methods.ts'
import { normalHost, normalPath } from '../http1/target.ts'
import type { RoutePlan } from '../pool/plan.ts'
import { isClaim } from './forwarded.ts'
import { isGlob, matchesGlob } from './glob.ts'
import type { WorkerPool } from './pick-endpoint.ts'

export interface Route {
  readonly name: string
  readonly pool: WorkerPool
}

type PathTest = (path: string) => boolean

interface CompiledRoute extends Route {
  readonly exactHosts: ReadonlySet<string> | null
  /** `.example.com` for `*.example.com`. */
  readonly hostEnds: readonly string[]
  readonly paths: readonly PathTest[] | null
  readonly methods: ReadonlySet<string> | null
  readonly headers: readonly { readonly name: string; readonly value: string | null }[]
}

export class RouteTable {
  /** In lower case: every field that some route looks at. */
  readonly headerNames: readonly string[]
  readonly #routes: readonly CompiledRoute[]

  /** `listener`: only routes for it or for any listener are kept. */
  constructor(plans: readonly RoutePlan[], listener: string, pools: ReadonlyMap<string, WorkerPool>) {
    this.#routes = plans.flatMap((plan) => {
      const pool = pools.get(plan.pool)
      if (pool === undefined || (plan.match.listener !== undefined && plan.match.listener !== listener)) return []
      return [compile(plan, pool)]
    })
    this.headerNames = [...new Set(this.#routes.flatMap(({ headers }) => headers.map(({ name }) => name)))]
  }

  /**
   * `isTrusted`: the peer's word about where the request came from counts; a stranger's must not choose its way.
   * `normal`: the path in normal form where that was worked out before, else ''.
   */
  match(head: RequestHead, isTrusted: boolean, normal = ''): Route | null {
    let host: string | null = null
    let path = normal
    for (const route of this.#routes) {
      if (route.exactHosts !== null) {
        host ??= normalHost(head) ?? ''
        if (!isHostOf(route, host)) continue
      }
      if (route.paths !== null) {
        if (path === '') path = normalPath(head) ?? ''
        if (!anyPath(route.paths, path)) continue
      }
      if (route.methods !== null && !route.methods.has(methodText(head))) continue
      if (route.headers.length > 0 && !route.headers.every((wanted) => hasHeader(head, wanted, isTrusted))) continue
      return route
    }
    return null
  }
}

function compile(plan: RoutePlan, pool: WorkerPool): CompiledRoute {
  const { hosts, paths, methods, headers } = plan.match
  const isWild = (host: string): boolean => host.startsWith('*.')
  return {
    name: plan.name,
    pool,
    exactHosts: hosts === undefined ? null : new Set(hosts.filter((host) => !isWild(host))),
    hostEnds: (hosts ?? []).filter(isWild).map((host) => host.slice(1)),
    paths: paths === undefined ? null : paths.map(pathTest),
    methods: methods === undefined ? null : new Set(methods),
    headers: headers ?? [],
  }
}

function pathTest(pattern: string): PathTest {
  if (pattern.endsWith('/*') && !isGlob(pattern.slice(0, -1))) {
    const prefix = pattern.slice(0, -1)
    return (path) => path.startsWith(prefix)
  }
  if (isGlob(pattern)) return (path) => matchesGlob(pattern, path)
  return (path) => path === pattern
}

function isHostOf(route: CompiledRoute, host: string): boolean {
  if (route.exactHosts!.has(host)) return true
  for (const end of route.hostEnds) if (host.length > end.length && host.endsWith(end)) return true
  return false
}

function anyPath(tests: readonly PathTest[], path: string): boolean {
  for (const test of tests) if (test(path)) return true
  return false
}

function methodText(head: RequestHead): string {
  return head.method === MethodId.OTHER ? head.text(head.methodStart, head.methodEnd) : METHOD_NAMES[head.method]!
}

function hasHeader(
  head: RequestHead,
  wanted: { readonly name: string; readonly value: string | null },
  isTrusted: boolean,
): boolean {
  for (let i = head.find(wanted.name); i >= 0; i = head.find(wanted.name, i + 1)) {
    if (!isTrusted && isClaim(head.id[i]!)) continue
    if (wanted.value === null || head.value(i) === wanted.value) return true
  }
  return false
}
