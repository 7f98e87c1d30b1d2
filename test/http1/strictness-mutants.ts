/**
 * The rules of the codec, each with what the codec would be without it: a mutant, made by replacing a piece of the
 * parsers' source, and inputs that the codec refuses and the mutant accepts. A rule that no mutant breaks may be a rule
 * that no test holds; so `strictness-mutants.test.ts` asks for one for each rule of `rules.ts`.
 */
import type { ErrorCode } from '../../src/core/errors.ts'

export interface Edit {
  /** In `src/http1`, without `.ts`. */
  readonly file: string
  /** Stands exactly once in the file; the test fails when it does not. */
  readonly from: string
  readonly to: string
}

export interface Mutant {
  /** The words of `rules.ts`, or of the path rules below. */
  readonly rule: string
  readonly kind: 'request' | 'response' | 'chunked' | 'path'
  readonly edits: readonly Edit[]
  /** Whole messages, refused by the codec with this code and accepted by the mutant. For paths, targets. */
  readonly code: ErrorCode
  readonly inputs: readonly string[]
  /** The mutant asks for more where the codec refuses: accepting would take more bytes than a test can send. */
  readonly asksForMore?: true
}

const HEAD = 'POST /p HTTP/1.1\r\nHost: a.example\r\n'

function request(lines: string): string {
  return `${HEAD}${lines}\r\n`
}

function target(text: string, method = 'GET'): string {
  return `${method} ${text} HTTP/1.1\r\nHost: a.example\r\n\r\n`
}

function response(lines: string, statusLine = 'HTTP/1.1 200 OK'): string {
  return `${statusLine}\r\n${lines}\r\n`
}

function host(value: string): string {
  return `GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`
}

function chunks(text: string): string {
  return `${text}0\r\n\r\n`
}

function edit(file: string, from: string, to: string): Edit {
  return { file, from, to }
}

/** Edits used by several rules. */
const FOLDS = edit(
  'field-section',
  `if (byte !== CR) return this.#broken(wrongFirst(byte))
          position++
          at = At.LAST_LF`,
  `if ((byte === SP || byte === HTAB) && count > 0) {
            count--
            at = At.VALUE
          } else {
            if (byte !== CR) return this.#broken(wrongFirst(byte))
            position++
            at = At.LAST_LF
          }`,
)
const ENDS_VALUE_AT_LF = [
  edit(
    'field-section',
    'if (byte !== CR) return this.#broken(byte === LF ?',
    'if (byte !== CR && byte !== LF) return this.#broken(byte === LF ?',
  ),
  edit(
    'field-section',
    `position++\n        at = At.FIELD_LF`,
    `if (byte === CR) position++\n        at = At.FIELD_LF`,
  ),
]
const ENDS_SECTION_AT_LF = [
  edit(
    'field-section',
    `if (byte !== CR) return this.#broken(wrongFirst(byte))\n          position++`,
    `if (byte !== CR && byte !== LF) return this.#broken(wrongFirst(byte))\n          if (byte === CR) position++`,
  ),
]
const IGNORES_BARE_CR = edit(
  'field-section',
  `if (bytes[position] !== LF) return this.#broken(EK_BARE_CR)\n        position++`,
  'position++',
)
const SKIPS_SPACE_BEFORE_COLON = edit(
  'field-section',
  `const byte = bytes[position]!
        if (byte !== COLON) return this.#broken(wrongInName(byte))
        nameEnd[count] = position`,
  `nameEnd[count] = position
        while (bytes[position] === SP || bytes[position] === HTAB) position++
        const byte = bytes[position]!
        if (byte !== COLON) return this.#broken(wrongInName(byte))`,
)
const NAMES_MAY_BE_ANYTHING = edit(
  'character-classes',
  'export const TOKEN = table(',
  "export const TOKEN = table('\\0\"(/@[\\x7f', '\\x80-\\xff', ",
)
const VALUES_MAY_BE_ANYTHING = edit(
  'character-classes',
  "export const FIELD_TEXT = table('\\t'",
  "export const FIELD_TEXT = table('\\t\\0\\x01\\x0b\\x7f'",
)
const READS_DIGITS_TO_THE_FIRST_OTHER = edit(
  'framing-fields',
  'if (byte < ZERO || byte > NINE) return EK_BAD_CONTENT_LENGTH',
  'if (byte < ZERO || byte > NINE) break',
)
const EMPTY_LENGTH_IS_ZERO = edit('framing-fields', 'digits === 0 || ', '')
const LAST_LENGTH_WINS = edit('framing-fields', 'if (this.contentLength >= 0) return EK_REPEATED_CONTENT_LENGTH', '')
const LENGTH_MAY_FOLLOW_CHUNKED = edit('framing-fields', 'if (this.isChunked) return EK_LENGTH_AND_CHUNKED', '')
const CHUNKED_MAY_FOLLOW_LENGTH = edit(
  'framing-fields',
  'if (this.contentLength >= 0) return EK_LENGTH_AND_CHUNKED',
  '',
)
const CHUNKED_ANYWHERE_IN_THE_LIST = edit(
  'framing-fields',
  "!saysFolded(bytes, start, end, 'chunked')",
  "!bytes.toString('latin1', start, end).includes('chunked')",
)
const CHUNKED_IN_1_0 = edit('framing-fields', 'if (versionMinor === 0) return EK_CHUNKED_IN_HTTP_1_0', '')
const TWICE_CHUNKED = edit('framing-fields', 'if (this.isChunked) return EK_REPEATED_TRANSFER_ENCODING', '')

