import { createRandom } from '../random.ts'
import type { PickerDeps, SignalColumn, SignalTable } from './picker.ts'

/** Signals of one thread: a column for each name that is asked for. At most as many as there are names in the code. */
export class LocalSignals implements SignalTable {
  readonly #slots: number
  readonly #columns = new Map<string, SignalColumn>()

  /** `slots`: one more than the highest slot in use. */
  constructor(slots: number) {
    this.#slots = slots
  }

  column(name: string): SignalColumn {
    let column = this.#columns.get(name)
    if (column === undefined) {
      column = { values: new Float64Array(this.#slots), atMs: new Float64Array(this.#slots) }
      this.#columns.set(name, column)
    }
    return column
  }

  /** Notes what the endpoint at `slot` said; `atMs` above 0. */
  report(name: string, slot: number, value: number, atMs: number): void {
    const { values, atMs: times } = this.column(name)
    values[slot] = value
    times[slot] = atMs
  }
}

/** All that a picker needs, in one thread with nothing shared: for programs that use `evenkeel/core` alone. */
export interface LocalDeps extends PickerDeps {
  readonly signals: LocalSignals
}

/**
 * `slots`: one more than the highest slot in use. The caller counts what is in flight in `loads`, and gives the clock
 * where a picker that learns is used; the default clock stands still. The same seed gives the same picks.
 */
export function createLocalDeps(slots: number, options: { seed?: number; now?: () => number } = {}): LocalDeps {
  const { seed = 1, now = () => 1 } = options
  return {
    loads: new Int32Array(slots),
    cursor: new Int32Array(1),
    random: createRandom(seed),
    now,
    signals: new LocalSignals(slots),
  }
}
