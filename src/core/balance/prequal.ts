import type { Xoshiro128 } from '../random.ts'
import { explain } from './explanation.ts'
import { requestsEntry } from './metrics/requests.ts'
import { grownFloat64, SlotOwners, slotsNeeded } from './metrics/slot-owners.ts'
import { numberOption } from './options.ts'
import { P2cPicker } from './p2c.ts'
import type { Accept, Explanation, Members, Picker, PickerDeps, PickerEntry } from './picker.ts'
import { Outcome, seededGenerator } from './picker.ts'
import { ProbePool, RecentQuantile } from './probe-pool.ts'
import { WeightedDraw } from './weighted-draw.ts'

/** The paper's values (section 5) where it is not said otherwise. */
const POOL_SIZE = 16
const MAX_AGE_MS = 1000
/** Q_RIF = 2^−0.25 */
const HOT_QUANTILE = 2 ** -0.25
/** δ of the reuse formula. */
const REUSE_SLACK = 1
/** Where the formula gives no bound (few endpoints, few probes), answers are used at most this often before they are too old anyway. */
const REUSES_MAX = 16
/** Fewer answers than this are no choice. */
const LEAST_ANSWERS = 2
/**
 * Probes per pick. The paper has 3, where a probe is a small message on a connection that is there anyway. Here it is a request,
 * and costs the balancer about as much as a small one that it serves. The paper's figure 9 stays flat down to one per pick.
 */
const PROBE_RATE = 1
/** While the pool is less than half full (a start, or few requests per second): the paper's 3. */
const PROBE_RATE_SHORT = 3
/** Probes per pick that are removed though they could be used; below the rate of new ones. The paper's sweep of rates has 0.25 too. */
const REMOVE_RATE = 0.25
/** Probes that may be asked for at once. */
const OWED_MAX = 6
const RECENT_LOADS = 64
/** Fast errors make a server look idle: its answers count as so many times slower for each failure that still counts. */
const FAILURE_COST = 10
const FAILURES_MAX = 16
const FAILURE_DECAY_MS = 10_000
const NO_FAILURES = 1 / 64

/**
 * Prequal (Wydrowski, Kleinberg, Rumble, Archer, "Load is not what you should balance", NSDI 2024): probes ask endpoints how many
 * requests they have in flight and how long they take at that load. Answers go into a pool and are used by later picks,
 * so no request waits for a probe.
 *
 * The pick: an answer is hot when its load is above the quantile Q_RIF of the latest answers' loads. Of the cold ones the one with the
 * lowest latency is taken; where all are hot, the one with the lowest load. Its load in the pool then goes up by one.
 *
 * Answers leave the pool when they are older than a second, were used b times, or at the rate r_remove per pick, in turns the worst
 * (the reverse of the rule above) and the oldest; without that the pool fills with those that nobody takes.
 * b = max(1, (1 + δ) / ((1 − m/n)·r_probe − r_remove)), m: pool size, n: endpoints.
 *
 * Endpoints are probed by chance in proportion to weight, never the same one twice in a row; loads are divided by weight
 * (the paper has no weights). A failure drops the endpoint's answer and makes its next ones dearer for some seconds, so that fast
 * errors do not attract. With fewer than two usable answers the pick is p2c over requests in flight.
 */
class PrequalPicker implements Picker {
  readonly #now: () => number
  readonly #generator: Xoshiro128
  readonly #draw: WeightedDraw
  readonly #fallback: P2cPicker
  readonly #probeRate: number
  readonly #maxAgeMs: number
  readonly #pool: ProbePool
  readonly #recentLoads: RecentQuantile
  /** By slot: position and 1 / (weight / mean weight), 0 for no member. */
  #positions = new Int32Array(0)
  #inverseWeights = new Float64Array(0)
  /** By slot: failures that still count as of `failedAt`. */
  #failures = new Float64Array(0)
  #failedAt = new Float64Array(0)
  readonly #owners = new SlotOwners((slot) => this.#forget(slot))
  /** Probes owed and removals owed; two cells, as fields would be boxed. */
  readonly #owed = new Float64Array(2)
  #removesOldest = false
  #meanWeight = 1
  #lastProbed = -1
  #reuses = 1
  /** For `explain`: the pool as it was when the pick was made. */
  #told: Told | null = null

  constructor(deps: PickerDeps, options: { probeRate: number; poolSize: number; maxAgeMs: number; quantile: number }) {
    this.#now = deps.now
    this.#generator = seededGenerator(deps)
    this.#draw = new WeightedDraw(this.#generator)
    this.#fallback = new P2cPicker(deps, requestsEntry.create(deps, {}))
    this.#probeRate = options.probeRate
    this.#maxAgeMs = options.maxAgeMs
    this.#pool = new ProbePool(options.poolSize)
    this.#recentLoads = new RecentQuantile(RECENT_LOADS, options.quantile)
  }

