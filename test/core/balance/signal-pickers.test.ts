import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createLocalDeps, type LocalDeps } from '../../../src/core/balance/local-deps.ts'
import type { Picker, PickerEntry } from '../../../src/core/balance/picker.ts'
import { PICKERS } from '../../../src/core/balance/registry.ts'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { assertAllocatesNothing } from '../../contract/bytes-per-call.ts'
import { acceptAll, membersOf } from '../../contract/members.ts'

interface World {
  readonly deps: LocalDeps
  readonly picker: Picker
  readonly clock: { nowMs: number }
}

function worldOf(
  entry: PickerEntry,
  weights: readonly number[],
  { options = {}, seed = 1 }: { options?: Record<string, unknown>; seed?: number } = {},
): World {
  const clock = { nowMs: 1000 }
  const deps = createLocalDeps(Math.max(64, weights.length), { seed, now: () => clock.nowMs })
  const picker = entry.create(deps, options)
  picker.update(membersOf(weights))
  return { deps, picker, clock }
}

const ones = (size: number): number[] => Array.from({ length: size }, () => 1)

/** Shares of picks while nothing is in flight. */
function sharesOf({ picker }: World, size: number, draws = 20_000): number[] {
  const counts = Array.from({ length: size }, () => 0)
  for (let i = 0; i < draws; i++) counts[picker.pick(i, acceptAll)]!++
  return counts.map((count) => count / draws)
}

