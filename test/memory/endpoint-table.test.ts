import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  Checked,
  EndpointTable,
  EWMA_HALF_LIFE_SAMPLES,
  Fitness,
  LATENCY_BOUNDS_MS,
} from '../../src/memory/endpoint-table.ts'
import { createSharedMemory, type SharedMemory } from '../../src/memory/shared-memory.ts'
import { assertAllocatesNothing } from '../contract/bytes-per-call.ts'
import { Hammer, hammerWords } from './hammer.ts'

function emptyMemory(endpoints = 4, workers = 3): SharedMemory {
  return createSharedMemory({ endpoints, workers, pools: 1, listeners: 1, addresses: 16, workerCounters: 1 })
}

function tableWithOne(): { table: EndpointTable; slot: number; generation: number } {
  const table = new EndpointTable(emptyMemory())
  return { table, ...table.allocate(1, 0)! }
}

describe('slots', () => {
  test('are given out from the lowest, until none is left', () => {
    const table = new EndpointTable(emptyMemory(3))
    assert.deepEqual(
      [table.allocate(1, 0), table.allocate(2, 5), table.allocate(0, 0)].map((taken) => taken?.slot),
      [0, 1, 2],
    )
    assert.equal(table.allocate(1, 0), null)
    assert.equal(table.weight[1], 2)
    assert.equal(table.maxConnections[1], 5)
    table.retire(1)
    assert.equal(table.tryFree(1), true)
    assert.equal(table.allocate(3, 0)?.slot, 1)
    assert.equal(table.allocate(3, 0), null)
  })

  test('have an odd generation while in use, and another with every use', () => {
    const table = new EndpointTable(emptyMemory(1))
    const seen = new Set<number>()
    for (let use = 0; use < 5; use++) {
      const { slot, generation } = table.allocate(1, 0)!
      assert.equal(generation % 2, 1)
      assert.equal(table.generation[slot], generation)
      seen.add(generation)
      table.retire(slot)
      assert.equal(table.tryFree(slot), true)
      assert.equal(table.generation[slot] % 2, 0)
    }
    assert.equal(seen.size, 5)
  })

  test('are freed only when retired and held by nobody, and only once', () => {
    const { table, slot, generation } = tableWithOne()
    assert.equal(table.tryFree(slot), false, 'not retired')
    table.acquire(0, slot, generation)
    table.openConnection(2, slot, generation)
    table.retire(slot)
    assert.equal(table.tryFree(slot), false, 'an attempt runs')
    table.release(0, slot, generation)
    assert.equal(table.tryFree(slot), false, 'a connection is open')
    table.closeConnection(2, slot, generation)
    assert.equal(table.tryFree(slot), true)
    assert.equal(table.tryFree(slot), false, 'free already')
    assert.equal(table.tryFree(3), false, 'never in use')
  })

  test('of which a dead worker held something are freed after it was given back, and a torn total was reconciled', () => {
    const { table, slot, generation } = tableWithOne()
    table.acquire(1, slot, generation)
    table.openConnection(1, slot, generation)
    Atomics.add(table.connections.total, slot, 1)
    table.retire(slot)
    table.giveBack(1)
    assert.equal(table.tryFree(slot), false)
    table.reconcile()
    assert.equal(table.reconcile(), 1)
    assert.equal(table.tryFree(slot), true)
  })

  test('that are retired take no new work but let what runs end', () => {
    const { table, slot, generation } = tableWithOne()
    assert.equal(table.acquire(0, slot, generation), true)
    assert.equal(table.openConnection(0, slot, generation), true)
    table.retire(slot)
    assert.notEqual(table.fitness[slot]! & Fitness.RETIRED, 0)
    assert.equal(table.acquire(1, slot, generation), false)
    assert.equal(table.openConnection(1, slot, generation), false)
    assert.deepEqual([table.inFlight.total[slot], table.connections.total[slot]], [1, 1])
    table.record(0, slot, generation, 200, 1, 1, 1)
    table.closeConnection(0, slot, generation)
    table.release(0, slot, generation)
    assert.equal(table.snapshot(slot).requests, 1)
    assert.equal(table.tryFree(slot), true)
  })

  test('start afresh: nothing of the last use is left', () => {
    const { table, slot, generation } = tableWithOne()
    table.acquire(0, slot, generation)
    for (const worker of [0, 2]) {
      table.record(worker, slot, generation, 500, 80, 10, 20)
      table.recordFailure(worker, slot, generation)
      table.recordRetry(worker, slot, generation)
    }
    table.connectFailed(slot, generation, 1, 1234)
    table.checked[slot] = Checked.UNHEALTHY
    Atomics.or(table.fitness, slot, Fitness.DRAINING)
    table.release(0, slot, generation)
    table.retire(slot)
    assert.equal(table.tryFree(slot), true)
    const again = table.allocate(7, 9)!
    assert.equal(again.slot, slot)
    assert.deepEqual(table.snapshot(slot), {
      slot,
      generation: again.generation,
      fitness: 0,
      checked: Checked.UNKNOWN,
      weight: 7,
      maxConnections: 9,
      requests: 0,
      failures: 0,
      retries: 0,
      statuses: [0, 0, 0, 0, 0],
      bytesReceived: 0,
      bytesSent: 0,
      inFlight: 0,
      connections: 0,
      connectFailures: 0,
      ewmaMs: null,
      buckets: Array.from(LATENCY_BOUNDS_MS, () => 0).concat(0),
      sumMs: 0,
    })
    assert.equal(table.passiveSince[slot], 0)
  })

  test('do not change by anything that names another generation', () => {
    const { table, slot, generation } = tableWithOne()
    const before = table.snapshot(slot)
    for (const stale of [generation - 2, generation + 2, 0, -1]) {
      assert.equal(table.acquire(0, slot, stale), false)
      table.release(0, slot, stale)
      assert.equal(table.openConnection(0, slot, stale), false)
      table.closeConnection(0, slot, stale)
      table.record(0, slot, stale, 200, 1, 1, 1)
      table.recordFailure(0, slot, stale)
      table.recordRetry(0, slot, stale)
      assert.equal(table.connectFailed(slot, stale, 1, 1), false)
      table.connectSucceeded(slot, stale)
    }
    assert.deepEqual(table.snapshot(slot), before)
    assert.equal(table.acquire(0, 4000, 1), false, 'nor by a slot that does not exist')
  })

  test('are never freed under a worker, nor worked with after they were freed, by three threads', async (scope) => {
    const workers = 3
    const slots = 3
    const memory = emptyMemory(slots, workers)
    const table = new EndpointTable(memory)
    const words = hammerWords(workers, slots)
    const allocate = (): void => {
      const { slot, generation } = table.allocate(1, 2)!
      assert.deepEqual([table.inFlight.share(0, slot), table.snapshot(slot).requests], [0, 0])
      Atomics.store(words.generation, slot, generation)
    }
    for (let slot = 0; slot < slots; slot++) allocate()
    const threads = Array.from(
      { length: workers },
      (_, worker) => new Hammer(scope, { job: 'slots', memory, worker, rounds: 0, limit: 0, words }),
    )
    await Promise.all(threads.map((thread) => thread.warm()))
    const end = performance.now() + 5000
    let uses = 0
    // A thread that is off its core with a slot in its hands keeps it from being freed: hence the time.
    for (let turn = 0; uses < 200 && performance.now() < end; turn++) {
      const slot = turn % slots
      table.retire(slot)
      if (table.tryFree(slot)) {
        assert.equal(Atomics.load(words.inside, slot), 0)
        allocate()
        uses++
      } else {
        await nextTurn()
      }
    }
    Atomics.store(words.stop, 0, 1)
    await Promise.all(threads.map((thread) => thread.finish()))
    assert.equal(words.violations[0], 0)
    for (let slot = 0; slot < slots; slot++) assert.ok(table.inFlight.isZero(slot) && table.connections.isZero(slot))
    assert.ok(uses > 10, `${uses} uses`)
  })
})

