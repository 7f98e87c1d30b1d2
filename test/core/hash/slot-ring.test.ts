import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { requestSlot, SlotRing, serverNumber, virtualSlot } from '../../../src/core/hash/slot-ring.ts'
import { fleet } from './every-map.ts'

const servers = (count: number): { ids: string[]; weights: number[] } => ({
  ids: Array.from({ length: count }, (_, i) => `${i + 1}`),
  weights: Array.from({ length: count }, () => 1),
})

/** Slots of a member, ascending. */
function slotsOf(ring: SlotRing, index: number): number[] {
  return Array.from(ring.layout(), (member, slot) => (member === index ? slot : -1)).filter((slot) => slot >= 0)
}

describe("003's formulas", () => {
  test('give the slots worked by hand', () => {
    // H: 0 + 0 + 17; 1 + 2 + 17; 4 + 4 + 17; 100 + 20 + 17; 400 + 40 + 17; 484 + 44 + 17 = 545 = 33.
    for (const [i, slot] of [
      [0, 17],
      [1, 20],
      [2, 25],
      [10, 137],
      [20, 457],
      [22, 33],
    ] as const) {
      assert.equal(requestSlot(i, 512), slot)
    }
    // Φ: 1 + 0 + 0 + 25; 1 + 1 + 2 + 25; 1 + 64 + 16 + 25; 9 + 4 + 4 + 25; 625 + 64 + 16 + 25 = 730 = 218.
    for (const [i, j, slot] of [
      [1, 0, 26],
      [1, 1, 29],
      [1, 8, 106],
      [3, 2, 42],
      [25, 8, 218],
    ] as const) {
      assert.equal(virtualSlot(i, j, 512), slot)
    }
  })

  test('stay exact for the largest keys', () => {
    for (const i of [0xffff_ffff, 0x8000_0001, 123_456_789]) {
      const exact = Number((BigInt(i) ** 2n + 2n * BigInt(i) + 17n) % 512n)
      assert.equal(requestSlot(i, 512), exact)
      const big = Number((BigInt(i) ** 2n + 80n + 25n) % 512n)
      assert.equal(virtualSlot(i, 8, 512), big)
    }
  })

  test('reach 87 of the 512 slots', () => {
    assert.equal(new Set(Array.from({ length: 5120 }, (_, i) => requestSlot(i, 512))).size, 87)
  })
})

