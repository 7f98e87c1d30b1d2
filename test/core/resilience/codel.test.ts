import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Xoshiro128 } from '../../../src/core/random.ts'
import { type CodelOptions, CodelQueue } from '../../../src/core/resilience/codel.ts'
import { assertAllocatesNothing } from '../../contract/bytes-per-call.ts'

const nobody = (item: unknown): void => assert.fail(`${String(item)} was shed`)

interface Run {
  readonly served: { readonly item: number; readonly waitedMs: number; readonly atMs: number }[]
  readonly shed: { readonly item: number; readonly atMs: number }[]
  refused: number
}

/** One arrival every `everyMs`, one served every `serveMs`, until `endMs`. Items are their arrival times. */
function run(options: Partial<CodelOptions>, everyMs: number, serveMs: number, endMs: number): Run {
  const queue = new CodelQueue<number>({ capacity: 10_000, ...options })
  const result: Run = { served: [], shed: [], refused: 0 }
  let nextArrival = 0
  for (let now = serveMs; now <= endMs; now += serveMs) {
    for (; nextArrival <= now; nextArrival += everyMs) if (queue.push(nextArrival, nextArrival) < 0) result.refused++
    const item = queue.take(now, (lost) => result.shed.push({ item: lost, atMs: now }))
    if (item !== undefined) result.served.push({ item, waitedMs: now - item, atMs: now })
  }
  return result
}

