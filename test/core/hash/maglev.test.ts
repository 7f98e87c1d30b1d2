import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fillMaglevTable, MaglevMap } from '../../../src/core/hash/maglev.ts'
import { fleet, keys, tally, without } from './every-map.ts'

const equal = (count: number): number[] => Array.from({ length: count }, () => 1)

describe('fillMaglevTable', () => {
  test("gives the paper's example, before and after B1 left", () => {
    // NSDI 2016, table 1: M = 7, permutations 3 0 4 1 5 2 6, 0 2 4 6 1 3 5 and 3 4 5 6 0 1 2.
    assert.deepEqual(Array.from(fillMaglevTable([3, 0, 3], [4, 2, 1], equal(3), 7)), [1, 0, 1, 0, 2, 2, 0])
    assert.deepEqual(Array.from(fillMaglevTable([3, 3], [4, 1], equal(2), 7)), [0, 0, 0, 0, 1, 1, 1])
  })

  test('gives everybody the share rounded, whatever the weights', () => {
    const size = 1009
    for (const weights of [equal(10), [1, 2, 3, 4], [1, 1e-3, 100, 7], [1e-9, 1], [Number.MAX_VALUE, 1e308, 1]]) {
      const offsets = weights.map((_, i) => (i * 331) % size)
      const skips = weights.map((_, i) => 1 + ((i * 577) % (size - 1)))
      const counts = new Float64Array(weights.length)
      for (const rank of fillMaglevTable(offsets, skips, weights, size)) counts[rank]!++
      const largest = Math.max(...weights)
      const sum = weights.reduce((a, b) => a + b / largest, 0)
      for (const [i, weight] of weights.entries()) {
        // All have had their turns of the same rounds, up to the last, which may be cut short.
        assert.ok(
          Math.abs(counts[i]! - (size * (weight / largest)) / sum) <= 1.5,
          `${weights.join()}: ${counts.join()}`,
        )
      }
    }
  })

  test('gives one entry to all whose share is more than half of one', () => {
    // 1 000 of 1 100 for the heavy one; 0.917 of an entry for each of the others.
    const size = 1009
    const weights = Array.from({ length: 101 }, (_, i) => (i === 50 ? 1000 : 1))
    const offsets = weights.map((_, i) => (i * 331) % size)
    const skips = weights.map((_, i) => 1 + ((i * 577) % (size - 1)))
    const table = fillMaglevTable(offsets, skips, weights, size)
    assert.equal(new Set(table).size, 101)
    assert.equal(table.filter((rank) => rank === 50).length, size - 100)
  })

  test('is empty without members', () => {
    assert.equal(fillMaglevTable([], [], [], 7).length, 0)
  })
})

describe('Maglev', () => {
  test('gives equal members shares within one entry', () => {
    const map = new MaglevMap(fleet(1000))
    const counts = tally(map, 1000, keys(1_000_000))
    // 65 or 66 entries each; the sample of 1 000 keys a member adds 3.2 % of chance.
    assert.ok(Math.max(...counts) < 1000 * 1.17 && Math.min(...counts) > 1000 * 0.83)
  })

  test('moves few keys but those of the member that leaves', () => {
    const members = fleet(100)
    const [before, after] = [new MaglevMap(members), new MaglevMap(without(members, 40))]
    const ids = without(members, 40).ids
    let moved = 0
    const of = keys(50_000)
    for (const key of of) {
      const owner = before.owner(key)
      if (owner !== 40 && ids[after.owner(key)] !== members.ids[owner]) moved++
    }
    assert.ok(moved / of.length < 0.02, `${moved} of ${of.length} moved`)
    assert.ok(moved > 0)
  })

  test('takes primes only, in range, and no more members than entries', () => {
    for (const tableSize of [4, 9, 65_536, 65_535]) {
      assert.throws(() => new MaglevMap(fleet(1), { tableSize }), /tableSize must be a prime/)
    }
    for (const tableSize of [0, 1, 2.5, 2 ** 21 + 1, Number.NaN]) {
      assert.throws(() => new MaglevMap(fleet(1), { tableSize }), /tableSize must be a whole number from 2/)
    }
    assert.throws(() => new MaglevMap(fleet(8), { tableSize: 7 }), /a Maglev table of 7 entries is too small for 8/)
    for (const tableSize of [2, 3, 7, 251, 655_373]) {
      const map = new MaglevMap(fleet(2), { tableSize })
      assert.deepEqual(
        [...new Set(Array.from(keys(200), (key) => map.owner(key)))].sort((a, b) => a - b),
        [0, 1],
      )
    }
  })

  test('finds a member whose weight is too small for an entry once all others refuse', () => {
    const map = new MaglevMap(fleet(3, [1, 1, 1e-7]))
    for (const key of keys(1000)) {
      assert.notEqual(map.owner(key), 2)
      assert.equal(
        map.find(key, (index) => index === 2),
        2,
      )
    }
  })
})
