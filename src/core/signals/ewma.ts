/** The columns of `EwmaColumns`, by slot; all zero: no sample yet. They may lie in shared memory, as they are approximate. */
export interface EwmaStorage {
  /** Σ value · e^(−age / τ) as of `atMs`. */
  readonly sums: Float64Array
  /** Σ e^(−age / τ) as of `atMs`: how many samples' worth of evidence there is. */
  readonly masses: Float64Array
  /** Time of the last sample, in milliseconds. */
  readonly atMs: Float64Array
}

/**
 * Exponentially weighted moving averages of samples that come at any times, by slot.
 *
 * A sample of age a has the weight e^(−a / τ), so the average is Σ value · weight / Σ weight. Both sums are kept, which makes
 * the average right from the first sample on (no start value to forget) and lets samples of one and the same instant count
 * alike. The usual recursion v ← v·e^(−dt/τ) + x·(1 − e^(−dt/τ)) does neither: it gives the second of two simultaneous
 * samples no weight at all, and the first one weight for ever.
 *
 * `record` costs one exponential. Nothing allocates.
 */
export class EwmaColumns {
  readonly #storage: EwmaStorage
  readonly #inverseTau: number

  /**
   * `slots`: how many averages. `tauMs`: the age at which a sample counts 1/e = 37 %; half-life = τ · ln 2.
   * Throws a RangeError when `tauMs` is not a positive finite number or a given column is too short.
   */
  constructor(slots: number, tauMs: number, storage?: EwmaStorage) {
    if (!(tauMs > 0 && Number.isFinite(tauMs))) throw new RangeError(`tauMs is ${tauMs}, it must be above 0`)
    this.#inverseTau = 1 / tauMs
    this.#storage = storage ?? {
      sums: new Float64Array(slots),
      masses: new Float64Array(slots),
      atMs: new Float64Array(slots),
    }
    const { sums, masses, atMs } = this.#storage
    if (Math.min(sums.length, masses.length, atMs.length) < slots) {
      throw new RangeError(`a column is shorter than ${slots} slots`)
    }
  }

  /** Adds a sample. One that is not finite is left out; time that goes backwards counts as no time. */
  record(slot: number, value: number, nowMs: number): void {
    // NaN and both infinities give NaN.
    if (Number.isNaN(value - value)) return
    const { sums, masses, atMs } = this.#storage
    const elapsed = nowMs - atMs[slot]!
    if (elapsed > 0) {
      const keep = Math.exp(-elapsed * this.#inverseTau)
      sums[slot] = sums[slot]! * keep + value
      masses[slot] = masses[slot]! * keep + 1
      atMs[slot] = nowMs
    } else {
      sums[slot] = sums[slot]! + value
      masses[slot] = masses[slot]! + 1
    }
  }

  /** The average, in the unit of the samples; NaN before the first. It does not change with time alone, `mass` does. */
  mean(slot: number): number {
    return this.#storage.sums[slot]! / this.#storage.masses[slot]!
  }

  /** Evidence behind the average now: 0 before the first sample, 1 for one that has just come, and fading with age. */
  mass(slot: number, nowMs: number): number {
    const elapsed = Math.max(0, nowMs - this.#storage.atMs[slot]!)
    return this.#storage.masses[slot]! * Math.exp(-elapsed * this.#inverseTau)
  }

  /** Forgets a slot, before something else uses it. */
  reset(slot: number): void {
    const { sums, masses, atMs } = this.#storage
    sums[slot] = 0
    masses[slot] = 0
    atMs[slot] = 0
  }
}

/** One such average. */
export class Ewma {
  readonly #columns: EwmaColumns

  /** As in `EwmaColumns`. */
  constructor(tauMs: number) {
    this.#columns = new EwmaColumns(1, tauMs)
  }

  /** Adds a sample. */
  record(value: number, nowMs: number): void {
    this.#columns.record(0, value, nowMs)
  }

  /** The average, NaN before the first sample. */
  get mean(): number {
    return this.#columns.mean(0)
  }

  /** Evidence behind it, in samples. */
  mass(nowMs: number): number {
    return this.#columns.mass(0, nowMs)
  }
}
