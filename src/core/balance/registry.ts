import { adaptiveEntry } from './adaptive.ts'
import { firstAvailableEntry } from './first-available.ts'
import {
  ipHashEntry,
  jumpEntry,
  maglevEntry,
  multiProbeEntry,
  rendezvousEntry,
  ringHashEntry,
  slotRingEntry,
} from './hash-pickers.ts'
import { expectedDelayEntry, leastResponseTimeEntry } from './least.ts'
import { leastRequestsEntry, weightedLeastRequestsEntry } from './least-requests.ts'
import { orcaEntry } from './orca.ts'
import { p2cEntry, peakEwmaEntry } from './p2c.ts'
import type { PickerEntry } from './picker.ts'
import { prequalEntry } from './prequal.ts'
import { randomEntry, weightedRandomEntry } from './random.ts'
import { resourceEntry } from './resource.ts'
import { roundRobinEntry } from './round-robin.ts'
import { weightedRoundRobinEntry } from './weighted-round-robin.ts'

/** Every picker by the name that a config gives it. */
export const PICKERS = {
  'round-robin': roundRobinEntry,
  'weighted-round-robin': weightedRoundRobinEntry,
  random: randomEntry,
  'weighted-random': weightedRandomEntry,
  'least-requests': leastRequestsEntry,
  'weighted-least-requests': weightedLeastRequestsEntry,
  p2c: p2cEntry,
  'least-response-time': leastResponseTimeEntry,
  'peak-ewma': peakEwmaEntry,
  'expected-delay': expectedDelayEntry,
  prequal: prequalEntry,
  'first-available': firstAvailableEntry,
  resource: resourceEntry,
  adaptive: adaptiveEntry,
  orca: orcaEntry,
  'ip-hash': ipHashEntry,
  'ring-hash': ringHashEntry,
  maglev: maglevEntry,
  rendezvous: rendezvousEntry,
  jump: jumpEntry,
  'multi-probe': multiProbeEntry,
  'slot-ring': slotRingEntry,
} satisfies Record<string, PickerEntry>

/** The name of a built-in picker. */
export type PickerName = keyof typeof PICKERS