describe('connections', () => {
  test('stay within the limit of their endpoint, over all workers', () => {
    const table = new EndpointTable(emptyMemory())
    const { slot, generation } = table.allocate(1, 2)!
    assert.deepEqual(
      [0, 1, 2].map((worker) => table.openConnection(worker, slot, generation)),
      [true, true, false],
    )
    table.closeConnection(0, slot, generation)
    assert.equal(table.openConnection(2, slot, generation), true)
  })

  test('without a limit are only counted', () => {
    const { table, slot, generation } = tableWithOne()
    for (let i = 0; i < 100; i++) assert.equal(table.openConnection(0, slot, generation), true)
    assert.equal(table.snapshot(slot).connections, 100)
  })
})

describe('records', () => {
  test('sum over workers: answers by class and latency, bytes, failures, retries', () => {
    const { table, slot, generation } = tableWithOne()
    table.record(0, slot, generation, 200, 0.5, 100, 10)
    table.record(1, slot, generation, 204, 0.6, 100, 10)
    table.record(2, slot, generation, 301, 7, 0, 0)
    table.record(2, slot, generation, 404, 5000, 0, 0)
    table.record(2, slot, generation, 503, 5000.1, 0, 5)
    table.record(2, slot, generation, 101, 3, 0, 0)
    table.recordFailure(1, slot, generation)
    table.recordRetry(0, slot, generation)
    const seen = table.snapshot(slot)
    assert.equal(seen.requests, 7)
    assert.equal(seen.failures, 1)
    assert.equal(seen.retries, 1)
    assert.deepEqual(seen.statuses, [1, 2, 1, 1, 1])
    assert.deepEqual([seen.bytesReceived, seen.bytesSent], [200, 25])
    assert.deepEqual(seen.buckets, [1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1])
    assert.ok(Math.abs(seen.sumMs - 10_011.2) < 1e-9)
    assert.equal(table.snapshot(slot + 1).requests, 0)
  })

  test('have a bucket more than bounds, which ascend', () => {
    assert.equal(LATENCY_BOUNDS_MS.length, 11)
    assert.deepEqual(
      [...LATENCY_BOUNDS_MS].sort((a, b) => a - b),
      LATENCY_BOUNDS_MS,
    )
  })

  test('survive nonsense from a clock', () => {
    const { table, slot, generation } = tableWithOne()
    for (const ms of [Number.NaN, -5]) table.record(0, slot, generation, 200, ms, 0, 0)
    table.record(0, slot, generation, 200, 6, 0, 0)
    const { sumMs, ewmaMs, buckets } = table.snapshot(slot)
    assert.equal(sumMs, 6)
    assert.ok(ewmaMs! > 0 && ewmaMs! < 6)
    assert.equal(buckets[0], 2)
  })

  test('average latency from the first answer on, and forget half with every half-life', () => {
    const { table, slot, generation } = tableWithOne()
    table.record(0, slot, generation, 200, 40, 0, 0)
    assert.equal(table.snapshot(slot).ewmaMs, 40)
    for (let i = 0; i < 1000; i++) table.record(0, slot, generation, 200, 100, 0, 0)
    for (let i = 0; i < EWMA_HALF_LIFE_SAMPLES; i++) table.record(0, slot, generation, 200, 0, 0, 0)
    assert.ok(Math.abs(table.snapshot(slot).ewmaMs! - 50) < 1e-6)
  })

  test('average over workers by what each has seen', () => {
    const { table, slot, generation } = tableWithOne()
    table.record(0, slot, generation, 200, 10, 0, 0)
    for (let i = 0; i < 1000; i++) table.record(1, slot, generation, 200, 20, 0, 0)
    const { ewmaMs } = table.snapshot(slot)
    assert.ok(ewmaMs! > 19 && ewmaMs! < 20, `${ewmaMs}`)
  })

  test('allocate nothing, nor do acquiring and connecting', () => {
    const { table, slot, generation } = tableWithOne()
    assertAllocatesNothing((calls) => {
      for (let i = 0; i < calls; i++) {
        table.acquire(1, slot, generation)
        table.openConnection(1, slot, generation)
        // Whole milliseconds: a fraction is boxed by a caller into which the compiler does not inline `record`.
        table.record(1, slot, generation, 200, i & 63, 100, 200)
        table.connectSucceeded(slot, generation)
        table.closeConnection(1, slot, generation)
        table.release(1, slot, generation)
      }
    })
  })
})

