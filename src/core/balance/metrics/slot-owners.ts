import type { Members } from '../picker.ts'

/** Which endpoint's history lies at which slot. At most one id per slot, so its size is bounded by the endpoint table's. */
export class SlotOwners {
  readonly #ids: (string | undefined)[] = []
  readonly #isNew: (slot: number) => void

  /** `isNew` is told of each slot that comes to another endpoint than the one it had. */
  constructor(isNew: (slot: number) => void) {
    this.#isNew = isNew
  }

  update({ count, slots, ids }: Members): void {
    for (let position = 0; position < count; position++) {
      const slot = slots[position]!
      const id = ids[position]
      if (this.#ids[slot] === id) continue
      // Filled from the start, so that the array never has holes.
      while (this.#ids.length < slot) this.#ids.push(undefined)
      this.#ids[slot] = id
      this.#isNew(slot)
    }
  }
}

/** How many slots the columns of these members need; a power of two, so that they seldom grow. */
export function slotsNeeded({ count, slots }: Members, before: number): number {
  let needed = before
  for (let position = 0; position < count; position++) {
    const slot = slots[position]!
    if (slot >= needed) needed = slot + 1
  }
  return needed === before ? before : 2 ** Math.ceil(Math.log2(Math.max(16, needed)))
}

/** A longer copy, or the same where it is long enough. */
export function grownFloat64(column: Float64Array<ArrayBuffer>, length: number): Float64Array<ArrayBuffer> {
  if (column.length >= length) return column
  const grown = new Float64Array(length)
  grown.set(column)
  return grown
}
