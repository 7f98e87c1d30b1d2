/** Bytes that a rule refuses, by error: used by the tests of the parsers and by the list of mutants. */
import type { ErrorCode } from '../../src/core/errors.ts'

export interface Refused {
  readonly text: string
  readonly code: ErrorCode
  /** How many bytes can be seen before the error must be told; undefined: all of them. */
  readonly seen?: number
}

const HOST = 'Host: a.example\r\n'
const END = '\r\n'

/** A request with these field lines behind Host. */
export function withFields(lines: string): string {
  return `POST /p HTTP/1.1\r\n${HOST}${lines}${END}`
}

/** A request for this target. */
export function withTarget(target: string, method = 'GET'): string {
  return `${method} ${target} HTTP/1.1\r\n${HOST}${END}`
}

function refused(code: ErrorCode, ...texts: readonly string[]): Refused[] {
  return texts.map((text) => ({ text, code }))
}

/** The error must come with the byte before the bar. */
function early(code: ErrorCode, ...marked: readonly string[]): Refused[] {
  return marked.map((text) => {
    const seen = text.indexOf('¦')
    if (seen < 0) throw new Error(`no bar in ${text}`)
    return { text: text.replace('¦', ''), code, seen }
  })
}

/** By rule. */
export const REFUSED_REQUESTS = {
  'a method is a token': [
    ...early(
      'EK_BAD_METHOD',
      '\x16¦\x03\x01\x02',
      ' ¦GET / HTTP/1.1\r\n',
      '\0¦',
      'GE\0¦T / HTTP/1.1\r\n',
      'G(¦T / HTTP/1.1\r\n',
    ),
    ...early(
      'EK_BAD_METHOD',
      'GET\t¦/ HTTP/1.1\r\n',
      'G\xc3¦\x89T / HTTP/1.1\r\n',
      'GET\r¦\n',
      '\t¦GET / HTTP/1.1\r\n',
      '{¦"a":1}',
    ),
  ],
  'an empty line before a request is CRLF': [
    ...early('EK_BARE_LF', '\n¦GET / HTTP/1.1\r\n'),
    ...early('EK_BARE_CR', '\rG¦ET / HTTP/1.1\r\n', '\r\r¦\nGET / HTTP/1.1\r\n'),
  ],
  'one SP parts method, target and version': [
    ...early('EK_BAD_TARGET', 'GET  ¦/ HTTP/1.1\r\n', 'GET \t¦/ HTTP/1.1\r\n'),
    ...early(
      'EK_BAD_VERSION',
      'GET /  ¦HTTP/1.1\r\n',
      'GET / \t¦HTTP/1.1\r\n',
      'GET /a b¦ HTTP/1.1\r\n',
      'GET / HTTP/1.1 ¦\r\n',
    ),
  ],
  'a request line ends in CRLF': [
    ...early('EK_BARE_LF', 'GET / HTTP/1.1\n¦Host: a\n\n', 'GET\n¦', 'GET /\n¦'),
    ...early('EK_BARE_CR', 'GET / HTTP/1.1\rH¦ost: a\r\n', 'GET / HTTP/1.1\r\r¦\n'),
  ],
  'a target has no control byte, SP or byte above 0x7e': [
    ...early(
      'EK_BAD_TARGET',
      'GET /\0¦ HTTP/1.1\r\n',
      'GET /a\x7f¦ HTTP/1.1\r\n',
      'GET /\xe4¦ HTTP/1.1\r\n',
      'GET /?q=\xe4¦ HTTP/1.1\r\n',
    ),
    ...early(
      'EK_BAD_TARGET',
      'GET /\x0b¦a HTTP/1.1\r\n',
      'GET /a?\x01¦ HTTP/1.1\r\n',
      'GET /a\t¦ HTTP/1.1\r\n',
      'GET *\0¦ HTTP/1.1\r\n',
    ),
  ],
  'a target has no fragment': early(
    'EK_BAD_TARGET',
    'GET /#¦a HTTP/1.1\r\n',
    'GET /a?b#¦c HTTP/1.1\r\n',
    'GET #¦ HTTP/1.1\r\n',
  ),
  'a path has no raw delimiters': early(
    'EK_BAD_TARGET',
    'GET /<¦a HTTP/1.1\r\n',
    'GET /a>¦ HTTP/1.1\r\n',
    'GET /"¦ HTTP/1.1\r\n',
  ),
  'a target is in a known form': [
    ...early(
      'EK_BAD_TARGET',
      'GET a.¦example HTTP/1.1\r\n',
      'GET ?¦a HTTP/1.1\r\n',
      'GET .¦/a HTTP/1.1\r\n',
      'GET \\¦a HTTP/1.1\r\n',
    ),
    ...early(
      'EK_BAD_TARGET',
      'GET ftp:¦//h/ HTTP/1.1\r\n',
      'GET gopher¦://h/ HTTP/1.1\r\n',
      'GET http:/a¦ HTTP/1.1\r\n',
      'GET **¦ HTTP/1.1\r\n',
    ),
    ...early(
      'EK_BAD_TARGET',
      'GET htt:¦//h/ HTTP/1.1\r\n',
      'OPTIONS */¦a HTTP/1.1\r\n',
      'GET http:h¦ HTTP/1.1\r\n',
      'GET 1¦ HTTP/1.1\r\n',
    ),
  ],
  'an asterisk is for OPTIONS': refused('EK_BAD_TARGET', withTarget('*'), withTarget('*', 'options')),
  'the authority of a target is a host and a port, without user information': [
    ...early(
      'EK_BAD_TARGET',
      'GET http:///¦x HTTP/1.1\r\n',
      'GET http://u@h/¦x HTTP/1.1\r\n',
      'GET http://h:x/¦ HTTP/1.1\r\n',
    ),
    ...early(
      'EK_BAD_TARGET',
      'GET http://u:p@h/¦ HTTP/1.1\r\n',
      'GET http://h\\x/¦ HTTP/1.1\r\n',
      'GET http://h:99999/¦ HTTP/1.1\r\n',
    ),
    ...early(
      'EK_BAD_TARGET',
      'GET http://[::g]/¦ HTTP/1.1\r\n',
      'GET https://h\0¦/ HTTP/1.1\r\n',
      'GET http:// ¦HTTP/1.1\r\n',
    ),
  ],
  "CONNECT's target is a host and a port": [
    ...early(
      'EK_BAD_TARGET',
      'CONNECT /a ¦HTTP/1.1\r\n',
      'CONNECT h ¦HTTP/1.1\r\n',
      'CONNECT h: ¦HTTP/1.1\r\n',
      'CONNECT * ¦HTTP/1.1\r\n',
    ),
    ...early(
      'EK_BAD_TARGET',
      'CONNECT u@h:1 ¦HTTP/1.1\r\n',
      'CONNECT http://h:1/ ¦HTTP/1.1\r\n',
      'CONNECT :1 ¦HTTP/1.1\r\n',
    ),
  ],
  'a version is HTTP/ and two digits': [
    ...early(
      'EK_BAD_VERSION',
      'GET / h¦ttp/1.1\r\n',
      'GET / HTTP/x¦.1\r\n',
      'GET / HTTP/1,¦1\r\n',
      'GET / HTTP/1.x¦\r\n',
      'GET / \r¦\n',
    ),
    ...early(
      'EK_BAD_VERSION',
      'GET / HTTP/1.10¦\r\n',
      'GET / HTTP/11¦.1\r\n',
      'GET / HTTPS¦/1.1\r\n',
      'GET / HTTP ¦/1.1\r\n',
    ),
    ...early('EK_BAD_VERSION', 'GET /\r¦\n', 'GET /?q\r¦\n', 'OPTIONS *\r¦\n', 'GET / HTTP/+¦1.1\r\n'),
  ],
  'the version is 1.0 or 1.1': [
    ...early(
      'EK_VERSION_UNSUPPORTED',
      'PRI * HTTP/2¦.0\r\n\r\nSM\r\n\r\n',
      'GET / HTTP/0¦.9\r\n',
      'GET / HTTP/1.2¦\r\n',
      'GET / HTTP/3¦.0\r\n',
    ),
  ],
  'a field line ends in CRLF': [
    ...early(
      'EK_BARE_LF',
      'GET / HTTP/1.1\r\nHost: a\n¦',
      'GET / HTTP/1.1\r\n\n¦',
      'GET / HTTP/1.1\r\nHost: a\r\n\n¦',
      'GET / HTTP/1.1\r\nHost\n¦',
    ),
    ...early(
      'EK_BARE_CR',
      'GET / HTTP/1.1\r\nHost: a\rX¦: y\r\n',
      'GET / HTTP/1.1\r\nA: b\r\r¦\n',
      'GET / HTTP/1.1\r\nHost: a\r\n\rX¦',
    ),
  ],
  'a field does not continue on the next line': early(
    'EK_OBS_FOLD',
    'GET / HTTP/1.1\r\nHost: a\r\n ¦b\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\n\t¦b\r\n\r\n',
    'GET / HTTP/1.1\r\n ¦Host: a\r\n\r\n',
  ),
  'no white space before a colon': early(
    'EK_SPACE_BEFORE_COLON',
    'GET / HTTP/1.1\r\nHost ¦: a\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length\t¦: 5\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding ¦: chunked\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nX ¦Y: z\r\n\r\n',
  ),
  'a field name is a token': [
    ...early(
      'EK_BAD_FIELD_NAME',
      'GET / HTTP/1.1\r\n:¦ a\r\n',
      'GET / HTTP/1.1\r\nA\0¦: b\r\n',
      'GET / HTTP/1.1\r\nA\xe9¦: b\r\n',
      'GET / HTTP/1.1\r\nA(¦: b\r\n',
    ),
    ...early(
      'EK_BAD_FIELD_NAME',
      'GET / HTTP/1.1\r\nA\r¦\n',
      'GET / HTTP/1.1\r\n\0¦',
      'GET / HTTP/1.1\r\nA\x0b¦: b\r\n',
      'GET / HTTP/1.1\r\n"¦A": b\r\n',
    ),
    ...early(
      'EK_BAD_FIELD_NAME',
      'GET / HTTP/1.1\r\nA/¦b: c\r\n',
      'GET / HTTP/1.1\r\nA@¦b: c\r\n',
      'GET / HTTP/1.1\r\nA[¦b]: c\r\n',
      'GET / HTTP/1.1\r\nA\x7f¦: c\r\n',
    ),
  ],
  'a field value has no control byte': early(
    'EK_BAD_FIELD_VALUE',
    'GET / HTTP/1.1\r\nA: b\0¦\r\n',
    'GET / HTTP/1.1\r\nA: \x01¦\r\n',
    'GET / HTTP/1.1\r\nA: b\x0b¦\r\n',
    'GET / HTTP/1.1\r\nA: b\x7f¦\r\n',
    'GET / HTTP/1.1\r\nA: \x1f¦\r\n',
    'GET / HTTP/1.1\r\nTransfer-Encoding: \x0b¦chunked\r\n',
  ),
  'Content-Length is digits': [
    ...refused(
      'EK_BAD_CONTENT_LENGTH',
      ...['', 'x', '+5', '-5', '5 5', '5,5', '5, 5', '0x5', '5.0', '1e3', '"5"', '5;'].map((value) =>
        withFields(`Content-Length: ${value}\r\n`),
      ),
    ),
    ...refused('EK_BAD_CONTENT_LENGTH', withFields('Content-Length:\r\n'), withFields('Content-Length: \xb2\r\n')),
  ],
  'Content-Length is below 2^53': refused(
    'EK_BAD_CONTENT_LENGTH',
    withFields('Content-Length: 1000000000000000\r\n'),
    withFields('Content-Length: 18446744073709551621\r\n'),
  ),
  'Content-Length has no leading zero': refused(
    'EK_BAD_CONTENT_LENGTH',
    withFields('Content-Length: 010\r\n'),
    withFields('Content-Length: 00\r\n'),
  ),
  'Content-Length stands once': refused(
    'EK_REPEATED_CONTENT_LENGTH',
    withFields('Content-Length: 5\r\nContent-Length: 6\r\n'),
    withFields('Content-Length: 5\r\ncontent-length: 5\r\n'),
    withFields('Content-Length: 0\r\nA: b\r\nContent-Length: 0\r\n'),
  ),
  'Content-Length and Transfer-Encoding do not stand together': refused(
    'EK_LENGTH_AND_CHUNKED',
    withFields('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'),
    withFields('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n'),
    withFields('Content-Length: 0\r\nTransfer-Encoding: chunked\r\n'),
    withFields('Transfer-Encoding: chunked\r\nContent-Length: 0\r\n'),
  ),
  'Transfer-Encoding stands once': refused(
    'EK_REPEATED_TRANSFER_ENCODING',
    withFields('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'),
    withFields('Transfer-Encoding: chunked\r\nTransfer-encoding: identity\r\n'),
  ),
  'the only transfer coding is chunked': refused(
    'EK_UNKNOWN_TRANSFER_CODING',
    ...[
      '',
      'identity',
      'gzip',
      'gzip, chunked',
      'chunked, chunked',
      'chunked, identity',
      'xchunked',
      'chunked;q=1',
      '"chunked"',
      'chunke',
      'chunkedd',
      ',chunked',
      'chunked,',
      'chunked \xa0',
    ].map((value) => withFields(`Transfer-Encoding: ${value}\r\n`)),
  ),
  'HTTP/1.0 has no transfer codings': refused(
    'EK_CHUNKED_IN_HTTP_1_0',
    'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n',
  ),
  'HTTP/1.1 has Host': refused(
    'EK_MISSING_HOST',
    'GET / HTTP/1.1\r\n\r\n',
    'GET / HTTP/1.1\r\nHostt: a\r\n\r\n',
    'GET http://a/ HTTP/1.1\r\nA: b\r\n\r\n',
    'GET / HTTP/1.1\r\nX-Host: a\r\n\r\n',
  ),
  'Host stands once': refused(
    'EK_REPEATED_HOST',
    withFields('Host: a.example\r\n'),
    withFields('A: b\r\nHOST: b.example\r\n'),
    'GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n',
  ),
  'Host is a host and a port': refused(
    'EK_BAD_HOST',
    ...[
      'a b',
      'a/b',
      'a,b',
      'a@b',
      'u:p@b',
      'a:b',
      'a:1:2',
      'a:-1',
      'a:65536',
      'a:000080',
      ':80',
      '.',
      '.a',
      'a..b',
      'http://a',
      'a?b',
      'a#b',
      'a\\b',
      'a%20b',
      'a"b',
      '*',
      '\xe4.example',
      'a;b',
      "a'b",
    ].map((value) => `GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`),
    ...[
      '[',
      '[]',
      '[::1',
      '::1',
      '[::1]x',
      '[::1]:x',
      '[:::1]',
      '[1::2::3]',
      '[1:2:3:4:5:6:7]',
      '[1:2:3:4:5:6:7:8:9]',
      '[::12345]',
      '[::g]',
      '[fe80::1%25eth0]',
      '[v1.a]',
      '[::1.2.3]',
      '[::1.2.3.256]',
      '[::01.2.3.4]',
      '[1:2:3:4:5:6:7::8:9]',
      '[1:]',
      '[:1]',
      '[::1.2.3.4.5]',
      '[::1.2.3.]',
    ].map((value) => `GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`),
  ),
  'Host is not empty, unless the target brings the host': refused(
    'EK_BAD_HOST',
    'GET / HTTP/1.1\r\nHost:\r\n\r\n',
    'OPTIONS * HTTP/1.1\r\nHost: \r\n\r\n',
    'GET / HTTP/1.0\r\nHost:\r\n\r\n',
  ),
  'Connection does not name Host, the framing, or a field of ours': refused(
    'EK_BAD_CONNECTION',
    ...[
      'host',
      'Content-Length',
      'close, transfer-encoding',
      'expect',
      'via',
      'Forwarded',
      'X-Forwarded-For',
      'x-forwarded-proto',
      'x-forwarded-host',
      'x-forwarded-port',
      'x-forwarded-server',
      'X-Real-IP',
      'X-Request-Id',
    ].map((value) => withFields(`Connection: ${value}\r\n`)),
  ),
  'Connection is a list of tokens': refused(
    'EK_BAD_CONNECTION',
    ...['close keep-alive', 'close; a', '"close"', 'a=b', 'close,\xe4', 'a b, c'].map((value) =>
      withFields(`Connection: ${value}\r\n`),
    ),
  ),
  'Connection has at most 32 options': refused(
    'EK_BAD_CONNECTION',
    withFields(`Connection: ${'a,'.repeat(33)}\r\n`),
    withFields('Connection: a,b,c,d,e,f,g,h,i,j,k\r\n'.repeat(3)),
  ),
  'the only expectation is 100-continue': refused(
    'EK_BAD_EXPECT',
    ...['', '200-ok', '100-continue, 100-continue', '100-continued', '100-continu'].map((value) =>
      withFields(`Expect: ${value}\r\n`),
    ),
    withFields('Expect: 100-continue\r\nExpect: 100-continue\r\n'),
  ),
} as const satisfies Record<string, readonly Refused[]>