function near(actual: number, expected: number, tolerance: number, what = ''): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what} ${actual} is not ${expected} ± ${tolerance}`)
}

describe('resource', () => {
  const report = ({ deps, clock }: World, slot: number, cpu: number, memory: number): void => {
    deps.signals.report('cpu', slot, cpu, clock.nowMs)
    deps.signals.report('memory', slot, memory, clock.nowMs)
  }

  test('weighs by the free share of CPU and memory, squared', () => {
    const world = worldOf(PICKERS.resource, [1, 1, 2])
    report(world, 0, 0.5, 0.5)
    report(world, 1, 0, 0)
    report(world, 2, 0.9, 0.5)
    world.clock.nowMs += 1000
    const { candidates } = world.picker.explain!(0, (position) => position < 0)
    const headroom = candidates.map(({ parts }) => parts['headroom']!)
    near(headroom[0]!, 0.25, 1e-9)
    near(headroom[1]!, 1, 1e-9)
    near(headroom[2]!, 0.09, 1e-9)
  })

  test('of two drawn takes the one with fewer in flight for its headroom', () => {
    const world = worldOf(PICKERS.resource, [1, 1])
    report(world, 0, 0.5, 0.5)
    report(world, 1, 0, 0)
    world.clock.nowMs += 1000
    // first / 0.25 against second / 1.
    for (const [first, second, expected] of [
      [1, 3, 1],
      [1, 5, 0],
      [2, 7, 1],
      [2, 9, 0],
    ] as const) {
      world.deps.loads[0] = first
      world.deps.loads[1] = second
      for (let i = 0; i < 20; i++) assert.equal(world.picker.pick(0, acceptAll), expected)
    }
  })

  test('a server whose CPU is loaded sees its share fall, and rise again afterwards', () => {
    const world = worldOf(PICKERS.resource, ones(5))
    const share = (cpu: number): number => {
      for (let tick = 0; tick < 6; tick++) {
        for (let slot = 0; slot < 5; slot++) report(world, slot, slot === 2 ? cpu : 0.3, 0.4)
        world.clock.nowMs += 1000
        world.picker.pick(0, acceptAll)
      }
      return sharesOf(world, 5)[2]!
    }
    near(share(0.3), 0.2, 0.02)
    assert.ok(share(1) < 0.07, `${share(1)}`)
    near(share(0.3), 0.2, 0.02)
  })

  test('many workers with the same old reports do not all go to the best endpoint', () => {
    const workers = Array.from({ length: 100 }, (_, seed) => {
      const world = worldOf(PICKERS.resource, ones(10), { seed })
      for (let slot = 0; slot < 10; slot++) report(world, slot, slot === 0 ? 0.1 : 0.3, 0.5)
      world.clock.nowMs += 1000
      return world
    })
    const counts = Array.from({ length: 10 }, () => 0)
    for (let round = 0; round < 20; round++) {
      for (const { picker } of workers) counts[picker.pick(0, acceptAll)]!++
    }
    // 0.7² against nine times 0.6².
    near(counts[0]! / 2000, 0.49 / (0.49 + 9 * 0.36), 0.03)
  })

  test('comes to rest where CPU answers the share with a delay, instead of swinging', () => {
    const size = 4
    const world = worldOf(PICKERS.resource, ones(size))
    // What the CPU of each costs per share of all requests: the last is half as fast.
    const cost = [2, 2, 2, 4]
    let before = ones(size).map(() => 1 / size)
    const history: number[] = []
    for (let tick = 0; tick < 60; tick++) {
      const shares = sharesOf(world, size, 2000)
      for (let slot = 0; slot < size; slot++) report(world, slot, Math.min(1, before[slot]! * cost[slot]!), 0.3)
      before = shares
      history.push(shares[3]!)
      world.clock.nowMs += 1000
    }
    const late = history.slice(30)
    const spread = Math.max(...late) - Math.min(...late)
    assert.ok(spread < 0.08, `swings by ${spread}: ${late.map((share) => share.toFixed(2)).join(' ')}`)
    assert.ok(Math.max(...late) < 0.24, 'the slow one gets less')
  })

  test('believes the mean of one who does not report, and lets old reports fade', () => {
    const world = worldOf(PICKERS.resource, ones(3))
    report(world, 0, 0.8, 0.8)
    report(world, 1, 0.4, 0.4)
    world.clock.nowMs += 1000
    // 0.2², 0.6², and the square of their mean.
    near(sharesOf(world, 3)[2]!, 0.16 / (0.04 + 0.36 + 0.16), 0.02)
    for (let tick = 0; tick < 70; tick++) {
      world.clock.nowMs += 1000
      world.picker.pick(0, acceptAll)
    }
    for (const share of sharesOf(world, 3)) near(share, 1 / 3, 0.02, 'all forgotten:')
  })

  test('an endpoint at full load still gets a little', () => {
    const world = worldOf(PICKERS.resource, ones(3))
    for (let slot = 0; slot < 3; slot++) report(world, slot, slot === 0 ? 1 : 0.2, slot === 0 ? 1 : 0.2)
    world.clock.nowMs += 1000
    assert.ok(sharesOf(world, 3, 200_000)[0]! > 0)
  })

  test('options out of range say so', () => {
    const deps = createLocalDeps(1)
    assert.throws(() => PICKERS.resource.create(deps, { sharpness: 0 }), /sharpness/)
    assert.throws(() => PICKERS.resource.create(deps, { weights: { disk: 1 } }), /no signal disk/)
    assert.throws(() => PICKERS.resource.create(deps, { weights: { cpu: -1 } }), /weights.cpu/)
  })
})

describe('orca', () => {
  const report = ({ deps, clock }: World, slot: number, rps: number, utilization: number, eps = 0): void => {
    deps.signals.report('eps', slot, eps, clock.nowMs)
    deps.signals.report('utilization', slot, utilization, clock.nowMs)
    deps.signals.report('rps', slot, rps, clock.nowMs)
  }
  /** Everyone reports every second. */
  function runFor(world: World, seconds: number, reports: readonly (readonly [number, number, number?])[]): void {
    for (let second = 0; second < seconds; second++) {
      for (const [slot, [rps, utilization, eps]] of reports.entries()) report(world, slot, rps, utilization, eps)
      world.clock.nowMs += 1000
      world.picker.pick(0, acceptAll)
    }
  }

  test('weighs by rps / utilization once an endpoint has reported for the blackout period', () => {
    const world = worldOf(PICKERS.orca, ones(3))
    const reports = [
      [100, 0.5],
      [100, 0.25],
      [50, 0.5],
    ] as const
    runFor(world, 9, reports)
    for (const share of sharesOf(world, 3)) near(share, 1 / 3, 0.001, 'in the blackout:')
    runFor(world, 3, reports)
    // 200, 400 and 100.
    for (const [position, share] of sharesOf(world, 3).entries()) near(share, [2 / 7, 4 / 7, 1 / 7][position]!, 0.001)
  })

  test('errors cost: eps / rps is added to the utilisation', () => {
    const world = worldOf(PICKERS.orca, ones(2), { options: { blackoutMs: 0 } })
    runFor(world, 3, [
      [100, 0.5, 50],
      [100, 0.5, 0],
    ])
    // 100 against 200.
    near(sharesOf(world, 2)[0]!, 1 / 3, 0.001)
  })

  test('one without reports gets the mean, and configured weights multiply', () => {
    const world = worldOf(PICKERS.orca, [1, 1, 2], { options: { blackoutMs: 0 } })
    runFor(world, 3, [
      [100, 1],
      [300, 1],
    ])
    // 100, 300, and twice 200.
    for (const [position, share] of sharesOf(world, 3).entries()) near(share, [1 / 8, 3 / 8, 4 / 8][position]!, 0.001)
  })

  test('weights expire, and then the blackout begins anew', () => {
    const world = worldOf(PICKERS.orca, ones(3), { options: { blackoutMs: 5000, expirationMs: 20_000 } })
    const reports = [
      [100, 0.5],
      [100, 0.25],
      [50, 0.5],
    ] as const
    runFor(world, 7, reports)
    near(sharesOf(world, 3)[1]!, 4 / 7, 0.001)
    runFor(world, 21, [])
    near(sharesOf(world, 3)[1]!, 1 / 3, 0.001, 'expired:')
    runFor(world, 4, reports)
    near(sharesOf(world, 3)[1]!, 1 / 3, 0.001, 'in the second blackout:')
    runFor(world, 3, reports)
    near(sharesOf(world, 3)[1]!, 4 / 7, 0.001)
  })

  test('takes other metrics for the utilisation where it is told to', () => {
    const world = worldOf(PICKERS.orca, ones(2), { options: { blackoutMs: 0, metrics: ['queue', 'disk'] } })
    world.picker.update(membersOf(ones(2)))
    world.deps.signals.report('disk', 0, 0.9, 1000)
    world.deps.signals.report('queue', 0, 0.3, 1000)
    runFor(world, 3, [
      [90, 0.1],
      [90, 0.3],
    ])
    // 90 / 0.9 = 100 against 90 / 0.3 = 300.
    near(sharesOf(world, 2)[0]!, 0.25, 0.001)
  })

  test('who takes over a slot begins without weight', () => {
    const world = worldOf(PICKERS.orca, ones(3), { options: { blackoutMs: 5000 } })
    const reports = [
      [100, 1],
      [100, 1],
      [400, 1],
    ] as const
    runFor(world, 7, reports)
    near(sharesOf(world, 3)[2]!, 4 / 6, 0.001)
    world.picker.update({ ...membersOf(ones(3)), ids: ['e0', 'e1', 'other'] })
    near(sharesOf(world, 3)[2]!, 1 / 3, 0.001)
  })

  test('allocates nothing per pick while reports come and weights change', () => {
    const world = worldOf(PICKERS.orca, ones(20), { options: { blackoutMs: 0, updateMs: 100 } })
    assertAllocatesNothing((calls) => {
      for (let i = 0; i < calls; i++) {
        if (i % 64 === 0) {
          world.clock.nowMs += 100
          const slot = (i >> 6) % 20
          report(world, slot, 1 + (i & 7), 1)
        }
        world.picker.pick(0, acceptAll)
      }
    })
  })
})

describe('adaptive', () => {
  const explainAll = ({ picker }: World): Map<number, { cost: number; parts: Readonly<Record<string, number>> }> =>
    new Map(
      picker.explain!(0, acceptAll).candidates.map(({ position, cost, parts }) => [position, { cost: cost!, parts }]),
    )

  test('scores as document 000 does: 0.3 (1 - load) + 0.25 / (1 + latency / 100) + 0.2 reliability + 0.15 free capacity + 0.1 proximity', () => {
    const world = worldOf(PICKERS.adaptive, ones(2))
    const { deps, picker, clock } = world
    deps.signals.report('capacity', 0, 10, clock.nowMs)
    deps.signals.report('capacity', 1, 20, clock.nowMs)
    deps.signals.report('proximity', 0, 0.8, clock.nowMs)
    deps.signals.report('proximity', 1, 0.2, clock.nowMs)
    deps.signals.report('reliability', 0, 0.9, clock.nowMs)
    picker.ended!(0, 100, 0)
    picker.ended!(1, 300, 0)
    deps.loads[0] = 4
    deps.loads[1] = 4
    clock.nowMs += 100
    const told = explainAll(world)
    // With the request to place, 5 of 10 and 5 of 20 are taken.
    near(1 - told.get(0)!.cost, 0.3 * 0.5 + 0.25 * 0.5 + 0.2 * 0.9 + 0.15 * 0.5 + 0.1 * 0.8, 1e-9)
    near(1 - told.get(1)!.cost, 0.3 * 0.75 + 0.25 * 0.25 + 0.2 + 0.15 * 0.75 + 0.1 * 0.2, 1e-9)
  })

  test('takes one of the three best, by score, and never the fourth', () => {
    const world = worldOf(PICKERS.adaptive, ones(6), { options: { capacity: 100 } })
    world.deps.loads.set([0, 10, 20, 30, 40, 50])
    const shares = sharesOf(world, 6, 60_000)
    assert.deepEqual(shares.slice(3), [0, 0, 0])
    const told = explainAll(world)
    const scores = [0, 1, 2].map((position) => 1 - told.get(position)!.cost)
    const total = scores.reduce((sum, score) => sum + score, 0)
    for (const position of [0, 1, 2]) near(shares[position]!, scores[position]! / total, 0.01)
  })

  test('the weights of the factors can be replaced', () => {
    const world = worldOf(PICKERS.adaptive, ones(6), {
      options: { weights: { load: 0, latency: 0, reliability: 0, capacity: 0, proximity: 1 } },
    })
    for (let slot = 0; slot < 6; slot++) world.deps.signals.report('proximity', slot, slot / 5, world.clock.nowMs)
    world.deps.loads[5] = 1000
    world.clock.nowMs += 100
    const shares = sharesOf(world, 6)
    assert.deepEqual(shares.slice(0, 3), [0, 0, 0])
    near(shares[5]!, 1 / 2.4, 0.02)
  })

  test('without any capacity known, load is compared with the mean of the pool', () => {
    const world = worldOf(PICKERS.adaptive, [1, 3])
    world.deps.loads[0] = 1
    world.deps.loads[1] = 5
    world.picker.pick(0, acceptAll)
    const told = explainAll(world)
    // Both have two per weight, which is the mean: one half.
    near(told.get(0)!.parts['busy']!, 0.5, 1e-9)
    near(told.get(1)!.parts['busy']!, 0.5, 1e-9)
  })

  test('learns latency and reliability from answers; quick failures do not attract', () => {
    const world = worldOf(PICKERS.adaptive, ones(10))
    const { deps, picker, clock } = world
    const chance = new Xoshiro128(1)
    const counts = ones(10).map(() => 0)
    const running: { slot: number; endMs: number; latencyMs: number; outcome: number }[] = []
    for (let tick = 0; tick < 20_000; tick++) {
      clock.nowMs += 1
      for (let at = running.length - 1; at >= 0; at--) {
        const attempt = running[at]!
        if (attempt.endMs > clock.nowMs) continue
        deps.loads[attempt.slot] = deps.loads[attempt.slot]! - 1
        picker.ended!(attempt.slot, attempt.latencyMs, attempt.outcome)
        running.splice(at, 1)
      }
      const slot = picker.pick(0, acceptAll)
      deps.loads[slot] = deps.loads[slot]! + 1
      // Slot 0 fails within a millisecond, slot 1 takes ten times as long as the others.
      const latencyMs = slot === 0 ? 1 : (slot === 1 ? 300 : 30) * (0.5 + chance.unit())
      running.push({ slot, endMs: clock.nowMs + latencyMs, latencyMs, outcome: slot === 0 ? 1 : 0 })
      if (tick > 2000) counts[slot]!++
    }
    const total = counts.reduce((sum, count) => sum + count, 0)
    assert.ok(counts[0]! / total < 0.03, `failing: ${counts.join()}`)
    assert.ok(counts[1]! / total < 0.03, `slow: ${counts.join()}`)
  })

  test('believes of one that is new, or was long not heard of, what is true of the others', () => {
    const world = worldOf(PICKERS.adaptive, ones(3))
    const { picker, clock } = world
    for (let i = 0; i < 50; i++) {
      clock.nowMs += 10
      picker.ended!(0, 100, 0)
      picker.ended!(1, 300, 0)
    }
    clock.nowMs += 100
    picker.pick(0, acceptAll)
    const told = explainAll(world)
    const half = (position: number): number => told.get(position)!.parts['latency']!
    assert.ok(half(0) > half(2) && half(2) > half(1), `${half(0)} ${half(2)} ${half(1)}`)
    clock.nowMs += 61_000
    const later = explainAll(world)
    assert.equal(later.get(0)!.cost, later.get(1)!.cost)
  })

  test('a server that reports a busy CPU sees its share fall', () => {
    const world = worldOf(PICKERS.adaptive, ones(5))
    for (let slot = 0; slot < 5; slot++)
      world.deps.signals.report('cpu', slot, slot === 1 ? 0.95 : 0.2, world.clock.nowMs)
    world.clock.nowMs += 100
    const depth = 50
    const running: number[] = []
    const counts = ones(5).map(() => 0)
    for (let i = 0; i < 5000; i++) {
      if (running.length === depth) world.deps.loads[running[0]!]!--
      if (running.length === depth) running.shift()
      const position = world.picker.pick(0, acceptAll)
      world.deps.loads[position]!++
      running.push(position)
      counts[position]!++
    }
    assert.ok(counts[1]! / 5000 < 0.12, counts.join())
  })

  test('what was learnt stays with its endpoint over a change of positions, and not with its slot', () => {
    const world = worldOf(PICKERS.adaptive, ones(3))
    for (let i = 0; i < 50; i++) world.picker.ended!(2, 1000, 0)
    world.picker.update(membersOf([1, 1], [2, 1]))
    world.clock.nowMs += 100
    world.picker.pick(0, acceptAll)
    near(explainAll(world).get(0)!.parts['latency']!, 0.25 / 11 / 0.85 / 1, 0.01)
    world.picker.update({ ...membersOf([1, 1], [2, 1]), ids: ['new', 'e1'] })
    const fresh = explainAll(world)
    assert.equal(fresh.get(0)!.parts['latency'], undefined)
  })
})

describe('first-available', () => {
  test('fills the first up to fill × weight, then the next', () => {
    const { picker, deps } = worldOf(PICKERS['first-available'], [1, 2, 1], { options: { fill: 2 } })
    const order: number[] = []
    for (let i = 0; i < 8; i++) {
      const position = picker.pick(i, acceptAll)
      deps.loads[position]!++
      order.push(position)
    }
    assert.deepEqual(order, [0, 0, 1, 1, 1, 1, 2, 2])
    deps.loads[1]!--
    assert.equal(picker.pick(0, acceptAll), 1)
  })

  test('when all are full takes the least full for its weight, the first among equals', () => {
    const { picker, deps } = worldOf(PICKERS['first-available'], [1, 2, 1], { options: { fill: 1 } })
    deps.loads.set([3, 4, 2])
    assert.equal(picker.pick(0, acceptAll), 1)
    deps.loads.set([3, 6, 3])
    assert.equal(picker.pick(0, acceptAll), 0)
  })

  test('without fill takes the first that is accepted', () => {
    const { picker, deps } = worldOf(PICKERS['first-available'], ones(3))
    deps.loads[0] = 1_000_000
    assert.equal(picker.pick(0, acceptAll), 0)
    assert.equal(
      picker.pick(0, (position) => position !== 0),
      1,
    )
  })
})

describe('weighted-random', () => {
  test('makes the same picks as random', () => {
    const one = worldOf(PICKERS.random, [1, 2, 3, 4], { seed: 7 })
    const other = worldOf(PICKERS['weighted-random'], [1, 2, 3, 4], { seed: 7 })
    for (let i = 0; i < 1000; i++) assert.equal(one.picker.pick(i, acceptAll), other.picker.pick(i, acceptAll))
  })
})
