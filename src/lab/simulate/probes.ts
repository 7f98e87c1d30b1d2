import { EventKind } from './event-kind.ts'
import type { EventQueue } from './event-queue.ts'
import type { Fleet } from './fleet.ts'

/** Probes under way, at most; further ones are not sent. */
const PROBES_MAX = 2 ** 16

/** Questions to endpoints that are under way, for pickers that ask. */
export class Probes {
  sent = 0
  readonly #events: EventQueue
  readonly #fleet: Fleet
  readonly #worker = new Int32Array(PROBES_MAX)
  readonly #slot = new Int32Array(PROBES_MAX)
  readonly #load = new Int32Array(PROBES_MAX)
  readonly #latencyMs = new Float64Array(PROBES_MAX)
  readonly #free: number[] = []
  #used = 0

  constructor(events: EventQueue, fleet: Fleet) {
    this.#events = events
    this.#fleet = fleet
  }

  send(worker: number, slot: number, arrivesAt: number): void {
    const probe = this.#free.pop() ?? (this.#used < PROBES_MAX ? this.#used++ : -1)
    if (probe < 0) return
    this.#worker[probe] = worker
    this.#slot[probe] = slot
    this.sent++
    this.#events.push(arrivesAt, EventKind.PROBE_REACH, probe)
  }

  /** The endpoint is asked. One that does not answer costs the probe. */
  reach(probe: number, now: number, backAt: number): void {
    const slot = this.#slot[probe]!
    if (!this.#fleet.isAnswering(slot)) {
      this.#free.push(probe)
      return
    }
    this.#load[probe] = this.#fleet.load(slot)
    this.#latencyMs[probe] = this.#fleet.responseEstimate(slot, now)
    this.#events.push(backAt, EventKind.PROBE_BACK, probe)
  }

  /** The answer is there: it is handed to `tell`. */
  back(probe: number, tell: (worker: number, slot: number, load: number, latencyMs: number) => void): void {
    this.#free.push(probe)
    tell(this.#worker[probe]!, this.#slot[probe]!, this.#load[probe]!, this.#latencyMs[probe]!)
  }
}
