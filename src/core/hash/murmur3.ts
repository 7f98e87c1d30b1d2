import type { HashFunction } from './hash-function.ts'
import { mix32 } from './mix.ts'
import { hashUtf8 } from './utf8.ts'

const C1 = 0xcc9e_2d51
const C2 = 0x1b87_3593

/**
 * MurmurHash3 x86_32 with seed 0: even, fast and four bytes at a time; the default.
 * Source: Austin Appleby, https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp
 */
export const murmur3: HashFunction = {
  name: 'murmur3',
  summary: 'The default: even on every kind of key, and as fast as any here.',
  source: 'Austin Appleby, MurmurHash3 x86_32',
  ofString(text) {
    return murmur3OfString(text, 0)
  },
  ofBytes,
}

function ofBytes(bytes: Uint8Array, start: number, end: number): number {
  return murmur3OfBytes(bytes, start, end, 0)
}

/** MurmurHash3 x86_32 of the text's UTF-8 bytes with a seed (its low 32 bits), in [0, 2^32). */
export function murmur3OfString(text: string, seed: number): number {
  const { length } = text
  const whole = length & ~3
  let hash = seed | 0
  let at = 0
  for (; at < whole; at += 4) {
    const a = text.charCodeAt(at)
    const b = text.charCodeAt(at + 1)
    const c = text.charCodeAt(at + 2)
    const d = text.charCodeAt(at + 3)
    if ((a | b | c | d) >= 0x80) return ofUtf8(text, seed)
    hash = addWord(hash, a | (b << 8) | (c << 16) | (d << 24))
  }
  let rest = 0
  for (let i = length - 1; i >= whole; i--) {
    const unit = text.charCodeAt(i)
    if (unit >= 0x80) return ofUtf8(text, seed)
    rest = (rest << 8) | unit
  }
  return mix32(hash ^ scramble(rest) ^ length)
}

/** MurmurHash3 x86_32 of bytes [start, end) with a seed (its low 32 bits), in [0, 2^32). */
export function murmur3OfBytes(bytes: Uint8Array, start: number, end: number, seed: number): number {
  const length = end - start
  const whole = start + (length & ~3)
  let hash = seed | 0
  for (let at = start; at < whole; at += 4) {
    const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    hash = addWord(hash, word)
  }
  let rest = 0
  for (let i = end - 1; i >= whole; i--) rest = (rest << 8) | bytes[i]!
  return mix32(hash ^ scramble(rest) ^ length)
}

function ofUtf8(text: string, seed: number): number {
  // Keys have seed 0 and need no closure.
  if (seed === 0) return hashUtf8(text, ofBytes)
  return hashUtf8(text, (bytes, start, end) => murmur3OfBytes(bytes, start, end, seed))
}

function addWord(hash: number, word: number): number {
  const mixed = hash ^ scramble(word)
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe654_6b64) | 0
}

/** 0 stays 0, so that an empty rest changes nothing. */
function scramble(word: number): number {
  const product = Math.imul(word, C1)
  return Math.imul((product << 15) | (product >>> 17), C2)
}
