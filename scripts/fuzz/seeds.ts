/** Valid messages in pieces, and what else may stand in the place of a piece: what the fuzzer mutates. */

/** What a piece of a message is; a mutation exchanges it for another of its kind. */
export const Kind = {
  METHOD: 0,
  SPACE: 1,
  TARGET: 2,
  VERSION: 3,
  LINE_END: 4,
  NAME: 5,
  COLON: 6,
  VALUE: 7,
  SIZE: 8,
  EXTENSION: 9,
  DATA: 10,
  STATUS: 11,
  REASON: 12,
  /** The CRLF of a field line: the line is the four pieces that end here. */
  FIELD_END: 13,
} as const

export interface Piece {
  readonly kind: number
  readonly text: string
}

export interface Seed {
  readonly isRequest: boolean
  readonly pieces: readonly Piece[]
}

/** By kind: what most often is valid in that place, and what is not or may not be. */
export const GOOD: readonly (readonly string[])[] = []
export const BAD: readonly (readonly string[])[] = []

function alternatives(kind: number, good: readonly string[], bad: readonly string[]): void {
  ;(GOOD as string[][])[kind] = [...good]
  ;(BAD as string[][])[kind] = [...bad]
}

alternatives(
  Kind.METHOD,
  [
    'GET',
    'HEAD',
    'POST',
    'PUT',
    'DELETE',
    'OPTIONS',
    'TRACE',
    'PATCH',
    'PROPFIND',
    'REPORT',
    'get',
    'X',
    "a!#$%&'*+-.^_`|~9",
  ],
  ['', 'G T', 'GET\0', 'GE(T', '\x16\x03\x01', 'CONNECT', 'PRI', ' GET', '\xc4', 'GET\t', '\r\nGET', '\nGET', '\rGET'],
)
alternatives(Kind.SPACE, [' '], ['', '  ', '\t', ' \t', '\x0b', '\x0c', '\xa0', '\0', '\r', '\n'])
alternatives(
  Kind.TARGET,
  [
    '/',
    '/a',
    '/a/b?c=d&e',
    '/%41%2f',
    '/a/../b',
    '//x',
    '/a;b=c',
    '/a?b=/../#'.slice(0, -1),
    'http://h.example/x',
    'HTTPS://h:8443?y',
    'http://[::1]:80/',
    '/a[1]|{2}^`',
    '/?q="<>\\',
    '/a\\b',
    '/.a/..b',
    "/a'(b)!*$,",
  ],
  [
    '',
    '*',
    'a',
    'a.example:80',
    '#',
    '/a#b',
    '/\0',
    '/\xe4',
    '/a b',
    '/\x7f',
    'http://',
    'http:///a',
    'http://u@h/',
    'ftp://h/',
    'http://h:99999/',
    '/\t',
    '/"',
    '?a',
    'http:/h',
    '/\r',
    '/\n',
    '/a HTTP/1.1\r\nX: y',
  ],
)
alternatives(
  Kind.VERSION,
  ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0'],
  [
    'HTTP/2.0',
    'HTTP/1.2',
    'HTTP/0.9',
    'http/1.1',
    'HTTP/1.',
    'HTTP/11',
    'HTTP/1.10',
    'HTTP/1,1',
    '',
    'HTTP/1.1 ',
    'HTTP/ 1.1',
    'HTTPS/1.1',
    'HTTP/1.1\0',
  ],
)
alternatives(
  Kind.LINE_END,
  ['\r\n'],
  ['\n', '\n\n', 'x\n', '\r', '\r\r\n', '\n\r', ' \r\n', '', '\r\n\r\n', '\r\n ', '\0\r\n', '\x0b\r\n', '\x85'],
)
alternatives(
  Kind.FIELD_END,
  ['\r\n', '\r\n', ' \r\n', '\t \r\n'],
  ['\n', '\r', '\r\r\n', '\n\r', '', '\r\n\r\n', '\r\n ', '\r\n\t', '\0\r\n', '\x0b\r\n'],
)
alternatives(
  Kind.NAME,
  [
    'A',
    'X-Custom',
    'Accept',
    'Cookie',
    'user_agent',
    "!#$%&'*+-.^_`|~",
    'Content-Type',
    'TE',
    'Trailer',
    'Via',
    'X-Forwarded-For',
    'x_forwarded_for',
    'Content_Length',
    'Keep-Alive',
    'Proxy-Connection',
    'X-Request-ID',
    'Connectio',
    'Content-Lengthh',
    'Upgrade',
  ],
  [
    '',
    ' A',
    'A ',
    'A\t',
    'A B',
    'A\0',
    'A\xe4',
    'A(',
    '"A"',
    'A:',
    ':A',
    '\tA',
    'A\r',
    'A\n',
    'A\x7f',
    'Host',
    'Content-Length',
    'Transfer-Encoding',
    'CONTENT-LENGTH',
    'transfer-encoding',
    'Connection',
    'Expect',
    'HOST',
  ],
)
alternatives(
  Kind.COLON,
  [': ', ': ', ':', ':\t', ':  '],
  ['', ' : ', ' :', '\t: ', '=', '::', ':\0', ':\r\n ', ':\n', ':\x0b'],
)
alternatives(
  Kind.VALUE,
  [
    'a',
    '',
    'a b',
    'a\tb',
    'a, b',
    '\xe4\xff',
    '"quoted: \\" text"',
    'chunked',
    '5',
    'close',
    'keep-alive',
    'x-custom, a',
    'trailers',
    'a.example',
    '100-continue',
    'text/html; q=0.9, */*;q=0.1',
  ],
  [
    'a\0',
    '\x01',
    'a\x0bb',
    '\x7f',
    'a\rb',
    'a\nb',
    'a\r\nb',
    'a\r\n b',
    '+5',
    '5, 5',
    '05',
    '0x5',
    '-1',
    '99999999999999999999',
    'chunked, chunked',
    'gzip, chunked',
    'identity',
    'chunked\x0b',
    'xchunked',
    'close, host',
    'content-length',
    'a b c',
    'u@h',
    '[::1',
    'a:b',
    ',',
    '200-ok',
    'a,b',
    '*',
    'a;b',
    'a%20b',
  ],
)
alternatives(
  Kind.SIZE,
  ['5', '05', '0000005', '5'],
  [
    '',
    '0',
    '6',
    '4',
    '0x5',
    ' 5',
    '5 ',
    '-5',
    '+5',
    '5g',
    'fffffffffffffff',
    '20000000000000',
    '0000000000000005',
    'A',
    '5\0',
    '100000005',
    '\n5',
  ],
)
alternatives(
  Kind.EXTENSION,
  ['', '', ';a', ';a=b', ';a="b\\"c"', ' ; a = b', ';a;b;c=d'],
  [
    ';',
    ';a=',
    ';=b',
    ' ',
    ';a b',
    ';a="b',
    ';a="\r\n"',
    ';a=b"',
    ';a\n',
    ';a\0',
    '\t',
    `;${'x'.repeat(300)}`,
    ';a="b"c',
    ';;',
    ';a \r',
  ],
)
alternatives(Kind.DATA, ['hello', '\r\n0\r\n', '\0\0\0\0\0', 'GET /'], ['hell', 'hello!', ''])
alternatives(
  Kind.STATUS,
  ['200', '204', '304', '404', '100', '101', '103', '599'],
  ['', '20', '2000', '600', '099', '-20', '2 0', '20x', '000', '+20'],
)
alternatives(
  Kind.REASON,
  [' OK', ' ', '', ' Not Found', ' \xe4', ' a\tb'],
  ['\tOK', ' O\0K', ' \x7f', '  ', ' a\rb', ' a\nb', 'OK'],
)

