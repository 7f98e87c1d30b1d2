/** The small languages inside a config: what a route matches on, and which statuses are healthy. */
import type { Reading } from '../core/address.ts'
import { parseIp } from '../core/address.ts'

/** An inclusive range of status codes. */
export interface StatusRange {
  readonly from: number
  readonly to: number
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/

/**
 * Reads a host pattern into its normal form: lower case, no trailing dot.
 * `shop.example.com` is exact, `*.example.com` is one label or more below (never `example.com` itself).
 */
export function parseHostPattern(text: string): Reading<string> {
  if (text === '*') return wrong('every host is meant by leaving the key away', "remove it, or write '*.example.com'")
  if (text.includes('://'))
    return wrong('a host has no scheme', `write '${text.replace(/^.*:\/\//, '').replace(/[/:].*$/, '')}'`)
  if (text.includes('/'))
    return wrong('a host has no path', `write '${text.replace(/\/.*$/, '')}' and match the path with 'path'`)
  const bracketed = /^\[([^\]]*)\](:\d+)?$/.exec(text)
  if (bracketed) {
    if (parseIp(bracketed[1]!) === null) return wrong('what is in the brackets is not an IPv6 address')
    if (bracketed[2] !== undefined) return wrong('the port is not part of a host', `write '[${bracketed[1]}]'`)
    return right(text.toLowerCase())
  }
  const port = /^(.*):\d*$/.exec(text)
  if (port) return wrong('the port is not part of a host', `write '${port[1]}'`)
  const isWildcard = text.startsWith('*.')
  const name = (isWildcard ? text.slice(2) : text).toLowerCase().replace(/\.$/, '')
  if (name.includes('*')) return wrong("'*' may only be the first label", "write '*.example.com'")
  if (/[^\x20-\x7e]/.test(name))
    return wrong('a host is matched in its ASCII form', `write '${asciiHost(name) ?? 'xn--…'}'`)
  if (name.length > 253 || !name.split('.').every((label) => LABEL.test(label)))
    return wrong(`'${text}' is not a host name`)
  return right(isWildcard ? `*.${name}` : name)
}

/**
 * Checks a path pattern: `/exact`, `/prefix/*` (everything below), or a glob with `*` within a segment and `**` across
 * segments. It is compared with the path's normal form, so it must be in that form itself.
 */
export function parsePathPattern(text: string): Reading<string> {
  if (text === '*' || text === '**') return wrong("a path begins with '/'", "write '/*' or remove the key")
  if (text.includes('://')) return wrong('a path has no scheme and host', "match the host with 'host'")
  if (!text.startsWith('/')) return wrong("a path begins with '/'", `write '/${text}'`)
  if (text.includes('?'))
    return wrong("the query is not part of a path, and '?' is no wildcard", `write '${text.replace(/\?.*$/, '')}'`)
  if (text.includes('#')) return wrong('a fragment never reaches a server', `write '${text.replace(/#.*$/, '')}'`)
  if (text.includes('\\')) return wrong('a backslash is never part of a path here')
  const special = /[[\]{}]/.exec(text)
  if (special)
    return wrong(`'${special[0]}' is not special here and never stands in a path`, "wildcards are '*' and '**'")
  const odd = /[^\x21-\x7e]/u.exec(text)
  if (odd) return wrong('a path is matched in its encoded form', `write '${encodeURI(text).replaceAll('%25', '%')}'`)
  if (/\*{3,}/.test(text)) return wrong("'***' means nothing", "'*' stays within a segment, '**' crosses segments")
  if (text.split('/').some((segment) => segment === '.' || segment === '..')) {
    return wrong("'.' and '..' are resolved before matching, so this never matches")
  }
  if (/%(?![0-9a-f]{2})/i.test(text)) return wrong("'%' is followed by two hexadecimal digits")
  for (const [code] of text.matchAll(/%[0-9a-f]{2}/gi)) {
    const character = String.fromCharCode(Number.parseInt(code.slice(1), 16))
    if (/[A-Za-z0-9._~-]/.test(character)) {
      return wrong(
        `'${code}' is decoded before matching, so this never matches`,
        `write '${text.replaceAll(code, character)}'`,
      )
    }
    if (code !== code.toUpperCase()) {
      return wrong(
        `codes are in upper case before matching, so this never matches`,
        `write '${text.replaceAll(code, code.toUpperCase())}'`,
      )
    }
  }
  return right(text)
}

/** Checks a method: a token, compared byte by byte (methods are case-sensitive, RFC 9110 §9.1). */
export function parseMethod(text: string): Reading<string> {
  if (!TOKEN.test(text)) return wrong(`'${text}' is not a method`)
  const upper = text.toUpperCase()
  if (text !== upper && /^(GET|HEAD|POST|PUT|DELETE|OPTIONS|TRACE|PATCH|CONNECT)$/.test(upper)) {
    return wrong('methods are case-sensitive, so this never matches', `write '${upper}'`)
  }
  if (text === 'CONNECT') return wrong('CONNECT is never served here (405), so this never matches')
  return right(text)
}

/** Checks a field name and folds its case. */
export function parseFieldName(text: string): Reading<string> {
  if (!TOKEN.test(text)) return wrong(`'${text}' is not a header name`)
  return right(text.toLowerCase())
}

/** Checks a field value: visible text and inner spaces, no control bytes, latin1 as on the wire. */
export function parseFieldValue(text: string): Reading<string> {
  if (/[^\x20-\x7e\x80-\xff\t]/.test(text)) return wrong('a header value holds no control or non-latin1 characters')
  if (text !== text.trim())
    return wrong('white space around a header value is removed on the wire', `write '${text.trim()}'`)
  return right(text)
}

/** Reads `200`, `200-399` or `2xx`. */
export function parseStatusRange(text: string): Reading<StatusRange> {
  const shorthand = /^([2-5])xx$/i.exec(text)
  if (shorthand) return right({ from: Number(shorthand[1]) * 100, to: Number(shorthand[1]) * 100 + 99 })
  const match = /^(\d{3})(?:-(\d{3}))?$/.exec(text.trim())
  if (!match) return wrong(`'${text}' is not a range of statuses`, "write '200', '200-399' or '2xx'")
  const from = Number(match[1])
  const to = match[2] === undefined ? from : Number(match[2])
  if (from < 200 || to > 599) return wrong('a final status is from 200 to 599')
  if (from > to) return wrong('the range ends before it begins', `write '${to}-${from}'`)
  return right({ from, to })
}

function asciiHost(name: string): string | null {
  try {
    return new URL(`http://${name}`).hostname
  } catch {
    return null
  }
}

function right<T>(value: T): { ok: true; value: T } {
  return { ok: true, value }
}

function wrong(reason: string, hint?: string): { ok: false; reason: string; hint?: string } {
  return hint === undefined ? { ok: false, reason } : { ok: false, reason, hint }
}
