import type { Normaliser } from './normaliser.ts'
import { normalise, normaliserProblem } from './normaliser.ts'

/** How a signal counts in a score. */
export interface SignalSettings {
  /** Unique within the score. */
  readonly name: string
  /** Its part in the score compared with the others', >= 0. The sum need not be 1. */
  readonly weight: number
  readonly normaliser: Normaliser
  /** After this long without news the signal counts as missing. Above 0; Infinity: what was said once holds. */
  readonly ttlMs: number
}

/** What a score is made of. */
export interface ScoreDefinition {
  readonly name: string
  /** Whether a high score is good (a merit) or bad (a load). */
  readonly best: 'highest' | 'lowest'
  readonly signals: readonly SignalSettings[]
}

/**
 * What is known, by column and slot. Column order: `Scorer.columns`. The time is that of the last news in milliseconds, above
 * 0, by one clock for all columns; 0 means never, so that zeroed memory is without signals. Written by whoever hears of a
 * signal: value first, then time.
 */
export interface SignalColumns {
  readonly values: readonly Float64Array[]
  readonly atMs: readonly Float64Array[]
}

/**
 * What became of a signal: `fresh` counts in full, `fading` in part, `expired` is older than its time to live, `missing` was
 * never heard of or has no usable value.
 */
export type SignalState = 'fresh' | 'fading' | 'expired' | 'missing'

/** A signal's part in one score. */
export interface ScorePart {
  readonly name: string
  readonly state: SignalState
  /** As heard; null when there is none. */
  readonly value: number | null
  /** Milliseconds since it was heard, null when never. */
  readonly ageMs: number | null
  /** 0 to 1: how much of its weight is left at this age. */
  readonly freshness: number
  /** 0 to 1, null when missing or expired. */
  readonly normalised: number | null
  /** From the definition. */
  readonly weight: number
  /** 0 to 1: its share of this score, after the weight of what is missing was shared out. All shares sum to 1. */
  readonly share: number
  /** share × normalised. All contributions sum to the score. */
  readonly contribution: number
}

/** A score with what it is made of. */
export interface Score {
  /** 0 to 1; `NEUTRAL_SCORE` when nothing is known. */
  readonly score: number
  /** 0 to 1: the share of the definition's weight that fresh signals had. 0: nothing is known. */
  readonly confidence: number
  readonly parts: readonly ScorePart[]
}

/** One value of a signal and when it was heard. */
export interface SignalReading {
  readonly value: number
  /** Milliseconds, above 0. */
  readonly atMs: number
}

/** What an endpoint scores of which nothing is known while nothing is known of any. */
export const NEUTRAL_SCORE = 0.5

/** More make a score that nobody can explain. */
export const MAX_SIGNALS = 32

/**
 * Makes one number of several signals: score = Σ w·f·n / Σ w·f over the signals that are present, where w is the weight, n the
 * normalised value and f the freshness.
 *
 * Freshness is 1 up to half the time to live and falls from there in a straight line to 0 at its end, so a signal that is
 * no longer heard leaves the score gradually. The weight of what is missing is thereby shared out among what is present in
 * proportion: the score stays within the range of the parts that are known. An endpoint of which nothing is known gets the
 * mean of the others: neither the best nor the worst. `confidence` says how much was known.
 */
export class Scorer {
  readonly definition: ScoreDefinition
  /** Names of the columns: the signals in order, then what ratios divide by, where that is no signal itself. */
  readonly columns: readonly string[]
  readonly #totalWeight: number
  /** What the loops of `scoreAll` work with (`Cell`); in an array, as each double that is passed or returned may be a new object. */
  readonly #numbers: Float64Array
  /** By signal: column of a ratio's divisor, or -1. */
  readonly #divisors: Int32Array

