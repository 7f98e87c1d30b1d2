/** The bytes with a meaning of their own, by the names RFC 9110 gives them. Text is read with `latin1`. */
export const HTAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SP = 0x20
export const DQUOTE = 0x22
export const ASTERISK = 0x2a
export const COMMA = 0x2c
export const DOT = 0x2e
export const SLASH = 0x2f
export const ZERO = 0x30
export const ONE = 0x31
export const NINE = 0x39
export const COLON = 0x3a
export const SEMICOLON = 0x3b
export const EQUALS = 0x3d
export const OPEN_BRACKET = 0x5b
export const BACKSLASH = 0x5c
export const CLOSE_BRACKET = 0x5d

/** ASCII letters differ by this bit in case. */
export const CASE_BIT = 0x20

/** Do the bytes say `lowerCase`, in any case? */
export function saysFolded(bytes: Buffer, start: number, end: number, lowerCase: string): boolean {
  if (end - start !== lowerCase.length) return false
  for (let i = 0; i < lowerCase.length; i++) {
    const byte = bytes[start + i]!
    const wanted = lowerCase.charCodeAt(i)
    // Only letters are folded: "^" and "~" differ by the case bit as well.
    const isLetter = wanted >= 0x61 && wanted <= 0x7a
    if (byte !== wanted && !(isLetter && (byte | CASE_BIT) === wanted)) return false
  }
  return true
}
