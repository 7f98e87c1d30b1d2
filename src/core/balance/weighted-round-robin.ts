import { explain, weightedPositions } from './explanation.ts'
import { MemberIndex } from './member-index.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps, PickerEntry } from './picker.ts'
import { seededGenerator } from './picker.ts'
import { WeightedRotation } from './weighted-rotation.ts'

/**
 * Smooth weighted rotation, each worker its own from a random start (see `WeightedRotation`). Exact for any weights, cheap to
 * change; `round-robin` is the one rotation of all workers together, and rounds weights that do not fit into its schedule.
 */
class WeightedRoundRobinPicker implements Picker {
  readonly #rotation: WeightedRotation
  readonly #index = new MemberIndex()
  #weights = new Float64Array(0)

  constructor(deps: PickerDeps) {
    this.#rotation = new WeightedRotation(seededGenerator(deps))
  }

  update(members: Members): void {
    this.#weights = members.weights.slice(0, members.count)
    this.#rotation.update(this.#weights, members.count, this.#index.update(members))
  }

  pick(_key: number, accept: Accept): number {
    return this.#rotation.take(accept)
  }

  explain(key: number, accept: Accept): Explanation {
    return explainRotation(this.#rotation, this.#weights, accept, () => this.pick(key, accept))
  }
}

/** Makes the pick, and tells how each member stood in the rotation before it. */
export function explainRotation(
  rotation: WeightedRotation,
  weights: Float64Array,
  accept: Accept,
  pick: () => number,
): Explanation {
  const looked = weightedPositions(weights, weights.length)
  const before = new Map(
    looked.map((position) => [
      position,
      {
        share: rotation.shareOf(position),
        opensInTurns: rotation.opensIn(position),
        closesInTurns: rotation.closesIn(position),
      },
    ]),
  )
  const position = pick()
  const chosen = before.get(position)
  return explain({
    position,
    reason:
      chosen === undefined
        ? 'no endpoint with weight is accepted'
        : `its turn comes every ${(1 / chosen.share).toFixed(2)} turns, and of all that are due and accepted it is due first`,
    looked,
    size: looked.length,
    accept,
    weightOf: (candidate) => weights[candidate]!,
    costOf: (candidate) => before.get(candidate)!.closesInTurns,
    partsOf: (candidate) => ({ ...before.get(candidate)! }),
  })
}

export const weightedRoundRobinEntry: PickerEntry = {
  name: 'weighted-round-robin',
  summary: 'As round-robin, where weights differ widely or change often: exact for any weights, each worker by itself.',
  cost: 'constant at any size',
  state: 'per worker: 56 bytes per endpoint and a wheel of 8 to 16; a change of weights keeps the place of each',
  source: 'nginx smooth weighted round robin; earliest eligible virtual deadline first (Stoica and Abdel-Wahab 1995)',
  options: {},
  create: (deps) => new WeightedRoundRobinPicker(deps),
}
