import type { ConsistentMap, MapMembers } from '../../../src/core/hash/consistent-map.ts'
import { JumpMap } from '../../../src/core/hash/jump.ts'
import { MaglevMap } from '../../../src/core/hash/maglev.ts'
import { mix32 } from '../../../src/core/hash/mix.ts'
import { MultiProbeMap } from '../../../src/core/hash/multi-probe.ts'
import { RendezvousMap } from '../../../src/core/hash/rendezvous.ts'
import { HashRing } from '../../../src/core/hash/ring.ts'
import { SlotRing } from '../../../src/core/hash/slot-ring.ts'

export interface MapKind {
  readonly name: string
  readonly build: (members: MapMembers) => ConsistentMap
  /** Only the keys of who leaves move, and they go where they go when it is refused. */
  readonly isExact: boolean
  /** Shares are in proportion to weight, on the average over many fleets. Not so 003's formulas. */
  readonly honoursWeights: boolean
  /** Deviations from the weights within one fleet are those of chance, or less. */
  readonly isEven: boolean
}

export const EVERY_MAP: readonly MapKind[] = [
  { name: 'ring', build: (m) => new HashRing(m), isExact: true, honoursWeights: true, isEven: false },
  {
    name: 'slot ring',
    // As many slots as the largest fleet of the tests needs; 512 hold 512 members.
    build: (m) => new SlotRing(m, m.ids.length > 500 ? { slots: 16_384 } : {}),
    isExact: false,
    honoursWeights: false,
    isEven: false,
  },
  { name: 'Maglev', build: (m) => new MaglevMap(m), isExact: false, honoursWeights: true, isEven: true },
  { name: 'rendezvous', build: (m) => new RendezvousMap(m), isExact: true, honoursWeights: true, isEven: true },
  { name: 'jump', build: (m) => new JumpMap(m), isExact: false, honoursWeights: true, isEven: true },
  { name: 'multi-probe', build: (m) => new MultiProbeMap(m), isExact: true, honoursWeights: true, isEven: false },
]

/** `count` members of weight 1, or of the weights given. */
export function fleet(count: number, weights: readonly number[] = [], prefix = '10.0.0.'): MapMembers {
  return {
    ids: Array.from({ length: count }, (_, i) => `${prefix}${i}`),
    weights: Array.from({ length: count }, (_, i) => weights[i] ?? 1),
  }
}

/** The members without those at `gone`. */
export function without(members: MapMembers, ...gone: readonly number[]): MapMembers {
  return {
    ids: members.ids.filter((_, i) => !gone.includes(i)),
    weights: Array.from(members.weights).filter((_, i) => !gone.includes(i)),
  }
}

/** Keys that stand for hashed requests: different ones, in no order, and others for another `from`. */
export function keys(count: number, from = 0): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => mix32(i + from + 0x1234_5678))
}

/** How many keys each of `count` members has. */
export function tally(map: ConsistentMap, count: number, of: Uint32Array): Float64Array {
  const counts = new Float64Array(count)
  for (const key of of) counts[map.owner(key)]!++
  return counts
}
