/** What an endpoint may not say: the client gets a 502 and no byte of it, the connection ends, and it is counted. */
import assert from 'node:assert/strict'
import type { ErrorCode } from '../../src/core/errors.ts'
import { get, ok, wire } from './harness.ts'

const HEAD = 'HTTP/1.1 200 OK\r\n'

const MALFORMED: readonly (readonly [title: string, answer: string, code?: ErrorCode])[] = [
  ['no HTTP at all', 'SSH-2.0-OpenSSH\r\n'],
  ['an empty line first', `\r\n${ok()}`],
  ['another version', 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a version in lower case', 'http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status of two digits', 'HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status of four digits', 'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status below 100', 'HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a status above 599', 'HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n'],
  ['two spaces before the status', 'HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a control byte in the reason', 'HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n'],
  ['a line without a carriage return', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
  ['a bare line feed in the fields', `${HEAD}X-A: 1\nContent-Length: 0\r\n\r\n`],
  ['a bare carriage return', `${HEAD}X-A: 1\rX-B: 2\r\nContent-Length: 0\r\n\r\n`],
  ['a folded field', `${HEAD}X-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n`],
  ['a space before a colon', `${HEAD}X-A : 1\r\nContent-Length: 0\r\n\r\n`],
  ['a field without a name', `${HEAD}: 1\r\nContent-Length: 0\r\n\r\n`],
  ['a NUL in a value', `${HEAD}X-A: 1\x002\r\nContent-Length: 0\r\n\r\n`],
  ['two lengths', `${HEAD}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`],
  ['a list of lengths', `${HEAD}Content-Length: 2, 2\r\n\r\nok`],
  ['a signed length', `${HEAD}Content-Length: +2\r\n\r\nok`],
  ['a length in hex', `${HEAD}Content-Length: 0x2\r\n\r\nok`],
  ['length and chunks', `${HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['chunks and length', `${HEAD}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n`],
  ['an unknown coding', `${HEAD}Transfer-Encoding: gzip\r\n\r\n`],
  ['a coding before chunked', `${HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['Connection naming Content-Length', `${HEAD}Connection: content-length\r\nContent-Length: 2\r\n\r\nok`],
  ['a 204 with a length', 'HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n'],
  ['a 101 that nobody asked for', 'HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n', 'EK_UNEXPECTED_UPGRADE'],
  ['a head that is too large', `${HEAD}X-A: ${'x'.repeat(5000)}\r\n\r\n`, 'EK_RESPONSE_HEAD_TOO_LARGE'],
  ['too many fields', `${HEAD}${'X-A: 1\r\n'.repeat(21)}\r\n`, 'EK_RESPONSE_HEAD_TOO_LARGE'],
]

for (const [title, answer, code = 'EK_BAD_RESPONSE'] of MALFORMED)
  for (const isSplit of [false, true])
    wire(`${title}${isSplit ? ', byte by byte' : ''}`, async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        await upstream.request()
        if (isSplit && answer.length < 200) await upstream.writeSlowly([...answer], 0)
        else upstream.write(answer)
        await upstream.ending()
      })
      const pool = { limits: { responseHeadBytes: 4000, responseFieldCount: 20 } }
      const edge = await lab.edge({ origins: [origin], pool })
      const client = await edge.connect()
      client.write(get())
      const refusal = await client.answer()
      assert.equal(refusal.status, 502)
      assert.match(refusal.text, new RegExp(`\\(${code}\\)\n`))
      assert.notEqual(await origin.wires[0]!.ending(), 'open')
      assert.deepEqual(edge.counted, { [code]: 1 })
      assert.equal(edge.table.snapshot(0).failures, 1)
      client.write(get())
      assert.equal((await client.answer()).status, 502, "the client's connection is fine")
    })

const BAD_CHUNKS = [
  ['a size that is no number', 'x\r\n'],
  ['a size with a sign', '+5\r\nhello\r\n0\r\n\r\n'],
  ['a size with 0x', '0x5\r\nhello\r\n0\r\n\r\n'],
  ['a size that is too large', 'ffffffffffffffff\r\nhello'],
  ['an empty size', '\r\nhello\r\n0\r\n\r\n'],
  ['a bare line feed behind the size', '5\nhello\r\n0\r\n\r\n'],
  ['more data than the size says', '5\r\nhelloo\r\n0\r\n\r\n'],
  ['a bare carriage return behind the data', '5\r\nhello\r0\r\n\r\n'],
  ['a bad extension', '5;a="\x01"\r\nhello\r\n0\r\n\r\n'],
  ['a trailer that frames', '5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n'],
  ['a trailer with a bad name', '5\r\nhello\r\n0\r\nX A: 5\r\n\r\n'],
] as const

for (const [title, body] of BAD_CHUNKS)
  for (const isSplit of [false, true])
    wire(`in a chunked answer ${title}${isSplit ? ', byte by byte' : ''}`, async (lab) => {
      const origin = await lab.origin(async (upstream) => {
        await upstream.request()
        upstream.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`)
        if (isSplit) await upstream.writeSlowly([...body], 0)
        else upstream.write(body)
        await upstream.ending()
      })
      const edge = await lab.edge({ origins: [origin] })
      const client = await edge.connect()
      client.write(get())
      // The head may be on its way already: then the body is cut short.
      const head = await client.answerHead()
      const rest = await client.rest()
      assert.ok(head.status === 502 || (head.status === 200 && !rest.endsWith('0\r\n\r\n')), head.head + rest)
      assert.deepEqual(edge.counted, { EK_BAD_RESPONSE_CHUNK: 1 })
      assert.notEqual(await origin.wires[0]!.ending(), 'open')
      assert.equal(edge.table.snapshot(0).failures, 1)
    })

wire('a malformed answer behind an interim one is a 502 behind it', async (lab) => {
  const origin = await lab.origin(async (upstream) => {
    await upstream.request()
    upstream.write('HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 x\r\n\r\n')
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get())
  assert.equal((await client.answer()).status, 103)
  assert.equal((await client.answer()).status, 502)
})
