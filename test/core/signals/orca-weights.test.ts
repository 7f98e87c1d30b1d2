import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { OrcaReport } from '../../../src/core/signals/orca-report.ts'
import { OrcaWeights, orcaUtilization, orcaWeight } from '../../../src/core/signals/orca-weights.ts'
import { assertAllocatesNothing } from '../../contract/bytes-per-call.ts'

const report = (scalars: Partial<OrcaReport>): OrcaReport => ({
  utilization: new Map(),
  requestCost: new Map(),
  namedMetrics: new Map(),
  ...scalars,
})
const SECOND = 1000

/** Reports of a slot each second, from and to these seconds. */
function reporting(weights: OrcaWeights, slot: number, from: number, to: number, rps = 100): void {
  for (let second = from; second <= to; second++) {
    weights.report(slot, report({ rps, cpuUtilization: 0.5 }), second * SECOND)
  }
}

describe('weights from load reports (gRFC A58)', () => {
  test('by hand: 100 rps at 50 % are 200; with 10 errors a second 100 / (0.5 + 0.1) = 166.7; with penalty 2 142.9', () => {
    assert.equal(orcaWeight(100, 0, 0.5, 1), 200)
    assert.ok(Math.abs(orcaWeight(100, 10, 0.5, 1) - 1000 / 6) < 1e-9)
    assert.ok(Math.abs(orcaWeight(100, 10, 0.5, 2) - 1000 / 7) < 1e-9)
    assert.equal(orcaWeight(100, 10, 0.5, 0), 200)
  })

  test('there is none without requests or without utilisation, and never one that is not finite', () => {
    for (const [rps, utilization] of [
      [0, 0.5],
      [100, 0],
      [-1, 0.5],
      [Number.NaN, 0.5],
      [100, Number.NaN],
      [1e300, 1e-300],
    ] as const) {
      assert.equal(orcaWeight(rps, 1, utilization, 1), 0)
    }
  })

  test('utilisation is the application’s, else the largest metric named, else that of the CPU', () => {
    const full = report({ applicationUtilization: 0.7, cpuUtilization: 0.2, memUtilization: 0.3 })
    full.namedMetrics.set('queue', 0.6)
    full.utilization.set('disk', 0.4)
    const metrics = ['named_metrics.queue', 'utilization.disk', 'mem_utilization', 'named_metrics.absent', 'nonsense']
    assert.equal(orcaUtilization(full, metrics), 0.7)
    full.applicationUtilization = 0
    assert.equal(orcaUtilization(full, metrics), 0.6)
    assert.equal(orcaUtilization(full, metrics.slice(1)), 0.4)
    assert.equal(orcaUtilization(full, ['cpu_utilization', 'mem_utilization']), 0.3)
    assert.equal(orcaUtilization(full, []), 0.2)
    assert.equal(orcaUtilization(report({}), []), 0)
  })

  test('count after 10 s of reports and not before', () => {
    const weights = new OrcaWeights(1)
    reporting(weights, 0, 100, 109)
    assert.equal(weights.weightOf(0, 109_999), 0)
    assert.equal(weights.weightOf(0, 110_000), 200)
  })

  test('end 3 minutes after the last report; then the blackout begins anew', () => {
    const weights = new OrcaWeights(1)
    reporting(weights, 0, 1, 20)
    assert.equal(weights.weightOf(0, 199_999), 200)
    assert.equal(weights.weightOf(0, 200_000), 0)
    weights.report(0, report({ rps: 100, cpuUtilization: 0.5 }), 300_000)
    assert.equal(weights.weightOf(0, 305_000), 0)
    assert.equal(weights.weightOf(0, 310_000), 200)
  })

  test('of an endpoint that comes back wait for the blackout, though nothing expired', () => {
    const weights = new OrcaWeights(1)
    reporting(weights, 0, 1, 20)
    weights.becameReady(0)
    assert.equal(weights.weightOf(0, 20_500), 0)
    reporting(weights, 0, 21, 30)
    assert.equal(weights.weightOf(0, 30_999), 0)
    assert.equal(weights.weightOf(0, 31_000), 200)
  })

  test('without a blackout count at once', () => {
    const weights = new OrcaWeights(1, { blackoutMs: 0 })
    assert.equal(weights.weightOf(0, 1), 0)
    weights.report(0, report({ rps: 10, cpuUtilization: 0.1 }), 5)
    assert.equal(weights.weightOf(0, 5), 100)
  })

  test('a report that says nothing changes nothing', () => {
    const weights = new OrcaWeights(1)
    reporting(weights, 0, 1, 20)
    assert.equal(weights.report(0, report({ rps: 0, cpuUtilization: 0.9 }), 30_000), false)
    assert.equal(weights.weightOf(0, 30_000), 200)
  })

  test('endpoints without one get the mean of the others; all get the same while fewer than two have one', () => {
    const weights = new OrcaWeights(4)
    const out = new Float64Array(4)
    const slots = Int32Array.of(3, 0, 2, 1)
    assert.equal(weights.weightsOf(slots, 4, 20_000, out), 0)
    assert.deepEqual(Array.from(out), [1, 1, 1, 1])
    reporting(weights, 0, 1, 20, 100)
    assert.equal(weights.weightsOf(slots, 4, 20_000, out), 1)
    assert.deepEqual(Array.from(out), [1, 1, 1, 1])
    reporting(weights, 2, 1, 20, 50)
    assert.equal(weights.weightsOf(slots, 4, 20_000, out), 2)
    assert.deepEqual(Array.from(out), [150, 200, 100, 150])
  })

  test('a slot that is reset knows nothing', () => {
    const weights = new OrcaWeights(1)
    reporting(weights, 0, 1, 20)
    weights.reset(0)
    assert.equal(weights.weightOf(0, 20_000), 0)
    weights.report(0, report({ rps: 100, cpuUtilization: 0.5 }), 21_000)
    assert.equal(weights.weightOf(0, 22_000), 0)
  })

  test('refuses options that make no sense', () => {
    for (const options of [
      { blackoutMs: -1 },
      { expirationMs: 0 },
      { errorUtilizationPenalty: -1 },
      { errorUtilizationPenalty: Number.NaN },
    ]) {
      assert.throws(() => new OrcaWeights(1, options), RangeError)
    }
  })

  test('allocate nothing when they are asked for', () => {
    const weights = new OrcaWeights(8)
    for (let slot = 0; slot < 6; slot++) reporting(weights, slot, 1, 20, 10 + slot)
    const slots = Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7)
    const out = new Float64Array(8)
    assertAllocatesNothing((calls) => {
      for (let i = 0; i < calls; i++) weights.weightsOf(slots, 8, 20_000 + (i & 63), out)
    })
  })
})
