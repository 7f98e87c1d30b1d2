import { RESOURCE_SCORE } from '../signals/score-presets.ts'
import { freshnessAt, type ScoreDefinition, Scorer, type SignalColumns } from '../signals/scorer.ts'
import { explain } from './explanation.ts'
import { MemberIndex } from './member-index.ts'
import { numberOption } from './options.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps, PickerEntry } from './picker.ts'
import { seededGenerator } from './picker.ts'
import { scoreWithOptions } from './score-options.ts'
import { WeightedDraw } from './weighted-draw.ts'

/** An endpoint that reports full load keeps this part of its weight: it has to be seen that it recovers. */
const LEAST_HEADROOM = 0.01

/** How far a weight moves to what a new report says: more of it, and reports that are late swing the load to and fro. */
const STEP = 0.4

/**
 * Chooses by what endpoints say of their CPU and memory: headroom = score ^ sharpness, with the score from 0 (full) to 1 (idle)
 * as `RESOURCE_SCORE` has it; weight × headroom is the effective weight.
 *
 * It does not take the endpoint with the best score: reports are seconds old, and until the next one every worker of every
 * balancer would send everything to the same endpoint, then all to another. It draws one by effective weight, and a second that
 * is taken instead if it has less in flight for its effective weight. Draws give each what is due to it however many draw
 * from the same old report, and what is in flight, which all workers see at once, corrects them between reports. (Not (load +
 * 1) / weight as in p2c: where little is in flight that takes the heavier of any two, so the best of all nearly always.)
 * An effective weight moves by `STEP` of the way per report, so that reports that come late do not make it overshoot.
 *
 * Of whom nothing is heard has the mean score of the others; a signal that is no longer heard fades out.
 */
class ResourcePicker implements Picker {
  readonly #deps: PickerDeps
  readonly #loads: Int32Array
  readonly #draw: WeightedDraw
  readonly #index = new MemberIndex()
  readonly #scorer: Scorer
  readonly #sharpness: number
  readonly #refreshMs: number
  #columns: SignalColumns
  #weights = new Float64Array(0)
  /** By position; 0: none yet. */
  #headroom = new Float64Array(0)
  /** By position: time of the report that it was last moved for. */
  #heardMs = new Float64Array(0)
  /** By index of the draw. */
  #scores = new Float64Array(0)
  #confidences = new Float64Array(0)
  #effective = new Float64Array(0)
  /** When the scores were made. In an array: a field would be boxed anew at each change. */
  readonly #refreshedMs = new Float64Array(1)
  /** Indices of the last pick's two, for explanations. */
  #first = -1
  #second = -1

  constructor(deps: PickerDeps, definition: ScoreDefinition, sharpness: number, refreshMs: number) {
    this.#deps = deps
    this.#loads = deps.loads
    this.#draw = new WeightedDraw(seededGenerator(deps))
    this.#scorer = new Scorer(definition)
    this.#sharpness = sharpness
    this.#refreshMs = refreshMs
    this.#columns = this.#readColumns()
  }

  update(members: Members): void {
    const { count } = members
    const former = this.#index.update(members)
    this.#headroom = Float64Array.from(former, (before) => (before < 0 ? 0 : this.#headroom[before]!))
    this.#heardMs = Float64Array.from(former, (before) => (before < 0 ? 0 : this.#heardMs[before]!))
    this.#weights = members.weights.slice(0, count)
    this.#draw.update(members)
    const { size } = this.#draw
    this.#scores = new Float64Array(size)
    this.#confidences = new Float64Array(size)
    this.#effective = new Float64Array(size)
    this.#columns = this.#readColumns()
    this.#refresh(this.#deps.now())
  }

