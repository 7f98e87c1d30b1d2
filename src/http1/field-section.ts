/**
 * The lines of a field section (RFC 9112 section 5), the same in requests, responses and trailers:
 *
 *     field-line = field-name ":" OWS field-value OWS CRLF        the section ends with an empty line
 *
 * One pass over the bytes. It stops anywhere and goes on there: the state says which part of which line comes next, the
 * columns of the head hold what was found so far.
 */
import { ERROR_INDEX } from '../core/errors.ts'
import { COLON, CR, HTAB, LF, SP } from './bytes.ts'
import { FIELD_TEXT, TOKEN } from './character-classes.ts'
import { classify, FieldFlag, FieldId, IS_HOP, IS_OURS, VARIANT_BIT } from './fields.ts'
import type { MessageHead } from './head.ts'
import { NO_ERROR, Step } from './parse-status.ts'

/** What a message makes of the fields it knows. */
export interface FieldRules {
  /**
   * The line of a field with a known name is whole. `id` is its `FieldId`; its row has `FieldFlag.VARIANT` when it is not
   * to be obeyed. Returns the index of the error it is, or `NO_ERROR`.
   */
  knownField(index: number, id: number): number
}

/** What comes next. */
const At = {
  /** The first byte of a line. */
  LINE: 0,
  NAME: 1,
  /** White space behind the colon. */
  SPACE: 2,
  VALUE: 3,
  /** The LF that ends a field's line. */
  FIELD_LF: 4,
  /** The LF that ends the section. */
  LAST_LF: 5,
} as const

export class FieldSection {
  /** The broken rule, an index of `ERROR_INDEX`. */
  problem: number = NO_ERROR
  readonly #head: MessageHead
  readonly #rules: FieldRules
  #at: number = At.LINE
  #limit = 0
  /** Not 0 when a field has a flag or is ours to change. */
  #peculiar = 0

  constructor(head: MessageHead, rules: FieldRules) {
    this.#head = head
    this.#rules = rules
  }

  /** Before the first byte of a section with at most `limit` fields. */
  begin(limit: number): void {
    this.problem = NO_ERROR
    this.#head.count = 0
    this.#at = At.LINE
    this.#limit = limit
    this.#peculiar = 0
  }

  /** Is every field passed on as it stands? For a section that was read to its end. */
  get isRegular(): boolean {
    return this.#peculiar === 0
  }

  /** Reads on from `from`, up to `stop`. Returns the position behind the empty line, or a `Step`. */
  scan(bytes: Buffer, from: number, stop: number): number {
    const head = this.#head
    let { nameStart, nameEnd, valueStart, valueEnd, id, flags, count } = head
    let position = from
    let at = this.#at
    const token = TOKEN
    const text = FIELD_TEXT

    for (;;) {
      if (at === At.LINE) {
        if (position === stop) break
        const byte = bytes[position]!
        if (token[byte] === 0) {
          if (byte !== CR) return this.#broken(wrongFirst(byte))
          position++
          at = At.LAST_LF
        } else {
          if (count === nameStart.length || count === this.#limit) {
            if (count >= this.#limit) return this.#broken(EK_TOO_MANY_FIELDS)
            head.grow(this.#limit)
            ;({ nameStart, nameEnd, valueStart, valueEnd, id, flags } = head)
          }
          nameStart[count] = position
          position++
          at = At.NAME
        }
      }

      if (at === At.NAME) {
        while (position < stop && token[bytes[position]!] === 1) position++
        if (position === stop) break
        const byte = bytes[position]!
        if (byte !== COLON) return this.#broken(wrongInName(byte))
        nameEnd[count] = position
        position++
        at = At.SPACE
      }

      if (at === At.SPACE) {
        while (position < stop && (bytes[position] === SP || bytes[position] === HTAB)) position++
        if (position === stop) break
        valueStart[count] = position
        at = At.VALUE
      }

      if (at === At.VALUE) {
        while (position < stop && text[bytes[position]!] === 1) position++
        if (position === stop) break
        const byte = bytes[position]!
        if (byte !== CR) return this.#broken(byte === LF ? EK_BARE_LF : EK_BAD_FIELD_VALUE)
        const first = valueStart[count]!
        let last = position
        while (last > first && (bytes[last - 1] === SP || bytes[last - 1] === HTAB)) last--
        valueEnd[count] = last
        position++
        at = At.FIELD_LF
      }

      if (at === At.FIELD_LF) {
        if (position === stop) break
        if (bytes[position] !== LF) return this.#broken(EK_BARE_CR)
        position++
        at = At.LINE

        const colon = nameEnd[count]!
        const name = classify(bytes, nameStart[count]!, colon)
        // Exactly "name: value" CRLF: the value begins two bytes behind the colon, the first being SP, and ends at the CR.
        const isPlain = valueStart[count] === colon + 2 && bytes[colon + 1] === SP && valueEnd[count] === position - 2
        let flag = isPlain ? 0 : FieldFlag.IRREGULAR
        const known = name & ~VARIANT_BIT
        if (name !== known) flag |= FieldFlag.VARIANT
        else if (IS_HOP[name] === 1) flag |= FieldFlag.HOP
        id[count] = known
        flags[count] = flag
        this.#peculiar |= flag | IS_OURS[known]!
        count++
        head.count = count
        if (known !== FieldId.OTHER) {
          const problem = this.#rules.knownField(count - 1, known)
          if (problem !== NO_ERROR) return this.#broken(problem)
        }
      }

      if (at === At.LAST_LF) {
        if (position === stop) break
        if (bytes[position] !== LF) return this.#broken(EK_BARE_CR)
        this.#at = At.LINE
        return position + 1
      }
    }

    this.#at = at
    return Step.STARVED
  }

  #broken(problem: number): number {
    this.problem = problem
    return Step.BROKEN
  }
}

const {
  EK_BAD_FIELD_NAME,
  EK_BAD_FIELD_VALUE,
  EK_BARE_CR,
  EK_BARE_LF,
  EK_OBS_FOLD,
  EK_SPACE_BEFORE_COLON,
  EK_TOO_MANY_FIELDS,
} = ERROR_INDEX

/** A line may begin with a name or be empty. One that begins with white space continues the line before (RFC 9112 section 5.2). */
function wrongFirst(byte: number): number {
  if (byte === SP || byte === HTAB) return EK_OBS_FOLD
  return byte === LF ? EK_BARE_LF : EK_BAD_FIELD_NAME
}

/** White space in a name can only be white space before the colon (RFC 9112 section 5.1), however far off the colon is. */
function wrongInName(byte: number): number {
  if (byte === SP || byte === HTAB) return EK_SPACE_BEFORE_COLON
  return byte === LF ? EK_BARE_LF : EK_BAD_FIELD_NAME
}
