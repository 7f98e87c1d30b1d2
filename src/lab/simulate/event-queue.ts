const SUBJECT_BITS = 26
/** Subjects are whole numbers below this. */
export const SUBJECTS_MAX = 2 ** SUBJECT_BITS
/** Kinds are whole numbers below this. */
export const KINDS_MAX = 2 ** (31 - SUBJECT_BITS)
/** Events that wait at most; 64 million are 1 GiB. */
const EVENTS_MAX = 2 ** 26

/**
 * What is to happen, by time; of one time in the order in which it was pushed.
 *
 * A 4-ary heap in three typed arrays: half as deep as a binary one, children side by side in memory, no object per event.
 * Nothing is ever taken out of the middle: an event that no longer means anything is recognised when it comes, because the
 * time that its subject waits for is another by then.
 */
export class EventQueue {
  /** Of the event that `pop` returned last. */
  time = 0
  /** Of the event that `pop` returned last. */
  subject = 0
  #size = 0
  #times = new Float64Array(1024)
  /** Which came first, of equal times. Wraps, and is compared by difference. */
  #orders = new Int32Array(1024)
  /** Kind and subject in one word. */
  #whats = new Int32Array(1024)
  #order = 0

  /** How many wait. */
  get size(): number {
    return this.#size
  }

  /** O(log n). Throws a RangeError when too many wait or the time is not a number. */
  push(time: number, kind: number, subject: number): void {
    // NaN would sit in the heap as if it were equal to everything.
    if (!(time >= 0)) throw new RangeError(`an event at ${time}`)
    if (this.#size === this.#times.length) this.#grow()
    const times = this.#times
    const orders = this.#orders
    const whats = this.#whats
    let at = this.#size++
    while (at > 0) {
      const parent = (at - 1) >> 2
      // The newer of equals stays behind: no comparison of orders is needed on the way up.
      if (times[parent]! <= time) break
      times[at] = times[parent]!
      orders[at] = orders[parent]!
      whats[at] = whats[parent]!
      at = parent
    }
    times[at] = time
    this.#order = (this.#order + 1) | 0
    orders[at] = this.#order
    whats[at] = (kind << SUBJECT_BITS) | subject
  }

  /** Takes out the next event: its kind, or -1 when none is left. `time` and `subject` are its. O(log n). */
  pop(): number {
    if (this.#size === 0) return -1
    const times = this.#times
    const orders = this.#orders
    const whats = this.#whats
    this.time = times[0]!
    const what = whats[0]!
    this.subject = what & (SUBJECTS_MAX - 1)
    const size = --this.#size
    const time = times[size]!
    const order = orders[size]!
    let at = 0
    for (;;) {
      const first = 4 * at + 1
      if (first >= size) break
      const end = first + 4 < size ? first + 4 : size
      let least = first
      let leastTime = times[first]!
      for (let child = first + 1; child < end; child++) {
        const childTime = times[child]!
        if (childTime < leastTime || (childTime === leastTime && ((orders[child]! - orders[least]!) | 0) < 0)) {
          least = child
          leastTime = childTime
        }
      }
      if (leastTime > time || (leastTime === time && ((orders[least]! - order) | 0) > 0)) break
      times[at] = leastTime
      orders[at] = orders[least]!
      whats[at] = whats[least]!
      at = least
    }
    times[at] = time
    orders[at] = order
    whats[at] = whats[size]!
    return what >>> SUBJECT_BITS
  }

  #grow(): void {
    const length = this.#times.length * 2
    if (length > EVENTS_MAX) throw new RangeError(`more than ${EVENTS_MAX} events wait`)
    this.#times = grown(this.#times, new Float64Array(length))
    this.#orders = grown(this.#orders, new Int32Array(length))
    this.#whats = grown(this.#whats, new Int32Array(length))
  }
}

function grown<T extends Float64Array | Int32Array>(from: T, to: T): T {
  to.set(from)
  return to
}
