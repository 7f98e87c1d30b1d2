import type { Xoshiro128 } from '../random.ts'
import { isWeight } from './explanation.ts'
import type { Accept } from './picker.ts'

/** Turns of vetoed members that are let pass before a scan, besides an eighth of a turn per member. */
const PATIENCE = 16

/** A member whose share is smaller than one in this many turns gets one in this many. */
const LONGEST_INTERVAL = 2 ** 40

/**
 * A smooth weighted rotation without a list of its turns, of one thread.
 *
 * Member i with share s has a window for its j-th turn, from (j + φ) / s to (j + 1 + φ) / s, where φ in [0, 1) is its own random
 * start; among those whose window is open the one that closes first goes (EEVDF: Stoica and Abdel-Wahab 1995; the same rule
 * as `buildSchedule`, as it goes along). So the turns of each lie as evenly as its share allows and, after any number of turns
 * t, no member is a whole turn off s · t as counted from its start; smooth weighted rotation as nginx has it may be further
 * off and looks at every member for every turn. The random starts are spread evenly over [0, 1) in random order: workers
 * neither march in step nor meet the members in the same order.
 *
 * Windows that are still to open lie in a wheel of linked lists by the turn in which they do, open ones in a heap, of which
 * there are few: about the square root of the members. A turn costs the same at any size, but for the processor's caches.
 *
 * The turn of a vetoed member is let pass, so its share goes to the others by their weights, and once it is back it has no
 * turns to make up for. Members are known by position in the arrays given.
 */
export class WeightedRotation {
  readonly #generator: Xoshiro128
  #count = 0
  #size = 0
  /** By position: turns from one of its turns to the next; 0: without weight. */
  #intervals = new Float64Array(0)
  /** By position: when the window of its next turn opens, in turns. */
  #opens = new Float64Array(0)
  /** By position, only while weights change: (opens - turn) / interval. */
  #phases = new Float64Array(0)
  /** By turn modulo length, a power of two: the first position of a list; -1: empty. */
  #wheel = new Int32Array(1)
  /** By position: the next in its list. */
  #next = new Int32Array(0)
  /** Positions whose window is open, by when it closes. */
  #heap = new Int32Array(0)
  /** When each of them closes. */
  #deadlines = new Float64Array(0)
  #heapSize = 0
  /** The number of the next turn: in an array, as a number field that is not a small whole number is boxed at each change. */
  readonly #turn = new Float64Array(1)

  constructor(generator: Xoshiro128) {
    this.#generator = generator
  }

  /** How many members have weight. */
  get size(): number {
    return this.#size
  }

  /**
   * New members: entries [0, count) of `weights`. Entry i of `former` is the position that member i had before, -1: it is
   * new; those that stay keep their place in the rotation. O(n).
   */
  update(weights: Float64Array, count: number, former: Int32Array): void {
    const phases = new Float64Array(count)
    let joined = 0
    for (let position = 0; position < count; position++) {
      phases[position] = this.#phaseOf(former[position]!)
      if (Number.isNaN(phases[position]!)) joined++
    }
    this.#count = count
    this.#phases = phases
    this.#intervals = new Float64Array(count)
    this.#opens = new Float64Array(count)
    this.#next = new Int32Array(count)
    this.#heap = new Int32Array(count)
    this.#deadlines = new Float64Array(count)
    let length = 16
    while (length < 2 * count) length *= 2
    this.#wheel = new Int32Array(length)
    this.#dealPhases(joined)
    this.#place(weights)
  }

  /** Other weights for the same members. Keeps everyone's place in the rotation. O(n), allocates nothing. */
  reweigh(weights: Float64Array): void {
    const phases = this.#phases
    for (let position = 0; position < this.#count; position++) {
      const phase = this.#phaseOf(position)
      phases[position] = Number.isNaN(phase) ? this.#generator.unit() : phase
    }
    this.#place(weights)
  }

