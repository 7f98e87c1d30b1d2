import type { WeightOptions } from './weights.ts'
import { checkWeightOptions, shareOut, weightsFromLoads, wholeWeights } from './weights.ts'

/** What a node last said of itself. Shares from 0 to 1; null: not known, which is no reason for anything. */
export interface NodeSample {
  readonly id: string
  /** The score its weight is made of, 0 is idle (`nodeLoadScore`). */
  readonly load: number | null
  readonly cpu: number | null
  readonly memory: number | null
}

/** Why weights were calculated. */
export type WeightTrigger =
  | { readonly kind: 'membership'; readonly joined: readonly string[]; readonly left: readonly string[] }
  | {
      readonly kind: 'cpu-overload' | 'memory-overload'
      /** Those that crossed the threshold and have not been acted on since. */
      readonly ids: readonly string[]
      readonly threshold: number
    }
  | {
      readonly kind: 'cpu-imbalance' | 'memory-imbalance'
      /** Highest less lowest, 0 to 1. */
      readonly spread: number
      readonly threshold: number
      readonly highest: string
      readonly lowest: string
    }
  | { readonly kind: 'interval'; readonly elapsedMs: number }

/** Thresholds and times; the defaults are document 004's where it has any. */
export interface WeightControllerOptions extends WeightOptions {
  /** Calculate at the latest this long after the last time. Default 10 minutes. */
  readonly recalculateMs?: number
  /**
   * Imbalance is not acted on sooner than this after the last calculation. Default 60 s. (004 calls its 10 minutes both the
   * least and the greatest time between two calculations; here they are two numbers.) Membership and overload do not wait.
   */
  readonly minIntervalMs?: number
  /** Overload does not wait for `minIntervalMs` but for this, so that ten nodes in turn are not ten ring updates. Default 5 s. */
  readonly overloadIntervalMs?: number
  /** CPU of any node above this. Default 0.80. */
  readonly cpuOverload?: number
  /** Memory of any node above this. Default 0.85. */
  readonly memoryOverload?: number
  /** A node that was overloaded is so anew only after it fell this far below the threshold. Default 0.05. */
  readonly overloadHysteresis?: number
  /** Highest less lowest CPU above this. Default 0.40. */
  readonly cpuImbalance?: number
  /** Highest less lowest memory above this. Default 0.40. */
  readonly memoryImbalance?: number
  /** New weights of the same nodes are not put in force unless one changes by more than this share. Default 0.1. */
  readonly minChangeRatio?: number
  /**
   * How far towards the calculated weights one step goes, above 0 to 1. Default 0.5. With 1, as 004 has it, weight ∝ 1/load
   * swings: where load follows weight, twice the weight makes twice the load makes half the weight, and so on for ever.
   * Half of each step is what brings that loop to rest at once.
   */
  readonly gain?: number
}

/** What one step decided. */
export interface WeightDecision {
  /** `publish`: new weights are in force. `keep`: those of before are. */
  readonly action: 'publish' | 'keep'
  /**
   * Why triggers led to nothing: `interval`: too soon, they stay due; `small-change`: calculated, and hardly different. Null
   * when there was no trigger or the weights were published.
   */
  readonly held: 'interval' | 'small-change' | null
  /** What spoke for calculating, the most urgent first. */
  readonly triggers: readonly WeightTrigger[]
  /** Counts publications; 0: none yet. */
  readonly version: number
  /** By id: whole numbers whose sum is base · n, none below the minimum. */
  readonly weights: ReadonlyMap<string, number>
}

const DEFAULTS = {
  base: 100,
  min: 10,
  epsilon: 0.05,
  recalculateMs: 600_000,
  minIntervalMs: 60_000,
  overloadIntervalMs: 5_000,
  cpuOverload: 0.8,
  memoryOverload: 0.85,
  overloadHysteresis: 0.05,
  cpuImbalance: 0.4,
  memoryImbalance: 0.4,
  minChangeRatio: 0.1,
  gain: 0.5,
} as const

