import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesPerCall, SMALLEST_OBJECT_BYTES } from './bytes-per-call.ts'

test('a call that keeps a small object is seen, one that keeps nothing is not', () => {
  const kept: object[] = []
  assert.ok(
    bytesPerCall((calls) => {
      kept.length = 0
      for (let i = 0; i < calls; i++) kept[i & 1023] = { i }
    }) >= SMALLEST_OBJECT_BYTES,
  )
  const cell = new Float64Array(1)
  assert.ok(
    bytesPerCall((calls) => {
      for (let i = 0; i < calls; i++) cell[0] = cell[0]! + i
    }) < 1,
  )
})
