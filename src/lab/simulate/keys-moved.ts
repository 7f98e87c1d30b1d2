import { createRandom, Xoshiro128 } from '../../core/random.ts'
import { AttemptPool } from './attempt-pool.ts'
import { Balancer } from './balancer.ts'
import { EventQueue } from './event-queue.ts'
import { Fleet } from './fleet.ts'
import { hashOfKey } from './keys.ts'
import { Reports } from './reports.ts'
import { RequestPool } from './request-pool.ts'
import type { Change, Scenario } from './scenario.ts'
import type { PickerChoice } from './simulation.ts'
import { endpointIds } from './timeline.ts'

const KEYS = 16_384

/** What the first change of membership does to who owns which key. */
export interface KeysMoved {
  /** Keys whose owner changed, 0 to 1. */
  readonly ratio: number
  /** Keys that had to change: those of endpoints that went, or the fair share of those that came. */
  readonly neededRatio: number
}

/**
 * Asks a picker of an idle balancer for the owners of many keys before and after the first change of the scenario that adds, removes or
 * breaks endpoints. Null: there is no such change, or the picker does not go by keys.
 */
export function keysMoved(scenario: Scenario, choice: PickerChoice): KeysMoved | null {
  const change = scenario.changes?.find(({ state }) => state !== undefined && state !== 'recover')
  if (change === undefined) return null
  const events = new EventQueue()
  const attempts = new AttemptPool()
  const chance = new Xoshiro128(1)
  const host = { answer: () => {}, started: () => {} }
  const fleet = new Fleet(scenario, { events, attempts, host, failures: chance, antagonists: chance })
  const balancer = new Balancer(scenario, fleet, new RequestPool(1), endpointIds(scenario), 1)
  const picker = choice.create(
    {
      loads: balancer.loads,
      cursor: new Int32Array(1),
      random: createRandom(1),
      now: () => 1,
      signals: new Reports(fleet),
    },
    fleet,
  )
  balancer.pickers.push(picker)
  balancer.update()
  const owners = (isBackwards = false): Int32Array => {
    const found = new Int32Array(KEYS)
    for (let index = 0; index < KEYS; index++) {
      const key = isBackwards ? KEYS - 1 - index : index
      const position = picker.pick(hashOfKey(key), balancer.accept)
      found[key] = position < 0 ? -1 : balancer.slots[position]!
    }
    return found
  }
  const before = owners()
  // One that answers differently in another order takes turns or draws; one that always says the same looks at nothing.
  if (differences(before, owners(true)) > 0 || before.every((owner) => owner === before[0])) return null
  const concerned = new Set(fleet.concerned(change))
  apply(change, concerned, balancer)
  const after = owners()
  const needed =
    change.state === 'join'
      ? after.filter((owner) => concerned.has(owner)).length
      : before.filter((owner) => concerned.has(owner)).length
  return { ratio: differences(before, after) / KEYS, neededRatio: needed / KEYS }
}

function apply(change: Change, concerned: ReadonlySet<number>, balancer: Balancer): void {
  for (const endpoint of concerned) {
    if (change.state === 'join' || change.state === 'leave') balancer.setPresent(endpoint, change.state === 'join')
    else balancer.setFit(endpoint, false)
  }
  balancer.update()
}

function differences(one: Int32Array, other: Int32Array): number {
  return one.reduce((count, owner, key) => count + (owner === other[key] ? 0 : 1), 0)
}