/** Field lines to put in: mostly harmless, and those that frame. */
export const GOOD_LINES: readonly (readonly [string, string])[] = [
  ['Accept', '*/*'],
  ['X-A', 'b'],
  ['Cookie', 'a=b; c="d"'],
  ['Connection', 'keep-alive'],
  ['Connection', 'close, X-A'],
  ['Connection', 'Upgrade, TE'],
  ['TE', 'trailers'],
  ['Trailer', 'X-Sum'],
  ['Keep-Alive', 'timeout=5'],
  ['X-Forwarded-For', '1.2.3.4'],
  ['x_forwarded_for', '1.2.3.4'],
  ['content_length', '7'],
  ['Via', '1.1 a'],
  ['Upgrade', 'websocket'],
  ['X-Obs', '\xe4\xf6'],
  ['Empty', ''],
]
export const BAD_LINES: readonly (readonly [string, string])[] = [
  ['Host', 'b.example'],
  ['Content-Length', '5'],
  ['Content-Length', '0'],
  ['content-length', '5, 5'],
  ['Transfer-Encoding', 'chunked'],
  ['Transfer-Encoding', 'identity'],
  ['Transfer-Encoding', 'gzip, chunked'],
  ['transfer-encoding', 'CHUNKED'],
  ['Connection', 'host'],
  ['Connection', 'transfer-encoding'],
  ['Connection', 'x-forwarded-server'],
  ['Connection', 'a b'],
  ['Expect', '200-maybe'],
  ['Expect', '100-continue'],
]

function piece(kind: number, text: string): Piece {
  return { kind, text }
}

export function line(name: string, value: string): Piece[] {
  return [piece(Kind.NAME, name), piece(Kind.COLON, ': '), piece(Kind.VALUE, value), piece(Kind.FIELD_END, '\r\n')]
}

const END = piece(Kind.LINE_END, '\r\n')

function head(first: readonly Piece[], fields: readonly (readonly [string, string])[]): Piece[] {
  return [...first, END, ...fields.flatMap(([name, value]) => line(name, value)), END]
}

