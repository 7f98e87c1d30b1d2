/**
 * The fields this proxy knows by name: those that frame a message, are meant for one hop, or that it sets itself.
 * Every other field is `OTHER` and passes through.
 */
import { CASE_BIT } from './bytes.ts'

/** What a field is, by its name. Stored in `MessageHead.id`. */
export const FieldId = {
  OTHER: 0,
  HOST: 1,
  CONNECTION: 2,
  CONTENT_LENGTH: 3,
  TRANSFER_ENCODING: 4,
  TE: 5,
  TRAILER: 6,
  UPGRADE: 7,
  EXPECT: 8,
  KEEP_ALIVE: 9,
  PROXY_CONNECTION: 10,
  PROXY_AUTHORIZATION: 11,
  PROXY_AUTHENTICATE: 12,
  VIA: 13,
  FORWARDED: 14,
  X_FORWARDED_FOR: 15,
  X_FORWARDED_PROTO: 16,
  X_FORWARDED_HOST: 17,
  X_FORWARDED_PORT: 18,
  X_REAL_IP: 19,
  X_REQUEST_ID: 20,
} as const

/** What is peculiar about a field, as bits. Stored in `MessageHead.flags`. */
export const FieldFlag = {
  /** Not spelled exactly `name: value` CRLF: spacing is rewritten when it is passed on. */
  IRREGULAR: 1,
  /** A known name with `_` for `-`: some origins read it as the known field, so it is neither obeyed nor passed on. */
  VARIANT: 2,
  /** For this hop alone (RFC 9110 section 7.6.1), by its name or because Connection names it: not passed on. */
  HOP: 4,
} as const

/** The known names in lower case; position = `FieldId`. */
export const FIELD_NAMES: readonly string[] = [
  '',
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'proxy-authenticate',
  'via',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-real-ip',
  'x-request-id',
]

/**
 * By `FieldId`, 1: hop-by-hop whether Connection names it or not. RFC 9110 section 7.6.1 lists all but the proxy-
 * authentication pair, which is for the nearest proxy (sections 11.7.1 and 11.7.2), and that is us.
 * Not here: Trailer, which is passed on with the trailers it announces.
 */
export const IS_HOP: Uint8Array = idTable([
  FieldId.CONNECTION,
  FieldId.KEEP_ALIVE,
  FieldId.PROXY_CONNECTION,
  FieldId.TE,
  FieldId.TRANSFER_ENCODING,
  FieldId.UPGRADE,
  FieldId.PROXY_AUTHORIZATION,
  FieldId.PROXY_AUTHENTICATE,
])

/** By `FieldId`, 1: added to, replaced or answered by us, so that a head with it is not sliced in one run. */
export const IS_OURS: Uint8Array = idTable([
  FieldId.EXPECT,
  FieldId.VIA,
  FieldId.FORWARDED,
  FieldId.X_FORWARDED_FOR,
  FieldId.X_FORWARDED_PROTO,
  FieldId.X_FORWARDED_HOST,
  FieldId.X_FORWARDED_PORT,
  FieldId.X_REAL_IP,
  FieldId.X_REQUEST_ID,
])

/** Set in the result of `classify` when the name has `_` for `-`. */
export const VARIANT_BIT = 0x100

/** Index = `slot(length, first letter)`, value = the first `FieldId` to compare with, 0 for none. */
const CANDIDATE = new Uint8Array(32 * 32)
/** Index = `FieldId`, value = the next one with the same length and first letter, 0 for none. */
const NEXT_CANDIDATE = new Uint8Array(FIELD_NAMES.length)
/** Index = `FieldId`, value = where its name begins in `NAME_BYTES`. */
const NAME_OFFSET = new Uint16Array(FIELD_NAMES.length)
const NAME_BYTES = new Uint8Array(FIELD_NAMES.join('').length)

const LONGEST_NAME = Math.max(...FIELD_NAMES.map((name) => name.length))

fillNameTables()

/**
 * Which field a name is: a `FieldId`, with `VARIANT_BIT` when it has `_` for `-`. Case does not matter.
 * The name must be a token. Length and first letter leave one or two names to compare, so most names cost one table read.
 */
export function classify(bytes: Buffer, start: number, end: number): number {
  const length = end - start
  if (length > LONGEST_NAME) return FieldId.OTHER
  let candidate = CANDIDATE[slot(length, bytes[start]!)]!
  while (candidate !== 0) {
    const variant = compare(bytes, start, length, candidate)
    if (variant >= 0) return candidate | variant
    candidate = NEXT_CANDIDATE[candidate]!
  }
  return FieldId.OTHER
}

/** 0 when the name is that of `id`, `VARIANT_BIT` when it is but for `_`, -1 when it is another. */
function compare(bytes: Buffer, start: number, length: number, id: number): number {
  const offset = NAME_OFFSET[id]!
  let variant = 0
  for (let i = 0; i < length; i++) {
    // Among token bytes the case bit folds letters onto letters, leaves "-" alone, and turns "_" alone into 0x7f.
    const folded = bytes[start + i]! | CASE_BIT
    const wanted = NAME_BYTES[offset + i]!
    if (folded === wanted) continue
    if (wanted !== HYPHEN || folded !== FOLDED_UNDERSCORE) return -1
    variant = VARIANT_BIT
  }
  return variant
}

const HYPHEN = 0x2d
const FOLDED_UNDERSCORE = 0x7f

/** Lengths go up to 31; the low five bits tell letters apart in either case, and other bytes only cost a comparison. */
function slot(length: number, firstByte: number): number {
  return (length << 5) | (firstByte & 31)
}

function fillNameTables(): void {
  let offset = 0
  for (let id = 1; id < FIELD_NAMES.length; id++) {
    const name = FIELD_NAMES[id]!
    NAME_OFFSET[id] = offset
    for (let i = 0; i < name.length; i++) NAME_BYTES[offset++] = name.charCodeAt(i)
    const index = slot(name.length, name.charCodeAt(0))
    NEXT_CANDIDATE[id] = CANDIDATE[index]!
    CANDIDATE[index] = id
  }
}

function idTable(ids: readonly number[]): Uint8Array {
  const table = new Uint8Array(256)
  for (const id of ids) table[id] = 1
  return table
}
