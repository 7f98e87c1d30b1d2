import assert from 'node:assert/strict'
import { test } from 'node:test'
import { numberAt, SIGNAL_PATH, signalSteps } from '../../src/core/signals/json-path.ts'
import { BodyReader } from '../../src/pool/probe-body.ts'

/** Fed byte by byte as far as it wants. */
function read(text: string, hasEnded = false): string | null {
  const reader = new BodyReader()
  for (const byte of Buffer.from(text)) if (reader.feed(Buffer.of(byte))) break
  if (hasEnded) reader.end()
  return reader.text()
}

test('the body of a health answer is read by its length, in chunks, or to the end of the connection', () => {
  assert.equal(read('Content-Length: 7\r\nA: b\r\n\r\n{"a":1}rest'), '{"a":1}')
  assert.equal(read('transfer-encoding: chunked\r\n\r\n3\r\n{"a\r\n4;x=y\r\n":1}\r\n0\r\n\r\n'), '{"a":1}')
  assert.equal(read('\r\n{"a":1}', true), '{"a":1}')
  assert.equal(read('a: b\r\n\r\n{"a":1}', true), '{"a":1}')
})

test('what is cut, malformed or too long has no text', () => {
  assert.equal(read('content-length: 8\r\n\r\n{"a":1}', true), null)
  assert.equal(read('transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n', true), null)
  assert.equal(read('a: b\r\n', true), null)
  const long = new BodyReader()
  assert.equal(long.feed(Buffer.alloc(65 * 1024, 0x20)), true)
  assert.equal(long.text(), null)
})

test('a path finds the number that stands there and nothing else', () => {
  const value = { load: { cpu: 0.5, all: [1, { x: 2 }] }, text: '7' }
  const at = (path: string): number | null => {
    assert.match(path, SIGNAL_PATH)
    return numberAt(value, signalSteps(path))
  }
  assert.equal(at('$.load.cpu'), 0.5)
  assert.equal(at('$.load.all[0]'), 1)
  assert.equal(at('$.load.all[1].x'), 2)
  for (const path of ['$.text', '$.load', '$.load.all.length', '$.constructor.length', '$.load[0]', '$.load.all[7]'])
    assert.equal(at(path), null, path)
  for (const path of ['$', 'cpu', '$.a b', '$..a', '$.a[-1]', `$${'.a'.repeat(17)}`])
    assert.doesNotMatch(path, SIGNAL_PATH)
})
