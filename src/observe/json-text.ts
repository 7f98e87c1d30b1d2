/**
 * JSON string literals in pure ASCII, for lines built by concatenation.
 *
 * Everything outside printable ASCII becomes `\uXXXX`: control bytes, DEL, latin1 high bytes (field values come as latin1, so
 * one character is one byte on the wire), U+2028/9 and lone surrogates. What results has as many bytes as characters, cannot
 * move a terminal's cursor, and parses back to the same text.
 */

/** Anything that may not stand in the literal as it is: all but printable ASCII, the quote and the backslash. */
const UNSAFE = /[^\x20\x21\x23-\x5b\x5d-\x7e]/
const EACH_UNSAFE = /[^\x20\x21\x23-\x5b\x5d-\x7e]/g

/** The escapes of the first 256 code units, so that hostile bytes cost a lookup each. */
const ESCAPES: readonly string[] = Array.from({ length: 256 }, (_, code) => {
  const short: Record<number, string> = { 8: '\\b', 9: '\\t', 10: '\\n', 12: '\\f', 13: '\\r', 34: '\\"', 92: '\\\\' }
  return short[code] ?? `\\u${code.toString(16).padStart(4, '0')}`
})

/** The JSON literal of a text, quotes included. */
export function jsonText(text: string): string {
  return UNSAFE.test(text) ? `"${text.replace(EACH_UNSAFE, escapeOne)}"` : `"${text}"`
}

function escapeOne(unit: string): string {
  const code = unit.charCodeAt(0)
  return ESCAPES[code] ?? `\\u${code.toString(16).padStart(4, '0')}`
}
