export interface CodelOptions {
  /** Waiting ones at most; a further one is refused. A whole number from 1 to 2^20. */
  readonly capacity: number
  /** The wait that is acceptable for good. Above 0; default 5 ms (RFC 8289, section 4.4). */
  readonly targetMs?: number
  /** How long it may be exceeded before anything is shed: about the time a burst needs. Above 0; default 100 ms (the same). */
  readonly intervalMs?: number
  /** Nobody waits longer than this, overload or not. Default Infinity. */
  readonly maxWaitMs?: number
  /**
   * `lifo`: while it sheds, the newest is served first: those who came last are still there to be answered, and the oldest
   * are those that are shed (Facebook's "adaptive LIFO": B. Maurer, Fail at Scale, ACM Queue 13(8), 2015). Default `fifo`.
   */
  readonly whenOverloaded?: 'fifo' | 'lifo'
}

/**
 * A bounded queue that sheds when it has stood for too long, not when it is long: CoDel (RFC 8289) for requests.
 *
 * A burst makes waits long for a moment and is let through. A standing queue makes even the shortest wait of a whole
 * `intervalMs` longer than `targetMs`: then one is shed, the next after interval / √2, then interval / √3 and so on, until a
 * wait below the target ends it. As in the RFC the law acts when something is taken out, and the last one that waits is
 * never shed by it. Unlike the RFC, what waits can be taken out from the middle (a client that left), by its ticket.
 *
 * In LIFO the one that is judged, and shed, is still the oldest. Everything is O(1) but `expire`, which is O(1) for each one
 * that it sheds.
 */
export class CodelQueue<T> {
  /** Those shed by the law and by `maxWaitMs`. */
  shedTotal = 0
  readonly #capacity: number
  readonly #targetMs: number
  readonly #intervalMs: number
  readonly #maxWaitMs: number
  readonly #isLifo: boolean
  // A list through arrays of `capacity`: place → neighbours, item, time. Free places hang together by `#newer`.
  readonly #items: (T | undefined)[]
  readonly #enteredMs: Float64Array
  readonly #older: Int32Array
  readonly #newer: Int32Array
  /** Odd while a place is taken, even while it is free, and not again what it was for 2^31 uses: so an old ticket is void. */
  readonly #uses: Uint32Array
  #oldest = NONE
  #newest = NONE
  #free = 0
  #size = 0
  // The law's state, by the names of RFC 8289, section 5.1.
  /** Times (`Law`), in an array: a double in a field, passed or returned may be a new object each time. */
  readonly #law = new Float64Array(2)
  #count = 0
  #lastCount = 0
  #isDropping = false

  /** Throws a RangeError for options out of range. */
  constructor(options: CodelOptions) {
    const { capacity, targetMs = 5, intervalMs = 100, maxWaitMs = Number.POSITIVE_INFINITY } = options
    if (!(Number.isInteger(capacity) && capacity >= 1 && capacity <= 2 ** 20)) {
      throw new RangeError(`capacity is ${capacity}, it must be a whole number from 1 to 2^20`)
    }
    if (!(targetMs > 0)) throw new RangeError(`targetMs is ${targetMs}, it must be above 0`)
    if (!(intervalMs > 0)) throw new RangeError(`intervalMs is ${intervalMs}, it must be above 0`)
    if (!(maxWaitMs > 0)) throw new RangeError(`maxWaitMs is ${maxWaitMs}, it must be above 0`)
    this.#capacity = capacity
    this.#targetMs = targetMs
    this.#intervalMs = intervalMs
    this.#maxWaitMs = maxWaitMs
    this.#isLifo = options.whenOverloaded === 'lifo'
    this.#items = new Array<T | undefined>(capacity).fill(undefined)
    this.#enteredMs = new Float64Array(capacity)
    this.#older = new Int32Array(capacity)
    this.#newer = Int32Array.from({ length: capacity }, (_, place) => (place + 1 < capacity ? place + 1 : NONE))
    this.#uses = new Uint32Array(capacity)
  }

  /** How many wait. */
  get size(): number {
    return this.#size
  }

  /** The law is shedding. */
  get isOverloaded(): boolean {
    return this.#isDropping
  }

