import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createBalancedPicker, type ModifierOptions } from '../../../../src/core/balance/balanced-picker.ts'
import { createLocalDeps, type LocalDeps } from '../../../../src/core/balance/local-deps.ts'
import { slowStartShare } from '../../../../src/core/balance/modifiers/slow-start.ts'
import { explainBound, pickBound } from '../../../../src/core/balance/modifiers/stickiness.ts'
import type { Accept, Members, Picker, PickerEntry } from '../../../../src/core/balance/picker.ts'
import { PICKERS, type PickerName } from '../../../../src/core/balance/registry.ts'
import { mix32 } from '../../../../src/core/hash/mix.ts'
import { assertAllocatesNothing } from '../../../contract/bytes-per-call.ts'
import { acceptAll, membersOf } from '../../../contract/members.ts'
import { describePicker } from '../../../contract/pickers.ts'

interface World {
  readonly deps: LocalDeps
  readonly picker: Picker
  readonly clock: { nowMs: number }
  readonly unhealthy: Set<number>
}

function worldOf(
  entry: PickerName | PickerEntry,
  modifiers: ModifierOptions,
  members: Members,
  { seed = 1 }: { seed?: number } = {},
): World {
  const clock = { nowMs: 1000 }
  const unhealthy = new Set<number>()
  const deps = createLocalDeps(Math.max(64, members.count), { seed, now: () => clock.nowMs })
  const picker = createBalancedPicker(deps, {
    entry: typeof entry === 'string' ? PICKERS[entry] : entry,
    modifiers,
    isHealthy: (slot) => !unhealthy.has(slot),
  })
  picker.update(members)
  return { deps, picker, clock, unhealthy }
}

const ones = (size: number): number[] => Array.from({ length: size }, () => 1)

function countsOf({ picker }: World, size: number, draws: number, accept: Accept = acceptAll): number[] {
  const counts = Array.from({ length: size }, () => 0)
  for (let i = 0; i < draws; i++) counts[picker.pick(mix32(i), accept)]!++
  return counts
}

