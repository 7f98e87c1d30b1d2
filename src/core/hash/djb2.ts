import type { HashFunction } from './hash-function.ts'
import { hashUtf8 } from './utf8.ts'

const START = 5381

/**
 * Bernstein's djb2: hash × 33 + byte from 5381, modulo 2^32 (the additive form, not the later one with xor).
 * Short keys of one length lie close together; a map mixes its keys, so this costs collisions but not evenness.
 * Source: D. J. Bernstein in comp.lang.c; http://www.cse.yorku.ca/~oz/hash.html
 */
export const djb2: HashFunction = {
  name: 'djb2',
  summary: 'For agreement with other systems that use it; the weakest of these, collisions are common.',
  source: 'D. J. Bernstein, comp.lang.c',
  ofString(text) {
    let hash = START
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i)
      if (unit >= 0x80) return hashUtf8(text, ofBytes)
      hash = (Math.imul(hash, 33) + unit) | 0
    }
    return hash >>> 0
  },
  ofBytes,
}

function ofBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = START
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 33) + bytes[i]!) | 0
  return hash >>> 0
}
