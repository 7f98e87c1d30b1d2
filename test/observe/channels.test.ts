import assert from 'node:assert/strict'
import diagnostics from 'node:diagnostics_channel'
import { test } from 'node:test'
import { CHANNEL_NAMES, type WorkerReplaced, workerReplaced } from '../../src/observe/channels.ts'

const context: WorkerReplaced = {
  balancer: 'a',
  worker: 1,
  reason: 'error',
  detail: 'thrown',
  restarts: 1,
  delayMs: 0,
}

test('builds nothing while nobody listens', () => {
  workerReplaced.publish(() => {
    throw new Error('built')
  })
})

test('a subscriber gets each message until it leaves', () => {
  const seen: WorkerReplaced[] = []
  const leave = workerReplaced.subscribe((message) => seen.push(message))
  workerReplaced.publish(() => context)
  leave()
  workerReplaced.publish(() => context)
  assert.deepEqual(seen, [context])
})

test('the names are those that a program subscribes to without importing us', () => {
  assert.deepEqual(CHANNEL_NAMES, ['evenkeel:worker:replaced', 'evenkeel:endpoint:changed', 'evenkeel:config:reloaded'])
  let seen: unknown
  const onMessage = (message: unknown): void => {
    seen = message
  }
  diagnostics.subscribe('evenkeel:worker:replaced', onMessage)
  workerReplaced.publish(() => context)
  diagnostics.unsubscribe('evenkeel:worker:replaced', onMessage)
  assert.equal(seen, context)
})
