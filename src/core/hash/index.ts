/**
 * `evenkeel/ring`: consistent hashing alone, without the rest. Pure, allocates nothing per lookup, runs in a browser too.
 *
 * ```ts
 * import { HashRing, loadBound, murmur3 } from 'evenkeel/ring'
 *
 * const ids = ['cache-a', 'cache-b', 'cache-c']
 * const ring = new HashRing({ ids, weights: [1, 1, 2] }, { virtualNodes: 150 })
 * const key = murmur3.ofString('/images/42.png')
 * ids[ring.owner(key)] // the same on every instance, whatever the order of the ids
 *
 * // Where the owner is down, the next in this key's own order; nobody else's keys move.
 * ring.find(key, (index) => ids[index] !== 'cache-a')
 *
 * // Bounded load: nobody takes more than 1.25 × its fair share of what is in flight.
 * const loads = [0, 0, 0]
 * const inFlight = 0
 * ring.find(key, (index) => loads[index] < loadBound(1.25, inFlight, [1, 1, 2][index], 4))
 * ```
 */

// Text and bytes to 32-bit keys.

export { djb2 } from './djb2.ts'
export { fnv1a } from './fnv1a.ts'
export { HalfSipHash } from './half-sip-hash.ts'
export type { HashFunction } from './hash-function.ts'
export { md5, md5Digest } from './md5.ts'
export { combine, mix32 } from './mix.ts'
export { murmur3 } from './murmur3.ts'
export { DEFAULT_HASH, HASH_FUNCTIONS, type HashName } from './registry.ts'

// Keys to members.

export type { AcceptMember, ConsistentMap, MapMembers } from './consistent-map.ts'
export { JumpMap, jumpHash } from './jump.ts'
export { MaglevMap, type MaglevOptions } from './maglev.ts'
export { MultiProbeMap, type MultiProbeOptions } from './multi-probe.ts'
export { RendezvousMap } from './rendezvous.ts'
export { HashRing, type HashRingOptions } from './ring.ts'
export { SlotRing, type SlotRingOptions } from './slot-ring.ts'

// How many requests a member may have at a time.

export { loadBound } from './bounded-load.ts'
