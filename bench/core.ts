/**
 * Nanoseconds per pick of every picker, and of what a request does in shared memory: `npm run bench:core`, some five seconds.
 *
 * Loads are a fixed random 0 to 7 per endpoint; the caller's veto is a fitness lookup, as in the data plane. Each figure is
 * the median of several rounds. One thread: what Atomics cost when other workers want the same cache line is not in it.
 */
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

const variants: { name: string; picker: keyof typeof PICKERS; options: Record<string, unknown>; weighted: boolean }[] =
  []
for (const picker of Object.keys(PICKERS) as (keyof typeof PICKERS)[]) {
  variants.push({ name: picker, picker, options: {}, weighted: false })
  variants.push({ name: `${picker}, weights 1 to 9`, picker, options: {}, weighted: true })
}
variants.push({ name: 'least-requests, exact', picker: 'least-requests', options: { exact: true }, weighted: false })

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
console.log(row('ns per rebuild after a change, weights 1 to 9:', SIZES.map(String)))
for (const picker of Object.keys(PICKERS) as (keyof typeof PICKERS)[]) {
  console.log(
    row(
      picker,
      SIZES.map((size) => measureUpdate(picker, size).toFixed(0)),
    ),
  )
}
console.log()
console.log(row('ns per operation in shared memory', []))
for (const [name, run] of memoryOperations()) console.log(row(name, [nanoseconds(run).toFixed(1)]))

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

function measureUpdate(name: keyof typeof PICKERS, size: number): number {
  const { members, picker } = prepare(name, {}, true, size)
  return nanoseconds((times) => {
    for (let i = 0; i < times; i++) picker.update(members)
  })
}

function prepare(
  name: keyof typeof PICKERS,
  options: Record<string, unknown>,
  weighted: boolean,
  size: number,
): { members: Members; picker: Picker } {
  const random = createRandom(size)
  const members: Members = {
    count: size,
    slots: Int32Array.from({ length: size }, (_, position) => position),
    weights: Float64Array.from({ length: size }, () => (weighted ? 1 + Math.floor(random() * 9) : 1)),
  }
  const loads = new Int32Array(new SharedArrayBuffer(size * 4)).map(() => Math.floor(random() * 8))
  const cursor = new Int32Array(new SharedArrayBuffer(4))
  return { members, picker: PICKERS[name].create({ loads, cursor, random }, options) }
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
  for (const start = performance.now(); performance.now() - start < WARM_UP_MS; ) run(100)
  let times = 1
  while (elapsed(run, times) < ROUND_MS / 2) times *= 2
  const rounds = Array.from({ length: ROUNDS }, () => (elapsed(run, times) / times) * 1e6)
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1]!
}

function elapsed(run: (times: number) => void, times: number): number {
  const start = performance.now()
  run(times)
  return performance.now() - start
}

function row(name: string, cells: string[]): string {
  return name.padEnd(48) + cells.map((cell) => cell.padStart(10)).join('')
}
