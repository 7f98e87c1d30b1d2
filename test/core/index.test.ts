import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRandom, type Members, PICKERS } from '../../src/core/index.ts'

test('evenkeel/core alone is enough to balance in one thread, with nothing shared', () => {
  const loads = new Int32Array(3)
  const members: Members = { count: 3, slots: Int32Array.of(0, 1, 2), weights: Float64Array.of(1, 1, 2) }
  for (const entry of Object.values(PICKERS)) {
    const picker = entry.create({ loads, cursor: new Int32Array(1), random: createRandom(1) }, {})
    picker.update(members)
    const counts = [0, 0, 0]
    for (let i = 0; i < 400; i++) {
      const position = picker.pick(0, (candidate) => candidate !== 0)
      counts[position]!++
      loads[position]!++
    }
    assert.equal(counts[0], 0)
    assert.ok(counts[2]! > counts[1]! && counts[1]! > 0, `${entry.name}: ${counts.join()}`)
    loads.fill(0)
  }
})
