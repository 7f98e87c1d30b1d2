/** A thread that picks by a shared cursor and counts what it got. */
import { workerData } from 'node:worker_threads'
import { createLocalDeps } from '../../../src/core/balance/local-deps.ts'
import { PICKERS } from '../../../src/core/balance/registry.ts'
import { acceptAll, membersOf } from '../../contract/members.ts'

export interface RotateTask {
  readonly weights: readonly number[]
  readonly picks: number
  readonly cursor: Int32Array
  readonly counts: Int32Array
}

const { weights, picks, cursor, counts } = workerData as RotateTask
const picker = PICKERS['round-robin'].create({ ...createLocalDeps(64), cursor, random: () => 0 }, {})
picker.update(membersOf(weights))
for (let i = 0; i < picks; i++) Atomics.add(counts, picker.pick(0, acceptAll), 1)
