/**
 * Chunked bodies (RFC 9112 section 7.1): sizes and data in, data out; extensions are checked and dropped, trailers kept.
 *
 *     chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF      the last one has size 0, no data, and trailers instead
 *
 * The data is handed on as slices of the chunk that came, so nothing is copied. Only trailers that come in parts are.
 */
import { ERROR_INDEX } from '../core/errors.ts'
import { BACKSLASH, CR, DQUOTE, EQUALS, HTAB, LF, SEMICOLON, SP } from './bytes.ts'
import { Carry } from './carry.ts'
import { FIELD_TEXT, HEX_VALUE, TOKEN } from './character-classes.ts'
import { type FieldRules, FieldSection } from './field-section.ts'
import { MessageHead } from './head.ts'
import { NO_ERROR, ParseStatus, Step } from './parse-status.ts'
import { isAllowedInTrailers } from './trailer-fields.ts'

const { EK_BAD_CHUNK, EK_BAD_CHUNK_EXTENSION, EK_BAD_TRAILER } = ERROR_INDEX

/** Takes the data of a chunked body. */
export interface ChunkSink {
  /** The next bytes of the body, in order; `bytes` is the chunk that was fed and belongs to whoever fed it. */
  chunkData(bytes: Buffer, start: number, end: number): void
}

export interface ChunkedLimits {
  /** The trailer section with its empty line. */
  readonly trailerBytes: number
  readonly fieldCount: number
}

/** Leading zeros included. Fewer than 2^60 is not fewer than 2^53, so the value is bounded as well. */
const MOST_SIZE_DIGITS = 15
/** Of one chunk, behind the first semicolon. */
const MOST_EXTENSION_BYTES = 256
/**
 * How many bytes of chunk lines, beyond 16 + 2 × size for each chunk, a body may hold: without it a body of bytes one
 * at a time, each with a long extension, costs 250 times its size to read. The rule and its numbers are those of Go's
 * net/http (CVE-2023-39326).
 */
const FREE_BYTES_PER_CHUNK = 16
const FREE_BYTES_PER_BYTE = 2
const MOST_EXCESS_BYTES = 16 * 1024

/** What comes next. */
const At = {
  /** The first digit of a size. */
  SIZE_FIRST: 0,
  SIZE: 1,
  SIZE_LF: 2,
  DATA: 3,
  DATA_CR: 4,
  DATA_LF: 5,
  /** White space where only a semicolon may follow. */
  BEFORE_SEMICOLON: 6,
  /** White space or a name's first byte. */
  BEFORE_NAME: 7,
  NAME: 8,
  /** White space behind a name: an equals sign or a semicolon may follow. */
  AFTER_NAME: 9,
  /** White space or a value's first byte. */
  BEFORE_VALUE: 10,
  VALUE_TOKEN: 11,
  VALUE_QUOTED: 12,
  /** The byte that a backslash quotes. */
  QUOTED_PAIR: 13,
  /** Behind a closing quote. */
  AFTER_QUOTED: 14,
  /** The CR of an empty trailer section, or the first byte of the first trailer. */
  TRAILERS_FIRST: 15,
  /** The LF of an empty trailer section. */
  TRAILERS_LF: 16,
  TRAILERS: 17,
  DONE: 18,
  BROKEN: 19,
} as const

export class ChunkedDecoder implements FieldRules {
  limits: ChunkedLimits
  /** After `DONE`: the index in the chunk just given that is right behind the body. */
  consumed = 0
  /** After `ERROR`: an index of `ERROR_INDEX`. */
  error: number = NO_ERROR
  /** The trailer fields, valid from `DONE` until the next `feed`; `count` is 0 when there are none. */
  readonly trailers: MessageHead = new MessageHead(0)

  readonly #section: FieldSection = new FieldSection(this.trailers, this)
  readonly #carry = new Carry()
  #at: number = At.SIZE_FIRST
  #digits = 0
  /** Of the chunk's data: what is still to come. */
  #size = 0
  /** Of the size and extension of this chunk. */
  #lineBytes = 0
  #extensionBytes = 0
  #excess = 0

  constructor(limits: ChunkedLimits) {
    this.limits = limits
  }