function request(
  method: string,
  target: string,
  version: string,
  ...fields: readonly (readonly [string, string])[]
): Piece[] {
  const space = piece(Kind.SPACE, ' ')
  return head(
    [piece(Kind.METHOD, method), space, piece(Kind.TARGET, target), space, piece(Kind.VERSION, version)],
    fields,
  )
}

function response(status: string, reason: string, ...fields: readonly (readonly [string, string])[]): Piece[] {
  return head(
    [piece(Kind.VERSION, 'HTTP/1.1'), piece(Kind.SPACE, ' '), piece(Kind.STATUS, status), piece(Kind.REASON, reason)],
    fields,
  )
}

function chunk(size: string, extension: string, data: string): Piece[] {
  return [piece(Kind.SIZE, size), piece(Kind.EXTENSION, extension), END, piece(Kind.DATA, data), END]
}

function lastChunk(...trailers: readonly (readonly [string, string])[]): Piece[] {
  return [
    piece(Kind.SIZE, '0'),
    piece(Kind.EXTENSION, ''),
    END,
    ...trailers.flatMap(([name, value]) => line(name, value)),
    END,
  ]
}

const HOST = ['Host', 'a.example'] as const
const DATA = piece(Kind.DATA, 'hello')

const REQUESTS: readonly (readonly Piece[])[] = [
  request('GET', '/', 'HTTP/1.1', HOST),
  request(
    'GET',
    '/shop/kettle?utm=a&b=c',
    'HTTP/1.1',
    ['Host', 'shop.example.com:8080'],
    ['Connection', 'keep-alive'],
    ['User-Agent', 'Mozilla/5.0 (X11; Linux x86_64)'],
    ['Accept', 'text/html,*/*;q=0.8'],
    ['Cookie', 'session=9f1c; cart=3'],
  ),
  [...request('POST', '/form', 'HTTP/1.1', HOST, ['Content-Type', 'text/plain'], ['Content-Length', '5']), DATA],
  [
    ...request('POST', '/chunks', 'HTTP/1.1', HOST, ['Transfer-Encoding', 'chunked']),
    ...chunk('5', '', 'hello'),
    ...chunk('5', ';a=b', 'world'),
    ...lastChunk(),
  ],
  [
    ...request('PUT', '/t', 'HTTP/1.1', HOST, ['Transfer-Encoding', 'Chunked'], ['Trailer', 'X-Sum']),
    ...chunk('5', '', 'hello'),
    ...lastChunk(['X-Sum', '42'], ['X-B', '']),
  ],
  request('GET', 'http://b.example:81/p?q', 'HTTP/1.1', HOST),
  request('OPTIONS', '*', 'HTTP/1.1', HOST),
  request('GET', '/old', 'HTTP/1.0'),
  request('GET', '/old', 'HTTP/1.0', HOST, ['Connection', 'Keep-Alive']),
  request(
    'GET',
    '/ws',
    'HTTP/1.1',
    HOST,
    ['Connection', 'Upgrade'],
    ['Upgrade', 'websocket'],
    ['Sec-WebSocket-Version', '13'],
  ),
  [...request('PUT', '/e', 'HTTP/1.1', HOST, ['Expect', '100-continue'], ['Content-Length', '5']), DATA],
  [...request('GET', '/1', 'HTTP/1.1', HOST), ...request('HEAD', '/2', 'HTTP/1.1', HOST, ['X-A', 'b'])],
  [
    ...request('POST', '/1', 'HTTP/1.1', HOST, ['Content-Length', '5']),
    DATA,
    ...request('GET', '/2', 'HTTP/1.1', ['Host', '[::1]:80']),
  ],
  request('DELETE', '/a/%2e%2e/b', 'HTTP/1.1', ['Host', '127.0.0.1'], ['Connection', 'close, x-a'], ['X-A', '\xe4']),
  [...request('POST', '/0', 'HTTP/1.1', HOST, ['Content-Length', '0'])],
]

const RESPONSES: readonly (readonly Piece[])[] = [
  [...response('200', ' OK', ['Server', 'a'], ['Content-Length', '5']), DATA],
  [
    ...response('200', ' OK', ['Transfer-Encoding', 'chunked'], ['Connection', 'keep-alive']),
    ...chunk('5', '', 'hello'),
    ...lastChunk(['X-Sum', '1']),
  ],
  response('204', ' No Content', ['X-A', 'b']),
  response('304', ' Not Modified', ['ETag', '"a"'], ['Content-Length', '5']),
  [...response('100', ' Continue'), ...response('200', ' OK', ['Content-Length', '5']), DATA],
  response('101', ' Switching Protocols', ['Upgrade', 'websocket'], ['Connection', 'Upgrade']),
  [...response('200', '', ['Connection', 'close']), DATA],
  [...response('404', ' ', ['Content-Length', '5'], ['Set-Cookie', 'a=b'], ['Set-Cookie', 'c=d']), DATA],
]

export const SEEDS: readonly Seed[] = [
  ...REQUESTS.map((pieces) => ({ isRequest: true, pieces })),
  ...RESPONSES.map((pieces) => ({ isRequest: false, pieces })),
]
