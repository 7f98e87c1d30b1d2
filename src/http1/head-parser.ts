/**
 * What request and response parsers share: how a head that comes in parts is kept, and in which order it is read. The
 * start line and the meaning of the whole are the subclasses' business.
 *
 * A head is read where it lies, in the chunk that was fed. Only when the chunk ends before the head does is the part that
 * came copied into the parser's own buffer, the carry, and read on there; so the caller's chunk is always free after
 * `feed`, a head in one chunk is never copied, and every byte is looked at once.
 */
import { ERROR_INDEX } from '../core/errors.ts'
import { Carry } from './carry.ts'
import type { ConnectionField } from './connection-field.ts'
import { type FieldRules, FieldSection } from './field-section.ts'
import { FieldFlag, FieldId } from './fields.ts'
import { FramingFields } from './framing-fields.ts'
import type { MessageHead } from './head.ts'
import { NO_ERROR, ParseStatus, Step } from './parse-status.ts'

export interface HeadLimits {
  /** The whole head with its empty line, and with the empty lines before it. */
  readonly headBytes: number
  readonly fieldCount: number
}

/** What comes next, as far as every head has it. The parts of a start line have numbers of their own in between. */
export const At = {
  /** Nothing of a message has come yet, but for empty lines. */
  START: 0,
  /** The LF of an empty line before the message. */
  START_LF: 1,
  FIRST_OF_LINE: 2,
  FIELDS: 100,
  /** The head is whole: the next byte begins the next message. */
  DONE: 101,
  BROKEN: 102,
} as const

/**
 * What of a chunk is copied at a time while a head is read in the carry: where the head ends is not known before, and
 * what is behind it in the chunk is left alone.
 */
const COPIED_BYTES = 1024

export abstract class HeadParser<Head extends MessageHead, Limits extends HeadLimits> implements FieldRules {
  /** Valid from `DONE` until the next `feed`. */
  readonly head: Head
  /** May be replaced between messages. */
  limits: Limits
  /** After `DONE`: the index in the chunk just given that is right behind the head. */
  consumed = 0
  /** After `ERROR`: an index of `ERROR_INDEX`. */
  error: number = NO_ERROR

  protected at: number = At.START
  /** Where the part of the start line that is being read begins, as far as its end depends on that. */
  protected mark = 0
  protected readonly section: FieldSection
  protected readonly framing: FramingFields = new FramingFields()
  protected readonly connection: ConnectionField
  protected hasUpgrade = false
  readonly #carry = new Carry()
  /** Bytes of empty lines before the head. */
  #skipped = 0

  constructor(head: Head, limits: Limits, connection: ConnectionField) {
    this.head = head
    this.limits = limits
    this.connection = connection
    this.section = new FieldSection(head, this)
  }

  /** Reads the start line from `from`, up to `stop`. Returns the position behind it, or a `Step`; sets `head.start`. */
  protected abstract readStartLine(bytes: Buffer, from: number, stop: number): number

  /** The head is there up to `end`: what its fields mean together. Returns the error it is, or `NO_ERROR`. */
  protected abstract finish(end: number): number

  /** Sets `error` from the rule that is broken. */
  protected abstract blame(problem: number): void

  /** Has nothing of a next message come? Empty lines are not a message. */
  get idle(): boolean {
    return this.at <= At.START_LF || this.at === At.DONE
  }

  /** Forgets everything and lets go of all bytes; for an idle connection or one after an error. */
  reset(): void {
    this.begin()
    this.#carry.release()
    this.head.bytes = this.#carry.bytes
  }

