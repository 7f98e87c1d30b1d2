/** Turns in one cycle, unless whole-number weights give fewer or there are more than a quarter as many members. */
export const SCHEDULE_TURNS = 8192

/**
 * One cycle of a weighted rotation: indices into `weights` (all > 0 and finite), each as often as its weight says, as evenly
 * spread as can be.
 *
 * Order: member i with share s has a window for its j-th turn, from floor(j / s) to ceil((j + 1) / s); among those whose window is
 * open the one that closes first goes. Earliest deadline first meets every window (Baruah and others 1996, "proportionate
 * progress"), hence after any number of turns t no member is a whole turn ahead of or behind s · t.
 *
 * Length L: the sum of the weights divided by their greatest common divisor where they are whole numbers and that is at most
 * T = max(8192, 4 n); then the shares are exact. Otherwise turns are dealt out by largest remainder: L = T and every share is less
 * than 1 / T off (at 100 equal-sized members about 1 % of a share, at more than 2048 up to a quarter). A member that would
 * get no turn gets one, it is served too much rather than never: that makes L at most T + n.
 *
 * O(L log n); the same for the same weights.
 */
export function buildSchedule(weights: Float64Array): Int32Array<ArrayBuffer> {
  return spread(dealTurns(weights))
}

/** How many turns of a cycle each weight gets. */
export function dealTurns(weights: Float64Array): Int32Array<ArrayBuffer> {
  const count = weights.length
  const target = Math.max(SCHEDULE_TURNS, 4 * count)
  return wholeTurns(weights, target) ?? remainderTurns(weights, target)
}

function wholeTurns(weights: Float64Array, target: number): Int32Array<ArrayBuffer> | null {
  let divisor = 0
  let sum = 0
  for (const weight of weights) {
    if (!Number.isSafeInteger(weight)) return null
    divisor = greatestCommonDivisor(weight, divisor)
    sum += weight
  }
  return sum / divisor <= target ? Int32Array.from(weights, (weight) => weight / divisor) : null
}

function remainderTurns(weights: Float64Array, target: number): Int32Array<ArrayBuffer> {
  const count = weights.length
  let largest = 0
  for (const weight of weights) largest = Math.max(largest, weight)
  let sum = 0
  for (const weight of weights) sum += weight / largest
  const turns = new Int32Array(count)
  const remainders = new Float64Array(count)
  let dealt = 0
  for (let index = 0; index < count; index++) {
    const exact = (weights[index]! / largest / sum) * target
    const whole = Math.floor(exact)
    turns[index] = Math.max(1, whole)
    remainders[index] = whole === 0 ? 0 : exact - whole
    dealt += turns[index]!
  }
  let left = target - dealt
  if (left <= 0) return turns
  // All above the left-th largest remainder get one more, and of its equals the first.
  const sorted = remainders.slice().sort()
  const bar = sorted[Math.max(0, count - left)]!
  for (let index = 0; index < count; index++) {
    if (remainders[index]! <= bar) continue
    turns[index] = turns[index]! + 1
    left--
  }
  for (let index = 0; index < count && left > 0; index++) {
    if (remainders[index]! !== bar) continue
    turns[index] = turns[index]! + 1
    left--
  }
  return turns
}

/** Earliest deadline first over the windows of all turns. */
function spread(turns: Int32Array): Int32Array<ArrayBuffer> {
  let length = 0
  for (const turn of turns) length += turn
  const order = new Int32Array(length)
  const waiting = new ReleaseLists(length, turns.length)
  const open = new DeadlineHeap(turns.length)
  const taken = new Int32Array(turns.length)
  for (let index = turns.length - 1; index >= 0; index--) waiting.add(0, index)
  for (let time = 0; time < length; time++) {
    for (let index = waiting.take(time); index >= 0; index = waiting.take(time)) {
      open.push(Math.ceil(((taken[index]! + 1) * length) / turns[index]!), index)
    }
    const index = open.pop()
    order[time] = index
    taken[index] = taken[index]! + 1
    if (taken[index] < turns[index]!) waiting.add(Math.floor((taken[index] * length) / turns[index]!), index)
  }
  return order
}

/** Members by the time at which their next window opens: a linked list per time. */
class ReleaseLists {
  readonly #heads: Int32Array
  readonly #next: Int32Array

  constructor(times: number, members: number) {
    this.#heads = new Int32Array(times).fill(-1)
    this.#next = new Int32Array(members)
  }

  add(time: number, index: number): void {
    this.#next[index] = this.#heads[time]!
    this.#heads[time] = index
  }

  /** One of those at `time`, or -1. */
  take(time: number): number {
    const index = this.#heads[time]!
    if (index >= 0) this.#heads[time] = this.#next[index]!
    return index
  }
}

/** A binary heap of members by deadline, then by index, which keeps the schedule the same everywhere. */
class DeadlineHeap {
  readonly #deadlines: Int32Array
  readonly #indices: Int32Array
  #size = 0

  constructor(members: number) {
    this.#deadlines = new Int32Array(members)
    this.#indices = new Int32Array(members)
  }

  push(deadline: number, index: number): void {
    const deadlines = this.#deadlines
    const indices = this.#indices
    let at = this.#size++
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = deadlines[parent]!
      if (above < deadline || (above === deadline && indices[parent]! < index)) break
      deadlines[at] = above
      indices[at] = indices[parent]!
      at = parent
    }
    deadlines[at] = deadline
    indices[at] = index
  }

  pop(): number {
    const deadlines = this.#deadlines
    const indices = this.#indices
    const top = indices[0]!
    const size = --this.#size
    const deadline = deadlines[size]!
    const index = indices[size]!
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      let below = deadlines[child]!
      if (child + 1 < size) {
        const other = deadlines[child + 1]!
        if (other < below || (other === below && indices[child + 1]! < indices[child]!)) {
          child++
          below = other
        }
      }
      if (below > deadline || (below === deadline && indices[child]! > index)) break
      deadlines[at] = below
      indices[at] = indices[child]!
      at = child
    }
    deadlines[at] = deadline
    indices[at] = index
    return top
  }
}

function greatestCommonDivisor(a: number, b: number): number {
  while (b !== 0) {
    const rest = a % b
    a = b
    b = rest
  }
  return a
}
