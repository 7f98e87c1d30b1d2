import { Xoshiro128 } from '../random.ts'

/** The endpoints of a pool, by position: entries [0, count) of each array. A picker copies what it keeps. */
export interface Members {
  readonly count: number
  /** Rows of the endpoint table. */
  readonly slots: Int32Array
  /** 0: never picked. What is negative or not finite counts as 0. */
  readonly weights: Float64Array
}

/** The caller's veto: false for a position that must not be taken (unfit, already tried). Without side effects, the same answer for the whole of one pick. */
export type Accept = (position: number) => boolean

/** What a picker may look at besides its members. */
export interface PickerDeps {
  /** Requests in flight by slot, over all workers. */
  readonly loads: Int32Array
  /** One shared word per pool, changed by Atomics. */
  readonly cursor: Int32Array
  /** A number in [0, 1). Built-in pickers draw a seed from it when they are created, and nothing afterwards. */
  readonly random: () => number
}

/** Chooses an endpoint of one pool, in one worker. */
export interface Picker {
  /** New members or weights. Costs O(n) or O(n log n); what was learnt about what stays is kept. */
  update(members: Members): void
  /**
   * The position to take, or -1 when nothing has weight and is accepted. `key` is a 32-bit hash of the request for the
   * pickers that use one. Allocates nothing.
   */
  pick(key: number, accept: Accept): number
}

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
  create(deps: PickerDeps, options: Record<string, unknown>): Picker
}

/** A picker's own generator, seeded from the caller's randomness: whole numbers without a boxed double per draw. */
export function seededGenerator(deps: PickerDeps): Xoshiro128 {
  return new Xoshiro128(Math.floor(deps.random() * 0x1_0000_0000))
}
