import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FieldFlag, FieldId } from '../../src/http1/fields.ts'
import { Framing, MethodId, TargetFlag, TargetForm } from '../../src/http1/head.ts'
import { ParseStatus, RequestHeadParser } from '../../src/http1/request-head-parser.ts'
import { everyByte, REQUEST_LIMITS, requestOutcome } from './outcome.ts'
import { REFUSED_REQUESTS, withFields, withTarget } from './rules.ts'

/** What the parser says of a request that it must accept. */
function accepted(text: string): Record<string, unknown> {
  const outcome = requestOutcome(text)
  assert.equal(outcome.status, 'done', `${JSON.stringify(text)}: ${JSON.stringify(outcome)}`)
  return outcome.status === 'done' ? outcome.message : {}
}

function errorOf(text: string, limits = REQUEST_LIMITS, cuts: readonly number[] = []): string {
  const outcome = requestOutcome(text, cuts, new RequestHeadParser(limits))
  return outcome.status === 'error' ? outcome.code : outcome.status
}

describe('a request parser refuses what breaks a rule, whole or byte by byte', () => {
  for (const [rule, inputs] of Object.entries(REFUSED_REQUESTS)) {
    it(rule, () => {
      for (const { text, code, seen } of inputs) {
        const whole = requestOutcome(text)
        const inBytes = requestOutcome(text, everyByte(text))
        assert.equal(whole.status === 'error' && whole.code, code, JSON.stringify(text))
        assert.equal(inBytes.status === 'error' && inBytes.code, code, JSON.stringify(text))
        // As early as the byte that breaks the rule.
        if (seen !== undefined) assert.equal(inBytes.status === 'error' && inBytes.seen, seen, JSON.stringify(text))
      }
    })
  }
})

describe('the request line', () => {
  it('names every known method, and any other token, by case', () => {
    for (const [name, id] of Object.entries(MethodId)) {
      if (id === MethodId.OTHER || id === MethodId.CONNECT) continue
      assert.equal(accepted(withTarget('/', name))['methodId'], id, name)
    }
    for (const name of ['get', 'GETS', 'GE', 'PROPFIND', 'M-SEARCH', "!#$%&'*+-.^_`|~", 'Post', 'PATCHES', 'OPTION']) {
      const message = accepted(withTarget('/', name))
      assert.equal(message['methodId'], MethodId.OTHER, name)
      assert.equal(message['method'], name)
    }
  })

  it('splits an origin-form target into path and query', () => {
    const message = accepted(withTarget('/a/b;c=1?d=/e/../%2f?f'))
    assert.equal(message['form'], TargetForm.ORIGIN)
    assert.equal(message['target'], '/a/b;c=1?d=/e/../%2f?f')
    assert.equal(message['path'], '/a/b;c=1?d=/e/../%2f?f')
    assert.equal(message['query'], '?d=/e/../%2f?f')
    assert.equal(message['flags'], 0)
  })

  it('takes the raw bytes that browsers and command lines send', () => {
    for (const target of [
      '/a|b',
      '/{id}',
      '/a^b',
      '/a[1]',
      '/a`b',
      "/a'b(c)",
      '/a?q="x"&f=<b>',
      '/?{"a":[1]}',
      '/?a\\b|c^d`e',
    ]) {
      assert.equal(accepted(withTarget(target))['path'], target)
    }
  })

  it('notes in the path, not in the query, what its normal form lacks', () => {
    const flagsOf = (target: string) => accepted(withTarget(target))['flags']
    assert.equal(flagsOf('/a.b/c-d_e~f?/../%41//\\'), 0)
    assert.equal(flagsOf('/%41'), TargetFlag.PERCENT)
    assert.equal(flagsOf('/a/.b'), TargetFlag.DOT_SEGMENT)
    assert.equal(flagsOf('/.'), TargetFlag.DOT_SEGMENT)
    assert.equal(flagsOf('/a\\b'), TargetFlag.BACKSLASH)
    assert.equal(flagsOf('//a'), TargetFlag.DOUBLE_SLASH)
    assert.equal(flagsOf('http://h//a/%41/./\\'), 15)
    assert.equal(flagsOf('http://h/a'), 0)
  })

  it('takes an absolute target apart', () => {
    const message = accepted('GET HtTp://B.example:81/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n')
    assert.equal(message['form'], TargetForm.ABSOLUTE)
    assert.equal(message['path'], '/x?y')
    assert.equal(message['authority'], 'B.example:81')
    assert.equal(message['regular'], false, 'Host is replaced')
    assert.equal(accepted('GET https://[::1] HTTP/1.1\r\nHost:\r\n\r\n')['path'], '')
    assert.equal(accepted('GET http://h?y HTTP/1.1\r\nHost: h\r\n\r\n')['path'], '?y')
    assert.equal(accepted('GET http://h? HTTP/1.1\r\nHost: h\r\n\r\n')['query'], '?')
  })

  it("takes OPTIONS's asterisk and CONNECT's authority", () => {
    const asterisk = accepted(withTarget('*', 'OPTIONS'))
    assert.equal(asterisk['form'], TargetForm.ASTERISK)
    assert.equal(asterisk['path'], '*')
    assert.equal(asterisk['authority'], 'a.example')
    const connect = accepted(withTarget('b.example:443', 'CONNECT'))
    assert.equal(connect['form'], TargetForm.AUTHORITY)
    assert.equal(connect['authority'], 'b.example:443')
    assert.equal(connect['path'], '')
  })

  it('skips empty lines before a request, which stay out of the head', () => {
    const message = accepted(`\r\n\r\n${withTarget('/')}`)
    assert.equal(message['head'], withTarget('/'))
  })
})

