import { createLocalDeps } from '../../core/balance/local-deps.ts'
import type { Members, Picker, PickerEntry } from '../../core/balance/picker.ts'
import { PICKERS } from '../../core/balance/registry.ts'
import type { PickerChoice } from './simulation.ts'

/** The picker that knows everything; see `ORACLE`. */
export const ORACLE_NAME = 'oracle'

/** More than any delay: it never sends to one that fails while there is another. */
const FAILURE_COST = 1e9

/**
 * Sends to where the request would be done first, knowing what all balancers have in flight and how fast every endpoint is at this
 * moment. No real picker can: it is the yardstick that shows how much is left to gain, not a choice. O(n) per pick.
 */
export const ORACLE: PickerChoice = {
  label: ORACLE_NAME,
  create: (_deps, fleet) => {
    let members: Members | null = null
    const picker: Picker = {
      update: (update) => {
        members = { ...update, slots: update.slots.slice(), weights: update.weights.slice() }
      },
      pick: (_key, accept) => {
        if (members === null) return -1
        const { count, slots, weights } = members
        let least = Number.POSITIVE_INFINITY
        let found = -1
        for (let position = 0; position < count; position++) {
          const slot = slots[position]!
          const speed = fleet.isAnswering(slot) ? fleet.speed[slot]! * fleet.antagonistSpeed(slot) : 0
          const delay = Math.max(1, (fleet.assigned[slot]! + 1) / fleet.slots[slot]!) / speed
          const cost = delay + fleet.failRatio(slot) * FAILURE_COST
          if (cost >= least || !(weights[position]! > 0) || !accept(position)) continue
          least = cost
          found = position
        }
        return found
      },
    }
    return picker
  },
}

/** How a picker is called here: a name of the registry, and its options where there are some. */
export function registryChoice(entry: PickerEntry, options: Readonly<Record<string, unknown>> = {}): PickerChoice {
  const shown = Object.entries(options).map(([key, value]) => `${key}=${String(value)}`)
  return {
    label: shown.length === 0 ? entry.name : `${entry.name}:${shown.join(':')}`,
    create: (deps) => entry.create(deps, { ...options }),
  }
}

/** A choice as text: `least-requests`, `p2c:metric=expected-delay`, `oracle`; several options: `name:a=1:b=true`. Or what is wrong with it. */
export function parseChoice(text: string): PickerChoice | { readonly problem: string } {
  const [name = '', ...pairs] = text.trim().split(':')
  if (name === ORACLE_NAME && pairs.length === 0) return ORACLE
  const entry = entries().find((each) => each.name === name)
  if (entry === undefined) return { problem: `there is no picker '${name}'` }
  const options: Record<string, unknown> = {}
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    if (at <= 0) return { problem: `'${pair}' of '${text}' is no option=value` }
    options[pair.slice(0, at)] = valueOfText(pair.slice(at + 1))
  }
  const choice = registryChoice(entry, options)
  try {
    entry.create(createLocalDeps(1), options)
  } catch (error) {
    return { problem: `'${text}': ${error instanceof Error ? error.message : String(error)}` }
  }
  return choice
}

/** What a picker's picks follow from, found out by trying it on eight idle endpoints. */
export type PickerNature =
  /** The load, chance, turns: all but the two below. */
  | 'balancing'
  /** The key alone. */
  | 'keyed'
  /** Nothing: always the same endpoint while it can be had. */
  | 'fixed'
  /** It cannot be made without options. */
  | 'incomplete'

/** Tries it: equal keys to one place and different keys to different places is what a hash picker does. */
export function natureOf(entry: PickerEntry): PickerNature {
  const deps = createLocalDeps(8)
  let picker: Picker
  try {
    picker = entry.create(deps, {})
    picker.update(plainMembers(8))
  } catch {
    return 'incomplete'
  }
  const accept = (): boolean => true
  const places = new Set<number>()
  for (let key = 0; key < 64; key++) {
    const hash = Math.imul(key, 0x9e37_79b1) >>> 0
    const place = picker.pick(hash, accept)
    for (let again = 0; again < 8; again++) if (picker.pick(hash, accept) !== place) return 'balancing'
    places.add(place)
  }
  return places.size > 1 ? 'keyed' : 'fixed'
}

/** The registry's pickers of these natures, with their default options. */
export function choicesOf(...natures: readonly PickerNature[]): PickerChoice[] {
  return entries()
    .filter((entry) => natures.includes(natureOf(entry)))
    .map((entry) => registryChoice(entry))
}

/** Names that `parseChoice` knows. */
export function choiceNames(): string[] {
  return [...entries().map(({ name }) => name), ORACLE_NAME]
}

/** Members with the names endpoint-0, endpoint-1, … and weight 1. */
export function plainMembers(count: number): Members {
  return {
    count,
    slots: Int32Array.from({ length: count }, (_, slot) => slot),
    weights: new Float64Array(count).fill(1),
    ids: Array.from({ length: count }, (_, slot) => `endpoint-${slot}`),
  }
}

function entries(): readonly PickerEntry[] {
  return Object.values(PICKERS)
}

function valueOfText(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true'
  const number = Number(text)
  return text.trim() !== '' && Number.isFinite(number) ? number : text
}
