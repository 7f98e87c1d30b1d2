/** However the bytes are cut, a parser says the same of them: property tests over messages made at random. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { MethodId } from '../../src/http1/head.ts'
import { ParseStatus, RequestHeadParser } from '../../src/http1/request-head-parser.ts'
import { ResponseHeadParser } from '../../src/http1/response-head-parser.ts'
import { chunkedOutcome, everyByte, type Outcome, REQUEST_LIMITS, requestOutcome, responseOutcome } from './outcome.ts'
import { REFUSED_CHUNKS, REFUSED_REQUESTS, REFUSED_RESPONSES } from './rules.ts'

const SEED = 20_260_112
const RUNS = 1500

/** When an error was seen depends on the cuts; everything else may not. */
function comparable(outcome: Outcome): unknown {
  return outcome.status === 'error' ? { status: 'error', code: outcome.code } : outcome
}

type Judge = (bytes: Buffer, cuts: readonly number[]) => Outcome

const JUDGES: Readonly<Record<string, Judge>> = {
  request: (bytes, cuts) => requestOutcome(bytes, cuts),
  'request with small limits': (bytes, cuts) => {
    return requestOutcome(bytes, cuts, new RequestHeadParser({ requestLineBytes: 40, headBytes: 120, fieldCount: 4 }))
  },
  response: (bytes, cuts) => responseOutcome(bytes, cuts),
  'response to HEAD with small limits': (bytes, cuts) => {
    return responseOutcome(bytes, cuts, MethodId.HEAD, new ResponseHeadParser({ headBytes: 100, fieldCount: 4 }))
  },
  chunked: (bytes, cuts) => chunkedOutcome(bytes, cuts),
}

/** A good piece, or one time in twelve a bad one: so that about half of all messages are right, and the others go wrong anywhere. */
function mostly(good: readonly string[], bad: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 11, arbitrary: fc.constantFrom(...good) },
    { weight: 1, arbitrary: fc.constantFrom(...bad) },
  )
}

function joined(...parts: readonly fc.Arbitrary<string>[]): fc.Arbitrary<string> {
  return fc.tuple(...parts).map((texts) => texts.join(''))
}

function repeated(part: fc.Arbitrary<string>, maxLength: number): fc.Arbitrary<string> {
  return fc.array(part, { maxLength }).map((texts) => texts.join(''))
}

const noise = fc.string({ unit: fc.constantFrom('a', ' ', '\t', '\xe4', ',', '\r', '\n', '\0', ':'), maxLength: 6 })

const line = fc.oneof(
  {
    weight: 6,
    arbitrary: joined(
      fc.constantFrom('X-A', 'b', 'Via', 'x_real_ip'),
      fc.constantFrom(': ', ':', ': \t'),
      fc.constantFrom('', 'a b', '\xe4'),
      mostly(['\r\n', ' \r\n'], ['\n', '\r', '\r\r\n']),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      'Content-Length: 5\r\n',
      'Connection: close, X-A\r\n',
      'Connection: upgrade\r\n',
      'Upgrade: a\r\n',
      'Expect: 100-continue\r\n',
    ),
  },
  {
    weight: 1,
    arbitrary: joined(
      fc.constantFrom('Content-Length', 'Transfer-Encoding', 'Connection', 'Host', 'Expect', 'X'),
      mostly([': '], [' : ', '']),
      noise,
      fc.constant('\r\n'),
    ),
  },
)
const fields = repeated(line, 5)
const end = mostly(['\r\n', '\r\n', '\r\nbody', '\r\nGET / HTTP/1.1\r\n'], ['\n', '', '\r'])

const requestText = joined(
  mostly(['', '', '\r\n', '\r\n\r\n'], ['\n', '\r']),
  mostly(['GET', 'POST', 'x'], ['OPTIONS', 'CONNECT', 'G T', '']),
  mostly([' '], ['  ', '\t']),
  mostly(
    ['/', '/a/../b?c', 'http://h:80/x', 'https://h?q', '/%41//./\\'],
    ['*', 'h:443', '/#', '/a\xe4', 'ftp://h/', `/${'x'.repeat(30)}`],
  ),
  mostly(
    [' HTTP/1.1\r\n', ' HTTP/1.1\r\n', ' HTTP/1.0\r\n'],
    [' HTTP/2.0\r\n', ' HTTP/1.1\n', '\r\n', ' HTTP/1.1 \r\n'],
  ),
  mostly(['Host: a.example\r\n', 'Host: [::1]:80\r\n'], ['', 'Host: a b\r\n']),
  fields,
  end,
)

const responseText = joined(
  mostly(['HTTP/1.1 ', 'HTTP/1.0 '], ['HTTP/1.1  ', 'HTTP/2 ', '\r\nHTTP/1.1 ']),
  mostly(['200', '404', '304', '599'], ['204', '100', '600', '20', '2000']),
  mostly([' OK\r\n', '\r\n', ' \r\n', ' N\xf6\r\n'], [' OK\n', ' \0\r\n']),
  fields,
  end,
)

const chunk = joined(
  mostly(['5', '05', '5;a=b', '5;a="\\"" ;c'], ['5 ', '5;', '0x5', '4']),
  mostly(['\r\n'], ['\n']),
  mostly(['hello', '\r\n\r\n0'], ['hell']),
  mostly(['\r\n'], ['\r', '']),
)
const chunkText = joined(
  repeated(chunk, 3),
  mostly(['0\r\n', '0;x\r\n', '00\r\n'], ['0\n']),
  mostly(['', '', 'A: b\r\n', 'Grpc-Status:0\r\nB: \r\n'], ['Host: a\r\n', ' A: b\r\n', 'A : b\r\n']),
  mostly(['\r\n', '\r\nrest'], ['\n', '']),
)

