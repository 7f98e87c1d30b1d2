/**
 * What stands in docs/balancing.md between its marks: the table of pickers from the registry, and what is measured of the
 * consistent maps. Shares and moved keys are the same at every run, as names and keys are fixed.
 */
import type { PickerEntry } from '../src/core/balance/picker.ts'
import { PICKERS } from '../src/core/balance/registry.ts'
import {
  type ConsistentMap,
  HashRing,
  JumpMap,
  loadBound,
  MaglevMap,
  type MapMembers,
  MultiProbeMap,
  RendezvousMap,
  SlotRing,
} from '../src/core/hash/index.ts'

/** A map with its options; `bound`: with bounded load around it. */
export interface Variant {
  readonly name: string
  readonly build: (members: MapMembers) => ConsistentMap
  readonly mostMembers?: number
  readonly bound?: number
}

const ring =
  (virtualNodes: number): Variant['build'] =>
  (members) =>
    new HashRing(members, { virtualNodes })
const slotRing =
  (virtualNodes: number): Variant['build'] =>
  (members) =>
    new SlotRing(members, { virtualNodes })
const maglev =
  (tableSize: number): Variant['build'] =>
  (members) =>
    new MaglevMap(members, { tableSize })

export const VARIANTS: readonly Variant[] = [
  { name: 'ring, 9 virtual nodes', build: ring(9) },
  { name: 'ring, 150', build: ring(150) },
  { name: 'ring, 1 000', build: ring(1000) },
  { name: 'slot ring (003), 9 virtual nodes', build: slotRing(9), mostMembers: 512 },
  { name: 'slot ring, 150', build: slotRing(150), mostMembers: 512 },
  { name: 'slot ring, 1 000', build: slotRing(1000), mostMembers: 512 },
  { name: 'Maglev, 65 537 entries', build: maglev(65_537) },
  { name: 'Maglev, 655 373', build: maglev(655_373) },
  { name: 'rendezvous', build: (members) => new RendezvousMap(members) },
  { name: 'jump', build: (members) => new JumpMap(members) },
  { name: 'multi-probe, 21 probes', build: (members) => new MultiProbeMap(members) },
  { name: 'ring, 150, load bound 1.25', build: ring(150), bound: 1.25 },
  { name: 'ring, 150, load bound 1.05', build: ring(150), bound: 1.05 },
  { name: 'Maglev, 65 537, load bound 1.25', build: maglev(65_537), bound: 1.25 },
]

export const FLEET_SIZES = [3, 10, 100, 1000] as const
const FLEETS = 5
/** In flight per endpoint where load is bounded. */
const DEPTH = 100

export interface Shares {
  /** Medians over the fleets. */
  readonly worst: number
  readonly least: number
  readonly deviation: number
  /** Endpoints with more than 1.25 × the mean, of all endpoints of all fleets. */
  readonly hotRatio: number
  /** Of all keys, when one endpoint leaves. */
  readonly ownMovedRatio: number
  readonly othersMovedRatio: number
}

/** Endpoints of weight 1, named as hosts are. */
export function fleetOf(size: number, fleet: number): MapMembers {
  return {
    ids: Array.from({ length: size }, (_, i) => `10.${fleet}.${i >> 8}.${i & 255}:8080`),
    weights: new Array<number>(size).fill(1),
  }
}

/** The inverse of `mix32`. */
export function unmix32(mixed: number): number {
  let value = mixed ^ (mixed >>> 16)
  value = Math.imul(value, 0x7ed1_b41d)
  value ^= (value >>> 13) ^ (value >>> 26)
  value = Math.imul(value, 0xa5cb_9243)
  return (value ^ (value >>> 16)) >>> 0
}

/**
 * Keys that are spread evenly over the positions of a ring and a Maglev table, so that shares of these are those of all keys and
 * not of a sample. To the other maps they are as good as drawn.
 */
export function evenKeys(count: number, fleet: number): Int32Array {
  const step = 2 ** 32 / count
  return Int32Array.from({ length: count }, (_, i) => unmix32((i + (fleet + 0.5) / FLEETS / 2) * step) | 0)
}

export function measureShares(variant: Variant, size: number): Shares {
  const worst: number[] = []
  const least: number[] = []
  const deviation: number[] = []
  let hot = 0
  let own = 0
  let others = 0
  for (let fleet = 0; fleet < FLEETS; fleet++) {
    const members = fleetOf(size, fleet)
    const keys = variant.bound === undefined ? evenKeys(size > 100 ? 2 ** 21 : 2 ** 19, fleet) : heldKeys(size, fleet)
    const counts = new Float64Array(size)
    for (const owner of placed(variant, members, keys)) counts[owner]!++
    const mean = keys.length / size
    worst.push(Math.max(...counts) / mean)
    least.push(Math.min(...counts) / mean)
    deviation.push(Math.sqrt(counts.reduce((sum, count) => sum + (count / mean - 1) ** 2, 0) / size))
    hot += counts.filter((count) => count > 1.25 * mean).length / size / FLEETS
    const moved = movedKeys(variant, members, fleet)
    own += moved.own / FLEETS
    others += moved.others / FLEETS
  }
  return {
    worst: median(worst),
    least: median(least),
    deviation: median(deviation),
    hotRatio: hot,
    ownMovedRatio: own,
    othersMovedRatio: others,
  }
}

