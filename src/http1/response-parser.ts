/**
 * Bytes → response heads (RFC 9112 sections 4 to 6), as strict as for requests: an endpoint that is confused or taken
 * over must not get to choose which response the next client receives.
 *
 *     status-line = HTTP-version SP status-code SP [ reason-phrase ] CRLF, then the field section
 *
 * Nothing may stand before the status line. A 1xx is a head of its own; the caller feeds on for the final one.
 */
import { ERROR_INDEX } from '../core/errors.ts'
import { CR, LF, NINE, SP, ZERO } from './bytes.ts'
import { Carry } from './carry.ts'
import { FIELD_TEXT } from './character-classes.ts'
import { ConnectionField } from './connection-field.ts'
import { type FieldRules, FieldSection } from './field-section.ts'
import { FieldFlag, FieldId } from './fields.ts'
import { FramingFields } from './framing-fields.ts'
import { Framing, ResponseHead } from './head.ts'
import { MethodId } from './methods.ts'
import { NO_ERROR, ParseStatus, Step } from './parse-status.ts'
import { saysHttp11, VERSION_BYTES, versionProblem } from './version.ts'

export { ParseStatus } from './parse-status.ts'

const {
  EK_BAD_CONTENT_LENGTH,
  EK_BAD_FIELD_VALUE,
  EK_BAD_RESPONSE,
  EK_BARE_CR,
  EK_BARE_LF,
  EK_HEAD_TOO_LARGE,
  EK_RESPONSE_HEAD_TOO_LARGE,
  EK_TOO_MANY_FIELDS,
} = ERROR_INDEX

export interface ResponseLimits {
  /** The whole head with its empty line. */
  readonly headBytes: number
  readonly fieldCount: number
}

/** What comes next. */
const At = {
  /** Nothing of a response has come yet. */
  START: 0,
  /** `HTTP/1.x` SP. */
  VERSION: 1,
  /** Three digits. */
  STATUS: 2,
  /** The SP behind the status, or the CR of a line without a reason. */
  STATUS_END: 3,
  REASON: 4,
  LINE_LF: 5,
  FIELDS: 6,
  /** A head is whole: the next byte begins the next message. */
  DONE: 7,
  BROKEN: 8,
} as const

export class ResponseParser implements FieldRules {
  /** Valid from `DONE` until the next `feed`. */
  readonly head: ResponseHead = new ResponseHead()
  /** May be replaced between messages. */
  limits: ResponseLimits
  /** After `DONE`: the index in the chunk just given that is right behind the head. */
  consumed = 0
  /** After `ERROR`: the index of `EK_BAD_RESPONSE` or `EK_RESPONSE_HEAD_TOO_LARGE`. */
  error: number = NO_ERROR
  /** After `ERROR`: the index of the rule that is broken, in the words for requests; for counting and logging. */
  problem: number = NO_ERROR
  /** What the responses answer; set by `expect`. */
  readonly request: { method: number } = { method: MethodId.GET }

  readonly #section: FieldSection = new FieldSection(this.head, this)
  readonly #framing = new FramingFields()
  readonly #connection = new ConnectionField('response')
  readonly #carry = new Carry()
  #at: number = At.START
  /** Where the part that is being read begins, as far as its end depends on that. */
  #mark = 0
  #hasUpgrade = false

  constructor(limits: ResponseLimits) {
    this.limits = limits
  }

  /** Says which method the next response answers, a `MethodId`: one to HEAD has no body, whatever its fields say. */
  expect(method: number): void {
    this.request.method = method
  }

  /** Has nothing of a next message come? */
  get idle(): boolean {
    return this.#at === At.START || this.#at === At.DONE
  }

  /** Forgets everything and lets go of all bytes; for an idle connection or one after an error. */
  reset(): void {
    this.#begin()
    this.#carry.release()
    this.head.bytes = this.#carry.bytes
  }

