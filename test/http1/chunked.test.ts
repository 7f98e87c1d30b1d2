import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ChunkedDecoder } from '../../src/http1/chunked.ts'
import { ParseStatus } from '../../src/http1/parse-status.ts'
import { CHUNKED_LIMITS, chunkedOutcome, everyByte } from './outcome.ts'
import { REFUSED_CHUNKS } from './rules.ts'

function accepted(text: string): Record<string, unknown> {
  const outcome = chunkedOutcome(text)
  assert.equal(outcome.status, 'done', `${JSON.stringify(text)}: ${JSON.stringify(outcome)}`)
  return outcome.status === 'done' ? { ...outcome.message, consumed: outcome.consumed } : {}
}

describe('a chunked decoder refuses what breaks a rule, whole or byte by byte', () => {
  for (const [rule, inputs] of Object.entries(REFUSED_CHUNKS)) {
    it(rule, () => {
      for (const { text, code, seen } of inputs) {
        const whole = chunkedOutcome(text)
        const inBytes = chunkedOutcome(text, everyByte(text))
        assert.equal(whole.status === 'error' && whole.code, code, JSON.stringify(text))
        assert.equal(inBytes.status === 'error' && inBytes.code, code, JSON.stringify(text))
        if (seen !== undefined) assert.equal(inBytes.status === 'error' && inBytes.seen, seen, JSON.stringify(text))
      }
    })
  }
})

describe('chunks', () => {
  it('give their data and end where the body ends', () => {
    const body = '5\r\nhello\r\n00b\r\n, wonderful\r\nA\r\n wide worl\r\n1\r\nd\r\n0\r\n\r\n'
    assert.deepEqual(accepted(`${body}GET /`), {
      data: 'hello, wonderful wide world',
      trailers: [],
      consumed: body.length,
    })
  })

  it('hand on each piece of data as a slice of what was fed', () => {
    const decoder = new ChunkedDecoder(CHUNKED_LIMITS)
    const slices: unknown[] = []
    const sink = { chunkData: (bytes: Buffer, start: number, end: number) => slices.push([bytes, start, end]) }
    const bytes = Buffer.from('5\r\nhello\r\n0\r\n\r\n')
    assert.equal(decoder.feed(bytes, 0, 5, sink), ParseStatus.MORE)
    assert.equal(decoder.feed(bytes, 5, bytes.length, sink), ParseStatus.DONE)
    assert.deepEqual(slices, [
      [bytes, 3, 5],
      [bytes, 5, 8],
    ])
  })

  it('may have extensions, which are dropped', () => {
    const lines = [
      '5;a',
      '5;a=b',
      '5;a="b;c\\"d\xe4"',
      '5 ; a',
      '5;a;b=c ; d="e"',
      '5\t;\ta\t=\tb;c',
      '5;a=""',
      `5;${'x'.repeat(256)}`,
      '5;a = "b" ;c',
    ]
    for (const line of lines) assert.equal(accepted(`${line}\r\nhello\r\n0;z=1\r\n\r\n`)['data'], 'hello', line)
  })

  it('may be as small as a byte, as many as there are, when the lines between are short', () => {
    assert.equal(String(accepted(`${'1\r\nx\r\n'.repeat(20_000)}0\r\n\r\n`)['data']).length, 20_000)
    assert.equal(String(accepted(`${'1;a=b\r\nx\r\n'.repeat(20_000)}0\r\n\r\n`)['data']).length, 20_000)
  })

  it('may be followed by trailers', () => {
    const body = '0\r\nGrpc-Status: 0\r\nServer-Timing:  a \r\n\r\n'
    const message = accepted(`${body}rest`)
    assert.deepEqual(message['trailers'], [
      ['Grpc-Status', '0', 0, 0],
      ['Server-Timing', 'a', 0, 1],
    ])
    assert.equal(message['consumed'], body.length)
  })

  it('hold trailers to their limits to the byte', () => {
    const trailers = 'A: b\r\n\r\n'
    const text = `0\r\n${trailers}`
    for (const cuts of [[], everyByte(text)]) {
      const judge = (limits: Partial<typeof CHUNKED_LIMITS>) =>
        chunkedOutcome(text, cuts, new ChunkedDecoder({ ...CHUNKED_LIMITS, ...limits })).status
      assert.equal(judge({ trailerBytes: trailers.length }), 'done')
      assert.equal(judge({ trailerBytes: trailers.length - 1 }), 'error')
      assert.equal(judge({ fieldCount: 1 }), 'done')
      assert.equal(judge({ fieldCount: 0 }), 'error')
    }
  })

  it('count sizes exactly up to 2^53 - 1', () => {
    assert.equal(chunkedOutcome('1fffffffffffff\r\nx').status, 'more')
    assert.equal(chunkedOutcome('01fffffffffffff\r\nx').status, 'more')
  })
})

describe('a chunked decoder over several bodies', () => {
  it('begins the next body by itself, without trailers of the one before', () => {
    const decoder = new ChunkedDecoder(CHUNKED_LIMITS)
    let data = ''
    const sink = {
      chunkData(bytes: Buffer, start: number, end: number) {
        data += bytes.toString('latin1', start, end)
      },
    }
    const bytes = Buffer.from('1\r\na\r\n0\r\nX: y\r\n\r\n2\r\nbc\r\n0\r\n\r\n')
    assert.equal(decoder.feed(bytes, 0, bytes.length, sink), ParseStatus.DONE)
    assert.equal(decoder.trailers.count, 1)
    assert.equal(decoder.feed(bytes, decoder.consumed, bytes.length, sink), ParseStatus.DONE)
    assert.equal(decoder.trailers.count, 0)
    assert.equal(decoder.consumed, bytes.length)
    assert.equal(data, 'abc')
  })

  it('stays with its error until it is reset', () => {
    const decoder = new ChunkedDecoder(CHUNKED_LIMITS)
    const sink = { chunkData: () => {} }
    const bytes = Buffer.from('x0\r\n\r\n')
    assert.equal(decoder.feed(bytes, 0, 1, sink), ParseStatus.ERROR)
    assert.equal(decoder.feed(bytes, 1, bytes.length, sink), ParseStatus.ERROR)
    decoder.reset()
    assert.equal(decoder.feed(bytes, 1, bytes.length, sink), ParseStatus.DONE)
  })
})
