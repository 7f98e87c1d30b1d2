import type { ConsistentMap } from '../hash/consistent-map.ts'
import { JumpMap } from '../hash/jump.ts'
import { MaglevMap } from '../hash/maglev.ts'
import { MultiProbeMap } from '../hash/multi-probe.ts'
import { HASH_FUNCTIONS } from '../hash/registry.ts'
import { RendezvousMap } from '../hash/rendezvous.ts'
import { HashRing } from '../hash/ring.ts'
import { SlotRing, type SlotRingOptions } from '../hash/slot-ring.ts'
import { formulaOption, hashOption, wholeOption } from './hash-options.ts'
import { HashPicker, type MapMaker } from './hash-picker.ts'
import type { PickerEntry } from './picker.ts'

type Options = Readonly<Record<string, unknown>>

const DEFAULT_VIRTUAL_NODES = 150
const MOST_VIRTUAL_NODES = 100_000
const MOST_POINTS = 2 ** 21
/** A ring of so many is built in well under 0.1 s and takes less than 2 MB. */
const FREE_POINTS = 2 ** 18
const LARGEST_TABLE_SIZE = 2 ** 21
const MOST_SLOTS = 65_536
const MOST_PROBES = 1_000

const hashNames = Object.keys(HASH_FUNCTIONS)
  .map((name) => `\`${name}\``)
  .join(', ')
const hash = `the hash function of the key: ${hashNames}; default \`murmur3\``

/**
 * Points come by weight, so weights of 100 would ask for a hundred times the memory of weights of 1. The bound is twice what
 * members of weight 1 would have, and moves by doublings only, as a bound that is reached moves keys when it changes.
 */
function pointBound(virtualNodes: number, members: number): number {
  const doubled = 2 ** Math.ceil(Math.log2(Math.max(1, members)))
  return Math.min(MOST_POINTS, Math.max(FREE_POINTS, 2 * virtualNodes * doubled))
}

function ringMaker(options: Options): MapMaker {
  const virtualNodes = wholeOption(options, 'virtualNodes', 1, MOST_VIRTUAL_NODES) ?? DEFAULT_VIRTUAL_NODES
  const given = wholeOption(options, 'mostPoints', 1, 2 ** 26)
  const ofIds = hashOption(options)
  const boundFor = (members: number): number => given ?? pointBound(virtualNodes, members)
  let bound = boundFor(0)
  return {
    name: 'ring',
    build(members) {
      bound = boundFor(members.ids.length)
      return new HashRing(members, { virtualNodes, hash: ofIds, mostPoints: bound })
    },
    adjust(map, { gone, weights }, size) {
      // With another bound it would not be the ring that others build.
      if (!(map instanceof HashRing) || boundFor(size) !== bound) return null
      for (const id of gone) map.remove(id)
      for (const [id, weight] of weights) map.add(id, weight)
      return { ids: map.ids }
    },
  }
}

function isFormula(value: unknown): value is (...args: unknown[]) => number {
  return typeof value === 'function'
}

function slotRingMaker(options: Options): MapMaker {
  hashOption(options)
  const slots = wholeOption(options, 'slots', 1, MOST_SLOTS)
  const virtualNodes = wholeOption(options, 'virtualNodes', 1, MOST_SLOTS)
  const requestHash = formulaOption(options, 'requestHash', isFormula)
  const virtualHash = formulaOption(options, 'virtualHash', isFormula)
  const numberOf = formulaOption(options, 'numberOf', isFormula)
  const settings: SlotRingOptions = {
    ...(slots === undefined ? {} : { slots }),
    ...(virtualNodes === undefined ? {} : { virtualNodes }),
    ...(requestHash === undefined ? {} : { requestHash }),
    ...(virtualHash === undefined ? {} : { virtualHash }),
    ...(numberOf === undefined ? {} : { numberOf }),
  }
  // One member is enough to see what the formulas give.
  new SlotRing({ ids: ['server-1'], weights: [1] }, settings)
  return { name: 'slot ring', build: (members) => new SlotRing(members, settings) }
}

function maglevMaker(options: Options): MapMaker {
  hashOption(options)
  const tableSize = wholeOption(options, 'tableSize', 2, LARGEST_TABLE_SIZE)
  const settings = tableSize === undefined ? {} : { tableSize }
  return { name: 'Maglev table', build: (members) => new MaglevMap(members, settings) }
}

function multiProbeMaker(options: Options): MapMaker {
  hashOption(options)
  const probes = wholeOption(options, 'probes', 1, MOST_PROBES)
  const settings = probes === undefined ? {} : { probes }
  return { name: 'multi-probe ring', build: (members) => new MultiProbeMap(members, settings) }
}

/** Of a map without options. */
function plainMaker(name: string, build: MapMaker['build']): (options: Options) => MapMaker {
  return (options) => {
    hashOption(options)
    return { name, build }
  }
}

function entryOf(
  entry: Omit<PickerEntry, 'usesKey' | 'create'>,
  makerFor: (options: Options) => MapMaker,
): PickerEntry {
  return { ...entry, usesKey: true, create: (_deps, options) => new HashPicker(makerFor(options)) }
}

