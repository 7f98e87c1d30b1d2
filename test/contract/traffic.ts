import type { Accept, Picker } from '../../src/core/balance/picker.ts'
import { Outcome } from '../../src/core/balance/picker.ts'
import { Xoshiro128 } from '../../src/core/random.ts'
import { acceptAll } from './members.ts'

/** A picker with what its host keeps. Positions are slots. */
export interface Bench {
  readonly picker: Picker
  readonly loads: Int32Array
  /** What `PickerDeps.now` says; whole milliseconds. */
  readonly clock: { ms: number }
}

export interface TrafficOptions {
  /** How many requests are in flight once it runs. */
  readonly depth: number
  /** False: each request lasts until `depth` others have begun, so all take equally long. True: any may end next. */
  readonly isRandom?: boolean
  /** Share of requests that fail. */
  readonly failureRatio?: number
  readonly seed?: number
}

/** What a host does around a picker: counts what is in flight, tells what began and ended, and answers probes. */
export class Traffic {
  readonly #bench: Bench
  readonly #isRandom: boolean
  readonly #failureRatio: number
  readonly #chance: Xoshiro128
  readonly #running: Int32Array
  readonly #beganAt: Float64Array
  #steps = 0

  constructor(bench: Bench, { depth, isRandom = false, failureRatio = 0, seed = 1 }: TrafficOptions) {
    this.#bench = bench
    this.#isRandom = isRandom
    this.#failureRatio = failureRatio
    this.#chance = new Xoshiro128(seed)
    this.#running = new Int32Array(depth).fill(-1)
    this.#beganAt = new Float64Array(depth)
  }

  /** A millisecond passes, one request ends and another begins: its position, or -1. `pick` stands in for the picker's own. */
  step(accept: Accept = acceptAll, pick?: (key: number) => number): number {
    const { picker, clock } = this.#bench
    const running = this.#running
    const key = this.#steps++
    clock.ms++
    const depth = running.length
    const place = this.#isRandom && key >= depth ? this.#chance.below(depth) : key % depth
    this.#end(place)
    const position = pick === undefined ? picker.pick(key, accept) : pick(key)
    running[place] = position
    if (position < 0) return -1
    this.#beganAt[place] = clock.ms
    this.#bench.loads[position] = this.#bench.loads[position]! + 1
    picker.began?.(position)
    if (picker.wantsProbe !== undefined) this.#answerProbes()
    return position
  }

  #end(place: number): void {
    const { picker, loads, clock } = this.#bench
    const slot = this.#running[place]!
    if (slot < 0) return
    loads[slot] = loads[slot]! - 1
    if (picker.ended === undefined) return
    const isFailure = this.#failureRatio > 0 && this.#chance.unit() < this.#failureRatio
    picker.ended(slot, clock.ms - this.#beganAt[place]!, isFailure ? Outcome.FAILED : Outcome.OK)
  }

  /** Every endpoint says that it takes as long as any other, and what it has in flight. */
  #answerProbes(): void {
    const { picker, loads } = this.#bench
    for (let slot = picker.wantsProbe!(); slot >= 0; slot = picker.wantsProbe!()) {
      picker.probed!(slot, loads[slot]!, this.#running.length)
    }
  }
}
