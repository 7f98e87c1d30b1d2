import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { editDistance, nearest } from '../../src/config/nearest.ts'

describe('the edit distance', () => {
  test('counts inserts, removals, replacements, and swapped neighbours once', () => {
    assert.equal(editDistance('balance', 'balance'), 0)
    assert.equal(editDistance('balnce', 'balance'), 1)
    assert.equal(editDistance('balancee', 'balance'), 1)
    assert.equal(editDistance('bolance', 'balance'), 1)
    assert.equal(editDistance('blaance', 'balance'), 1)
    assert.equal(editDistance('', 'abc'), 3)
  })

  test('is symmetric, zero only for equals, and at most the longer length', () => {
    const word = fc.string({ maxLength: 12 })
    fc.assert(
      fc.property(word, word, (a, b) => {
        const distance = editDistance(a, b)
        assert.equal(distance, editDistance(b, a))
        assert.equal(distance === 0, a === b)
        assert.ok(distance <= Math.max(a.length, b.length))
      }),
    )
  })
})

describe('the nearest candidate', () => {
  const keys = ['endpoints', 'balance', 'health', 'timeouts', 'limits']

  test('is the one that a slip would have missed', () => {
    assert.equal(nearest('endpoint', keys), 'endpoints')
    assert.equal(nearest('Balance', keys), 'balance')
    assert.equal(nearest('heatlh', keys), 'health')
    assert.equal(nearest('timeout', keys), 'timeouts')
  })

  test('is nobody when nothing is near', () => {
    assert.equal(nearest('colour', keys), undefined)
    assert.equal(nearest('x', keys), undefined)
    assert.equal(nearest('balance', []), undefined)
  })
})
