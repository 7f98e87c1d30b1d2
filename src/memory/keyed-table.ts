import { HalfSipHash } from '../core/hash/half-sip-hash.ts'
import type { MemorySizes, SharedMemory } from './shared-memory.ts'

/**
 * Open connections per client address, counted exactly over all workers, in a fixed amount of memory.
 *
 * ## Keys
 * A key is 16 bytes and is known to the table only by a 64-bit keyed hash (HalfSipHash, key drawn at creation). Two addresses
 * with one hash would share a count; with 65 536 addresses at once the chance is 2^-33, and nobody can search for such a pair
 * without the key. For the same reason nobody can choose addresses that crowd one bucket.
 *
 * ## Buckets
 * The hash names one bucket of 16 entries; a key lives there or nowhere. Entries whose count is 0 keep their key (an address
 * that returns finds it again) until another key needs the place: the one idle for longest goes first. When all 16 are in use
 * the connection is allowed, counted in `overflows`, and remembered in this worker alone so that its end finds nothing to
 * subtract. With entries for four times the addresses expected at once (a mean of 4 in 16), one bucket in a million
 * has one too many; at half full one in 270.
 *
 * ## Protocol
 * Every entry has two tag words (the hash) and a count word: bit 31 is CLAIMED, then 11 bits of generation, 20 of count.
 * Every bucket has a lock word: 0, or the worker that holds it plus 1.
 *
 * - Only the holder of a bucket's lock changes tags, and only of an entry that it has claimed. It claims by
 *   compare-and-swap from (generation, 0) to (generation + 1, CLAIMED): so nothing in use can be taken away, and every
 *   compare-and-swap prepared for the old key fails.
 * - Counting a known key up needs no lock: read the count word, then the tags, then compare-and-swap the word to one more. The
 *   generation in the word guarantees that the tags still were the key's. (It wraps after 2048 changes of key: within one
 *   such window, of nanoseconds or of one preemption, that many connections would have to open and close on one entry.)
 * - Counting a new key up takes the lock, looks again, claims, writes the tags, and publishes the word with count 1. As all
 *   inserts of one key meet at one lock, a key never stands in two entries.
 * - Counting down needs no lock: whoever counted up holds the entry in place.
 * - Own row: after the word on the way up, before it on the way down. So a word of count 0 has rows of 0, and a worker that is
 *   terminated in between leaves a count too high, never too low, until `reconcile`.
 * - A worker that dies with a lock is cleaned up by `giveBack`: a claimed entry is emptied, the lock released. Others wait
 *   for a lock at most about 50 ms (it is held for some 100 ns, longer only by one who was preempted or is dead), then overflow.
 *
 * Layout, Int32: key and overflow words (16), buckets × (16 first tags, 16 second tags, 16 counts, 16 ages, lock, clock, 14
 * unused), then rows[workers][entries].
 */
export class KeyedTable {
  readonly #words: Int32Array
  readonly #rows: Int32Array
  readonly #entries: number
  readonly #buckets: number
  readonly #workers: number
  readonly #hash: HalfSipHash
  /** What this thread allowed without an entry, by tags. Empty but after overflows. */
  readonly #uncounted = new Map<string, number>()
  /** Differences that the last pass of `reconcile` saw, and the generation they were seen in. Private to control. */
  #suspects: Int32Array | null = null
  #suspectGenerations: Int32Array | null = null

  constructor(memory: SharedMemory) {
    const { addresses, workers } = memory.sizes
    this.#entries = entryCount(addresses)
    this.#buckets = this.#entries / WAYS
    this.#workers = workers
    const words = HEADER + this.#buckets * BUCKET
    this.#words = new Int32Array(memory.addresses, 0, words)
    this.#rows = new Int32Array(memory.addresses, words * 4, this.#entries * workers)
    this.#hash = new HalfSipHash(this.#words[KEY]!, this.#words[KEY + 1]!)
  }

