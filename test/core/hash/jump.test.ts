import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { JumpMap, jumpHash } from '../../../src/core/hash/jump.ts'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { fleet, keys, without } from './every-map.ts'

/** The paper's code, with BigInt for uint64. */
function reference(key: bigint, buckets: number): number {
  let state = key
  let b = -1
  let j = 0
  while (j < buckets) {
    b = j
    state = BigInt.asUintN(64, state * 2_862_933_555_777_941_757n + 1n)
    j = Math.floor((b + 1) * (2 ** 31 / Number((state >> 33n) + 1n)))
  }
  return b
}

const ofBig = (key: bigint, buckets: number): number =>
  jumpHash(Number(key >> 32n), Number(key & 0xffff_ffffn), buckets)

describe('jumpHash', () => {
  test('gives the values published with other implementations', () => {
    for (const [key, buckets, bucket] of [
      [1n, 1, 0],
      [42n, 57, 43],
      [0xdead_10ccn, 1, 0],
      [0xdead_10ccn, 666, 361],
      [256n, 1024, 520],
      [0n, 60, 0],
      [1n, 60, 55],
      [2n, 60, 46],
    ] as const) {
      assert.equal(ofBig(key, buckets), bucket)
    }
  })

  test('is the 64-bit function for any key and number of buckets', () => {
    const chance = new Xoshiro128(12)
    for (let trial = 0; trial < 20_000; trial++) {
      const key = (BigInt(chance.int32() >>> 0) << 32n) | BigInt(chance.int32() >>> 0)
      const buckets =
        1 + (trial % 3 === 0 ? chance.below(20) : (chance.int32() >>> (1 + chance.below(31))) % (2 ** 31 - 1))
      assert.equal(ofBig(key, buckets), reference(key, buckets), `${key} ${buckets}`)
    }
    for (const key of [0n, 1n, 0xffff_ffffn, 0x1_0000_0000n, 2n ** 64n - 1n, 2n ** 63n]) {
      for (const buckets of [1, 2, 1000, 2 ** 31 - 1]) assert.equal(ofBig(key, buckets), reference(key, buckets))
    }
  })

  test('carries into the upper half where the lower overflows', () => {
    // The key whose product ends in 32 ones: minus the inverse of the multiplier's lower half, by Newton's iteration.
    const half = 2_862_933_555_777_941_757n & 0xffff_ffffn
    let inverse = 1n
    for (let i = 0; i < 6; i++) inverse = BigInt.asUintN(32, inverse * (2n - half * inverse))
    const low = BigInt.asUintN(32, -inverse)
    assert.equal(BigInt.asUintN(32, low * half + 1n), 0n)
    for (let high = 0n; high < 2000n; high++) {
      const key = (high << 32n) | low
      assert.equal(ofBig(key, 2 ** 31 - 1), reference(key, 2 ** 31 - 1))
    }
  })

  test('moves keys only to a new last bucket', () => {
    const chance = new Xoshiro128(3)
    for (let trial = 0; trial < 5000; trial++) {
      const [high, low] = [chance.int32(), chance.int32()]
      const buckets = 1 + chance.below(1000)
      const before = jumpHash(high, low, buckets)
      const after = jumpHash(high, low, buckets + 1)
      assert.ok(after === before || after === buckets)
    }
  })
})

describe('jump over members', () => {
  const KEYS = keys(20_000)
  // In order of id: shard-10 to shard-19.
  const members = fleet(10, [], 'shard-1')

  test('moves only the keys of the last member by id when that one leaves', () => {
    const rest = without(members, 9)
    const [before, after] = [new JumpMap(members), new JumpMap(rest)]
    for (const key of KEYS) {
      const owner = before.owner(key)
      if (owner !== 9) assert.equal(after.owner(key), owner)
    }
  })

  test('moves many more when another leaves, as documented', () => {
    const rest = without(members, 0)
    const [before, after] = [new JumpMap(members), new JumpMap(rest)]
    let moved = 0
    for (const key of KEYS) if (rest.ids[after.owner(key)] !== members.ids[before.owner(key)]) moved++
    assert.ok(moved / KEYS.length > 0.5, `${moved}`)
  })

  test('moves keys only away from a member whose weight shrinks below the largest', () => {
    const lighter = fleet(10, [1, 1, 1, 0.4], 'shard-1')
    const [before, after] = [new JumpMap(members), new JumpMap(lighter)]
    let moved = 0
    for (const key of KEYS) {
      if (before.owner(key) === after.owner(key)) continue
      assert.equal(before.owner(key), 3)
      moved++
    }
    assert.ok(Math.abs(moved / (KEYS.length / 10) - 0.6) < 0.06, `${moved} moved`)
  })
})
