import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RestartDelay } from '../../src/control/restart-delay.ts'

test('the first replacement comes at once, then 100 ms doubling to 10 s', () => {
  const delay = new RestartDelay()
  const delays = Array.from({ length: 12 }, () => delay.next(1000))
  assert.deepEqual(delays, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000])
})

test('a healthy minute wipes the slate', () => {
  const delay = new RestartDelay()
  for (let death = 0; death < 5; death++) delay.next(0)
  assert.equal(delay.next(60_000), 0)
  assert.equal(delay.next(59_999), 100)
})
