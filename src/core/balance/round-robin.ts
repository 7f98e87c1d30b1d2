import { explain } from './explanation.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps, PickerEntry } from './picker.ts'
import { buildSchedule } from './schedule.ts'

/**
 * Strict rotation over any number of workers: every pick consumes the next position of one shared cursor.
 *
 * The rotation is by slot, so that workers which know the same members walk the same cycle whatever order they learnt them
 * in. A vetoed endpoint's turn is consumed and the next one comes, so its share is spread over all and not given to its neighbour.
 * Where weights differ the cursor walks a schedule (see `buildSchedule`). At 2^32 the cursor wraps: one turn out of order.
 */
class RoundRobinPicker implements Picker {
  readonly #cursor: Int32Array
  /** Positions of the members with weight, by slot. */
  #rotation = new Int32Array(0)
  /** One cycle: the rotation itself where weights are equal. */
  #schedule = new Int32Array(0)
  /** By position; only for explanations. */
  #weights = new Float64Array(0)

  constructor(deps: PickerDeps) {
    this.#cursor = deps.cursor
  }

  update(members: Members): void {
    this.#rotation = rotationBySlot(members)
    this.#weights = members.weights.slice(0, members.count)
    const weights = Float64Array.from(this.#rotation, (position) => members.weights[position]!)
    this.#schedule = weights.every((weight) => weight === weights[0])
      ? this.#rotation
      : buildSchedule(weights).map((index) => this.#rotation[index]!)
  }

  pick(_key: number, accept: Accept): number {
    const schedule = this.#schedule
    const length = schedule.length
    if (length === 0) return -1
    const position = schedule[(Atomics.add(this.#cursor, 0, 1) >>> 0) % length]!
    return accept(position) ? position : this.#pickNext(accept)
  }

  explain(key: number, accept: Accept): Explanation {
    const schedule = this.#schedule
    const turn = Atomics.load(this.#cursor, 0) >>> 0
    const position = this.pick(key, accept)
    const passed = ((Atomics.load(this.#cursor, 0) >>> 0) - turn - 1) >>> 0
    const turns = new Map<number, number>()
    for (const member of schedule) turns.set(member, (turns.get(member) ?? 0) + 1)
    return explain({
      position,
      reason:
        position < 0
          ? 'no endpoint with weight is accepted'
          : `turn ${turn % schedule.length} of ${schedule.length} of the rotation that all workers share; ${passed} turns of refused endpoints (or of other workers) went by`,
      looked: Array.from(this.#rotation),
      size: this.#rotation.length,
      accept,
      weightOf: (candidate) => this.#weights[candidate]!,
      costOf: null,
      partsOf: (candidate) => ({ turnsPerCycle: turns.get(candidate) ?? 0 }),
    })
  }

  /** At most one lap, then a scan: other workers may have consumed just the turns that we could have used. */
  #pickNext(accept: Accept): number {
    const schedule = this.#schedule
    const length = schedule.length
    for (let turn = 1; turn < length; turn++) {
      // A lap over a long schedule is dear where nobody is fit: look once whether there is anybody at all.
      if (turn === this.#rotation.length && this.#firstAccepted(accept) < 0) return -1
      const position = schedule[(Atomics.add(this.#cursor, 0, 1) >>> 0) % length]!
      if (accept(position)) return position
    }
    return this.#firstAccepted(accept)
  }

  #firstAccepted(accept: Accept): number {
    for (const position of this.#rotation) if (accept(position)) return position
    return -1
  }
}

/** Positions with weight, in order of their slots. */
function rotationBySlot(members: Members): Int32Array<ArrayBuffer> {
  const { count, slots, weights } = members
  // Slot and position in one number, so that the native sort does the work.
  const keys = new Float64Array(count)
  let size = 0
  for (let position = 0; position < count; position++) {
    const weight = weights[position]!
    if (weight > 0 && weight < Number.POSITIVE_INFINITY) keys[size++] = slots[position]! * count + position
  }
  return Int32Array.from(keys.subarray(0, size).sort(), (key) => key % count)
}

export const roundRobinEntry: PickerEntry = {
  name: 'round-robin',
  summary: 'Equal servers and requests of equal cost, or where the order itself must be even and predictable.',
  cost: 'constant at any size',
  state: 'one shared cursor per pool; a schedule per worker where weights differ',
  source: 'earliest deadline first over proportionate windows (Baruah, Cohen, Plaxton, Varvel 1996)',
  options: {},
  create: (deps) => new RoundRobinPicker(deps),
}
