import { clearWindow, countInWindow, sumOfWindow, type WindowShape } from './windowed-counts.ts'

/** Closed: traffic flows. Open: it is refused at once. Half-open: a few trials. The numbers are those in memory. */
export const BreakerState = { CLOSED: 0, OPEN: 1, HALF_OPEN: 2 } as const
export type BreakerState = (typeof BreakerState)[keyof typeof BreakerState]

/** What happens to a breaker. */
export const BreakerEvent = {
  /** A rule found too many failures or too many slow answers. */
  TRIPPED: 0,
  /** Somebody asked after the open period was over. */
  PERIOD_ENDED: 1,
  /** A trial failed, or was slow. */
  TRIAL_FAILED: 2,
  /** So many trials were good as are asked for. */
  TRIALS_PASSED: 3,
  /** All trials have been silent for `trialTimeoutMs`. */
  TRIALS_LOST: 4,
  /** By hand. */
  RESET: 5,
} as const
export type BreakerEvent = (typeof BreakerEvent)[keyof typeof BreakerEvent]

const { CLOSED, OPEN, HALF_OPEN } = BreakerState

/**
 * The whole breaker: state × event → state. What it does on the way in belongs to the state entered (`#enter`). An event
 * that means nothing in a state leaves it as it is, without entering it anew.
 */
export const BREAKER_TRANSITIONS: readonly (readonly BreakerState[])[] = [
  //             TRIPPED    PERIOD_ENDED  TRIAL_FAILED  TRIALS_PASSED  TRIALS_LOST  RESET
  /* closed    */ [OPEN, /*   */ CLOSED, /* */ CLOSED, /* */ CLOSED, /*  */ CLOSED, /* */ CLOSED],
  /* open      */ [OPEN, /*   */ HALF_OPEN, /**/ OPEN, /* */ OPEN, /*    */ OPEN, /*   */ CLOSED],
  /* half-open */ [HALF_OPEN, HALF_OPEN, /*   */ OPEN, /* */ CLOSED, /*  */ OPEN, /*   */ CLOSED],
]

/** How an attempt ended, for a breaker. */
export const BreakerOutcome = {
  SUCCESS: 0,
  FAILURE: 1,
  /** For a reason that is not the endpoint's (the client left): counts as nothing, and gives a trial's place back. */
  IGNORED: 2,
} as const
export type BreakerOutcome = (typeof BreakerOutcome)[keyof typeof BreakerOutcome]

/** When it opens, and how it closes again. */
export interface BreakerOptions {
  /** Opens after so many failures in a row. 0: never by this. Default 5 (document 001). */
  readonly consecutiveFailures?: number
  /** Opens when failures are at least this share of the window, above 0 to 1. 0: never by this, the default. */
  readonly errorRatio?: number
  /** Opens when the quantile `slowQuantile` of the window's latencies is above this. Infinity: never by this, the default. */
  readonly slowMs?: number
  /** Between 0 and 1; default 0.95: it opens when more than 5 % took longer than `slowMs`. */
  readonly slowQuantile?: number
  /** The window's share and quantile say nothing before so many answers. At least 1, default 20. */
  readonly minRequests?: number
  /** Length of the window, at least 10; default 10 s. */
  readonly windowMs?: number
  /** How long it stays open the first time. Default 10 s (document 001: 60 s, with a factor of 1). */
  readonly openMs?: number
  /** What that is multiplied with each time it opens without having been closed for a window in between. At least 1, default 2. */
  readonly openFactor?: number
  /** Upper bound of it, at most a day; default 60 s, or `openMs` where that is longer. */
  readonly maxOpenMs?: number
  /** Trials at a time, 1 to 1 000; default 1. */
  readonly trials?: number
  /** So many good trials close it; default 2. One alone may be luck. */
  readonly trialsToClose?: number
  /** When all places are taken and none has answered for so long, they count as failed: nothing can stay half-open for ever. Default 30 s. */
  readonly trialTimeoutMs?: number
}

/** Returned by `admit` when nothing may be sent. */
export const REFUSED = -1

