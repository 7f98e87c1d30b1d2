/** Which fields may stand behind a body (RFC 9110 section 6.5.1). */
import type { MessageHead } from './head.ts'

/**
 * Fields that are acted on before the body is read: an origin that merges trailers into the head would obey them after
 * every check was made on a head without them. Together with all that `FieldId` knows, which are refused as they come.
 */
const REFUSED_IN_TRAILERS: ReadonlySet<string> = new Set([
  // Who asks, and what the session is.
  'authorization',
  'cookie',
  'set-cookie',
  'www-authenticate',
  // What the content is and how it was packed.
  'content-type',
  'content-encoding',
  'content-range',
  'content-location',
  'range',
  // Where it goes and how far.
  'location',
  'max-forwards',
  // Conditions and controls.
  'cache-control',
  'pragma',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
  'age',
  'date',
  'expires',
  'retry-after',
  'vary',
  'warning',
])

/** May these trailers be passed on? Trailers are rare, so names are read as strings here. */
export function isAllowedInTrailers(trailers: MessageHead): boolean {
  for (let i = 0; i < trailers.count; i++) {
    const name = trailers.name(i).toLowerCase().replaceAll('_', '-')
    if (REFUSED_IN_TRAILERS.has(name) || name.startsWith('x-forwarded-')) return false
  }
  return true
}
