import type { HashFunction } from './hash-function.ts'
import { hashUtf8 } from './utf8.ts'

const OFFSET_BASIS = 0x811c_9dc5
const PRIME = 0x0100_0193

/** FNV-1a with 32 bits: xor a byte, multiply by the prime. Source: RFC 9923 (Fowler, Noll, Vo, Hansen, Eastlake). */
export const fnv1a: HashFunction = {
  name: 'fnv1a',
  summary: 'Simple and everywhere; the default of the consistent-hash architecture (002).',
  source: 'Fowler, Noll and Vo; RFC 9923',
  ofString(text) {
    let hash = OFFSET_BASIS | 0
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i)
      if (unit >= 0x80) return hashUtf8(text, ofBytes)
      hash = Math.imul(hash ^ unit, PRIME)
    }
    return hash >>> 0
  },
  ofBytes,
}

function ofBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = OFFSET_BASIS | 0
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, PRIME)
  return hash >>> 0
}