function heldKeys(size: number, fleet: number): Int32Array {
  return shuffledKeys(DEPTH * size, fleet)
}

/** Even keys in an order without one: 7 919 steps at a time, which is prime. */
function shuffledKeys(count: number, fleet: number): Int32Array {
  const keys = evenKeys(count, fleet)
  return keys.map((_, i) => keys[(i * 7919) % count]!)
}

/** Who has each key; with bounded load, when the requests come in this order and all stay. */
function placed(variant: Variant, members: MapMembers, keys: Int32Array): Int32Array {
  const map = variant.build(members)
  if (variant.bound === undefined) return keys.map((key) => map.owner(key))
  const size = members.ids.length
  const loads = new Int32Array(size)
  const bound = loadBound(variant.bound, keys.length - 1, 1, size)
  const accept = (index: number): boolean => loads[index]! < bound
  return keys.map((key) => {
    const index = map.find(key, accept)
    loads[index]!++
    return index
  })
}

/** The endpoint in the middle leaves: shares of all keys that were its own, and of others that moved too. */
function movedKeys(variant: Variant, members: MapMembers, fleet: number): { own: number; others: number } {
  const size = members.ids.length
  const gone = size >> 1
  const keys = variant.bound === undefined ? shuffledKeys(2 ** 17, fleet) : heldKeys(size, fleet)
  const before = placed(variant, members, keys)
  const ids = members.ids.filter((_, i) => i !== gone)
  const after = placed(variant, { ids, weights: ids.map(() => 1) }, keys)
  let own = 0
  let others = 0
  for (const [i, owner] of before.entries()) {
    const now = after[i]! < gone ? after[i]! : after[i]! + 1
    if (owner === gone) own++
    else if (owner !== now) others++
  }
  return { own: own / keys.length, others: others / keys.length }
}

/** Shares of 003's requests with the numbers 100 000 to 999 999 over servers 1 to `servers`, in percent. */
export function sharesOf003(servers: number): number[] {
  const ids = Array.from({ length: servers }, (_, i) => `server-${i + 1}`)
  const map = new SlotRing({ ids, weights: ids.map(() => 1) })
  const counts = new Float64Array(servers)
  for (let id = 100_000; id < 1_000_000; id++) counts[map.owner(id)]!++
  return Array.from(counts, (count) => count / 9000)
}

/** Median over the fleets of worst / mean of a ring. */
export function worstOfRing(size: number, virtualNodes: number): number {
  const worst = Array.from({ length: FLEETS }, (_, fleet) => {
    const map = new HashRing(fleetOf(size, fleet), { virtualNodes })
    const counts = new Float64Array(size)
    for (const key of evenKeys(2 ** 19, fleet)) counts[map.owner(key)]!++
    return (Math.max(...counts) * size) / 2 ** 19
  })
  return median(worst)
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

export function pickerTable(): string {
  const rows = Object.values<PickerEntry>(PICKERS).map(({ name, summary, cost, usesKey }) =>
    cells([`\`${name}\``, summary, usesKey === true ? 'yes' : 'no', cost]),
  )
  return ['| picker | when to use it | uses the key | cost of a pick |', '|---|---|---|---|', ...rows].join('\n')
}

export function shareRow(variant: Variant, size: number): string {
  if (size > (variant.mostMembers ?? Number.POSITIVE_INFINITY)) {
    return cells([variant.name, `does not hold ${size}`, '', '', '', '', ''])
  }
  const { worst, least, deviation, hotRatio, ownMovedRatio, othersMovedRatio } = measureShares(variant, size)
  return cells([
    variant.name,
    worst.toFixed(3),
    least.toFixed(3),
    percent(deviation),
    percent(hotRatio),
    percent(ownMovedRatio),
    percent(othersMovedRatio),
  ])
}

export const SHARE_HEAD: string = [
  '| map | worst / mean | least / mean | standard deviation | endpoints above 1.25 × mean | own keys moved | others’ keys moved |',
  '|---|---:|---:|---:|---:|---:|---:|',
].join('\n')

export function cells(texts: readonly string[]): string {
  return `| ${texts.join(' | ')} |`
}

export function percent(ratio: number): string {
  return `${(100 * ratio).toFixed(2)} %`
}

/** The text between the marks of a block. Throws when the page has none of this name. */
export function blockOf(page: string, name: string): string {
  const [begin, end] = marks(name)
  const from = page.indexOf(begin)
  const to = page.indexOf(end)
  if (from < 0 || to < from) throw new Error(`no block ${name}`)
  return page.slice(from + begin.length, to).trim()
}

/** The page with another text between the marks. */
export function withBlock(page: string, name: string, text: string): string {
  const [begin, end] = marks(name)
  blockOf(page, name)
  return `${page.slice(0, page.indexOf(begin) + begin.length)}\n${text}\n${page.slice(page.indexOf(end))}`
}

function marks(name: string): [begin: string, end: string] {
  return [`<!-- ${name}: written by npm run measure:balancing -->`, `<!-- end of ${name} -->`]
}
