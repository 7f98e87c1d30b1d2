/** What a slot book hands out: at least a row's number. */
export interface Slot {
  readonly slot: number
}

/** How rows of one table come and go. */
export interface SlotTable<T extends Slot> {
  /** Null: the table is full. */
  readonly allocate: () => T | null
  /** Nobody is told of the row any more: it takes nothing new. May be undone by `revive`. */
  readonly retire: (slot: T) => void
  readonly revive: (slot: T) => void
  /** True when the row is free: nobody holds it. */
  readonly tryFree: (slot: T) => boolean
}

interface Held<T> {
  readonly slot: T
  /** The plan version that is the first without it; null while it is in use. */
  leftAt: number | null
  isRetired: boolean
}

/** A set of slots by key that is not yet decided on: exactly one of `commit` and `discard` ends it. */
export interface SlotDraft<T extends Slot> {
  readonly slots: ReadonlyMap<string, T>
  /** Keys that had no slot before. */
  readonly added: ReadonlySet<string>
  /** From `version` on no plan names the others. */
  readonly commit: (version: number) => void
  readonly discard: () => void
}

/**
 * Which key has which row of a shared table. A row stays with its key while plans name it, and until every worker has
 * acknowledged a plan without it and nobody holds it; a key that comes back before gets its row, and what it learnt, back.
 */
export class SlotBook<T extends Slot> {
  readonly #table: SlotTable<T>
  readonly #held = new Map<string, Held<T>>()

  constructor(table: SlotTable<T>) {
    this.#table = table
  }

  /** Rows that wait to be freed. */
  get leaving(): number {
    let count = 0
    for (const { leftAt } of this.#held.values()) if (leftAt !== null) count += 1
    return count
  }

  /** Finds or allocates a row for each key; null when the table is full, and then nothing changed. */
  draft(keys: Iterable<string>): SlotDraft<T> | null {
    const slots = new Map<string, T>()
    const added = new Set<string>()
    const revived = new Map<string, number>()
    const discard = (): void => {
      for (const key of added) this.#release(key)
      for (const [key, leftAt] of revived) this.#held.get(key)!.leftAt = leftAt
    }
    for (const key of keys) {
      const held = this.#held.get(key)
      if (held !== undefined) {
        if (held.leftAt !== null) {
          revived.set(key, held.leftAt)
          held.leftAt = null
          if (held.isRetired) this.#table.revive(held.slot)
          held.isRetired = false
        }
        slots.set(key, held.slot)
        continue
      }
      const slot = this.#table.allocate()
      if (slot === null) {
        discard()
        return null
      }
      this.#held.set(key, { slot, leftAt: null, isRetired: false })
      added.add(key)
      slots.set(key, slot)
    }
    const commit = (version: number): void => {
      for (const [key, held] of this.#held) if (held.leftAt === null && !slots.has(key)) held.leftAt = version
    }
    return { slots, added, commit, discard }
  }

  /** Frees what can be freed; returns how many rows still wait. Cheap when none do, otherwise O(held). */
  sweep(isAcknowledgedByAll: (version: number) => boolean): number {
    let waiting = 0
    for (const [key, held] of this.#held) {
      if (held.leftAt === null) continue
      if (!isAcknowledgedByAll(held.leftAt)) {
        waiting += 1
        continue
      }
      if (!held.isRetired) this.#table.retire(held.slot)
      held.isRetired = true
      if (this.#table.tryFree(held.slot)) this.#held.delete(key)
      else waiting += 1
    }
    return waiting
  }

  /** A row that no worker was ever told of. */
  #release(key: string): void {
    const held = this.#held.get(key)!
    this.#table.retire(held.slot)
    if (this.#table.tryFree(held.slot)) this.#held.delete(key)
    else {
      held.isRetired = true
      held.leftAt = 0
    }
  }
}

/** Rows 0 to `size` - 1 of a table that keeps no book itself; `isIdle` says that nobody holds a row. */
export function numberedSlots(size: number, isIdle: (slot: number) => boolean): SlotTable<Slot> {
  const taken = new Uint8Array(size)
  return {
    allocate() {
      const slot = taken.indexOf(0)
      if (slot < 0) return null
      taken[slot] = 1
      return { slot }
    },
    retire() {},
    revive() {},
    tryFree({ slot }) {
      if (!isIdle(slot)) return false
      taken[slot] = 0
      return true
    },
  }
}
