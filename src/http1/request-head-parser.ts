/**
 * Bytes → request heads (RFC 9112 sections 2 to 6). Strict: what two parsers could read in two ways is an error, for a
 * proxy stands in front of a second parser. Every rule has a row in test/http1/strictness-mutants.ts.
 *
 *     request-line = method SP request-target SP HTTP-version CRLF, then the field section
 */
import { ERROR_INDEX } from '../core/errors.ts'
import { ASTERISK, CASE_BIT, COLON, CR, LF, SLASH, SP, saysFolded, ZERO } from './bytes.ts'
import { PATH_BYTES, QUERY_BYTES, TargetByte, TOKEN } from './character-classes.ts'
import { ConnectionField } from './connection-field.ts'
import { FieldFlag, FieldId } from './fields.ts'
import { Framing, RequestHead, TargetFlag, TargetForm } from './head.ts'
import { At as AtHead, type HeadLimits, HeadParser } from './head-parser.ts'
import { hostEnd } from './host.ts'
import { MethodId, methodOf } from './methods.ts'
import { NO_ERROR, Step } from './parse-status.ts'
import { saysHttp11, VERSION_BYTES, versionProblem } from './version.ts'

export { ParseStatus } from './parse-status.ts'

const {
  EK_BAD_EXPECT,
  EK_BAD_HOST,
  EK_BAD_METHOD,
  EK_BAD_TARGET,
  EK_BAD_VERSION,
  EK_BARE_CR,
  EK_BARE_LF,
  EK_MISSING_HOST,
  EK_REPEATED_HOST,
  EK_REQUEST_LINE_TOO_LONG,
} = ERROR_INDEX

export interface RequestLimits extends HeadLimits {
  /** The request line without its CRLF. */
  readonly requestLineBytes: number
}

/** What comes next. */
const At = {
  ...AtHead,
  METHOD: AtHead.FIRST_OF_LINE,
  /** The first byte of the target. */
  TARGET: 3,
  PATH: 4,
  QUERY: 5,
  SCHEME: 6,
  /** The two slashes behind the scheme's colon. */
  SCHEME_SLASHES: 7,
  /** The authority of an absolute target. */
  AUTHORITY: 8,
  /** CONNECT's target. */
  CONNECT_AUTHORITY: 9,
  /** The SP behind an asterisk. */
  ASTERISK_END: 10,
  /** `HTTP/1.x` CRLF. */
  VERSION: 11,
} as const

const VERSION_LINE_BYTES = VERSION_BYTES + 2

export class RequestHeadParser extends HeadParser<RequestHead, RequestLimits> {
  #hasExpect = false

  constructor(limits: RequestLimits) {
    super(new RequestHead(), limits, new ConnectionField('request'))
  }

  protected override begin(): void {
    super.begin()
    this.#hasExpect = false
    this.head.hostIndex = -1
    this.head.targetFlags = 0
  }