  /**
   * Takes in `bytes[start, end)`. On `MORE` the chunk is free again; on `DONE` from one chunk `head.bytes` is that chunk,
   * so it must stay as it is while the head is used. Returns a `ParseStatus`.
   */
  feed(bytes: Buffer, start: number, end: number): number {
    if (this.#at >= At.DONE) {
      if (this.#at === At.BROKEN) return ParseStatus.ERROR
      this.#begin()
    }
    if (this.#carry.length > 0) return this.#feedOn(bytes, start, end)

    const head = this.head
    head.bytes = bytes
    if (this.#at === At.START) {
      if (start === end) return ParseStatus.MORE
      head.start = start
      this.#mark = start
      this.#at = At.VERSION
    }
    const limit = start + this.limits.headBytes
    const stop = end < limit ? end : limit
    const position = this.#run(bytes, start, stop)
    if (position >= 0) {
      this.consumed = position
      return ParseStatus.DONE
    }
    if (position === Step.BROKEN) return ParseStatus.ERROR
    if (stop === limit) return this.#fail(EK_HEAD_TOO_LARGE)
    this.#carry.append(bytes, start, end)
    this.#mark -= start
    head.rebase(start)
    head.bytes = this.#carry.bytes
    return ParseStatus.MORE
  }

  /** The head began in an earlier chunk: goes on in the carry. */
  #feedOn(bytes: Buffer, start: number, end: number): number {
    const carry = this.#carry
    const before = carry.length
    const limit = this.limits.headBytes
    const taken = Math.min(end - start, limit - before)
    carry.append(bytes, start, start + taken)
    this.head.bytes = carry.bytes
    const position = this.#run(carry.bytes, before, carry.length)
    if (position >= 0) {
      this.consumed = start + position - before
      return ParseStatus.DONE
    }
    if (position === Step.BROKEN) return ParseStatus.ERROR
    return carry.length >= limit ? this.#fail(EK_HEAD_TOO_LARGE) : ParseStatus.MORE
  }

  /** Returns the position behind the head, or a `Step`. */
  #run(bytes: Buffer, from: number, stop: number): number {
    let position = from
    if (this.#at !== At.FIELDS) {
      position = this.#statusLine(bytes, from, stop)
      if (position < 0) return position
      this.head.fieldsStart = position
      this.#section.begin(this.limits.fieldCount)
      this.#at = At.FIELDS
    }
    position = this.#section.scan(bytes, position, stop)
    if (position === Step.BROKEN) return this.#broken(this.#section.problem)
    if (position === Step.STARVED) return position
    const problem = this.#finish(position)
    if (problem !== NO_ERROR) return this.#broken(problem)
    this.#at = At.DONE
    return position
  }