function response(lines: string, line = 'HTTP/1.1 200 OK'): string {
  return `${line}\r\n${lines}\r\n`
}

/** By rule; `code` is the parser's `problem`. */
export const REFUSED_RESPONSES = {
  'a response begins with its version': [
    ...early(
      'EK_BAD_VERSION',
      '\r¦\nHTTP/1.1 200 OK\r\n',
      'I¦CY 200 OK\r\n',
      ' ¦HTTP/1.1 200 OK\r\n',
      'HTTP/1,¦1 200 OK\r\n',
      '\0¦',
      'HTTP/1.x¦ 200',
    ),
    ...early('EK_VERSION_UNSUPPORTED', 'HTTP/2¦ 200 OK\r\n', 'HTTP/1.2¦ 200 OK\r\n', 'HTTP/0¦.9 200'),
  ],
  'one SP parts version and status': early(
    'EK_BAD_RESPONSE',
    'HTTP/1.1  ¦200 OK\r\n',
    'HTTP/1.1\t¦200 OK\r\n',
    'HTTP/1.1\r¦\n',
    'HTTP/1.10¦ 200 OK\r\n',
  ),
  'a status is three digits': early(
    'EK_BAD_RESPONSE',
    'HTTP/1.1 2x¦0 OK\r\n',
    'HTTP/1.1 20 ¦OK\r\n',
    'HTTP/1.1 20\r¦\n',
    'HTTP/1.1 2000¦ OK\r\n',
    'HTTP/1.1 +¦20 OK\r\n',
    'HTTP/1.1 200O¦K\r\n',
  ),
  'a status is from 100 to 599': [
    ...early('EK_BAD_RESPONSE', 'HTTP/1.1 099¦ OK\r\n'),
    ...refused(
      'EK_BAD_RESPONSE',
      response('', 'HTTP/1.1 600 No'),
      response('', 'HTTP/1.1 999 No'),
      response('', 'HTTP/1.1 000 No'),
    ),
  ],
  'a reason has no control byte': early('EK_BAD_FIELD_VALUE', 'HTTP/1.1 200 O\0¦K\r\n', 'HTTP/1.1 200 O\x7f¦K\r\n'),
  'a status line ends in CRLF': [
    ...early('EK_BARE_LF', 'HTTP/1.1 200 OK\n¦', 'HTTP/1.1 200\n¦', 'HTTP/1.1\n¦'),
    ...early('EK_BARE_CR', 'HTTP/1.1 200 OK\rA¦: b\r\n', 'HTTP/1.1 200\r\r¦\n'),
  ],
  'its fields are as strict as those of a request': [
    ...early('EK_BARE_LF', 'HTTP/1.1 200 OK\r\nA: b\n¦'),
    ...early('EK_BARE_CR', 'HTTP/1.1 200 OK\r\nA: b\rC¦'),
    ...early('EK_OBS_FOLD', 'HTTP/1.1 200 OK\r\nA: b\r\n ¦c\r\n'),
    ...early('EK_SPACE_BEFORE_COLON', 'HTTP/1.1 200 OK\r\nContent-Length ¦: 5\r\n'),
    ...early('EK_BAD_FIELD_NAME', 'HTTP/1.1 200 OK\r\n:¦ b\r\n', 'HTTP/1.1 200 OK\r\nA\r¦\n'),
    ...early('EK_BAD_FIELD_VALUE', 'HTTP/1.1 200 OK\r\nA: \0¦\r\n'),
  ],
  'its framing is as strict as that of a request': [
    ...refused(
      'EK_BAD_CONTENT_LENGTH',
      response('Content-Length: 5, 5\r\n'),
      response('Content-Length: -1\r\n'),
      response('Content-Length: 05\r\n'),
      response('Content-Length:\r\n'),
    ),
    ...refused('EK_REPEATED_CONTENT_LENGTH', response('Content-Length: 5\r\nContent-Length: 5\r\n')),
    ...refused(
      'EK_LENGTH_AND_CHUNKED',
      response('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'),
      response('Transfer-Encoding: chunked\r\nContent-Length: 5\r\n'),
    ),
    ...refused(
      'EK_REPEATED_TRANSFER_ENCODING',
      response('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'),
    ),
    ...refused(
      'EK_UNKNOWN_TRANSFER_CODING',
      response('Transfer-Encoding: gzip, chunked\r\n'),
      response('Transfer-Encoding: identity\r\n'),
    ),
    ...refused('EK_CHUNKED_IN_HTTP_1_0', response('Transfer-Encoding: chunked\r\n', 'HTTP/1.0 200 OK')),
  ],
  'a response that never has a body does not announce one': refused(
    'EK_BAD_CONTENT_LENGTH',
    response('Content-Length: 5\r\n', 'HTTP/1.1 204 No Content'),
    response('Content-Length: 5\r\n', 'HTTP/1.1 100 Continue'),
    response('Content-Length: 1\r\n', 'HTTP/1.1 101 Switching Protocols'),
  ),
  'Connection in a response does not name Content-Length': refused(
    'EK_BAD_CONNECTION',
    response('Connection: content-length\r\n'),
    response('Connection: close keep-alive\r\n'),
  ),
} as const satisfies Record<string, readonly Refused[]>

