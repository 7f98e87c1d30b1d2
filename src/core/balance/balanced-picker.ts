import { type BoundedLoadOptions, BoundedLoadPicker } from './modifiers/bounded-load.ts'
import { type PanicOptions, PanicPicker } from './modifiers/panic.ts'
import { type SlowStartOptions, SlowStartPicker } from './modifiers/slow-start.ts'
import { type SubsetOptions, SubsetPicker } from './modifiers/subset.ts'
import { type TiersAndZonesOptions, TiersAndZonesPicker } from './modifiers/tiers-and-zones.ts'
import type { Picker, PickerDeps, PickerEntry } from './picker.ts'

/** What may be put around a picker. What is absent is not there and costs nothing. */
export interface ModifierOptions {
  readonly panic?: PanicOptions
  readonly slowStart?: SlowStartOptions
  readonly boundedLoad?: BoundedLoadOptions
  readonly tiersAndZones?: TiersAndZonesOptions
  readonly subset?: SubsetOptions
}

export interface BalancedPickerSettings {
  readonly entry: PickerEntry
  /** The picker's own options. */
  readonly options?: Readonly<Record<string, unknown>>
  readonly modifiers?: ModifierOptions
  /** By slot. Needed with `modifiers.panic`, where the caller's veto leaves health out. */
  readonly isHealthy?: (slot: number) => boolean
}

/**
 * A picker with its modifiers, always in the same order; from the outside in:
 *
 * 1. stickiness: not a wrapper but `pickBound`, which asks the modifiers whether the bound endpoint may be taken;
 * 2. panic threshold: decides over the whole pool whether health counts, so all that follow see who is really to be used;
 * 3. slow start: weights, before capacities are made of them;
 * 4. tiers and zones: each group has what follows for itself;
 * 5. subset: of the group, so that the own zone is not missed;
 * 6. bounded load: fair shares are among those that this balancer uses, or an idle tier would make the first one look
 *    overloaded; an endpoint in slow start has a lower bound;
 * 7. the picker.
 *
 * The edge and the simulator both make their pickers here. Throws a RangeError that says which option is wrong.
 */
export function createBalancedPicker(deps: PickerDeps, settings: BalancedPickerSettings): Picker {
  const { entry, options = {}, modifiers = {}, isHealthy } = settings
  const { panic, slowStart, boundedLoad, tiersAndZones, subset } = modifiers
  const createLeaf = (own: PickerDeps): Picker => {
    let picker = entry.create(own, options)
    if (boundedLoad !== undefined) picker = new BoundedLoadPicker(picker, own, boundedLoad)
    return subset === undefined ? picker : new SubsetPicker(picker, own, subset)
  }
  let picker: Picker
  if (tiersAndZones === undefined && subset === undefined) picker = createLeaf(deps)
  else if (tiersAndZones === undefined) picker = createLeaf(withOwnCursor(deps))
  else {
    const create = (): Picker => createLeaf(withOwnCursor(deps))
    picker = new TiersAndZonesPicker(create, deps, tiersAndZones, entry.usesKey === true)
  }
  if (slowStart !== undefined) picker = new SlowStartPicker(picker, deps, slowStart)
  if (panic === undefined) return picker
  if (isHealthy === undefined) throw new RangeError('a panic threshold needs isHealthy, to know what to ignore')
  return new PanicPicker(picker, deps, panic, isHealthy)
}

/** A rotation over a part of the pool must not share its cursor with those over other parts. */
function withOwnCursor(deps: PickerDeps): PickerDeps {
  return { ...deps, cursor: Int32Array.of(Math.floor(deps.random() * 0x1_0000_0000) | 0) }
}
