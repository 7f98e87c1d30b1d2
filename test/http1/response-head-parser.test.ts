import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ERROR_INDEX } from '../../src/core/errors.ts'
import { FieldFlag } from '../../src/http1/fields.ts'
import { Framing, MethodId } from '../../src/http1/head.ts'
import { ParseStatus, ResponseHeadParser } from '../../src/http1/response-head-parser.ts'
import { everyByte, RESPONSE_LIMITS, responseOutcome } from './outcome.ts'
import { REFUSED_RESPONSES } from './rules.ts'

function accepted(text: string, method: number = MethodId.GET): Record<string, unknown> {
  const outcome = responseOutcome(text, [], method)
  assert.equal(outcome.status, 'done', `${JSON.stringify(text)}: ${JSON.stringify(outcome)}`)
  return outcome.status === 'done' ? outcome.message : {}
}

describe('a response parser refuses what breaks a rule, whole or byte by byte', () => {
  for (const [rule, inputs] of Object.entries(REFUSED_RESPONSES)) {
    it(rule, () => {
      for (const { text, code, seen } of inputs) {
        const whole = responseOutcome(text)
        const inBytes = responseOutcome(text, everyByte(text))
        assert.equal(whole.status === 'error' && whole.code, code, JSON.stringify(text))
        assert.equal(inBytes.status === 'error' && inBytes.code, code, JSON.stringify(text))
        if (seen !== undefined) assert.equal(inBytes.status === 'error' && inBytes.seen, seen, JSON.stringify(text))
      }
    })
  }

  it('and calls it a bad response, or one that is too large', () => {
    const errorOf = (text: string, limits: Partial<typeof RESPONSE_LIMITS> = {}) => {
      const parser = new ResponseHeadParser({ ...RESPONSE_LIMITS, ...limits })
      assert.equal(parser.feed(Buffer.from(text), 0, text.length), ParseStatus.ERROR)
      return [parser.error, parser.problem]
    }
    const head = 'HTTP/1.1 200 OK\r\nA: b\r\n\r\n'
    assert.deepEqual(errorOf('HTTP/1.1 200 OK\n'), [ERROR_INDEX.EK_BAD_RESPONSE, ERROR_INDEX.EK_BARE_LF])
    assert.deepEqual(errorOf(head, { headBytes: head.length - 1 }), [
      ERROR_INDEX.EK_RESPONSE_HEAD_TOO_LARGE,
      ERROR_INDEX.EK_HEAD_TOO_LARGE,
    ])
    assert.deepEqual(errorOf(head, { fieldCount: 0 }), [
      ERROR_INDEX.EK_RESPONSE_HEAD_TOO_LARGE,
      ERROR_INDEX.EK_TOO_MANY_FIELDS,
    ])
  })
})

describe('the status line', () => {
  it('has a status and a reason, which may be empty or missing with its SP', () => {
    const lineOf = (line: string) => {
      const message = accepted(`${line}\r\n\r\n`)
      return [message['versionMinor'], message['status'], message['reason']]
    }
    assert.deepEqual(lineOf('HTTP/1.1 200 OK'), [1, 200, 'OK'])
    assert.deepEqual(lineOf('HTTP/1.0 404 Not  Found '), [0, 404, 'Not  Found '])
    assert.deepEqual(lineOf('HTTP/1.1 500 '), [1, 500, ''])
    assert.deepEqual(lineOf('HTTP/1.1 500'), [1, 500, ''])
    assert.deepEqual(lineOf('HTTP/1.1 599 \xe4\t\xff'), [1, 599, '\xe4\t\xff'])
    assert.deepEqual(lineOf('HTTP/1.1 100 Continue'), [1, 100, 'Continue'])
  })

  it('may fill the head to its limit, to the byte', () => {
    const head = 'HTTP/1.1 200 OK\r\nA: b\r\n\r\n'
    for (const cuts of [[], everyByte(head)]) {
      const judge = (headBytes: number) =>
        responseOutcome(head, cuts, MethodId.GET, new ResponseHeadParser({ ...RESPONSE_LIMITS, headBytes }))
      assert.equal(judge(head.length).status, 'done')
      assert.equal(judge(head.length - 1).status, 'error')
    }
  })
})

