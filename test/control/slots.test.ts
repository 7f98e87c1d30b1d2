import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { numberedSlots, type Slot, SlotBook } from '../../src/control/slots.ts'

/** A table of `size` rows, some of which somebody holds. */
function book(size: number): {
  readonly book: SlotBook<Slot>
  readonly busy: Set<number>
  readonly retired: Set<number>
} {
  const busy = new Set<number>()
  const retired = new Set<number>()
  const table = numberedSlots(size, (slot) => !busy.has(slot))
  const watched = {
    allocate: table.allocate,
    retire: (slot: Slot) => void retired.add(slot.slot),
    revive: (slot: Slot) => void retired.delete(slot.slot),
    tryFree: (slot: Slot) => table.tryFree(slot) && (retired.delete(slot.slot) || true),
  }
  return { book: new SlotBook(watched), busy, retired }
}

function commit(slots: SlotBook<Slot>, keys: readonly string[], version: number): Record<string, number> {
  const draft = slots.draft(keys)
  assert.ok(draft !== null)
  draft.commit(version)
  return Object.fromEntries([...draft.slots].map(([key, { slot }]) => [key, slot]))
}

test('a key keeps its row over commits', () => {
  const { book: slots } = book(4)
  const first = commit(slots, ['a', 'b'], 1)
  const second = commit(slots, ['c', 'b', 'a'], 2)
  assert.equal(second['a'], first['a'])
  assert.equal(second['b'], first['b'])
})

test('a row is freed only when every worker acknowledged a plan without it and nobody holds it', () => {
  const { book: slots, busy, retired } = book(1)
  commit(slots, ['a'], 1)
  busy.add(0)
  commit(slots, [], 2)
  assert.equal(
    slots.sweep((version) => version < 2),
    1,
  )
  assert.equal(retired.size, 0, 'not even retired while a worker may still name it')
  assert.equal(
    slots.sweep(() => true),
    1,
  )
  assert.equal(retired.size, 1)
  assert.equal(slots.draft(['b']), null)
  busy.clear()
  assert.equal(
    slots.sweep(() => true),
    0,
  )
  assert.deepEqual(commit(slots, ['b'], 3), { b: 0 })
})

test('a key that comes back before its row was freed gets it back, taking work again', () => {
  const { book: slots, busy, retired } = book(2)
  const { a } = commit(slots, ['a'], 1)
  busy.add(a!)
  commit(slots, [], 2)
  slots.sweep(() => true)
  assert.equal(retired.size, 1)
  assert.equal(commit(slots, ['a'], 3)['a'], a)
  assert.equal(retired.size, 0)
  assert.equal(
    slots.sweep(() => true),
    0,
  )
})

test('a draft that does not fit changes nothing', () => {
  const { book: slots } = book(2)
  commit(slots, ['a'], 1)
  assert.equal(slots.draft(['a', 'b', 'c']), null)
  assert.ok(slots.draft(['a', 'b']) !== null, 'what was tried is free again')
})

test('a discarded draft changes nothing', () => {
  const { book: slots, busy } = book(3)
  commit(slots, ['a', 'b'], 1)
  busy.add(1)
  commit(slots, ['a'], 2)
  slots.draft(['a', 'b', 'c'])!.discard()
  assert.equal(slots.leaving, 1, 'b leaves as before')
  busy.clear()
  slots.sweep(() => true)
  const later = commit(slots, ['a', 'x', 'y'], 3)
  assert.deepEqual(
    Object.values(later).sort((a, b) => a - b),
    [0, 1, 2],
  )
})

test('no two keys ever share a row', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const step = fc.record({
    keys: fc.uniqueArray(fc.constantFrom(...names)),
    isDiscarded: fc.boolean(),
    isSwept: fc.boolean(),
    busy: fc.uniqueArray(fc.nat(7)),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { book: slots, busy } = book(8)
      let live: Record<string, number> = {}
      for (const [version, { keys, isDiscarded, isSwept, busy: held }] of steps.entries()) {
        busy.clear()
        for (const slot of held) busy.add(slot)
        const draft = slots.draft(keys)
        if (draft !== null) {
          const rows = Object.fromEntries([...draft.slots].map(([key, { slot }]) => [key, slot]))
          for (const key of keys) if (live[key] !== undefined) assert.equal(rows[key], live[key])
          assert.equal(new Set(Object.values(rows)).size, keys.length)
          if (isDiscarded) draft.discard()
          else {
            draft.commit(version + 1)
            live = rows
          }
        }
        if (isSwept) slots.sweep(() => true)
      }
    }),
  )
})
