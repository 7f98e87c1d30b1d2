import type { Members } from './picker.ts'

/**
 * Where each slot is among the members, and which of them were there before: for pickers that keep what they learnt over
 * changes of membership. A slot that another id has taken over counts as new.
 */
export class MemberIndex {
  #count = 0
  #slots = new Int32Array(0)
  #ids: readonly string[] = []
  /** By slot: position, -1 where there is none. */
  #positions = new Int32Array(0)

  /** Takes new members; entry i of the result is where member i was before, -1 when it is new. O(n + highest slot). */
  update(members: Members): Int32Array<ArrayBuffer> {
    const { count } = members
    const former = new Int32Array(count)
    let highest = -1
    for (let position = 0; position < count; position++) {
      const slot = members.slots[position]!
      const before = this.positionOf(slot)
      former[position] = before >= 0 && this.#ids[before] === members.ids[position] ? before : -1
      if (slot > highest) highest = slot
    }
    this.#count = count
    this.#slots = members.slots.slice(0, count)
    this.#ids = members.ids.slice(0, count)
    this.#positions = new Int32Array(highest + 1).fill(-1)
    for (let position = 0; position < count; position++) this.#positions[this.#slots[position]!] = position
    return former
  }

  get count(): number {
    return this.#count
  }

  /** By position. */
  get slots(): Int32Array {
    return this.#slots
  }

  /** By position. */
  get ids(): readonly string[] {
    return this.#ids
  }

  /** -1: not a member. */
  positionOf(slot: number): number {
    return slot < this.#positions.length ? this.#positions[slot]! : -1
  }
}