  update(members: Members): void {
    const draw = this.#draw
    draw.update(members)
    this.#fallback.update(members)
    const { size, slots, weights, positions } = draw
    let highest = -1
    let sum = 0
    for (let index = 0; index < size; index++) {
      if (slots[index]! > highest) highest = slots[index]!
      sum += weights[index]!
    }
    this.#meanWeight = sum / Math.max(1, size)
    this.#positions = new Int32Array(highest + 1).fill(-1)
    this.#inverseWeights = new Float64Array(highest + 1)
    for (let index = 0; index < size; index++) {
      this.#positions[slots[index]!] = positions[index]!
      this.#inverseWeights[slots[index]!] = this.#meanWeight / weights[index]!
    }
    const slotCount = slotsNeeded(members, this.#failures.length)
    this.#failures = grownFloat64(this.#failures, slotCount)
    this.#failedAt = grownFloat64(this.#failedAt, slotCount)
    this.#owners.update(members)
    const pool = this.#pool
    for (let row = pool.size - 1; row >= 0; row--) if (!this.#isMember(pool.slot(row))) pool.remove(row)
    const growth = (1 - this.#pool.capacity / Math.max(1, size)) * this.#probeRate - REMOVE_RATE
    this.#reuses = growth > 0 ? Math.min(REUSES_MAX, Math.max(1, Math.ceil((1 + REUSE_SLACK) / growth))) : REUSES_MAX
  }

  #forget(slot: number): void {
    this.#failures[slot] = 0
    const row = this.#pool.rowOf(slot)
    if (row >= 0) this.#pool.remove(row)
  }

  pick(key: number, accept: Accept): number {
    const pool = this.#pool
    const owed = this.#owed
    const now = this.#now()
    pool.removeOlderThan(now - this.#maxAgeMs)
    const isShort = 2 * pool.size < Math.min(pool.capacity, this.#draw.size)
    const rate = isShort && this.#probeRate < PROBE_RATE_SHORT ? PROBE_RATE_SHORT : this.#probeRate
    owed[0] = Math.min(OWED_MAX, owed[0]! + rate)
    const row = pool.size < LEAST_ANSWERS ? -1 : this.#best(accept)
    if (this.#told !== null) this.#tell(this.#told.answers)
    if (row < 0) {
      if (this.#told === null) return this.#fallback.pick(key, accept)
      this.#told.fallback = this.#fallback.explain(key, accept)
      return this.#told.fallback.position
    }
    const slot = pool.slot(row)
    pool.use(row, this.#inverseWeights[slot]!)
    owed[1] = owed[1]! + REMOVE_RATE
    if (owed[1] >= 1) {
      owed[1] = owed[1] - 1
      this.#removeOne()
    }
    return this.#positions[slot]!
  }

  /** The row to take by the rule, of those that are accepted; -1 when fewer than two are. */
  #best(accept: Accept): number {
    const pool = this.#pool
    const hotAbove = this.#recentLoads.value
    let best = -1
    let equals = 1
    let accepted = 0
    for (let row = 0; row < pool.size; row++) {
      if (!accept(this.#positions[pool.slot(row)]!)) continue
      accepted++
      if (best < 0) {
        best = row
        continue
      }
      const order = this.#compare(row, best, hotAbove)
      if (order > 0) continue
      equals = order < 0 ? 1 : equals + 1
      if (equals === 1 || this.#generator.below(equals) === 0) best = row
    }
    return accepted < LEAST_ANSWERS ? -1 : best
  }

  /** Below 0: `a` is the better one. */
  #compare(a: number, b: number, hotAbove: number): number {
    const pool = this.#pool
    const aLoad = pool.load(a)
    const bLoad = pool.load(b)
    const isHot = aLoad > hotAbove
    if (isHot !== bLoad > hotAbove) return isHot ? 1 : -1
    if (!isHot) {
      const byLatency = pool.latency(a) - pool.latency(b)
      if (byLatency !== 0) return byLatency
    }
    return aLoad - bLoad
  }

  #removeOne(): void {
    const pool = this.#pool
    const row = this.#removesOldest ? pool.oldest() : pool.worst(this.#recentLoads.value)
    this.#removesOldest = !this.#removesOldest
    if (row >= 0) pool.remove(row)
  }

  wantsProbe(): number {
    const owed = this.#owed
    const { size, slots } = this.#draw
    if (owed[0]! < 1 || size === 0) return -1
    owed[0] = owed[0]! - 1
    let slot = slots[this.#draw.draw()]!
    if (slot === this.#lastProbed && size > 1) slot = slots[this.#draw.draw()]!
    this.#lastProbed = slot
    return slot
  }

  probed(slot: number, inFlight: number, latencyMs: number): void {
    // Late: it has left. Or the answer is nonsense.
    if (!this.#isMember(slot)) return
    if (!(inFlight >= 0 && latencyMs >= 0) || inFlight === Number.POSITIVE_INFINITY) return
    const load = inFlight * this.#inverseWeights[slot]!
    this.#recentLoads.add(load)
    const now = this.#now()
    this.#pool.put(slot, load, latencyMs * (1 + FAILURE_COST * this.#failuresNow(slot, now)), now, this.#reuses)
  }

  ended(slot: number, _latencyMs: number, outcome: number): void {
    if (!this.#isMember(slot) || outcome === Outcome.CANCELLED) return
    const failures = this.#failures[slot]!
    if (outcome === Outcome.OK) {
      if (failures > 0) this.#failures[slot] = failures > NO_FAILURES ? failures / 2 : 0
      return
    }
    const now = this.#now()
    this.#failures[slot] = Math.min(FAILURES_MAX, 2 * this.#failuresNow(slot, now) + 1)
    this.#failedAt[slot] = now
    const row = this.#pool.rowOf(slot)
    if (row >= 0) this.#pool.remove(row)
  }

  #failuresNow(slot: number, now: number): number {
    const failures = this.#failures[slot]!
    return failures === 0 ? 0 : failures * Math.exp((this.#failedAt[slot]! - now) / FAILURE_DECAY_MS)
  }

  #isMember(slot: number): boolean {
    return slot < this.#positions.length && this.#positions[slot]! >= 0
  }

  explain(key: number, accept: Accept): Explanation {
    const told: Told = { answers: new Map(), hotAbove: this.#recentLoads.value, fallback: null }
    this.#told = told
    const position = this.pick(key, accept)
    this.#told = null
    const { answers, hotAbove, fallback } = told
    if (fallback !== null) {
      return { ...fallback, reason: `fewer than ${LEAST_ANSWERS} usable answers to probes: ${fallback.reason}` }
    }
    const isHot = (each: number): boolean => answers.get(each)!.load > hotAbove
    return explain({
      position,
      reason: isHot(position)
        ? `of ${answers.size} answers to probes all accepted ones are hot: the lowest load`
        : `of ${answers.size} answers to probes the cold one with the lowest latency`,
      looked: [...answers.keys()],
      size: this.#draw.size,
      accept,
      weightOf: (each) => answers.get(each)!.weight,
      // The rule in one number: hot ones are behind all cold ones, by load; cold ones are in order of latency.
      costOf: (each) => (isHot(each) ? HOT_COST + answers.get(each)!.load : answers.get(each)!.latencyMs),
      partsOf: (each) => {
        const { load, latencyMs, ageMs, usesLeft } = answers.get(each)!
        return { load, latencyMs, isHot: isHot(each) ? 1 : 0, hotAbove, ageMs, usesLeft }
      },
    })
  }

  #tell(answers: Map<number, ToldAnswer>): void {
    const pool = this.#pool
    const now = this.#now()
    for (let each = 0; each < pool.size; each++) {
      const slot = pool.slot(each)
      answers.set(this.#positions[slot]!, {
        load: pool.load(each),
        latencyMs: pool.latency(each),
        ageMs: now - pool.atMs(each),
        usesLeft: pool.usesLeft(each),
        weight: this.#meanWeight / this.#inverseWeights[slot]!,
      })
    }
  }
}

/** Above every latency in milliseconds. */
const HOT_COST = 1e12

interface Told {
  readonly answers: Map<number, ToldAnswer>
  readonly hotAbove: number
  /** The pick was made by the fallback. */
  fallback: Explanation | null
}

interface ToldAnswer {
  readonly load: number
  readonly latencyMs: number
  readonly ageMs: number
  readonly usesLeft: number
  readonly weight: number
}

export const prequalEntry: PickerEntry = {
  name: 'prequal',
  summary:
    'Servers of different speed or with other work of their own, that can say how busy they are: asks them ahead of time, by probes.',
  cost: `constant at any size: a pool of ${POOL_SIZE} answers`,
  state: `per worker: ${POOL_SIZE} answers to probes, some 70 bytes per endpoint`,
  source: 'Wydrowski, Kleinberg, Rumble, Archer: Load is not what you should balance, NSDI 2024',
  options: {
    probeRate: `probes per request, 0.5 to 8; default ${PROBE_RATE}, the paper has 3; ${PROBE_RATE_SHORT} while less than half of the answers are there`,
    poolSize: `answers that are kept, 2 to 64; default ${POOL_SIZE}`,
    maxAgeMs: `age at which an answer is dropped, 10 to 60000 ms; default ${MAX_AGE_MS}`,
    hotQuantile: `an answer is hot when its load is above this quantile of the latest ${RECENT_LOADS}, 0 to 1; default 2^-0.25, some 0.84`,
  },
  probes: true,
  create: (deps, options) =>
    new PrequalPicker(deps, {
      probeRate: numberOption(options, 'probeRate', PROBE_RATE, 0.5, 8),
      poolSize: Math.floor(numberOption(options, 'poolSize', POOL_SIZE, 2, 64)),
      maxAgeMs: numberOption(options, 'maxAgeMs', MAX_AGE_MS, 10, 60_000),
      quantile: numberOption(options, 'hotQuantile', HOT_QUANTILE, 0, 1),
    }),
}
