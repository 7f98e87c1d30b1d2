import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createBalancedPicker, type ModifierOptions } from '../../../src/core/balance/balanced-picker.ts'
import { createLocalDeps } from '../../../src/core/balance/local-deps.ts'
import type { Accept, Members, Picker, PickerEntry } from '../../../src/core/balance/picker.ts'
import { EXPLAINED_CANDIDATES } from '../../../src/core/balance/picker.ts'
import { PICKERS } from '../../../src/core/balance/registry.ts'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { membersOf } from '../../contract/members.ts'

const MODIFIERS: ModifierOptions = {
  panic: { threshold: 0.3 },
  slowStart: { windowMs: 20_000 },
  tiersAndZones: { zone: 'a' },
  subset: { instance: 'one', size: 3, perEndpoint: 2 },
  boundedLoad: { factor: 1.25 },
}

interface World {
  readonly picker: Picker
  readonly loads: Int32Array
  nowMs: number
  report(name: string, slot: number, value: number): void
}

function worldOf(entry: PickerEntry, modifiers: ModifierOptions): World {
  const clock = { nowMs: 1000 }
  const deps = createLocalDeps(512, { seed: 5, now: () => clock.nowMs })
  const picker = createBalancedPicker(deps, {
    entry,
    modifiers,
    isHealthy: (slot) => (Math.floor(clock.nowMs / 5000) + slot) % 4 !== 0,
  })
  return {
    picker,
    loads: deps.loads,
    get nowMs() {
      return clock.nowMs
    },
    set nowMs(value) {
      clock.nowMs = value
    },
    report: (name, slot, value) => deps.signals.report(name, slot, value, clock.nowMs),
  }
}

function membersAt(size: number, chance: Xoshiro128): Members {
  return {
    ...membersOf(Array.from({ length: size }, () => [0, 1, 1, 2, 5][chance.below(5)]!)),
    tiers: Int32Array.from({ length: size }, (_, position) => (position % 5 === 4 ? 1 : 0)),
    zones: Array.from({ length: size }, (_, position) => ['a', 'b', 'c', null][position % 4]!),
  }
}

/** Picks in the one, explanations in the other, everything else the same. */
function compare(entry: PickerEntry, modifiers: ModifierOptions, rounds: number): void {
  const asked = worldOf(entry, modifiers)
  const told = worldOf(entry, modifiers)
  const worlds = [asked, told]
  const chance = new Xoshiro128(11)
  let members = membersAt(12, chance)
  for (const world of worlds) world.picker.update(members)
  let picked = 0
  for (let round = 0; round < rounds; round++) {
    if (round % 400 === 399) {
      members = membersAt(1 + chance.below(round % 1200 === 1199 ? 300 : 30), chance)
      for (const world of worlds) world.picker.update(members)
    }
    const elapsed = chance.below(100)
    const slot = chance.below(members.count)
    const value = chance.unit()
    const name = ['cpu', 'memory', 'utilization', 'capacity', 'proximity', 'rps'][chance.below(6)]!
    const vetoed = chance.below(8) === 0 ? chance.below(members.count) : -1
    const isNobody = chance.below(200) === 0
    const accept: Accept = (position) => !isNobody && position !== vetoed
    const key = chance.int32() >>> 0
    for (const world of worlds) {
      world.nowMs += elapsed
      world.report(name, slot, name === 'rps' ? value * 100 : value)
      world.loads[slot] = Math.max(0, world.loads[slot]! - 1)
    }
    const position = asked.picker.pick(key, accept)
    const explanation = told.picker.explain!(key, accept)
    assert.equal(explanation.position, position, `round ${round}: ${explanation.reason}`)
    assert.ok(explanation.reason.length > 10)
    assert.ok(explanation.candidates.length <= EXPLAINED_CANDIDATES)
    assert.ok(explanation.others >= 0)
    for (const candidate of explanation.candidates) {
      assert.ok(candidate.position >= 0 && candidate.position < members.count)
      for (const part of Object.values(candidate.parts)) assert.equal(typeof part, 'number')
    }
    if (position < 0) continue
    picked++
    assert.ok(
      explanation.candidates.length === 0 ||
        explanation.candidates.some((candidate) => candidate.position === position),
      'who was picked is among those told of',
    )
    const taken = members.slots[position]!
    const outcome = chance.below(10) === 0 ? 1 : 0
    for (const world of worlds) {
      world.loads[taken] = world.loads[taken]! + 1
      world.picker.began?.(taken)
      world.picker.ended?.(taken, value * 200, outcome)
    }
  }
  assert.ok(picked > rounds / 2, `${picked} picks`)
}

describe('an explanation is of the pick that would have been made', () => {
  for (const entry of Object.values(PICKERS)) {
    if (entry.create(createLocalDeps(1), {}).explain === undefined) continue
    test(entry.name, () => compare(entry, {}, 3000))
    test(`${entry.name} with every modifier`, () => compare(entry, MODIFIERS, 3000))
  }
  for (const [name, options] of Object.entries(MODIFIERS)) {
    test(`random with ${name}`, () => compare(PICKERS.random, { [name]: options }, 3000))
  }
})