  /** Before the next body. */
  reset(): void {
    this.#at = At.SIZE_FIRST
    this.#size = 0
    this.#excess = 0
    this.#carry.release()
    this.trailers.bytes = this.#carry.bytes
    this.trailers.count = 0
    this.error = NO_ERROR
  }

  /** Takes in `bytes[start, end)`; the data in it goes to the sink at once. Returns a `ParseStatus`. */
  feed(bytes: Buffer, start: number, end: number, sink: ChunkSink): number {
    let position = start
    if (this.#at >= At.TRAILERS) {
      if (this.#at === At.TRAILERS) return this.#trailers(bytes, start, end)
      if (this.#at === At.BROKEN) return ParseStatus.ERROR
      this.reset()
    }
    while (position < end) {
      if (this.#at === At.DATA) {
        const available = end - position
        const taken = available < this.#size ? available : this.#size
        this.#size -= taken
        if (this.#size === 0) this.#at = At.DATA_CR
        sink.chunkData(bytes, position, position + taken)
        position += taken
        continue
      }
      const next = this.#next(bytes[position]!)
      if (next === At.BROKEN) return ParseStatus.ERROR
      this.#at = next
      if (next === At.TRAILERS) return this.#trailers(bytes, position, end)
      position++
      if (next === At.DONE) {
        this.consumed = position
        return ParseStatus.DONE
      }
    }
    return ParseStatus.MORE
  }

  /** Takes in one byte of what is around the data. Returns what comes behind it. */
  #next(byte: number): number {
    switch (this.#at) {
      case At.SIZE_FIRST: {
        const digit = HEX_VALUE[byte]!
        if (digit > 15) return this.#broken(EK_BAD_CHUNK)
        this.#size = digit
        this.#digits = 1
        this.#lineBytes = 1
        this.#extensionBytes = 0
        return At.SIZE
      }
      case At.SIZE: {
        this.#lineBytes++
        const digit = HEX_VALUE[byte]!
        if (digit > 15) return this.#endOfPart(byte, At.BEFORE_SEMICOLON, EK_BAD_CHUNK)
        this.#size = this.#size * 16 + digit
        if (++this.#digits > MOST_SIZE_DIGITS || this.#size > Number.MAX_SAFE_INTEGER) return this.#broken(EK_BAD_CHUNK)
        return At.SIZE
      }
      case At.SIZE_LF:
        if (byte !== LF) return this.#broken(EK_BAD_CHUNK)
        return this.#endOfLine()
      case At.DATA_CR:
        return byte === CR ? At.DATA_LF : this.#broken(EK_BAD_CHUNK)
      case At.DATA_LF:
        return byte === LF ? At.SIZE_FIRST : this.#broken(EK_BAD_CHUNK)
      case At.TRAILERS_FIRST:
        return byte === CR ? At.TRAILERS_LF : At.TRAILERS
      case At.TRAILERS_LF:
        return byte === LF ? At.DONE : this.#broken(EK_BAD_CHUNK)
      default:
        return this.#extension(byte)
    }
  }

  /**
   * `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`, section 7.1.1. It is dropped, but read by the
   * book first: an extension that one parser ends at another byte than the next is how chunks are smuggled.
   * White space must be read (that section) but not at the end of the line, where the grammar has none.
   */
  #extension(byte: number): number {
    this.#lineBytes++
    if (++this.#extensionBytes > MOST_EXTENSION_BYTES && byte !== CR) return this.#broken(EK_BAD_CHUNK_EXTENSION)
    switch (this.#at) {
      case At.BEFORE_SEMICOLON:
        if (isWhiteSpace(byte)) return At.BEFORE_SEMICOLON
        return byte === SEMICOLON ? At.BEFORE_NAME : this.#broken(EK_BAD_CHUNK_EXTENSION)
      case At.BEFORE_NAME:
        if (isWhiteSpace(byte)) return At.BEFORE_NAME
        return TOKEN[byte] === 1 ? At.NAME : this.#broken(EK_BAD_CHUNK_EXTENSION)
      case At.NAME:
        if (TOKEN[byte] === 1) return At.NAME
        if (byte === EQUALS) return At.BEFORE_VALUE
        return this.#endOfPart(byte, At.AFTER_NAME, EK_BAD_CHUNK_EXTENSION)
      case At.AFTER_NAME:
        if (isWhiteSpace(byte)) return At.AFTER_NAME
        if (byte === EQUALS) return At.BEFORE_VALUE
        return byte === SEMICOLON ? At.BEFORE_NAME : this.#broken(EK_BAD_CHUNK_EXTENSION)
      case At.BEFORE_VALUE:
        if (isWhiteSpace(byte)) return At.BEFORE_VALUE
        if (byte === DQUOTE) return At.VALUE_QUOTED
        return TOKEN[byte] === 1 ? At.VALUE_TOKEN : this.#broken(EK_BAD_CHUNK_EXTENSION)
      case At.VALUE_TOKEN:
        if (TOKEN[byte] === 1) return At.VALUE_TOKEN
        return this.#endOfPart(byte, At.BEFORE_SEMICOLON, EK_BAD_CHUNK_EXTENSION)
      case At.VALUE_QUOTED:
        if (byte === DQUOTE) return At.AFTER_QUOTED
        if (byte === BACKSLASH) return At.QUOTED_PAIR
        return FIELD_TEXT[byte] === 1 ? At.VALUE_QUOTED : this.#broken(EK_BAD_CHUNK_EXTENSION)
      case At.QUOTED_PAIR:
        return FIELD_TEXT[byte] === 1 ? At.VALUE_QUOTED : this.#broken(EK_BAD_CHUNK_EXTENSION)
      default:
        return this.#endOfPart(byte, At.BEFORE_SEMICOLON, EK_BAD_CHUNK_EXTENSION)
    }
  }

  /** Behind a whole part of the line: its end, the next extension, or white space before that. */
  #endOfPart(byte: number, afterSpace: number, problem: number): number {
    if (byte === CR) return At.SIZE_LF
    if (byte === SEMICOLON) return At.BEFORE_NAME
    return isWhiteSpace(byte) ? afterSpace : this.#broken(problem)
  }

  #endOfLine(): number {
    const free = FREE_BYTES_PER_CHUNK + FREE_BYTES_PER_BYTE * this.#size
    const excess = this.#excess + this.#lineBytes + 3 - free
    this.#excess = excess > 0 ? excess : 0
    if (this.#excess > MOST_EXCESS_BYTES) return this.#broken(EK_BAD_CHUNK_EXTENSION)
    return this.#size === 0 ? At.TRAILERS_FIRST : At.DATA
  }

  #trailers(bytes: Buffer, start: number, end: number): number {
    const trailers = this.trailers
    const carry = this.#carry
    const isFirst = carry.length === 0
    const limit = this.limits.trailerBytes
    const room = limit - carry.length
    const taken = end - start < room ? end - start : room
    let from = start
    if (isFirst) {
      trailers.bytes = bytes
      trailers.start = start
      trailers.fieldsStart = start
      this.#section.begin(this.limits.fieldCount)
    } else {
      from = carry.length
      carry.append(bytes, start, start + taken)
      trailers.bytes = carry.bytes
    }
    const position = this.#section.scan(trailers.bytes, from, from + taken)
    if (position >= 0) {
      trailers.end = position
      trailers.regular = this.#section.isRegular
      this.#at = At.DONE
      this.consumed = start + position - from
      return isAllowedInTrailers(trailers) ? ParseStatus.DONE : this.#fail(EK_BAD_TRAILER)
    }
    if (position === Step.BROKEN || taken === room) return this.#fail(EK_BAD_TRAILER)
    if (isFirst) {
      carry.append(bytes, start, end)
      trailers.rebase(start)
      trailers.bytes = carry.bytes
    }
    return ParseStatus.MORE
  }

  /** Whatever has a known name is about the message or the way, never about the content, `_` for `-` or not. */
  knownField(): number {
    return EK_BAD_TRAILER
  }

  #broken(problem: number): number {
    this.error = problem
    this.#at = At.BROKEN
    return At.BROKEN
  }

  #fail(problem: number): number {
    this.#broken(problem)
    return ParseStatus.ERROR
  }
}

function isWhiteSpace(byte: number): boolean {
  return byte === SP || byte === HTAB
}
