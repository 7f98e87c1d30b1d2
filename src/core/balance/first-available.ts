import { explain, weightedPositions } from './explanation.ts'
import { numberOption } from './options.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps, PickerEntry } from './picker.ts'

const LARGEST_LIMIT = 0x7fff_ffff

/**
 * Fills the first endpoint of the pool, then the second and so on: few endpoints are busy, the last ones may be switched off.
 *
 * An endpoint is full with `fill` × weight requests in flight (at least 1, over all workers), or when the caller vetoes it, as
 * it does at `maxConnections`. When all are full, the one with the least in flight for its weight is taken, the first among equals.
 */
class FirstAvailablePicker implements Picker {
  readonly #loads: Int32Array
  readonly #fill: number
  #weights = new Float64Array(0)
  /** Of the members with weight, in order. */
  #positions = new Int32Array(0)
  #slots = new Int32Array(0)
  #limits = new Int32Array(0)

  constructor(deps: PickerDeps, fill: number) {
    this.#loads = deps.loads
    this.#fill = fill
  }

  update(members: Members): void {
    this.#weights = members.weights.slice(0, members.count)
    this.#positions = Int32Array.from(weightedPositions(this.#weights, members.count))
    this.#slots = this.#positions.map((position) => members.slots[position]!)
    this.#limits = this.#positions.map((position) =>
      Math.min(LARGEST_LIMIT, Math.max(1, Math.round(this.#fill * members.weights[position]!))),
    )
  }

  pick(_key: number, accept: Accept): number {
    const positions = this.#positions
    const slots = this.#slots
    const limits = this.#limits
    const loads = this.#loads
    for (let index = 0; index < positions.length; index++) {
      if (loads[slots[index]!]! < limits[index]! && accept(positions[index]!)) return positions[index]!
    }
    return this.#leastFull(accept)
  }

  explain(key: number, accept: Accept): Explanation {
    const loads = this.#positions.map((_, index) => this.#loads[this.#slots[index]!]!)
    const position = this.pick(key, accept)
    const indexOf = new Map(Array.from(this.#positions, (member, index) => [member, index]))
    const at = indexOf.get(position)
    return explain({
      position,
      reason:
        at === undefined
          ? 'no endpoint with weight is accepted'
          : loads[at]! < this.#limits[at]!
            ? `the first that is accepted and not full: ${loads[at]} of ${this.#limits[at]} in flight`
            : `all that are accepted are full: it has the least in flight for its weight, ${loads[at]} of ${this.#limits[at]}`,
      looked: Array.from(this.#positions),
      size: this.#positions.length,
      accept,
      weightOf: (candidate) => this.#weights[candidate]!,
      costOf: null,
      partsOf: (candidate) => {
        const index = indexOf.get(candidate)!
        return { inFlight: loads[index]!, full: this.#limits[index]! }
      },
    })
  }

  #leastFull(accept: Accept): number {
    let chosen = -1
    let least = Number.POSITIVE_INFINITY
    for (let index = 0; index < this.#positions.length; index++) {
      const position = this.#positions[index]!
      const cost = this.#loads[this.#slots[index]!]! / this.#weights[position]!
      if ((cost < least || chosen < 0) && accept(position)) {
        least = cost
        chosen = position
      }
    }
    return chosen
  }
}

export const firstAvailableEntry: PickerEntry = {
  name: 'first-available',
  summary:
    'As few busy endpoints as will do, in the order of the pool: long sessions, servers that can be switched off.',
  cost: 'one look per full endpoint before the first that is not',
  state: 'none of its own; loads are read from the shared endpoint table',
  source: 'HAProxy first',
  options: {
    fill: 'requests in flight, times weight, at which an endpoint is full; default: only maxConnections and health count',
  },
  create: (deps, options) =>
    new FirstAvailablePicker(deps, numberOption(options, 'fill', Number.POSITIVE_INFINITY, 1, LARGEST_LIMIT)),
}
