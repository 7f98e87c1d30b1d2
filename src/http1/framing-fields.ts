/**
 * The two fields that say where a message ends (RFC 9112 section 6). Request smuggling is two parsers that disagree on
 * them, so there is one spelling of each that is understood here, and every other is refused.
 */
import { ERROR_INDEX } from '../core/errors.ts'
import { NINE, saysFolded, ZERO } from './bytes.ts'
import { NO_ERROR } from './parse-status.ts'

const {
  EK_BAD_CONTENT_LENGTH,
  EK_CHUNKED_IN_HTTP_1_0,
  EK_LENGTH_AND_CHUNKED,
  EK_REPEATED_CONTENT_LENGTH,
  EK_REPEATED_TRANSFER_ENCODING,
  EK_UNKNOWN_TRANSFER_CODING,
} = ERROR_INDEX

/** 999 999 999 999 999 is the largest number of all nines below 2^53: what is read is exact in a double. */
const MOST_DIGITS = 15

export class FramingFields {
  /** Of Content-Length; -1 when there is none. */
  contentLength = -1
  /** Transfer-Encoding is there, and says `chunked`. */
  isChunked = false

  reset(): void {
    this.contentLength = -1
    this.isChunked = false
  }

  /**
   * Content-Length = 1*DIGIT (RFC 9110 section 8.6), and stricter than that:
   * - A list of equal numbers ("5, 5") and a repeated field are refused, as that section allows.
   * - No leading zero: "010" is ten here and eight to a parser that leaves the base to strtol.
   */
  readContentLength(bytes: Buffer, start: number, end: number): number {
    if (this.contentLength >= 0) return EK_REPEATED_CONTENT_LENGTH
    if (this.isChunked) return EK_LENGTH_AND_CHUNKED
    const digits = end - start
    if (digits === 0 || digits > MOST_DIGITS) return EK_BAD_CONTENT_LENGTH
    if (bytes[start] === ZERO && digits > 1) return EK_BAD_CONTENT_LENGTH
    let length = 0
    for (let i = start; i < end; i++) {
      const byte = bytes[i]!
      if (byte < ZERO || byte > NINE) return EK_BAD_CONTENT_LENGTH
      length = length * 10 + (byte - ZERO)
    }
    this.contentLength = length
    return NO_ERROR
  }

  /**
   * Transfer-Encoding: `chunked`, once (RFC 9112 section 6.1). Other codings may stand before it by that section, but a
   * proxy that frames anew would have to undo them. HTTP/1.0 with this field is faulty framing, by the same section.
   */
  readTransferEncoding(bytes: Buffer, start: number, end: number, versionMinor: number): number {
    if (versionMinor === 0) return EK_CHUNKED_IN_HTTP_1_0
    if (this.isChunked) return EK_REPEATED_TRANSFER_ENCODING
    if (this.contentLength >= 0) return EK_LENGTH_AND_CHUNKED
    if (!saysFolded(bytes, start, end, 'chunked')) return EK_UNKNOWN_TRANSFER_CODING
    this.isChunked = true
    return NO_ERROR
  }
}