  /** Adds one at the end. Returns its ticket (>= 0), or -1 when the queue is full. */
  push(item: T, nowMs: number): number {
    const place = this.#free
    if (place === NONE) return -1
    this.#free = this.#newer[place]!
    this.#items[place] = item
    this.#enteredMs[place] = nowMs
    this.#older[place] = this.#newest
    this.#newer[place] = NONE
    if (this.#newest === NONE) this.#oldest = place
    else this.#newer[this.#newest] = place
    this.#newest = place
    this.#size++
    const use = this.#uses[place]! + 1
    this.#uses[place] = use
    return use * this.#capacity + place
  }

  /** Takes out the one with this ticket (its client left). False: it is no longer here. */
  remove(ticket: number): boolean {
    const use = Math.floor(ticket / this.#capacity)
    const place = ticket - use * this.#capacity
    if (use % 2 !== 1 || this.#uses[place] !== use) return false
    this.#unlink(place)
    return true
  }

  /**
   * Takes out the one to serve now; undefined when none is left. Those that are shed on the way are handed to `shed`, which
   * must answer them (503) and not touch this queue.
   */
  take(nowMs: number, shed: (item: T) => void): T | undefined {
    this.expire(nowMs, shed)
    let okToDrop = this.#judge(nowMs)
    if (this.#isDropping) {
      if (!okToDrop) this.#isDropping = false
      while (this.#isDropping && nowMs >= this.#law[Law.DROP_NEXT]!) {
        this.#shedOldest(shed)
        this.#count++
        okToDrop = this.#judge(nowMs)
        if (okToDrop) this.#scheduleNext()
        else this.#isDropping = false
      }
    } else if (okToDrop) {
      this.#shedOldest(shed)
      this.#judge(nowMs)
      this.#isDropping = true
      // Overloaded again soon after the last time: the rate that helped then is where to begin (RFC 8289, section 5.6).
      const delta = this.#count - this.#lastCount
      this.#count = delta > 1 && nowMs - this.#law[Law.DROP_NEXT]! < 16 * this.#intervalMs ? delta : 1
      this.#law[Law.DROP_NEXT] = nowMs
      this.#scheduleNext()
      this.#lastCount = this.#count
    }
    const place = this.#isLifo && this.#isDropping ? this.#newest : this.#oldest
    if (place === NONE) return undefined
    const item = this.#items[place]
    this.#unlink(place)
    return item
  }

  /** Sheds those that have waited for `maxWaitMs`. For a timer too: `take` alone does not come while nothing is served. */
  expire(nowMs: number, shed: (item: T) => void): void {
    while (this.#oldest !== NONE && nowMs - this.#enteredMs[this.#oldest]! >= this.#maxWaitMs) this.#shedOldest(shed)
  }

  /** The law's estimator: has the oldest one's wait been above the target for a whole interval? */
  #judge(nowMs: number): boolean {
    // The RFC drops nothing that leaves at most one packet behind; here nothing that leaves nobody: an idle server is worse
    // than a late one.
    if (this.#size <= 1 || nowMs - this.#enteredMs[this.#oldest]! < this.#targetMs) {
      this.#law[Law.FIRST_ABOVE] = 0
      return false
    }
    const firstAbove = this.#law[Law.FIRST_ABOVE]!
    if (firstAbove !== 0) return nowMs >= firstAbove
    this.#law[Law.FIRST_ABOVE] = nowMs + this.#intervalMs
    return false
  }

  /** The control law: t + interval / √count. */
  #scheduleNext(): void {
    this.#law[Law.DROP_NEXT]! += this.#intervalMs / Math.sqrt(this.#count)
  }

  #shedOldest(shed: (item: T) => void): void {
    const item = this.#items[this.#oldest] as T
    this.#unlink(this.#oldest)
    this.shedTotal++
    shed(item)
  }

  #unlink(place: number): void {
    const older = this.#older[place]!
    const newer = this.#newer[place]!
    if (older === NONE) this.#oldest = newer
    else this.#newer[older] = newer
    if (newer === NONE) this.#newest = older
    else this.#older[newer] = older
    this.#items[place] = undefined
    this.#uses[place] = this.#uses[place]! + 1
    this.#newer[place] = this.#free
    this.#free = place
    this.#size--
  }
}

/** `FIRST_ABOVE`: 0 while the wait is below the target. */
const Law = { FIRST_ABOVE: 0, DROP_NEXT: 1 } as const

const NONE = -1