type Resource = 'cpu' | 'memory'

/**
 * Decides when weights are made anew, and makes them (document 004): on a change of membership and on overload at once, on
 * imbalance after a while, and every ten minutes; small changes are not published. Whoever owns it calls `step` with the
 * time and what nodes last said, as often as it likes; it owns no timer.
 */
export class WeightController {
  readonly #options: Required<WeightControllerOptions>
  #weights: ReadonlyMap<string, number> = new Map()
  #version = 0
  #calculatedAtMs = Number.NEGATIVE_INFINITY
  /** Nodes whose overload was acted on and has not ended since. */
  readonly #acknowledged: Readonly<Record<Resource, Set<string>>> = { cpu: new Set(), memory: new Set() }

  /** Throws a RangeError for options out of range. */
  constructor(options: WeightControllerOptions = {}) {
    this.#options = { ...DEFAULTS, ...options }
    const { base, min, gain, epsilon } = this.#options
    checkWeightOptions(base, min, epsilon)
    if (!Number.isInteger(base) || !Number.isInteger(min)) {
      throw new RangeError(`base ${base} and min ${min} must be whole numbers`)
    }
    if (!(gain > 0 && gain <= 1)) throw new RangeError(`gain is ${gain}, it must be above 0 and at most 1`)
    for (const name of TIMES_AND_SHARES) {
      if (!(this.#options[name] >= 0)) throw new RangeError(`${name} is ${this.#options[name]}`)
    }
  }

  /** Weights in force. */
  get weights(): ReadonlyMap<string, number> {
    return this.#weights
  }

  /** One look at the fleet. `nodes`: every member, in any order; an id that stands twice is a RangeError. O(n log n) at most. */
  step(nowMs: number, nodes: readonly NodeSample[]): WeightDecision {
    const members = [...nodes].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))
    for (let index = 1; index < members.length; index++) {
      if (members[index]!.id === members[index - 1]!.id) throw new RangeError(`node ${members[index]!.id} stands twice`)
    }
    this.#forgetEndedOverload(members)
    const elapsedMs = nowMs - this.#calculatedAtMs
    const urgent = this.#membershipTriggers(members)
    const overload = [...this.#overloadTriggers(members, 'cpu'), ...this.#overloadTriggers(members, 'memory')]
    const others = [...this.#imbalanceTriggers(members, 'cpu'), ...this.#imbalanceTriggers(members, 'memory')]
    if (this.#version > 0 && members.length > 0 && elapsedMs >= this.#options.recalculateMs) {
      others.push({ kind: 'interval', elapsedMs })
    }
    const triggers = [...urgent, ...overload, ...others]
    if (triggers.length === 0) return this.#decision('keep', null, triggers)
    const isDue =
      urgent.length > 0 ||
      (overload.length > 0 && elapsedMs >= this.#options.overloadIntervalMs) ||
      elapsedMs >= Math.min(this.#options.minIntervalMs, this.#options.recalculateMs)
    if (!isDue) return this.#decision('keep', 'interval', triggers)

    this.#calculatedAtMs = nowMs
    for (const trigger of overload) {
      if (trigger.kind === 'cpu-overload') for (const id of trigger.ids) this.#acknowledged.cpu.add(id)
      if (trigger.kind === 'memory-overload') for (const id of trigger.ids) this.#acknowledged.memory.add(id)
    }
    const weights = this.#calculate(members)
    if (urgent.length === 0 && !this.#isWorthwhile(weights)) return this.#decision('keep', 'small-change', triggers)
    this.#weights = weights
    this.#version++
    return this.#decision('publish', null, triggers)
  }

  #decision(
    action: WeightDecision['action'],
    held: WeightDecision['held'],
    triggers: readonly WeightTrigger[],
  ): WeightDecision {
    return { action, held, triggers, version: this.#version, weights: this.#weights }
  }

  #calculate(members: readonly NodeSample[]): ReadonlyMap<string, number> {
    const { base, min, epsilon, gain } = this.#options
    const total = base * members.length
    const target = weightsFromLoads(
      members.map((node) => node.load ?? Number.NaN),
      { base, min, epsilon },
    )
    // From where they stand, scaled to as many as there are now; a newcomer stands at the base. Nobody stands anywhere yet:
    // then the target itself.
    const isFirst = this.#weights.size === 0
    const stand = isFirst
      ? target
      : shareOut(
          Float64Array.from(members, (node) => this.#weights.get(node.id) ?? base),
          total,
          min,
        )
    const blended = target.map((weight, index) => stand[index]! + gain * (weight - stand[index]!))
    const whole = wholeWeights(blended)
    return new Map(members.map((node, index) => [node.id, whole[index]!]))
  }

  #isWorthwhile(weights: ReadonlyMap<string, number>): boolean {
    for (const [id, weight] of weights) {
      const current = this.#weights.get(id)!
      if (Math.abs(weight - current) > this.#options.minChangeRatio * current) return true
    }
    return false
  }

  #membershipTriggers(members: readonly NodeSample[]): WeightTrigger[] {
    const joined = members.filter((node) => !this.#weights.has(node.id)).map((node) => node.id)
    const present = new Set(members.map((node) => node.id))
    const left = [...this.#weights.keys()].filter((id) => !present.has(id))
    return joined.length + left.length === 0 ? [] : [{ kind: 'membership', joined, left }]
  }

  #overloadTriggers(members: readonly NodeSample[], resource: Resource): WeightTrigger[] {
    const threshold = this.#thresholdOf(resource)
    const ids = members
      .filter((node) => (node[resource] ?? 0) > threshold && !this.#acknowledged[resource].has(node.id))
      .map((node) => node.id)
    return ids.length === 0 ? [] : [{ kind: `${resource}-overload`, ids, threshold }]
  }

  #imbalanceTriggers(members: readonly NodeSample[], resource: Resource): WeightTrigger[] {
    const threshold = resource === 'cpu' ? this.#options.cpuImbalance : this.#options.memoryImbalance
    let highest: NodeSample | null = null
    let lowest: NodeSample | null = null
    for (const node of members) {
      const value = node[resource]
      if (value === null || Number.isNaN(value)) continue
      if (highest === null || value > (highest[resource] ?? 0)) highest = node
      if (lowest === null || value < (lowest[resource] ?? 0)) lowest = node
    }
    if (highest === null || lowest === null) return []
    const spread = (highest[resource] ?? 0) - (lowest[resource] ?? 0)
    if (!(spread > threshold)) return []
    return [{ kind: `${resource}-imbalance`, spread, threshold, highest: highest.id, lowest: lowest.id }]
  }

  #forgetEndedOverload(members: readonly NodeSample[]): void {
    for (const resource of ['cpu', 'memory'] as const) {
      const acknowledged = this.#acknowledged[resource]
      if (acknowledged.size === 0) continue
      const end = this.#thresholdOf(resource) - this.#options.overloadHysteresis
      // What is not known now goes on as it was.
      const still = new Set(members.filter((node) => !((node[resource] ?? 1) <= end)).map((node) => node.id))
      for (const id of acknowledged) if (!still.has(id)) acknowledged.delete(id)
    }
  }

  #thresholdOf(resource: Resource): number {
    return resource === 'cpu' ? this.#options.cpuOverload : this.#options.memoryOverload
  }
}

const TIMES_AND_SHARES = [
  'recalculateMs',
  'minIntervalMs',
  'overloadIntervalMs',
  'cpuOverload',
  'memoryOverload',
  'overloadHysteresis',
  'cpuImbalance',
  'memoryImbalance',
  'minChangeRatio',
] as const