describe('a controlled-delay queue', () => {
  test('serves in order and sheds nobody while waits are short', () => {
    const queue = new CodelQueue<number>({ capacity: 10 })
    for (let i = 0; i < 10; i++) queue.push(i, i)
    assert.deepEqual(
      Array.from({ length: 11 }, (_, i) => queue.take(10 + i / 10, nobody)),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, undefined],
    )
  })

  test('refuses beyond its capacity, and takes one again for each that leaves', () => {
    const queue = new CodelQueue<string>({ capacity: 2 })
    const first = queue.push('a', 0)
    assert.ok(first >= 0 && queue.push('b', 0) >= 0)
    assert.equal(queue.push('c', 0), -1)
    queue.remove(first)
    assert.ok(queue.push('d', 0) >= 0)
    assert.deepEqual([queue.take(1, nobody), queue.take(1, nobody)], ['b', 'd'])
  })

  test('lets a burst through: above the target for less than an interval nobody is shed', () => {
    const queue = new CodelQueue<number>({ capacity: 1000 })
    for (let i = 0; i < 90; i++) queue.push(i, 0)
    for (let now = 1; now <= 90; now++) assert.equal(queue.take(now, nobody), now - 1)
  })

  test('RFC 8289 by hand: the first is shed an interval after the target was passed, then at 1/√2, 1/√3 … of it', () => {
    const queue = new CodelQueue<number>({ capacity: 10_000 })
    for (let i = 0; i < 9000; i++) queue.push(i, 0)
    const times: number[] = []
    // One served each quarter of a millisecond; the first that waited for 5 ms at 5.
    for (let now = 0.25; now < 600; now += 0.25) queue.take(now, () => times.push(now))
    const wanted = [105]
    let next = 105
    for (let count = 1; wanted.length < 8; count++) {
      next += 100 / Math.sqrt(count)
      wanted.push(next)
    }
    // Shed at the first moment of service not before the law's time.
    assert.deepEqual(
      times.slice(0, 8),
      wanted.map((time) => Math.ceil(time * 4) / 4),
    )
  })

  test('stops at the first wait below the target, and soon after begins at the rate that helped', () => {
    const queue = new CodelQueue<number>({ capacity: 10_000 })
    const overload = (from: number): number[] => {
      const times: number[] = []
      for (let i = 0; i < 4000; i++) queue.push(i, from)
      for (let now = from; queue.size > 0; now += 0.25) queue.take(now, () => times.push(now))
      return times
    }
    const first = overload(1000)
    assert.equal(queue.isOverloaded, false)
    const soon = overload(2200)
    // An interval after the target was passed each time, but the second drop comes sooner than an interval.
    assert.equal(first[1]! - first[0]!, 100)
    assert.equal(soon[0], 2305)
    const gap = soon[1]! - soon[0]
    assert.ok(gap < 40, `${gap}`)
    const late = overload(50_000)
    assert.equal(late[1]! - late[0]!, 100)
  })

  test('never sheds the only one that waits', () => {
    const queue = new CodelQueue<number>({ capacity: 10 })
    for (let now = 0; now < 100_000; now += 1000) {
      queue.push(now, now)
      assert.equal(queue.take(now + 900, nobody), now)
    }
  })

  test('keeps waits in bounds under twice the load that can be served, where a plain queue grows without end', () => {
    const controlled = run({}, 1, 2, 60_000)
    const late = controlled.served.filter(({ atMs }) => atMs > 30_000)
    const longest = Math.max(...late.map(({ waitedMs }) => waitedMs))
    const plain = run({ targetMs: 1e9 }, 1, 2, 60_000)
    assert.equal(plain.shed.length, 0)
    assert.ok(plain.refused > 0 && plain.served.at(-1)!.waitedMs > 15_000)
    assert.ok(longest < 5_000, `${longest}`)
    assert.equal(controlled.refused, 0)
    assert.equal(controlled.served.length, 30_000)
  })

  test('overloaded in LIFO serves fresh ones at once, and sheds the oldest', () => {
    const fifo = run({ maxWaitMs: 1000 }, 1, 2, 20_000)
    const lifo = run({ maxWaitMs: 1000, whenOverloaded: 'lifo' }, 1, 2, 20_000)
    const median = ({ served }: Run): number =>
      served.map(({ waitedMs }) => waitedMs).sort((a, b) => a - b)[served.length >> 1]!
    assert.ok(median(lifo) <= 2, `${median(lifo)}`)
    assert.ok(median(fifo) > 200, `${median(fifo)}`)
    for (let i = 1; i < lifo.shed.length; i++) assert.ok(lifo.shed[i]!.item > lifo.shed[i - 1]!.item)
  })

  test('nobody waits longer than the longest wait, also while nothing is served', () => {
    const queue = new CodelQueue<number>({ capacity: 10, maxWaitMs: 50 })
    const shed: number[] = []
    for (const at of [0, 10, 40]) queue.push(at, at)
    queue.expire(49, nobody)
    queue.expire(60, (item) => shed.push(item))
    assert.deepEqual(shed, [0, 10])
    assert.equal(
      queue.take(90, (item) => shed.push(item)),
      undefined,
    )
    assert.deepEqual(shed, [0, 10, 40])
    assert.equal(queue.shedTotal, 3)
  })

  test('serves, sheds, refuses or removes each one exactly once, as a plain list would', () => {
    const chance = new Xoshiro128(81)
    for (const whenOverloaded of ['fifo', 'lifo'] as const) {
      const queue = new CodelQueue<number>({
        capacity: 16,
        targetMs: 5,
        intervalMs: 20,
        maxWaitMs: 200,
        whenOverloaded,
      })
      const model: { item: number; ticket: number }[] = []
      const spent: number[] = []
      const gone = (item: number): void => {
        const at = model.findIndex((one) => one.item === item)
        assert.equal(at, 0, 'the oldest is shed')
        spent.push(model.splice(at, 1)[0]!.ticket)
      }
      let now = 1
      for (let i = 0; i < 20_000; i++) {
        now += chance.below(8)
        const action = chance.below(5)
        if (action <= 1) {
          const ticket = queue.push(i, now)
          assert.equal(ticket >= 0, model.length < 16)
          if (ticket >= 0) model.push({ item: i, ticket })
        } else if (action <= 3) {
          const item = queue.take(now, gone)
          assert.equal(item === undefined, model.length === 0)
          if (item === undefined) continue
          const at = model.findIndex((one) => one.item === item)
          assert.ok(at === 0 || (whenOverloaded === 'lifo' && at === model.length - 1))
          spent.push(model.splice(at, 1)[0]!.ticket)
        } else if (model.length > 0 && chance.below(2) === 0) {
          const [one] = model.splice(chance.below(model.length), 1)
          assert.equal(queue.remove(one!.ticket), true)
          spent.push(one!.ticket)
        } else if (spent.length > 0) {
          assert.equal(queue.remove(spent[chance.below(spent.length)]!), false)
        }
        assert.equal(queue.size, model.length)
      }
      assert.ok(queue.shedTotal > 100, `${queue.shedTotal}`)
    }
  })

  test('a ticket that never was is nobody', () => {
    const queue = new CodelQueue<number>({ capacity: 4 })
    queue.push(1, 0)
    for (const ticket of [-1, 0, 3, 5, 1e15, Number.NaN, 0.5]) assert.equal(queue.remove(ticket), false, `${ticket}`)
    assert.equal(queue.size, 1)
  })

  test('refuses options that make no sense', () => {
    for (const options of [
      { capacity: 0 },
      { capacity: 1.5 },
      { capacity: 2 ** 21 },
      { capacity: 1, targetMs: 0 },
      { capacity: 1, intervalMs: Number.NaN },
      { capacity: 1, maxWaitMs: 0 },
    ]) {
      assert.throws(() => new CodelQueue(options), RangeError)
    }
  })

  test('allocates nothing', () => {
    const queue = new CodelQueue<string>({ capacity: 64 })
    const ignore = (): void => {}
    const clock = Int32Array.of(1)
    assertAllocatesNothing((calls) => {
      for (let i = 0; i < calls; i++) {
        clock[0]! += 1
        queue.push('x', clock[0]!)
        if ((i & 1) === 1) queue.take(clock[0]!, ignore)
      }
    })
    assert.ok(queue.shedTotal > 1000, `${queue.shedTotal}: the law was at work`)
  })
})
