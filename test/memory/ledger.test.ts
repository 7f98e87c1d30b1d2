import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { EndpointTable } from '../../src/memory/endpoint-table.ts'
import { Ledger, ledgerBytes } from '../../src/memory/ledger.ts'
import { createSharedMemory } from '../../src/memory/shared-memory.ts'
import { assertAllocatesNothing } from '../contract/bytes-per-call.ts'
import { Hammer, hammerWords } from './hammer.ts'

const ENTRIES = 8
const WORKERS = 4

function emptyLedger(): Ledger {
  return new Ledger(new SharedArrayBuffer(ledgerBytes(ENTRIES, WORKERS)), 0, ENTRIES, WORKERS)
}

/** A table with every slot in use, and words that know its generations. */
function sharedTable() {
  const memory = createSharedMemory({
    endpoints: ENTRIES,
    workers: WORKERS,
    pools: 1,
    listeners: 1,
    addresses: 16,
    workerCounters: 1,
  })
  const table = new EndpointTable(memory)
  const words = hammerWords(WORKERS, ENTRIES)
  for (let slot = 0; slot < ENTRIES; slot++) words.generation[slot] = table.allocate(1, 0)!.generation
  return { memory, table, words }
}

const all = (count: number): number[] => Array.from({ length: ENTRIES }, () => count)

const sumOver = (workers: readonly number[], ledger: Ledger): number[] =>
  Array.from({ length: ENTRIES }, (_, entry) => workers.reduce((sum, worker) => sum + ledger.share(worker, entry), 0))

describe('a ledger', () => {
  test('counts for all and for each', () => {
    const ledger = emptyLedger()
    ledger.add(0, 3, 1)
    ledger.add(2, 3, 1)
    ledger.add(2, 3, 1)
    ledger.add(0, 3, -1)
    assert.equal(ledger.total[3], 2)
    assert.deepEqual(sumOver([0], ledger)[3], 0)
    assert.equal(ledger.share(2, 3), 2)
    assert.equal(ledger.isZero(3), false)
    assert.equal(ledger.isZero(2), true)
  })

  test('grants up to the limit and not beyond, and again when one came back', () => {
    const ledger = emptyLedger()
    assert.deepEqual(
      Array.from({ length: 5 }, (_, i) => ledger.tryAdd(i % WORKERS, 1, 3)),
      [true, true, true, false, false],
    )
    ledger.add(1, 1, -1)
    assert.equal(ledger.tryAdd(3, 1, 3), true)
    assert.equal(ledger.tryAdd(3, 1, 0), true, '0 is no limit')
    assert.equal(ledger.tryAdd(3, 1, 2), false, 'a limit that was lowered')
  })

  test('gives back the share of a dead worker and leaves the others alone', () => {
    const ledger = emptyLedger()
    for (let entry = 0; entry < ENTRIES; entry++) {
      for (let i = 0; i <= entry; i++) ledger.add(1, entry, 1)
      ledger.add(2, entry, 1)
    }
    ledger.giveBack(1)
    assert.deepEqual(Array.from(ledger.total), all(1))
    assert.deepEqual(sumOver([1], ledger), all(0))
    ledger.giveBack(1)
    assert.deepEqual(Array.from(ledger.total), all(1))
  })

  test('corrects what a worker left that died between its two writes, at the second pass and not before', () => {
    const ledger = emptyLedger()
    ledger.add(0, 1, 1)
    Atomics.add(ledger.total, 1, 1)
    Atomics.add(ledger.total, 5, -1)
    assert.equal(ledger.reconcile(), 0)
    assert.equal(ledger.total[1], 2)
    assert.equal(ledger.reconcile(), 2)
    assert.equal(ledger.total[1], 1)
    assert.equal(ledger.total[5], 0)
    assert.equal(ledger.reconcile() + ledger.reconcile(), 0)
  })

  test('does not correct a difference that changed between two passes', () => {
    const ledger = emptyLedger()
    for (let pass = 0; pass < 6; pass++) {
      Atomics.add(ledger.total, 1, 1)
      assert.equal(ledger.reconcile(), 0)
    }
  })

  test('allocates nothing', () => {
    const ledger = emptyLedger()
    assertAllocatesNothing((calls) => {
      for (let i = 0; i < calls; i++) {
        ledger.add(1, i & 7, 1)
        ledger.tryAdd(2, i & 7, 10)
        ledger.add(1, i & 7, -1)
        ledger.add(2, i & 7, -1)
      }
    })
  })
})

describe('a ledger over threads', () => {
  test('is exact', async (scope) => {
    const { memory, table, words } = sharedTable()
    const threads = Array.from(
      { length: WORKERS },
      (_, worker) => new Hammer(scope, { job: 'ledger', memory, worker, rounds: 2000, limit: 0, words }),
    )
    await Promise.all(threads.map((thread) => thread.finish()))
    for (let worker = 0; worker < WORKERS; worker++) {
      assert.deepEqual(
        sumOver([worker], table.inFlight),
        Array.from(words.held.subarray(worker * ENTRIES, (worker + 1) * ENTRIES)),
      )
    }
    assert.deepEqual(Array.from(table.inFlight.total), sumOver([0, 1, 2, 3], table.inFlight))
    for (let worker = 0; worker < WORKERS; worker++) table.giveBack(worker)
    assert.deepEqual(Array.from(table.inFlight.total), all(0))
  })

  test('never exceeds a limit', async (scope) => {
    for (const limit of [1, 3]) {
      const { memory, table, words } = sharedTable()
      const threads = Array.from(
        { length: WORKERS },
        (_, worker) => new Hammer(scope, { job: 'limit', memory, worker, rounds: 1000, limit, words }),
      )
      await Promise.all(threads.map((thread) => thread.finish()))
      assert.equal(words.violations[0], 0)
      assert.deepEqual(Array.from(table.connections.total), all(0))
    }
  })

  test('is exact again after threads were terminated in the middle, and while the others go on', async (scope) => {
    for (let trial = 0; trial < 3; trial++) {
      const { memory, table, words } = sharedTable()
      const threads = Array.from(
        { length: WORKERS },
        (_, worker) => new Hammer(scope, { job: 'ledger', memory, worker, rounds: 0, limit: 0, words }),
      )
      await Promise.all(threads.map((thread) => thread.warm()))
      for (const worker of [1, 3]) {
        await threads[worker]!.terminate()
        table.giveBack(worker)
      }
      for (let pass = 0; pass < 3; pass++) {
        table.reconcile()
        await delay(20)
      }
      // A replacement works under the index of the dead one at once.
      words.held.fill(0, ENTRIES, 2 * ENTRIES)
      const replacement = new Hammer(scope, { job: 'ledger', memory, worker: 1, rounds: 100, limit: 0, words })
      await replacement.finish()
      Atomics.store(words.stop, 0, 1)
      await Promise.all([threads[0]!.finish(), threads[2]!.finish()])
      table.reconcile()
      table.reconcile()
      const alive = [0, 1, 2]
      for (const worker of alive) {
        assert.deepEqual(
          sumOver([worker], table.inFlight),
          Array.from(words.held.subarray(worker * ENTRIES, (worker + 1) * ENTRIES)),
        )
      }
      assert.deepEqual(sumOver([3], table.inFlight), all(0))
      assert.deepEqual(Array.from(table.inFlight.total), sumOver(alive, table.inFlight))
    }
  })
})
