import type { HashFunction } from './hash-function.ts'
import { hashUtf8 } from './utf8.ts'

const BLOCK_BYTES = 64
/** Left rotations: four for each of the four rounds. */
const SHIFTS = Uint8Array.of(7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21)
/** T[i] of RFC 1321, 3.4: the whole part of 2^32 × |sin(i)| for i from 1 to 64 in radians. */
const SINES = Int32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 0x1_0000_0000))

// One digest at a time, start to end within one call: the block as 16 words, and A, B, C, D.
const words = new Int32Array(16)
const state = new Int32Array(4)

/**
 * The first four bytes of the MD5 digest, read little-endian as ketama's rings read them. Broken for signatures, sound
 * for spreading keys; much slower than the others. Source: RFC 1321; libketama.
 */
export const md5: HashFunction = {
  name: 'md5',
  summary: 'For agreement with other systems (ketama); even, but many times slower than murmur3.',
  source: 'RFC 1321; the first four bytes little-endian, as in libketama',
  ofString(text) {
    return hashUtf8(text, ofBytes)
  },
  ofBytes,
}

/** The whole MD5 digest of bytes [start, end): 16 bytes, a new array. Source: RFC 1321. */
export function md5Digest(bytes: Uint8Array, start = 0, end = bytes.length): Uint8Array {
  digest(bytes, start, end)
  return Uint8Array.from({ length: 16 }, (_, i) => state[i >>> 2]! >>> (8 * (i & 3)))
}

function ofBytes(bytes: Uint8Array, start: number, end: number): number {
  digest(bytes, start, end)
  return state[0]! >>> 0
}

/** Leaves the digest in `state`. */
function digest(bytes: Uint8Array, start: number, end: number): void {
  state[0] = 0x6745_2301
  state[1] = 0xefcd_ab89
  state[2] = 0x98ba_dcfe
  state[3] = 0x1032_5476
  const length = end - start
  let at = start
  for (; at + BLOCK_BYTES <= end; at += BLOCK_BYTES) {
    for (let i = 0, byte = at; i < 16; i++, byte += 4) {
      words[i] = bytes[byte]! | (bytes[byte + 1]! << 8) | (bytes[byte + 2]! << 16) | (bytes[byte + 3]! << 24)
    }
    addBlock()
  }
  const rest = end - at
  words.fill(0)
  for (let i = 0; i < rest; i++) words[i >>> 2] = words[i >>> 2]! | (bytes[at + i]! << (8 * (i & 3)))
  words[rest >>> 2] = words[rest >>> 2]! | (0x80 << (8 * (rest & 3)))
  // The last eight bytes of the last block hold the length in bits.
  if (rest >= BLOCK_BYTES - 8) {
    addBlock()
    words.fill(0)
  }
  words[14] = length << 3
  words[15] = length / 0x2000_0000
  addBlock()
}

function addBlock(): void {
  let a = state[0]!
  let b = state[1]!
  let c = state[2]!
  let d = state[3]!
  for (let step = 0; step < 64; step++) {
    const round = step >>> 4
    let value: number
    let word: number
    if (round === 0) {
      value = (b & c) | (~b & d)
      word = step
    } else if (round === 1) {
      value = (b & d) | (c & ~d)
      word = 5 * step + 1
    } else if (round === 2) {
      value = b ^ c ^ d
      word = 3 * step + 5
    } else {
      value = c ^ (b | ~d)
      word = 7 * step
    }
    const sum = (a + value + words[word & 15]! + SINES[step]!) | 0
    const shift = SHIFTS[4 * round + (step & 3)]!
    a = d
    d = c
    c = b
    b = (b + ((sum << shift) | (sum >>> (32 - shift)))) | 0
  }
  state[0] = state[0]! + a
  state[1] = state[1]! + b
  state[2] = state[2]! + c
  state[3] = state[3]! + d
}