describe('the slot ring', () => {
  test('places the nodes of two servers as by hand, passing taken slots on to the next free one', () => {
    // Server 1: 26 + j² + 2j. Server 2: 29 + j² + 2j, where 29 is taken (30 is not), 32, 37 and so on are free, 29 + 24 = 53.
    const ring = new SlotRing(servers(2))
    assert.deepEqual(slotsOf(ring, 0), [26, 29, 34, 41, 50, 61, 74, 89, 106])
    assert.deepEqual(slotsOf(ring, 1), [30, 32, 37, 44, 53, 64, 77, 92, 109])
  })

  test('sends a request to the first node at or clockwise of its slot, around the end too', () => {
    const ring = new SlotRing(servers(2))
    assert.equal(ring.owner(0), 0) // slot 17, node at 26
    assert.equal(ring.owner(22), 0) // slot 33, node at 34
    assert.equal(ring.owner(10), 0) // slot 137, past the last node: 26
    assert.equal(ring.owner(2), 0) // slot 25
    // 7: 49 + 14 + 17 = 80, node at 89 of server 1; without it 92 of server 2.
    assert.equal(ring.owner(7), 0)
    assert.equal(
      ring.find(7, (index) => index === 1),
      1,
    )
  })

  test('has the shares known of it: a compatibility mode, not a choice', () => {
    for (const [count, shares] of [
      [3, [84, 5, 11]],
      [5, [80, 3, 9, 3, 5]],
    ] as const) {
      const ring = new SlotRing(servers(count))
      const counts = new Float64Array(count)
      for (let id = 100_000; id < 1_000_000; id++) counts[ring.owner(id)]!++
      assert.deepEqual(
        Array.from(counts, (n) => Math.round(n / 9000)),
        shares,
      )
    }
    const ten = new SlotRing(servers(10))
    const occupied = Array.from(ten.layout(), (member, slot) => (member >= 0 ? slot : -1)).filter((slot) => slot >= 0)
    assert.equal(occupied.length, 90)
    assert.deepEqual([occupied[0], occupied.at(-1)], [26, 205])
  })

  test('numbers servers by the digits at the end of their ids, others by hash', () => {
    assert.equal(serverNumber('3'), 3)
    assert.equal(serverNumber('server-12'), 12)
    assert.equal(serverNumber('007'), 7)
    // Ports and parts of addresses are no numbers of servers.
    assert.notEqual(serverNumber('10.0.0.1:8080'), 8080)
    assert.notEqual(serverNumber('10.0.0.1:8080'), serverNumber('10.0.0.2:8080'))
    assert.notEqual(serverNumber('1234567890'), 1_234_567_890)
    const named = new SlotRing({ ids: ['server-2', 'server-1'], weights: [1, 1] })
    assert.deepEqual(slotsOf(named, 1), [26, 29, 34, 41, 50, 61, 74, 89, 106])
  })

  test('places servers of one number in order of their ids', () => {
    const ids = ['b1', 'a1']
    const ring = new SlotRing({ ids, weights: [1, 1] })
    assert.equal(ring.layout()[26], 1)
    assert.equal(ring.layout()[27], 0)
  })

  test('takes other formulas and sizes', () => {
    const ring = new SlotRing(servers(2), {
      slots: 10,
      virtualNodes: 2,
      requestHash: (i) => -i,
      virtualHash: (i, j) => -i - 5 * j,
    })
    // Server 1 at 9 and 4, server 2 at 8 and 3.
    assert.deepEqual(Array.from(ring.layout()), [-1, -1, -1, 1, 0, -1, -1, -1, 1, 0])
    assert.equal(ring.owner(1), 0) // slot 9
    assert.equal(ring.owner(5), 1) // slot 5, node at 8
    assert.equal(ring.owner(10), 1) // slot 0, node at 3
  })

  test('gives slots by weight, and fewer to all when there are too few', () => {
    const weighted = new SlotRing({ ids: ['1', '2', '3'], weights: [1, 2, 0.01] })
    assert.deepEqual(
      [0, 1, 2].map((i) => slotsOf(weighted, i).length),
      [9, 18, 1],
    )
    const crowded = new SlotRing(fleet(400, [3]))
    const lengths = Array.from({ length: 400 }, (_, i) => slotsOf(crowded, i).length)
    assert.ok(Math.min(...lengths) >= 1)
    assert.ok(lengths.reduce((a, b) => a + b) <= 512)
    assert.equal(new SlotRing(fleet(512)).layout().indexOf(-1), -1)
  })

  test('refuses more members than slots, bad options and formulas that give no whole numbers', () => {
    assert.throws(() => new SlotRing(fleet(513)), /a slot ring of 512 slots holds at most 512 members, not 513/)
    assert.equal(new SlotRing(fleet(513, [0])).size, 512)
    assert.throws(() => new SlotRing(servers(1), { slots: 0 }), /slots must be/)
    assert.throws(() => new SlotRing(servers(1), { slots: 65_537 }), /slots must be/)
    assert.throws(() => new SlotRing(servers(1), { virtualNodes: 1.5 }), /virtualNodes must be/)
    assert.throws(
      () => new SlotRing(servers(1), { virtualHash: () => Number.NaN }),
      /virtualHash must give a whole number/,
    )
    assert.throws(() => new SlotRing(servers(1), { numberOf: () => -1 }), /numberOf must give a whole number from 0/)
    assert.equal(new SlotRing(servers(1), { requestHash: () => Number.NaN }).owner(1), 0)
  })

  test('moves only a refused server’s requests; a leaving one frees slots that others were displaced from', () => {
    const whole = new SlotRing(servers(10))
    const { ids, weights } = servers(10)
    const names = ids.slice(1)
    const rest = new SlotRing({ ids: names, weights: weights.slice(1) })
    let others = 0
    for (let id = 0; id < 5120; id++) {
      const owner = whole.owner(id)
      const found = whole.find(id, (index) => index !== 0)
      if (owner !== 0) assert.equal(found, owner)
      if (owner !== 0 && names[rest.owner(id)] !== ids[owner]) others++
    }
    assert.ok(others > 0 && others < 5120 / 4, `${others} requests of others moved`)
  })
})
