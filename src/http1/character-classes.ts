/**
 * Which bytes may stand where, as tables of 256: one read decides. Shape of each: index = byte, value = class.
 *
 * All of HTTP/1.1 is checked against these, so what they leave out can not reach an endpoint:
 * CR, LF and NUL are in no class at all, bytes from 0x80 only in field values and reason phrases.
 */

/** `tchar` of RFC 9110 section 5.6.2: methods, field names, connection options. 1: is one. */
export const TOKEN = table("!#$%&'*+-.^_`|~", '0-9', 'A-Z', 'a-z')

/**
 * What a field value or reason phrase is made of (RFC 9110 section 5.5): HTAB, SP, visible ASCII, obs-text. 1: is one.
 * obs-text stays: names of files and people travel in it, and no parser splits messages at such a byte.
 */
export const FIELD_TEXT = table('\t', ' -~', '\x80-\xff')

/** Classes of `PATH_BYTES` and `QUERY_BYTES`. */
export const TargetByte = {
  PLAIN: 0,
  SLASH: 1,
  DOT: 2,
  PERCENT: 3,
  BACKSLASH: 4,
  QUESTION: 5,
  SPACE: 6,
  REFUSED: 7,
} as const

/**
 * The path of a request target.
 *
 * RFC 3986 allows less than clients send, and a byte more is harmless as long as it ends neither the target nor the line.
 * So in the path `{ } | ^ [ ]` and the backtick are taken: RFC 2396 called them "unwise", browsers and link builders send some of them raw.
 * Its "delims" `< > "` are refused: every URL library encodes them in a path.
 * `#` is refused everywhere (a fragment is never sent; a parser that cuts there sees another path than one that does not).
 * The backslash has a class of its own: the parser takes it, `normalPath` refuses it.
 * Bytes from 0x80 and below 0x21 are refused: RFC 9112 section 3.2 has no white space, and non-ASCII is read differently
 * (Latin-1, UTF-8, cut off) by different parsers.
 */
export const PATH_BYTES = targetTable('<>"', {
  '/': 'SLASH',
  '.': 'DOT',
  '%': 'PERCENT',
  '\\': 'BACKSLASH',
  '?': 'QUESTION',
  ' ': 'SPACE',
})

/** The query of a request target: as the path, but raw `< > " \` are taken too (JSON typed into curl), and nothing needs noting. */
export const QUERY_BYTES = targetTable('', { ' ': 'SPACE' })

/** Classes of `HOST_BYTES`. */
export const HostByte = { REFUSED: 0, NAME: 1, DOT: 2 } as const

/**
 * A host that is a name or an IPv4 address: the unreserved characters of RFC 3986.
 * Narrower than its reg-name: sub-delims and percent-encoding are legal there, stand in no name that resolves, and are
 * read differently by different parsers (`a.example,b.example`, `a%2eexample`).
 */
export const HOST_BYTES = hostTable()

/** The value of a hexadecimal digit, 255 for any other byte. */
export const HEX_VALUE = hexTable()

/** Each argument is a range like `a-z`, or else the characters themselves. */
function table(...parts: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(256)
  for (const part of parts) {
    const isRange = part.length === 3 && part[1] === '-'
    if (isRange) bytes.fill(1, part.charCodeAt(0), part.charCodeAt(2) + 1)
    else for (const character of part) bytes[character.charCodeAt(0)] = 1
  }
  return bytes
}

function targetTable(alsoRefused: string, classes: Readonly<Record<string, keyof typeof TargetByte>>): Uint8Array {
  const bytes = new Uint8Array(256).fill(TargetByte.REFUSED)
  bytes.fill(TargetByte.PLAIN, 0x21, 0x7f)
  for (const character of `#${alsoRefused}`) bytes[character.charCodeAt(0)] = TargetByte.REFUSED
  for (const [character, name] of Object.entries(classes)) bytes[character.charCodeAt(0)] = TargetByte[name]
  return bytes
}

function hostTable(): Uint8Array {
  const bytes = table('-_~', '0-9', 'A-Z', 'a-z')
  bytes['.'.charCodeAt(0)] = HostByte.DOT
  return bytes
}

function hexTable(): Uint8Array {
  const bytes = new Uint8Array(256).fill(255)
  for (const digit of '0123456789abcdefABCDEF') bytes[digit.charCodeAt(0)] = Number.parseInt(digit, 16)
  return bytes
}