export const MUTANTS: readonly Mutant[] = [
  // The request line.
  {
    rule: 'a method is a token',
    kind: 'request',
    code: 'EK_BAD_METHOD',
    edits: [
      edit(
        'request-head-parser',
        'if (TOKEN[byte] === 0) return this.broken(byte === LF ? EK_BARE_LF : EK_BAD_METHOD)',
        '',
      ),
    ],
    inputs: [target('/', '(GET'), target('/', '\x16GET'), target('/', '\tGET')],
  },
  {
    rule: 'a method is a token',
    kind: 'request',
    code: 'EK_BAD_METHOD',
    edits: [NAMES_MAY_BE_ANYTHING],
    inputs: [target('/', 'G\0T'), target('/', 'G\xc3T'), target('/', 'G@T')],
  },
  {
    rule: 'an empty line before a request is CRLF',
    kind: 'request',
    code: 'EK_BARE_LF',
    edits: [
      edit(
        'request-head-parser',
        '} else if (byte === CR) {',
        '} else if (byte === LF) {\n        at = At.START\n      } else if (byte === CR) {',
      ),
    ],
    inputs: [`\n${target('/')}`],
  },
  {
    rule: 'an empty line before a request is CRLF',
    kind: 'request',
    code: 'EK_BARE_CR',
    edits: [edit('request-head-parser', 'if (byte !== LF) return this.broken(EK_BARE_CR)', '')],
    inputs: [`\rX${target('/')}`, `\r\r${target('/')}`],
  },
  {
    rule: 'one SP parts method, target and version',
    kind: 'request',
    code: 'EK_BAD_TARGET',
    edits: [
      edit(
        'request-head-parser',
        'head.targetStart = position\n',
        'while (bytes[position] === SP) position++\n        head.targetStart = position\n',
      ),
    ],
    inputs: ['GET  / HTTP/1.1\r\nHost: a\r\n\r\n', 'GET   /x HTTP/1.1\r\nHost: a\r\n\r\n'],
  },
  {
    rule: 'one SP parts method, target and version',
    kind: 'request',
    code: 'EK_BAD_METHOD',
    edits: [
      edit(
        'request-head-parser',
        'if (bytes[position] !== SP) return this.broken(bytes[position] === LF ? EK_BARE_LF : EK_BAD_METHOD)',
        '',
      ),
    ],
    inputs: ['GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n'],
  },
  {
    rule: 'one SP parts method, target and version',
    kind: 'request',
    code: 'EK_BAD_VERSION',
    edits: [
      edit(
        'request-head-parser',
        'const version = this.mark\n',
        'while (bytes[position] === SP) position++\n        const version = (this.mark = position)\n',
      ),
    ],
    inputs: ['GET /  HTTP/1.1\r\nHost: a\r\n\r\n'],
  },
  {
    rule: 'a request line ends in CRLF',
    kind: 'request',
    code: 'EK_BARE_CR',
    edits: [edit('request-head-parser', 'return byte === LF ? NO_ERROR : EK_BARE_CR', 'return NO_ERROR')],
    inputs: ['GET / HTTP/1.1\rXHost: a\r\n\r\n', 'GET / HTTP/1.1\r\rHost: a\r\n\r\n'],
  },
  {
    rule: 'a request line ends in CRLF',
    kind: 'request',
    code: 'EK_BARE_LF',
    edits: [
      edit(
        'request-head-parser',
        'const version = this.mark\n',
        'const version = this.mark\n        if (bytes[version + 8] === LF) return version + 9\n',
      ),
    ],
    inputs: ['GET / HTTP/1.1\nHost: a\r\n\r\n'],
  },
  {
    rule: 'a target has no control byte, SP or byte above 0x7e',
    kind: 'request',
    code: 'EK_BAD_TARGET',
    edits: [
      edit(
        'character-classes',
        'bytes.fill(TargetByte.PLAIN, 0x21, 0x7f)',
        'bytes.fill(TargetByte.PLAIN, 0x21, 0x100).fill(TargetByte.PLAIN, 0, 0x0a)',
      ),
    ],
    inputs: [target('/\0'), target('/\x7f'), target('/\xe4'), target('/?\xe4'), target('/a\t'), target('/?\x01')],
  },
  {
    rule: 'a target has no fragment',
    kind: 'request',
    code: 'EK_BAD_TARGET',
    edits: [edit('character-classes', '`#$', '`$')],
    inputs: [target('/#a'), target('/?b#c')],
  },
  {
    rule: 'a path has no raw delimiters',
    kind: 'request',
    code: 'EK_BAD_TARGET',
    edits: [edit('character-classes', `targetTable('<>"'`, `targetTable(''`)],
    inputs: [target('/<a>'), target('/"a"')],
  },
  {
    rule: 'a target is in a known form',
    kind: 'request',
    code: 'EK_BAD_TARGET',
    edits: [edit('request-head-parser', 'return isLetter(byte) ? At.SCHEME : At.BROKEN', 'return At.PATH')],
    inputs: [target('a.example'), target('?a'), target('../a'), target('a.example:80')],
  },
  {
    rule: 'a target is in a known form',
    kind: 'request',
    code: 'EK_BAD_TARGET',
    edits: [edit('request-head-parser', 'return isKnown ? position : Step.BROKEN', 'return position')],
    inputs: [target('ftp://h/'), target('ws://h/'), target('htt://h/')],
  },
  {
    rule: 'a target is in a known form',
    kind: 'request',
    code: 'EK_BAD_TARGET',
    edits: [edit('request-head-parser', 'const slashesEnd = this.mark + 3', 'const slashesEnd = this.mark + 2')],
    inputs: [target('http:/h')],
  },
  {
    rule: 'an asterisk is for OPTIONS',
    kind: 'request',
    code: 'EK_BAD_TARGET',
    edits: [
      edit(
        'request-head-parser',
        'head.targetForm === TargetForm.ASTERISK && head.method !== MethodId.OPTIONS',
        'false',
      ),
    ],
    inputs: [target('*'), target('*', 'options')],
  },
  {
    rule: 'the authority of a target is a host and a port, without user information',
    kind: 'request',
    code: 'EK_BAD_TARGET',
    edits: [
      edit(
        'request-head-parser',
        'if (hostEnd(bytes, head.authorityStart, position) < 0) return this.broken(EK_BAD_TARGET)',
        '',
      ),
    ],
    inputs: [
      target('http:///x'),
      target('http://u@h/'),
      target('http://u:p@h/'),
      target('http://h:99999/'),
      target('http://[::g]/'),
    ],
  },
  {
    rule: "CONNECT's target is a host and a port",
    kind: 'request',
    code: 'EK_BAD_TARGET',
    edits: [
      edit('request-head-parser', 'if (colon < 0 || position - colon < 2) return this.broken(EK_BAD_TARGET)', ''),
    ],
    inputs: [target('/a', 'CONNECT'), target('h', 'CONNECT'), target('h:', 'CONNECT'), target('u@h:1', 'CONNECT')],
  },
  {
    rule: 'a version is HTTP/ and two digits',
    kind: 'request',
    code: 'EK_BAD_VERSION',
    edits: [edit('version', 'return byte === NAME[offset] ? NO_ERROR : EK_BAD_VERSION', 'return NO_ERROR')],
    inputs: ['GET / http/1.1\r\nHost: a\r\n\r\n', 'GET / HTTPS1.1\r\nHost: a\r\n\r\n'],
  },
  {
    rule: 'a version is HTTP/ and two digits',
    kind: 'request',
    code: 'EK_BAD_VERSION',
    edits: [edit('version', 'return byte === DOT ? NO_ERROR : EK_BAD_VERSION', 'return NO_ERROR')],
    inputs: ['GET / HTTP/1,1\r\nHost: a\r\n\r\n'],
  },
  {
    rule: 'the version is 1.0 or 1.1',
    kind: 'request',
    code: 'EK_VERSION_UNSUPPORTED',
    edits: [
      edit(
        'version',
        'return byte >= ZERO && byte <= NINE ? EK_VERSION_UNSUPPORTED : EK_BAD_VERSION',
        'return NO_ERROR',
      ),
    ],
    inputs: [
      'GET / HTTP/1.2\r\nHost: a\r\n\r\n',
      'GET / HTTP/2.0\r\nHost: a\r\n\r\n',
      'GET / HTTP/0.9\r\nHost: a\r\n\r\n',
    ],
  },

  // Field lines.
  {
    rule: 'a field line ends in CRLF',
    kind: 'request',
    code: 'EK_BARE_LF',
    edits: ENDS_VALUE_AT_LF,
    inputs: [request('A: b\nContent-Length: 5\r\n')],
  },
  {
    rule: 'a field line ends in CRLF',
    kind: 'request',
    code: 'EK_BARE_LF',
    edits: ENDS_SECTION_AT_LF,
    inputs: [`${HEAD}\n`],
  },
  {
    rule: 'a field line ends in CRLF',
    kind: 'request',
    code: 'EK_BARE_CR',
    edits: [IGNORES_BARE_CR],
    inputs: [request('A: b\rXTransfer-Encoding: chunked\r\n')],
  },
  {
    rule: 'a field line ends in CRLF',
    kind: 'request',
    code: 'EK_BARE_CR',
    edits: [
      edit(
        'field-section',
        `if (bytes[position] !== LF) return this.#broken(EK_BARE_CR)\n        this.#at`,
        'this.#at',
      ),
    ],
    inputs: [`${HEAD}\rX`],
  },
  {
    rule: 'a field does not continue on the next line',
    kind: 'request',
    code: 'EK_OBS_FOLD',
    edits: [FOLDS],
    inputs: [request('A: b\r\n c\r\n'), request('A: b\r\n\tc\r\n')],
  },
  {
    rule: 'no white space before a colon',
    kind: 'request',
    code: 'EK_SPACE_BEFORE_COLON',
    edits: [SKIPS_SPACE_BEFORE_COLON],
    inputs: [request('Content-Length : 5\r\n'), request('Transfer-Encoding\t: chunked\r\n')],
  },
  {
    rule: 'a field name is a token',
    kind: 'request',
    code: 'EK_BAD_FIELD_NAME',
    edits: [NAMES_MAY_BE_ANYTHING],
    inputs: [
      request('A\0: b\r\n'),
      request('A(b: c\r\n'),
      request('"A": b\r\n'),
      request('A\xe9: b\r\n'),
      request('A[0]: b\r\n'.replace(']', '[')),
    ],
  },
  {
    rule: 'a field name is a token',
    kind: 'request',
    code: 'EK_BAD_FIELD_NAME',
    edits: [edit('field-section', 'if (token[byte] === 0) {', 'if (token[byte] === 0 && byte !== COLON) {')],
    inputs: [request(':A: b\r\n')],
  },
  {
    rule: 'a field value has no control byte',
    kind: 'request',
    code: 'EK_BAD_FIELD_VALUE',
    edits: [VALUES_MAY_BE_ANYTHING],
    inputs: [request('A: b\0c\r\n'), request('A: \x01\r\n'), request('A: \x0b\r\n'), request('A: \x7f\r\n')],
  },

  // The framing of requests.
  {
    rule: 'Content-Length is digits',
    kind: 'request',
    code: 'EK_BAD_CONTENT_LENGTH',
    edits: [READS_DIGITS_TO_THE_FIRST_OTHER],
    inputs: ['x', '+5', '-5', '5 5', '5, 5', '5,6', '5.0', '5e1', '5;'].map((value) =>
      request(`Content-Length: ${value}\r\n`),
    ),
  },
  {
    rule: 'Content-Length is digits',
    kind: 'request',
    code: 'EK_BAD_CONTENT_LENGTH',
    edits: [EMPTY_LENGTH_IS_ZERO],
    inputs: [request('Content-Length:\r\n')],
  },
  {
    rule: 'Content-Length is below 2^53',
    kind: 'request',
    code: 'EK_BAD_CONTENT_LENGTH',
    edits: [edit('framing-fields', ' || digits > MOST_DIGITS', '')],
    inputs: [request('Content-Length: 1000000000000000\r\n'), request('Content-Length: 18446744073709551621\r\n')],
  },
  {
    rule: 'Content-Length has no leading zero',
    kind: 'request',
    code: 'EK_BAD_CONTENT_LENGTH',
    edits: [edit('framing-fields', 'if (bytes[start] === ZERO && digits > 1) return EK_BAD_CONTENT_LENGTH', '')],
    inputs: [request('Content-Length: 010\r\n'), request('Content-Length: 00\r\n')],
  },
  {
    rule: 'Content-Length stands once',
    kind: 'request',
    code: 'EK_REPEATED_CONTENT_LENGTH',
    edits: [LAST_LENGTH_WINS],
    inputs: [
      request('Content-Length: 5\r\nContent-Length: 6\r\n'),
      request('Content-Length: 5\r\nContent-Length: 5\r\n'),
    ],
  },
  {
    rule: 'Content-Length and Transfer-Encoding do not stand together',
    kind: 'request',
    code: 'EK_LENGTH_AND_CHUNKED',
    edits: [LENGTH_MAY_FOLLOW_CHUNKED],
    inputs: [request('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n')],
  },
  {
    rule: 'Content-Length and Transfer-Encoding do not stand together',
    kind: 'request',
    code: 'EK_LENGTH_AND_CHUNKED',
    edits: [CHUNKED_MAY_FOLLOW_LENGTH],
    inputs: [
      request('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'),
      request('Content-Length: 0\r\nTransfer-Encoding: chunked\r\n'),
    ],
  },
  {
    rule: 'Transfer-Encoding stands once',
    kind: 'request',
    code: 'EK_REPEATED_TRANSFER_ENCODING',
    edits: [TWICE_CHUNKED],
    inputs: [request('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n')],
  },
  {
    rule: 'the only transfer coding is chunked',
    kind: 'request',
    code: 'EK_UNKNOWN_TRANSFER_CODING',
    edits: [CHUNKED_ANYWHERE_IN_THE_LIST],
    inputs: ['gzip, chunked', 'chunked, chunked', 'xchunked', 'chunked, identity', 'chunked;q=1', '"chunked"'].map(
      (value) => request(`Transfer-Encoding: ${value}\r\n`),
    ),
  },
  {
    rule: 'the only transfer coding is chunked',
    kind: 'request',
    code: 'EK_UNKNOWN_TRANSFER_CODING',
    edits: [
      edit(
        'framing-fields',
        "if (!saysFolded(bytes, start, end, 'chunked')) return EK_UNKNOWN_TRANSFER_CODING",
        "if (!saysFolded(bytes, start, end, 'chunked')) return NO_ERROR",
      ),
    ],
    inputs: ['', 'identity', 'gzip', 'chunke'].map((value) => request(`Transfer-Encoding: ${value}\r\n`)),
  },
  {
    rule: 'HTTP/1.0 has no transfer codings',
    kind: 'request',
    code: 'EK_CHUNKED_IN_HTTP_1_0',
    edits: [CHUNKED_IN_1_0],
    inputs: ['POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n'],
  },

  // Host.
  {
    rule: 'HTTP/1.1 has Host',
    kind: 'request',
    code: 'EK_MISSING_HOST',
    edits: [edit('request-head-parser', 'if (host < 0 && head.versionMinor === 1) return EK_MISSING_HOST', '')],
    inputs: ['GET / HTTP/1.1\r\n\r\n', 'GET http://a/ HTTP/1.1\r\nA: b\r\n\r\n'],
  },
  {
    rule: 'Host stands once',
    kind: 'request',
    code: 'EK_REPEATED_HOST',
    edits: [edit('request-head-parser', 'if (head.hostIndex >= 0) return EK_REPEATED_HOST', '')],
    inputs: [
      request('Host: a.example\r\n'),
      request('HOST: b.example\r\n'),
      'GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n',
    ],
  },
  {
    rule: 'Host is a host and a port',
    kind: 'request',
    code: 'EK_BAD_HOST',
    edits: [
      edit(
        'request-head-parser',
        'return start === end || hostEnd(bytes, start, end) >= 0 ? NO_ERROR : EK_BAD_HOST',
        'return NO_ERROR',
      ),
    ],
    inputs: ['a b', 'a/b', 'a,b', 'u@b', 'a:b', ':80', 'a:1:2', '[::1', 'a%20b', 'http://a'].map(host),
  },
  {
    rule: 'Host is a host and a port',
    kind: 'request',
    code: 'EK_BAD_HOST',
    edits: [edit('host', 'return isPort(bytes, nameEnd + 1, end) ? nameEnd : -1', 'return nameEnd')],
    inputs: ['a:b', 'a:65536', 'a:-1', 'a:80:80', 'a:80@b', '[::1]:x'].map(host),
  },
  {
    rule: 'Host is a host and a port',
    kind: 'request',
    code: 'EK_BAD_HOST',
    edits: [edit('host', 'return port <= LARGEST_PORT', 'return true')],
    inputs: ['a:65536', 'a:99999'].map(host),
  },
  {
    rule: 'Host is a host and a port',
    kind: 'request',
    code: 'EK_BAD_HOST',
    edits: [edit('host', 'if (!isAfterLabel) return -1', '')],
    inputs: ['.', '.a', 'a..b'].map(host),
  },
  {
    rule: 'Host is a host and a port',
    kind: 'request',
    code: 'EK_BAD_HOST',
    edits: [edit('host', 'position < end && isIpv6(bytes, start + 1, position)', 'position < end')],
    inputs: ['[]', '[:::1]', '[1::2::3]', '[::g]', '[fe80::1%25eth0]', '[a@b]', '[::1.2.3.256]'].map(host),
  },
  {
    rule: 'Host is a host and a port',
    kind: 'request',
    code: 'EK_BAD_HOST',
    edits: [edit('character-classes', "table('-_~',", "table('-_~,;*%',")],
    inputs: ['a,b', 'a;b', '*', 'a%20b'].map(host),
  },
  {
    rule: 'Host is not empty, unless the target brings the host',
    kind: 'request',
    code: 'EK_BAD_HOST',
    edits: [
      edit('request-head-parser', 'if (host >= 0 && head.authorityStart === head.authorityEnd) return EK_BAD_HOST', ''),
    ],
    inputs: [host(''), 'OPTIONS * HTTP/1.1\r\nHost: \r\n\r\n'],
  },

  // Connection and Expect.
  {
    rule: 'Connection does not name Host, the framing, or a field of ours',
    kind: 'request',
    code: 'EK_BAD_CONNECTION',
    edits: [edit('connection-field', 'else if (this.#forbids[name] === 1) return EK_BAD_CONNECTION', '')],
    inputs: [
      'host',
      'Content-Length',
      'close, transfer-encoding',
      'via',
      'X-Real-IP',
      'expect',
      'X-Request-Id',
      'forwarded',
    ].map((value) => request(`Connection: ${value}\r\n`)),
  },
  {
    rule: 'Connection does not name Host, the framing, or a field of ours',
    kind: 'request',
    code: 'EK_BAD_CONNECTION',
    edits: [
      edit(
        'connection-field',
        'else if (!this.#mayNameForwarded && beginsWithXForwarded(bytes, start, end)) return EK_BAD_CONNECTION',
        '',
      ),
    ],
    inputs: [request('Connection: x-forwarded-server\r\n'), request('Connection: X-Forwarded-Prefix\r\n')],
  },
  {
    rule: 'Connection is a list of tokens',
    kind: 'request',
    code: 'EK_BAD_CONNECTION',
    edits: [
      edit('connection-field', 'return next === end || bytes[next] === COMMA ? position : -1', 'return position'),
    ],
    inputs: [request('Connection: close keep-alive\r\n'), request('Connection: a b, c\r\n')],
  },
  {
    rule: 'Connection has at most 32 options',
    kind: 'request',
    code: 'EK_BAD_CONNECTION',
    edits: [edit('connection-field', ' || ++this.#count > MOST_OPTIONS', '')],
    inputs: [request(`Connection: ${'a,'.repeat(33)}\r\n`), request('Connection: a,b,c,d,e,f,g,h,i,j,k\r\n'.repeat(3))],
  },
  {
    rule: 'the only expectation is 100-continue',
    kind: 'request',
    code: 'EK_BAD_EXPECT',
    edits: [edit('request-head-parser', "this.#hasExpect || !saysFolded(bytes, start, end, '100-continue')", 'false')],
    inputs: [
      request('Expect: 200-ok\r\n'),
      request('Expect:\r\n'),
      request('Expect: 100-continue\r\nExpect: 100-continue\r\n'),
    ],
  },

  // Limits.
  {
    rule: 'the request line is bounded',
    kind: 'request',
    code: 'EK_REQUEST_LINE_TOO_LONG',
    edits: [edit('request-head-parser', 'if (limit < stop) stop = limit', '')],
    inputs: [target(`/${'x'.repeat(9000)}`)],
  },
  {
    rule: 'the head is bounded',
    kind: 'request',
    code: 'EK_HEAD_TOO_LARGE',
    edits: [edit('head-parser', 'const stop = end < limit ? end : limit', 'const stop = end')],
    inputs: [request(`A: ${'x'.repeat(40_000)}\r\n`)],
  },
  {
    rule: 'fields are bounded',
    kind: 'request',
    code: 'EK_TOO_MANY_FIELDS',
    edits: [
      edit('field-section', 'if (count >= this.#limit) return this.#broken(EK_TOO_MANY_FIELDS)', ''),
      edit('field-section', 'head.grow(this.#limit)', 'head.grow(1000)'),
    ],
    inputs: [request('A: b\r\n'.repeat(100))],
  },

  // Responses.
  {
    rule: 'a response begins with its version',
    kind: 'response',
    code: 'EK_BAD_VERSION',
    edits: [
      edit(
        'response-head-parser',
        'head.start = position\n',
        'while (bytes[position] === CR || bytes[position] === LF) position++\n      head.start = position\n',
      ),
    ],
    inputs: [`\r\n${response('')}`, `\n${response('')}`],
  },
  {
    rule: 'a response begins with its version',
    kind: 'response',
    code: 'EK_VERSION_UNSUPPORTED',
    edits: [
      edit(
        'version',
        'return byte >= ZERO && byte <= NINE ? EK_VERSION_UNSUPPORTED : EK_BAD_VERSION',
        'return NO_ERROR',
      ),
    ],
    inputs: [response('', 'HTTP/2.0 200 OK'), response('', 'HTTP/1.2 200 OK')],
  },
  {
    rule: 'one SP parts version and status',
    kind: 'response',
    code: 'EK_BAD_RESPONSE',
    edits: [
      edit('response-head-parser', 'if (bytes[position] !== SP) return this.broken(wrongInLine(bytes[position]!))', ''),
    ],
    inputs: [response('', 'HTTP/1.1\t200 OK'), response('', 'HTTP/1.1x200 OK')],
  },
  {
    rule: 'one SP parts version and status',
    kind: 'response',
    code: 'EK_BAD_RESPONSE',
    edits: [
      edit(
        'response-head-parser',
        `position++\n        this.mark = position`,
        `while (bytes[position] === SP) position++\n        this.mark = position`,
      ),
    ],
    inputs: [response('', 'HTTP/1.1  200 OK')],
  },
  {
    rule: 'a status is three digits',
    kind: 'response',
    code: 'EK_BAD_RESPONSE',
    edits: [edit('response-head-parser', 'if (byte < ZERO || byte > NINE) return this.broken(wrongInLine(byte))', '')],
    inputs: [response('', 'HTTP/1.1 1:0 OK'), response('', 'HTTP/1.1 20; OK')],
  },
  {
    rule: 'a status is three digits',
    kind: 'response',
    code: 'EK_BAD_RESPONSE',
    edits: [edit('response-head-parser', 'else if (byte !== CR) return this.broken(wrongInLine(byte))', '')],
    inputs: [response('', 'HTTP/1.1 2000 OK'), response('', 'HTTP/1.1 200OK')],
  },
  {
    rule: 'a status is from 100 to 599',
    kind: 'response',
    code: 'EK_BAD_RESPONSE',
    edits: [
      edit(
        'response-head-parser',
        'if (head.status < 100 || head.status > 599) return this.broken(EK_BAD_RESPONSE)',
        '',
      ),
    ],
    inputs: [
      response('', 'HTTP/1.1 000 No'),
      response('', 'HTTP/1.1 099 No'),
      response('', 'HTTP/1.1 600 No'),
      response('', 'HTTP/1.1 999 No'),
    ],
  },
  {
    rule: 'a reason has no control byte',
    kind: 'response',
    code: 'EK_BAD_FIELD_VALUE',
    edits: [VALUES_MAY_BE_ANYTHING],
    inputs: [response('', 'HTTP/1.1 200 O\0K'), response('', 'HTTP/1.1 200 \x7f')],
  },
  {
    rule: 'a status line ends in CRLF',
    kind: 'response',
    code: 'EK_BARE_CR',
    edits: [edit('response-head-parser', 'if (bytes[position] !== LF) return this.broken(EK_BARE_CR)', '')],
    inputs: ['HTTP/1.1 200 OK\rXA: b\r\n\r\n'],
  },
  {
    rule: 'a status line ends in CRLF',
    kind: 'response',
    code: 'EK_BARE_LF',
    edits: [
      edit(
        'response-head-parser',
        'if (byte !== CR) return this.broken(byte === LF ?',
        'if (byte !== CR && byte !== LF) return this.broken(byte === LF ?',
      ),
      edit(
        'response-head-parser',
        `head.reasonEnd = position\n        position++`,
        `head.reasonEnd = position\n        if (byte === CR) position++`,
      ),
    ],
    inputs: ['HTTP/1.1 200 OK\nA: b\r\n\r\n'],
  },
  {
    rule: 'its fields are as strict as those of a request',
    kind: 'response',
    code: 'EK_BARE_LF',
    edits: ENDS_VALUE_AT_LF,
    inputs: [response('A: b\nContent-Length: 5\r\n')],
  },
  {
    rule: 'its fields are as strict as those of a request',
    kind: 'response',
    code: 'EK_BARE_CR',
    edits: [IGNORES_BARE_CR],
    inputs: [response('A: b\rXB: c\r\n')],
  },
  {
    rule: 'its fields are as strict as those of a request',
    kind: 'response',
    code: 'EK_OBS_FOLD',
    edits: [FOLDS],
    inputs: [response('A: b\r\n c\r\n')],
  },
  {
    rule: 'its fields are as strict as those of a request',
    kind: 'response',
    code: 'EK_SPACE_BEFORE_COLON',
    edits: [SKIPS_SPACE_BEFORE_COLON],
    inputs: [response('Content-Length : 5\r\n')],
  },
  {
    rule: 'its fields are as strict as those of a request',
    kind: 'response',
    code: 'EK_BAD_FIELD_NAME',
    edits: [NAMES_MAY_BE_ANYTHING],
    inputs: [response('A\0: b\r\n')],
  },
  {
    rule: 'its fields are as strict as those of a request',
    kind: 'response',
    code: 'EK_BAD_FIELD_VALUE',
    edits: [VALUES_MAY_BE_ANYTHING],
    inputs: [response('A: b\0\r\n')],
  },
  {
    rule: 'its framing is as strict as that of a request',
    kind: 'response',
    code: 'EK_BAD_CONTENT_LENGTH',
    edits: [READS_DIGITS_TO_THE_FIRST_OTHER],
    inputs: [response('Content-Length: 5, 5\r\n'), response('Content-Length: 5x\r\n')],
  },
  {
    rule: 'its framing is as strict as that of a request',
    kind: 'response',
    code: 'EK_REPEATED_CONTENT_LENGTH',
    edits: [LAST_LENGTH_WINS],
    inputs: [response('Content-Length: 5\r\nContent-Length: 5\r\n')],
  },
  {
    rule: 'its framing is as strict as that of a request',
    kind: 'response',
    code: 'EK_LENGTH_AND_CHUNKED',
    edits: [CHUNKED_MAY_FOLLOW_LENGTH],
    inputs: [response('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n')],
  },
  {
    rule: 'its framing is as strict as that of a request',
    kind: 'response',
    code: 'EK_LENGTH_AND_CHUNKED',
    edits: [LENGTH_MAY_FOLLOW_CHUNKED],
    inputs: [response('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n')],
  },
  {
    rule: 'its framing is as strict as that of a request',
    kind: 'response',
    code: 'EK_UNKNOWN_TRANSFER_CODING',
    edits: [CHUNKED_ANYWHERE_IN_THE_LIST],
    inputs: [response('Transfer-Encoding: gzip, chunked\r\n')],
  },
  {
    rule: 'its framing is as strict as that of a request',
    kind: 'response',
    code: 'EK_CHUNKED_IN_HTTP_1_0',
    edits: [CHUNKED_IN_1_0],
    inputs: [response('Transfer-Encoding: chunked\r\n', 'HTTP/1.0 200 OK')],
  },
  {
    rule: 'its framing is as strict as that of a request',
    kind: 'response',
    code: 'EK_REPEATED_TRANSFER_ENCODING',
    edits: [TWICE_CHUNKED],
    inputs: [response('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n')],
  },
  {
    rule: 'a response that never has a body does not announce one',
    kind: 'response',
    code: 'EK_BAD_CONTENT_LENGTH',
    edits: [edit('response-head-parser', 'if (hasNeverBody && contentLength > 0) return EK_BAD_CONTENT_LENGTH', '')],
    inputs: [
      response('Content-Length: 5\r\n', 'HTTP/1.1 204 No Content'),
      response('Content-Length: 5\r\n', 'HTTP/1.1 103 Early Hints'),
    ],
  },
  {
    rule: 'Connection in a response does not name Content-Length',
    kind: 'response',
    code: 'EK_BAD_CONNECTION',
    edits: [edit('connection-field', 'forbidden([FieldId.CONTENT_LENGTH])', 'forbidden([])')],
    inputs: [response('Connection: content-length\r\n')],
  },
  {
    rule: 'the head of a response is bounded',
    kind: 'response',
    code: 'EK_HEAD_TOO_LARGE',
    edits: [edit('head-parser', 'const stop = end < limit ? end : limit', 'const stop = end')],
    inputs: [response(`A: ${'x'.repeat(70_000)}\r\n`)],
  },

  // Chunked bodies.
  {
    rule: 'a chunk begins with a hexadecimal digit',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK',
    edits: [
      edit('chunked', 'case At.SIZE_FIRST: {', 'case At.SIZE_FIRST: {\n        if (byte < 0x30) return At.SIZE_FIRST'),
    ],
    inputs: [chunks(' 5\r\nhello\r\n'), chunks('+5\r\nhello\r\n'), chunks('\r\n5\r\nhello\r\n')],
  },
  {
    rule: 'a size is hexadecimal digits',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK',
    edits: [
      edit(
        'chunked',
        'if (digit > 15) return this.#endOfPart(byte, At.BEFORE_SEMICOLON, EK_BAD_CHUNK)',
        'if (digit > 15) return byte > 0x60 || byte === 0 || byte === 0x2e ? At.SIZE : this.#endOfPart(byte, At.BEFORE_SEMICOLON, EK_BAD_CHUNK)',
      ),
    ],
    inputs: [
      chunks('0x5\r\nhello\r\n'),
      chunks('5g\r\nhello\r\n'),
      chunks('5\0\r\nhello\r\n'),
      chunks('5.\r\nhello\r\n'),
    ],
  },
  {
    rule: 'a size has at most 15 digits',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK',
    edits: [edit('chunked', '++this.#digits > MOST_SIZE_DIGITS || ', '')],
    inputs: [chunks('0000000000000005\r\nhello\r\n'), chunks(`${'0'.repeat(1000)}5\r\nhello\r\n`)],
  },
  {
    rule: 'a size is below 2^53',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK',
    edits: [edit('chunked', ' || this.#size > Number.MAX_SAFE_INTEGER', '')],
    inputs: ['20000000000000\r\nhello', 'ffffffffffffff\r\nhello'],
    asksForMore: true,
  },
  {
    rule: 'a size line ends in CRLF',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK',
    edits: [
      edit(
        'chunked',
        'if (byte === CR) return At.SIZE_LF',
        'if (byte === LF) return this.#endOfLine()\n    if (byte === CR) return At.SIZE_LF',
      ),
    ],
    inputs: [chunks('5\nhello\r\n'), '5\r\nhello\r\n0\n\r\n'],
  },
  {
    rule: 'a size line ends in CRLF',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK',
    edits: [
      edit(
        'chunked',
        `case At.SIZE_LF:\n        if (byte !== LF) return this.#broken(EK_BAD_CHUNK)`,
        'case At.SIZE_LF:',
      ),
    ],
    inputs: [chunks('5\rXhello\r\n')],
  },
  {
    rule: 'data ends in CRLF',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK',
    edits: [edit('chunked', 'return byte === CR ? At.DATA_LF : this.#broken(EK_BAD_CHUNK)', 'return At.DATA_LF')],
    inputs: [chunks('5\r\nhelloX\n'), chunks('5\r\nhello\n\n')],
  },
  {
    rule: 'data ends in CRLF',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK',
    edits: [edit('chunked', 'return byte === LF ? At.SIZE_FIRST : this.#broken(EK_BAD_CHUNK)', 'return At.SIZE_FIRST')],
    inputs: [chunks('5\r\nhello\rX')],
  },
  {
    rule: 'white space before an extension is followed by one',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK_EXTENSION',
    edits: [
      edit(
        'chunked',
        'return byte === SEMICOLON ? At.BEFORE_NAME : this.#broken(EK_BAD_CHUNK_EXTENSION)\n      case At.BEFORE_NAME',
        'if (byte === CR) return At.SIZE_LF\n        return byte === SEMICOLON ? At.BEFORE_NAME : this.#broken(EK_BAD_CHUNK_EXTENSION)\n      case At.BEFORE_NAME',
      ),
    ],
    inputs: [chunks('5 \r\nhello\r\n'), chunks('5;a=b \r\nhello\r\n'), chunks('5;a="b"\t\r\nhello\r\n')],
  },
  {
    rule: 'an extension is a name, with a token or a quoted string',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK_EXTENSION',
    edits: [
      edit(
        'chunked',
        'switch (this.#at) {\n      case At.BEFORE_SEMICOLON',
        'if (byte === CR) return At.SIZE_LF\n    if (byte > 0x1f) return At.NAME\n    switch (this.#at) {\n      case At.BEFORE_SEMICOLON',
      ),
    ],
    inputs: ['5;', '5;=b', '5;a=', '5;a=b=c', '5;a b', '5;;', '5;a="b"c', '5;a=b"', '5;a=('].map((line) =>
      chunks(`${line}\r\nhello\r\n`),
    ),
  },
  {
    rule: 'an extension has no control byte, CR or LF',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK_EXTENSION',
    edits: [
      edit(
        'chunked',
        'switch (this.#at) {\n      case At.BEFORE_SEMICOLON',
        'if (byte === LF) return this.#endOfLine()\n    switch (this.#at) {\n      case At.BEFORE_SEMICOLON',
      ),
    ],
    inputs: [chunks('5;a\nhello\r\n'), chunks('5;a="\nhello\r\n')],
  },
  {
    rule: 'an extension has no control byte, CR or LF',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK_EXTENSION',
    edits: [
      edit(
        'chunked',
        'return FIELD_TEXT[byte] === 1 ? At.VALUE_QUOTED : this.#broken(EK_BAD_CHUNK_EXTENSION)\n      case At.QUOTED_PAIR',
        'return At.VALUE_QUOTED\n      case At.QUOTED_PAIR',
      ),
    ],
    inputs: [chunks('5;a="\r\n"\r\nhello\r\n'), chunks('5;a="\0"\r\nhello\r\n')],
  },
  {
    rule: 'an extension has at most 256 bytes',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK_EXTENSION',
    edits: [edit('chunked', '++this.#extensionBytes > MOST_EXTENSION_BYTES && byte !== CR', 'false')],
    inputs: [chunks(`5;${'a'.repeat(257)}\r\nhello\r\n`), chunks(`5;a="${'b'.repeat(5000)}"\r\nhello\r\n`)],
  },
  {
    rule: 'the lines of chunks are not far longer than the data',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK_EXTENSION',
    edits: [edit('chunked', 'if (this.#excess > MOST_EXCESS_BYTES) return this.#broken(EK_BAD_CHUNK_EXTENSION)', '')],
    inputs: [chunks(`1;${'a'.repeat(250)}\r\nx\r\n`.repeat(80))],
  },
  {
    rule: 'trailers are fields',
    kind: 'chunked',
    code: 'EK_BAD_TRAILER',
    edits: ENDS_VALUE_AT_LF,
    inputs: ['0\r\nA: b\n\r\n'],
  },
  {
    rule: 'trailers are fields',
    kind: 'chunked',
    code: 'EK_BAD_TRAILER',
    edits: [SKIPS_SPACE_BEFORE_COLON],
    inputs: ['0\r\nA : b\r\n\r\n'],
  },
  {
    rule: 'trailers are fields',
    kind: 'chunked',
    code: 'EK_BAD_TRAILER',
    edits: [FOLDS],
    inputs: ['0\r\nA: b\r\n c\r\n\r\n'],
  },
  {
    rule: 'trailers are fields',
    kind: 'chunked',
    code: 'EK_BAD_TRAILER',
    edits: ENDS_SECTION_AT_LF,
    inputs: ['0\r\n\n', '0\r\nA: b\r\n\n'],
  },
  {
    rule: 'trailers are fields',
    kind: 'chunked',
    code: 'EK_BAD_CHUNK',
    edits: [edit('chunked', 'return byte === LF ? At.DONE : this.#broken(EK_BAD_CHUNK)', 'return At.DONE')],
    inputs: ['0\r\n\rX'],
  },
  {
    rule: 'a trailer is no framing, routing or connection field',
    kind: 'chunked',
    code: 'EK_BAD_TRAILER',
    edits: [edit('chunked', 'return EK_BAD_TRAILER\n', 'return NO_ERROR\n')],
    inputs: ['Host', 'Content-Length', 'Transfer-Encoding', 'Connection', 'Trailer', 'X-Real-IP', 'x_real_ip'].map(
      (name) => `0\r\n${name}: 1\r\n\r\n`,
    ),
  },
  {
    rule: 'a trailer is nothing that is acted on before the body',
    kind: 'chunked',
    code: 'EK_BAD_TRAILER',
    edits: [edit('trailer-fields', 'return false', 'continue')],
    inputs: ['Authorization', 'cookie', 'Set-Cookie', 'content_type', 'X-Forwarded-Server'].map(
      (name) => `0\r\n${name}: 1\r\n\r\n`,
    ),
  },
  {
    rule: 'trailers are bounded',
    kind: 'chunked',
    code: 'EK_BAD_TRAILER',
    edits: [edit('chunked', 'const limit = this.limits.trailerBytes', 'const limit = 1e9')],
    inputs: [`0\r\nA: ${'b'.repeat(8192)}\r\n\r\n`],
  },

  // The normal path.
  {
    rule: 'no backslash',
    kind: 'path',
    code: 'EK_BAD_PATH',
    edits: [edit('target', 'if ((head.targetFlags & TargetFlag.BACKSLASH) !== 0) return null', '')],
    inputs: ['/a\\b', '/..\\a'],
  },
  {
    rule: 'no encoded NUL',
    kind: 'path',
    code: 'EK_BAD_PATH',
    edits: [edit('target', '|%00', '')],
    inputs: ['/%00', '/a%00.html'],
  },
  {
    rule: 'no percent sign without two digits',
    kind: 'path',
    code: 'EK_BAD_PATH',
    edits: [edit('target', '%(?![0-9A-Fa-f]{2})|', '')],
    inputs: ['/a%', '/a%4/b', '/%zz', '/%%41'],
  },
  {
    rule: 'no climbing above the root',
    kind: 'path',
    code: 'EK_BAD_PATH',
    edits: [edit('target', 'segments.length === 0 || hasEmpty', 'hasEmpty')],
    inputs: ['/..', '/../a', '/a/../../b', '/%2e%2e/a'],
  },
  {
    rule: 'no climbing behind an empty segment',
    kind: 'path',
    code: 'EK_BAD_PATH',
    edits: [edit('target', 'segments.length === 0 || hasEmpty', 'segments.length === 0')],
    inputs: ['/a//../b'],
  },
  {
    rule: 'no dot segment with parameters',
    kind: 'path',
    code: 'EK_BAD_PATH',
    edits: [edit('target', "if (segment.startsWith('.;') || segment.startsWith('..;')) return null", '')],
    inputs: ['/a/..;/b', '/a/.;x/b', '/a/%2e%2e;/b'],
  },
]

/** Rules that are not in `rules.ts`, for they need no list of inputs there. */
export const OTHER_RULES: readonly string[] = [
  'the request line is bounded',
  'the head is bounded',
  'fields are bounded',
  'the head of a response is bounded',
  'no backslash',
  'no encoded NUL',
  'no percent sign without two digits',
  'no climbing above the root',
  'no climbing behind an empty segment',
  'no dot segment with parameters',
]
