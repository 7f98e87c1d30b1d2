import { combine } from '../../hash/mix.ts'
import type { Xoshiro128 } from '../../random.ts'
import { explain, isWeight, percent, weightedPositions } from '../explanation.ts'
import { MemberIndex } from '../member-index.ts'
import { numberOption } from '../options.ts'
import type { Accept, ExplainedCandidate, Explanation, Members, Picker, PickerDeps } from '../picker.ts'
import { seededGenerator } from '../picker.ts'
import { type Admitting, admits, explainInner } from './modifier.ts'
import { Recount } from './recount.ts'
import { OVERPROVISIONING, tierLoads, zoneShares } from './spillover.ts'

export interface TiersAndZonesOptions {
  /** The zone of this balancer; null, the default: zones do not matter. */
  readonly zone?: string | null
  /** What is fit counts as so many times itself before anything spills, 1 to 10; default 1.4. */
  readonly overprovisioning?: number
  /**
   * The share of all requests that balancers of each zone get, as numbers in proportion. Default: as much in every zone that has
   * endpoints of the tier.
   */
  readonly callers?: Readonly<Record<string, number>>
}

/** What keeps one group of keys apart from how the inner picker spreads them. */
const GROUP_SALT = 0x7a6f_6e65
const TWO_32 = 0x1_0000_0000
const acceptNone: Accept = () => false

/** The endpoints of one tier in one zone, with a picker of their own. */
interface Group {
  readonly key: string
  readonly tier: number
  readonly zone: string | null
  readonly picker: Picker
  /** By position in the group: position in the pool. */
  positions: Int32Array
  weight: number
}

/**
 * Spreads requests over priority tiers and zones (see `tierLoads` and `zoneShares` for the shares), each group of endpoints of
 * one tier and zone with a picker of its own.
 *
 * Which group a request goes to is drawn, or with `usesKey` follows from its key, so that a key stays with its group as far as
 * shares stay. Where nobody of the group is accepted the others are asked in order: tiers from the first, in each the own zone
 * first. Fit is who the caller accepts, counted anew after one pick per eight members (see `Recount`).
 *
 * Groups have their own rotation: what is one shared cursor otherwise (`round-robin`) is one per worker here.
 */
export class TiersAndZonesPicker implements Picker, Admitting {
  readonly #create: () => Picker
  readonly #usesKey: boolean
  readonly #now: () => number
  readonly #generator: Xoshiro128
  readonly #zone: string | null
  readonly #factor: number
  readonly #callers: Readonly<Record<string, number>> | null
  readonly #recount = new Recount()
  readonly #index = new MemberIndex()
  #weights = new Float64Array(0)
  /** In the order in which they are asked. */
  #groups: Group[] = []
  /** By position: index of its group. */
  #groupOf = new Int32Array(0)
  /** By position: its position in the group. */
  #placeOf = new Int32Array(0)
  /** By group. */
  #shares = new Float64Array(0)
  #fit = new Float64Array(0)
  /** First group of each tier, and one more entry for the end. */
  #tierStarts: number[] = [0]
  #scratch: Scratch = createScratch(0, 0)
  #accept: Accept = acceptNone
  #group: Group | null = null
  readonly #acceptInGroup: Accept = (position) => this.#accept(this.#group!.positions[position]!)

  readonly began?: (slot: number) => void
  readonly ended?: (slot: number, latencyMs: number, outcome: number) => void
  readonly wantsProbe?: () => number
  readonly probed?: (slot: number, inFlight: number, latencyMs: number) => void