describe('fields', () => {
  it('keep their bytes, order, case and duplicates', () => {
    const message = accepted(withFields('B: 1\r\na: \xe4\t\xff\r\nB: 2\r\nc:\r\n'))
    assert.deepEqual(message['fields'], [
      ['Host', 'a.example', FieldId.HOST, 0],
      ['B', '1', FieldId.OTHER, 0],
      ['a', '\xe4\t\xff', FieldId.OTHER, 0],
      ['B', '2', FieldId.OTHER, 0],
      ['c', '', FieldId.OTHER, FieldFlag.IRREGULAR],
    ])
  })

  it('are irregular unless spelled exactly name, colon, SP, value, CRLF', () => {
    const flagOf = (line: string) => (accepted(withFields(`${line}\r\n`))['fields'] as unknown[][])[1]?.[3]
    for (const line of ['A: b', 'A: ', 'A: b c', 'A: b\tc', 'A: "b: c"']) assert.equal(flagOf(line), 0, line)
    for (const line of ['A:b', 'A:  b', 'A:\tb', 'A: b ', 'A: b\t', 'A:', 'A:  ', 'A: \tb']) {
      assert.equal(flagOf(line), FieldFlag.IRREGULAR, line)
    }
  })

  it('are variants when a known name has "_" for "-", and are not obeyed then', () => {
    const message = accepted(
      withFields('content_length: 5\r\nTransfer_Encoding: gzip\r\nX_Forwarded-For: 1\r\nx_y: 2\r\n'),
    )
    const fields = message['fields'] as unknown[][]
    assert.deepEqual(
      fields.slice(1).map((field) => field.slice(2)),
      [
        [FieldId.CONTENT_LENGTH, FieldFlag.VARIANT],
        [FieldId.TRANSFER_ENCODING, FieldFlag.VARIANT],
        [FieldId.X_FORWARDED_FOR, FieldFlag.VARIANT],
        [FieldId.OTHER, 0],
      ],
    )
    assert.equal(message['framing'], Framing.NONE)
    assert.equal(message['regular'], false)
  })

  it('may be sliced in one run only when nothing among them is changed on the way', () => {
    const isRegular = (lines: string) => accepted(withFields(lines))['regular']
    assert.equal(isRegular('Accept: */*\r\nContent-Length: 5\r\nTrailer: a\r\n'), true)
    for (const line of [
      'A:b',
      'Connection: close',
      'TE: trailers',
      'Via: 1.1 a',
      'X-Forwarded-For: 1',
      'X_Real_IP: 1',
      'Expect: 100-continue',
      'Upgrade: a',
      'X-Request-ID: 1',
    ]) {
      assert.equal(isRegular(`${line}\r\n`), false, line)
    }
  })

  it('grow past the first columns up to the limit', () => {
    const lines = Array.from({ length: 99 }, (_, i) => `Field-${i}: value ${i}\r\n`)
    const fields = accepted(withFields(lines.join('')))['fields'] as unknown[][]
    assert.equal(fields.length, 100)
    assert.deepEqual(fields[99]?.slice(0, 2), ['Field-98', 'value 98'])
    assert.equal(errorOf(withFields(`${lines.join('')}One-More: x\r\n`)), 'EK_TOO_MANY_FIELDS')
  })

  it('are found by name in any case, from any index', () => {
    const parser = new RequestHeadParser(REQUEST_LIMITS)
    const bytes = Buffer.from(withFields('A^: 1\r\nACCEPT: 2\r\naccept: 3\r\n'))
    assert.equal(parser.feed(bytes, 0, bytes.length), ParseStatus.DONE)
    assert.equal(parser.head.find('accept'), 2)
    assert.equal(parser.head.find('accept', 3), 3)
    assert.equal(parser.head.find('accept', 4), -1)
    assert.equal(parser.head.find('a~'), -1, '"^" and "~" differ by the case bit, and are not letters')
    assert.equal(parser.head.find('a^'), 1)
    assert.equal(parser.head.bytes, bytes, 'no copy of a head that came in one chunk')
  })
})

