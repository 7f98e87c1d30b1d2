import { leastRequestsEntry } from './least-requests.ts'
import { p2cEntry } from './p2c.ts'
import type { PickerEntry } from './picker.ts'
import { randomEntry } from './random.ts'
import { roundRobinEntry } from './round-robin.ts'

/** Every picker by the name that a config gives it. */
export const PICKERS = {
  'round-robin': roundRobinEntry,
  random: randomEntry,
  'least-requests': leastRequestsEntry,
  p2c: p2cEntry,
} satisfies Record<string, PickerEntry>

/** The name of a built-in picker. */
export type PickerName = keyof typeof PICKERS