const TEXTS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  request: requestText,
  'request with small limits': requestText,
  response: responseText,
  'response to HEAD with small limits': responseText,
  chunked: chunkText,
}

for (const [name, judge] of Object.entries(JUDGES)) {
  describe(`${name}: the same in one chunk`, () => {
    it('and cut anywhere, once', () => {
      let accepted = 0
      const property = fc.property(TEXTS[name]!, (text) => {
        const bytes = Buffer.from(text, 'latin1')
        const whole = judge(bytes, [])
        if (whole.status === 'done') accepted++
        for (let cut = 1; cut < bytes.length; cut++)
          assert.deepEqual(comparable(judge(bytes, [cut])), comparable(whole))
      })
      fc.assert(property, { seed: SEED, numRuns: RUNS / 5 })
      // What the generator is worth: small limits let little through.
      assert.ok(accepted > RUNS / 50, `${accepted} messages were accepted`)
    })

    it('and cut at random, often', () => {
      const property = fc.property(TEXTS[name]!, fc.array(fc.nat(400), { maxLength: 12 }), (text, positions) => {
        const bytes = Buffer.from(text, 'latin1')
        const cuts = [...new Set(positions)].filter((cut) => cut > 0 && cut < bytes.length).sort((a, b) => a - b)
        assert.deepEqual(comparable(judge(bytes, cuts)), comparable(judge(bytes, [])))
      })
      fc.assert(property, { seed: SEED, numRuns: RUNS })
    })

    it('and byte by byte, with the error at the same byte wherever else it is cut', () => {
      const property = fc.property(TEXTS[name]!, (text) => {
        const bytes = Buffer.from(text, 'latin1')
        const inBytes = judge(bytes, everyByte(bytes))
        assert.deepEqual(comparable(inBytes), comparable(judge(bytes, [])))
        if (inBytes.status !== 'error') return
        // One byte less, and nothing is wrong yet; behind it, nothing changes any more.
        assert.notEqual(judge(bytes.subarray(0, inBytes.seen - 1), []).status, 'error')
        assert.deepEqual(comparable(judge(bytes.subarray(0, inBytes.seen), [])), comparable(inBytes))
      })
      fc.assert(property, { seed: SEED, numRuns: RUNS })
    })
  })
}

describe('every refused input', () => {
  it('is refused the same, cut anywhere', () => {
    const corpora: [Judge, Readonly<Record<string, readonly { text: string }[]>>][] = [
      [JUDGES['request']!, REFUSED_REQUESTS],
      [JUDGES['response']!, REFUSED_RESPONSES],
      [JUDGES['chunked']!, REFUSED_CHUNKS],
    ]
    for (const [judge, rules] of corpora) {
      for (const { text } of Object.values(rules).flat()) {
        if (text.length > 400) continue
        const bytes = Buffer.from(text, 'latin1')
        const whole = comparable(judge(bytes, []))
        for (let cut = 1; cut < bytes.length; cut++)
          assert.deepEqual(comparable(judge(bytes, [cut])), whole, JSON.stringify(text))
      }
    }
  })
})

describe('a stream of messages', () => {
  it('gives the same messages however it is cut', () => {
    const messages = [
      'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n',
      '\r\nGET /2 HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\n',
      'PUT /3 HTTP/1.0\r\n\r\n',
    ]
    const property = fc.property(
      fc.array(fc.constantFrom(...messages), { maxLength: 8 }),
      fc.array(fc.nat(300), { maxLength: 20 }),
      (list, positions) => {
        const bytes = Buffer.from(list.join(''))
        const cuts = [...new Set(positions)].filter((cut) => cut > 0 && cut < bytes.length).sort((a, b) => a - b)
        const parser = new RequestHeadParser(REQUEST_LIMITS)
        const heads: string[] = []
        let from = 0
        for (const to of [...cuts, bytes.length]) {
          while (from < to) {
            const status = parser.feed(bytes, from, to)
            assert.notEqual(status, ParseStatus.ERROR)
            if (status === ParseStatus.MORE) break
            heads.push(parser.head.text(parser.head.start, parser.head.end))
            from = parser.consumed
          }
          from = to
        }
        assert.deepEqual(
          heads,
          list.map((text) => text.trimStart()),
        )
        assert.equal(parser.idle, true)
      },
    )
    fc.assert(property, { seed: SEED, numRuns: RUNS })
  })

  it('costs time linear in its bytes, byte by byte too', () => {
    // A parser that starts again with every chunk needs n² / 2 byte visits here, 2 000 000 000: minutes, not a second.
    const head = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\n${`A: ${'x'.repeat(600)}\r\n`.repeat(100)}\r\n`)
    const parser = new RequestHeadParser({ ...REQUEST_LIMITS, headBytes: head.length, fieldCount: 200 })
    const started = performance.now()
    let status: number = ParseStatus.MORE
    for (let i = 0; i < head.length; i++) status = parser.feed(head, i, i + 1)
    assert.equal(status, ParseStatus.DONE)
    assert.ok(performance.now() - started < 1000)
  })
})
