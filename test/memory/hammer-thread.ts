/** One thread of `hammer.ts`. */
import { workerData } from 'node:worker_threads'
import { Xoshiro128 } from '../../src/core/random.ts'
import { EndpointTable } from '../../src/memory/endpoint-table.ts'
import { KeyedTable } from '../../src/memory/keyed-table.ts'
import { addressKey } from './address-key.ts'
import type { HammerJob, HammerTask } from './hammer.ts'

const { job, memory, worker, rounds, limit, words } = workerData as HammerTask
const chance = new Xoshiro128(worker + 1)
const things = words.inside.length
const held = words.held.subarray(worker * things, (worker + 1) * things)

const jobs: Record<HammerJob, () => () => void> = {
  /** Acquires and releases at random; holds up to 50 of each. */
  ledger() {
    const table = new EndpointTable(memory)
    return () => {
      const slot = chance.below(things)
      if (held[slot]! === 0 || (held[slot]! < 50 && chance.int32() < 0)) {
        if (table.acquire(worker, slot, words.generation[slot]!)) held[slot]!++
      } else {
        table.release(worker, slot, words.generation[slot]!)
        held[slot]!--
      }
    }
  },

  /** Opens and closes connections under a limit; looks whether more than allowed are inside. */
  limit() {
    const { connections } = new EndpointTable(memory)
    return () => {
      const slot = chance.below(things)
      if (!connections.tryAdd(worker, slot, limit)) return
      if (Atomics.add(words.inside, slot, 1) >= limit) Atomics.add(words.violations, 0, 1)
      for (let pause = chance.below(20); pause > 0; pause--) chance.int32()
      Atomics.sub(words.inside, slot, 1)
      connections.add(worker, slot, -1)
    }
  },

  /** Works with slots that the test retires, frees and allocates anew all the time. */
  slots() {
    const table = new EndpointTable(memory)
    return () => {
      const slot = chance.below(things)
      const generation = Atomics.load(words.generation, slot)
      if (!table.acquire(worker, slot, generation)) return
      Atomics.add(words.inside, slot, 1)
      const isOpen = table.openConnection(worker, slot, generation)
      table.record(worker, slot, generation, 200, 1, 1, 1)
      if (table.generation[slot] !== generation) Atomics.add(words.violations, 0, 1)
      if (isOpen) table.closeConnection(worker, slot, generation)
      Atomics.sub(words.inside, slot, 1)
      table.release(worker, slot, generation)
    }
  },

  /** Opens and closes connections of many addresses, three at a time, under a limit by address. */
  addresses() {
    const table = new KeyedTable(memory)
    const keys = Array.from({ length: things }, (_, index) => addressKey(index))
    const open: number[] = []
    return () => {
      if (open.length === 3 || (open.length > 0 && chance.int32() < 0)) {
        const thing = open.splice(chance.below(open.length), 1)[0]!
        Atomics.sub(words.inside, thing, 1)
        held[thing]!--
        table.decrement(worker, keys[thing]!)
        return
      }
      const thing = chance.below(things)
      if (!table.tryIncrement(worker, keys[thing]!, limit)) return
      held[thing]!++
      if (Atomics.add(words.inside, thing, 1) >= limit) Atomics.add(words.violations, 0, 1)
      open.push(thing)
    }
  },
}

const step = jobs[job]()
for (let round = 0; rounds === 0 || round < rounds; round++) {
  for (let i = 0; i < 100; i++) step()
  Atomics.add(words.rounds, worker, 1)
  if (Atomics.load(words.stop, 0) !== 0) break
}