  protected override readStartLine(bytes: Buffer, from: number, stopOfHead: number): number {
    const head = this.head
    let position = from
    let at = this.at
    let stop = stopOfHead

    // RFC 9112 section 2.2: a server ignores empty lines before a request; old clients send one behind a body.
    while (at <= At.START_LF) {
      if (position === stop) {
        this.at = at
        return Step.STARVED
      }
      const byte = bytes[position]!
      if (at === At.START_LF) {
        if (byte !== LF) return this.broken(EK_BARE_CR)
        at = At.START
      } else if (byte === CR) {
        at = At.START_LF
      } else {
        // The first byte of TLS (0x16) ends here, and with it a handshake on a plain port.
        if (TOKEN[byte] === 0) return this.broken(byte === LF ? EK_BARE_LF : EK_BAD_METHOD)
        head.start = position
        head.methodStart = position
        at = At.METHOD
      }
      position++
    }

    const limit = head.start + this.limits.requestLineBytes + 2
    if (limit < stop) stop = limit

    // Not repeated: each part is followed by the next one, and left by `break` where the bytes run out.
    for (;;) {
      if (at === At.METHOD) {
        while (position < stop && TOKEN[bytes[position]!] === 1) position++
        if (position === stop) break
        if (bytes[position] !== SP) return this.broken(bytes[position] === LF ? EK_BARE_LF : EK_BAD_METHOD)
        head.methodEnd = position
        head.method = methodOf(bytes, head.methodStart, position)
        position++
        at = At.TARGET
      }

      if (at === At.TARGET) {
        if (position === stop) break
        head.targetStart = position
        at = this.#targetStart(bytes[position]!, position)
        if (at === At.BROKEN) return this.broken(EK_BAD_TARGET)
        // A slash or a letter is looked at again as part of the path, the scheme or the authority.
        if (at === At.ASTERISK_END) position++
      }

      if (at === At.SCHEME) {
        position = this.#scheme(bytes, position, stop)
        if (position === Step.BROKEN) return this.broken(EK_BAD_TARGET)
        if (position === stop) break
        this.mark = position
        position++
        at = At.SCHEME_SLASHES
      }

      if (at === At.SCHEME_SLASHES) {
        const slashesEnd = this.mark + 3
        while (position < stop && position < slashesEnd && bytes[position] === SLASH) position++
        if (position < slashesEnd) {
          if (position === stop) break
          return this.broken(EK_BAD_TARGET)
        }
        head.authorityStart = position
        at = At.AUTHORITY
      }

      if (at === At.AUTHORITY) {
        while (position < stop && !endsAuthority(bytes[position]!)) position++
        if (position === stop) break
        if (hostEnd(bytes, head.authorityStart, position) < 0) return this.broken(EK_BAD_TARGET)
        head.authorityEnd = position
        head.pathStart = position
        at = At.PATH
      }

      if (at === At.PATH) {
        let flags = head.targetFlags
        let kind: number = TargetByte.PLAIN
        for (; position < stop; position++) {
          kind = PATH_BYTES[bytes[position]!]!
          if (kind === TargetByte.PLAIN) continue
          if (kind === TargetByte.SLASH) {
            if (bytes[position - 1] === SLASH) flags |= TargetFlag.DOUBLE_SLASH
          } else if (kind === TargetByte.DOT) {
            if (bytes[position - 1] === SLASH) flags |= TargetFlag.DOT_SEGMENT
          } else if (kind === TargetByte.PERCENT) flags |= TargetFlag.PERCENT
          else if (kind === TargetByte.BACKSLASH) flags |= TargetFlag.BACKSLASH
          else break
        }
        head.targetFlags = flags
        if (position === stop) break
        head.queryStart = position
        if (kind === TargetByte.QUESTION) at = At.QUERY
        else if (kind === TargetByte.SPACE) at = At.VERSION
        else return this.broken(wrongInTarget(bytes[position]!))
        if (at === At.VERSION) this.#endTarget(position)
        position++
      }

      if (at === At.QUERY) {
        while (position < stop && QUERY_BYTES[bytes[position]!] === TargetByte.PLAIN) position++
        if (position === stop) break
        if (bytes[position] !== SP) return this.broken(wrongInTarget(bytes[position]!))
        this.#endTarget(position)
        position++
        at = At.VERSION
      }

      if (at === At.CONNECT_AUTHORITY) {
        while (position < stop && PATH_BYTES[bytes[position]!] !== TargetByte.SPACE) {
          if (PATH_BYTES[bytes[position]!] === TargetByte.REFUSED) return this.broken(wrongInTarget(bytes[position]!))
          position++
        }
        if (position === stop) break
        // RFC 9112 section 3.2.3: host and port, both.
        const colon = hostEnd(bytes, head.targetStart, position)
        if (colon < 0 || position - colon < 2) return this.broken(EK_BAD_TARGET)
        head.authorityStart = head.targetStart
        head.authorityEnd = position
        head.pathStart = position
        head.queryStart = position
        this.#endTarget(position)
        position++
        at = At.VERSION
      }

      if (at === At.ASTERISK_END) {
        if (position === stop) break
        if (bytes[position] !== SP) return this.broken(wrongInTarget(bytes[position]!))
        head.queryStart = position
        this.#endTarget(position)
        position++
        at = At.VERSION
      }

      if (at === At.VERSION) {
        const version = this.mark
        const isWhole = position === version && position + VERSION_BYTES <= stop
        if (isWhole && saysHttp11(bytes, position)) position += VERSION_BYTES
        while (position < stop && position < version + VERSION_LINE_BYTES) {
          const problem = versionLineProblem(bytes[position]!, position - version)
          if (problem !== NO_ERROR) return this.broken(problem)
          position++
        }
        if (position < version + VERSION_LINE_BYTES) break
        head.versionMinor = bytes[version + 7] === ZERO ? 0 : 1
        // Judged only now, so that the preface of HTTP/2, `PRI * HTTP/2.0`, is told that its version is not spoken.
        if (head.targetForm === TargetForm.ASTERISK && head.method !== MethodId.OPTIONS)
          return this.broken(EK_BAD_TARGET)
        return position
      }
    }

    if (position === limit) return this.broken(EK_REQUEST_LINE_TOO_LONG)
    this.at = at
    return Step.STARVED
  }

