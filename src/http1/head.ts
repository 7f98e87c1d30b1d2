/** A parsed message head: where things stand in the bytes. Nothing is copied out until somebody asks for text. */
import { saysFolded } from './bytes.ts'
import { latin1 } from './latin1.ts'

export { MethodId } from './methods.ts'

/** How the length of a body is known (RFC 9112 section 6.3). */
export const Framing = {
  /** There is no body. */
  NONE: 0,
  /** `contentLength` bytes. */
  LENGTH: 1,
  /** Chunks. */
  CHUNKED: 2,
  /** Until the connection closes; responses only. */
  CLOSE: 3,
} as const
export type Framing = (typeof Framing)[keyof typeof Framing]

/** The four forms of a request target (RFC 9112 section 3.2). */
export const TargetForm = {
  /** `/path?query` */
  ORIGIN: 0,
  /** `http://authority/path?query` */
  ABSOLUTE: 1,
  /** `*`, for OPTIONS alone. */
  ASTERISK: 2,
  /** `host:port`, for CONNECT alone. */
  AUTHORITY: 3,
} as const
export type TargetForm = (typeof TargetForm)[keyof typeof TargetForm]

/** What the path holds that its normal form does not, as bits; 0 means that the path is its own normal form. */
export const TargetFlag = {
  PERCENT: 1,
  /** There is a `/.`: perhaps a dot segment, perhaps a hidden file. */
  DOT_SEGMENT: 2,
  BACKSLASH: 4,
  DOUBLE_SLASH: 8,
} as const

const NO_BYTES = Buffer.alloc(0)
/** A browser sends 12 to 20 fields, so most heads never grow the columns. */
const FIRST_CAPACITY = 24

/**
 * What request, response and trailer section have in common.
 *
 * All positions are offsets into `bytes`, which is the chunk that was fed or, when a head came in several chunks, the
 * parser's own buffer. Belongs to its parser and is valid until the parser is fed the next message.
 */
export class MessageHead {
  bytes: Buffer = NO_BYTES
  /** `[start, end)` is the head, from the first byte of its start line to its empty line. */
  start = 0
  end = 0
  /** First byte behind the start line's CRLF. */
  fieldsStart = 0
  /** How many fields there are; rows of the six columns below. */
  count = 0
  /** Position of the first byte of a field's name, and of its colon. */
  nameStart: Int32Array
  nameEnd: Int32Array
  /** The value without the white space around it. */
  valueStart: Int32Array
  valueEnd: Int32Array
  /** `FieldId`. */
  id: Uint8Array
  /** Bits of `FieldFlag`. */
  flags: Uint8Array
  versionMinor: 0 | 1 = 1
  /** May another message follow on this connection, as far as this one says (RFC 9112 section 9.3)? */
  keepAlive = true
  /** Upgrade is there, Connection names it, and the version has it (RFC 9110 section 7.8). */
  upgrade = false
  framing: Framing = Framing.NONE
  /** Bytes of the body when `framing` is `LENGTH`, else 0. */
  contentLength = 0
  /** Every field is passed on as it stands: the fields may be sliced in one run. */
  regular = true

  constructor(capacity: number = FIRST_CAPACITY) {
    this.nameStart = new Int32Array(capacity)
    this.nameEnd = new Int32Array(capacity)
    this.valueStart = new Int32Array(capacity)
    this.valueEnd = new Int32Array(capacity)
    this.id = new Uint8Array(capacity)
    this.flags = new Uint8Array(capacity)
  }

  /** Index of the first field of this name at or behind `from`, -1 when there is none. Case does not matter. */
  find(lowerCaseName: string, from = 0): number {
    for (let i = from; i < this.count; i++) {
      if (saysFolded(this.bytes, this.nameStart[i]!, this.nameEnd[i]!, lowerCaseName)) return i
    }
    return -1
  }

  /** The value of a field, one character a byte. */
  value(index: number): string {
    return latin1(this.bytes, this.valueStart[index]!, this.valueEnd[index]!)
  }

  /** The name of a field as it was spelled. */
  name(index: number): string {
    return latin1(this.bytes, this.nameStart[index]!, this.nameEnd[index]!)
  }

  /** Bytes of the head as text, one character a byte. */
  text(start: number, end: number): string {
    return latin1(this.bytes, start, end)
  }

  /** Makes room for at least one more field, for at most `limit`; the parser's business. */
  grow(limit: number): void {
    const capacity = Math.min(limit, Math.max(FIRST_CAPACITY, this.nameStart.length * 2))
    this.nameStart = grown(this.nameStart, new Int32Array(capacity))
    this.nameEnd = grown(this.nameEnd, new Int32Array(capacity))
    this.valueStart = grown(this.valueStart, new Int32Array(capacity))
    this.valueEnd = grown(this.valueEnd, new Int32Array(capacity))
    this.id = grown(this.id, new Uint8Array(capacity))
    this.flags = grown(this.flags, new Uint8Array(capacity))
  }

  /** The byte at `origin` moved to 0, and every position with it, those of the field being read too; the parser's business. */
  rebase(origin: number): void {
    this.start -= origin
    this.end -= origin
    this.fieldsStart -= origin
    const rows = Math.min(this.count + 1, this.nameStart.length)
    for (let i = 0; i < rows; i++) {
      this.nameStart[i] = this.nameStart[i]! - origin
      this.nameEnd[i] = this.nameEnd[i]! - origin
      this.valueStart[i] = this.valueStart[i]! - origin
      this.valueEnd[i] = this.valueEnd[i]! - origin
    }
  }
}

/** The head of a request. */
export class RequestHead extends MessageHead {
  methodStart = 0
  methodEnd = 0
  /** `MethodId`. */
  method = 0
  targetStart = 0
  targetEnd = 0
  targetForm: TargetForm = TargetForm.ORIGIN
  /**
   * Path with query. `*` in asterisk form, equal offsets in authority form.
   * In absolute form the path may be missing: equal offsets, or a `?` first, and then `/` is meant (RFC 9110 section 4.2.3).
   */
  pathStart = 0
  pathEnd = 0
  /** The `?`, or `pathEnd` when there is no query. */
  queryStart = 0
  /** Host and port: of an absolute or authority-form target, else of Host; equal when there is none (HTTP/1.0). */
  authorityStart = 0
  authorityEnd = 0
  /** Bits of `TargetFlag`. */
  targetFlags = 0
  /** Index of the Host field, -1 when there is none. */
  hostIndex = -1
  /** The client waits for a 100 before it sends its body (RFC 9110 section 10.1.1); never in HTTP/1.0. */
  expectContinue = false

  override rebase(origin: number): void {
    super.rebase(origin)
    this.methodStart -= origin
    this.methodEnd -= origin
    this.targetStart -= origin
    this.targetEnd -= origin
    this.pathStart -= origin
    this.pathEnd -= origin
    this.queryStart -= origin
    this.authorityStart -= origin
    this.authorityEnd -= origin
  }
}

/** The head of a response. */
export class ResponseHead extends MessageHead {
  /** 100 to 599. */
  status = 0
  /** The reason phrase; equal offsets when it is empty. */
  reasonStart = 0
  reasonEnd = 0

  override rebase(origin: number): void {
    super.rebase(origin)
    this.reasonStart -= origin
    this.reasonEnd -= origin
  }
}

function grown<Column extends Int32Array | Uint8Array>(from: Column, to: Column): Column {
  to.set(from)
  return to
}