function near(actual: number, expected: number, tolerance: number, what = ''): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what} ${actual} is not ${expected} ± ${tolerance}`)
}

/** A picker that takes the first accepted from where the key points: a hash picker in one line. */
const keyedEntry: PickerEntry = {
  ...PICKERS.random,
  name: 'keyed',
  usesKey: true,
  create: () => {
    let count = 0
    return {
      update: (members) => {
        count = members.count
      },
      pick: (key, accept) => {
        for (let step = 0; step < count; step++) {
          const position = ((key >>> 0) + step) % count
          if (accept(position)) return position
        }
        return -1
      },
    }
  },
}

function modified(name: string, entry: PickerEntry, modifiers: ModifierOptions): PickerEntry {
  return {
    ...entry,
    name,
    create: (deps, options) => createBalancedPicker(deps, { entry, options, modifiers, isHealthy: () => true }),
  }
}

for (const [name, modifiers, isEven] of [
  ['p2c with a panic threshold', { panic: { threshold: 0.5 } }, true],
  ['p2c with slow start', { slowStart: { windowMs: 60_000 } }, true],
  ['p2c with bounded load', { boundedLoad: { factor: 1.25 } }, true],
  ['p2c with tiers and zones', { tiersAndZones: { zone: 'a' } }, true],
  ['p2c with a subset', { subset: { instance: 'x', size: 4 } }, false],
] as const) {
  describePicker(name, modified(name, PICKERS.p2c, modifiers), {}, 100_000, isEven)
}

describe('createBalancedPicker', () => {
  test('gives the bare picker where nothing is configured', () => {
    const deps = createLocalDeps(4)
    const bare = PICKERS.random.create(deps, {})
    assert.equal(createBalancedPicker(deps, { entry: PICKERS.random }).constructor, bare.constructor)
  })

  test('says which option is wrong', () => {
    const create = (modifiers: ModifierOptions) => (): Picker =>
      createBalancedPicker(createLocalDeps(1), { entry: PICKERS.random, modifiers, isHealthy: () => true })
    assert.throws(create({ boundedLoad: { factor: 0.9 } }), /factor/)
    assert.throws(create({ slowStart: { windowMs: 0 } }), /windowMs/)
    assert.throws(create({ panic: { threshold: 2 } }), /threshold/)
    assert.throws(create({ subset: { instance: 'a', size: 0 } }), /size/)
    assert.throws(create({ tiersAndZones: { overprovisioning: 0.5 } }), /overprovisioning/)
    assert.throws(create({ tiersAndZones: { callers: { a: -1 } } }), /callers.a/)
    assert.throws(
      () =>
        createBalancedPicker(createLocalDeps(1), { entry: PICKERS.random, modifiers: { panic: { threshold: 0.5 } } }),
      /isHealthy/,
    )
  })

  test('with every modifier allocates nothing per pick', () => {
    const members: Members = {
      ...membersOf(ones(60)),
      tiers: Int32Array.from({ length: 60 }, (_, position) => (position < 50 ? 0 : 1)),
      zones: Array.from({ length: 60 }, (_, position) => ['a', 'b', 'c'][position % 3]!),
    }
    const { picker, deps } = worldOf(
      'p2c',
      {
        panic: { threshold: 0.3 },
        slowStart: { windowMs: 60_000 },
        tiersAndZones: { zone: 'a' },
        subset: { instance: 'x', size: 10, perEndpoint: 5 },
        boundedLoad: { factor: 1.5 },
      },
      members,
    )
    const accept: Accept = (position) => position !== 1
    assertAllocatesNothing((calls) => {
      for (let i = 0; i < calls; i++) {
        const position = picker.pick(i, accept)
        deps.loads[position] = (deps.loads[position]! + i) & 3
      }
    })
  })

  test('passes on what endpoints teach, also through tiers and subsets', () => {
    const events: string[] = []
    const entry: PickerEntry = {
      ...keyedEntry,
      create: () => ({
        ...keyedEntry.create(createLocalDeps(1), {}),
        began: (slot) => events.push(`began ${slot}`),
        ended: (slot, latencyMs, outcome) => events.push(`ended ${slot} ${latencyMs} ${outcome}`),
      }),
    }
    const { picker } = worldOf(
      entry,
      {
        tiersAndZones: {},
        slowStart: { windowMs: 10 },
        subset: { instance: 'x', size: 2 },
        boundedLoad: { factor: 2 },
      },
      { ...membersOf(ones(4)), tiers: Int32Array.of(0, 0, 1, 1) },
    )
    picker.began?.(3)
    picker.ended?.(3, 12, 1)
    assert.deepEqual(events, ['began 3', 'ended 3 12 1'])
    const { picker: deaf } = worldOf('random', { slowStart: { windowMs: 10 } }, membersOf([1]))
    assert.ok(deaf.began === undefined && deaf.ended === undefined, 'random is not told what it does not use')
  })
})

describe('slow start', () => {
  test("follows Envoy's formula", () => {
    // window 60 s, aggression 1: half way is half the weight.
    assert.equal(slowStartShare(30_000, 60_000, 1, 0.1), 0.5)
    assert.equal(slowStartShare(0, 60_000, 1, 0.1), 0.1)
    assert.equal(slowStartShare(3000, 60_000, 1, 0.1), 0.1)
    assert.equal(slowStartShare(60_000, 60_000, 1, 0.1), 1)
    // aggression 2: the square root; 0.5: the square.
    near(slowStartShare(15_000, 60_000, 2, 0.1), 0.5, 1e-12)
    near(slowStartShare(30_000, 60_000, 0.5, 0.1), 0.25, 1e-12)
    let before = 0
    for (let elapsed = 0; elapsed <= 60_000; elapsed += 100) {
      const share = slowStartShare(elapsed, 60_000, 1.5, 0.05)
      assert.ok(share >= before && share <= 1)
      before = share
    }
  })

  test('one that joins gets its share little by little, those of the start theirs at once', () => {
    const world = worldOf('random', { slowStart: { windowMs: 10_000 } }, membersOf(ones(4)))
    const share = (size: number): number => countsOf(world, size, 40_000)[size - 1]! / 40_000
    near(share(4), 0.25, 0.01)
    world.picker.update(membersOf(ones(5)))
    for (const [elapsedMs, weight] of [
      [0, 0.1],
      [2000, 0.2],
      [5000, 0.5],
      [8000, 0.8],
      [10_000, 1],
      [20_000, 1],
    ] as const) {
      world.clock.nowMs = 1000 + elapsedMs
      near(share(5), weight / (4 + weight), 0.01, `after ${elapsedMs} ms:`)
    }
  })

  test('begins anew when the host says since when an endpoint is fit', () => {
    const world = worldOf('random', { slowStart: { windowMs: 10_000 } }, membersOf(ones(2)))
    world.clock.nowMs = 100_000
    world.picker.update({ ...membersOf(ones(2)), sinceMs: Float64Array.of(0, 98_000) })
    near(countsOf(world, 2, 40_000)[1]! / 40_000, 0.2 / 1.2, 0.01)
  })

  test('updates the inner picker at most twice a second, and not at all outside of the window', () => {
    let updates = 0
    const entry: PickerEntry = {
      ...keyedEntry,
      create: (deps) => {
        const inner = keyedEntry.create(deps, {})
        return {
          ...inner,
          update: (members) => {
            updates++
            inner.update(members)
          },
        }
      },
    }
    const world = worldOf(entry, { slowStart: { windowMs: 5000 } }, membersOf(ones(3)))
    world.picker.update(membersOf(ones(4)))
    updates = 0
    for (let ms = 0; ms < 20_000; ms += 10) {
      world.clock.nowMs += 10
      world.picker.pick(0, acceptAll)
    }
    assert.equal(updates, 10)
  })
})

describe('bounded load', () => {
  test('nobody goes over factor × its fair share by weight', () => {
    const weights = [1, 1, 2, 4]
    const world = worldOf(keyedEntry, { boundedLoad: { factor: 1.25 } }, membersOf(weights))
    for (let request = 1; request <= 400; request++) {
      // A key that always points at the first.
      const position = world.picker.pick(0, acceptAll)
      world.deps.loads[position]!++
      for (const [slot, weight] of weights.entries()) {
        assert.ok(world.deps.loads[slot]! <= Math.ceil((1.25 * request * weight) / 8), `request ${request}`)
      }
    }
    assert.equal(world.deps.loads[0], 63)
  })

  test('shares of what is accepted only: with half of the pool refused the others take all', () => {
    const world = worldOf(keyedEntry, { boundedLoad: { factor: 1.25 } }, membersOf(ones(10)))
    for (let request = 0; request < 100; request++) {
      const position = world.picker.pick(0, (candidate) => candidate < 5)
      assert.ok(position >= 0 && position < 5)
      world.deps.loads[position]!++
    }
    assert.ok(Math.max(...world.deps.loads.subarray(0, 5)) <= 25)
  })

  test('a stale count never makes a request fail', () => {
    const world = worldOf(keyedEntry, { boundedLoad: { factor: 1 } }, membersOf(ones(64)))
    world.picker.pick(0, acceptAll)
    world.deps.loads.fill(1000)
    assert.ok(world.picker.pick(0, acceptAll) >= 0)
  })
})

describe('a panic threshold', () => {
  const members = membersOf(ones(10))
  test('health counts while enough are healthy', () => {
    const world = worldOf('round-robin', { panic: { threshold: 0.5 } }, members)
    for (let slot = 0; slot < 5; slot++) world.unhealthy.add(slot)
    assert.deepEqual(countsOf(world, 10, 1000).slice(0, 5), [0, 0, 0, 0, 0])
  })

  test('and is ignored below: everyone gets the same, but who is refused for another reason', () => {
    const world = worldOf('round-robin', { panic: { threshold: 0.5 } }, members)
    for (let slot = 0; slot < 6; slot++) world.unhealthy.add(slot)
    assert.deepEqual(
      countsOf(world, 10, 900, (position) => position !== 3),
      [100, 100, 100, 0, 100, 100, 100, 100, 100, 100],
    )
    assert.match(world.picker.explain!(0, acceptAll).reason, /panic: only 4 of 10/)
    world.unhealthy.delete(0)
    assert.equal(countsOf(world, 10, 1000).slice(1, 6).join(), '0,0,0,0,0')
  })

  test('without one nobody is picked when nobody is healthy', () => {
    const world = worldOf('random', { panic: { threshold: 0 } }, members)
    for (let slot = 0; slot < 10; slot++) world.unhealthy.add(slot)
    assert.equal(world.picker.pick(0, acceptAll), -1)
  })
})

describe('tiers and zones', () => {
  const tiered: Members = { ...membersOf(ones(8)), tiers: Int32Array.of(0, 0, 0, 0, 1, 1, 1, 1) }

  test('the second tier gets nothing while the first is fit, and what spills when it is not', () => {
    const world = worldOf('random', { tiersAndZones: {} }, tiered)
    assert.deepEqual(countsOf(world, 8, 1000).slice(4), [0, 0, 0, 0])
    // Half of the first: 0.7 stay.
    const counts = countsOf(world, 8, 40_000, (position) => position > 1)
    const first = counts[2]! + counts[3]!
    near(first / 40_000, 0.7, 0.01)
    near(counts[2]! / first, 0.5, 0.02)
    // None of it.
    assert.equal(
      countsOf(world, 8, 1000, (position) => position > 3)
        .slice(4)
        .reduce((sum, count) => sum + count, 0),
      1000,
    )
  })

  test('the own zone first, and what it lacks to the others', () => {
    const members: Members = { ...membersOf(ones(6)), zones: ['a', 'a', 'b', 'b', 'c', 'c'] }
    const world = worldOf('p2c', { tiersAndZones: { zone: 'b' } }, members)
    assert.deepEqual(countsOf(world, 6, 1000).map(Boolean), [false, false, true, true, false, false])
    const counts = countsOf(world, 6, 30_000, (position) => position !== 2)
    near(counts[3]! / 30_000, 0.7, 0.01)
    near((counts[0]! + counts[1]!) / 30_000, 0.15, 0.01)
    near((counts[4]! + counts[5]!) / 30_000, 0.15, 0.01)
  })

  test('a request goes elsewhere when nobody of its group is accepted between two counts', () => {
    const world = worldOf(
      'random',
      { tiersAndZones: {} },
      { ...membersOf(ones(64)), tiers: new Int32Array(64).fill(1, 32) },
    )
    world.picker.pick(0, acceptAll)
    assert.ok(world.picker.pick(0, (position) => position >= 32) >= 32)
  })

  test('the same key stays in the same group as far as shares stay', () => {
    const world = worldOf(keyedEntry, { tiersAndZones: {} }, tiered)
    const groups = (accept: Accept): number[] =>
      Array.from({ length: 4000 }, (_, i) => (world.picker.pick(mix32(i + 1), accept) < 4 ? 0 : 1))
    // Fit: two of four, then one of four: shares 0.7 and 0.35.
    countsOf(world, 8, 10, (position) => position > 1)
    const before = groups((position) => position > 1)
    assert.deepEqual(
      groups((position) => position > 1),
      before,
    )
    countsOf(world, 8, 10, (position) => position > 2)
    const after = groups((position) => position > 2)
    for (const [i, group] of after.entries()) assert.ok(group === 1 || before[i] === 0, 'nobody goes back')
    near(after.filter((group) => group === 0).length / 4000, 0.35, 0.03)
  })

  test('keeps what a group learnt over a change of members', () => {
    let created = 0
    const entry: PickerEntry = {
      ...keyedEntry,
      create: (deps) => {
        created++
        return keyedEntry.create(deps, {})
      },
    }
    const world = worldOf(entry, { tiersAndZones: {} }, tiered)
    const before = created
    world.picker.update({ ...membersOf(ones(4)), tiers: Int32Array.of(0, 1, 1, 1) })
    assert.equal(created, before)
    world.picker.update({ ...membersOf(ones(4)), tiers: Int32Array.of(0, 1, 1, 2) })
    assert.equal(created, before + 1)
  })
})

describe('a subset', () => {
  const usedBy = (world: World, size: number, accept: Accept = acceptAll): number[] =>
    countsOf(world, size, 4000, accept).flatMap((count, position) => (count > 0 ? [position] : []))

  test('100 instances with 20 of 100 endpoints each cover them as evenly as chance does: 20 ± 4', () => {
    const counts = ones(100).map(() => 0)
    const subsets = new Set<string>()
    for (let instance = 0; instance < 100; instance++) {
      const used = usedBy(
        worldOf('round-robin', { subset: { instance: `lb-${instance}`, size: 20 } }, membersOf(ones(100))),
        100,
      )
      assert.equal(used.length, 20)
      subsets.add(used.join())
      for (const position of used) counts[position]!++
    }
    assert.equal(subsets.size, 100)
    const variance = counts.reduce((sum, count) => sum + (count - 20) ** 2, 0) / 100
    // Binomial: 100 · 0.2 · 0.8 = 16; its own standard deviation over 100 endpoints is 2.3.
    assert.ok(variance > 9 && variance < 23, `variance ${variance}`)
    assert.ok(Math.min(...counts) >= 8 && Math.max(...counts) <= 34, counts.join())
  })

  test('is the same after a restart and in whatever order the members come', () => {
    const subset = { instance: 'lb-1', size: 5 }
    const members = membersOf(ones(30))
    const order = Array.from({ length: 30 }, (_, i) => (i * 7) % 30)
    const shuffled: Members = {
      ...members,
      slots: Int32Array.from(order),
      ids: order.map((slot) => `e${slot}`),
    }
    const one = usedBy(worldOf('random', { subset }, members), 30)
    const other = usedBy(worldOf('random', { subset }, shuffled, { seed: 9 }), 30).map((position) => order[position]!)
    assert.deepEqual(
      other.sort((a, b) => a - b),
      one,
    )
  })

  test('when one fails or leaves, one other stands in for it and the rest stays', () => {
    const world = worldOf('random', { subset: { instance: 'lb-1', size: 5 } }, membersOf(ones(30)))
    const before = usedBy(world, 30)
    const lost = before[2]!
    world.clock.nowMs += 1000
    countsOf(world, 30, 10, (position) => position !== lost)
    const during = usedBy(world, 30, (position) => position !== lost)
    assert.equal(during.length, 5)
    assert.equal(during.filter((position) => before.includes(position)).length, 4)
    world.clock.nowMs += 1000
    countsOf(world, 30, 10)
    assert.deepEqual(usedBy(world, 30), before)
  })

  test('finds somebody at once when the whole subset is refused', () => {
    const world = worldOf('random', { subset: { instance: 'lb-1', size: 3 } }, membersOf(ones(30)))
    const before = usedBy(world, 30)
    for (let i = 0; i < 20; i++) assert.ok(world.picker.pick(i, (position) => !before.includes(position)) >= 0)
  })

  test('grows with what is in flight, and shrinks some time afterwards', () => {
    const world = worldOf('random', { subset: { instance: 'lb-1', size: 3, perEndpoint: 2 } }, membersOf(ones(40)))
    assert.equal(usedBy(world, 40).length, 3)
    const running: number[] = []
    for (let i = 0; i < 40; i++) {
      const position = world.picker.pick(i, acceptAll)
      world.picker.began!(position)
      running.push(position)
    }
    world.clock.nowMs += 1000
    assert.equal(usedBy(world, 40).length, 20)
    for (const position of running) world.picker.ended!(position, 1, 0)
    for (const [seconds, expected] of [
      [1, 20],
      [10, 8],
      [30, 3],
    ] as const) {
      for (let second = 0; second < seconds; second++) {
        world.clock.nowMs += 1000
        world.picker.pick(0, acceptAll)
      }
      const found = usedBy(world, 40).length
      assert.ok(Math.abs(found - expected) <= 2, `${found} after ${seconds} s more, ${expected} expected`)
    }
  })
})

describe('stickiness', () => {
  test('the bound endpoint is taken while it is accepted, healthy and not over its bound', () => {
    const world = worldOf(
      'random',
      { panic: { threshold: 0 }, tiersAndZones: {}, boundedLoad: { factor: 1.25 } },
      { ...membersOf(ones(4)), tiers: Int32Array.of(0, 0, 0, 0) },
    )
    for (let i = 0; i < 50; i++) assert.equal(pickBound(world.picker, 2, i, acceptAll), 2)
    assert.notEqual(
      pickBound(world.picker, 2, 0, (position) => position !== 2),
      2,
    )
    world.unhealthy.add(2)
    world.clock.nowMs += 200
    assert.notEqual(pickBound(world.picker, 2, 0, acceptAll), 2)
    world.unhealthy.delete(2)
    world.deps.loads.set([4, 4, 5, 3])
    world.clock.nowMs += 200
    // 1.25 × 17 / 4 = 5.3, so six are allowed.
    assert.equal(pickBound(world.picker, 2, 0, acceptAll), 2)
    world.deps.loads[2] = 7
    world.clock.nowMs += 200
    assert.notEqual(pickBound(world.picker, 2, 0, acceptAll), 2)
    assert.match(explainBound(world.picker, 2, 0, acceptAll).reason, /over its bound/)
  })

  test('without a bound endpoint, or with a bare picker, it is a pick', () => {
    const one = worldOf('random', {}, membersOf(ones(4)), { seed: 3 })
    const other = worldOf('random', {}, membersOf(ones(4)), { seed: 3 })
    for (let i = 0; i < 50; i++) assert.equal(pickBound(one.picker, -1, i, acceptAll), other.picker.pick(i, acceptAll))
    assert.equal(pickBound(one.picker, 3, 0, acceptAll), 3)
    assert.equal(explainBound(one.picker, 3, 0, acceptAll).position, 3)
  })

  test('an endpoint outside of the subset keeps its sessions', () => {
    const world = worldOf('random', { subset: { instance: 'x', size: 1 } }, membersOf(ones(10)))
    for (let bound = 0; bound < 10; bound++) assert.equal(pickBound(world.picker, bound, 0, acceptAll), bound)
  })
})
