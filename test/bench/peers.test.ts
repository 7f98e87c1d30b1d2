import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { BALANCERS } from '../../bench/peers/balancers.ts'
import type { LoadSample, Samples } from '../../bench/peers/measure.ts'
import {
  describeMachine,
  evidencePage,
  type RowResult,
  ratioOf,
  replaceBetweenMarkers,
  summaryTable,
} from '../../bench/peers/report.ts'
import { BROWSER_FIELDS, ROWS } from '../../bench/peers/rows.ts'
import { slopeOf, spreadOf } from '../../bench/peers/statistics.ts'
import { parseWrk } from '../../bench/peers/wrk.ts'
import { missingPrograms, runPeers } from '../../bench/peers.ts'

test('the bench measures every program under real load without an error', async (t: TestContext) => {
  const peers = BALANCERS.map(({ name }) => name)
  const missing = missingPrograms(peers)
  if (missing.length > 0) {
    t.skip(missing.join('; '))
    return
  }
  const results = await runPeers({ rows: ['small'], peers, rounds: 2, seconds: 1, warmSeconds: 1, log: () => {} })
  const [result] = results as [RowResult]
  for (const name of peers) {
    const samples = (result.samples as Samples<LoadSample>).get(name)!
    assert.equal(samples.length, 2, name)
    for (const { cpuMicrosPerRequest, requestsPerSecond, p50Ms, p99Ms, errors } of samples) {
      // Wide on purpose: the rig is tested here, not a program's speed.
      assert.ok(cpuMicrosPerRequest > 0.5 && cpuMicrosPerRequest < 5000, `${name}: ${cpuMicrosPerRequest} µs`)
      assert.ok(requestsPerSecond > 100, `${name}: ${requestsPerSecond}/s`)
      assert.ok(p50Ms > 0 && p50Ms <= p99Ms, `${name}: p50 ${p50Ms}, p99 ${p99Ms}`)
      assert.equal(errors, 0, name)
    }
  }
  const machine = describeMachine(Object.fromEntries(BALANCERS.map((one) => [one.name, one.version()])))
  for (const [name, version] of Object.entries(machine.versions)) assert.match(version, /^\d+\.\d+/, name)
  const page = evidencePage(results, machine, { rounds: 2, seconds: 1, command: 'test' })
  assert.match(page, /small answer, kept alive/)
  assert.doesNotMatch(page, /NaN|undefined|Infinity/)
})

test('rows have names of their own and the browser-sized head is about 900 bytes', () => {
  assert.equal(new Set(ROWS.map(({ name }) => name)).size, ROWS.length)
  const head = `GET /small HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n${BROWSER_FIELDS.join('\r\n')}\r\n\r\n`
  assert.ok(head.length > 850 && head.length < 1000, `${head.length} bytes`)
})

test('what wrk prints is read in every unit, errors included', () => {
  const text = `Running 1s test @ http://127.0.0.1:1/small
  Latency Distribution
     50%  860.00us
     75%    1.00ms
     90%    1.20ms
     99%    1.26s 
  71033 requests in 1.00s, 14.00MB read
  Socket errors: connect 1, read 2, write 0, timeout 3
  Non-2xx or 3xx responses: 4
Requests/sec:  71033.12
`
  const expected = { requests: 71033, requestsPerSecond: 71033.12, p50Ms: 0.86, p99Ms: 1260, errors: 10 }
  assert.deepEqual(parseWrk(text), expected)
  assert.throws(() => parseWrk('unable to connect'), /could not be read/)
})

test('the ratio is taken round by round, to the better of the two', () => {
  const sample = (round: number, cpuMicrosPerRequest: number): LoadSample => ({
    round,
    cpuMicrosPerRequest,
    requestsPerSecond: 1,
    p50Ms: 1,
    p99Ms: 1,
    errors: 0,
  })
  // The machine is twice as slow in round 1, for everybody.
  const result: RowResult = {
    row: ROWS[0] as Extract<(typeof ROWS)[number], { kind: 'load' }>,
    samples: new Map([
      ['nginx', [sample(0, 20), sample(1, 40), sample(2, 20)]],
      ['haproxy', [sample(0, 10), sample(1, 20), sample(2, 10)]],
      ['evenkeel', [sample(0, 11), sample(1, 22), sample(2, 12)]],
    ]),
  }
  assert.equal(ratioOf(result)?.to, 'haproxy')
  assert.equal(ratioOf(result)?.ratio.median, 1.1)
  const machine = { cpu: 'x', cores: 2, memoryGiB: 1, kernel: 'k', date: 'd', commit: 'c' }
  const table = summaryTable([result], { ...machine, versions: { nginx: '1.2', haproxy: '2.6', evenkeel: '0.1' } })
  assert.match(table, /\*\*1\.10\*\* \(HAProxy\) \| ≤ 1\.1 \|/)
})

test('median, quartiles and slope are those of the textbook', () => {
  assert.deepEqual(spreadOf([4, 1, 3, 2, 5]), { median: 3, lower: 2, upper: 4 })
  assert.deepEqual(spreadOf([1, 2]), { median: 1.5, lower: 1.25, upper: 1.75 })
  assert.ok(Number.isNaN(spreadOf([]).median))
  assert.equal(
    slopeOf([
      [0, 1],
      [1, 3],
      [2, 5],
    ]),
    2,
  )
})

test('a table replaces only what stands between the markers', () => {
  const text = 'a\n<!-- bench:peers -->\nold\n<!-- /bench:peers -->\nb\n'
  assert.equal(replaceBetweenMarkers(text, 'new'), 'a\n<!-- bench:peers -->\nnew\n<!-- /bench:peers -->\nb\n')
  assert.equal(replaceBetweenMarkers('no markers', 'new'), null)
})
