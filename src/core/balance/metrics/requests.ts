import type { LoadMetric, MetricEntry } from './load-metric.ts'

/** Requests in flight in all workers, plus the one to come. */
class RequestsMetric implements LoadMetric {
  readonly name = 'requests'
  readonly learns = false
  readonly #loads: Int32Array

  constructor(loads: Int32Array) {
    this.#loads = loads
  }

  update(): void {}

  fill(slots: Int32Array, size: number, out: Float64Array): void {
    const loads = this.#loads
    for (let index = 0; index < size; index++) out[index] = loads[slots[index]!]! + 1
  }

  cost(slot: number): number {
    return this.#loads[slot]! + 1
  }

  began(): void {}

  ended(): void {}

  parts(slot: number): Record<string, number> {
    return { inFlight: this.#loads[slot]! }
  }
}

export const requestsEntry: MetricEntry = {
  name: 'requests',
  summary: 'requests in flight in all workers',
  options: {},
  create: (deps) => new RequestsMetric(deps.loads),
}