  #begin(): void {
    this.#at = At.START
    this.#carry.clear()
    this.#framing.reset()
    this.#connection.reset()
    this.#hasUpgrade = false
    this.error = NO_ERROR
    this.problem = NO_ERROR
    this.head.count = 0
    this.head.status = 0
  }

  /** Returns the position behind the status line, or a `Step`. */
  #statusLine(bytes: Buffer, from: number, stop: number): number {
    const head = this.head
    let position = from
    let at = this.#at

    for (;;) {
      if (at === At.VERSION) {
        const version = this.#mark
        const isWhole = position === version && position + VERSION_BYTES <= stop
        if (isWhole && saysHttp11(bytes, position)) position += VERSION_BYTES
        while (position < stop && position < version + VERSION_BYTES) {
          const problem = versionProblem(bytes[position]!, position - version)
          if (problem !== NO_ERROR) return this.#broken(problem)
          position++
        }
        if (position === stop) break
        if (bytes[position] !== SP) return this.#broken(wrongInLine(bytes[position]!))
        head.versionMinor = bytes[version + 7] === ZERO ? 0 : 1
        position++
        this.#mark = position
        at = At.STATUS
      }

      if (at === At.STATUS) {
        while (position < stop && position < this.#mark + 3) {
          const byte = bytes[position]!
          if (byte < ZERO || byte > NINE) return this.#broken(wrongInLine(byte))
          head.status = head.status * 10 + (byte - ZERO)
          position++
        }
        if (position < this.#mark + 3) break
        // RFC 9110 section 15: the first digit is a class, and there are five.
        if (head.status < 100 || head.status > 599) return this.#broken(EK_BAD_RESPONSE)
        at = At.STATUS_END
      }

      if (at === At.STATUS_END) {
        if (position === stop) break
        const byte = bytes[position]!
        // Small servers leave out the reason together with its SP. Nothing is ambiguous in that, and our own line has it.
        if (byte === SP) position++
        else if (byte !== CR) return this.#broken(wrongInLine(byte))
        head.reasonStart = position
        at = At.REASON
      }

      if (at === At.REASON) {
        while (position < stop && FIELD_TEXT[bytes[position]!] === 1) position++
        if (position === stop) break
        const byte = bytes[position]!
        if (byte !== CR) return this.#broken(byte === LF ? EK_BARE_LF : EK_BAD_FIELD_VALUE)
        head.reasonEnd = position
        position++
        at = At.LINE_LF
      }

      if (at === At.LINE_LF) {
        if (position === stop) break
        if (bytes[position] !== LF) return this.#broken(EK_BARE_CR)
        return position + 1
      }
    }

    this.#at = at
    return Step.STARVED
  }

  knownField(index: number, id: number): number {
    const head = this.head
    if ((head.flags[index]! & FieldFlag.VARIANT) !== 0) return NO_ERROR
    const { bytes } = head
    const start = head.valueStart[index]!
    const end = head.valueEnd[index]!
    switch (id) {
      case FieldId.CONTENT_LENGTH:
        return this.#framing.readContentLength(bytes, start, end)
      case FieldId.TRANSFER_ENCODING:
        return this.#framing.readTransferEncoding(bytes, start, end, head.versionMinor)
      case FieldId.CONNECTION:
        return this.#connection.read(bytes, start, end)
      case FieldId.UPGRADE:
        this.#hasUpgrade = true
        return NO_ERROR
      default:
        return NO_ERROR
    }
  }

  /** The fields are all there: what they mean together. Returns the error it is, or `NO_ERROR`. */
  #finish(end: number): number {
    const head = this.head
    const framing = this.#framing
    const connection = this.#connection
    const { method } = this.request
    const { status } = head
    head.end = end

    const hasNeverBody = status < 200 || status === 204
    // RFC 9110 section 8.6: no Content-Length there. A zero is often sent and true; another number promises bytes that
    // the next response would be taken for.
    if (hasNeverBody && framing.contentLength > 0) return EK_BAD_CONTENT_LENGTH

    if (connection.namesOthers) connection.markNamed(head)
    head.keepAlive = connection.keepsAlive(head.versionMinor)
    head.upgrade = this.#hasUpgrade && connection.namesUpgrade && head.versionMinor === 1
    head.contentLength = 0

    // RFC 9112 section 6.3, in its order.
    const isBodiless = hasNeverBody || status === 304 || method === MethodId.HEAD
    if (isBodiless || (method === MethodId.CONNECT && status < 300)) {
      head.framing = Framing.NONE
      // Some servers send the empty chunked body that they announce on a 204, some do not: nothing may follow either.
      if (hasNeverBody && framing.isChunked) head.keepAlive = false
    } else if (framing.isChunked) {
      head.framing = Framing.CHUNKED
    } else if (framing.contentLength >= 0) {
      head.framing = Framing.LENGTH
      head.contentLength = framing.contentLength
    } else {
      head.framing = Framing.CLOSE
      head.keepAlive = false
    }
    head.regular = this.#section.isRegular && !connection.namesOthers
    return NO_ERROR
  }

  #broken(problem: number): number {
    this.problem = problem
    const isSize = problem === EK_HEAD_TOO_LARGE || problem === EK_TOO_MANY_FIELDS
    this.error = isSize ? EK_RESPONSE_HEAD_TOO_LARGE : EK_BAD_RESPONSE
    this.#at = At.BROKEN
    return Step.BROKEN
  }

  #fail(problem: number): number {
    this.#broken(problem)
    return ParseStatus.ERROR
  }
}

function wrongInLine(byte: number): number {
  return byte === LF ? EK_BARE_LF : EK_BAD_RESPONSE
}
