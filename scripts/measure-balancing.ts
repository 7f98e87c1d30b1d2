/**
 * `npm run measure:balancing`: measures the consistent maps and writes the tables of docs/balancing.md, in about a minute and a half. Shares and
 * moved keys come out the same at every run; times are medians, in processor time. With `--pickers` only the table of pickers is written.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { resolve } from 'node:path'
import { type ConsistentMap, loadBound, mix32 } from '../src/core/hash/index.ts'
import {
  cells,
  evenKeys,
  FLEET_SIZES,
  fleetOf,
  median,
  pickerTable,
  SHARE_HEAD,
  shareRow,
  sharesOf003,
  VARIANTS,
  type Variant,
  withBlock,
  worstOfRing,
} from './balancing-tables.ts'
import { runMain } from './run-main.ts'

export const BALANCING_FILE: string = resolve(import.meta.dirname, '../docs/balancing.md')

const ROUNDS = 7
const ROUND_MS = 8
const WARM_UP_MS = 20
const RING_SIZES = [3, 10, 50, 100]
const RING_NODES = [150, 400, 1000, 2000, 4000, 8000]

function shareTables(): string {
  return FLEET_SIZES.map((size) => {
    console.log(`shares, ${size} endpoints`)
    const rows = VARIANTS.map((variant) => shareRow(variant, size))
    return `### ${number(size)} endpoints\n\n${SHARE_HEAD}\n${rows.join('\n')}\n`
  }).join('\n')
}

function ringTable(): string {
  const rows = RING_NODES.map((nodes) =>
    cells([number(nodes), ...RING_SIZES.map((size) => worstOfRing(size, nodes).toFixed(3))]),
  )
  return [
    cells(['virtual nodes', ...RING_SIZES.map((size) => `${size} endpoints`)]),
    cells(['---:', ...RING_SIZES.map(() => '---:')]),
    ...rows,
  ].join('\n')
}

function slotTable(): string {
  const rows = [3, 5, 10].map((servers) =>
    cells([
      `1 to ${servers}`,
      sharesOf003(servers)
        .map((share) => `${share.toFixed(1)} %`)
        .join(', '),
    ]),
  )
  return ['| servers | share of the requests of each |', '|---|---|', ...rows].join('\n')
}

function costTable(): string {
  const head = [
    cells(['map', ...FLEET_SIZES.flatMap((size) => [`${number(size)}: bytes`, 'build', 'lookup'])]),
    cells(['---', ...FLEET_SIZES.flatMap(() => ['---:', '---:', '---:'])]),
  ]
  const rows = VARIANTS.map((variant) => {
    console.log(`cost, ${variant.name}`)
    return cells([variant.name, ...FLEET_SIZES.flatMap((size) => cost(variant, size))])
  })
  return [...head, ...rows].join('\n')
}

function cost(variant: Variant, size: number): [bytes: string, build: string, lookup: string] {
  if (size > (variant.mostMembers ?? Number.POSITIVE_INFINITY)) return ['', '', '']
  const members = fleetOf(size, 0)
  const map = variant.build(members)
  const build = nanoseconds((times) => {
    for (let i = 0; i < times; i++) variant.build(members)
  })
  return [number(map.bytes), `${(build / 1e6).toPrecision(2)} ms`, `${lookupTime(variant, map, size).toFixed(0)} ns`]
}

let sink = 0

function lookupTime(variant: Variant, map: ConsistentMap, size: number): number {
  if (variant.bound === undefined) {
    return nanoseconds((times) => {
      for (let i = 0; i < times; i++) sink += map.owner(mix32(i) | 0)
    })
  }
  // A request ends for each that begins, oldest first.
  const loads = new Int32Array(size)
  const total = 100 * size
  const bound = loadBound(variant.bound, total - 1, 1, size)
  const accept = (index: number): boolean => loads[index]! < bound
  const held = new Int32Array(total)
  for (const [i, key] of evenKeys(total, 0).entries()) {
    held[i] = map.find(key, accept)
    loads[held[i]]!++
  }
  let next = 0
  return nanoseconds((times) => {
    for (let i = 0; i < times; i++) {
      loads[held[next]!]!--
      const index = map.find(mix32(i + next) | 0, accept)
      loads[index]!++
      held[next] = index
      next = next + 1 === total ? 0 : next + 1
    }
  })
}

function nanoseconds(run: (times: number) => void): number {
  for (let spent = 0, batch = 1; spent < WARM_UP_MS; batch *= 2) spent += elapsed(run, batch)
  let times = 1
  while (elapsed(run, times) < ROUND_MS / 2) times *= 2
  return median(Array.from({ length: ROUNDS }, () => (elapsed(run, times) / times) * 1e6))
}

/** Milliseconds of processor time, so that what else runs on the machine counts little. */
function elapsed(run: (times: number) => void, times: number): number {
  const start = process.cpuUsage()
  run(times)
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

function number(value: number): string {
  return value.toString().replace(/\B(?=(\d{3})+$)/g, ' ')
}

function main(): void {
  let page = readFileSync(BALANCING_FILE, 'utf8')
  page = withBlock(page, 'pickers', pickerTable())
  if (!process.argv.includes('--pickers')) {
    page = withBlock(page, 'shares', shareTables())
    page = withBlock(page, 'virtual nodes', ringTable())
    page = withBlock(page, 'slots', slotTable())
    page = withBlock(
      page,
      'cost',
      `Node ${process.versions.node}, ${cpus()[0]?.model.trim() ?? 'unknown processor'}.\n\n${costTable()}`,
    )
  }
  writeFileSync(BALANCING_FILE, page)
  if (!Number.isFinite(sink)) throw new Error('nothing was looked up')
  console.log('written: docs/balancing.md')
}

if (import.meta.main) await runMain(main)