  /** Throws a RangeError that says what is wrong with the definition. */
  constructor(definition: ScoreDefinition) {
    const problem = definitionProblem(definition)
    if (problem !== null) throw new RangeError(`score ${definition.name}: ${problem}`)
    this.definition = definition
    const columns = definition.signals.map((signal) => signal.name)
    this.#divisors = Int32Array.from(definition.signals, ({ normaliser }) => {
      if (normaliser.kind !== 'ratio') return -1
      const known = columns.indexOf(normaliser.of)
      return known >= 0 ? known : columns.push(normaliser.of) - 1
    })
    this.columns = columns
    this.#totalWeight = definition.signals.reduce((sum, signal) => sum + signal.weight, 0)
    this.#numbers = numbersOf(definition, this.#totalWeight)
  }

  /** Empty columns for this many slots: 16 bytes per column and slot. */
  createColumns(slots: number): SignalColumns {
    const make = (): Float64Array => new Float64Array(slots)
    return { values: this.columns.map(make), atMs: this.columns.map(make) }
  }

  /** The score of one endpoint from readings by name, with its parts. Names that are not in the definition are not looked at. */
  score(readings: Readonly<Record<string, SignalReading | undefined>>, nowMs: number): Score {
    return this.#explain((column) => readings[this.columns[column]!], nowMs)
  }

  /** The same from columns: why `scoreAll` gave this endpoint its score. */
  explain(columns: SignalColumns, slot: number, nowMs: number): Score {
    return this.#explain((column) => {
      const atMs = columns.atMs[column]![slot]!
      return atMs > 0 ? { value: columns.values[column]![slot]!, atMs } : undefined
    }, nowMs)
  }

  /**
   * Scores many endpoints: entries [0, count) of `scores` and `confidences` become those of `slots`. Endpoints of confidence
   * 0 get the mean of the others, weighted by confidence, which is in `mean` until the next call. Allocates
   * nothing; 2 to 4 ns per endpoint and signal.
   */
  scoreAll(
    columns: SignalColumns,
    slots: Int32Array,
    count: number,
    nowMs: number,
    scores: Float64Array,
    confidences: Float64Array,
  ): void {
    scores.fill(0, 0, count)
    confidences.fill(0, 0, count)
    const { signals } = this.definition
    const numbers = this.#numbers
    numbers[Cell.NOW] = nowMs
    for (let index = 0; index < signals.length; index++) {
      const at = Cell.SIGNALS + index * CELLS_PER_SIGNAL
      if (numbers[at + Cell.HALF_WEIGHT] === 0) continue
      const values = columns.values[index]!
      const atMs = columns.atMs[index]!
      switch (signals[index]!.normaliser.kind) {
        case 'linear':
          addLinear(numbers, at, values, atMs, slots, count, scores, confidences)
          break
        case 'inverse':
          addInverse(numbers, at, values, atMs, slots, count, scores, confidences)
          break
        case 'ratio':
          addRatio(
            numbers,
            at,
            values,
            columns.values[this.#divisors[index]!]!,
            atMs,
            slots,
            count,
            scores,
            confidences,
          )
          break
      }
    }
    settle(numbers, count, scores, confidences)
  }

  /** The mean of the last `scoreAll`; `NEUTRAL_SCORE` when nothing is known of anyone. */
  get mean(): number {
    return this.#numbers[Cell.MEAN]!
  }

  #explain(read: (column: number) => SignalReading | undefined, nowMs: number): Score {
    const { signals } = this.definition
    const found = signals.map((signal, index) => {
      const reading = read(index)
      if (reading === undefined || !(reading.atMs > 0)) return NOT_HEARD
      const divisor = this.#divisors[index]!
      const normalised = normalise(signal.normaliser, reading.value, divisor < 0 ? undefined : read(divisor)?.value)
      const freshness = freshnessAt(nowMs - reading.atMs, signal.ttlMs)
      return { reading, normalised, freshness: Number.isNaN(normalised) ? 0 : freshness }
    })
    let known = 0
    for (const [index, { freshness }] of found.entries()) known += signals[index]!.weight * freshness
    let score = 0
    const parts = found.map(({ reading, normalised, freshness }, index): ScorePart => {
      const { name, weight, ttlMs } = signals[index]!
      const part = known > 0 ? (weight * freshness) / known : 0
      const contribution = freshness > 0 ? part * normalised : 0
      score += contribution
      const isUsable = reading !== null && !Number.isNaN(normalised)
      const ageMs = reading === null ? null : nowMs - reading.atMs
      return {
        name,
        state: stateOf(isUsable, freshness),
        value: reading === null ? null : reading.value,
        ageMs,
        freshness: isUsable ? freshnessAt(ageMs ?? 0, ttlMs) : 0,
        normalised: freshness > 0 ? normalised : null,
        weight,
        share: part,
        contribution,
      }
    })
    return { score: known > 0 ? score : NEUTRAL_SCORE, confidence: known / this.#totalWeight, parts }
  }
}

