import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type ConsistentMap,
  HASH_FUNCTIONS,
  HashRing,
  JumpMap,
  loadBound,
  MaglevMap,
  MultiProbeMap,
  RendezvousMap,
  SlotRing,
} from '../../src/core/hash/index.ts'
import { createLocalDeps, type Members, PICKERS } from '../../src/core/index.ts'

test('evenkeel/core alone is enough to balance in one thread, with nothing shared', () => {
  const deps = createLocalDeps(3)
  const { loads } = deps
  const members: Members = {
    count: 3,
    slots: Int32Array.of(0, 1, 2),
    weights: Float64Array.of(1, 1, 2),
    ids: ['a', 'b', 'c'],
  }
  for (const entry of Object.values(PICKERS)) {
    const picker = entry.create(deps, {})
    picker.update(members)
    const counts = [0, 0, 0]
    for (let i = 0; i < 400; i++) {
      const position = picker.pick(Math.imul(i, 0x9e37_79b1) >>> 0, (candidate) => candidate !== 0)
      counts[position]!++
      loads[position]!++
    }
    assert.equal(counts[0], 0)
    // This one fills the first that will do; all others spread by weight.
    if (entry.name === 'first-available') assert.equal(counts[1], 400)
    // 003's ring is not even.
    else if (entry.name !== 'slot-ring')
      assert.ok(counts[2]! > counts[1]! && counts[1]! > 0, `${entry.name}: ${counts.join()}`)
    loads.fill(0)
  }
})

test('evenkeel/ring alone says who owns a key, and who is next', () => {
  const ids = ['cache-a', 'cache-b', 'cache-c']
  const maps = [HashRing, JumpMap, MaglevMap, MultiProbeMap, RendezvousMap, SlotRing]
  for (const kind of maps) {
    const map: ConsistentMap = new kind({ ids, weights: [1, 1, 2] })
    for (const hash of Object.values(HASH_FUNCTIONS)) {
      const key = hash.ofString('/images/42.png')
      const owner = map.owner(key)
      const next = map.find(key, (index) => index !== owner)
      assert.ok(owner >= 0 && next >= 0 && next !== owner, `${kind.name}, ${hash.name}`)
    }
  }
  assert.equal(loadBound(1.25, 99, 1, 4), 32)
})
