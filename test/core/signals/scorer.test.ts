import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { complement, inverse, linear, normalise, ratio, share } from '../../../src/core/signals/normaliser.ts'
import {
  ADAPTIVE_SCORE,
  DEFAULT_SIGNAL_TTL_MS,
  nodeLoadScore,
  RESOURCE_SCORE,
} from '../../../src/core/signals/score-presets.ts'
import {
  freshnessAt,
  MAX_SIGNALS,
  NEUTRAL_SCORE,
  type ScoreDefinition,
  Scorer,
  type SignalColumns,
  type SignalReading,
  shrinkTowardsMean,
  withWeights,
} from '../../../src/core/signals/scorer.ts'
import { assertAllocatesNothing } from '../../contract/bytes-per-call.ts'

const NOW = 1_000_000
const near = (actual: number, expected: number, tolerance = 1e-12): void =>
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual}, not ${expected}`)

/** All of them heard just now. */
function readings(values: Record<string, number>, atMs = NOW): Record<string, SignalReading> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value, atMs }]))
}

function put(scorer: Scorer, columns: SignalColumns, slot: number, name: string, value: number, atMs: number): void {
  const column = scorer.columns.indexOf(name)
  assert.notEqual(column, -1, name)
  columns.values[column]![slot] = value
  columns.atMs[column]![slot] = atMs
}

const two: ScoreDefinition = {
  name: 'two',
  best: 'highest',
  signals: [
    { name: 'a', weight: 3, normaliser: share(), ttlMs: 1000 },
    { name: 'b', weight: 1, normaliser: complement(), ttlMs: 1000 },
  ],
}

describe('normalisers', () => {
  test('by hand', () => {
    assert.equal(normalise(linear(100, 300), 150), 0.25)
    assert.equal(normalise(linear(300, 100), 150), 0.75)
    assert.equal(normalise(share(), 0.3), 0.3)
    assert.equal(normalise(complement(), 0.25), 0.75)
    assert.equal(normalise(inverse(100), 0), 1)
    assert.equal(normalise(inverse(100), 100), 0.5)
    assert.equal(normalise(inverse(100), 300), 0.25)
    assert.equal(normalise(ratio('total'), 30, 40), 0.75)
  })

  test('stay in 0 to 1 whatever comes, and make nothing of nothing', () => {
    const values = [-1e308, -1, 0, 0.5, 1, 2, 1e308, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
    for (const normaliser of [linear(0, 1), linear(5, -5), inverse(10), ratio('total')]) {
      for (const value of values) {
        const found = normalise(normaliser, value, 7)
        assert.ok(found >= 0 && found <= 1, `${normaliser.kind} of ${value}: ${found}`)
      }
      assert.ok(Number.isNaN(normalise(normaliser, Number.NaN, 7)))
    }
    for (const divisor of [0, -3, Number.NaN, undefined]) assert.ok(Number.isNaN(normalise(ratio('x'), 1, divisor)))
  })
})

describe('scores of the documents, worked by hand', () => {
  test('000: a peer at 20 % load, 100 ms, 0.95 reliable, 30 of 40 free, near 0.5', () => {
    const score = new Scorer(ADAPTIVE_SCORE).score(
      readings({
        load: 0.2,
        latency: 100,
        reliability: 0.95,
        availableCapacity: 30,
        totalCapacity: 40,
        proximity: 0.5,
      }),
      NOW,
    )
    // 0.3 · 0.8 + 0.25 · 1/2 + 0.2 · 0.95 + 0.15 · 0.75 + 0.1 · 0.5 = 0.24 + 0.125 + 0.19 + 0.1125 + 0.05
    near(score.score, 0.7175)
    near(score.confidence, 1)
    const contributions = score.parts.map((part) => part.contribution)
    for (const [index, expected] of [0.24, 0.125, 0.19, 0.1125, 0.05].entries()) near(contributions[index]!, expected)
  })

  test('000: an idle peer beside is perfect, an exhausted one worthless', () => {
    const scorer = new Scorer(ADAPTIVE_SCORE)
    const capacity = { availableCapacity: 5, totalCapacity: 5 }
    near(scorer.score(readings({ load: 0, latency: 0, reliability: 1, proximity: 1, ...capacity }), NOW).score, 1)
    const exhausted = { load: 1, latency: 1e9, reliability: 0, proximity: 0, availableCapacity: 0, totalCapacity: 5 }
    near(scorer.score(readings(exhausted), NOW).score, 0, 1e-7)
  })

  test('000: weights may be overridden; what is not there is an error that says what is', () => {
    const scorer = new Scorer(
      withWeights(ADAPTIVE_SCORE, { load: 1, latency: 1, reliability: 0, availableCapacity: 0, proximity: 0 }),
    )
    near(scorer.score(readings({ load: 0.5, latency: 300, reliability: 0 }), NOW).score, (0.5 + 0.25) / 2)
    assert.throws(() => withWeights(ADAPTIVE_SCORE, { speed: 1 }), /no signal speed; it has load, latency/)
  })

  test('001: resource is the mean of free CPU and free memory', () => {
    near(new Scorer(RESOURCE_SCORE).score(readings({ cpu: 0.9, memory: 0.3 }), NOW).score, (0.1 + 0.7) / 2)
  })

  test('004: a node at 60 % CPU, 50 % memory, 100 ms, 200 behind, 1 000 connections has the load 0.475', () => {
    const scorer = new Scorer(nodeLoadScore())
    const node = { cpu: 0.6, memory: 0.5, latency: 100, lag: 200, connections: 1000 }
    // 0.4 · 0.6 + 0.4 · 0.5 + 0.1 · 100/500 + 0.05 · 200/1000 + 0.05 · 1000/10000 = 0.24 + 0.2 + 0.02 + 0.01 + 0.005
    near(scorer.score(readings(node), NOW).score, 0.475)
    near(
      new Scorer(nodeLoadScore({ latencyMs: 100, lag: 100, connections: 1000 })).score(readings(node), NOW).score,
      0.64,
    )
    assert.equal(scorer.definition.best, 'lowest')
  })
})

describe('absence and age', () => {
  test('the weight of a missing signal is shared out in proportion, and the confidence says so', () => {
    const score = new Scorer(two).score(readings({ b: 0.2 }), NOW)
    near(score.score, 0.8)
    assert.equal(score.confidence, 0.25)
    assert.deepEqual(
      score.parts.map(({ name, state, share: part }) => [name, state, part]),
      [
        ['a', 'missing', 0],
        ['b', 'fresh', 1],
      ],
    )
  })

  test('a signal fades from half its time to live to its end, without a jump', () => {
    assert.deepEqual(
      [-50, 0, 500, 750, 1000, 5000].map((age) => freshnessAt(age, 1000)),
      [1, 1, 1, 0.5, 0, 0],
    )
    assert.equal(freshnessAt(1e15, Number.POSITIVE_INFINITY), 1)
    const scorer = new Scorer(two)
    const at = (age: number) => scorer.score({ a: { value: 1, atMs: NOW - age }, b: { value: 1, atMs: NOW } }, NOW)
    // a is 1 with weight 3, b is 0 with weight 1.
    near(at(0).score, 0.75)
    near(at(750).score, 1.5 / 2.5)
    near(at(750).confidence, 2.5 / 4)
    assert.equal(at(750).parts[0]!.state, 'fading')
    near(at(1000).score, 0)
    assert.equal(at(1000).parts[0]!.state, 'expired')
    assert.equal(at(1000).parts[0]!.ageMs, 1000)
    for (let age = 0; age < 1100; age++) assert.ok(Math.abs(at(age).score - at(age + 1).score) < 0.01, `${age}`)
  })

  test('with signals missing a score stays between the parts that are known', () => {
    const chance = new Xoshiro128(21)
    const scorer = new Scorer(nodeLoadScore())
    for (let trial = 0; trial < 500; trial++) {
      const known: Record<string, SignalReading> = {}
      for (const { name } of scorer.definition.signals) {
        if (chance.below(2) === 0)
          known[name] = { value: chance.unit() * 1000 ** chance.below(2), atMs: NOW - chance.unit() * 90_000 }
      }
      const score = scorer.score(known, NOW)
      const present = score.parts.flatMap((part) => (part.normalised === null ? [] : [part.normalised]))
      if (present.length === 0) continue
      assert.ok(score.score >= Math.min(...present) - 1e-12 && score.score <= Math.max(...present) + 1e-12)
    }
  })

  test('an endpoint that nobody knows is neither the best nor the worst, nor is it when all are unknown', () => {
    const scorer = new Scorer(two)
    const columns = scorer.createColumns(3)
    const slots = Int32Array.of(0, 1, 2)
    const scores = new Float64Array(3)
    const confidences = new Float64Array(3)
    scorer.scoreAll(columns, slots, 3, NOW, scores, confidences)
    assert.equal(scorer.mean, NEUTRAL_SCORE)
    assert.deepEqual(Array.from(scores), [NEUTRAL_SCORE, NEUTRAL_SCORE, NEUTRAL_SCORE])
    for (const [slot, value] of [
      [0, 1],
      [2, 0.2],
    ] as const) {
      put(scorer, columns, slot, 'a', value, NOW)
      put(scorer, columns, slot, 'b', 0, NOW)
    }
    scorer.scoreAll(columns, slots, 3, NOW, scores, confidences)
    near(scorer.mean, 0.7)
    for (const [index, expected] of [1, 0.7, 0.4].entries()) near(scores[index]!, expected)
    assert.deepEqual(Array.from(confidences), [1, 0, 1])
  })

  test('drawn towards the mean, half-known endpoints move half the way', () => {
    const scores = Float64Array.of(1, 0, 0.9)
    shrinkTowardsMean(scores, Float64Array.of(0.5, 1, 0), 3, 0.4)
    assert.deepEqual(Array.from(scores), [0.7, 0, 0.4])
  })

  test('a value that is no number is a missing one', () => {
    const score = new Scorer(two).score(readings({ a: Number.NaN, b: 0 }), NOW)
    assert.equal(score.parts[0]!.state, 'missing')
    assert.equal(score.parts[0]!.normalised, null)
    near(score.score, 1)
    assert.equal(score.confidence, 0.25)
  })

  test('a ratio without a divisor is a missing signal', () => {
    const scorer = new Scorer(ADAPTIVE_SCORE)
    const score = scorer.score(readings({ load: 0.5, availableCapacity: 3 }), NOW)
    assert.equal(score.parts.find((part) => part.name === 'availableCapacity')!.state, 'missing')
    near(score.score, 0.5)
  })
})

describe('scoring many', () => {
  test('gives every endpoint the score that explaining it gives, for any mixture of signals', () => {
    const chance = new Xoshiro128(31)
    const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -5, 0, 1e300]
    for (const definition of [
      ADAPTIVE_SCORE,
      RESOURCE_SCORE,
      nodeLoadScore(),
      withWeights(ADAPTIVE_SCORE, { load: 0 }),
    ]) {
      const scorer = new Scorer(definition)
      const columns = scorer.createColumns(300)
      for (let slot = 0; slot < 300; slot++) {
        for (const name of scorer.columns) {
          if (chance.below(4) === 0) continue
          const value = chance.below(8) === 0 ? odd[chance.below(odd.length)]! : chance.unit() * 2
          put(scorer, columns, slot, name, value, NOW - chance.unit() * 1.2 * DEFAULT_SIGNAL_TTL_MS)
        }
      }
      const slots = Int32Array.from({ length: 200 }, () => chance.below(300))
      const scores = new Float64Array(200)
      const confidences = new Float64Array(200)
      scorer.scoreAll(columns, slots, 200, NOW, scores, confidences)
      const { mean } = scorer
      let sum = 0
      let known = 0
      for (let position = 0; position < 200; position++) {
        const score = scorer.explain(columns, slots[position]!, NOW)
        near(confidences[position]!, score.confidence)
        near(scores[position]!, score.confidence > 0 ? score.score : mean, 1e-9)
        near(
          score.parts.reduce((total, part) => total + part.contribution, 0),
          score.confidence > 0 ? score.score : 0,
        )
        near(
          score.parts.reduce((total, part) => total + part.share, 0),
          score.confidence > 0 ? 1 : 0,
        )
        sum += score.confidence * score.score
        known += score.confidence
      }
      near(mean, sum / known, 1e-9)
    }
  })

  test('writes nothing beyond the count', () => {
    const scorer = new Scorer(two)
    const scores = new Float64Array(4).fill(9)
    const confidences = new Float64Array(4).fill(9)
    scorer.scoreAll(scorer.createColumns(4), Int32Array.of(0, 1, 2, 3), 2, NOW, scores, confidences)
    assert.deepEqual(Array.from(scores.subarray(2)), [9, 9])
    assert.deepEqual(Array.from(confidences.subarray(2)), [9, 9])
  })

  test('allocates nothing', () => {
    const scorer = new Scorer(ADAPTIVE_SCORE)
    const columns = scorer.createColumns(4)
    for (const name of scorer.columns)
      for (let slot = 0; slot < 4; slot++) put(scorer, columns, slot, name, 0.3, NOW - slot)
    const slots = Int32Array.of(0, 1, 2, 3)
    const scores = new Float64Array(4)
    const confidences = new Float64Array(4)
    assertAllocatesNothing((calls) => {
      for (let i = 0; i < calls; i++) scorer.scoreAll(columns, slots, 4, NOW + i, scores, confidences)
    })
  })
})

describe('a definition', () => {
  test('that makes no sense is refused with a reason', () => {
    const base = two.signals[0]!
    const wrong: [ScoreDefinition['signals'], RegExp][] = [
      [[], /no signals/],
      [[base, base], /a is named twice/],
      [[{ ...base, name: '' }], /no name/],
      [[{ ...base, weight: -1 }], /weight -1/],
      [[{ ...base, weight: Number.NaN }], /weight NaN/],
      [[{ ...base, weight: 0 }], /sum to 0/],
      [[{ ...base, ttlMs: 0 }], /time to live 0/],
      [[{ ...base, normaliser: linear(1, 1) }], /two different/],
      [[{ ...base, normaliser: inverse(0) }], /above 0/],
      [[{ ...base, normaliser: ratio('') }], /without a name/],
      [Array.from({ length: MAX_SIGNALS + 1 }, (_, i) => ({ ...base, name: `s${i}` })), /at most 32/],
    ]
    for (const [signals, message] of wrong) {
      assert.throws(() => new Scorer({ name: 'wrong', best: 'highest', signals }), message)
    }
  })

  test('may divide one signal by another that it scores too', () => {
    const scorer = new Scorer({
      name: 'pair',
      best: 'highest',
      signals: [
        { name: 'free', weight: 1, normaliser: ratio('total'), ttlMs: 1000 },
        { name: 'total', weight: 1, normaliser: linear(0, 100), ttlMs: 1000 },
      ],
    })
    assert.deepEqual(scorer.columns, ['free', 'total'])
    near(scorer.score(readings({ free: 20, total: 80 }), NOW).score, (0.25 + 0.8) / 2)
  })
})
