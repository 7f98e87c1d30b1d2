import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createSharedMemory } from '../../src/memory/shared-memory.ts'
import { WorkerBoard, WorkerState } from '../../src/memory/worker-board.ts'

function boards(): [WorkerBoard, WorkerBoard] {
  const memory = createSharedMemory({
    endpoints: 1,
    workers: 3,
    pools: 1,
    listeners: 5,
    addresses: 16,
    workerCounters: 11,
  })
  return [new WorkerBoard(memory), new WorkerBoard(memory)]
}

describe('the worker board', () => {
  test('carries state, version and ticks of each worker to other threads', () => {
    const [worker, control] = boards()
    assert.deepEqual([control.state(1), control.acknowledged(1), control.ticks(1)], [WorkerState.ABSENT, 0, 0])
    worker.setState(1, WorkerState.RUNNING)
    worker.acknowledge(1, 7)
    worker.tick(1)
    worker.tick(1)
    assert.deepEqual([control.state(1), control.acknowledged(1), control.ticks(1)], [WorkerState.RUNNING, 7, 2])
    assert.deepEqual([control.state(0), control.acknowledged(2), control.ticks(0)], [WorkerState.ABSENT, 0, 0])
  })

  test('gives every worker its own row of counters and sums them', () => {
    const [worker, control] = boards()
    for (const index of [0, 1, 2]) {
      const row = worker.counters(index)
      assert.equal(row.length, 11)
      assert.equal(row.byteOffset % 64, 0)
      row[0] = row[0]! + 1
      row[10] = row[10]! + index + 2 ** 40
    }
    assert.equal(control.counterTotal(0), 3)
    assert.equal(control.counterTotal(10), 3 + 3 * 2 ** 40)
    assert.equal(control.counterTotal(5), 0)
    assert.equal(control.counters(1)[10], 1 + 2 ** 40)
  })

  test('counts connections by listener and gives a dead worker its share back', () => {
    const [worker, control] = boards()
    assert.equal(worker.listenerConnections.tryAdd(0, 4, 2), true)
    assert.equal(worker.listenerConnections.tryAdd(1, 4, 2), true)
    assert.equal(worker.listenerConnections.tryAdd(2, 4, 2), false)
    control.listenerConnections.giveBack(1)
    assert.equal(worker.listenerConnections.tryAdd(2, 4, 2), true)
    assert.equal(control.listenerConnections.total[4], 2)
  })
})
