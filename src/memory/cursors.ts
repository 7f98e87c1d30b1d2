import type { MemorySizes, SharedMemory } from './shared-memory.ts'

/** Int32 from one cursor to the next: a 64-byte cache line, so that two busy pools do not slow each other. */
const STRIDE = 16

/** One shared cursor per pool slot: the position that a round-robin picker in any worker consumes next. */
export class Cursors {
  readonly #memory: SharedMemory

  constructor(memory: SharedMemory) {
    this.#memory = memory
  }

  /** The cursor of a pool: one Int32, exact (Atomics), wrapping. */
  cursor(poolSlot: number): Int32Array {
    return new Int32Array(this.#memory.cursors, poolSlot * STRIDE * 4, 1)
  }
}

/** Bytes of all cursors. */
export function cursorBytes({ pools }: MemorySizes): number {
  return pools * STRIDE * 4
}