  /** `create` makes the picker of one group. Throws a RangeError for options out of range. */
  constructor(create: () => Picker, deps: PickerDeps, options: TiersAndZonesOptions, usesKey: boolean) {
    this.#create = create
    this.#usesKey = usesKey
    this.#now = deps.now
    this.#generator = seededGenerator(deps)
    this.#zone = options.zone ?? null
    this.#factor = numberOption({ ...options }, 'overprovisioning', OVERPROVISIONING, 1, 10)
    this.#callers = options.callers ?? null
    for (const [zone, share] of Object.entries(this.#callers ?? {})) {
      if (!(share >= 0 && share < Number.POSITIVE_INFINITY)) {
        throw new RangeError(`callers.${zone} is ${share}, it must be a number from 0`)
      }
    }
    // Made to see what it can be told.
    const sample = create()
    if (sample.began !== undefined) this.began = (slot) => this.#groupAt(slot)?.picker.began?.(slot)
    if (sample.ended !== undefined) {
      this.ended = (slot, latencyMs, outcome) => this.#groupAt(slot)?.picker.ended?.(slot, latencyMs, outcome)
    }
    if (sample.wantsProbe !== undefined) this.wantsProbe = () => this.#nextProbe()
    if (sample.probed !== undefined) {
      this.probed = (slot, inFlight, latencyMs) => this.#groupAt(slot)?.picker.probed?.(slot, inFlight, latencyMs)
    }
  }

  update(members: Members): void {
    const { count } = members
    this.#index.update(members)
    this.#weights = members.weights.slice(0, count)
    const byKey = new Map<string, number[]>()
    for (let position = 0; position < count; position++) {
      const key = `${members.tiers?.[position] ?? 0} ${this.#zone === null ? '' : (members.zones?.[position] ?? '')}`
      const positions = byKey.get(key)
      if (positions === undefined) byKey.set(key, [position])
      else positions.push(position)
    }
    const kept = new Map(this.#groups.map((group) => [group.key, group]))
    this.#groups = Array.from(byKey, ([key, positions]): Group => {
      const first = positions[0]!
      const weight = positions.reduce((sum, position) => sum + usable(members.weights[position]!), 0)
      return {
        key,
        tier: members.tiers?.[first] ?? 0,
        zone: this.#zone === null ? null : (members.zones?.[first] ?? null),
        picker: kept.get(key)?.picker ?? this.#create(),
        positions: Int32Array.from(positions),
        weight,
      }
    }).sort((a, b) => a.tier - b.tier || (this.#zoneRank(a) < this.#zoneRank(b) ? -1 : 1))
    this.#groupOf = new Int32Array(count)
    this.#placeOf = new Int32Array(count)
    this.#tierStarts = []
    for (const [index, group] of this.#groups.entries()) {
      if (index === 0 || group.tier !== this.#groups[index - 1]!.tier) this.#tierStarts.push(index)
      for (const [place, position] of group.positions.entries()) {
        this.#groupOf[position] = index
        this.#placeOf[position] = place
      }
      group.picker.update(subMembers(members, group.positions))
    }
    this.#tierStarts.push(this.#groups.length)
    this.#shares = new Float64Array(this.#groups.length)
    this.#fit = new Float64Array(this.#groups.length)
    this.#scratch = createScratch(this.#tierStarts.length, this.#groups.length)
    this.#recount.reset()
  }

  pick(key: number, accept: Accept): number {
    const groups = this.#groups
    if (groups.length === 0) return -1
    if (this.#recount.isDue(this.#weights.length, this.#now())) this.#count(accept)
    const drawn = groups.length === 1 ? 0 : this.#drawGroup(key)
    const position = this.#pickIn(drawn, key, accept)
    return position >= 0 || groups.length === 1 ? position : this.#pickElsewhere(drawn, key, accept)
  }

  admits(position: number, accept: Accept): boolean {
    const group = this.#groups[this.#groupOf[position]!]
    if (group === undefined) return false
    this.#group = group
    this.#accept = accept
    const isAdmitted = admits(group.picker, this.#placeOf[position]!, this.#acceptInGroup)
    this.#accept = acceptNone
    return isAdmitted
  }

  explain(key: number, accept: Accept): Explanation {
    const groups = this.#groups
    if (groups.length === 0) return explainNobody(this.#weights, accept)
    if (this.#recount.isDue(this.#weights.length, this.#now())) this.#count(accept)
    const drawn = groups.length === 1 ? 0 : this.#drawGroup(key)
    let told = this.#explainIn(drawn, key, accept)
    let chosen = drawn
    for (let index = 0; told.position < 0 && index < groups.length; index++) {
      if (index === drawn) continue
      chosen = index
      told = this.#explainIn(index, key, accept)
    }
    if (told.position < 0) return explainNobody(this.#weights, accept)
    const { tier, zone } = groups[chosen]!
    const place = `tier ${tier}${zone === null ? '' : `, zone ${zone}`}`
    const how = chosen === drawn ? '' : ', as nobody of the group that was drawn is accepted'
    return {
      ...told,
      reason: `${place} (${percent(this.#shares[chosen]!)} of requests${how}): ${told.reason}`,
      others: weightedPositions(this.#weights, this.#weights.length).length - told.candidates.length,
    }
  }

  #explainIn(index: number, key: number, accept: Accept): Explanation {
    const group = this.#groups[index]!
    const { positions } = group
    const told = explainInner(group.picker, key, (position) => accept(positions[position]!))
    return {
      ...told,
      position: told.position < 0 ? -1 : positions[told.position]!,
      candidates: told.candidates.map(
        (candidate): ExplainedCandidate => ({
          ...candidate,
          position: positions[candidate.position]!,
          parts: { ...candidate.parts, tier: group.tier, groupShare: this.#shares[index]! },
        }),
      ),
    }
  }

  #pickIn(index: number, key: number, accept: Accept): number {
    const group = this.#groups[index]!
    this.#group = group
    this.#accept = accept
    const position = group.picker.pick(key, this.#acceptInGroup)
    this.#accept = acceptNone
    return position < 0 ? -1 : group.positions[position]!
  }

  #pickElsewhere(except: number, key: number, accept: Accept): number {
    for (let index = 0; index < this.#groups.length; index++) {
      if (index === except) continue
      const position = this.#pickIn(index, key, accept)
      if (position >= 0) return position
    }
    return -1
  }

  #drawGroup(key: number): number {
    let left = this.#usesKey ? combine(key, GROUP_SALT) / TWO_32 : this.#generator.unit()
    let last = 0
    for (let index = 0; index < this.#groups.length; index++) {
      const share = this.#shares[index]!
      if (share === 0) continue
      if (left < share) return index
      left -= share
      last = index
    }
    // Only by rounding, or when nobody is fit.
    return last
  }

  #count(accept: Accept): void {
    const fit = this.#fit
    fit.fill(0)
    for (let position = 0; position < this.#weights.length; position++) {
      const weight = this.#weights[position]!
      if (!isWeight(weight) || !accept(position)) continue
      const group = this.#groupOf[position]!
      fit[group] = fit[group]! + weight
    }
    const { tierFit, tierTotal, tierOut, zoneFit, zoneTotal, zoneCallers, zoneOut } = this.#scratch
    const starts = this.#tierStarts
    const tiers = starts.length - 1
    for (let tier = 0; tier < tiers; tier++) {
      let sum = 0
      let total = 0
      for (let index = starts[tier]!; index < starts[tier + 1]!; index++) {
        sum += fit[index]!
        total += this.#groups[index]!.weight
      }
      tierFit[tier] = sum
      tierTotal[tier] = total
    }
    tierLoads(tierFit, tierTotal, tiers, this.#factor, tierOut)
    for (let tier = 0; tier < tiers; tier++) {
      const start = starts[tier]!
      const zones = starts[tier + 1]! - start
      let own = -1
      for (let zone = 0; zone < zones; zone++) {
        const group = this.#groups[start + zone]!
        zoneFit[zone] = fit[start + zone]!
        zoneTotal[zone] = group.weight
        if (group.zone !== null && group.zone === this.#zone && group.weight > 0) own = zone
      }
      this.#shareCallers(start, zones, zoneCallers)
      zoneShares(zoneFit, zoneTotal, zoneCallers, zones, own, this.#factor, zoneOut)
      for (let zone = 0; zone < zones; zone++) this.#shares[start + zone] = tierOut[tier]! * zoneOut[zone]!
    }
  }

  /** The share of callers in each zone of a tier. */
  #shareCallers(start: number, zones: number, out: Float64Array): void {
    const callers = this.#callers
    let sum = 0
    for (let zone = 0; zone < zones; zone++) {
      const name = this.#groups[start + zone]!.zone
      out[zone] = callers === null ? 1 : name === null ? 0 : (callers[name] ?? 0)
      sum += out[zone]!
    }
    for (let zone = 0; zone < zones; zone++) out[zone] = sum > 0 ? out[zone]! / sum : 1 / zones
  }

  #groupAt(slot: number): Group | undefined {
    const position = this.#index.positionOf(slot)
    return position < 0 ? undefined : this.#groups[this.#groupOf[position]!]
  }

  #nextProbe(): number {
    for (const { picker } of this.#groups) {
      const slot = picker.wantsProbe?.() ?? -1
      if (slot >= 0) return slot
    }
    return -1
  }

  /** For sorting: the own zone first. */
  #zoneRank({ zone }: Group): string {
    return zone === this.#zone ? '' : `z${zone ?? ''}`
  }
}

interface Scratch {
  readonly tierFit: Float64Array
  readonly tierTotal: Float64Array
  readonly tierOut: Float64Array
  readonly zoneFit: Float64Array
  readonly zoneTotal: Float64Array
  readonly zoneCallers: Float64Array
  readonly zoneOut: Float64Array
}

function createScratch(tiers: number, zones: number): Scratch {
  return {
    tierFit: new Float64Array(tiers),
    tierTotal: new Float64Array(tiers),
    tierOut: new Float64Array(tiers),
    zoneFit: new Float64Array(zones),
    zoneTotal: new Float64Array(zones),
    zoneCallers: new Float64Array(zones),
    zoneOut: new Float64Array(zones),
  }
}

/** The members at `positions`, in that order. */
export function subMembers(members: Members, positions: ArrayLike<number>): Members {
  const list = Array.from(positions)
  return {
    count: list.length,
    slots: Int32Array.from(list, (position) => members.slots[position]!),
    weights: Float64Array.from(list, (position) => members.weights[position]!),
    ids: list.map((position) => members.ids[position]!),
  }
}

function usable(weight: number): number {
  return isWeight(weight) ? weight : 0
}

function explainNobody(weights: Float64Array, accept: Accept): Explanation {
  const looked = weightedPositions(weights, weights.length)
  return explain({
    position: -1,
    reason: 'no endpoint with weight is accepted in any tier or zone',
    looked,
    size: looked.length,
    accept,
    weightOf: (position) => weights[position]!,
    costOf: null,
    partsOf: () => ({}),
  })
}
