import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Cursors } from '../../src/memory/cursors.ts'
import { createSharedMemory, type MemorySizes, memoryBytes } from '../../src/memory/shared-memory.ts'

const DOCUMENTED: MemorySizes = {
  endpoints: 10_000,
  workers: 16,
  pools: 1024,
  listeners: 64,
  addresses: 65_536,
  workerCounters: 128,
}

describe('shared memory', () => {
  test('takes exactly as many bytes as memoryBytes says', () => {
    for (const sizes of [
      { endpoints: 1, workers: 1, pools: 1, listeners: 1, addresses: 1, workerCounters: 1 },
      { endpoints: 1023, workers: 3, pools: 7, listeners: 17, addresses: 1500, workerCounters: 77 },
      DOCUMENTED,
    ]) {
      const { sizes: kept, ...buffers } = createSharedMemory(sizes)
      assert.deepEqual(kept, sizes)
      const bytes = Object.values(buffers).reduce((sum, buffer) => sum + buffer.byteLength, 0)
      assert.equal(memoryBytes(sizes), bytes)
    }
  })

  test('takes the 40 672 448 bytes of its documentation for 10 000 endpoints and 16 workers', () => {
    assert.equal(memoryBytes(DOCUMENTED), 40_672_448)
  })

  test('draws a new key for the address table every time', () => {
    const key = (): string => new Int32Array(createSharedMemory({ ...DOCUMENTED, endpoints: 1 }).addresses, 0, 2).join()
    assert.notEqual(key(), key())
  })

  test('goes to a thread as the same memory', () => {
    const memory = createSharedMemory({ ...DOCUMENTED, endpoints: 1, addresses: 16 })
    const clone = structuredClone(memory)
    Atomics.store(new Cursors(clone).cursor(3), 0, 9)
    assert.equal(new Cursors(memory).cursor(3)[0], 9)
  })
})

test('every pool has a cursor of its own, on a cache line of its own', () => {
  const cursors = new Cursors(createSharedMemory({ ...DOCUMENTED, endpoints: 1, addresses: 16 }))
  const first = cursors.cursor(0)
  const last = cursors.cursor(1023)
  assert.equal(first.length, 1)
  Atomics.add(first, 0, 5)
  assert.equal(last[0], 0)
  assert.equal(cursors.cursor(0)[0], 5)
  assert.equal(last.byteOffset % 64, 0)
})
