import assert from 'node:assert/strict'
import { describe, mock, test } from 'node:test'
import fc from 'fast-check'
import { createRandom } from '../../src/core/random.ts'
import { Deadline, Timers, TimerWheel } from '../../src/edge/timers.ts'

const TICK_MS = 10
const SLOTS = 64

class Probe extends Deadline {
  readonly expiries: number[] = []
  readonly #now: () => number
  onExpire: (() => void) | null = null

  constructor(now: () => number) {
    super()
    this.#now = now
  }

  expire(): void {
    this.expiries.push(this.#now())
    this.onExpire?.()
  }
}

/** A wheel and the clock that turns it. */
class Bench {
  nowMs = 1_000_003
  readonly wheel = new TimerWheel(TICK_MS, SLOTS, this.nowMs)

  probe(): Probe {
    return new Probe(() => this.nowMs)
  }

  arm(probe: Deadline, delayMs: number): void {
    this.wheel.arm(probe, delayMs, this.nowMs)
  }

  pass(ms: number): void {
    this.nowMs += ms
    this.wheel.advance(this.nowMs)
  }
}

describe('TimerWheel', () => {
  test('expires never early and at most two ticks late, whatever the delays and the steps of the clock', () => {
    const bench = new Bench()
    const random = createRandom(7)
    const waiting: { probe: Probe; dueAt: number }[] = []
    let lastStepMs = 0
    for (let round = 0; round < 3000; round++) {
      for (let i = 0; i < 3; i++) {
        const delayMs = Math.floor(random() ** 3 * 3 * SLOTS * TICK_MS)
        const probe = bench.probe()
        bench.arm(probe, delayMs)
        waiting.push({ probe, dueAt: bench.nowMs + delayMs })
      }
      lastStepMs = Math.floor(random() * 3 * TICK_MS)
      bench.pass(lastStepMs)
      for (const { probe, dueAt } of waiting) {
        if (probe.expiries.length > 0) assert.ok(probe.expiries[0]! >= dueAt, 'never early')
        else assert.ok(bench.nowMs < dueAt + 2 * TICK_MS + lastStepMs, 'not late')
      }
      for (let i = waiting.length - 1; i >= 0; i--) if (waiting[i]!.probe.expiries.length > 0) waiting.splice(i, 1)
    }
    bench.pass(4 * SLOTS * TICK_MS)
    bench.pass(4 * SLOTS * TICK_MS)
    for (const { probe } of waiting) assert.equal(probe.expiries.length, 1)
    assert.equal(bench.wheel.linked, 0)
  })

  test('does as a list of due times would, through any mix of arming, re-arming, disarming, removing and waiting', () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant('arm' as const), who: fc.nat(5), ms: fc.nat(3 * SLOTS * TICK_MS) }),
      fc.record({ kind: fc.constant('remove' as const), who: fc.nat(5), ms: fc.constant(0) }),
      fc.record({ kind: fc.constant('disarm' as const), who: fc.nat(5), ms: fc.constant(0) }),
      fc.record({ kind: fc.constant('pass' as const), who: fc.constant(0), ms: fc.nat(2 * SLOTS * TICK_MS) }),
    )
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const bench = new Bench()
        const probes = Array.from({ length: 6 }, () => bench.probe())
        const dueAt = new Array<number>(6).fill(Number.POSITIVE_INFINITY)
        const counts = new Array<number>(6).fill(0)
        for (const { kind, who, ms } of actions) {
          const probe = probes[who]!
          if (kind === 'arm') {
            bench.arm(probe, ms)
            dueAt[who] = bench.nowMs + ms
          } else if (kind === 'remove') {
            bench.wheel.remove(probe)
            dueAt[who] = Number.POSITIVE_INFINITY
          } else if (kind === 'disarm') {
            probe.dueAt = Number.POSITIVE_INFINITY
            dueAt[who] = Number.POSITIVE_INFINITY
          } else {
            bench.pass(ms)
            for (const [index, one] of probes.entries()) {
              const has = one.expiries.length
              if (has > counts[index]!) {
                assert.equal(has, counts[index]! + 1, 'once per arming')
                assert.ok(bench.nowMs >= dueAt[index]!, 'never early')
                counts[index] = has
                dueAt[index] = Number.POSITIVE_INFINITY
              } else assert.ok(bench.nowMs < dueAt[index]! + 2 * TICK_MS, 'not forgotten')
            }
          }
        }
      }),
      { seed: 42, numRuns: 3000 },
    )
  })

  test('a deadline armed later than before expires at the later time only', () => {
    const bench = new Bench()
    const probe = bench.probe()
    bench.arm(probe, 100)
    for (let i = 0; i < 20; i++) {
      bench.pass(50)
      bench.arm(probe, 100)
    }
    assert.deepEqual(probe.expiries, [])
    bench.pass(90)
    assert.deepEqual(probe.expiries, [])
    bench.pass(40)
    assert.equal(probe.expiries.length, 1)
  })

  test('a deadline armed earlier than before expires at the earlier time only', () => {
    const bench = new Bench()
    const probe = bench.probe()
    bench.arm(probe, 500)
    bench.arm(probe, 50)
    bench.pass(80)
    assert.equal(probe.expiries.length, 1)
    bench.pass(1000)
    assert.equal(probe.expiries.length, 1)
  })

  test('one that expires may arm itself again, and waits its whole time', () => {
    const bench = new Bench()
    const probe = bench.probe()
    probe.onExpire = () => bench.arm(probe, 100)
    bench.arm(probe, 100)
    for (let i = 0; i < 100; i++) bench.pass(10)
    assert.ok(probe.expiries.length >= 8 && probe.expiries.length <= 10, `${probe.expiries.length}`)
    for (let i = 1; i < probe.expiries.length; i++) assert.ok(probe.expiries[i]! - probe.expiries[i - 1]! >= 100)
    // Even with no delay at all it is not visited twice in one tick.
    const eager = bench.probe()
    eager.onExpire = () => bench.arm(eager, 0)
    bench.arm(eager, 0)
    bench.pass(TICK_MS)
    assert.ok(eager.expiries.length <= 1)
  })

  test('one that expires may remove or re-arm those that are due with it', () => {
    const bench = new Bench()
    const probes = [bench.probe(), bench.probe(), bench.probe()]
    for (const probe of probes) {
      probe.onExpire = () => {
        for (const other of probes)
          if (other !== probe) {
            if (other === probes[2]) bench.arm(other, 300)
            else bench.wheel.remove(other)
          }
      }
      bench.arm(probe, 100)
    }
    bench.pass(130)
    const counts = probes.map(({ expiries }) => expiries.length)
    assert.equal(
      counts.reduce((sum, count) => sum + count),
      1,
      'the first of them spoke for all',
    )
    bench.pass(1000)
    bench.pass(1000)
    assert.ok(probes[2]!.expiries.length >= 1)
    for (const probe of probes) bench.wheel.remove(probe)
    assert.equal(bench.wheel.linked, 0)
  })

  test('what is due beyond one round of the wheel waits for its round', () => {
    const bench = new Bench()
    const roundMs = SLOTS * TICK_MS
    const probe = bench.probe()
    bench.arm(probe, 5 * roundMs + 7)
    for (let passed = 0; passed < 5 * roundMs; passed += TICK_MS) {
      bench.pass(TICK_MS)
      assert.deepEqual(probe.expiries, [])
    }
    bench.pass(3 * TICK_MS)
    assert.equal(probe.expiries.length, 1)
  })

  test('after a long pause everything that is due expires at once, and nothing else', () => {
    const bench = new Bench()
    const due = Array.from({ length: 200 }, (_, index) => {
      const probe = bench.probe()
      bench.arm(probe, index * 31)
      return probe
    })
    const later = bench.probe()
    bench.arm(later, 1_000_000)
    bench.pass(500_000)
    for (const probe of due) assert.equal(probe.expiries.length, 1)
    assert.deepEqual(later.expiries, [])
    bench.pass(500_100)
    assert.equal(later.expiries.length, 1)
  })

  test('an empty wheel catches up without work, one in use does not jump', () => {
    const bench = new Bench()
    bench.nowMs += 12_345
    bench.wheel.catchUp(bench.nowMs)
    assert.ok(bench.nowMs - bench.wheel.nowMs < TICK_MS)
    const probe = bench.probe()
    bench.arm(probe, 20)
    bench.wheel.catchUp(bench.nowMs + 1000)
    assert.ok(bench.wheel.nowMs <= bench.nowMs)
    bench.pass(40)
    assert.equal(probe.expiries.length, 1)
  })

  test('holds 100 000 deadlines, re-armed a million times, and finds each', () => {
    const bench = new Bench()
    const random = createRandom(3)
    const probes = Array.from({ length: 100_000 }, () => bench.probe())
    const dueAt = new Float64Array(probes.length)
    for (let i = 0; i < 1_000_000; i++) {
      const who = i < probes.length ? i : Math.floor(random() * probes.length)
      const delayMs = 300 + Math.floor(random() * 500)
      bench.arm(probes[who]!, delayMs)
      dueAt[who] = bench.nowMs + delayMs
      if (i % 20_000 === 0) bench.pass(TICK_MS / 2)
    }
    assert.equal(bench.wheel.linked + probes.filter(({ expiries }) => expiries.length > 0).length, probes.length)
    while (bench.wheel.linked > 0) bench.pass(TICK_MS)
    for (const [index, probe] of probes.entries()) {
      assert.equal(probe.expiries.length, 1)
      assert.ok(probe.expiries[0]! >= dueAt[index]!)
    }
  })
})

