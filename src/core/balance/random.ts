import type { Accept, Members, Picker, PickerDeps, PickerEntry } from './picker.ts'
import { seededGenerator } from './picker.ts'
import { WeightedDraw } from './weighted-draw.ts'

/** Draws by weight and looks at nothing else. */
class RandomPicker implements Picker {
  readonly #draw: WeightedDraw

  constructor(deps: PickerDeps) {
    this.#draw = new WeightedDraw(seededGenerator(deps))
  }

  update(members: Members): void {
    this.#draw.update(members)
  }

  pick(_key: number, accept: Accept): number {
    const index = this.#draw.drawAccepted(accept, -1)
    return index < 0 ? -1 : this.#draw.positions[index]!
  }
}

export const randomEntry: PickerEntry = {
  name: 'random',
  summary: 'Equal servers and short requests, or as the plain yardstick for the others.',
  cost: 'constant at any size',
  state: 'an alias table per worker where weights differ',
  source: 'Walker 1977, Vose 1991',
  options: {},
  create: (deps) => new RandomPicker(deps),
}