  pick(_key: number, accept: Accept): number {
    const now = this.#deps.now()
    if (now - this.#refreshedMs[0]! >= this.#refreshMs) this.#refresh(now)
    const { positions, slots, weights, size } = this.#draw
    const first = this.#draw.drawAccepted(accept, -1)
    this.#first = first
    this.#second = -1
    if (first < 0) return -1
    const second = size === 2 ? this.#other(first, accept) : this.#draw.drawAccepted(accept, first)
    this.#second = second
    if (second < 0) return positions[first]!
    const isBusier = this.#loads[slots[first]!]! * weights[second]! > this.#loads[slots[second]!]! * weights[first]!
    return positions[isBusier ? second : first]!
  }

  explain(key: number, accept: Accept): Explanation {
    const position = this.pick(key, accept)
    const { positions, slots, weights, size } = this.#draw
    const drawn = [this.#first, this.#second].filter((index) => index >= 0)
    const indexOf = new Map(Array.from(positions, (member, index) => [member, index]))
    const costOf = (candidate: number): number => {
      const index = indexOf.get(candidate)!
      return this.#loads[slots[index]!]! / weights[index]!
    }
    return explain({
      position,
      reason:
        position < 0
          ? 'no endpoint with weight is accepted'
          : position === positions[this.#first]
            ? `drawn by weight and headroom, and a second drawn has no less in flight for its own`
            : `the second of two drawn by weight and headroom, as it has less in flight for its own`,
      looked: Array.from(positions).filter((member) => drawn.includes(indexOf.get(member)!) || !accept(member)),
      size,
      accept,
      weightOf: (candidate) => this.#weights[candidate]!,
      costOf,
      partsOf: (candidate) => this.#partsOf(indexOf.get(candidate)!),
    })
  }

  #partsOf(index: number): Record<string, number> {
    const { positions, slots } = this.#draw
    const parts: Record<string, number> = {
      inFlight: this.#loads[slots[index]!]!,
      score: this.#scores[index]!,
      headroom: this.#headroom[positions[index]!]!,
    }
    const score = this.#scorer.explain(this.#columns, slots[index]!, this.#refreshedMs[0]!)
    for (const { name, value, ageMs } of score.parts) {
      if (value !== null) parts[name] = value
      if (ageMs !== null) parts[`${name}AgeMs`] = ageMs
    }
    return parts
  }

  /** Of two there is nothing to draw: and a heavy one would be drawn again and again. */
  #other(first: number, accept: Accept): number {
    return accept(this.#draw.positions[1 - first]!) ? 1 - first : -1
  }

  #readColumns(): SignalColumns {
    const columns = this.#scorer.columns.map((name) => this.#deps.signals.column(name))
    return { values: columns.map(({ values }) => values), atMs: columns.map(({ atMs }) => atMs) }
  }

  #refresh(now: number): void {
    this.#refreshedMs[0] = now
    const { positions, slots, size } = this.#draw
    const scores = this.#scores
    const effective = this.#effective
    this.#scorer.scoreAll(this.#columns, slots, size, now, scores, this.#confidences)
    const { atMs } = this.#columns
    const { signals } = this.#scorer.definition
    for (let index = 0; index < size; index++) {
      const position = positions[index]!
      const slot = slots[index]!
      let heardMs = 0
      let isFading = false
      for (let column = 0; column < signals.length; column++) {
        const at = atMs[column]![slot]!
        if (at > heardMs) heardMs = at
        if (at > 0 && freshnessAt(now - at, signals[column]!.ttlMs) < 1) isFading = true
      }
      const target = Math.max(LEAST_HEADROOM, scores[index]! ** this.#sharpness)
      const before = this.#headroom[position]!
      const isFirst = before === 0 || this.#heardMs[position] === 0
      if (isFirst) this.#headroom[position] = target
      else if (heardMs !== this.#heardMs[position] || isFading) {
        this.#headroom[position] = before + STEP * (target - before)
      }
      this.#heardMs[position] = heardMs
      effective[index] = this.#weights[position]! * this.#headroom[position]!
    }
    this.#draw.reweigh(effective)
  }
}

export const resourceEntry: PickerEntry = {
  name: 'resource',
  summary: 'Servers that other work slows down as well: who reports busy CPU or memory gets less.',
  cost: 'constant at any size; a table is rebuilt once per refreshMs',
  state: 'per worker: headroom by endpoint and an alias table; signals and loads are read from shared columns',
  source: 'document 001; a weighted draw that a second one corrects by load',
  options: {
    weights: '{ cpu, memory }: what each counts; default 0.5 and 0.5',
    sharpness: 'weight is in proportion to the free share to this power, 0.5 to 8; default 2',
    refreshMs: 'how often reports are looked at, from 50; default 1000',
  },
  create: (deps, options) =>
    new ResourcePicker(
      deps,
      scoreWithOptions(RESOURCE_SCORE, options),
      numberOption(options, 'sharpness', 2, 0.5, 8),
      numberOption(options, 'refreshMs', 1000, 50, 3_600_000),
    ),
}
