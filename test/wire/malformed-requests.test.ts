/** What a client may not say: a clear answer, a closed connection, a counter of its own, and nothing reaches an endpoint. */
import assert from 'node:assert/strict'
import { ERRORS, type ErrorCode } from '../../src/core/errors.ts'
import { chunked, get, wire } from './harness.ts'

const LINE = 'POST / HTTP/1.1\r\nHost: a\r\n'
const CHUNKED = `${LINE}Transfer-Encoding: chunked\r\n\r\n`

const MALFORMED: readonly (readonly [code: ErrorCode, title: string, request: string])[] = [
  ['EK_BAD_METHOD', 'a method that is no token', 'G(T / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['EK_BAD_METHOD', 'a space first', ' GET / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['EK_BAD_METHOD', 'a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ['EK_BAD_TARGET', 'a target without a slash', 'GET path HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['EK_BAD_TARGET', 'two spaces before the target', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['EK_BAD_TARGET', 'another scheme', 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['EK_BAD_TARGET', 'an absolute target without a host', 'GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['EK_BAD_TARGET', 'an absolute target with user information', 'GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['EK_BAD_TARGET', 'a NUL in the target', 'GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['EK_BAD_TARGET', 'a high byte in the target', 'GET /\xe4 HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['EK_BAD_TARGET', 'an asterisk for another method', 'GET * HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['EK_BAD_VERSION', 'no version', 'GET /\r\nHost: a\r\n\r\n'],
  ['EK_BAD_VERSION', 'a version in lower case', 'GET / http/1.1\r\nHost: a\r\n\r\n'],
  ['EK_BAD_VERSION', 'a space behind the version', 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n'],
  ['EK_VERSION_UNSUPPORTED', 'HTTP/2.0', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n'],
  ['EK_VERSION_UNSUPPORTED', 'the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['EK_BARE_CR', 'a bare carriage return in a field', 'GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\rX-B: 2\r\n\r\n'],
  ['EK_BARE_CR', 'a bare carriage return behind the request line', 'GET / HTTP/1.1\rHost: a\r\n\r\n'],
  ['EK_BARE_LF', 'lines without carriage returns', 'GET / HTTP/1.1\nHost: a\n\n'],
  ['EK_BARE_LF', 'one line without a carriage return', 'GET / HTTP/1.1\r\nHost: a\nX-A: 1\r\n\r\n'],
  ['EK_BARE_LF', 'an end without a carriage return', 'GET / HTTP/1.1\r\nHost: a\r\n\n'],
  ['EK_OBS_FOLD', 'a folded field', 'GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n'],
  ['EK_OBS_FOLD', 'white space before the first field', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n'],
  ['EK_SPACE_BEFORE_COLON', 'a space before a colon', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n'],
  ['EK_SPACE_BEFORE_COLON', 'a tab before a colon', `${LINE}Content-Length\t: 0\r\n\r\n`],
  ['EK_BAD_FIELD_NAME', 'a field without a name', 'GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n'],
  ['EK_BAD_FIELD_NAME', 'a slash in a name', 'GET / HTTP/1.1\r\nHost: a\r\nX/A: 1\r\n\r\n'],
  ['EK_BAD_FIELD_VALUE', 'a NUL in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX-A: a\x00b\r\n\r\n'],
  ['EK_BAD_FIELD_VALUE', 'a DEL in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX-A: a\x7fb\r\n\r\n'],
  ['EK_BAD_CONTENT_LENGTH', 'a signed length', `${LINE}Content-Length: +5\r\n\r\nhello`],
  ['EK_BAD_CONTENT_LENGTH', 'a length in hex', `${LINE}Content-Length: 0x5\r\n\r\nhello`],
  ['EK_BAD_CONTENT_LENGTH', 'a length with a leading zero', `${LINE}Content-Length: 05\r\n\r\nhello`],
  ['EK_BAD_CONTENT_LENGTH', 'an empty length', `${LINE}Content-Length: \r\n\r\n`],
  ['EK_BAD_CONTENT_LENGTH', 'a list of lengths', `${LINE}Content-Length: 5, 5\r\n\r\nhello`],
  ['EK_BAD_CONTENT_LENGTH', 'a length beyond all bounds', `${LINE}Content-Length: 99999999999999999999\r\n\r\n`],
  ['EK_REPEATED_CONTENT_LENGTH', 'two equal lengths', `${LINE}Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello`],
  [
    'EK_LENGTH_AND_CHUNKED',
    'length, then chunks',
    `${LINE}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ],
  [
    'EK_LENGTH_AND_CHUNKED',
    'chunks, then length',
    `${LINE}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
  ],
  [
    'EK_REPEATED_TRANSFER_ENCODING',
    'two codings',
    `${LINE}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
  ],
  ['EK_UNKNOWN_TRANSFER_CODING', 'an unknown coding', `${LINE}Transfer-Encoding: gzip\r\n\r\n`],
  ['EK_UNKNOWN_TRANSFER_CODING', 'chunked with another', `${LINE}Transfer-Encoding: gzip, chunked\r\n\r\n`],
  ['EK_UNKNOWN_TRANSFER_CODING', 'chunked with a parameter', `${LINE}Transfer-Encoding: chunked;q=1\r\n\r\n`],
  ['EK_UNKNOWN_TRANSFER_CODING', 'chunked misspelled', `${LINE}Transfer-Encoding: xchunked\r\n\r\n`],
  ['EK_CHUNKED_IN_HTTP_1_0', 'chunks in HTTP/1.0', 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['EK_MISSING_HOST', 'no Host', 'GET / HTTP/1.1\r\nX-A: 1\r\n\r\n'],
  ['EK_MISSING_HOST', 'no Host beside an absolute target', 'GET http://a/ HTTP/1.1\r\n\r\n'],
  ['EK_REPEATED_HOST', 'two hosts', 'GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n'],
  ['EK_BAD_HOST', 'a host with a slash', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n'],
  ['EK_BAD_HOST', 'a host with user information', 'GET / HTTP/1.1\r\nHost: u@b\r\n\r\n'],
  ['EK_BAD_HOST', 'a port that is none', 'GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n'],
  ['EK_BAD_HOST', 'an empty host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n'],
  ['EK_BAD_HOST', 'a list of hosts', 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n'],
  ['EK_BAD_CONNECTION', 'Connection naming Host', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n'],
  ['EK_BAD_CONNECTION', 'Connection with what is no token', 'GET / HTTP/1.1\r\nHost: a\r\nConnection: a b\r\n\r\n'],
  ['EK_BAD_PATH', 'a backslash', get('/a\\b')],
  ['EK_BAD_PATH', 'an encoded NUL', get('/a%00')],
  ['EK_BAD_PATH', 'a path above the root', get('/../etc/passwd')],
  ['EK_BAD_PATH', 'one above the root in disguise', get('/a/%2e%2E/%2e./x')],
  ['EK_BAD_PATH', 'a percent sign without digits', get('/%zz')],
  ['EK_BAD_PATH', 'dots with a parameter', get('/a/..;x/b')],
  ['EK_BAD_CHUNK', 'a chunk size that is no number', `${CHUNKED}x\r\n`],
  ['EK_BAD_CHUNK', 'a chunk size with a sign', `${CHUNKED}-1\r\n`],
  ['EK_BAD_CHUNK', 'a chunk size with 0x', `${CHUNKED}0x1\r\na\r\n`],
  ['EK_BAD_CHUNK', 'a chunk size beyond all bounds', `${CHUNKED}fffffffffffffffff\r\n`],
  ['EK_BAD_CHUNK', 'an empty chunk size', `${CHUNKED}\r\n`],
  ['EK_BAD_CHUNK', 'a bare line feed behind a size', `${CHUNKED}1\na\r\n0\r\n\r\n`],
  ['EK_BAD_CHUNK', 'a chunk that is longer than it says', `${CHUNKED}1\r\nab\r\n0\r\n\r\n`],
  ['EK_BAD_CHUNK', 'a bare line feed behind the data', `${CHUNKED}1\r\na\n0\r\n\r\n`],
  ['EK_BAD_CHUNK_EXTENSION', 'an extension with a control byte', `${CHUNKED}1;a="\x01"\r\na\r\n0\r\n\r\n`],
  ['EK_BAD_CHUNK_EXTENSION', 'an extension without a name', `${CHUNKED}1;=b\r\na\r\n0\r\n\r\n`],
  ['EK_BAD_CHUNK_EXTENSION', 'an extension that is too long', `${CHUNKED}1;a=${'b'.repeat(300)}\r\na\r\n0\r\n\r\n`],
  ['EK_BAD_TRAILER', 'a trailer that frames', `${CHUNKED}${chunked(['a'], { trailers: 'Content-Length: 1\r\n' })}`],
  ['EK_BAD_TRAILER', 'a trailer that routes', `${CHUNKED}${chunked(['a'], { trailers: 'Host: b\r\n' })}`],
  ['EK_BAD_TRAILER', 'a trailer that claims', `${CHUNKED}${chunked(['a'], { trailers: 'X-Forwarded-For: 1\r\n' })}`],
  ['EK_BAD_TRAILER', 'a trailer with a bare line feed', `${CHUNKED}${chunked(['a'], { trailers: 'X-A: 1\n' })}`],
  ['EK_BAD_EXPECT', 'another expectation', `${LINE}Expect: 200-ok\r\n\r\n`],
]

for (const [code, title, request] of MALFORMED)
  for (const isSplit of [false, true])
    wire(`${code}: ${title}${isSplit ? ', byte by byte' : ''}`, async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        await upstream.request()
      })
      const edge = await lab.edge({ origins: [origin] })
      const client = await edge.connect()
      if (isSplit) {
        for (const byte of request) if (client.ended === 'open') await client.writeSlowly([byte], 0)
      } else client.write(request)
      const answer = await client.answer()
      assert.equal(answer.status, ERRORS[code].status)
      assert.equal(answer.field('connection'), 'close')
      assert.equal(answer.field('content-type'), 'text/plain; charset=utf-8')
      const [about, id, ...more] = answer.text.split('\n')
      assert.ok(
        about?.startsWith(`${ERRORS[code].status} `) && about.endsWith(`: ${ERRORS[code].message} (${code})`),
        about,
      )
      assert.match(id ?? '', /^request id: [0-9a-z]{12,40}$/)
      assert.deepEqual(more, [''])
      assert.notEqual(await client.ending(), 'open')
      assert.equal(await client.rest(), '')
      client.close()
      await edge.quiet()
      assert.deepEqual(edge.counted, { [code]: 1 })
      // What was on its way when its body broke was given up; nothing else got anywhere.
      if (!code.includes('CHUNK') && !code.includes('TRAILER')) assert.equal(origin.wires.length, 0)
      assert.equal(edge.table.snapshot(0).failures, 0)
    })
