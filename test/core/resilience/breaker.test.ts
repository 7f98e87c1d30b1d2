import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Xoshiro128 } from '../../../src/core/random.ts'
import {
  BREAKER_TRANSITIONS,
  BREAKER_WORDS,
  BreakerEvent,
  type BreakerOptions,
  BreakerOutcome,
  BreakerState,
  Breakers,
  REFUSED,
} from '../../../src/core/resilience/breaker.ts'
import { assertAllocatesNothing } from '../../contract/bytes-per-call.ts'

const { CLOSED, OPEN, HALF_OPEN } = BreakerState
const { SUCCESS, FAILURE, IGNORED } = BreakerOutcome

/** One breaker with attempts that end at once. */
class Driver {
  readonly breakers: Breakers
  now = 1_790_000_000_000

  constructor(options: BreakerOptions = {}) {
    this.breakers = new Breakers(1, options)
  }

  get state(): BreakerState {
    return this.breakers.stateOf(0)
  }

  admit(): number {
    return this.breakers.admit(0, this.now)
  }

  record(permit: number, outcome: BreakerOutcome, latencyMs = 1): void {
    this.breakers.record(0, permit, this.now, outcome, latencyMs)
  }

  /** How many of `times` attempts were let through. */
  attempts(times: number, outcome: BreakerOutcome, latencyMs = 1): number {
    let admitted = 0
    for (let i = 0; i < times; i++) {
      const permit = this.admit()
      if (permit === REFUSED) continue
      admitted++
      this.record(permit, outcome, latencyMs)
    }
    return admitted
  }
}

describe("a breaker's table", () => {
  test('has a state for every state and event, and only the transitions that the glossary knows', () => {
    const found = new Map<string, string>()
    const names = ['closed', 'open', 'half-open']
    for (const [from, row] of BREAKER_TRANSITIONS.entries()) {
      assert.equal(row.length, Object.keys(BreakerEvent).length)
      for (const [name, event] of Object.entries(BreakerEvent)) {
        const to = row[event]!
        if (to !== from) found.set(`${names[from]} ${name}`, names[to]!)
      }
    }
    assert.deepEqual(
      [...found],
      [
        ['closed TRIPPED', 'open'],
        ['open PERIOD_ENDED', 'half-open'],
        ['open RESET', 'closed'],
        ['half-open TRIAL_FAILED', 'open'],
        ['half-open TRIALS_PASSED', 'closed'],
        ['half-open TRIALS_LOST', 'open'],
        ['half-open RESET', 'closed'],
      ],
    )
  })
})

