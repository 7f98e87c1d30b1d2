import { explain, percent, weightedPositions } from './explanation.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps, PickerEntry } from './picker.ts'
import { seededGenerator } from './picker.ts'
import { WeightedDraw } from './weighted-draw.ts'

/** Draws by weight and looks at nothing else. */
class RandomPicker implements Picker {
  readonly #draw: WeightedDraw
  #weights = new Float64Array(0)

  constructor(deps: PickerDeps) {
    this.#draw = new WeightedDraw(seededGenerator(deps))
  }

  update(members: Members): void {
    this.#weights = members.weights.slice(0, members.count)
    this.#draw.update(members)
  }

  pick(_key: number, accept: Accept): number {
    const index = this.#draw.drawAccepted(accept, -1)
    return index < 0 ? -1 : this.#draw.positions[index]!
  }

  explain(key: number, accept: Accept): Explanation {
    return explainDraw(this.#weights, accept, () => this.pick(key, accept))
  }
}

/** Makes the pick, and tells each member's chance in a draw by weight. */
function explainDraw(weights: Float64Array, accept: Accept, pick: () => number): Explanation {
  const looked = weightedPositions(weights, weights.length)
  const accepted = looked.filter((position) => accept(position))
  let largest = 0
  for (const position of accepted) largest = Math.max(largest, weights[position]!)
  const total = accepted.reduce((sum, position) => sum + weights[position]! / largest, 0)
  const chanceOf = (position: number): number => (accept(position) ? weights[position]! / largest / total : 0)
  const position = pick()
  return explain({
    position,
    reason:
      position < 0
        ? 'no endpoint with weight is accepted'
        : `drawn by weight: its chance was ${percent(chanceOf(position))}, as one of ${accepted.length} accepted`,
    looked,
    size: looked.length,
    accept,
    weightOf: (candidate) => weights[candidate]!,
    costOf: null,
    partsOf: (candidate) => ({ chance: chanceOf(candidate) }),
  })
}

export const randomEntry: PickerEntry = {
  name: 'random',
  summary: 'Equal servers and short requests, or as the plain yardstick for the others. Honours weights.',
  cost: 'constant at any size',
  state: 'an alias table per worker where weights differ',
  source: 'Walker 1977, Vose 1991',
  options: {},
  create: (deps) => new RandomPicker(deps),
}

/**
 * The same picker by the name that others give it. `random` has honoured weights from the start, as that of nginx and
 * HAProxy does; a draw that ignores them is `random` with all weights left at 1.
 */
export const weightedRandomEntry: PickerEntry = {
  ...randomEntry,
  name: 'weighted-random',
  summary: 'Another name of random, which honours weights too: for configs that come from where the two are apart.',
}