  /** The target is told by its first byte, and CONNECT's by the method (RFC 9112 section 3.2). Returns what comes next. */
  #targetStart(byte: number, position: number): number {
    const head = this.head
    if (head.method === MethodId.CONNECT) {
      head.targetForm = TargetForm.AUTHORITY
      return At.CONNECT_AUTHORITY
    }
    head.pathStart = position
    if (byte === SLASH) {
      head.targetForm = TargetForm.ORIGIN
      return At.PATH
    }
    if (byte === ASTERISK) {
      head.targetForm = TargetForm.ASTERISK
      return At.ASTERISK_END
    }
    head.targetForm = TargetForm.ABSOLUTE
    return isLetter(byte) ? At.SCHEME : At.BROKEN
  }

  /** Returns the position of the scheme's colon, `stop`, or `Step.BROKEN` when the scheme is neither http nor https. */
  #scheme(bytes: Buffer, from: number, stop: number): number {
    const start = this.head.targetStart
    for (let position = from; position < stop; position++) {
      const byte = bytes[position]!
      if (byte === COLON) {
        const isKnown = saysFolded(bytes, start, position, 'http') || saysFolded(bytes, start, position, 'https')
        return isKnown ? position : Step.BROKEN
      }
      if (!isLetter(byte) || position - start >= 'https'.length) return Step.BROKEN
    }
    return stop
  }

  /** The SP behind the target is at `position`. */
  #endTarget(position: number): void {
    this.head.targetEnd = position
    this.head.pathEnd = position
    this.mark = position + 1
  }

  override knownField(index: number, id: number): number {
    const head = this.head
    if (id !== FieldId.HOST && id !== FieldId.EXPECT) return super.knownField(index, id)
    // Neither name has a "-", so neither has a variant.
    const { bytes } = head
    const start = head.valueStart[index]!
    const end = head.valueEnd[index]!
    if (id === FieldId.HOST) {
      if (head.hostIndex >= 0) return EK_REPEATED_HOST
      head.hostIndex = index
      // An empty Host is judged with the target, in `finish`.
      return start === end || hostEnd(bytes, start, end) >= 0 ? NO_ERROR : EK_BAD_HOST
    }
    // RFC 9110 section 10.1.1. Twice the same is a list that no client sends, and is refused with the unknown.
    if (this.#hasExpect || !saysFolded(bytes, start, end, '100-continue')) return EK_BAD_EXPECT
    this.#hasExpect = true
    // In HTTP/1.0 it is ignored, by the same section: the endpoint, which we speak 1.1 with, must not obey it either.
    if (head.versionMinor === 0) head.flags[index]! |= FieldFlag.HOP
    return NO_ERROR
  }

  protected override finish(end: number): number {
    const head = this.head
    head.end = end

    // RFC 9112 section 3.2: HTTP/1.1 has Host, even when the target is absolute and makes it void.
    const host = head.hostIndex
    if (host < 0 && head.versionMinor === 1) return EK_MISSING_HOST
    if (head.targetForm === TargetForm.ORIGIN || head.targetForm === TargetForm.ASTERISK) {
      head.authorityStart = host < 0 ? end : head.valueStart[host]!
      head.authorityEnd = host < 0 ? end : head.valueEnd[host]!
      // RFC 9110 section 4.2.1: an http URI with an empty host is invalid. Elsewhere the target brings the host.
      if (host >= 0 && head.authorityStart === head.authorityEnd) return EK_BAD_HOST
    }

    this.finishConnection()
    // The Host of an absolute target is replaced (RFC 9112 section 3.2.2).
    if (head.targetForm === TargetForm.ABSOLUTE) head.regular = false
    head.expectContinue = this.#hasExpect && head.versionMinor === 1

    const { isChunked, contentLength } = this.framing
    if (isChunked) head.framing = Framing.CHUNKED
    else head.framing = contentLength < 0 ? Framing.NONE : Framing.LENGTH
    head.contentLength = contentLength < 0 ? 0 : contentLength
    return NO_ERROR
  }

  protected override blame(problem: number): void {
    this.error = problem
  }
}

/** A line that ends in its target is HTTP/0.9's: its version is missing. */
function wrongInTarget(byte: number): number {
  if (byte === LF) return EK_BARE_LF
  return byte === CR ? EK_BAD_VERSION : EK_BAD_TARGET
}

/** What is wrong with a byte of `HTTP/1.x` CRLF at an offset in it, or `NO_ERROR`. */
function versionLineProblem(byte: number, offset: number): number {
  if (offset < VERSION_BYTES) return versionProblem(byte, offset)
  if (offset > VERSION_BYTES) return byte === LF ? NO_ERROR : EK_BARE_CR
  if (byte === CR) return NO_ERROR
  return byte === LF ? EK_BARE_LF : EK_BAD_VERSION
}

/** The authority of an absolute target ends at its path, its query, or the target's end; what else stops here is refused with it. */
function endsAuthority(byte: number): boolean {
  const kind = PATH_BYTES[byte]
  return (
    kind === TargetByte.SLASH ||
    kind === TargetByte.QUESTION ||
    kind === TargetByte.SPACE ||
    kind === TargetByte.REFUSED
  )
}

function isLetter(byte: number): boolean {
  const lower = byte | CASE_BIT
  return lower >= 0x61 && lower <= 0x7a
}
