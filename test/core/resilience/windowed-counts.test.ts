import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Xoshiro128 } from '../../../src/core/random.ts'
import {
  clearWindow,
  countInWindow,
  sumOfWindow,
  type WindowShape,
  windowWords,
} from '../../../src/core/resilience/windowed-counts.ts'

const shape: WindowShape = { buckets: 5, fields: 2, bucketMs: 100 }

describe('counts over a window', () => {
  test('are those of the newest bucket and the four before, whatever the pauses', () => {
    const chance = new Xoshiro128(51)
    const words = new Int32Array(windowWords(shape))
    const events: { bucket: number; field: number }[] = []
    let now = 1_700_000_000_000
    for (let i = 0; i < 3000; i++) {
      now += chance.below(10) === 0 ? chance.below(2000) : chance.below(30)
      const field = chance.below(2)
      countInWindow(words, 0, shape, field, now)
      const bucket = Math.floor(now / 100)
      events.push({ bucket, field })
      for (const asked of [0, 1]) {
        const wanted = events.filter((event) => event.field === asked && event.bucket > bucket - 5).length
        assert.equal(sumOfWindow(words, 0, shape, asked, now), wanted)
      }
    }
  })

  test('end when the window has passed, by asking alone', () => {
    const words = new Int32Array(windowWords(shape))
    countInWindow(words, 0, shape, 0, 1050)
    assert.equal(sumOfWindow(words, 0, shape, 0, 1499), 1)
    assert.equal(sumOfWindow(words, 0, shape, 0, 1500), 0)
  })

  test('take no harm from a clock that jumps back: a little is no time at all, more begins anew', () => {
    const words = new Int32Array(windowWords(shape))
    countInWindow(words, 0, shape, 0, 10_000)
    countInWindow(words, 0, shape, 0, 9_700)
    assert.equal(sumOfWindow(words, 0, shape, 0, 10_000), 2)
    countInWindow(words, 0, shape, 0, 2_000)
    assert.equal(sumOfWindow(words, 0, shape, 0, 2_000), 1)
  })

  test('work at any time of the epoch, from zeroed words on, and where bucket numbers run over', () => {
    for (const now of [0, 1, 2 ** 31 * 100 - 150, 2 ** 31 * 100, 3e11, 2 ** 32 * 100 - 150, 8.64e15]) {
      const words = new Int32Array(windowWords(shape))
      for (let step = 0; step < 4; step++) countInWindow(words, 0, shape, 0, now + step * 100)
      assert.equal(sumOfWindow(words, 0, shape, 0, now + 300), 4, `${now}`)
      assert.equal(sumOfWindow(words, 0, shape, 0, now + 900), 0, `${now}`)
    }
  })

  test('stay within their words, and do not run over', () => {
    const words = new Int32Array(windowWords(shape) + 2).fill(0)
    words[0] = 7
    words[words.length - 1] = 7
    for (let now = 0; now < 1000; now += 50) for (const field of [0, 1]) countInWindow(words, 1, shape, field, now)
    assert.deepEqual([words[0], words.at(-1)], [7, 7])
    words.fill(0x7fff_ffff, 2, -1)
    countInWindow(words, 1, shape, 0, 950)
    assert.equal(Math.max(...words), 0x7fff_ffff)
    assert.ok(Math.min(...words) >= 0)
    clearWindow(words, 1, shape)
    assert.equal(sumOfWindow(words, 1, shape, 0, 950), 0)
    assert.equal(words.at(-1), 7)
  })
})
