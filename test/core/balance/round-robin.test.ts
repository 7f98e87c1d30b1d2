import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { createLocalDeps } from '../../../src/core/balance/local-deps.ts'
import type { Picker } from '../../../src/core/balance/picker.ts'
import { PICKERS } from '../../../src/core/balance/registry.ts'
import { acceptAll, membersOf } from '../../contract/members.ts'
import type { RotateTask } from './rotate-thread.ts'

function over(
  weights: number[],
  { cursor = new Int32Array(1), slots }: { cursor?: Int32Array; slots?: number[] } = {},
): Picker {
  const picker = PICKERS['round-robin'].create({ ...createLocalDeps(64), cursor, random: () => 0 }, {})
  picker.update(membersOf(weights, slots))
  return picker
}
const picks = (picker: Picker, count: number, accept = acceptAll): number[] =>
  Array.from({ length: count }, () => picker.pick(0, accept))

describe('round-robin', () => {
  test('takes one after the other', () => {
    assert.deepEqual(picks(over([1, 1, 1]), 7), [0, 1, 2, 0, 1, 2, 0])
  })

  test('takes turns by weight, interleaved', () => {
    assert.deepEqual(picks(over([2, 0, 1, 1]), 8), [0, 2, 0, 3, 0, 2, 0, 3])
  })

  test('spreads the turns of a vetoed endpoint over all others', () => {
    const picker = over([1, 1, 1, 1])
    assert.deepEqual(
      picks(picker, 6, (position) => position !== 1),
      [0, 2, 3, 0, 2, 3],
    )
  })

  test('two workers that share a cursor never take the same turn', () => {
    const cursor = new Int32Array(new SharedArrayBuffer(4))
    const first = over([1, 1, 1, 1, 1], { cursor })
    const second = over([1, 1, 1, 1, 1], { cursor })
    const taken = Array.from({ length: 10 }, (_, i) => (i % 3 === 0 ? second : first).pick(0, acceptAll))
    assert.deepEqual(taken, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4])
  })

  test('goes the same way round in every worker, in whatever order each learnt the members', () => {
    const bySlot = (slots: number[], weights: number[]): number[] =>
      picks(over(weights, { slots }), 40).map((position) => slots[position]!)
    assert.deepEqual(bySlot([7, 3, 9, 20], [1, 2, 3, 2.5]), bySlot([20, 9, 7, 3], [2.5, 3, 1, 2]))
  })

  test('survives the wrap of its cursor', () => {
    const cursor = Int32Array.of(-2)
    const picker = over([1, 1, 1], { cursor })
    const around = picks(picker, 5)
    assert.ok(around.every((position) => position >= 0 && position < 3))
    assert.equal(cursor[0], 3)
    cursor[0] = 0x7fff_ffff
    assert.ok(picks(picker, 3).every((position) => position >= 0 && position < 3))
  })

  test('with nobody fit, asks about each endpoint a few times and no more, however long the schedule', () => {
    let asked = 0
    const picker = over([1, 1.234_567, 2.345_678])
    assert.equal(
      picker.pick(0, () => ++asked < 0),
      -1,
    )
    assert.ok(asked <= 9, `${asked} questions`)
  })

  test('a change of members continues from where the cursor is', () => {
    const picker = over([1, 1, 1])
    picks(picker, 4)
    picker.update(membersOf([1, 1, 1, 1, 1]))
    assert.deepEqual(picks(picker, 3), [4, 0, 1])
  })

  test('is strict over four threads: after any whole number of cycles all counts are by weight', async () => {
    for (const weights of [
      [1, 1, 1, 1, 1, 1, 1],
      [3, 1, 2, 1],
    ]) {
      const threads = 4
      const cycle = weights.reduce((total, weight) => total + weight, 0)
      const task: RotateTask = {
        weights,
        picks: cycle * 20_000,
        cursor: new Int32Array(new SharedArrayBuffer(4)),
        counts: new Int32Array(new SharedArrayBuffer(4 * weights.length)),
      }
      await Promise.all(Array.from({ length: threads }, () => finished(task)))
      assert.deepEqual(
        Array.from(task.counts),
        weights.map((weight) => weight * threads * 20_000),
      )
    }
  })
})

function finished(task: RotateTask): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const worker = new Worker(new URL('./rotate-thread.ts', import.meta.url), { workerData: task })
  worker.once('error', reject)
  worker.once('exit', () => resolve())
  return promise
}