describe('Timers', () => {
  /** Timers on a clock that the test turns. */
  function crank(): { timers: Timers; probe: () => Probe; pass: (ms: number) => void; ticks: () => number } {
    let nowMs = 5000.25
    let ticks = 0
    const timers = new Timers(
      () => nowMs,
      () => ticks++,
    )
    return {
      timers,
      probe: () => new Probe(() => nowMs),
      pass: (ms) => {
        for (let left = ms; left > 0; left--) {
          nowMs++
          mock.timers.tick(1)
        }
      },
      ticks: () => ticks,
    }
  }

  test('short times are kept to within a few milliseconds, long ones to within half a second, none is early', () => {
    mock.timers.enable({ apis: ['setInterval'] })
    const { timers, probe, pass } = crank()
    for (const delayMs of [1, 4, 50, 999, 1000, 3000, 200_000]) {
      const one = probe()
      const armedAt = timers.clock()
      timers.arm(one, delayMs)
      pass(delayMs + 500)
      assert.equal(one.expiries.length, 1, `${delayMs}`)
      const waitedMs = one.expiries[0]! - armedAt
      assert.ok(waitedMs >= delayMs, `${delayMs} ms took ${waitedMs}`)
      assert.ok(waitedMs <= delayMs + (delayMs < 1000 ? 9 : 500), `${delayMs} ms took ${waitedMs}`)
    }
    timers.stop()
    mock.timers.reset()
  })

  test('0 disarms, remove forgets, and a change of wheel leaves nothing behind', () => {
    mock.timers.enable({ apis: ['setInterval'] })
    const { timers, probe, pass } = crank()
    const [zero, removed, moved, back] = [probe(), probe(), probe(), probe()]
    timers.arm(zero, 100)
    timers.arm(zero, 0)
    timers.arm(removed, 100)
    timers.remove(removed)
    timers.remove(removed)
    assert.equal(removed.wheel, null)
    timers.arm(moved, 100)
    timers.arm(moved, 5000)
    timers.arm(back, 5000)
    timers.arm(back, 100)
    pass(1000)
    assert.deepEqual(
      [zero, removed, moved].map(({ expiries }) => expiries.length),
      [0, 0, 0],
    )
    assert.equal(back.expiries.length, 1)
    pass(5000)
    assert.equal(moved.expiries.length, 1)
    assert.equal(back.expiries.length, 1)
    timers.stop()
    mock.timers.reset()
  })

  test('the fine wheel turns only while it holds something', () => {
    mock.timers.enable({ apis: ['setInterval'] })
    const { timers, probe, pass, ticks } = crank()
    let reads = 0
    const one = probe()
    timers.arm(one, 20)
    pass(40)
    assert.equal(one.expiries.length, 1)
    const clock = timers.clock.bind(timers)
    timers.clock = () => {
      reads++
      return clock()
    }
    const before = ticks()
    pass(10_000)
    assert.equal(ticks() - before, 40)
    assert.equal(reads, 40, 'read by the coarse tick alone')
    timers.arm(one, 20)
    pass(40)
    assert.equal(one.expiries.length, 2, 'and it starts again at the right time')
    timers.stop()
    mock.timers.reset()
  })

  test('a deadline is early by no more than the clock was not read before it was armed', () => {
    mock.timers.enable({ apis: ['setInterval'] })
    const { timers, probe, pass } = crank()
    pass(240)
    const one = probe()
    const stale = timers.nowMs
    timers.arm(one, 2000)
    pass(3000)
    assert.ok(one.expiries[0]! - stale >= 2000)
    timers.stop()
    mock.timers.reset()
  })
})
