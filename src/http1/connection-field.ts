/**
 * The Connection field (RFC 9110 section 7.6.1): a list of options, each either known here (`close`, `keep-alive`,
 * `upgrade`) or the name of a field that is for this hop alone.
 */
import { ERROR_INDEX } from '../core/errors.ts'
import { CASE_BIT, COMMA, HTAB, SP, saysFolded } from './bytes.ts'
import { TOKEN } from './character-classes.ts'
import { classify, FieldFlag, FieldId } from './fields.ts'
import type { MessageHead } from './head.ts'
import { NO_ERROR } from './parse-status.ts'

const { EK_BAD_CONNECTION } = ERROR_INDEX

/** Options with a meaning of their own, as bits of `ConnectionField.options`. */
const Option = { CLOSE: 1, KEEP_ALIVE: 2, UPGRADE: 4, NAMES: 8 } as const

/**
 * Options in all Connection fields of a message. Real ones have one to three; the bound keeps the search for the fields
 * they name linear in the size of the head.
 */
const MOST_OPTIONS = 32

/**
 * By `FieldId`, 1: may not be named. A client that has Host or the framing cut off makes the endpoint read another
 * message than we did; one that has our fields cut off hides who it is ("hop-by-hop header abuse").
 */
const REQUEST_FORBIDS = forbidden([
  FieldId.HOST,
  FieldId.CONTENT_LENGTH,
  FieldId.TRANSFER_ENCODING,
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

/** Large sites answer with `Connection: Transfer-Encoding`, which is true: that field is for this hop. So it may be named here. */
const RESPONSE_FORBIDS = forbidden([FieldId.CONTENT_LENGTH])

export class ConnectionField {
  readonly #forbids: Uint8Array
  readonly #mayNameForwarded: boolean
  #options = 0
  #count = 0

  constructor(kind: 'request' | 'response') {
    this.#forbids = kind === 'request' ? REQUEST_FORBIDS : RESPONSE_FORBIDS
    this.#mayNameForwarded = kind === 'response'
  }

  reset(): void {
    this.#options = 0
    this.#count = 0
  }

  /** `close` wins over `keep-alive`; without either the version decides (RFC 9112 section 9.3). */
  keepsAlive(versionMinor: number): boolean {
    if ((this.#options & Option.CLOSE) !== 0) return false
    return versionMinor === 1 || (this.#options & Option.KEEP_ALIVE) !== 0
  }

  get namesUpgrade(): boolean {
    return (this.#options & Option.UPGRADE) !== 0
  }

  /** Does it name fields that are not for this hop by themselves? Then `markNamed` has work. */
  get namesOthers(): boolean {
    return (this.#options & Option.NAMES) !== 0
  }

  /** Takes in one Connection field. Returns the error it is, or `NO_ERROR`. */
  read(bytes: Buffer, start: number, end: number): number {
    let position = start
    while (position < end) {
      const optionStart = nextOption(bytes, position, end)
      if (optionStart === end) break
      const optionEnd = endOfOption(bytes, optionStart, end)
      if (optionEnd < 0 || ++this.#count > MOST_OPTIONS) return EK_BAD_CONNECTION
      const problem = this.#readOption(bytes, optionStart, optionEnd)
      if (problem !== NO_ERROR) return problem
      position = optionEnd
    }
    return NO_ERROR
  }

  #readOption(bytes: Buffer, start: number, end: number): number {
    const name = classify(bytes, start, end)
    if (name === FieldId.KEEP_ALIVE) this.#options |= Option.KEEP_ALIVE
    else if (name === FieldId.UPGRADE) this.#options |= Option.UPGRADE
    else if (this.#forbids[name] === 1) return EK_BAD_CONNECTION
    else if (saysFolded(bytes, start, end, 'close')) this.#options |= Option.CLOSE
    // Some origins trust an X-Forwarded field that is not known here; none of them may be cut off at a client's wish.
    else if (!this.#mayNameForwarded && beginsWithXForwarded(bytes, start, end)) return EK_BAD_CONNECTION
    else if (name !== FieldId.TE) this.#options |= Option.NAMES
    return NO_ERROR
  }

  /** Marks every field that a Connection field names as hop-by-hop. Costs (options × fields) comparisons of lengths. */
  markNamed(head: MessageHead): void {
    for (let field = 0; field < head.count; field++) {
      const isConnection = head.id[field] === FieldId.CONNECTION && (head.flags[field]! & FieldFlag.VARIANT) === 0
      if (isConnection) markNamedBy(head, field)
    }
  }
}

function markNamedBy(head: MessageHead, connection: number): void {
  const { bytes } = head
  const end = head.valueEnd[connection]!
  let position = nextOption(bytes, head.valueStart[connection]!, end)
  while (position < end) {
    const optionEnd = endOfOption(bytes, position, end)
    for (let field = 0; field < head.count; field++) {
      const nameStart = head.nameStart[field]!
      if (isSameName(bytes, nameStart, head.nameEnd[field]!, position, optionEnd)) head.flags[field]! |= FieldFlag.HOP
    }
    position = nextOption(bytes, optionEnd, end)
  }
}

/** The first byte of the next option, or `end`. Empty elements are skipped (RFC 9110 section 5.6.1.2). */
function nextOption(bytes: Buffer, from: number, end: number): number {
  let position = from
  while (position < end && isBetween(bytes[position]!)) position++
  return position
}

/** The byte behind an option, -1 when it is not a token with a comma or the end behind it. */
function endOfOption(bytes: Buffer, start: number, end: number): number {
  let position = start
  while (position < end && TOKEN[bytes[position]!] === 1) position++
  if (position === start) return -1
  let next = position
  while (next < end && (bytes[next] === SP || bytes[next] === HTAB)) next++
  return next === end || bytes[next] === COMMA ? position : -1
}

function isBetween(byte: number): boolean {
  return byte === COMMA || byte === SP || byte === HTAB
}

function isSameName(bytes: Buffer, a: number, aEnd: number, b: number, bEnd: number): boolean {
  if (aEnd - a !== bEnd - b) return false
  for (let i = 0; i < aEnd - a; i++) if (folded(bytes[a + i]!) !== folded(bytes[b + i]!)) return false
  return true
}

function folded(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | CASE_BIT : byte
}

function beginsWithXForwarded(bytes: Buffer, start: number, end: number): boolean {
  return end - start >= X_FORWARDED.length && saysFolded(bytes, start, start + X_FORWARDED.length, X_FORWARDED)
}

const X_FORWARDED = 'x-forwarded-'

function forbidden(ids: readonly number[]): Uint8Array {
  // `VARIANT_BIT` lies outside: a name with "_" is another field, and is not passed on anyway.
  const table = new Uint8Array(256)
  for (const id of ids) table[id] = 1
  return table
}