describe('the framing of a response', () => {
  const framingOf = (lines: string, status = 200, method: number = MethodId.GET, version = 'HTTP/1.1') => {
    const message = accepted(`${version} ${status} X\r\n${lines}\r\n`, method)
    return [message['framing'], message['contentLength'], message['keepAlive']]
  }

  it('is by length, by chunks, or by the end of the connection', () => {
    assert.deepEqual(framingOf('Content-Length: 5\r\n'), [Framing.LENGTH, 5, true])
    assert.deepEqual(framingOf('Content-Length: 0\r\n'), [Framing.LENGTH, 0, true])
    assert.deepEqual(framingOf('Transfer-Encoding: chunked\r\n'), [Framing.CHUNKED, 0, true])
    assert.deepEqual(framingOf(''), [Framing.CLOSE, 0, false])
    assert.deepEqual(framingOf('Connection: keep-alive\r\n'), [Framing.CLOSE, 0, false])
    assert.deepEqual(framingOf('Content-Length: 5\r\nConnection: close\r\n'), [Framing.LENGTH, 5, false])
    assert.deepEqual(framingOf('Content-Length: 5\r\n', 200, MethodId.GET, 'HTTP/1.0'), [Framing.LENGTH, 5, false])
  })

  it('is absent for HEAD, 1xx, 204 and 304, whatever the fields say', () => {
    for (const lines of ['', 'Content-Length: 0\r\n']) {
      for (const status of [100, 101, 103, 199, 204, 304])
        assert.deepEqual(framingOf(lines, status), [Framing.NONE, 0, true])
    }
    assert.deepEqual(framingOf('Content-Length: 500\r\n', 304), [Framing.NONE, 0, true])
    assert.deepEqual(framingOf('Content-Length: 500\r\n', 200, MethodId.HEAD), [Framing.NONE, 0, true])
    assert.deepEqual(framingOf('Transfer-Encoding: chunked\r\n', 404, MethodId.HEAD), [Framing.NONE, 0, true])
    assert.deepEqual(framingOf('', 200, MethodId.HEAD), [Framing.NONE, 0, true])
    assert.deepEqual(framingOf('', 200, MethodId.CONNECT), [Framing.NONE, 0, true])
    assert.deepEqual(framingOf('', 205), [Framing.CLOSE, 0, false])
  })

  it('is not trusted to be absent when chunks are announced on a 204', () => {
    assert.deepEqual(framingOf('Transfer-Encoding: chunked\r\n', 204), [Framing.NONE, 0, false])
  })
})

describe('a response parser over several messages', () => {
  it('reads interim heads one by one, then the final one', () => {
    const parser = new ResponseHeadParser(RESPONSE_LIMITS)
    parser.expect(MethodId.POST)
    const bytes = Buffer.from(
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi',
    )
    const statuses: number[] = []
    let position = 0
    while (parser.head.status < 200) {
      assert.equal(parser.feed(bytes, position, bytes.length), ParseStatus.DONE)
      statuses.push(parser.head.status)
      position = parser.consumed
    }
    assert.deepEqual(statuses, [100, 103, 200])
    assert.equal(bytes.toString('latin1', position), 'hi')
    assert.equal(parser.idle, true)
  })

  it('is idle until the first byte, and after a reset', () => {
    const parser = new ResponseHeadParser(RESPONSE_LIMITS)
    assert.equal(parser.feed(Buffer.from('H'), 0, 0), ParseStatus.MORE)
    assert.equal(parser.idle, true)
    assert.equal(parser.feed(Buffer.from('H'), 0, 1), ParseStatus.MORE)
    assert.equal(parser.idle, false)
    parser.reset()
    assert.equal(parser.idle, true)
  })
})

describe('Connection in a response', () => {
  it('may name Transfer-Encoding, as large sites do, and fields of its own', () => {
    const message = accepted(
      'HTTP/1.1 200 OK\r\nConnection: Transfer-Encoding, X-A\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nX-B: 2\r\n\r\n',
    )
    const flags = (message['fields'] as unknown[][]).map((field) => field[3])
    assert.deepEqual(flags, [FieldFlag.HOP, FieldFlag.HOP, FieldFlag.HOP, 0])
    assert.equal(message['regular'], false)
  })

  it('confirms an upgrade only when it names it', () => {
    const upgrade = (lines: string) => accepted(`HTTP/1.1 101 Switching Protocols\r\n${lines}\r\n`)['upgrade']
    assert.equal(upgrade('Upgrade: websocket\r\nConnection: Upgrade\r\n'), true)
    assert.equal(upgrade('Upgrade: websocket\r\n'), false)
  })
})