  /**
   * Takes in `bytes[start, end)`. On `MORE` the chunk is free again; on `DONE` from one chunk `head.bytes` is that chunk,
   * so it must stay as it is while the head is used. Returns a `ParseStatus`.
   */
  feed(bytes: Buffer, start: number, end: number): number {
    if (this.at >= At.DONE) {
      if (this.at === At.BROKEN) return ParseStatus.ERROR
      this.begin()
    }
    const carry = this.#carry
    if (carry.length > 0) return this.#feedOn(bytes, start, end)

    const head = this.head
    head.bytes = bytes
    const limit = start + this.limits.headBytes - this.#skipped
    const stop = end < limit ? end : limit
    const position = this.#run(bytes, start, stop)
    if (position >= 0) {
      this.consumed = position
      return ParseStatus.DONE
    }
    if (position === Step.BROKEN) return ParseStatus.ERROR
    if (stop === limit) return this.#fail(EK_HEAD_TOO_LARGE)
    if (this.at <= At.START_LF) {
      this.#skipped += end - start
      return ParseStatus.MORE
    }
    const first = head.start
    this.#skipped += first - start
    carry.append(bytes, first, end)
    this.mark -= first
    head.rebase(first)
    head.bytes = carry.bytes
    return ParseStatus.MORE
  }

  /** The head began in an earlier chunk: goes on in the carry. */
  #feedOn(bytes: Buffer, start: number, end: number): number {
    const carry = this.#carry
    const limit = this.limits.headBytes - this.#skipped
    for (let next = start; next < end; ) {
      const before = carry.length
      const taken = Math.min(end - next, limit - before, COPIED_BYTES)
      carry.append(bytes, next, next + taken)
      this.head.bytes = carry.bytes
      const position = this.#run(carry.bytes, before, carry.length)
      if (position >= 0) {
        this.consumed = next + position - before
        return ParseStatus.DONE
      }
      if (position === Step.BROKEN) return ParseStatus.ERROR
      if (carry.length >= limit) return this.#fail(EK_HEAD_TOO_LARGE)
      next += taken
    }
    return ParseStatus.MORE
  }

  /** Returns the position behind the head, or a `Step`. */
  #run(bytes: Buffer, from: number, stop: number): number {
    let position = from
    if (this.at !== At.FIELDS) {
      position = this.readStartLine(bytes, from, stop)
      if (position < 0) return position
      this.head.fieldsStart = position
      this.section.begin(this.limits.fieldCount)
      this.at = At.FIELDS
    }
    position = this.section.scan(bytes, position, stop)
    if (position === Step.BROKEN) return this.broken(this.section.problem)
    if (position === Step.STARVED) return position
    const problem = this.finish(position)
    if (problem !== NO_ERROR) return this.broken(problem)
    this.at = At.DONE
    return position
  }

  /** Before the first byte of a message. */
  protected begin(): void {
    this.at = At.START
    this.#skipped = 0
    this.#carry.clear()
    this.framing.reset()
    this.connection.reset()
    this.hasUpgrade = false
    this.error = NO_ERROR
    this.head.count = 0
  }

  /** The fields that mean the same in requests and responses. */
  knownField(index: number, id: number): number {
    const head = this.head
    if ((head.flags[index]! & FieldFlag.VARIANT) !== 0) return NO_ERROR
    const { bytes } = head
    const start = head.valueStart[index]!
    const end = head.valueEnd[index]!
    switch (id) {
      case FieldId.CONTENT_LENGTH:
        return this.framing.readContentLength(bytes, start, end)
      case FieldId.TRANSFER_ENCODING:
        return this.framing.readTransferEncoding(bytes, start, end, head.versionMinor)
      case FieldId.CONNECTION:
        return this.connection.read(bytes, start, end)
      case FieldId.UPGRADE:
        this.hasUpgrade = true
        return NO_ERROR
      default:
        return NO_ERROR
    }
  }

  /** What Connection and Upgrade mean, once all fields are there; what it names is marked. */
  protected finishConnection(): void {
    const head = this.head
    const connection = this.connection
    if (connection.namesOthers) connection.markNamed(head)
    head.keepAlive = connection.keepsAlive(head.versionMinor)
    // RFC 9110 section 7.8: not in HTTP/1.0.
    head.upgrade = this.hasUpgrade && connection.namesUpgrade && head.versionMinor === 1
    head.regular = this.section.isRegular && !connection.namesOthers
  }

  protected broken(problem: number): number {
    this.blame(problem)
    this.at = At.BROKEN
    return Step.BROKEN
  }

  #fail(problem: number): number {
    this.broken(problem)
    return ParseStatus.ERROR
  }
}

const { EK_HEAD_TOO_LARGE } = ERROR_INDEX