/**
 * Draws scores towards the fleet's mean by what is not known of them: confidence · score + (1 − confidence) · mean. For a
 * caller that would rather not trust one good signal where others have five. In place; allocates nothing.
 */
export function shrinkTowardsMean(scores: Float64Array, confidences: Float64Array, count: number, mean: number): void {
  for (let index = 0; index < count; index++) {
    scores[index] = mean + confidences[index]! * (scores[index]! - mean)
  }
}

/** 1 up to half of `ttlMs`, then down to 0 at `ttlMs`. An age below 0 (clocks of two threads) counts as 0. */
export function freshnessAt(ageMs: number, ttlMs: number): number {
  const left = 2 - ageMs * (2 / ttlMs)
  return left > 1 ? 1 : left > 0 ? left : 0
}

/** The same definition with other weights; a name that it does not have is a RangeError. */
export function withWeights(
  definition: ScoreDefinition,
  weights: Readonly<Record<string, number | undefined>>,
): ScoreDefinition {
  const names = definition.signals.map((signal) => signal.name)
  for (const name of Object.keys(weights)) {
    if (!names.includes(name)) {
      throw new RangeError(`score ${definition.name} has no signal ${name}; it has ${names.join(', ')}`)
    }
  }
  const signals = definition.signals.map((signal) => ({ ...signal, weight: weights[signal.name] ?? signal.weight }))
  return { ...definition, signals }
}

interface Found {
  readonly reading: SignalReading | null
  readonly normalised: number
  readonly freshness: number
}

const NOT_HEARD: Found = { reading: null, normalised: Number.NaN, freshness: 0 }

function stateOf(isUsable: boolean, freshness: number): SignalState {
  if (!isUsable) return 'missing'
  if (freshness === 0) return 'expired'
  return freshness < 1 ? 'fading' : 'fresh'
}

function definitionProblem({ signals }: ScoreDefinition): string | null {
  if (signals.length === 0) return 'it has no signals'
  if (signals.length > MAX_SIGNALS) return `it has ${signals.length} signals, at most ${MAX_SIGNALS} are allowed`
  const names = new Set<string>()
  let sum = 0
  for (const { name, weight, ttlMs, normaliser } of signals) {
    if (name === '') return 'a signal has no name'
    if (names.has(name)) return `signal ${name} is named twice`
    names.add(name)
    if (!(weight >= 0 && weight < Number.POSITIVE_INFINITY)) return `signal ${name} has the weight ${weight}`
    sum += weight
    if (!(ttlMs > 0)) return `signal ${name} has the time to live ${ttlMs} ms`
    const problem = normaliserProblem(normaliser)
    if (problem !== null) return `signal ${name}: ${problem}`
  }
  return sum > 0 && sum < Number.POSITIVE_INFINITY ? null : `the weights sum to ${sum}`
}

const Cell = {
  NOW: 0,
  /** 1 / sum of weights. */
  PER_WEIGHT: 1,
  MEAN: 2,
  SIGNALS: 3,
  // From where a signal's cells begin:
  /** 2 / time to live. */
  SLOPE: 0,
  HALF_WEIGHT: 1,
  FROM: 2,
  /** 1 / (to - from), or 1 / scale. */
  FACTOR: 3,
} as const
const CELLS_PER_SIGNAL = 4

function numbersOf({ signals }: ScoreDefinition, totalWeight: number): Float64Array {
  const numbers = new Float64Array(Cell.SIGNALS + signals.length * CELLS_PER_SIGNAL)
  numbers[Cell.PER_WEIGHT] = 1 / totalWeight
  numbers[Cell.MEAN] = NEUTRAL_SCORE
  for (const [index, { weight, ttlMs, normaliser }] of signals.entries()) {
    const at = Cell.SIGNALS + index * CELLS_PER_SIGNAL
    numbers[at + Cell.SLOPE] = 2 / ttlMs
    numbers[at + Cell.HALF_WEIGHT] = weight / 2
    if (normaliser.kind === 'linear') {
      numbers[at + Cell.FROM] = normaliser.from
      numbers[at + Cell.FACTOR] = 1 / (normaliser.to - normaliser.from)
    } else if (normaliser.kind === 'inverse') {
      numbers[at + Cell.FACTOR] = 1 / normaliser.scale
    }
  }
  return numbers
}

