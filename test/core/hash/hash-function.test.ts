import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { djb2 } from '../../../src/core/hash/djb2.ts'
import { fnv1a } from '../../../src/core/hash/fnv1a.ts'
import type { HashFunction } from '../../../src/core/hash/hash-function.ts'
import { md5, md5Digest } from '../../../src/core/hash/md5.ts'
import { murmur3, murmur3OfBytes, murmur3OfString } from '../../../src/core/hash/murmur3.ts'
import { DEFAULT_HASH, HASH_FUNCTIONS } from '../../../src/core/hash/registry.ts'
import { assertAllocatesNothing } from '../../contract/bytes-per-call.ts'

const ALL: readonly HashFunction[] = Object.values(HASH_FUNCTIONS)
const encoder = new TextEncoder()

describe('fnv1a', () => {
  test('gives the values of RFC 9923 and of test_fnv.c', () => {
    for (const [text, value] of [
      ['', 0x811c_9dc5],
      ['a', 0xe40c_292c],
      ['b', 0xe70c_2de5],
      ['c', 0xe60c_2c52],
      ['d', 0xe10c_2473],
      ['e', 0xe00c_22e0],
      ['foobar', 0xbf9c_f968],
    ] as const) {
      assert.equal(fnv1a.ofString(text), value, text)
    }
  })
})

describe('djb2', () => {
  test('gives published 32-bit values', () => {
    for (const [text, value] of [
      ['', 5381],
      ['t', 177_689],
      ['te', 5_863_838],
      ['tes', 193_506_769],
      ['test', 2_090_756_197],
      ['Hello World 12345 ^.^', 24_858_410],
      ['the djb2 hashing function', 2_070_383_472],
      ['the quick brown fox jumped over the lazy dog', 1_191_916_020],
    ] as const) {
      assert.equal(djb2.ofString(text), value, text)
    }
  })
})

describe('murmur3', () => {
  test('gives the published x86_32 values', () => {
    for (const [hex, seed, value] of [
      ['', 0, 0],
      ['', 1, 0x514e_28b7],
      ['', 0xffff_ffff, 0x81f1_6f39],
      ['ffffffff', 0, 0x7629_3b50],
      ['21436587', 0, 0xf55b_516b],
      ['21436587', 0x5082_edee, 0x2362_f9de],
      ['214365', 0, 0x7e4a_8634],
      ['2143', 0, 0xa0f7_b07a],
      ['21', 0, 0x7266_1cf4],
      ['00000000', 0, 0x2362_f9de],
      ['000000', 0, 0x85f0_b427],
      ['0000', 0, 0x30f4_c306],
      ['00', 0, 0x514e_28b7],
    ] as const) {
      const bytes = Buffer.from(hex, 'hex')
      assert.equal(murmur3OfBytes(bytes, 0, bytes.length, seed), value, `${hex} ${seed}`)
    }
    assert.equal(murmur3OfString('aaaa', 0x9747_b28c), 0x5a97_808a)
    assert.equal(murmur3OfString('The quick brown fox jumps over the lazy dog', 0), 0x2e4f_f723)
  })

  test('gives the verification value of SMHasher', () => {
    // Keys {}, {0}, {0, 1}, … with seeds 256, 255, …; then the hash of all their hashes.
    const key = Uint8Array.from({ length: 256 }, (_, i) => i)
    const hashes = Buffer.alloc(256 * 4)
    for (let i = 0; i < 256; i++) hashes.writeUInt32LE(murmur3OfBytes(key, 0, i, 256 - i), 4 * i)
    assert.equal(murmur3OfBytes(hashes, 0, hashes.length, 0), 0xb0f5_7ee3)
  })

  test('hashes text with a seed as it hashes its bytes', () => {
    for (const text of ['abc', 'grün', '猫'.repeat(500)]) {
      const bytes = encoder.encode(text)
      assert.equal(murmur3OfString(text, 77), murmur3OfBytes(bytes, 0, bytes.length, 77))
    }
  })
})

describe('md5', () => {
  test('gives the digests of RFC 1321, A.5', () => {
    for (const [text, digest] of [
      ['', 'd41d8cd98f00b204e9800998ecf8427e'],
      ['a', '0cc175b9c0f1b6a831c399e269772661'],
      ['abc', '900150983cd24fb0d6963f7d28e17f72'],
      ['message digest', 'f96b697d7cb7938d525a2f31aaf161d0'],
      ['abcdefghijklmnopqrstuvwxyz', 'c3fcd3d76192e4007dfb496cca67e13b'],
      ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789', 'd174ab98d277d9f5a5611c2c9f419d9f'],
      ['1234567890'.repeat(8), '57edf4a22be3c955ac49da2e2107b67a'],
    ] as const) {
      assert.equal(Buffer.from(md5Digest(encoder.encode(text))).toString('hex'), digest, text)
      assert.equal(md5.ofString(text), Buffer.from(digest, 'hex').readUInt32LE(0), text)
    }
  })

  test('agrees with OpenSSL at every length around the blocks', () => {
    for (let length = 0; length < 300; length++) {
      const bytes = Uint8Array.from({ length }, (_, i) => (i * 31 + length) & 255)
      assert.deepEqual(Buffer.from(md5Digest(bytes)), createHash('md5').update(bytes).digest(), `${length} bytes`)
    }
  })
})

describe('every hash function', () => {
  test('is in the registry under its name, and so is the default', () => {
    for (const [name, hash] of Object.entries(HASH_FUNCTIONS)) assert.equal(hash.name, name)
    assert.equal(HASH_FUNCTIONS[DEFAULT_HASH], murmur3)
  })

  test('hashes any text as the UTF-8 bytes that the platform makes of it', () => {
    // Units of every kind, surrogates with and without partners among them.
    const unit = fc.oneof(fc.nat(0x7f), fc.nat(0x7ff), fc.integer({ min: 0xd7ff, max: 0xe000 }), fc.nat(0xffff))
    const text = fc.array(unit, { maxLength: 40 }).map((units) => String.fromCharCode(...units))
    fc.assert(
      fc.property(text, fc.nat(5), (value, offset) => {
        const bytes = encoder.encode('x'.repeat(offset) + value)
        for (const hash of ALL) {
          const result = hash.ofString(value)
          assert.equal(result, hash.ofBytes(bytes, offset, bytes.length), hash.name)
          assert.ok(Number.isInteger(result) && result >= 0 && result < 2 ** 32)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('hashes text longer than its scratch space', () => {
    for (const text of ['é'.repeat(1024), '猫'.repeat(1024), '猫'.repeat(1025), '😀'.repeat(3000)]) {
      const bytes = encoder.encode(text)
      for (const hash of ALL) assert.equal(hash.ofString(text), hash.ofBytes(bytes, 0, bytes.length), hash.name)
    }
  })

  test('allocates nothing but the number it returns, in ASCII or not', () => {
    let kept = 0
    for (const hash of ALL) {
      // A result of 2^31 or more is a number on the heap wherever the function is not inlined: the keys have none such.
      const keys = Array.from({ length: 400 }, (_, i) => `/items/${i}/${i % 3 === 0 ? 'größe' : 'size'}`)
      const small = keys.filter((key) => hash.ofString(key) < 2 ** 31)
      assert.ok(small.length > 100)
      assertAllocatesNothing((calls) => {
        for (let i = 0; i < calls; i++) kept ^= hash.ofString(small[i % 100]!)
      })
    }
    assert.ok(Number.isInteger(kept))
  })
})
