/** What holds for every picker: run over each one that is registered, and over each variant of its options. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createLocalDeps } from '../../src/core/balance/local-deps.ts'
import type { Accept, Picker, PickerEntry } from '../../src/core/balance/picker.ts'
import { EXPLAINED_CANDIDATES } from '../../src/core/balance/picker.ts'
import { Xoshiro128 } from '../../src/core/random.ts'
import { assertAllocatesNothing } from './bytes-per-call.ts'
import { chanceOfDeviation } from './chi-square.ts'
import { acceptAll, membersOf } from './members.ts'
import { type Bench, Traffic } from './traffic.ts'

/** Below this chance a picker counts as biased; seeds are fixed, so a picker passes always or never. */
const LEAST_CHANCE = 1e-4

/** A picker over endpoints in slots 0, 1, 2, … unless `slots` says otherwise. */
export function prepare(
  entry: PickerEntry,
  weights: readonly number[],
  {
    options = {},
    seed = 1,
    slots,
  }: { options?: Record<string, unknown>; seed?: number; slots?: readonly number[] } = {},
): Bench {
  const clock = { ms: 1000 }
  const deps = createLocalDeps(4096, { seed, now: () => clock.ms })
  const { loads } = deps
  const picker = entry.create(deps, options)
  picker.update(membersOf(weights, slots))
  return { picker, loads, clock }
}

/** The chance that a picker without bias by position spreads picks over equal endpoints at most as evenly as this one. */
export function chanceOfFairness(picker: Picker, size: number, vetoed: number | null, draws = 1_000_000): number {
  const counts = new Float64Array(size)
  const accept: Accept = vetoed === null ? acceptAll : (position) => position !== vetoed
  for (let i = 0; i < draws; i++) {
    const position = picker.pick(i, accept)
    counts[position] = counts[position]! + 1
  }
  const fit = vetoed === null ? size : size - 1
  return chanceOfDeviation(
    counts,
    counts.map((_, position) => (position === vetoed ? 0 : draws / fit)),
  )
}

/**
 * How far a picker that learns favours any position among equal endpoints, in standard errors over many runs: picks of one run
 * depend on each other (who was lucky at first is liked for a while), those of runs with other seeds do not. Looked at are
 * single positions up to 12 endpoints, above that tenths of the pool and those where mistakes sit: both ends, the vetoed one's
 * neighbours.
 */
export function largestBias(
  create: (seed: number) => Bench,
  size: number,
  vetoed: number | null,
  { runs, picks }: { runs: number; picks: number },
): number {
  const groups: number[][] = []
  const fit = Array.from({ length: size }, (_, position) => position).filter((position) => position !== vetoed)
  if (size <= 12) for (const position of fit) groups.push([position])
  else {
    for (let tenth = 0; tenth < 10; tenth++) groups.push(fit.filter((each) => Math.floor((each * 10) / size) === tenth))
    const beside = vetoed === null ? [] : [vetoed - 1, vetoed + 1, vetoed === 0 ? size - 1 : 0]
    for (const position of new Set([0, size - 1, ...beside])) if (fit.includes(position)) groups.push([position])
  }
  const accept: Accept = vetoed === null ? acceptAll : (position) => position !== vetoed
  const shares = groups.map((): number[] => [])
  for (let run = 1; run <= runs; run++) {
    const traffic = new Traffic(create(run), {
      depth: Math.max(4, size >> 2),
      isRandom: true,
      failureRatio: 0.02,
      seed: run,
    })
    const counts = new Float64Array(size)
    for (let i = 0; i < picks; i++) {
      const position = traffic.step(accept)
      counts[position] = counts[position]! + 1
    }
    for (const [index, group] of groups.entries()) {
      shares[index]!.push(group.reduce((sum, position) => sum + counts[position]!, 0) / picks)
    }
  }
  let largest = 0
  for (const [index, group] of groups.entries()) {
    const each = shares[index]!
    const mean = each.reduce((sum, share) => sum + share, 0) / runs
    const variance = each.reduce((sum, share) => sum + (share - mean) ** 2, 0) / (runs - 1)
    // A rotation hardly varies, and its last lap is not complete.
    const error = Math.max(Math.sqrt(variance / runs), 0.25 / picks)
    largest = Math.max(largest, (Math.abs(mean - group.length / fit.length) - group.length / picks) / error)
  }
  return largest
}