describe('the framing of a request', () => {
  const framingOf = (lines: string) => {
    const message = accepted(withFields(lines))
    return [message['framing'], message['contentLength']]
  }

  it('is by Content-Length, by chunks, or absent', () => {
    assert.deepEqual(framingOf(''), [Framing.NONE, 0])
    assert.deepEqual(framingOf('Content-Length: 0\r\n'), [Framing.LENGTH, 0])
    assert.deepEqual(framingOf('content-length:\t 123 \r\n'), [Framing.LENGTH, 123])
    assert.deepEqual(framingOf('Content-Length: 999999999999999\r\n'), [Framing.LENGTH, 999_999_999_999_999])
    assert.deepEqual(framingOf('TRANSFER-ENCODING:  ChunkeD\t\r\n'), [Framing.CHUNKED, 0])
  })
})

describe('Host', () => {
  it('may be a name, an IPv4 or IPv6 address, with a port or an empty one', () => {
    for (const host of [
      'a',
      'A.Example',
      'a.example.',
      'a_b-c~d',
      'xn--bcher-kva.example:8080',
      '127.0.0.1:0',
      'a:65535',
      'a:00080',
      'a:',
    ]) {
      assert.equal(accepted(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)['authority'], host)
    }
    for (const host of [
      '::',
      '::1',
      '1::',
      '1:2:3:4:5:6:7:8',
      '::2:3:4:5:6:7:8',
      '1:2:3:4:5:6:7::',
      'fe80::ABCD:1',
      '::ffff:1.2.3.4',
      '1:2:3:4:5:6:0.0.0.0',
      '1::2.3.4.5',
    ]) {
      assert.equal(accepted(`GET / HTTP/1.1\r\nHost: [${host}]:80\r\n\r\n`)['authority'], `[${host}]:80`)
    }
  })

  it('may be missing in HTTP/1.0', () => {
    const message = accepted('GET / HTTP/1.0\r\n\r\n')
    assert.equal(message['hostIndex'], -1)
    assert.equal(message['authority'], '')
  })
})

