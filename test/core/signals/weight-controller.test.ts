import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type NodeSample, WeightController, type WeightDecision } from '../../../src/core/signals/weight-controller.ts'

const MINUTE = 60_000

function node(id: string, cpu: number, memory = 0.3): NodeSample {
  return { id, load: 0.5 * cpu + 0.5 * memory, cpu, memory }
}

const kinds = (decision: WeightDecision): string[] => decision.triggers.map((trigger) => trigger.kind)
const sum = (decision: WeightDecision): number =>
  [...decision.weights.values()].reduce((total, weight) => total + weight, 0)

/** A controller with its first ring out at 0. */
function started(nodes: NodeSample[], options = {}): WeightController {
  const controller = new WeightController(options)
  assert.equal(controller.step(0, nodes).action, 'publish')
  return controller
}

describe('the weight controller', () => {
  test('publishes when the first nodes come: their sum is 100 · n, the less loaded gets more', () => {
    const controller = new WeightController()
    assert.equal(controller.step(0, []).action, 'keep')
    const decision = controller.step(1, [node('a', 0.6), node('b', 0.2), node('c', 0.4)])
    assert.equal(decision.action, 'publish')
    assert.equal(decision.version, 1)
    assert.deepEqual(decision.triggers, [{ kind: 'membership', joined: ['a', 'b', 'c'], left: [] }])
    assert.equal(sum(decision), 300)
    // Loads 0.45, 0.25, 0.35, with ε: 0.5, 0.3, 0.4; worths 2, 10/3, 2.5 of 300: 76.6, 127.66, 95.74.
    assert.deepEqual(
      [...decision.weights],
      [
        ['a', 76],
        ['b', 128],
        ['c', 96],
      ],
    )
  })

  test('is silent while nothing happens', () => {
    const nodes = [node('a', 0.3), node('b', 0.3)]
    const controller = started(nodes)
    for (let now = 1000; now < 10 * MINUTE; now += 1000) {
      const decision = controller.step(now, nodes)
      assert.deepEqual([decision.action, decision.held, decision.triggers.length], ['keep', null, 0])
    }
  })

  test('acts on membership at once, also right after another change, and names who came and left', () => {
    const controller = started([node('a', 0.3), node('b', 0.3)])
    const decision = controller.step(1, [node('c', 0.3), node('a', 0.3)])
    assert.equal(decision.action, 'publish')
    assert.deepEqual(decision.triggers, [{ kind: 'membership', joined: ['c'], left: ['b'] }])
    assert.deepEqual([...decision.weights.keys()], ['a', 'c'])
    assert.equal(sum(decision), 200)
    const empty = controller.step(2, [])
    assert.deepEqual([empty.action, empty.weights.size, empty.version], ['publish', 0, 3])
  })

  test('gives the same weights whatever order nodes stand in', () => {
    const nodes = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((id, index) => node(id, index / 9))
    const one = new WeightController().step(0, nodes)
    const other = new WeightController().step(0, nodes.toReversed())
    assert.deepEqual([...one.weights], [...other.weights])
  })

  test('acts on an imbalance above 40 % of CPU or memory, but not within a minute of the last calculation', () => {
    for (const resource of ['cpu', 'memory'] as const) {
      const at = (a: number, b: number): NodeSample[] =>
        [a, b].map((value, index) => ({ id: 'ab'[index]!, load: value, cpu: 0.2, memory: 0.2, [resource]: value }))
      const controller = started(at(0.2, 0.2))
      assert.deepEqual(kinds(controller.step(2 * MINUTE, at(0.55, 0.15))), [], 'exactly 40 % is not above')
      const early = started(at(0.2, 0.2)).step(MINUTE - 1, at(0.65, 0.15))
      assert.deepEqual([early.action, early.held, kinds(early)], ['keep', 'interval', [`${resource}-imbalance`]])
      const decision = controller.step(2 * MINUTE, at(0.65, 0.15))
      assert.equal(decision.action, 'publish')
      const trigger = decision.triggers[0]!
      assert.equal(trigger.kind, `${resource}-imbalance`)
      assert.ok(trigger.kind === 'cpu-imbalance' || trigger.kind === 'memory-imbalance')
      assert.deepEqual([trigger.highest, trigger.lowest, trigger.spread], ['a', 'b', 0.5])
      assert.ok(decision.weights.get('a')! < 100 && decision.weights.get('b')! > 100)
    }
  })

  test('acts on overload without that wait: CPU above 80 %, memory above 85 %', () => {
    for (const [resource, over, under] of [
      ['cpu', 0.81, 0.8],
      ['memory', 0.86, 0.85],
    ] as const) {
      const at = (value: number): NodeSample[] => [
        { id: 'a', load: value, cpu: 0.6, memory: 0.6, [resource]: value },
        { id: 'b', load: 0.2, cpu: 0.6, memory: 0.6 },
      ]
      const controller = started(at(0.2))
      assert.deepEqual(kinds(controller.step(6000, at(under))), [])
      const decision = controller.step(6000, at(over))
      assert.equal(decision.action, 'publish')
      assert.deepEqual(decision.triggers, [{ kind: `${resource}-overload`, ids: ['a'], threshold: under }])
    }
  })

  test('acts on one overload once, until it has ended by the hysteresis', () => {
    const at = (cpu: number): NodeSample[] => [node('a', cpu), node('b', 0.6)]
    const controller = started(at(0.5))
    assert.deepEqual(kinds(controller.step(10_000, at(0.9))), ['cpu-overload'])
    for (const [now, cpu] of [
      [20_000, 0.9],
      [30_000, 0.76],
      [40_000, 0.85],
      [45_000, 0.79],
      [50_000, 0.95],
    ] as const) {
      assert.deepEqual(kinds(controller.step(now, at(cpu))), [], `${now}`)
    }
    assert.deepEqual(kinds(controller.step(55_000, at(0.74))), [])
    assert.deepEqual(kinds(controller.step(60_000, at(0.81))), ['cpu-overload'])
  })

  test('does not let ten nodes that overload in turn make ten ring updates, and forgets none of them', () => {
    const at = (count: number): NodeSample[] =>
      Array.from({ length: 10 }, (_, index) => node(`n${index}`, index < count ? 0.85 : 0.5))
    const controller = started(at(0))
    const acted: string[] = []
    let publications = 0
    for (let count = 1; count <= 10; count++) {
      const decision = controller.step(10_000 + count * 400, at(count))
      if (decision.held !== 'interval')
        for (const trigger of decision.triggers) if ('ids' in trigger) acted.push(...trigger.ids)
      if (decision.action === 'publish') publications++
    }
    const last = controller.step(20_000, at(10))
    for (const trigger of last.triggers) if ('ids' in trigger) acted.push(...trigger.ids)
    assert.equal(publications, 1)
    assert.deepEqual(
      acted.sort(),
      at(0)
        .map(({ id }) => id)
        .sort(),
    )
  })

  test('calculates after ten minutes, and publishes only what changed by more than a tenth', () => {
    const controller = started([node('a', 0.3), node('b', 0.3)])
    const same = controller.step(10 * MINUTE, [node('a', 0.31), node('b', 0.3)])
    assert.deepEqual([same.action, same.held, kinds(same), same.version], ['keep', 'small-change', ['interval'], 1])
    assert.deepEqual(kinds(controller.step(20 * MINUTE - 1, [node('a', 0.6, 0.6), node('b', 0.3)])), [])
    const changed = controller.step(20 * MINUTE, [node('a', 0.6, 0.6), node('b', 0.3)])
    assert.deepEqual([changed.action, kinds(changed), changed.version], ['publish', ['interval'], 2])
  })

  test('every threshold and time can be set', () => {
    const nodes = [node('a', 0.5), node('b', 0.3)]
    const quiet = started(nodes)
    assert.deepEqual(kinds(quiet.step(MINUTE, nodes)), [])
    const options = {
      cpuOverload: 0.45,
      cpuImbalance: 0.1,
      memoryOverload: 0.25,
      memoryImbalance: 0.01,
      recalculateMs: 1000,
    }
    const keen = started([node('a', 0.1, 0.1), node('b', 0.1, 0.1)], options)
    const decision = keen.step(MINUTE, [node('a', 0.5), node('b', 0.3, 0.2)])
    assert.deepEqual(kinds(decision), [
      'cpu-overload',
      'memory-overload',
      'cpu-imbalance',
      'memory-imbalance',
      'interval',
    ])
    const weights = new WeightController({ base: 50, min: 20, gain: 1, epsilon: 0.01 }).step(0, [
      node('a', 1, 1),
      node('b', 0, 0),
    ]).weights
    assert.deepEqual(
      [...weights],
      [
        ['a', 20],
        ['b', 80],
      ],
    )
  })

  test('what a node does not say is no reason for anything, and it gets the base weight', () => {
    const silent: NodeSample = { id: 'c', load: null, cpu: null, memory: null }
    const nodes = [node('a', 0.2), node('b', 0.2), silent]
    const controller = new WeightController()
    assert.equal(controller.step(0, nodes).weights.get('c'), 100)
    assert.deepEqual(kinds(controller.step(MINUTE, nodes)), [])
  })

  test('brings a fleet of unlike nodes to rest, where the whole step of 004 swings for ever', () => {
    /** Load follows weight: node i has `work` per unit of weight. Returns the weights of each calculation. */
    const run = (gain: number): number[] => {
      const work = { a: 0.004, b: 0.002 }
      const controller = new WeightController({
        gain,
        minChangeRatio: 0,
        epsilon: 1e-6,
        recalculateMs: 1000,
        minIntervalMs: 1000,
      })
      let weights = new Map([
        ['a', 180],
        ['b', 20],
      ])
      const seen: number[] = []
      for (let round = 0; round < 30; round++) {
        const nodes = (['a', 'b'] as const).map((id) => {
          const load = work[id] * weights.get(id)!
          return { id, load, cpu: 0.5, memory: 0.5 }
        })
        weights = new Map(controller.step(round * 1000, nodes).weights)
        seen.push(weights.get('a')!)
      }
      return seen
    }
    const swing = (seen: number[]): number => Math.max(...seen.slice(20)) - Math.min(...seen.slice(20))
    assert.ok(swing(run(1)) > 50, `${run(1).join()}`)
    assert.ok(swing(run(0.5)) <= 2, `${run(0.5).join()}`)
  })

  test('refuses options and nodes that make no sense', () => {
    for (const options of [
      { gain: 0 },
      { gain: 1.5 },
      { min: 200 },
      { base: 99.5 },
      { epsilon: 0 },
      { minIntervalMs: -1 },
      { cpuOverload: Number.NaN },
    ]) {
      assert.throws(() => new WeightController(options), RangeError, JSON.stringify(options))
    }
    assert.throws(() => new WeightController().step(0, [node('a', 0), node('a', 1)]), /node a stands twice/)
  })
})