  /** The next position that has weight and is accepted, -1 when there is none. Allocates nothing. */
  take(accept: Accept): number {
    if (this.#size === 0) return -1
    for (let left = PATIENCE + (this.#size >>> 3); left > 0; left--) {
      const position = this.#takeTurn()
      if (accept(position)) return position
    }
    return this.#scan(accept)
  }

  /** By position: the share of all turns. */
  shareOf(position: number): number {
    const interval = this.#intervals[position]!
    return interval === 0 ? 0 : 1 / interval
  }

  /** By position: turns from now until the window of its next turn opens (below 0: it is open) or, with its interval, closes. */
  opensIn(position: number): number {
    return this.#opens[position]! - this.#turn[0]!
  }

  /** By position: turns until its window closes. */
  closesIn(position: number): number {
    return this.opensIn(position) + this.#intervals[position]!
  }

  /** NaN for a member that has no place yet. */
  #phaseOf(position: number): number {
    if (position < 0 || position >= this.#count || this.#intervals[position] === 0) return Number.NaN
    return (this.#opens[position]! - this.#turn[0]!) / this.#intervals[position]!
  }

  /** Starts for those without one: k / n + u for k in random order. */
  #dealPhases(joined: number): void {
    const order = new Int32Array(joined)
    for (let rank = 0; rank < joined; rank++) {
      const other = this.#generator.below(rank + 1)
      order[rank] = order[other]!
      order[other] = rank
    }
    const shift = this.#generator.unit()
    const phases = this.#phases
    let at = 0
    for (let position = 0; position < this.#count; position++) {
      if (Number.isNaN(phases[position]!)) phases[position] = (order[at++]! + shift) / joined
    }
  }

  #place(weights: Float64Array): void {
    const count = this.#count
    const intervals = this.#intervals
    let largest = 0
    for (let position = 0; position < count; position++) {
      const weight = weights[position]!
      if (isWeight(weight) && weight > largest) largest = weight
    }
    // Scaled by the largest first, so that the sum of huge weights cannot overflow.
    let sum = 0
    let size = 0
    for (let position = 0; position < count; position++) {
      const weight = weights[position]!
      if (!isWeight(weight)) continue
      sum += weight / largest
      size++
    }
    const turn = this.#turn[0]!
    for (let position = 0; position < count; position++) {
      const weight = weights[position]!
      if (isWeight(weight)) {
        const interval = Math.min(sum / (weight / largest), LONGEST_INTERVAL)
        intervals[position] = interval
        this.#opens[position] = turn + this.#phases[position]! * interval
      } else {
        intervals[position] = 0
      }
    }
    this.#size = size
    this.#rebuild()
  }

  /** Sorts every member into the heap or the wheel. */
  #rebuild(): void {
    this.#wheel.fill(-1)
    this.#heapSize = 0
    for (let position = 0; position < this.#count; position++) {
      if (this.#intervals[position]! > 0) this.#wait(position)
    }
  }

  #takeTurn(): number {
    const turn = this.#turn
    for (;;) {
      const now = turn[0]!
      const cell = now & (this.#wheel.length - 1)
      if (this.#wheel[cell]! >= 0) this.#open(cell)
      turn[0] = now + 1
      // Nobody's window is open when starts lie unevenly: such a turn is skipped. Some window opens within one interval.
      if (this.#heapSize === 0) continue
      const position = this.#pop()
      this.#opens[position] = this.#opens[position]! + this.#intervals[position]!
      this.#wait(position)
      return position
    }
  }

  /** Into the heap when its window is open in the next turn, else into the wheel. */
  #wait(position: number): void {
    const opens = this.#opens[position]!
    if (opens < this.#turn[0]! + 1) {
      this.#push(position)
      return
    }
    const cell = opens & (this.#wheel.length - 1)
    this.#next[position] = this.#wheel[cell]!
    this.#wheel[cell] = position
  }

  /** Those whose window opens in this turn go into the heap; the others of this cell belong to later rounds of the wheel. */
  #open(cell: number): void {
    let position = this.#wheel[cell]!
    this.#wheel[cell] = -1
    while (position >= 0) {
      const next = this.#next[position]!
      this.#wait(position)
      position = next
    }
  }

  #push(position: number): void {
    const heap = this.#heap
    const deadlines = this.#deadlines
    const deadline = this.#opens[position]! + this.#intervals[position]!
    let at = this.#heapSize++
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (deadlines[parent]! <= deadline) break
      deadlines[at] = deadlines[parent]!
      heap[at] = heap[parent]!
      at = parent
    }
    deadlines[at] = deadline
    heap[at] = position
  }

  #pop(): number {
    const heap = this.#heap
    const deadlines = this.#deadlines
    const top = heap[0]!
    const size = --this.#heapSize
    const deadline = deadlines[size]!
    const position = heap[size]!
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      if (child + 1 < size && deadlines[child + 1]! < deadlines[child]!) child++
      if (deadlines[child]! >= deadline) break
      deadlines[at] = deadlines[child]!
      heap[at] = heap[child]!
      at = child
    }
    deadlines[at] = deadline
    heap[at] = position
    return top
  }

  /** Nearly all are vetoed: goes straight to the next turn of one that is not, and lets all turns before it pass. */
  #scan(accept: Accept): number {
    const opens = this.#opens
    const intervals = this.#intervals
    let chosen = -1
    let first = Number.POSITIVE_INFINITY
    for (let position = 0; position < this.#count; position++) {
      const interval = intervals[position]!
      const deadline = opens[position]! + interval
      if (interval === 0 || deadline >= first || !accept(position)) continue
      first = deadline
      chosen = position
    }
    if (chosen < 0) return -1
    const turn = Math.max(this.#turn[0]!, Math.floor(opens[chosen]!))
    opens[chosen] = opens[chosen]! + intervals[chosen]!
    for (let position = 0; position < this.#count; position++) {
      const interval = intervals[position]!
      const missed = Math.floor((turn - opens[position]!) / interval)
      if (interval > 0 && missed > 0) opens[position] = opens[position]! + missed * interval
    }
    this.#turn[0] = turn + 1
    this.#rebuild()
    return chosen
  }
}
