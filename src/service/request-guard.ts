/**
 * Who may ask the admin API for what. The order is that of `guard`; the first rule that objects answers.
 *
 * The threats: a web page in the operator's browser (by DNS rebinding, by a form, by fetch), another user of the machine, and,
 * where the API is bound to more than loopback, anybody on the network.
 */
import { isIpv4Mapped, parseIp } from '../core/address.ts'
import type { ApiProblem } from './problem-response.ts'
import type { RateLimit } from './rate-limit.ts'
import type { TokenFile } from './token-file.ts'

/** What the rules look at. */
export interface GuardedRequest {
  readonly method: string
  readonly path: string
  /** Host and port of the URL: of an absolute target where there is one, else of the Host field. */
  readonly urlHost: string
  /** Lower-case name; null where the request has none. */
  readonly header: (name: string) => string | null
  readonly remoteAddress: string
}

export interface GuardRules {
  /** The address that is bound: a literal, or null for a unix socket. */
  readonly boundHost: string | null
  /** False where only this machine can reach the socket. */
  readonly readsNeedToken: boolean
  readonly token: TokenFile
  readonly writes: RateLimit
}

/** Answers that say nothing but yes or no, for probes that have no token and perhaps no Host (HTTP/1.0). */
const OPEN_PATHS = new Set(['/livez', '/readyz'])

/** The rule that objects to a request, or null. `nowMs`: a clock that never goes back. */
export function guard(request: GuardedRequest, rules: GuardRules, nowMs: number): ApiProblem | null {
  const isRead = request.method === 'GET' || request.method === 'HEAD'
  if (isRead && OPEN_PATHS.has(request.path)) return null
  // Whoever holds the token is not to be shut out by those who do not: everything on this machine shares an address.
  if (!isRead && !hasToken(request, rules.token) && !rules.writes.take(request.remoteAddress, nowMs)) return TOO_MANY
  return (
    hostObjection(request, rules) ??
    (isRead ? null : originObjection(request)) ??
    tokenObjection(request, rules, isRead) ??
    (isRead ? null : contentTypeObjection(request))
  )
}

const TOO_MANY: ApiProblem = {
  status: 429,
  title: 'too many changes',
  detail: 'Changes from one address are limited to 50 a second.',
  headers: { 'retry-after': '1' },
}

/**
 * DNS rebinding: a page of evil.example, whose name was made to resolve to us, counts as our own origin for its browser. But it
 * cannot help sending its name as Host. A request with the right token comes from no such page, whatever name it used.
 */
function hostObjection(request: GuardedRequest, rules: GuardRules): ApiProblem | null {
  // No browser speaks to a unix socket.
  if (rules.boundHost === null) return null
  const host = request.header('host')
  if (host !== null && isOwnHost(host, rules.boundHost) && isOwnHost(request.urlHost, rules.boundHost)) return null
  if (hasToken(request, rules.token)) return null
  return {
    status: 421,
    title: 'not the name of this API',
    detail: 'The Host field must name the address that the admin API is bound to, or the request must carry the token.',
  }
}

/** Is the Host field a loopback name, or the literal that is bound (any literal where every address is)? */
export function isOwnHost(host: string, boundHost: string): boolean {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{1,5})?$/i.exec(host)
  if (match === null) return false
  const name = (match[1] ?? match[2] ?? '').toLowerCase()
  const address = parseIp(name)
  if (address === null) return name === 'localhost'
  if (isLoopback(name)) return true
  const bound = parseIp(boundHost)
  if (bound === null) return false
  return bound.every((byte, i) => byte === address[i]) || isEveryAddress(boundHost)
}

/** `127.0.0.0/8` or `::1`. */
export function isLoopback(literal: string): boolean {
  const bytes = parseIp(literal)
  if (bytes === null) return false
  if (isIpv4Mapped(bytes)) return bytes[12] === 127
  return bytes.every((byte, i) => byte === (i === 15 ? 1 : 0))
}

function isEveryAddress(literal: string): boolean {
  const bytes = parseIp(literal)
  return bytes?.subarray(isIpv4Mapped(bytes) ? 12 : 0).every((byte) => byte === 0) === true
}

/** A browser says where a write comes from; programs that are not browsers say nothing. */
function originObjection(request: GuardedRequest): ApiProblem | null {
  const origin = request.header('origin')
  const site = request.header('sec-fetch-site')
  const isOwnOrigin = origin === null || origin === `http://${request.header('host') ?? ''}`
  const isOwnSite = site === null || site === 'same-origin' || site === 'none'
  if (isOwnOrigin && isOwnSite) return null
  return { status: 403, title: 'another origin', detail: 'Changes are not taken from pages of another origin.' }
}

function tokenObjection(request: GuardedRequest, rules: GuardRules, isRead: boolean): ApiProblem | null {
  if (isRead && !rules.readsNeedToken) return null
  const header = request.header('authorization')
  if (header !== null && hasToken(request, rules.token)) return null
  if (rules.token.problem !== null) {
    return { status: 503, title: 'no usable token', detail: `Nothing can be allowed: ${rules.token.problem}.` }
  }
  return {
    status: 401,
    title: header === null ? 'the token is missing' : 'the token is wrong',
    detail: `Send 'Authorization: Bearer' and the token from the file that the balancer was given.`,
    headers: {
      'www-authenticate':
        header === null ? 'Bearer realm="evenkeel"' : 'Bearer realm="evenkeel", error="invalid_token"',
    },
  }
}

function hasToken(request: GuardedRequest, token: TokenFile): boolean {
  const match = /^bearer +(\S+) *$/i.exec(request.header('authorization') ?? '')
  return match?.[1] !== undefined && token.matches(match[1])
}

/** A form cannot send this type, nor DELETE, so a page of another origin would have to ask first, and is told no. */
function contentTypeObjection(request: GuardedRequest): ApiProblem | null {
  if (request.method === 'DELETE') return null
  const type = request.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type === 'application/json') return null
  return { status: 415, title: 'not JSON', detail: "Changes need 'Content-Type: application/json'." }
}