describe('Connection', () => {
  it('decides with the version whether the connection is kept', () => {
    const keepAlive = (version: string, line: string) =>
      accepted(`GET / ${version}\r\nHost: a\r\n${line}\r\n`)['keepAlive']
    assert.equal(keepAlive('HTTP/1.1', ''), true)
    assert.equal(keepAlive('HTTP/1.1', 'Connection: Close\r\n'), false)
    assert.equal(keepAlive('HTTP/1.1', 'Connection: keep-alive\r\nConnection: ,, close,\r\n'), false)
    assert.equal(keepAlive('HTTP/1.1', 'Connection: closed\r\n'), true)
    assert.equal(keepAlive('HTTP/1.0', ''), false)
    assert.equal(keepAlive('HTTP/1.0', 'Connection: Keep-Alive\r\n'), true)
    assert.equal(keepAlive('HTTP/1.0', 'Connection: keep-alive, close\r\n'), false)
    assert.equal(keepAlive('HTTP/1.0', 'Proxy-Connection: keep-alive\r\n'), false)
  })

  it('makes every field it names hop-by-hop, before or behind it, in any case', () => {
    const message = accepted(
      withFields('x-A: 1\r\nConnection: X-a\t,  x-b,TE,Cookie\r\nX-B: 2\r\nX-Bc: 3\r\nCOOKIE: 4\r\nx-a: 5\r\n'),
    )
    const hop = (message['fields'] as unknown[][]).filter((field) => (Number(field[3]) & FieldFlag.HOP) !== 0)
    assert.deepEqual(
      hop.map((field) => field[0]),
      ['x-A', 'Connection', 'X-B', 'COOKIE', 'x-a'],
    )
  })

  it('is not needed for the fields that are hop-by-hop by themselves', () => {
    const names = ['Keep-Alive', 'Proxy-Connection', 'TE', 'Upgrade', 'Proxy-Authorization', 'Proxy-Authenticate']
    const message = accepted(withFields(names.map((name) => `${name}: a\r\n`).join('')))
    for (const field of (message['fields'] as unknown[][]).slice(1))
      assert.equal(field[3], FieldFlag.HOP, String(field[0]))
  })

  it('must name Upgrade for it to count, and not in HTTP/1.0', () => {
    const upgrade = (version: string, lines: string) =>
      accepted(`GET / ${version}\r\nHost: a\r\n${lines}\r\n`)['upgrade']
    assert.equal(upgrade('HTTP/1.1', 'Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n'), true)
    assert.equal(upgrade('HTTP/1.1', 'Connection: upgrade\r\nUpgrade: websocket\r\n'), true)
    assert.equal(upgrade('HTTP/1.1', 'Upgrade: websocket\r\n'), false)
    assert.equal(upgrade('HTTP/1.1', 'Connection: upgrade\r\n'), false)
    assert.equal(upgrade('HTTP/1.0', 'Upgrade: websocket\r\nConnection: Upgrade\r\n'), false)
  })
})

describe('Expect', () => {
  it('waits for a 100 in HTTP/1.1 alone', () => {
    const expects = (version: string) =>
      accepted(`POST / ${version}\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n`)['expectContinue']
    assert.equal(expects('HTTP/1.1'), true)
    assert.equal(expects('HTTP/1.0'), false)
  })
})

describe('limits of a request', () => {
  const head = withTarget('/0123456789')
  const line = head.indexOf('\r\n')

  for (const way of ['whole', 'byte by byte'] as const) {
    it(`hold to the byte, ${way}`, () => {
      const cutsOf = (text: string) => (way === 'whole' ? [] : everyByte(text))
      const judge = (text: string, limits: Partial<typeof REQUEST_LIMITS>) =>
        errorOf(text, { ...REQUEST_LIMITS, ...limits }, cutsOf(text))
      assert.equal(judge(head, { requestLineBytes: line }), 'done')
      assert.equal(judge(head, { requestLineBytes: line - 1 }), 'EK_REQUEST_LINE_TOO_LONG')
      assert.equal(judge(head, { headBytes: head.length }), 'done')
      assert.equal(judge(head, { headBytes: head.length - 1 }), 'EK_HEAD_TOO_LARGE')
      assert.equal(judge(`\r\n\r\n${head}`, { headBytes: head.length + 4 }), 'done')
      assert.equal(judge(`\r\n\r\n${head}`, { headBytes: head.length + 3 }), 'EK_HEAD_TOO_LARGE')
      assert.equal(judge(`\r\n\r\n${head}`, { requestLineBytes: line }), 'done')
      assert.equal(judge('\r\n'.repeat(10), { headBytes: 20 }), 'EK_HEAD_TOO_LARGE')
      assert.equal(judge('\r\n'.repeat(10), { headBytes: 21 }), 'more')
      assert.equal(judge(head, { fieldCount: 1 }), 'done')
      assert.equal(judge(head, { fieldCount: 0 }), 'EK_TOO_MANY_FIELDS')
      assert.equal(judge('x'.repeat(8193), {}), 'more')
      assert.equal(judge('x'.repeat(8194), {}), 'EK_REQUEST_LINE_TOO_LONG')
    })
  }

  it('may be replaced between messages', () => {
    const parser = new RequestHeadParser({ ...REQUEST_LIMITS, fieldCount: 1 })
    const bytes = Buffer.from(withFields('A: b\r\n'))
    assert.equal(parser.feed(bytes, 0, bytes.length), ParseStatus.ERROR)
    parser.reset()
    parser.limits = REQUEST_LIMITS
    assert.equal(parser.feed(bytes, 0, bytes.length), ParseStatus.DONE)
  })
})

