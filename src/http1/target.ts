/**
 * The normal forms of path and host that routes are matched against. The endpoint gets the bytes as they were sent, so
 * these decide only where a request goes; what two origins would read as two different paths is refused.
 */

import { type RequestHead, TargetFlag, TargetForm } from './head.ts'
import { hostEnd } from './host.ts'
import { latin1 } from './latin1.ts'

/**
 * The path without its query, for matching; null when it is refused (`EK_BAD_PATH`).
 *
 * - Percent-encoded unreserved characters are decoded, once; other encodings stay, in upper case (RFC 3986 section 6.2.2).
 *   So `%2F` never separates segments, and `%252e` is no dot.
 * - Dot segments are removed (section 5.2.4), empty segments too: `//` counts as `/`, as nginx and most routers have it.
 * - Refused: a backslash (some origins read a slash), `%00`, a `%` without two digits, climbing above the root,
 *   a dot segment with parameters (`..;x`, which Tomcat and its kin read as `..`), and `..` behind an empty segment (`/a//..`
 *   is `/a/` by the RFC, and `/` where empty segments are dropped first).
 *
 * `*` for an asterisk target, `/` where the target has no path. A path without anything of that is sliced as it stands.
 */
export function normalPath(head: RequestHead): string | null {
  if (head.queryStart === head.pathStart) return '/'
  const path = latin1(head.bytes, head.pathStart, head.queryStart)
  if (head.targetFlags === 0 || head.targetForm === TargetForm.ASTERISK) return path
  if ((head.targetFlags & TargetFlag.BACKSLASH) !== 0) return null
  const decoded = (head.targetFlags & TargetFlag.PERCENT) !== 0 ? decodeUnreserved(path) : path
  return decoded === null ? null : withoutDotSegments(decoded)
}

/**
 * The host in lower case, without its port and without the root's dot; an IPv6 address keeps its brackets and spelling.
 * `''` when the request names none (HTTP/1.0), null when it is malformed (`EK_BAD_HOST`; never for a head that was parsed).
 */
export function normalHost(head: RequestHead): string | null {
  const { bytes, authorityStart, authorityEnd } = head
  if (authorityStart === authorityEnd) return ''
  const end = hostEnd(bytes, authorityStart, authorityEnd)
  if (end < 0) return null
  const host = latin1(bytes, authorityStart, end).toLowerCase()
  return host.endsWith('.') ? host.slice(0, -1) : host
}

const UNRESERVED = /[A-Za-z0-9\-._~]/
const ENCODED = /%[0-9A-Fa-f]{2}/g
const REFUSED = /%(?![0-9A-Fa-f]{2})|%00/

function decodeUnreserved(path: string): string | null {
  if (REFUSED.test(path)) return null
  return path.replace(ENCODED, (encoded) => {
    const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16))
    return UNRESERVED.test(character) ? character : encoded.toUpperCase()
  })
}

/** RFC 3986 section 5.2.4 on the segments. A path that ends in a dot segment ends in a slash. */
function withoutDotSegments(path: string): string | null {
  const segments: string[] = []
  let hasEmpty = false
  let isDirectory = true
  for (const segment of path.slice(1).split('/')) {
    isDirectory = segment === '' || segment === '.' || segment === '..'
    if (segment.startsWith('.;') || segment.startsWith('..;')) return null
    if (segment === '..') {
      if (segments.length === 0 || hasEmpty) return null
      segments.pop()
    } else if (segment === '') hasEmpty = true
    else if (segment !== '.') segments.push(segment)
  }
  const normal = segments.join('/')
  return isDirectory && normal !== '' ? `/${normal}/` : `/${normal}`
}
