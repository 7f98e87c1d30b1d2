import { Xoshiro128 } from '../random.ts'

/** The endpoints of a pool, by position: entries [0, count) of each array. A picker copies what it keeps. */
export interface Members {
  readonly count: number
  /** Rows of the endpoint table; each at most once. */
  readonly slots: Int32Array
  /** 0: never picked. What is negative or not finite counts as 0. */
  readonly weights: Float64Array
  /** Names that are the same on every instance, each at most once: the hash pickers place endpoints by them. */
  readonly ids: readonly string[]
  /** Priority tiers from 0, the one to use first; absent: all 0. Only `TiersAndZonesPicker` looks at them. */
  readonly tiers?: Int32Array
  /** Where each one is; null: nobody knows. Absent: nobody knows of any. Only `TiersAndZonesPicker` looks at them. */
  readonly zones?: readonly (string | null)[]
  /**
   * Since when each one is fit, in milliseconds by `PickerDeps.now`; 0: for long. Absent: since it was first a member. Only
   * `SlowStartPicker` looks at it.
   */
  readonly sinceMs?: Float64Array
}

/** The caller's veto: false for a position that must not be taken (unfit, already tried). Without side effects, the same answer for the whole of one pick. */
export type Accept = (position: number) => boolean

/** What endpoints report of themselves under one name, by slot. */
export interface SignalColumn {
  readonly values: Float64Array
  /** When it was heard, in milliseconds by the clock of `PickerDeps.now`; 0: never. */
  readonly atMs: Float64Array
}

/** The reports of all endpoints. */
export interface SignalTable {
  /** The column of a signal, such as `cpu`; of an unknown name one in which nothing was ever heard. */
  column(name: string): SignalColumn
}

/** What a picker may look at besides its members. */
export interface PickerDeps {
  /** Requests in flight by slot, over all workers. */
  readonly loads: Int32Array
  /** One shared word per pool, changed by Atomics. */
  readonly cursor: Int32Array
  /** A number in [0, 1). Built-in pickers draw a seed from it when they are created, and nothing afterwards. */
  readonly random: () => number
  /** Milliseconds, above 0, never backwards. It may stand still within one turn of the event loop. */
  readonly now: () => number
  readonly signals: SignalTable
}

/** How an attempt ended, for a picker that learns. CANCELLED says nothing about the endpoint. */
export const Outcome = { OK: 0, FAILED: 1, CANCELLED: 2 } as const

/** Chooses an endpoint of one pool, in one worker. */
export interface Picker {
  /** New members or weights. Costs O(n) or O(n log n); what was learnt about what stays (slot and id) is kept. */
  update(members: Members): void
  /**
   * The position to take, or -1 when nothing has weight and is accepted. `key` is a 32-bit hash of the request for the
   * pickers that use one. Allocates nothing.
   */
  pick(key: number, accept: Accept): number
  /** Only pickers that learn: an attempt at `slot` begins. Told right after the pick, before the next one. */
  began?(slot: number): void
  /** Only pickers that learn: an attempt that began is over, after `latencyMs`. `outcome`: see `Outcome`. */
  ended?(slot: number, latencyMs: number, outcome: number): void
  /** Only pickers that ask endpoints: a slot to probe now, or -1. The host asks again after every pick until it is -1. */
  wantsProbe?(): number
  /** The answer to a probe: requests in flight at the endpoint, and its latency estimate in milliseconds; both >= 0. */
  probed?(slot: number, inFlight: number, latencyMs: number): void
  /** Makes the pick that `pick` would make now, and says why. May allocate. */
  explain?(key: number, accept: Accept): Explanation
}

/** Why an endpoint was picked, or none. */
export interface Explanation {
  /** As `pick` returns it. */
  readonly position: number
  /** How the choice was made, in one sentence with its numbers. */
  readonly reason: string
  /** What was looked at, best first where there is an order; at most `EXPLAINED_CANDIDATES`. */
  readonly candidates: readonly ExplainedCandidate[]
  /** Members that were not looked at, or are left out of the list above. */
  readonly others: number
}

export interface ExplainedCandidate {
  readonly position: number
  readonly weight: number
  /** The caller refused it. */
  readonly isVetoed: boolean
  /** What the picker compares, lower is better; null where it compares nothing. */
  readonly cost: number | null
  /** What the cost is made of, or what the draw showed. */
  readonly parts: Readonly<Record<string, number>>
}

export const EXPLAINED_CANDIDATES = 32

/** A row of the registry: how to make a picker, and what the reference page says about it. */
export interface PickerEntry {
  readonly name: string
  /** When to use it. */
  readonly summary: string
  /** Cost of one pick. */
  readonly cost: string
  /** What it keeps, and where. */
  readonly state: string
  /** Where the algorithm comes from. */
  readonly source: string
  /** Its options and what they mean. */
  readonly options: Readonly<Record<string, string>>
  /**
   * The pick depends on the key, the same for the same key: the host makes one of each request, and by chance where there is
   * nothing to make it of, or all such requests would meet at one endpoint. Absent: any number will do.
   */
  readonly usesKey?: true
  /** It has `wantsProbe`: the host sends probes to endpoints. */
  readonly probes?: true
  create(deps: PickerDeps, options: Record<string, unknown>): Picker
}

/** A picker's own generator, seeded from the caller's randomness: whole numbers without a boxed double per draw. */
export function seededGenerator(deps: PickerDeps): Xoshiro128 {
  return new Xoshiro128(Math.floor(deps.random() * 0x1_0000_0000))
}