/** By rule: chunked bodies. */
export const REFUSED_CHUNKS = {
  'a chunk begins with a hexadecimal digit': early(
    'EK_BAD_CHUNK',
    ' ¦5\r\nhello\r\n',
    '\r¦\n',
    '\n¦',
    'x¦',
    '+¦5\r\n',
    '-¦5\r\n',
    ';¦a\r\n',
    '5\r\nhello\r\n\r¦\n',
  ),
  'a size is hexadecimal digits': early(
    'EK_BAD_CHUNK',
    '0x¦5\r\nhello\r\n',
    '5g¦\r\n',
    '5_¦0\r\n',
    '5,¦\r\n',
    '5\0¦\r\n',
    '5.¦0\r\n',
  ),
  'a size has at most 15 digits': early('EK_BAD_CHUNK', '0000000000000005¦\r\nhello\r\n', '0000000000000000¦\r\n\r\n'),
  'a size is below 2^53': early('EK_BAD_CHUNK', '20000000000000¦\r\n', 'ffffffffffffff¦\r\n'),
  'a size line ends in CRLF': early(
    'EK_BAD_CHUNK',
    '5\n¦hello\r\n',
    '5\rh¦ello\r\n',
    '0\n¦\r\n',
    '5\r\r¦\n',
    '5\r\nhello\r\n0\rX¦',
  ),
  'data ends in CRLF': early(
    'EK_BAD_CHUNK',
    '5\r\nhelloX¦',
    '5\r\nhello\n¦0\r\n\r\n',
    '5\r\nhello\rX¦',
    '5\r\nhello0¦\r\n\r\n',
    '1\r\nab¦\r\n',
  ),
  'white space before an extension is followed by one': early(
    'EK_BAD_CHUNK_EXTENSION',
    '5 \r¦\nhello\r\n',
    '5\t\n¦',
    '5 a¦',
    '5;a=b \r¦\n',
    '5;a="b" \r¦\n',
  ),
  'an extension is a name, with a token or a quoted string': early(
    'EK_BAD_CHUNK_EXTENSION',
    '5;\r¦\n',
    '5;=¦b\r\n',
    '5;a=\r¦\n',
    '5;a=;¦\r\n',
    '5;a=b=¦c\r\n',
    '5;a b¦\r\n',
    '5;;¦\r\n',
    '5;a="b"c¦\r\n',
    '5;a=b"¦\r\n',
    '5;a\0¦\r\n',
    '5;a=(¦\r\n',
    '5;a \r¦\n',
  ),
  'an extension has no control byte, CR or LF': early(
    'EK_BAD_CHUNK_EXTENSION',
    '5;a\n¦hello\r\n0\r\n\r\n',
    '5;a=b\n¦',
    '5;a="\n¦"\r\n',
    '5;a="\r¦\n"\r\n',
    '5;a="\0¦"\r\n',
    '5;a="\\\n¦"\r\n',
    '5;a="\\\r¦"\r\n',
  ),
  'an extension has at most 256 bytes': [
    ...early(
      'EK_BAD_CHUNK_EXTENSION',
      `5;${'a'.repeat(257)}¦\r\nhello\r\n0\r\n\r\n`,
      `5;a="${'b'.repeat(254)}¦"\r\nhello\r\n0\r\n\r\n`,
    ),
  ],
  'the lines of chunks are not far longer than the data': refused(
    'EK_BAD_CHUNK_EXTENSION',
    `${`1;${'a'.repeat(250)}\r\nx\r\n`.repeat(80)}0\r\n\r\n`,
  ),
  'trailers are fields': early(
    'EK_BAD_TRAILER',
    '0\r\n ¦A: b\r\n\r\n',
    '0\r\nA: b\n¦\r\n',
    '0\r\nA: b\rX¦\r\n',
    '0\r\nA ¦: b\r\n\r\n',
    '0\r\nA\r¦\n\r\n',
    '0\r\nA: \0¦\r\n\r\n',
    '0\r\nA: b\r\n ¦c\r\n\r\n',
    '0\r\n\n¦',
    '0\r\nA: b\r\n\n¦',
  ),
  'a trailer is no framing, routing or connection field': refused(
    'EK_BAD_TRAILER',
    ...[
      'Host',
      'Connection',
      'Content-Length',
      'Transfer-Encoding',
      'TE',
      'Trailer',
      'Upgrade',
      'Expect',
      'Keep-Alive',
      'Via',
      'Forwarded',
      'X-Forwarded-For',
      'X-Real-IP',
      'X-Request-Id',
      'x_forwarded_for',
      'content_length',
    ].map((name) => `0\r\n${name}: 1\r\n\r\n`),
  ),
  'a trailer is nothing that is acted on before the body': refused(
    'EK_BAD_TRAILER',
    ...[
      'Authorization',
      'Cookie',
      'Set-Cookie',
      'Content-Type',
      'Content-Encoding',
      'Cache-Control',
      'Max-Forwards',
      'x-forwarded-server',
      'content_type',
    ].map((name) => `0\r\n${name}: 1\r\n\r\n`),
  ),
  'trailers are bounded': refused(
    'EK_BAD_TRAILER',
    `0\r\nA: ${'b'.repeat(8192)}\r\n\r\n`,
    `0\r\n${'A: b\r\n'.repeat(101)}\r\n`,
  ),
} as const satisfies Record<string, readonly Refused[]>
