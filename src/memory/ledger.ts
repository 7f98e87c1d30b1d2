/**
 * A counted column that is exact over all workers and survives the death of one.
 *
 * Beside every total stands one row per worker, written only by that worker, that says which part of the total is its own:
 * when a worker dies, its row is subtracted from the total and zeroed.
 *
 * The two writes of one change are not one atomic step, so a worker can be terminated between them. They are ordered so that
 * this only ever leaves a total too high (a limit errs to the safe side): up is total first, then row; down is row first,
 * then total. `reconcile` finds and corrects what is left.
 *
 * Layout, Int32: total[entries], then rows[workers][entries]; every row starts on a cache line of its own.
 */
export class Ledger {
  /** By entry. Exact: changed by Atomics only. Read it, never write it. */
  readonly total: Int32Array
  readonly #rows: Int32Array
  readonly #stride: number
  readonly #workers: number
  /** The difference that the last pass of `reconcile` saw, by entry. Private to the thread that reconciles. */
  #suspects: Int32Array | null = null

  constructor(buffer: SharedArrayBuffer, byteOffset: number, entries: number, workers: number) {
    const stride = rowStride(entries)
    this.total = new Int32Array(buffer, byteOffset, entries)
    this.#rows = new Int32Array(buffer, byteOffset + stride * 4, stride * workers)
    this.#stride = stride
    this.#workers = workers
  }

  /** Counts one up or down for a worker. To be called in that worker alone. */
  add(worker: number, entry: number, delta: 1 | -1): void {
    const cell = worker * this.#stride + entry
    if (delta === 1) {
      Atomics.add(this.total, entry, 1)
      this.#rows[cell] = this.#rows[cell]! + 1
    } else {
      this.#rows[cell] = this.#rows[cell]! - 1
      Atomics.sub(this.total, entry, 1)
    }
  }

  /**
   * Counts one up unless the total has reached `limit` (0: no limit). Never exceeds the limit, not even for an instant, and
   * never refuses while there is room: hence compare-and-swap, not add and undo.
   */
  tryAdd(worker: number, entry: number, limit: number): boolean {
    if (limit === 0) {
      this.add(worker, entry, 1)
      return true
    }
    const total = this.total
    let seen = Atomics.load(total, entry)
    for (;;) {
      if (seen >= limit) return false
      const found = Atomics.compareExchange(total, entry, seen, seen + 1)
      if (found === seen) break
      seen = found
    }
    const cell = worker * this.#stride + entry
    this.#rows[cell] = this.#rows[cell]! + 1
    return true
  }

  /** A worker's own part of a total. */
  share(worker: number, entry: number): number {
    return Atomics.load(this.#rows, worker * this.#stride + entry)
  }

  /** True when the total and every worker's row are zero. */
  isZero(entry: number): boolean {
    if (Atomics.load(this.total, entry) !== 0) return false
    for (let worker = 0; worker < this.#workers; worker++) if (this.share(worker, entry) !== 0) return false
    return true
  }

  /** Takes a dead worker's share out of every total. Only after its thread has exited. */
  giveBack(worker: number): void {
    const start = worker * this.#stride
    for (let entry = 0; entry < this.total.length; entry++) {
      const share = Atomics.exchange(this.#rows, start + entry, 0)
      if (share !== 0) Atomics.sub(this.total, entry, share)
    }
  }

  /**
   * One pass of the search for totals that differ from the sum of their rows; returns how many it corrected.
   *
   * Live workers change both all the time, so one look proves nothing. A difference counts when two readings in a row are
   * the same (nothing moved meanwhile), and is corrected when the next pass, about 100 ms later, counts the same difference:
   * only a worker that died between its two writes leaves one that stays.
   */
  reconcile(): number {
    this.#suspects ??= new Int32Array(this.total.length)
    const suspects = this.#suspects
    let corrected = 0
    for (let entry = 0; entry < this.total.length; entry++) {
      const difference = this.#steadyDifference(entry)
      if (difference !== 0 && difference === suspects[entry]) {
        Atomics.sub(this.total, entry, difference)
        suspects[entry] = 0
        corrected++
      } else {
        suspects[entry] = difference
      }
    }
    return corrected
  }

  /** Total minus rows, or 0 where the two keep moving. */
  #steadyDifference(entry: number): number {
    for (let attempt = 0; attempt < 4; attempt++) {
      const total = Atomics.load(this.total, entry)
      const sum = this.#sumRows(entry)
      if (total === sum) return 0
      if (Atomics.load(this.total, entry) === total && this.#sumRows(entry) === sum) return total - sum
    }
    return 0
  }

  #sumRows(entry: number): number {
    let sum = 0
    for (let worker = 0; worker < this.#workers; worker++) sum += this.share(worker, entry)
    return sum
  }
}

/** Bytes of one ledger. */
export function ledgerBytes(entries: number, workers: number): number {
  return rowStride(entries) * 4 * (workers + 1)
}

/** Cells from one row to the next: whole cache lines, so that two workers never write to the same one. */
function rowStride(entries: number): number {
  return Math.ceil(entries / 16) * 16
}