  /**
   * Counts one up for a key, in the calling worker's name; false when the key's count has reached `limit` (0: no limit).
   * The count is exact over all workers: never over the limit, no refusal below it (but see overflows).
   */
  tryIncrement(worker: number, key: Uint8Array, limit: number): boolean {
    const hash = this.#hash
    hash.hash16(key)
    const first = firstTag(hash.low)
    const second = hash.high
    const bucket = this.#bucketAt(first)
    for (;;) {
      const way = this.#find(bucket, first, second)
      if (way < 0) break
      const outcome = this.#countUp(worker, bucket, way, first, second, limit)
      if (outcome !== MOVED) return this.#settle(outcome, first, second)
    }
    return this.#settle(this.#insert(worker, bucket, first, second, limit), first, second)
  }

  /** Counts one down. Exactly once for every `tryIncrement` that said true, in the same worker. */
  decrement(worker: number, key: Uint8Array): void {
    const hash = this.#hash
    hash.hash16(key)
    const first = firstTag(hash.low)
    const second = hash.high
    if (this.#uncounted.size > 0 && this.#forget(first, second)) return
    const bucket = this.#bucketAt(first)
    const way = this.#find(bucket, first, second)
    if (way < 0) return
    const cell = this.#cell(worker, bucket, way)
    // Nothing of ours to subtract: a caller's mistake must not eat another worker's count.
    if (this.#rows[cell]! <= 0) return
    this.#rows[cell] = this.#rows[cell]! - 1
    const words = this.#words
    // The age while the entry is still held in place: afterwards it may be another key's.
    if ((Atomics.load(words, bucket + COUNTS + way) & COUNT_MASK) === 1) {
      words[bucket + AGES + way] = Atomics.add(words, bucket + CLOCK, 1) + 1
    }
    Atomics.sub(words, bucket + COUNTS + way, 1)
  }

  /** The count of a key over all workers; connections that overflowed are not in it. */
  count(key: Uint8Array): number {
    this.#hash.hash16(key)
    const first = firstTag(this.#hash.low)
    const bucket = this.#bucketAt(first)
    const way = this.#find(bucket, first, this.#hash.high)
    if (way < 0) return 0
    const word = Atomics.load(this.#words, bucket + COUNTS + way)
    return word < 0 ? 0 : word & COUNT_MASK
  }

  /** Connections that were allowed without being counted, since the start. Exact until it wraps at 2^32. */
  get overflows(): number {
    return Atomics.load(this.#words, OVERFLOWS) >>> 0
  }

  /** Addresses with a count above 0. A scan: for status and tests. */
  live(): number {
    let live = 0
    for (let entry = 0; entry < this.#entries; entry++) {
      if (this.#countOf(Atomics.load(this.#words, this.#wordAt(entry))) > 0) live++
    }
    return live
  }

  /** Takes a dead worker's counts out of the table and breaks its locks. Only after its thread has exited. */
  giveBack(worker: number): void {
    const words = this.#words
    const rows = worker * this.#entries
    for (let index = 0; index < this.#buckets; index++) {
      const bucket = HEADER + index * BUCKET
      if (Atomics.load(words, bucket + LOCK) !== worker + 1) continue
      for (let way = 0; way < WAYS; way++) {
        const word = Atomics.load(words, bucket + COUNTS + way)
        if (word >= 0) continue
        // Half written: nobody else could read it, so it is simply emptied.
        Atomics.store(words, bucket + FIRST + way, 0)
        Atomics.store(words, bucket + SECOND + way, 0)
        Atomics.store(words, bucket + COUNTS + way, word & GENERATION_MASK)
      }
      Atomics.store(words, bucket + LOCK, 0)
    }
    for (let entry = 0; entry < this.#entries; entry++) {
      const share = Atomics.exchange(this.#rows, rows + entry, 0)
      if (share !== 0) Atomics.sub(words, this.#wordAt(entry), share)
    }
  }

  /** One pass of the search for counts that differ from the sum of their rows, as `Ledger.reconcile`; returns how many it corrected. */
  reconcile(): number {
    this.#suspects ??= new Int32Array(this.#entries)
    this.#suspectGenerations ??= new Int32Array(this.#entries)
    let corrected = 0
    for (let entry = 0; entry < this.#entries; entry++) {
      const at = this.#wordAt(entry)
      const word = Atomics.load(this.#words, at)
      const generation = word & GENERATION_MASK
      const difference = this.#countOf(word) === 0 ? 0 : this.#steadyDifference(entry, at)
      if (difference !== 0 && difference === this.#suspects[entry] && generation === this.#suspectGenerations[entry]) {
        Atomics.sub(this.#words, at, difference)
        this.#suspects[entry] = 0
        corrected++
      } else {
        this.#suspects[entry] = difference
        this.#suspectGenerations[entry] = generation
      }
    }
    return corrected
  }

  /** Looks a key up without a lock; its way, or -1. */
  #find(bucket: number, first: number, second: number): number {
    const words = this.#words
    for (let way = 0; way < WAYS; way++) {
      if (words[bucket + FIRST + way] === first && words[bucket + SECOND + way] === second) return way
    }
    return -1
  }

  /** Counts an entry up as long as it is the key's. */
  #countUp(worker: number, bucket: number, way: number, first: number, second: number, limit: number): Outcome {
    const words = this.#words
    const at = bucket + COUNTS + way
    for (;;) {
      const word = Atomics.load(words, at)
      if (word < 0) return MOVED
      if (
        Atomics.load(words, bucket + FIRST + way) !== first ||
        Atomics.load(words, bucket + SECOND + way) !== second
      ) {
        return MOVED
      }
      const count = word & COUNT_MASK
      if (limit !== 0 && count >= limit) return REFUSED
      if (count === COUNT_MASK) return OVERFLOWED
      if (Atomics.compareExchange(words, at, word, word + 1) === word) {
        const cell = this.#cell(worker, bucket, way)
        this.#rows[cell] = this.#rows[cell]! + 1
        return COUNTED
      }
    }
  }

  #insert(worker: number, bucket: number, first: number, second: number, limit: number): Outcome {
    if (!this.#lock(worker, bucket)) return OVERFLOWED
    const outcome = this.#insertLocked(worker, bucket, first, second, limit)
    Atomics.store(this.#words, bucket + LOCK, 0)
    return outcome
  }

  #insertLocked(worker: number, bucket: number, first: number, second: number, limit: number): Outcome {
    const words = this.#words
    // Somebody may have put the key there since we looked. Under the lock tags stand still, so this cannot be MOVED.
    const known = this.#find(bucket, first, second)
    if (known >= 0) return this.#countUp(worker, bucket, known, first, second, limit)
    for (;;) {
      const way = this.#idleWay(bucket)
      if (way < 0) return OVERFLOWED
      const at = bucket + COUNTS + way
      const word = Atomics.load(words, at)
      if ((word & COUNT_MASK) !== 0) continue
      const generation = (word + GENERATION_STEP) & GENERATION_MASK
      if (Atomics.compareExchange(words, at, word, generation | CLAIMED) !== word) continue
      Atomics.store(words, bucket + FIRST + way, first)
      Atomics.store(words, bucket + SECOND + way, second)
      Atomics.store(words, at, generation | 1)
      const cell = this.#cell(worker, bucket, way)
      this.#rows[cell] = this.#rows[cell]! + 1
      return COUNTED
    }
  }

  /** The way that was idle for longest (never used counts as longest), or -1. */
  #idleWay(bucket: number): number {
    const words = this.#words
    const now = Atomics.load(words, bucket + CLOCK)
    let oldest = -1
    let oldestAge = -1
    for (let way = 0; way < WAYS; way++) {
      if ((Atomics.load(words, bucket + COUNTS + way) & (COUNT_MASK | CLAIMED)) !== 0) continue
      // By difference, so that a clock that wrapped still orders.
      const age = words[bucket + FIRST + way] === 0 ? 0xffff_ffff : (now - words[bucket + AGES + way]!) >>> 0
      if (age > oldestAge) {
        oldest = way
        oldestAge = age
      }
    }
    return oldest
  }

  /** Takes a bucket's lock; false when its holder does not give it up. */
  #lock(worker: number, bucket: number): boolean {
    const words = this.#words
    for (let attempt = 0; attempt < LOCK_SPINS + LOCK_WAITS; attempt++) {
      const holder = Atomics.compareExchange(words, bucket + LOCK, 0, worker + 1)
      if (holder === 0) return true
      // Nobody notifies (that would cost every unlock a call): it is the pause that lets a preempted holder run.
      if (attempt >= LOCK_SPINS) Atomics.wait(words, bucket + LOCK, holder, 1)
    }
    return false
  }

  #settle(outcome: Outcome, first: number, second: number): boolean {
    if (outcome === OVERFLOWED) {
      Atomics.add(this.#words, OVERFLOWS, 1)
      const name = `${first}:${second}`
      this.#uncounted.set(name, (this.#uncounted.get(name) ?? 0) + 1)
    }
    return outcome !== REFUSED
  }

  /** True when a connection of this key had overflowed in this thread: it, and not a counted one, is what ends now. */
  #forget(first: number, second: number): boolean {
    const name = `${first}:${second}`
    const uncounted = this.#uncounted.get(name)
    if (uncounted === undefined) return false
    if (uncounted === 1) this.#uncounted.delete(name)
    else this.#uncounted.set(name, uncounted - 1)
    return true
  }

  /** Count minus rows, or 0 where they keep moving. */
  #steadyDifference(entry: number, at: number): number {
    const word = Atomics.load(this.#words, at)
    const sum = this.#sumRows(entry)
    if (Atomics.load(this.#words, at) !== word || this.#sumRows(entry) !== sum) return 0
    return word < 0 ? 0 : (word & COUNT_MASK) - sum
  }

  #sumRows(entry: number): number {
    let sum = 0
    for (let worker = 0; worker < this.#workers; worker++) {
      sum += Atomics.load(this.#rows, worker * this.#entries + entry)
    }
    return sum
  }

  #countOf(word: number): number {
    return word < 0 ? 0 : word & COUNT_MASK
  }

  #wordAt(entry: number): number {
    return HEADER + Math.floor(entry / WAYS) * BUCKET + COUNTS + (entry % WAYS)
  }

  #bucketAt(first: number): number {
    return HEADER + (first & (this.#buckets - 1)) * BUCKET
  }

  #cell(worker: number, bucket: number, way: number): number {
    return worker * this.#entries + ((bucket - HEADER) / BUCKET) * WAYS + way
  }
}

/** Bytes of the table: 20 per entry for the key and its count, 4 per entry and worker for the rows. */
export function keyedTableBytes({ addresses, workers }: MemorySizes): number {
  const entries = entryCount(addresses)
  return (HEADER + (entries / WAYS) * BUCKET + entries * workers) * 4
}

/** Sets the hash's key; once, before any thread uses the table. */
export function seedKeyedTable(memory: SharedMemory, key: Int32Array): void {
  new Int32Array(memory.addresses, 0, HEADER).set(key.subarray(0, 2), KEY)
}

const HEADER = 16
const KEY = 0
/** Apart from the key, which is only read. */
const OVERFLOWS = 8

const WAYS = 16
const FIRST = 0
const SECOND = 16
const COUNTS = 32
const AGES = 48
const LOCK = 64
const CLOCK = 65
const BUCKET = 80

const CLAIMED = 0x8000_0000 | 0
const COUNT_MASK = 0x000f_ffff
const GENERATION_STEP = COUNT_MASK + 1
const GENERATION_MASK = 0x7ff0_0000

/** Tries at full speed, then tries of a millisecond each. */
const LOCK_SPINS = 200
const LOCK_WAITS = 50

type Outcome = typeof REFUSED | typeof COUNTED | typeof OVERFLOWED | typeof MOVED
const REFUSED = 0
const COUNTED = 1
const OVERFLOWED = 2
/** The entry changed hands while we looked. */
const MOVED = 3

/** A first tag of 0 marks an entry that was never used. */
function firstTag(low: number): number {
  return low === 0 ? 1 : low
}

/** Entries for a number of addresses: a power of two, at least one bucket. */
function entryCount(addresses: number): number {
  let entries = WAYS
  while (entries < addresses) entries *= 2
  return entries
}