describe('failures to connect', () => {
  test('make an endpoint passive at the threshold, and exactly one caller learns it', () => {
    const { table, slot, generation } = tableWithOne()
    assert.deepEqual(
      [1, 2, 3, 4].map((now) => table.connectFailed(slot, generation, 3, now)),
      [false, false, true, false],
    )
    assert.equal(table.fitness[slot], Fitness.PASSIVE)
    assert.equal(table.passiveSince[slot], 3)
  })

  test('are counted in a row: a success ends it', () => {
    const { table, slot, generation } = tableWithOne()
    table.connectFailed(slot, generation, 2, 1)
    table.connectSucceeded(slot, generation)
    assert.equal(table.connectFailed(slot, generation, 2, 2), false)
    assert.equal(table.connectFailed(slot, generation, 2, 3), true)
  })

  test('mark at once again after a hold, until one success', () => {
    const { table, slot, generation } = tableWithOne()
    table.connectFailed(slot, generation, 2, 1)
    table.connectFailed(slot, generation, 2, 2)
    Atomics.and(table.fitness, slot, ~Fitness.PASSIVE)
    assert.equal(table.connectFailed(slot, generation, 2, 50), true)
    assert.equal(table.passiveSince[slot], 50)
  })

  test('with a threshold of 0 never mark', () => {
    const { table, slot, generation } = tableWithOne()
    for (let i = 0; i < 10; i++) assert.equal(table.connectFailed(slot, generation, 0, i), false)
    assert.equal(table.snapshot(slot).connectFailures, 10)
  })
})
