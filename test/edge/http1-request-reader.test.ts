import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Http1RequestReader, type RequestSink } from '../../src/edge/http1-request-reader.ts'
import type { ListenerPlan } from '../../src/pool/plan.ts'

/** Keeps what it is given, as an exchange that waits for a connection does. */
class KeepingSink implements RequestSink {
  mayBegin = true
  readonly bodies: Buffer[] = []
  requests = 0
  wasFull = false

  headBegun(): void {}
  headRefused(error: number): void {
    assert.fail(`refused: ${error}`)
  }
  requestBegun(): boolean {
    this.requests++
    return true
  }
  requestReady(): void {}
  bodyData(bytes: Buffer): void {
    this.bodies.push(bytes)
  }
  requestEnd(): void {}
  bodyRefused(error: number): void {
    assert.fail(`body refused: ${error}`)
  }
  heldBack(isFull: boolean): void {
    this.wasFull = isFull
  }
  unwanted(): void {}
}

const limits = { requestLineBytes: 8192, headBytes: 65_536, fieldCount: 100, bodyBytes: 0 }
const plan = { limits } as unknown as ListenerPlan

/** Gives the bytes in pieces of `size`, from one buffer that is overwritten after each. */
function feed(reader: Http1RequestReader, text: string, size: number): void {
  const borrowed = Buffer.alloc(size)
  for (let at = 0; at < text.length; at += size) {
    const length = borrowed.write(text.slice(at, at + size), 'latin1')
    reader.read(borrowed.subarray(0, length))
    borrowed.fill('#')
  }
}

const body = Array.from({ length: 5000 }, (_, index) => String.fromCharCode(97 + (index % 26))).join('')
const chunks = body.replaceAll(/.{1,700}/g, (piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`)

for (const [framing, request] of [
  ['with a length', `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`],
  ['in chunks', `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`],
] as const) {
  for (const size of [1, 7, 100, 4000, 10_000]) {
    test(`what is kept of a body ${framing} outlives the buffer that it came in: reads of ${size}`, () => {
      const sink = new KeepingSink()
      feed(new Http1RequestReader(sink, { plan }), request, size)
      assert.equal(Buffer.concat(sink.bodies).toString('latin1'), body)
    })
  }
}

for (const size of [1, 9, 1000, 100_000]) {
  test(`requests that wait for the answer before them outlive the buffer that they came in: reads of ${size}`, () => {
    const sink = new KeepingSink()
    const reader = new Http1RequestReader(sink, { plan })
    feed(reader, 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc'.repeat(200), size)
    for (let answered = 1; answered < 200; answered++) {
      assert.equal(sink.requests, answered)
      reader.next()
      reader.readHeld()
    }
    assert.equal(reader.hasHeld, false)
    assert.equal(Buffer.concat(sink.bodies).toString(), 'abc'.repeat(200))
  })
}

test('what may wait is bounded: the connection is told when it is enough', () => {
  const sink = new KeepingSink()
  const reader = new Http1RequestReader(sink, { plan })
  reader.read(Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'))
  const piece = Buffer.alloc(1000, 'x')
  let given = 0
  while (!sink.wasFull) {
    reader.read(piece)
    given += piece.length
  }
  assert.ok(given >= 64 * 1024 && given <= 66 * 1024, `${given} bytes`)
})