// Freshness is min(1, f) for f = 2 - age · slope above 0, here as (1 + f - |1 - f|) / 2: where about half of the signals fade,
// no processor guesses which side of a comparison it will be, and each wrong guess costs as much as the rest of the loop.
// Three loops that differ in one line each, as a choice inside one loop doubles its time. NaN is left out wherever it comes from.

function addLinear(
  numbers: Float64Array,
  at: number,
  values: Float64Array,
  atMs: Float64Array,
  slots: Int32Array,
  count: number,
  scores: Float64Array,
  masses: Float64Array,
): void {
  const nowMs = numbers[Cell.NOW]!
  const slope = numbers[at + Cell.SLOPE]!
  const halfWeight = numbers[at + Cell.HALF_WEIGHT]!
  const from = numbers[at + Cell.FROM]!
  const factor = numbers[at + Cell.FACTOR]!
  for (let index = 0; index < count; index++) {
    const slot = slots[index]!
    const heard = atMs[slot]!
    const fresh = 2 - (nowMs - heard) * slope
    const part = (values[slot]! - from) * factor
    if (!(heard > 0 && fresh > 0) || Number.isNaN(part)) continue
    const mass = (1 + fresh - Math.abs(1 - fresh)) * halfWeight
    scores[index] = scores[index]! + mass * (part > 1 ? 1 : part < 0 ? 0 : part)
    masses[index] = masses[index]! + mass
  }
}

function addInverse(
  numbers: Float64Array,
  at: number,
  values: Float64Array,
  atMs: Float64Array,
  slots: Int32Array,
  count: number,
  scores: Float64Array,
  masses: Float64Array,
): void {
  const nowMs = numbers[Cell.NOW]!
  const slope = numbers[at + Cell.SLOPE]!
  const halfWeight = numbers[at + Cell.HALF_WEIGHT]!
  const perScale = numbers[at + Cell.FACTOR]!
  for (let index = 0; index < count; index++) {
    const slot = slots[index]!
    const heard = atMs[slot]!
    const fresh = 2 - (nowMs - heard) * slope
    const value = values[slot]!
    if (!(heard > 0 && fresh > 0) || Number.isNaN(value)) continue
    const mass = (1 + fresh - Math.abs(1 - fresh)) * halfWeight
    scores[index] = scores[index]! + (value > 0 ? mass / (1 + value * perScale) : mass)
    masses[index] = masses[index]! + mass
  }
}

function addRatio(
  numbers: Float64Array,
  at: number,
  values: Float64Array,
  divisors: Float64Array,
  atMs: Float64Array,
  slots: Int32Array,
  count: number,
  scores: Float64Array,
  masses: Float64Array,
): void {
  const nowMs = numbers[Cell.NOW]!
  const slope = numbers[at + Cell.SLOPE]!
  const halfWeight = numbers[at + Cell.HALF_WEIGHT]!
  for (let index = 0; index < count; index++) {
    const slot = slots[index]!
    const heard = atMs[slot]!
    const fresh = 2 - (nowMs - heard) * slope
    const divisor = divisors[slot]!
    const part = values[slot]! / divisor
    if (!(heard > 0 && fresh > 0 && divisor > 0) || Number.isNaN(part)) continue
    const mass = (1 + fresh - Math.abs(1 - fresh)) * halfWeight
    scores[index] = scores[index]! + mass * (part > 1 ? 1 : part < 0 ? 0 : part)
    masses[index] = masses[index]! + mass
  }
}

/** From sums to scores and confidences, and to the mean. */
function settle(numbers: Float64Array, count: number, scores: Float64Array, confidences: Float64Array): void {
  const perWeight = numbers[Cell.PER_WEIGHT]!
  let sum = 0
  let known = 0
  let unknown = 0
  for (let index = 0; index < count; index++) {
    const mass = confidences[index]!
    if (mass > 0) {
      sum += scores[index]!
      known += mass
      scores[index] = scores[index]! / mass
      confidences[index] = mass * perWeight
    } else {
      unknown++
    }
  }
  // By way of the array: a choice between a constant of the module and a double makes an object of it.
  numbers[Cell.MEAN] = NEUTRAL_SCORE
  if (known > 0) numbers[Cell.MEAN] = sum / known
  const mean = numbers[Cell.MEAN]!
  for (let index = 0; unknown > 0; index++) {
    if (confidences[index]! > 0) continue
    scores[index] = mean
    unknown--
  }
}