const RING_OPTIONS = {
  virtualNodes: `points of an endpoint of weight 1, others in proportion, 1 to 100 000; default ${DEFAULT_VIRTUAL_NODES}`,
  mostPoints:
    'bound on all points, at about 7 bytes each: where weights ask for more, all counts are halved until they fit, which moves keys; default 262 144, or twice what weights of 1 would take where that is more, at most 2 097 152',
  hash: `${hash}; the ring places the names of endpoints by it too`,
}

/**
 * The client's address on a ring, not on a Maglev table: sessions hang on addresses, so a change of membership or of a weight
 * must move nobody but those who have to move. Shares are as uneven as those of a ring; addresses are more so anyway.
 */
export const ipHashEntry: PickerEntry = entryOf(
  {
    name: 'ip-hash',
    summary:
      'A client stays with its endpoint without a cookie. `ring-hash` with the client address as its key, and so nobody else moves when an endpoint comes or goes.',
    cost: 'constant at any size',
    state: 'a ring per worker: 1.1 MB at 1 000 endpoints, 10 MB at 10 000',
    source: 'nginx ip_hash in purpose; Karger et al. 1997',
    options: RING_OPTIONS,
  },
  ringMaker,
)

export const ringHashEntry: PickerEntry = entryOf(
  {
    name: 'ring-hash',
    summary:
      'Caches and sharded state where exactly the keys of an endpoint that leaves may move, also while weights change. Shares are uneven: of 100 endpoints the worst has a fifth more than the mean.',
    cost: 'constant at any size',
    state: 'a ring per worker: 1.1 MB at 1 000 endpoints, 10 MB at 10 000',
    source: 'Karger et al. 1997; virtual nodes as in libketama',
    options: RING_OPTIONS,
  },
  ringMaker,
)

export const slotRingEntry: PickerEntry = entryOf(
  {
    name: 'slot-ring',
    summary:
      'Compatibility with the 512-slot ring of document 003 and its formulas. Very uneven: for anything else take `maglev` or `ring-hash`.',
    cost: 'constant at any size',
    state: '3 kB per worker; above 512 endpoints a ring takes its place: 1.1 MB at 1 000 endpoints, 10 MB at 10 000',
    source: 'document 003: H(i) = i² + 2i + 17, Φ(i, j) = i² + j² + 2j + 25',
    options: {
      slots:
        'slots of the ring, and the most endpoints with weight, 1 to 65 536; default 512. With more endpoints a ring-hash with its defaults takes its place, which moves keys',
      virtualNodes: 'slots of an endpoint of weight 1, others in proportion, 1 to 65 536; default 9',
      requestHash: 'the library only: a function (i, slots) instead of H',
      virtualHash: 'the library only: a function (i, j, slots) instead of Φ',
      numberOf:
        'the library only: a function that gives an id its number i; default the digits at its end, else its hash',
      hash,
    },
  },
  slotRingMaker,
)

export const maglevEntry: PickerEntry = entryOf(
  {
    name: 'maglev',
    summary:
      'The first choice where keys have to stay: shares within 1 % of the weights and the fastest lookup. A change of membership moves under 1 % of the keys of others.',
    cost: 'constant at any size',
    state: 'a table per worker: 0.2 MB at 1 000 endpoints, 0.5 MB at 10 000',
    source: 'Eisenbud et al., Maglev, NSDI 2016',
    options: {
      tableSize:
        'entries, a prime from 2 to 2 097 152; default 65 537. A hundred times the endpoints keeps shares within 1 %; with fewer entries than endpoints a ring-hash with its defaults takes its place',
      hash,
    },
  },
  maglevMaker,
)

export const rendezvousEntry: PickerEntry = entryOf(
  {
    name: 'rendezvous',
    summary:
      'Up to some hundreds of endpoints: shares match the weights but for chance, and exactly the keys of an endpoint that leaves move.',
    cost: 'grows with the number of endpoints: one mix each',
    state: '40 bytes per endpoint and worker: 40 kB at 1 000, 0.4 MB at 10 000',
    source: 'Thaler and Ravishankar 1998; weights: Schindelhauer and Schomaker 2005',
    options: { hash },
  },
  plainMaker('rendezvous map', (members): ConsistentMap => new RendezvousMap(members)),
)

export const jumpEntry: PickerEntry = entryOf(
  {
    name: 'jump',
    summary:
      'Numbered shards that come and go at the end of the order of their ids: even, without a table. When another one leaves, most keys of those after it move.',
    cost: 'grows with the logarithm of the number of endpoints',
    state: '49 bytes per endpoint and worker: 49 kB at 1 000, 0.5 MB at 10 000',
    source: 'Lamping and Veach 2014',
    options: { hash },
  },
  plainMaker('jump map', (members): ConsistentMap => new JumpMap(members)),
)

export const multiProbeEntry: PickerEntry = entryOf(
  {
    name: 'multi-probe',
    summary:
      'A hundred endpoints and more, as exact as `ring-hash` in what moves, in a thirtieth of the memory: the worst has 12 % above the mean, but some have next to nothing. Slower, and uneven with few endpoints.',
    cost: 'constant at any size: 21 probes',
    state: '36 bytes per endpoint and worker: 36 kB at 1 000, 0.4 MB at 10 000',
    source: 'Appleton and O’Reilly 2015',
    options: { probes: 'positions that a key looks from, 1 to 1 000: more are more even and slower; default 21', hash },
  },
  multiProbeMaker,
)
