import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseConfig } from '../../src/config/parse.ts'
import type { Config, Settings } from '../../src/config/schema.ts'
import { maySharePorts, workerCount, workerHeapMb } from '../../src/control/sizing.ts'

function settings(workers: Config['workers'], ...binds: readonly string[]): Settings {
  const listeners = binds.map((bind, index) => ({ name: `l${index}`, bind }))
  return parseConfig({ version: 1, ...(workers === undefined ? {} : { workers }), listeners, pools: {} }).settings!
}

test('the option decides about sharing ports, then the environment, then the platform', () => {
  assert.equal(maySharePorts(undefined, {}, 'linux'), true)
  assert.equal(maySharePorts(undefined, {}, 'darwin'), false)
  assert.equal(maySharePorts(undefined, {}, 'win32'), false)
  assert.equal(maySharePorts(undefined, { EVENKEEL_NO_REUSEPORT: '1' }, 'linux'), false)
  assert.equal(maySharePorts(true, { EVENKEEL_NO_REUSEPORT: '1' }, 'darwin'), true)
  assert.equal(maySharePorts(false, {}, 'linux'), false)
})

test('auto takes one worker where more could not listen; a number is what it says', () => {
  assert.equal(workerCount(settings('auto', 'unix:/run/a.sock'), true), 1)
  assert.equal(workerCount(settings(undefined, ':8080'), false), 1)
  assert.ok(workerCount(settings('auto', 'unix:/run/a.sock', ':8080'), true) >= 1)
  assert.equal(workerCount(settings(3, 'unix:/run/a.sock'), false), 3)
})

test("a worker's heap has a floor and a ceiling", () => {
  assert.equal(workerHeapMb(10_000), 256)
  assert.ok(workerHeapMb(1) <= 4096)
})