// Words of one breaker. `MARK` holds state and generation together, so that one compare-and-swap can change both.
const Word = {
  MARK: 0,
  SINCE: 1,
  UNTIL: 2,
  OPENINGS: 3,
  FAILURES: 4,
  RUNNING: 5,
  PASSED: 6,
  LAST_TRIAL: 7,
  WINDOW: 8,
} as const
const WindowField = { ANSWERS: 0, FAILURES: 1, SLOW: 2 } as const
const BUCKETS = 10
const STATE_BITS = 2
/** Generations wrap: 2^28 changes of state later an old permit could pass for a new one. */
const GENERATIONS = 2 ** 28
/** Times in memory are Int32 ticks of 10 ms, compared by difference: good while nobody looks away for 248 days. */
const TICK_MS = 10

/** Int32 words that one breaker takes (39: 156 bytes). */
export const BREAKER_WORDS = Word.WINDOW + 1 + BUCKETS * 3

/**
 * Circuit breakers by slot (M. Nygard, Release It!, 2007): they stop sending to what fails, and try again with a few requests after a
 * while. All state is Int32 words, zero for closed, so that they can lie in shared memory; the methods here are for one
 * thread at a time.
 *
 * `admit` before an attempt gives a permit or `REFUSED`, `record` after it takes the permit back, exactly once. A permit is
 * of one period of the breaker: what began before the breaker opened says nothing about a trial and is left out.
 */
export class Breakers {
  readonly #options: Required<BreakerOptions>
  readonly #words: Int32Array
  readonly #shape: WindowShape

