import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LeasedBuffers } from '../../src/edge/leased-buffers.ts'

test('a buffer comes back when its last holder lets go', () => {
  const buffers = new LeasedBuffers(1000, 10_000)
  const one = buffers.take()!
  assert.equal(one.bytes.length, 1000)
  assert.equal(one.isShared, false)
  one.hold()
  one.hold()
  assert.equal(one.isShared, true)
  one.release()
  one.release()
  assert.equal(one.isShared, false)
  assert.equal(buffers.bytesOut, 1000)
  one.release()
  assert.equal(buffers.bytesOut, 0)
  assert.equal(buffers.take(), one, 'the warm one first')
})

test('no more is out than allowed', () => {
  const buffers = new LeasedBuffers(1000, 3500)
  const out = [buffers.take(), buffers.take(), buffers.take()]
  assert.ok(out.every((one) => one !== null))
  assert.equal(buffers.take(), null)
  out[1]!.release()
  assert.notEqual(buffers.take(), null)
  assert.equal(buffers.take(), null)
})

test('a burst does not stay in memory', () => {
  const buffers = new LeasedBuffers(10, 100_000)
  const out = Array.from({ length: 100 }, () => buffers.take()!)
  for (const one of out) one.release()
  assert.equal(buffers.bytesOut, 0)
  const again = new Set(Array.from({ length: 100 }, () => buffers.take()!))
  assert.equal(out.filter((one) => again.has(one)).length, 16)
})
