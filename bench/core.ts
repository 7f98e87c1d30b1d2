/**
 * Nanoseconds per pick of every picker, bytes that it keeps, and what a request does in shared memory: `npm run bench:core`,
 * some twenty seconds; `npm run bench:core -- p2c delay` for the pickers whose name holds one of the words.
 *
 * Loads are a fixed random 0 to 7 per endpoint; the caller's veto is a fitness lookup, as in the data plane. For pickers that
 * learn there is a second table with all they do for a request: pick, begin, end, and answers to probes, with as many in flight
 * as there are endpoints and a clock that moves. Each figure is the median of several rounds, in processor time. One thread: what Atomics cost when
 * other workers want the same cache line is not in it.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createLocalDeps } from '../src/core/balance/local-deps.ts'
import type { Members, Picker } from '../src/core/balance/picker.ts'
import { PICKERS } from '../src/core/balance/registry.ts'
import { createRandom } from '../src/core/random.ts'
import { EndpointTable } from '../src/memory/endpoint-table.ts'
import { KeyedTable } from '../src/memory/keyed-table.ts'
import { createSharedMemory } from '../src/memory/shared-memory.ts'

const SIZES = [10, 100, 1000, 10_000]
const ROUNDS = 7
const ROUND_MS = 8
const WARM_UP_MS = 25

const words = process.argv.slice(2)
const isWanted = (name: string): boolean => words.length === 0 || words.some((word) => name.includes(word))
const names = (Object.keys(PICKERS) as (keyof typeof PICKERS)[]).filter(isWanted)

const variants: { name: string; picker: keyof typeof PICKERS; options: Record<string, unknown>; weighted: boolean }[] =
  []
for (const picker of names) {
  variants.push({ name: picker, picker, options: {}, weighted: false })
  variants.push({ name: `${picker}, weights 1 to 9`, picker, options: {}, weighted: true })
}
for (const [picker, options] of [
  ['least-requests', { exact: true }],
  ['least-requests', { index: true }],
  ['p2c', { metric: 'response-time' }],
  ['p2c', { metric: 'expected-delay' }],
  ['least-response-time', { exact: true }],
  ['expected-delay', { exact: true }],
] as const) {
  const name = `${picker}, ${Object.entries(options)
    .map(([key, value]) => (value === true ? key : value))
    .join()}`
  if (isWanted(name)) variants.push({ name, picker, options, weighted: false })
}

console.log(row('ns per pick, endpoints:', SIZES.map(String)))
for (const { name, picker, options, weighted } of variants) {
  console.log(
    row(
      name,
      SIZES.map((size) => measurePicker(picker, options, weighted, size).toFixed(1)),
    ),
  )
}
console.log()
console.log(row('ns per request, what is learnt included:', SIZES.map(String)))
for (const { name, picker, options, weighted } of variants) {
  if (PICKERS[picker].create(createLocalDeps(1), options).ended === undefined) continue
  console.log(
    row(
      name,
      SIZES.map((size) => measureRequest(picker, options, weighted, size).toFixed(1)),
    ),
  )
}
console.log()
console.log(row('bytes kept per endpoint, one worker:', SIZES.map(String)))
for (const { name, picker, options, weighted } of variants) {
  console.log(
    row(
      name,
      SIZES.map((size) => measureBytes(picker, options, weighted, size).toFixed(0)),
    ),
  )
}
console.log()
console.log(row('ns per rebuild after a change, weights 1 to 9:', SIZES.map(String)))
for (const picker of names) {
  console.log(
    row(
      picker,
      SIZES.map((size) => measureUpdate(picker, size).toFixed(0)),
    ),
  )
}
if (words.length === 0) {
  console.log()
  console.log(row('ns per operation in shared memory', []))
  for (const [name, run] of memoryOperations()) console.log(row(name, [nanoseconds(run).toFixed(1)]))
}

function measurePicker(
  name: keyof typeof PICKERS,
  options: Record<string, unknown>,
  weighted: boolean,
  size: number,
): number {
  const { members, picker } = prepare(name, options, weighted, size)
  picker.update(members)
  const fitness = new Int32Array(new SharedArrayBuffer(size * 4))
  const { slots } = members
  const accept = (position: number): boolean => fitness[slots[position]!] === 0
  let sum = 0
  const figure = nanoseconds((times) => {
    for (let i = 0; i < times; i++) sum += picker.pick(i, accept)
  })
  if (sum < 0) throw new Error('nothing was picked')
  return figure
}

/** All that a picker does for a request; requests end in the order in which they began. */
function measureRequest(
  name: keyof typeof PICKERS,
  options: Record<string, unknown>,
  weighted: boolean,
  size: number,
): number {
  let now = 1
  const { members, picker, loads } = prepare(name, options, weighted, size, () => now)
  loads.fill(0)
  picker.update(members)
  const accept = (): boolean => true
  const running = new Int32Array(size).fill(-1)
  let next = 0
  return nanoseconds((times) => {
    for (let i = 0; i < times; i++) {
      if ((i & 15) === 0) now++
      const done = running[next]!
      if (done >= 0) {
        loads[done] = loads[done]! - 1
        picker.ended?.(done, 5 + (i & 31), (i & 1023) === 0 ? 1 : 0)
      }
      const slot = picker.pick(i, accept)
      loads[slot] = loads[slot]! + 1
      picker.began?.(slot)
      if (picker.wantsProbe !== undefined) {
        for (let probe = picker.wantsProbe(); probe >= 0; probe = picker.wantsProbe()) {
          picker.probed?.(probe, loads[probe]!, 5 + (i & 31))
        }
      }
      running[next] = slot
      next = next + 1 === size ? 0 : next + 1
    }
  })
}