/** Student's t of 39 degrees of freedom is beyond this once in 400 000; there are some 60 groups per picker. */
export const LARGEST_BIAS = 5.5

const acceptNone: Accept = () => false

/**
 * `draws`: how many the checks for bias make; fewer where a pick is dear. `isEven`: false for a picker whose purpose is not to
 * spread requests evenly by weight.
 */
export function describePicker(
  name: string,
  entry: PickerEntry,
  options: Record<string, unknown> = {},
  draws = 1_000_000,
  isEven = true,
): void {
  const over = (weights: readonly number[], seed?: number, slots?: readonly number[]): Bench =>
    prepare(entry, weights, {
      options,
      ...(seed === undefined ? {} : { seed }),
      ...(slots === undefined ? {} : { slots }),
    })
  const equal = (size: number): number[] => Array.from({ length: size }, () => 1)

  describe(name, () => {
    test('has nothing to pick in an empty pool, or before the first update', () => {
      assert.equal(over([]).picker.pick(0, acceptAll), -1)
      const unprepared = entry.create(createLocalDeps(1), options)
      assert.equal(unprepared.pick(0, acceptAll), -1)
    })

    test('picks the only endpoint, whatever its load', () => {
      const { picker, loads } = over([1])
      loads[0] = 1000
      for (let i = 0; i < 100; i++) assert.equal(picker.pick(i, acceptAll), 0)
    })

    test('says -1 when every endpoint is vetoed', () => {
      for (const size of [1, 2, 3, 10, 300, 1000]) {
        const { picker } = over(equal(size))
        assert.equal(picker.pick(0, acceptNone), -1, `${size} endpoints`)
        assert.notEqual(picker.pick(0, acceptAll), -1, `${size} endpoints, afterwards`)
      }
    })

    test('says -1 when nothing has weight', () => {
      assert.equal(over([0, 0, 0]).picker.pick(0, acceptAll), -1)
      assert.equal(over([Number.NaN, -1, Number.POSITIVE_INFINITY]).picker.pick(0, acceptAll), -1)
    })

    test('finds the only endpoint that is accepted, also among many and with hardly any weight', () => {
      for (const size of [2, 3, 10, 300, 1000, 4000]) {
        for (const fit of [0, size >> 1, size - 1]) {
          const { picker } = over(equal(size).map((_, position) => (position === fit ? 0.001 : 1)))
          for (let i = 0; i < 5; i++)
            assert.equal(
              picker.pick(i, (position) => position === fit),
              fit,
              `${size} endpoints`,
            )
        }
      }
    })

    test('never picks what is vetoed or without weight, and always picks while anything is left', () => {
      const chance = new Xoshiro128(7)
      // A picker by key builds a map for each of them.
      for (let trial = 0; trial < (isEven ? 300 : 100); trial++) {
        const size = trial % 50 === 0 ? 400 : 1 + chance.below(12)
        const weights = Array.from({ length: size }, () => [0, 1, 1, 2, 0.3, 1000][chance.below(6)]!)
        const slots = Array.from({ length: size }, (_, position) => (position * 37 + trial) % 4096)
        const { picker, loads } = over(weights, trial, slots)
        for (const slot of slots) loads[slot] = chance.below(4)
        const share = chance.below(5)
        const fit = weights.map(() => chance.below(4) < share)
        const isPossible = weights.some((weight, position) => weight > 0 && fit[position])
        for (let i = 0; i < 50; i++) {
          const position = picker.pick(i, (candidate) => {
            assert.ok(candidate >= 0 && candidate < size, 'only positions are asked about')
            return fit[candidate]!
          })
          if (isPossible)
            assert.ok(fit[position] === true && weights[position]! > 0, `${position} of ${weights.join()}`)
          else assert.equal(position, -1)
        }
      }
    })

    test('goes on over changes of membership and weights, and forgets who left', () => {
      const chance = new Xoshiro128(3)
      const { picker } = over([1, 2, 3])
      for (let change = 0; change < 200; change++) {
        const weights = Array.from({ length: chance.below(change % 20 === 0 ? 500 : 9) }, () => chance.below(4))
        picker.update(membersOf(weights))
        const seen = new Set<number>()
        for (let i = 0; i < 40; i++) seen.add(picker.pick(i, acceptAll))
        if (!weights.some((weight) => weight > 0)) assert.deepEqual([...seen], [-1])
        else for (const position of seen) assert.ok(weights[position]! > 0, `${position} of ${weights.join()}`)
      }
    })

    test('keeps its own copy of the members', () => {
      const members = membersOf([1, 1])
      const { picker } = over([])
      picker.update(members)
      members.weights.fill(0)
      members.slots.fill(4000)
      assert.notEqual(picker.pick(0, acceptAll), -1)
    })

    for (const size of isEven ? [2, 3, 10, 1000] : []) {
      test(`favours no position among ${size} equal endpoints, nor with one of them vetoed`, () => {
        for (const vetoed of [null, 0, size >> 1, size - 1]) {
          const chance = chanceOfFairness(over(equal(size), size).picker, size, vetoed, draws)
          assert.ok(chance > LEAST_CHANCE, `vetoed: ${vetoed}, chance ${chance}`)
        }
      })
    }

    const testIfEven = isEven ? test : (): Promise<void> => Promise.resolve()
    void testIfEven('favours no position among equally loaded ones between others, and with several vetoed', () => {
      const size = 12
      const { picker, loads } = over(equal(size), 5)
      for (let position = 0; position < size; position += 3) loads[position] = 2
      const counts = new Float64Array(size)
      for (let i = 0; i < 300_000; i++) {
        const position = picker.pick(i, (candidate) => candidate !== 1 && candidate !== 2 && candidate !== 11)
        counts[position] = counts[position]! + 1
      }
      for (const load of [0, 2]) {
        const group = Array.from(counts).filter(
          (_, position) => ![1, 2, 11].includes(position) && loads[position] === load,
        )
        const sum = group.reduce((total, count) => total + count, 0)
        const chance = chanceOfDeviation(
          group,
          group.map(() => sum / group.length),
        )
        assert.ok(sum === 0 || chance > LEAST_CHANCE, `load ${load}: ${group.join()}, chance ${chance}`)
      }
    })

    void testIfEven('gives each endpoint its share by weight while requests take equally long', () => {
      for (const weights of [
        [1, 2, 5],
        [1, 1, 1, 3],
        [0.5, 2.5, 0, 1],
        [10, 1, 4, 4, 4, 2, 3, 3, 9, 10],
      ]) {
        const shares = sharesUnderLoad(over(weights, 11), weights.length, 200)
        const sum = weights.reduce((total, weight) => total + weight, 0)
        for (const [position, weight] of weights.entries()) {
          const off = Math.abs(shares[position]! - weight / sum)
          assert.ok(off < 0.03, `${weights.join()}: position ${position} got ${shares[position]!.toFixed(3)}`)
        }
      }
    })

    test('picks the same with the same seed, and does not depend on what was asked of another', () => {
      const run = (): number[] => {
        const { picker, loads } = over([1, 2, 0, 3, 1, 1, 1], 42)
        return Array.from({ length: 500 }, (_, i) => {
          const position = picker.pick(i, (candidate) => candidate !== i % 7)
          loads[position] = loads[position]! + 1
          return position
        })
      }
      assert.deepEqual(run(), run())
    })

    for (const size of isEven ? [2, 3, 10, 1000] : []) {
      test(`favours no position among ${size} equal endpoints while requests end, some of them in failure`, () => {
        const runs = 40
        const picks = Math.max(500, (draws * (size > 12 ? 8 : 1)) / 1000)
        for (const vetoed of size > 12 ? [null, size - 1] : [null, 0, size >> 1, size - 1]) {
          const bias = largestBias((seed) => over(equal(size), seed), size, vetoed, { runs, picks })
          assert.ok(bias < LARGEST_BIAS, `vetoed: ${vetoed}, ${bias} standard errors`)
        }
      })
    }

    test('never picks a vetoed one, and always picks, while requests end, some of them in failure', () => {
      const chance = new Xoshiro128(17)
      for (const size of [2, 5, 40, 300]) {
        const bench = over(equal(size), size)
        const traffic = new Traffic(bench, { depth: size, isRandom: true, failureRatio: 0.1 })
        for (let i = 0; i < 3000; i++) {
          const first = chance.below(size)
          const until = first + 1 + chance.below(size - 1)
          const isFit: Accept = (position) => position < first || position >= until
          const position = traffic.step(isFit)
          if (until - first === size) assert.equal(position, -1)
          else assert.ok(position >= 0 && position < size && isFit(position), `${position} of ${size}`)
        }
      }
    })

    test('explains the very pick that it would have made', () => {
      const chance = new Xoshiro128(23)
      for (const size of [1, 3, 40, 400]) {
        const weights = Array.from({ length: size }, (_, position) => (position % 5 === 4 ? 0 : 1 + (position % 3)))
        const [silent, telling] = [over(weights, size), over(weights, size)]
        const { picker } = telling
        if (picker.explain === undefined) assert.fail('it does not explain')
        const options = { depth: 2 * size, isRandom: true, failureRatio: 0.05 }
        const [one, other] = [new Traffic(silent, options), new Traffic(telling, options)]
        for (let i = 0; i < 3000 / Math.max(1, size / 40); i++) {
          const vetoed = chance.below(size + 1)
          const hasMany = chance.below(20) === 0
          const accept: Accept = (candidate) => candidate !== vetoed && !(hasMany && candidate % 4 !== 0)
          const picked = one.step(accept)
          const explained = other.step(accept, (key) => {
            const { position, reason, candidates, others } = picker.explain!(key, accept)
            assert.ok(reason.length > 5)
            assert.ok(candidates.length <= EXPLAINED_CANDIDATES)
            const listed = candidates.map((candidate) => candidate.position)
            assert.equal(new Set(listed).size, listed.length, 'each is listed once')
            assert.ok(position < 0 || listed.includes(position), 'the picked one is listed')
            for (const candidate of candidates) {
              assert.equal(candidate.weight, weights[candidate.position])
              assert.equal(candidate.isVetoed, !accept(candidate.position))
              for (const part of Object.values(candidate.parts)) assert.ok(!Number.isNaN(part))
            }
            assert.ok(others >= 0 && others + listed.length <= size)
            return position
          })
          assert.equal(explained, picked, `pick ${i} of ${size} endpoints`)
        }
      }
    })

    test('allocates nothing per pick while requests begin and end', () => {
      const isTold = over([1]).picker.began !== undefined
      for (const size of isTold ? [10, 200] : [10]) {
        const traffic = new Traffic(over(equal(size)), { depth: size })
        assertAllocatesNothing((calls) => {
          for (let i = 0; i < calls; i++) traffic.step()
        })
      }
    })

    test('allocates nothing per pick', () => {
      for (const weights of [equal(10), [1, 2, 3, 0.5], equal(500)]) {
        const { picker, loads } = over(weights)
        const accept: Accept = (position) => position !== 1
        assertAllocatesNothing((calls) => {
          for (let i = 0; i < calls; i++) {
            const position = picker.pick(i, accept)
            loads[position] = (loads[position]! + i) & 3
          }
        })
      }
    })

    test('says what it is for, what it costs, keeps and comes from', () => {
      for (const text of [entry.summary, entry.cost, entry.state, entry.source]) assert.ok(text.length > 5)
    })
  })
}

/** Shares of picks with `depth` requests in flight, each lasting until as many others have begun. */
function sharesUnderLoad(bench: Bench, size: number, depth: number): number[] {
  const traffic = new Traffic(bench, { depth })
  const counts = new Float64Array(size)
  const draws = 100_000
  for (let i = 0; i < draws; i++) {
    const position = traffic.step()
    counts[position] = counts[position]! + 1
  }
  return Array.from(counts, (count) => count / draws)
}
