import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ERROR_CODES, ERROR_INDEX } from '../../src/core/errors.ts'
import {
  COUNTERS,
  Counter,
  type CounterKey,
  ERROR_COUNTER_BASE,
  errorCounter,
  OPEN_COUNTERS,
  responseCounter,
  WORKER_COUNTERS,
} from '../../src/observe/counters.ts'

test('each index constant points at the row of its own key', () => {
  const keys = Object.keys(Counter) as CounterKey[]
  assert.equal(keys.length, COUNTERS.length)
  for (const key of keys) assert.equal(COUNTERS[Counter[key]]?.key, key)
})

test('error counters follow the named ones, one for each code', () => {
  assert.equal(ERROR_COUNTER_BASE, COUNTERS.length)
  assert.equal(WORKER_COUNTERS, COUNTERS.length + ERROR_CODES.length)
  assert.equal(errorCounter(ERROR_INDEX.EK_BAD_METHOD), ERROR_COUNTER_BASE)
  assert.equal(errorCounter(ERROR_CODES.length - 1), WORKER_COUNTERS - 1)
})

test('every status from 100 to 599 is counted in its class', () => {
  for (let status = 100; status < 600; status++) {
    assert.equal(COUNTERS[responseCounter(status)]?.labels?.['class'], `${Math.trunc(status / 100)}xx`)
  }
})

test('names follow the style: counters end in _total, gauges do not, and equal names agree on everything but labels', () => {
  const seen = new Map<string, string>()
  for (const { name, kind, help, unit } of COUNTERS) {
    assert.match(name, /^evenkeel_worker_[a-z0-9]+(_[a-z0-9]+)*$/)
    assert.equal(name.endsWith('_total'), kind === 'counter', name)
    assert.match(help, /^[A-Z].*\.$/)
    const facts = `${kind} ${unit} ${help}`
    assert.equal(seen.get(name) ?? facts, facts)
    seen.set(name, facts)
  }
})

test('what a dead worker must not leave behind is exactly the gauges', () => {
  assert.deepEqual(
    OPEN_COUNTERS.map((index) => COUNTERS[index]?.key),
    ['CONNECTIONS_OPEN', 'EXCHANGES_OPEN', 'TUNNELS_OPEN', 'UPSTREAM_CONNECTIONS_OPEN'],
  )
})