  /** `slots`: how many. Throws a RangeError for options out of range or words that are too short. */
  constructor(slots: number, options: BreakerOptions = {}, words?: Int32Array) {
    // A first period longer than the default bound needs no second setting.
    const maxOpenMs = Math.max(DEFAULTS.maxOpenMs, options.openMs ?? 0)
    this.#options = { ...DEFAULTS, maxOpenMs, ...options }
    const problem = optionsProblem(this.#options)
    if (problem !== null) throw new RangeError(problem)
    this.#shape = { buckets: BUCKETS, fields: 3, bucketMs: this.#options.windowMs / BUCKETS }
    this.#words = words ?? new Int32Array(slots * BREAKER_WORDS)
    if (this.#words.length < slots * BREAKER_WORDS) throw new RangeError(`the words are too few for ${slots} breakers`)
  }

  /** One of `BreakerState`, as memory has it: an open one whose period is over stays open until somebody asks. */
  stateOf(slot: number): BreakerState {
    return (this.#words[slot * BREAKER_WORDS + Word.MARK]! & ((1 << STATE_BITS) - 1)) as BreakerState
  }

  /** May an attempt begin? A permit (>= 0) for `record`, or `REFUSED`. */
  admit(slot: number, nowMs: number): number {
    const at = slot * BREAKER_WORDS
    const words = this.#words
    let state = this.stateOf(slot)
    if (state === CLOSED) return this.#permit(at, 0)
    const now = tickOf(nowMs)
    if (state === OPEN) {
      if (((now - words[at + Word.UNTIL]!) | 0) < 0) return REFUSED
      state = this.#apply(slot, BreakerEvent.PERIOD_ENDED, nowMs)
    }
    if (words[at + Word.RUNNING]! >= this.#options.trials) {
      const silentMs = ((now - words[at + Word.LAST_TRIAL]!) | 0) * TICK_MS
      if (silentMs >= this.#options.trialTimeoutMs) this.#apply(slot, BreakerEvent.TRIALS_LOST, nowMs)
      return REFUSED
    }
    words[at + Word.RUNNING] = words[at + Word.RUNNING]! + 1
    words[at + Word.LAST_TRIAL] = now
    return this.#permit(at, 1)
  }

  /**
   * How an admitted attempt ended; `latencyMs` until its answer began, or it failed. To be called then, not at the end of a
   * long body: a trial holds its place until it is.
   */
  record(slot: number, permit: number, nowMs: number, outcome: BreakerOutcome, latencyMs: number): void {
    const at = slot * BREAKER_WORDS
    const words = this.#words
    if (permit >>> 1 !== words[at + Word.MARK]! >>> STATE_BITS) return
    if ((permit & 1) === 1) this.#recordTrial(slot, nowMs, outcome, latencyMs)
    else if (outcome !== BreakerOutcome.IGNORED) this.#recordClosed(slot, nowMs, outcome, latencyMs)
  }

  /** Closes a breaker by hand and forgets what it counted. */
  reset(slot: number, nowMs: number): void {
    this.#words[slot * BREAKER_WORDS + Word.OPENINGS] = 0
    if (this.stateOf(slot) === CLOSED) this.#enter(slot, CLOSED, nowMs)
    else this.#apply(slot, BreakerEvent.RESET, nowMs)
  }

  #permit(at: number, trial: 0 | 1): number {
    return ((this.#words[at + Word.MARK]! >>> STATE_BITS) << 1) | trial
  }

  #recordClosed(slot: number, nowMs: number, outcome: BreakerOutcome, latencyMs: number): void {
    const at = slot * BREAKER_WORDS
    const words = this.#words
    const isFailure = outcome === BreakerOutcome.FAILURE
    const isSlow = latencyMs > this.#options.slowMs
    this.#count(at, WindowField.ANSWERS, nowMs)
    if (isFailure) this.#count(at, WindowField.FAILURES, nowMs)
    if (isSlow) this.#count(at, WindowField.SLOW, nowMs)
    if (!isFailure) {
      words[at + Word.FAILURES] = 0
      // Well for a whole window: the next opening is a first one again.
      if (
        words[at + Word.OPENINGS]! > 0 &&
        ((tickOf(nowMs) - words[at + Word.SINCE]!) | 0) * TICK_MS >= this.#options.windowMs
      ) {
        words[at + Word.OPENINGS] = 0
      }
    } else if (words[at + Word.FAILURES]! < 0x7fff_ffff) {
      words[at + Word.FAILURES] = words[at + Word.FAILURES]! + 1
    }
    if ((isFailure || isSlow) && this.#isTooMuch(at, nowMs)) this.#apply(slot, BreakerEvent.TRIPPED, nowMs)
  }

  #recordTrial(slot: number, nowMs: number, outcome: BreakerOutcome, latencyMs: number): void {
    const at = slot * BREAKER_WORDS
    const words = this.#words
    words[at + Word.RUNNING] = Math.max(0, words[at + Word.RUNNING]! - 1)
    if (outcome === BreakerOutcome.IGNORED) return
    if (outcome === BreakerOutcome.FAILURE || latencyMs > this.#options.slowMs) {
      this.#apply(slot, BreakerEvent.TRIAL_FAILED, nowMs)
      return
    }
    words[at + Word.PASSED] = words[at + Word.PASSED]! + 1
    if (words[at + Word.PASSED]! >= this.#options.trialsToClose) this.#apply(slot, BreakerEvent.TRIALS_PASSED, nowMs)
  }

  #isTooMuch(at: number, nowMs: number): boolean {
    const { consecutiveFailures, errorRatio, slowMs, slowQuantile, minRequests } = this.#options
    if (consecutiveFailures > 0 && this.#words[at + Word.FAILURES]! >= consecutiveFailures) return true
    if (errorRatio === 0 && slowMs === Number.POSITIVE_INFINITY) return false
    const answers = this.#sum(at, WindowField.ANSWERS, nowMs)
    if (answers < minRequests) return false
    if (errorRatio > 0 && this.#sum(at, WindowField.FAILURES, nowMs) >= errorRatio * answers) return true
    // The q-quantile, at rank ⌈q · n⌉, is slow just when fewer than ⌈q · n⌉ answers were not.
    return answers - this.#sum(at, WindowField.SLOW, nowMs) < Math.ceil(slowQuantile * answers)
  }

  /** Looks the event up in the table; returns the state afterwards. */
  #apply(slot: number, event: BreakerEvent, nowMs: number): BreakerState {
    const from = this.stateOf(slot)
    const to = BREAKER_TRANSITIONS[from]![event]!
    if (to !== from) this.#enter(slot, to, nowMs)
    return to
  }

  #enter(slot: number, state: BreakerState, nowMs: number): void {
    const at = slot * BREAKER_WORDS
    const words = this.#words
    const now = tickOf(nowMs)
    const generation = ((words[at + Word.MARK]! >>> STATE_BITS) + 1) % GENERATIONS
    words[at + Word.MARK] = (generation << STATE_BITS) | state
    words[at + Word.SINCE] = now
    words[at + Word.FAILURES] = 0
    words[at + Word.RUNNING] = 0
    words[at + Word.PASSED] = 0
    clearWindow(words, at + Word.WINDOW, this.#shape)
    if (state !== OPEN) return
    const { openMs, openFactor, maxOpenMs } = this.#options
    const openings = words[at + Word.OPENINGS]!
    const forMs = Math.min(maxOpenMs, openMs * openFactor ** openings)
    words[at + Word.OPENINGS] = Math.min(openings + 1, MAX_OPENINGS)
    words[at + Word.UNTIL] = (now + Math.ceil(forMs / TICK_MS)) | 0
  }

  #count(at: number, field: number, nowMs: number): void {
    countInWindow(this.#words, at + Word.WINDOW, this.#shape, field, nowMs)
  }

  #sum(at: number, field: number, nowMs: number): number {
    return sumOfWindow(this.#words, at + Word.WINDOW, this.#shape, field, nowMs)
  }
}

const MAX_OPENINGS = 1000
const MAX_OPEN_MS = 86_400_000

const DEFAULTS: Required<BreakerOptions> = {
  consecutiveFailures: 5,
  errorRatio: 0,
  slowMs: Number.POSITIVE_INFINITY,
  slowQuantile: 0.95,
  minRequests: 20,
  windowMs: 10_000,
  openMs: 10_000,
  openFactor: 2,
  maxOpenMs: 60_000,
  trials: 1,
  trialsToClose: 2,
  trialTimeoutMs: 30_000,
}

function tickOf(nowMs: number): number {
  return Math.floor(nowMs / TICK_MS) | 0
}

function optionsProblem(options: Required<BreakerOptions>): string | null {
  const isWholeFrom = (value: number, min: number): boolean => Number.isInteger(value) && value >= min
  if (!isWholeFrom(options.consecutiveFailures, 0)) return `consecutiveFailures is ${options.consecutiveFailures}`
  if (!(options.errorRatio >= 0 && options.errorRatio <= 1))
    return `errorRatio is ${options.errorRatio}, it must be from 0 to 1`
  if (!(options.slowMs > 0)) return `slowMs is ${options.slowMs}, it must be above 0`
  if (!(options.slowQuantile > 0 && options.slowQuantile < 1)) {
    return `slowQuantile is ${options.slowQuantile}, it must be between 0 and 1`
  }
  if (!isWholeFrom(options.minRequests, 1))
    return `minRequests is ${options.minRequests}, it must be a whole number from 1`
  if (!(options.windowMs >= BUCKETS && options.windowMs <= MAX_OPEN_MS)) {
    return `windowMs is ${options.windowMs}, it must be from ${BUCKETS} ms to a day`
  }
  if (!(options.openMs > 0 && options.openMs <= options.maxOpenMs && options.maxOpenMs <= MAX_OPEN_MS)) {
    return `openMs ${options.openMs} and maxOpenMs ${options.maxOpenMs} must be in order, above 0 and at most a day`
  }
  if (!(options.openFactor >= 1 && options.openFactor < Number.POSITIVE_INFINITY)) {
    return `openFactor is ${options.openFactor}, it must be at least 1`
  }
  if (!(isWholeFrom(options.trials, 1) && options.trials <= 1000))
    return `trials is ${options.trials}, it must be from 1 to 1000`
  if (!isWholeFrom(options.trialsToClose, 1)) return `trialsToClose is ${options.trialsToClose}, it must be at least 1`
  if (!(options.trialTimeoutMs > 0 && options.trialTimeoutMs <= MAX_OPEN_MS))
    return `trialTimeoutMs is ${options.trialTimeoutMs}, it must be above 0 and at most a day`
  return null
}
