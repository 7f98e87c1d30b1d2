import type { Scenario } from '../scenario.ts'
import { cacheFleet, cacheUniform, hotKeys } from './affinity.ts'
import { bursts, equal, fewLong, large, shared, uneven, workers } from './equal.ts'
import { coldJoin, failingFast, hedging, recovery, surge, timeouts, zoneLost } from './troubles.ts'
import { antagonists, oneSlow, speeds, weights } from './unequal.ts'

/** Ready scenarios, in the order in which they are listed. */
export const SCENARIOS: readonly Scenario[] = [
  oneSlow,
  antagonists,
  equal,
  uneven,
  workers,
  speeds,
  weights,
  recovery,
  coldJoin,
  failingFast,
  zoneLost,
  timeouts,
  hedging,
  surge,
  bursts,
  shared,
  fewLong,
  large,
  cacheFleet,
  cacheUniform,
  hotKeys,
]
