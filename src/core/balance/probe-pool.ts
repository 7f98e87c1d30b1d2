/**
 * The answers to probes that may still be used: a small table with one row per endpoint at most. Nothing in it allocates.
 */
export class ProbePool {
  readonly capacity: number
  #size = 0
  /** By row. */
  readonly #slots: Int32Array
  readonly #usesLeft: Int32Array
  /** In flight at the endpoint when it answered, plus what was sent since, divided by its weight. */
  readonly #loads: Float64Array
  readonly #latencies: Float64Array
  readonly #atMs: Float64Array

  constructor(capacity: number) {
    this.capacity = capacity
    this.#slots = new Int32Array(capacity)
    this.#usesLeft = new Int32Array(capacity)
    this.#loads = new Float64Array(capacity)
    this.#latencies = new Float64Array(capacity)
    this.#atMs = new Float64Array(capacity)
  }

  get size(): number {
    return this.#size
  }

  slot(row: number): number {
    return this.#slots[row]!
  }

  load(row: number): number {
    return this.#loads[row]!
  }

  latency(row: number): number {
    return this.#latencies[row]!
  }

  atMs(row: number): number {
    return this.#atMs[row]!
  }

  usesLeft(row: number): number {
    return this.#usesLeft[row]!
  }

  /** A new answer takes the place of the endpoint's last one, else a free row, else the oldest one's. */
  put(slot: number, load: number, latencyMs: number, now: number, uses: number): void {
    let row = this.rowOf(slot)
    if (row < 0) row = this.#size < this.capacity ? this.#size++ : this.oldest()
    this.#slots[row] = slot
    this.#loads[row] = load
    this.#latencies[row] = latencyMs
    this.#atMs[row] = now
    this.#usesLeft[row] = uses
  }

  rowOf(slot: number): number {
    for (let row = 0; row < this.#size; row++) if (this.#slots[row] === slot) return row
    return -1
  }

  /** -1 when it is empty. */
  oldest(): number {
    let oldest = -1
    for (let row = 0; row < this.#size; row++) {
      if (oldest < 0 || this.#atMs[row]! < this.#atMs[oldest]!) oldest = row
    }
    return oldest
  }

  /** The hot one with the highest load, or, where none is hot, the cold one with the highest latency; -1 when it is empty. */
  worst(hotAbove: number): number {
    let worst = -1
    for (let row = 0; row < this.#size; row++) {
      if (worst < 0) {
        worst = row
        continue
      }
      const isHot = this.#loads[row]! > hotAbove
      const isWorstHot = this.#loads[worst]! > hotAbove
      if (isHot !== isWorstHot) {
        if (isHot) worst = row
      } else if (isHot ? this.#loads[row]! > this.#loads[worst]! : this.#latencies[row]! > this.#latencies[worst]!) {
        worst = row
      }
    }
    return worst
  }

  remove(row: number): void {
    const last = --this.#size
    this.#slots[row] = this.#slots[last]!
    this.#usesLeft[row] = this.#usesLeft[last]!
    this.#loads[row] = this.#loads[last]!
    this.#latencies[row] = this.#latencies[last]!
    this.#atMs[row] = this.#atMs[last]!
  }

  removeOlderThan(atMs: number): void {
    for (let row = this.#size - 1; row >= 0; row--) if (this.#atMs[row]! < atMs) this.remove(row)
  }

  /** A request was sent on the strength of this answer: it adds to the load, and one use is gone. */
  use(row: number, load: number): void {
    this.#loads[row] = this.#loads[row]! + load
    this.#usesLeft[row] = this.#usesLeft[row]! - 1
    if (this.#usesLeft[row] <= 0) this.remove(row)
  }
}

/** A quantile over the latest values: they lie in order of age in a ring and in order of size beside it. */
export class RecentQuantile {
  readonly #ring: Float64Array
  readonly #sorted: Float64Array
  readonly #quantile: number
  #size = 0
  #next = 0

  constructor(capacity: number, quantile: number) {
    this.#ring = new Float64Array(capacity)
    this.#sorted = new Float64Array(capacity)
    this.#quantile = quantile
  }

  /** O(capacity), some 50 ns at 64. */
  add(value: number): void {
    const sorted = this.#sorted
    let place: number
    if (this.#size < this.#ring.length) place = this.#size++
    else {
      place = 0
      const leaving = this.#ring[this.#next]!
      while (sorted[place] !== leaving) place++
    }
    // From where the old value was, or from the end, to where the new one belongs.
    while (place > 0 && sorted[place - 1]! > value) {
      sorted[place] = sorted[place - 1]!
      place--
    }
    while (place + 1 < this.#size && sorted[place + 1]! < value) {
      sorted[place] = sorted[place + 1]!
      place++
    }
    sorted[place] = value
    this.#ring[this.#next] = value
    this.#next = (this.#next + 1) % this.#ring.length
  }

  /** The value below or at which the share `quantile` of the latest lies; Infinity while there are none. */
  get value(): number {
    if (this.#size === 0) return Number.POSITIVE_INFINITY
    return this.#sorted[Math.min(this.#size - 1, Math.floor(this.#quantile * this.#size))]!
  }
}
