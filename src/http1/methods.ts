/** Request methods with a meaning to a proxy (RFC 9110 section 9, RFC 5789). Names are case-sensitive: `get` is another method. */

/** What a method is. Stored in `RequestHead.method`; a method without a row is passed on as `OTHER`. */
export const MethodId = {
  OTHER: 0,
  GET: 1,
  HEAD: 2,
  POST: 3,
  PUT: 4,
  DELETE: 5,
  OPTIONS: 6,
  TRACE: 7,
  PATCH: 8,
  CONNECT: 9,
} as const

/** Position = `MethodId`. */
export const METHOD_NAMES: readonly string[] = [
  '',
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'CONNECT',
]

const IS_IDEMPOTENT: readonly boolean[] = [false, true, true, false, true, true, true, true, false, false]

/** May a request with this method be sent twice (RFC 9110 section 9.2.2)? */
export function isIdempotent(method: number): boolean {
  return IS_IDEMPOTENT[method] === true
}

/** Index = length of the name, value = the ids to compare with. */
const BY_LENGTH: readonly (readonly number[])[] = [0, 1, 2, 3, 4, 5, 6, 7].map((length) =>
  METHOD_NAMES.flatMap((name, id) => (length > 0 && name.length === length ? [id] : [])),
)

/** The `MethodId` of a method that is a token. */
export function methodOf(bytes: Buffer, start: number, end: number): number {
  const length = end - start
  // Half of all traffic, before the table.
  if (length === 3 && bytes[start] === 0x47 && bytes[start + 1] === 0x45 && bytes[start + 2] === 0x54)
    return MethodId.GET
  const candidates = BY_LENGTH[length]
  if (candidates === undefined) return MethodId.OTHER
  for (const id of candidates) if (says(bytes, start, METHOD_NAMES[id]!)) return id
  return MethodId.OTHER
}

function says(bytes: Buffer, start: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name.charCodeAt(i)) return false
  return true
}
