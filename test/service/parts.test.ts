/** The smaller parts of the service, each by itself. */
import assert from 'node:assert/strict'
import { homedir } from 'node:os'
import { test } from 'node:test'
import { ControlCalls } from '../../src/service/control-calls.ts'
import type { ServiceEvent } from '../../src/service/protocol.ts'
import { bucketQuantile } from '../../src/service/quantile.ts'
import { RateLimit } from '../../src/service/rate-limit.ts'
import { isLoopback, isOwnHost } from '../../src/service/request-guard.ts'
import { defaultTokenFile, searchedStateDirectories, stateDirectory } from '../../src/service/state-directory.ts'
import { unfitReasons } from '../../src/service/status.ts'
import { duration } from '../../src/service/status-page.ts'

test('a bucket gives its burst at once and then its rate', () => {
  const limit = new RateLimit(50, 50, 10)
  let nowMs = 1000
  const taken = (): number => Array.from({ length: 200 }, () => limit.take('a', nowMs)).filter(Boolean).length
  assert.equal(taken(), 50)
  nowMs += 100
  assert.equal(taken(), 5)
  nowMs += 60_000
  assert.equal(taken(), 50)
  assert.ok(limit.take('b', nowMs), 'another address has its own')
})

test('a rate limit holds a bounded number of addresses and forgets the one unused for longest', () => {
  const limit = new RateLimit(1, 1, 3)
  for (const address of ['a', 'b', 'c']) limit.take(address, 0)
  limit.take('a', 0)
  limit.take('d', 0)
  assert.equal(limit.size, 3)
  assert.equal(limit.take('a', 0), false)
  assert.equal(limit.take('b', 0), true)
})

test('calls are matched with their answers, in whatever order they come', async () => {
  const sent: ServiceEvent[] = []
  const calls = new ControlCalls((event) => sent.push(event), 1000)
  const first = calls.call({ name: 'reload' })
  const second = calls.call({ name: 'kill-worker', index: 1 })
  const [a, b] = sent as { id: number }[]
  calls.result(b!.id, { ok: true, version: 2 })
  calls.result(a!.id, { ok: true, version: 1 })
  calls.result(a!.id, { ok: true, version: 99 })
  calls.result(12_345, { ok: true, version: 99 })
  assert.deepEqual(await first, { ok: true, version: 1 })
  assert.deepEqual(await second, { ok: true, version: 2 })
})

test('a call that control does not answer ends as a 504, and a late answer is ignored', async () => {
  const sent: ServiceEvent[] = []
  const calls = new ControlCalls((event) => sent.push(event), 20)
  const result = await calls.call({ name: 'reload' })
  assert.ok(!result.ok && result.status === 504)
  calls.result((sent[0] as { id: number }).id, { ok: true, version: 1 })
})

test('calls that wait are bounded, and a close answers them all', async () => {
  const calls = new ControlCalls(() => {}, 60_000)
  const waiting = Array.from({ length: 256 }, () => calls.call({ name: 'reload' }))
  const refused = await calls.call({ name: 'reload' })
  assert.ok(!refused.ok && refused.status === 503)
  calls.close()
  for (const result of await Promise.all(waiting)) assert.ok(!result.ok && result.status === 503)
  const after = await calls.call({ name: 'reload' })
  assert.ok(!after.ok && after.status === 503)
})

test('a quantile lies in the bucket that holds it, and never above the last bound', () => {
  const bounds = [1, 10, 100]
  assert.equal(bucketQuantile(bounds, [0, 0, 0, 0], 0.5), null)
  assert.equal(bucketQuantile(bounds, [10, 0, 0, 0], 0.5), 0.5)
  assert.equal(bucketQuantile(bounds, [0, 10, 0, 0], 0), 1)
  assert.equal(bucketQuantile(bounds, [0, 10, 0, 0], 1), 10)
  assert.equal(bucketQuantile(bounds, [5, 0, 5, 0], 0.99), 10 + 90 * ((9.9 - 5) / 5))
  assert.equal(bucketQuantile(bounds, [0, 0, 0, 4], 0.5), 100)
  assert.equal(bucketQuantile(bounds, [1, 0, 0, 1], 0.5), 1)
})

test('the host of a request is ours by loopback name or by the bound literal, not by what resembles them', () => {
  for (const host of ['localhost', 'localhost:1', '127.0.0.1', '127.1.2.3:9090', '[::1]', '[::1]:9090']) {
    assert.ok(isOwnHost(host, '127.0.0.1'), host)
  }
  for (const host of [
    '',
    'a',
    '::1',
    '10.0.0.1',
    'localhost.',
    '127.0.0.1.',
    '127.1',
    '0x7f.1',
    'localhost:x',
    'a@localhost',
  ]) {
    assert.ok(!isOwnHost(host, '127.0.0.1'), host)
  }
  assert.ok(isOwnHost('10.0.0.1:9090', '10.0.0.1'))
  assert.ok(!isOwnHost('10.0.0.2:9090', '10.0.0.1'))
  assert.ok(isOwnHost('10.0.0.2:9090', '0.0.0.0'))
  assert.ok(isOwnHost('[fe80::1]:9090', '::'))
  assert.ok(!isOwnHost('name.example', '0.0.0.0'))
})

test('loopback is 127.0.0.0/8 and ::1', () => {
  for (const literal of ['127.0.0.1', '127.255.0.1', '::1', '::ffff:127.0.0.1']) assert.ok(isLoopback(literal), literal)
  for (const literal of ['0.0.0.0', '::', '128.0.0.1', '::2', '::ffff:10.0.0.1', 'localhost']) {
    assert.ok(!isLoopback(literal), literal)
  }
})

test('the state directory is the first that applies', () => {
  assert.equal(stateDirectory({ EVENKEEL_STATE_DIR: '/s', XDG_STATE_HOME: '/x' }, true), '/s')
  assert.equal(stateDirectory({ STATE_DIRECTORY: '/var/lib/a:/var/lib/b' }, false), '/var/lib/a')
  assert.equal(stateDirectory({ EVENKEEL_STATE_DIR: 'relative', XDG_STATE_HOME: '/x' }, true), '/x/evenkeel')
  assert.equal(stateDirectory({}, true), '/var/lib/evenkeel')
  assert.equal(stateDirectory({}, false), `${homedir()}/.local/state/evenkeel`)
  assert.equal(defaultTokenFile({ EVENKEEL_STATE_DIR: '/s' }), '/s/token')
  assert.equal(defaultTokenFile({ EVENKEEL_TOKEN_FILE: '/t', EVENKEEL_STATE_DIR: '/s' }), '/t')
  assert.deepEqual(searchedStateDirectories({ EVENKEEL_STATE_DIR: '/s' }, false), ['/s'])
  assert.deepEqual(searchedStateDirectories({ XDG_STATE_HOME: '/x' }, false), ['/x/evenkeel', '/var/lib/evenkeel'])
  assert.deepEqual(searchedStateDirectories({}, true), ['/var/lib/evenkeel'])
})

test('every bit of fitness has its word', () => {
  assert.deepEqual(unfitReasons(0), [])
  assert.deepEqual(unfitReasons(31), ['unhealthy', 'passive', 'draining', 'maintenance', 'retired'])
})

test('a duration shows its two largest units', () => {
  const cases: [number, string][] = [
    [0, '0 s'],
    [59_999, '59 s'],
    [61_000, '1 min 1 s'],
    [3_600_000, '1 h 0 min'],
    [90_000_000, '1 d 1 h'],
  ]
  for (const [ms, text] of cases) assert.equal(duration(ms), text)
})
