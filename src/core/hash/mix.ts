/** 2^32 divided by the golden ratio, odd: steps of it spread counters over the whole range (Knuth, TAOCP 6.4). */
export const GOLDEN = 0x9e37_79b1

/**
 * Mixes the low 32 bits of `value`: a bijection of [0, 2^32) in which each bit of the input flips each bit of the output
 * with a chance of nearly one half. 0 stays 0. Source: the finaliser of MurmurHash3 x86_32 (`fmix32`), Austin Appleby.
 */
export function mix32(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x85eb_ca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/**
 * One number in [0, 2^32) out of the low 32 bits of two. Their order matters; for a fixed first a bijection of the second
 * and the reverse, so that no information is lost that 32 bits can hold.
 */
export function combine(first: number, second: number): number {
  return mix32(mix32(first + GOLDEN) ^ second)
}