/** Typed arrays that a picker keeps; objects are a few hundred bytes per pool and not counted. */
function measureBytes(
  name: keyof typeof PICKERS,
  options: Record<string, unknown>,
  weighted: boolean,
  size: number,
): number {
  const { members, picker } = prepare(name, options, weighted, size)
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  // Buffers are swept beside the program: the next collection waits for the sweep of the one before.
  const collect = (): void => {
    gc()
    gc()
  }
  collect()
  const before = process.memoryUsage().arrayBuffers
  picker.update(members)
  picker.pick(1, () => true)
  collect()
  return (process.memoryUsage().arrayBuffers - before) / size
}

function measureUpdate(name: keyof typeof PICKERS, size: number): number {
  const { members, picker } = prepare(name, {}, true, size)
  // Every other weight goes up and down: a hash picker does nothing when nothing has changed, and little for one change.
  const weights = members.weights.map((weight, position) => weight + (position & 1))
  const changed: Members = { ...members, weights }
  let isChanged = false
  return nanoseconds((times) => {
    for (let i = 0; i < times; i++) {
      isChanged = !isChanged
      picker.update(isChanged ? changed : members)
    }
  })
}

function prepare(
  name: keyof typeof PICKERS,
  options: Record<string, unknown>,
  weighted: boolean,
  size: number,
  now: () => number = () => 1,
): { members: Members; picker: Picker; loads: Int32Array } {
  const random = createRandom(size)
  const members: Members = {
    count: size,
    slots: Int32Array.from({ length: size }, (_, position) => position),
    weights: Float64Array.from({ length: size }, () => (weighted ? 1 + Math.floor(random() * 9) : 1)),
    ids: Array.from({ length: size }, (_, position) => `10.0.${position >> 8}.${position & 255}:80`),
  }
  const loads = new Int32Array(new SharedArrayBuffer(size * 4)).map(() => Math.floor(random() * 8))
  const cursor = new Int32Array(new SharedArrayBuffer(4))
  const deps = { ...createLocalDeps(size), loads, cursor, random, now }
  return { members, picker: PICKERS[name].create(deps, options), loads }
}

function memoryOperations(): [string, (times: number) => void][] {
  const memory = createSharedMemory({
    endpoints: 1024,
    workers: 2,
    pools: 1,
    listeners: 1,
    addresses: 65_536,
    workerCounters: 8,
  })
  const table = new EndpointTable(memory)
  const addresses = new KeyedTable(memory)
  const slots = Array.from({ length: 1024 }, () => table.allocate(1, 1000)!)
  const at = (i: number): { slot: number; generation: number } => slots[(i * 7) & 1023]!
  const keys = Array.from({ length: 1024 }, (_, i) =>
    Uint8Array.from({ length: 16 }, (_, byte) => (i >> (byte & 7)) + byte),
  )
  return [
    [
      'acquire and release',
      (times) => {
        for (let i = 0; i < times; i++) {
          const { slot, generation } = at(i)
          table.acquire(1, slot, generation)
          table.release(1, slot, generation)
        }
      },
    ],
    [
      'openConnection (limit 1000) and closeConnection',
      (times) => {
        for (let i = 0; i < times; i++) {
          const { slot, generation } = at(i)
          table.openConnection(1, slot, generation)
          table.closeConnection(1, slot, generation)
        }
      },
    ],
    [
      'record',
      (times) => {
        for (let i = 0; i < times; i++) {
          const { slot, generation } = at(i)
          table.record(1, slot, generation, 200, (i & 127) * 0.3, 1000, 500)
        }
      },
    ],
    [
      'ledger tryAdd and add(-1)',
      (times) => {
        for (let i = 0; i < times; i++) {
          table.connections.tryAdd(1, i & 1023, 1000)
          table.connections.add(1, i & 1023, -1)
        }
      },
    ],
    [
      'address tryIncrement and decrement',
      (times) => {
        for (let i = 0; i < times; i++) {
          const key = keys[i & 1023]!
          addresses.tryIncrement(1, key, 1000)
          addresses.decrement(1, key)
        }
      },
    ],
  ]
}

/** Median over rounds, each about `ROUND_MS` long, after the compiler had its time. */
function nanoseconds(run: (times: number) => void): number {
  for (let spent = 0, batch = 1; spent < WARM_UP_MS; batch *= 2) spent += elapsed(run, batch)
  let times = 1
  while (elapsed(run, times) < ROUND_MS / 2) times *= 2
  const rounds = Array.from({ length: ROUNDS }, () => (elapsed(run, times) / times) * 1e6)
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1]!
}

/**
 * Milliseconds of processor time, so that what else runs on the machine counts little. Of the process, as Linux brings that
 * of a single thread up to date only every few milliseconds; the compiler's threads are quiet by then.
 */
function elapsed(run: (times: number) => void, times: number): number {
  const start = process.cpuUsage()
  run(times)
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

function row(name: string, cells: string[]): string {
  return name.padEnd(48) + cells.map((cell) => cell.padStart(10)).join('')
}
