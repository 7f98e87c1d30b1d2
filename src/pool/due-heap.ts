/** Something that comes due; the heap writes `heapIndex`, only the heap's methods change `dueAt` while it is inside. */
export interface Due {
  dueAt: number
  /** Where it stands in the heap, -1 outside. */
  heapIndex: number
}

/**
 * A binary min-heap by `dueAt` that knows where its members stand: one timer serves thousands of them, and moving or
 * removing one costs O(log n) and leaves nothing stale behind.
 */
export class DueHeap<T extends Due> {
  readonly #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  /** The earliest, left in place. */
  peek(): T | undefined {
    return this.#items[0]
  }

  /** Puts an item in, or moves it to its new time. */
  set(item: T, dueAt: number): void {
    item.dueAt = dueAt
    if (item.heapIndex < 0) {
      item.heapIndex = this.#items.length
      this.#items.push(item)
    }
    this.#settle(item)
  }

  /** Takes an item out; nothing happens when it is not inside. */
  delete(item: T): void {
    const index = item.heapIndex
    if (index < 0) return
    item.heapIndex = -1
    const last = this.#items.pop()!
    if (last === item) return
    this.#items[index] = last
    last.heapIndex = index
    this.#settle(last)
  }

  clear(): void {
    for (const item of this.#items) item.heapIndex = -1
    this.#items.length = 0
  }

  #settle(item: T): void {
    const items = this.#items
    let index = item.heapIndex
    while (index > 0) {
      const parent = items[(index - 1) >> 1]!
      if (parent.dueAt <= item.dueAt) break
      items[index] = parent
      parent.heapIndex = index
      index = (index - 1) >> 1
    }
    for (;;) {
      let child = index * 2 + 1
      if (child >= items.length) break
      if (child + 1 < items.length && items[child + 1]!.dueAt < items[child]!.dueAt) child += 1
      if (items[child]!.dueAt >= item.dueAt) break
      const earlier = items[child]!
      items[index] = earlier
      earlier.heapIndex = index
      index = child
    }
    items[index] = item
    item.heapIndex = index
  }
}