describe('a breaker', () => {
  test('opens at the fifth failure in a row; a success in between begins anew', () => {
    const driver = new Driver()
    driver.attempts(4, FAILURE)
    driver.attempts(1, SUCCESS)
    driver.attempts(4, FAILURE)
    assert.equal(driver.state, CLOSED)
    driver.attempts(1, FAILURE)
    assert.equal(driver.state, OPEN)
    assert.equal(driver.attempts(100, SUCCESS), 0)
  })

  test('what the client broke off counts as nothing', () => {
    const driver = new Driver()
    driver.attempts(4, FAILURE)
    driver.attempts(50, IGNORED)
    driver.attempts(1, FAILURE)
    assert.equal(driver.state, OPEN)
  })

  test('is open for its period, then lets one trial at a time through, and closes after two good ones', () => {
    const driver = new Driver({ openMs: 10_000 })
    driver.attempts(5, FAILURE)
    driver.now += 9_990
    assert.equal(driver.admit(), REFUSED)
    driver.now += 10
    const trial = driver.admit()
    assert.notEqual(trial, REFUSED)
    assert.equal(driver.state, HALF_OPEN)
    assert.equal(driver.admit(), REFUSED)
    driver.record(trial, SUCCESS)
    assert.equal(driver.state, HALF_OPEN)
    assert.equal(driver.attempts(1, SUCCESS), 1)
    assert.equal(driver.state, CLOSED)
    assert.equal(driver.attempts(4, FAILURE), 4)
    assert.equal(driver.state, CLOSED)
  })

  test('lets as many trials run at once as it is told, never more', () => {
    const driver = new Driver({ trials: 3, trialsToClose: 10 })
    driver.attempts(5, FAILURE)
    driver.now += 10_000
    const permits = Array.from({ length: 10 }, () => driver.admit()).filter((permit) => permit !== REFUSED)
    assert.equal(permits.length, 3)
    driver.record(permits[0]!, SUCCESS)
    driver.record(permits[1]!, IGNORED)
    assert.deepEqual([driver.admit(), driver.admit(), driver.admit()].filter((permit) => permit !== REFUSED).length, 2)
  })

  test('opens again at one failed trial, each time for longer up to the maximum, and at first again once it was well for a window', () => {
    const driver = new Driver({ openMs: 1000, openFactor: 2, maxOpenMs: 5000, trialsToClose: 1 })
    driver.attempts(5, FAILURE)
    for (const period of [1000, 2000, 4000, 5000, 5000]) {
      driver.now += period - 10
      assert.equal(driver.admit(), REFUSED, `${period}`)
      driver.now += 10
      assert.equal(driver.attempts(1, FAILURE), 1)
      assert.equal(driver.state, OPEN)
    }
    driver.now += 5000
    driver.attempts(1, SUCCESS)
    assert.equal(driver.state, CLOSED)
    driver.now += 9_000
    driver.attempts(1, SUCCESS)
    driver.attempts(5, FAILURE)
    driver.now += 4_990
    assert.equal(driver.admit(), REFUSED, 'not yet well for a window')
    driver.now += 10
    driver.attempts(1, SUCCESS)
    driver.now += 10_000
    driver.attempts(1, SUCCESS)
    driver.attempts(5, FAILURE)
    driver.now += 1000
    assert.notEqual(driver.admit(), REFUSED)
  })

  test('an attempt from before it opened says nothing about a trial', () => {
    const driver = new Driver({ trialsToClose: 1 })
    const old = [driver.admit(), driver.admit()]
    driver.attempts(5, FAILURE)
    driver.record(old[0]!, SUCCESS)
    assert.equal(driver.state, OPEN)
    driver.now += 10_000
    const trial = driver.admit()
    driver.record(old[1]!, FAILURE)
    assert.equal(driver.state, HALF_OPEN)
    driver.record(trial, SUCCESS)
    assert.equal(driver.state, CLOSED)
    // A trial's permit is void after it too.
    driver.attempts(4, FAILURE)
    driver.record(trial, FAILURE)
    assert.equal(driver.state, CLOSED)
  })

  test('does not stay half-open for ever when its trials never end', () => {
    const driver = new Driver({ trialTimeoutMs: 30_000, openMs: 10_000 })
    driver.attempts(5, FAILURE)
    driver.now += 10_000
    const lost = driver.admit()
    assert.notEqual(lost, REFUSED)
    driver.now += 29_990
    assert.equal(driver.admit(), REFUSED)
    assert.equal(driver.state, HALF_OPEN)
    driver.now += 10
    assert.equal(driver.admit(), REFUSED)
    assert.equal(driver.state, OPEN)
    driver.record(lost, SUCCESS)
    assert.equal(driver.state, OPEN)
    driver.now += 20_000
    assert.notEqual(driver.admit(), REFUSED)
    for (const outcome of [SUCCESS, FAILURE, IGNORED]) driver.record(lost, outcome)
    assert.equal(driver.state, HALF_OPEN, 'a trial of an earlier time neither closes nor opens it')
    assert.equal(driver.admit(), REFUSED, 'nor gives a place back that it does not hold')
  })

  test('failures from before it opened do not open it again once it is closed', () => {
    const driver = new Driver({ trialsToClose: 1 })
    const old = Array.from({ length: 10 }, () => driver.admit())
    driver.attempts(5, FAILURE)
    driver.now += 10_000
    driver.attempts(1, SUCCESS)
    for (const permit of old) driver.record(permit, FAILURE)
    assert.equal(driver.state, CLOSED)
  })

  test('opens by the share of failures in the window, once there are enough', () => {
    const options = { consecutiveFailures: 0, errorRatio: 0.5, minRequests: 20 }
    const driver = new Driver(options)
    driver.attempts(19, FAILURE)
    assert.equal(driver.state, CLOSED)
    driver.attempts(1, FAILURE)
    assert.equal(driver.state, OPEN)
    const mixed = new Driver(options)
    mixed.attempts(51, SUCCESS)
    mixed.attempts(50, FAILURE)
    assert.equal(mixed.state, CLOSED)
    mixed.attempts(1, FAILURE)
    assert.equal(mixed.state, OPEN)
    const slow = new Driver(options)
    for (let i = 0; i < 200; i++) {
      slow.now += 1000
      slow.attempts(1, FAILURE)
    }
    assert.equal(slow.state, CLOSED, 'ten in ten seconds are not enough to say')
  })

  test('opens by the quantile of latencies: at the rank that is slow, not at one before', () => {
    for (const [quantile, answers] of [
      [0.95, 100],
      [0.9, 30],
      [0.5, 21],
      [0.99, 250],
    ] as const) {
      const driver = new Driver({ slowMs: 200, slowQuantile: quantile, minRequests: 20 })
      // The quantile, at rank ⌈q · n⌉, is fast as long as so many are.
      const fast = Math.ceil(quantile * answers)
      driver.attempts(fast, SUCCESS, 200)
      const slow = answers - fast
      assert.equal(driver.attempts(slow, SUCCESS, 201), slow)
      assert.equal(driver.state, CLOSED, `${quantile}`)
      const more = driver.attempts(200, SUCCESS, 201)
      assert.equal(driver.state, OPEN)
      const total = answers + more
      assert.ok(fast < Math.ceil(quantile * total) && fast >= Math.ceil(quantile * (total - 1)), `${quantile}: ${more}`)
    }
  })

  test('takes a slow trial for a failed one where it minds latency', () => {
    const driver = new Driver({ slowMs: 100 })
    driver.attempts(5, FAILURE)
    driver.now += 10_000
    driver.attempts(1, SUCCESS, 101)
    assert.equal(driver.state, OPEN)
  })

  test('can be closed by hand, which forgets what was counted', () => {
    const driver = new Driver({ openMs: 1000 })
    driver.attempts(5, FAILURE)
    driver.breakers.reset(0, driver.now)
    assert.equal(driver.state, CLOSED)
    driver.attempts(4, FAILURE)
    driver.breakers.reset(0, driver.now)
    driver.attempts(4, FAILURE)
    assert.equal(driver.state, CLOSED)
    driver.attempts(1, FAILURE)
    driver.now += 1000
    assert.notEqual(driver.admit(), REFUSED, 'open for the first period, not a later one')
  })

  test('keeps each slot to itself, in words that the caller may own, zero for closed', () => {
    const words = new Int32Array(3 * BREAKER_WORDS)
    const breakers = new Breakers(3, {}, words)
    for (let i = 0; i < 5; i++) breakers.record(1, breakers.admit(1, 5000), 5000, FAILURE, 1)
    assert.deepEqual(
      [0, 1, 2].map((slot) => breakers.stateOf(slot)),
      [CLOSED, OPEN, CLOSED],
    )
    assert.ok(words.subarray(0, BREAKER_WORDS).every((word) => word === 0))
    assert.ok(words.subarray(2 * BREAKER_WORDS).every((word) => word === 0))
    assert.equal(new Breakers(3, {}, words).admit(1, 5000), REFUSED)
  })

  test('works where the times in memory run over', () => {
    // Ticks of 10 ms change sign at 2^31 · 10 ms.
    for (const now of [2 ** 31 * 10 - 5000, 2 ** 32 * 10 - 5000]) {
      const driver = new Driver({ openMs: 10_000, trialsToClose: 1 })
      driver.now = now
      driver.attempts(5, FAILURE)
      driver.now += 9_990
      assert.equal(driver.admit(), REFUSED)
      driver.now += 10
      driver.attempts(1, SUCCESS)
      assert.equal(driver.state, CLOSED)
    }
  })

  test('in any course of events admits only by its state, and never more trials than it may', () => {
    const chance = new Xoshiro128(91)
    const driver = new Driver({
      trials: 2,
      trialsToClose: 3,
      openMs: 500,
      maxOpenMs: 2000,
      errorRatio: 0.5,
      minRequests: 10,
    })
    let running: { permit: number; period: number; trial: boolean }[] = []
    let period = 0
    let last: BreakerState = CLOSED
    const seen = new Set<string>()
    const look = (): void => {
      if (driver.state === last) return
      seen.add(`${last}→${driver.state}`)
      last = driver.state
      period++
    }
    for (let i = 0; i < 100_000; i++) {
      driver.now += chance.below(50)
      if (chance.below(2) === 0) {
        const permit = driver.admit()
        look()
        if (permit === REFUSED) {
          assert.notEqual(driver.state, CLOSED)
          continue
        }
        assert.notEqual(driver.state, OPEN)
        running.push({ permit, period, trial: driver.state === HALF_OPEN })
        assert.ok(running.filter((one) => one.trial && one.period === period).length <= 2)
      } else if (running.length > 0) {
        const [one] = running.splice(chance.below(running.length), 1)
        const before = driver.state
        driver.record(one!.permit, chance.below(10) < 4 ? FAILURE : chance.below(10) === 0 ? IGNORED : SUCCESS)
        if (one!.period !== period) assert.equal(driver.state, before)
        look()
      }
      if (running.length > 50) running = running.slice(25).concat(running.slice(0, 25))
    }
    assert.deepEqual([...seen].sort(), ['0→1', '1→2', '2→0', '2→1'])
  })

  test('refuses options that make no sense', () => {
    for (const options of [
      { consecutiveFailures: -1 },
      { consecutiveFailures: 1.5 },
      { errorRatio: 2 },
      { slowMs: 0 },
      { slowQuantile: 1 },
      { minRequests: 0 },
      { windowMs: 5 },
      { openMs: 0 },
      { openMs: 2000, maxOpenMs: 1000 },
      { openFactor: 0.5 },
      { trials: 0 },
      { trialsToClose: 0 },
      { trialTimeoutMs: 0 },
      { maxOpenMs: 1e9 },
    ]) {
      assert.throws(() => new Breakers(1, options), RangeError, JSON.stringify(options))
    }
    assert.throws(() => new Breakers(2, {}, new Int32Array(BREAKER_WORDS)), RangeError)
    assert.equal(new Breakers(1, { openMs: 120_000 }).stateOf(0), CLOSED)
  })

  test('allocates nothing', () => {
    const breakers = new Breakers(2, { errorRatio: 0.9, slowMs: 100, openMs: 10 })
    assertAllocatesNothing((calls) => {
      for (let i = 0; i < calls; i++) {
        const permit = breakers.admit(i & 1, i)
        if (permit !== REFUSED) breakers.record(i & 1, permit, i, i % 3 === 0 ? FAILURE : SUCCESS, i % 150)
      }
    })
  })
})