describe('a request parser over several messages', () => {
  it('reads pipelined requests one by one from one chunk', () => {
    const parser = new RequestHeadParser(REQUEST_LIMITS)
    const texts = [
      withFields('Content-Length: 5\r\nConnection: x\r\nExpect: 100-continue\r\n'),
      withTarget('/two'),
      `\r\n${withTarget('/three')}`,
    ]
    const bytes = Buffer.from(texts.join(''))
    let position = 0
    for (const text of texts) {
      assert.equal(parser.feed(bytes, position, bytes.length), ParseStatus.DONE)
      assert.deepEqual(requestOutcome(text), {
        status: 'done',
        consumed: text.length,
        message: (requestOutcome(text, []) as { message: unknown }).message,
      })
      assert.equal(parser.consumed, position + text.length)
      assert.equal(parser.head.text(parser.head.start, parser.head.end), text.trimStart())
      position = parser.consumed
    }
    assert.equal(parser.head.expectContinue, false, 'nothing stays from the message before')
    assert.equal(parser.head.framing, Framing.NONE)
  })

  it('is idle before the first byte of a message, empty lines apart', () => {
    const parser = new RequestHeadParser(REQUEST_LIMITS)
    const feed = (text: string) => parser.feed(Buffer.from(text), 0, text.length)
    assert.equal(parser.idle, true)
    feed('\r')
    feed('\n')
    assert.equal(parser.idle, true)
    feed('G')
    assert.equal(parser.idle, false)
    feed('ET / HTTP/1.1\r\nHost: a\r\n\r\n')
    assert.equal(parser.idle, true)
    feed('x')
    parser.reset()
    assert.equal(parser.idle, true)
    feed('\0')
    assert.equal(parser.idle, false)
  })

  it('stays with its error until it is reset', () => {
    const parser = new RequestHeadParser(REQUEST_LIMITS)
    const bad = Buffer.from('\0')
    const good = Buffer.from(withTarget('/'))
    assert.equal(parser.feed(bad, 0, 1), ParseStatus.ERROR)
    assert.equal(parser.feed(good, 0, good.length), ParseStatus.ERROR)
    parser.reset()
    assert.equal(parser.feed(good, 0, good.length), ParseStatus.DONE)
  })

  it('keeps a head that came in parts until it is fed again', () => {
    const parser = new RequestHeadParser(REQUEST_LIMITS)
    const first = Buffer.from(withTarget('/first'))
    parser.feed(first, 0, 20)
    assert.equal(parser.feed(first, 20, first.length), ParseStatus.DONE)
    first.fill(0)
    assert.equal(parser.head.text(parser.head.pathStart, parser.head.pathEnd), '/first')
  })

  it('asks for more when it is given nothing', () => {
    const parser = new RequestHeadParser(REQUEST_LIMITS)
    const bytes = Buffer.from(withTarget('/'))
    assert.equal(parser.feed(bytes, 0, 0), ParseStatus.MORE)
    assert.equal(parser.feed(bytes, 0, 9), ParseStatus.MORE)
    assert.equal(parser.feed(bytes, 9, 9), ParseStatus.MORE)
    assert.equal(parser.feed(bytes, 9, bytes.length), ParseStatus.DONE)
  })
})
