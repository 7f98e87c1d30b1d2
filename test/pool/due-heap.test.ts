import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Due, DueHeap } from '../../src/pool/due-heap.ts'

interface Item extends Due {
  readonly name: number
}

function item(name: number): Item {
  return { name, dueAt: 0, heapIndex: -1 }
}

test('gives the earliest first, however items were put in, moved and taken out', () => {
  const step = fc.record({ name: fc.nat(30), dueAt: fc.integer({ min: -5, max: 50 }), isDelete: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const heap = new DueHeap<Item>()
      const items = Array.from({ length: 31 }, (_, name) => item(name))
      const model = new Map<number, number>()
      for (const { name, dueAt, isDelete } of steps) {
        if (isDelete) {
          heap.delete(items[name]!)
          model.delete(name)
        } else {
          heap.set(items[name]!, dueAt)
          model.set(name, dueAt)
        }
        assert.equal(heap.size, model.size)
        const earliest = Math.min(...model.values())
        assert.equal(heap.peek()?.dueAt ?? Number.POSITIVE_INFINITY, earliest)
      }
      const order: number[] = []
      for (let next = heap.peek(); next !== undefined; next = heap.peek()) {
        order.push(next.dueAt)
        heap.delete(next)
        assert.equal(next.heapIndex, -1)
      }
      assert.deepEqual(
        order,
        [...model.values()].sort((a, b) => a - b),
      )
    }),
  )
})

test('clear leaves nothing behind, and its items can be used again', () => {
  const heap = new DueHeap<Item>()
  const one = item(1)
  heap.set(one, 5)
  heap.clear()
  assert.equal(heap.peek(), undefined)
  heap.set(one, 7)
  assert.equal(heap.peek(), one)
})
