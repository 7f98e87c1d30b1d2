import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Accept, Members, Picker } from '../../../src/core/balance/picker.ts'
import { PICKERS } from '../../../src/core/balance/registry.ts'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { acceptAll, membersOf } from '../../contract/members.ts'
import { chanceOfFairness, describePicker, prepare } from '../../contract/pickers.ts'

for (const [name, entry] of Object.entries(PICKERS)) {
  test(`${name} is registered under its own name`, () => assert.equal(entry.name, name))
  describePicker(name, entry)
}
describePicker('least-requests, exact', PICKERS['least-requests'], { exact: true }, 50_000)

/** Two draws with one of the classic mistakes: the contract has to see them. */
class BiasedTwoDraws implements Picker {
  readonly #generator = new Xoshiro128(1)
  readonly #mistake: 'short second draw' | 'neighbour for a vetoed one'
  #count = 0

  constructor(mistake: 'short second draw' | 'neighbour for a vetoed one') {
    this.#mistake = mistake
  }

  update(members: Members): void {
    this.#count = members.count
  }

  pick(_key: number, accept: Accept): number {
    let first = this.#generator.below(this.#count)
    let second = this.#generator.below(this.#count - 1)
    if (this.#mistake === 'neighbour for a vetoed one') {
      if (second >= first) second++
      if (!accept(first)) first = (first + 1) % this.#count
      if (!accept(second)) second = (second + 1) % this.#count
    }
    const taken = this.#generator.int32() < 0 ? first : second
    return accept(taken) ? taken : (taken + 1) % this.#count
  }
}

describe('the check for bias', () => {
  test('sees a second draw that does not step over the first', () => {
    for (const size of [2, 3, 10, 1000]) {
      const picker = new BiasedTwoDraws('short second draw')
      picker.update(membersOf(Array.from({ length: size }, () => 1)))
      assert.ok(chanceOfFairness(picker, size, null) < 1e-4, `${size} endpoints`)
    }
  })

  test('sees that the neighbour of a vetoed endpoint inherits its share', () => {
    for (const size of [3, 10, 1000]) {
      for (const vetoed of [0, size >> 1, size - 1]) {
        const picker = new BiasedTwoDraws('neighbour for a vetoed one')
        picker.update(membersOf(Array.from({ length: size }, () => 1)))
        assert.ok(chanceOfFairness(picker, size, vetoed) < 1e-4, `${size} endpoints, vetoed: ${vetoed}`)
      }
    }
  })
})

describe('least-requests', () => {
  test('takes the least (load + 1) / weight of all that are accepted, up to 256 endpoints and with exact at any number', () => {
    const chance = new Xoshiro128(9)
    for (const [size, options] of [
      [5, {}],
      [256, {}],
      [1000, { exact: true }],
    ] as const) {
      const weights = Array.from({ length: size }, () => 1 + chance.below(4))
      const { picker, loads } = prepare(PICKERS['least-requests'], weights, { options })
      for (let trial = 0; trial < 200; trial++) {
        for (let slot = 0; slot < size; slot++) loads[slot] = chance.below(50)
        const vetoed = chance.below(size)
        const costs = weights.map((weight, position) =>
          position === vetoed ? Infinity : (loads[position]! + 1) / weight,
        )
        const position = picker.pick(0, (candidate) => candidate !== vetoed)
        assert.equal(costs[position], Math.min(...costs))
      }
    }
  })

  test('asks about one endpoint, not all, where there is no veto', () => {
    const { picker } = prepare(
      PICKERS['least-requests'],
      Array.from({ length: 200 }, () => 1),
    )
    let asked = 0
    picker.pick(0, () => ++asked > 0)
    assert.equal(asked, 1)
  })

  test('takes one of the emptiest fifth of 4000 by its sample, at least 90 times in 100', () => {
    const size = 4000
    const { picker, loads } = prepare(
      PICKERS['least-requests'],
      Array.from({ length: size }, () => 1),
    )
    for (let slot = 0; slot < size; slot++) loads[slot] = (slot * 1021) % size
    let good = 0
    for (let i = 0; i < 1000; i++) if (loads[picker.pick(i, acceptAll)]! < size / 5) good++
    assert.ok(good >= 900, `${good} of 1000`)
  })
})

describe('p2c', () => {
  test('takes the lower (load + 1) / weight of its two', () => {
    const { picker, loads } = prepare(PICKERS.p2c, [1, 4])
    for (const [first, second, expected] of [
      [0, 2, 1],
      [0, 4, 0],
      [1, 20, 0],
      [9, 9, 1],
    ] as const) {
      loads[0] = first
      loads[1] = second
      for (let i = 0; i < 50; i++) assert.equal(picker.pick(i, acceptAll), expected)
    }
  })

  test('never takes the most loaded of all while two are accepted', () => {
    for (const size of [2, 3, 50]) {
      const { picker, loads } = prepare(
        PICKERS.p2c,
        Array.from({ length: size }, () => 1),
      )
      loads[size >> 1] = 9
      for (let i = 0; i < 20_000; i++) assert.notEqual(picker.pick(i, acceptAll), size >> 1)
    }
  })

  test('draws its two by weight, without repetition', () => {
    // Loads make the cost of each its rank, so the lower of the pair shows which pair it was.
    const weights = [5, 3, 2]
    const { picker, loads } = prepare(PICKERS.p2c, weights, { seed: 4 })
    loads.set([5 * 100 - 1, 3 * 200 - 1, 2 * 300 - 1])
    const counts = [0, 0, 0]
    const draws = 300_000
    for (let i = 0; i < draws; i++) counts[picker.pick(i, acceptAll)]!++
    const pair = (a: number, b: number): number =>
      (weights[a]! / 10) * (weights[b]! / (10 - weights[a]!)) + (weights[b]! / 10) * (weights[a]! / (10 - weights[b]!))
    const expected = [pair(0, 1) + pair(0, 2), pair(1, 2), 0]
    for (const [position, share] of expected.entries()) {
      assert.ok(Math.abs(counts[position]! / draws - share) < 0.004, `${counts.join()} against ${expected.join()}`)
    }
  })
})
