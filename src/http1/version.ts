/** The HTTP version, the same at the end of a request line and at the beginning of a status line (RFC 9112 section 2.3). */
import { ERROR_INDEX } from '../core/errors.ts'
import { DOT, NINE, ONE, ZERO } from './bytes.ts'
import { NO_ERROR } from './parse-status.ts'

const { EK_BAD_VERSION, EK_VERSION_UNSUPPORTED } = ERROR_INDEX

export const VERSION_BYTES = 'HTTP/1.1'.length

const NAME = Buffer.from('HTTP/')

/**
 * What is wrong with a byte of `HTTP/1.x` at an offset in it, or `NO_ERROR`.
 * Any version but 1.0 and 1.1 is unsupported. A minor above 1 would have to be read as 1 (RFC 9110 section 2.5), but none
 * was ever defined, so whoever sends one is probing.
 */
export function versionProblem(byte: number, offset: number): number {
  if (offset < NAME.length) return byte === NAME[offset] ? NO_ERROR : EK_BAD_VERSION
  if (offset === 6) return byte === DOT ? NO_ERROR : EK_BAD_VERSION
  if (byte === ONE || (offset === 7 && byte === ZERO)) return NO_ERROR
  return byte >= ZERO && byte <= NINE ? EK_VERSION_UNSUPPORTED : EK_BAD_VERSION
}

/** Do eight bytes say `HTTP/1.1`? What nearly everybody sends, in a tenth of the time; all else goes byte by byte. */
export function saysHttp11(bytes: Buffer, start: number): boolean {
  return (
    bytes[start] === 0x48 &&
    bytes[start + 1] === 0x54 &&
    bytes[start + 2] === 0x54 &&
    bytes[start + 3] === 0x50 &&
    bytes[start + 4] === 0x2f &&
    bytes[start + 5] === 0x31 &&
    bytes[start + 6] === 0x2e &&
    bytes[start + 7] === 0x31
  )
}
