/**
 * The authority that a request is for: `host [ ":" port ]` (RFC 9110 sections 4.2.3 and 7.2), as it stands in Host, in an
 * absolute target and in CONNECT's. User information is refused: section 4.2.4 calls it deprecated, and a parser that
 * misses the "@" sees another host.
 */
import { CLOSE_BRACKET, COLON, DOT, NINE, OPEN_BRACKET, ZERO } from './bytes.ts'
import { HEX_VALUE, HOST_BYTES, HostByte } from './character-classes.ts'

const MOST_PORT_DIGITS = 5
const LARGEST_PORT = 65_535

/**
 * Where the host of an authority ends (at its port's colon, or at `end`); -1 when the authority is malformed or its host
 * is empty. The port may be empty, and then the scheme's is meant (RFC 3986 section 6.2.3).
 */
export function hostEnd(bytes: Buffer, start: number, end: number): number {
  const nameEnd =
    bytes[start] === OPEN_BRACKET && start < end ? literalEnd(bytes, start, end) : registeredNameEnd(bytes, start, end)
  if (nameEnd < 0 || nameEnd === end) return nameEnd
  if (bytes[nameEnd] !== COLON) return -1
  return isPort(bytes, nameEnd + 1, end) ? nameEnd : -1
}

/** A name or an IPv4 address. Labels are not empty, but for a last one that the root's dot leaves. */
function registeredNameEnd(bytes: Buffer, start: number, end: number): number {
  let position = start
  let isAfterLabel = false
  for (; position < end; position++) {
    const kind = HOST_BYTES[bytes[position]!]
    if (kind === HostByte.NAME) {
      isAfterLabel = true
    } else if (kind === HostByte.DOT) {
      if (!isAfterLabel) return -1
      isAfterLabel = false
    } else break
  }
  return position === start ? -1 : position
}

function literalEnd(bytes: Buffer, start: number, end: number): number {
  let position = start + 1
  while (position < end && bytes[position] !== CLOSE_BRACKET) position++
  return position < end && isIpv6(bytes, start + 1, position) ? position + 1 : -1
}

function isPort(bytes: Buffer, start: number, end: number): boolean {
  if (end - start > MOST_PORT_DIGITS) return false
  let port = 0
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte < ZERO || byte > NINE) return false
    port = port * 10 + (byte - ZERO)
  }
  return port <= LARGEST_PORT
}

/** RFC 4291 section 2.2: eight groups, one run of zeros as `::`, the last two groups as IPv4. No zone: it is nobody else's. */
function isIpv6(bytes: Buffer, start: number, end: number): boolean {
  let groups = 0
  let hasGap = false
  let position = start
  if (bytes[position] === COLON) {
    if (bytes[position + 1] !== COLON) return false
    hasGap = true
    position += 2
  }
  while (position < end) {
    const groupStart = position
    while (position < end && position - groupStart < 4 && HEX_VALUE[bytes[position]!]! < 16) position++
    if (position === groupStart) return false
    if (position < end && bytes[position] === DOT) {
      if (!isIpv4(bytes, groupStart, end)) return false
      groups += 2
      break
    }
    groups++
    if (position === end) break
    if (bytes[position] !== COLON) return false
    position++
    if (position === end) return false
    if (bytes[position] === COLON) {
      if (hasGap) return false
      hasGap = true
      position++
    }
  }
  return hasGap ? groups < 8 : groups === 8
}

/** Four decimal numbers up to 255, without leading zeros. */
function isIpv4(bytes: Buffer, start: number, end: number): boolean {
  let numbers = 0
  let position = start
  for (;;) {
    const numberStart = position
    let number = 0
    while (position < end && bytes[position]! >= ZERO && bytes[position]! <= NINE) {
      number = number * 10 + (bytes[position]! - ZERO)
      if (number > 255) return false
      position++
    }
    const digits = position - numberStart
    if (digits === 0 || (digits > 1 && bytes[numberStart] === ZERO)) return false
    numbers++
    if (position === end) return numbers === 4
    if (numbers === 4 || bytes[position] !== DOT) return false
    position++
  }
}
