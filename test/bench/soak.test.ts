import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KINDS } from '../../bench/soak/traffic.ts'
import { runSoak, verdict } from '../../bench/soak.ts'

test('a short soak of every kind of traffic leaves nothing open and surprises no client', async (t) => {
  const result = await runSoak({ minutes: 0.1, sampleEveryMs: 500, settleMs: 6000, log: (line) => t.diagnostic(line) })
  assert.deepEqual(verdict(result), [])
  assert.ok(result.samples.length >= 5, `${result.samples.length} samples`)
  assert.equal(result.tallies.size, KINDS.length)
})

test('the verdict names each thing that is wrong', () => {
  const tally = (done: number, reasons: [string, number][] = []) => ({
    done,
    failed: reasons.reduce((sum, [, times]) => sum + times, 0),
    reasons: new Map(reasons),
  })
  const good = {
    minutes: 30,
    tallies: new Map([['GET', tally(5)]]),
    samples: [],
    slope: 0.2,
    descriptorsBefore: 40,
    descriptorsAfter: 40,
    moreDescriptors: [],
    gauges: ['evenkeel_listener_open_connections 0'],
    leftOver: [],
    exitCode: 0,
  }
  assert.deepEqual(verdict(good), [])
  const bad = verdict({
    ...good,
    tallies: new Map([
      ['GET', tally(5, [['status 502', 2]])],
      ['upload', tally(0)],
    ]),
    slope: 1.5,
    descriptorsAfter: 42,
    moreDescriptors: ['socket +2'],
    leftOver: ['evenkeel_listener_open_connections 3'],
    exitCode: 1,
  })
  assert.equal(bad.length, 6, bad.join('\n'))
})
