/** Answers older than this say nothing about now. */
const AGE_MAX_MS = 10_000
/** The mean is over about so many of the newest answers. */
const SAMPLES = 32
const LOAD_CLASSES = 16

/**
 * What an endpoint knows of its own response times, by how many requests it had when they came: what it tells a probe.
 * Prequal's servers report the latency of recent requests "at the current number in flight" (NSDI 2024, section 4.1).
 */
export class RecentResponses {
  // By endpoint and class of load.
  readonly #means: Float64Array
  readonly #counts: Uint8Array
  readonly #atMs: Float64Array

  constructor(endpoints: number) {
    this.#means = new Float64Array(endpoints * LOAD_CLASSES)
    this.#counts = new Uint8Array(endpoints * LOAD_CLASSES)
    this.#atMs = new Float64Array(endpoints * LOAD_CLASSES)
  }

  /** A request that met `load` others took this long. */
  note(endpoint: number, load: number, responseMs: number, now: number): void {
    const at = endpoint * LOAD_CLASSES + loadClass(load)
    const isOld = now - this.#atMs[at]! > AGE_MAX_MS
    const count = isOld ? 1 : Math.min(SAMPLES, this.#counts[at]! + 1)
    const mean = isOld ? 0 : this.#means[at]!
    this.#counts[at] = count
    this.#means[at] = mean + (responseMs - mean) / count
    this.#atMs[at] = now
  }

  /** At this load, or the nearest at which there were answers of late; 0: there were none. */
  estimate(endpoint: number, load: number, now: number): number {
    const first = endpoint * LOAD_CLASSES
    const wanted = loadClass(load)
    for (let distance = 0; distance < LOAD_CLASSES; distance++) {
      for (const sign of [-1, 1]) {
        const of = wanted + sign * distance
        if (of < 0 || of >= LOAD_CLASSES) continue
        if (this.#counts[first + of]! > 0 && now - this.#atMs[first + of]! <= AGE_MAX_MS)
          return this.#means[first + of]!
      }
    }
    return 0
  }
}

/** 0 to 7 requests, then one class for each doubling. */
function loadClass(load: number): number {
  return load < 8 ? load : Math.min(LOAD_CLASSES - 1, 5 + Math.floor(Math.log2(load)))
}
