import type { OrcaReport } from './orca-report.ts'

/** Periods and penalty of gRFC A58; the defaults are its own. */
export interface OrcaWeightOptions {
  /** An endpoint must have reported for this long before its weight counts. Default 10 s. */
  readonly blackoutMs?: number
  /** A weight older than this no longer counts, and the blackout begins anew. Default 3 minutes. */
  readonly expirationMs?: number
  /** What errors cost: eps / rps times this is added to the utilisation. >= 0, default 1. */
  readonly errorUtilizationPenalty?: number
  /**
   * Where the endpoint gives no `application_utilization`, the largest of these is taken before `cpu_utilization`:
   * `named_metrics.NAME`, `utilization.NAME`, `cpu_utilization` or `mem_utilization`. Default: none. (Envoy's
   * metric_names_for_computing_utilization.)
   */
  readonly utilizationMetrics?: readonly string[]
}

/** By slot; all zero: nothing heard. One writer per slot, or approximate. */
export interface OrcaWeightStorage {
  /** As last reported, 0: never. */
  readonly weights: Float64Array
  /** Time of the last report that gave a weight, ms, above 0. */
  readonly updatedMs: Float64Array
  /** Since when reports have come without a gap, ms; 0: none is counted yet. */
  readonly sinceMs: Float64Array
}

/**
 * Weights of endpoints from their load reports, as gRPC's weighted_round_robin has them (gRFC A58,
 * https://github.com/grpc/proposal/blob/master/A58-client-side-weighted-round-robin-lb-policy.md):
 * weight = rps / (utilization + eps / rps · penalty). Times are milliseconds above 0 of one clock. Nothing allocates.
 */
export class OrcaWeights {
  readonly #storage: OrcaWeightStorage
  readonly #blackoutMs: number
  readonly #expirationMs: number
  readonly #penalty: number
  readonly #metrics: readonly string[]

  /** Throws a RangeError for options out of range. */
  constructor(slots: number, options: OrcaWeightOptions = {}, storage?: OrcaWeightStorage) {
    const {
      blackoutMs = 10_000,
      expirationMs = 180_000,
      errorUtilizationPenalty = 1,
      utilizationMetrics = [],
    } = options
    if (!(blackoutMs >= 0)) throw new RangeError(`blackoutMs is ${blackoutMs}`)
    if (!(expirationMs > 0)) throw new RangeError(`expirationMs is ${expirationMs}, it must be above 0`)
    if (!(errorUtilizationPenalty >= 0 && errorUtilizationPenalty < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`errorUtilizationPenalty is ${errorUtilizationPenalty}, it must not be below 0`)
    }
    this.#blackoutMs = blackoutMs
    this.#expirationMs = expirationMs
    this.#penalty = errorUtilizationPenalty
    this.#metrics = utilizationMetrics
    this.#storage = storage ?? {
      weights: new Float64Array(slots),
      updatedMs: new Float64Array(slots),
      sinceMs: new Float64Array(slots),
    }
  }

  /** Takes a report in. False: it gives no weight (no requests, or no utilisation) and changed nothing. */
  report(slot: number, report: OrcaReport, nowMs: number): boolean {
    const weight = orcaWeight(report.rps ?? 0, report.eps ?? 0, orcaUtilization(report, this.#metrics), this.#penalty)
    if (weight === 0) return false
    const { weights, updatedMs, sinceMs } = this.#storage
    // A58 looks at the gap when a weight is asked for. Here also when a report ends it, so that it counts although nobody asked.
    const isGap = nowMs - updatedMs[slot]! >= this.#expirationMs
    if (sinceMs[slot] === 0 || isGap) sinceMs[slot] = nowMs
    updatedMs[slot] = nowMs
    weights[slot] = weight
    return true
  }

  /** The endpoint came back (or is a new one): its weight counts again once it has reported for the blackout period. */
  becameReady(slot: number): void {
    this.#storage.sinceMs[slot] = 0
  }

  /** Forgets a slot, before another endpoint uses it. */
  reset(slot: number): void {
    this.#storage.weights[slot] = 0
    this.#storage.updatedMs[slot] = 0
    this.#storage.sinceMs[slot] = 0
  }

  /** The weight that counts now, 0 when there is none. */
  weightOf(slot: number, nowMs: number): number {
    const { weights, updatedMs, sinceMs } = this.#storage
    if (nowMs - updatedMs[slot]! >= this.#expirationMs) return 0
    const since = sinceMs[slot]!
    if (this.#blackoutMs > 0 && (since === 0 || nowMs - since < this.#blackoutMs)) return 0
    return weights[slot]!
  }

  /**
   * Fills entries [0, count) of `out` with the weights of `slots`. Those without one get the mean of the others; while fewer
   * than two have one, all get 1. Returns how many have their own.
   */
  weightsOf(slots: Int32Array, count: number, nowMs: number, out: Float64Array): number {
    let sum = 0
    let known = 0
    for (let index = 0; index < count; index++) {
      const weight = this.weightOf(slots[index]!, nowMs)
      out[index] = weight
      if (weight === 0) continue
      sum += weight
      known++
    }
    if (known < 2) {
      out.fill(1, 0, count)
      return known
    }
    const mean = sum / known
    for (let index = 0; index < count; index++) if (out[index] === 0) out[index] = mean
    return known
  }
}

/** rps / (utilization + eps / rps · penalty); 0 when that says nothing (rps or the divisor not above 0). */
export function orcaWeight(rps: number, eps: number, utilization: number, penalty: number): number {
  if (!(rps > 0)) return 0
  // A58 leaves the penalty out while there is no utilisation: errors alone make no weight.
  if (!(utilization > 0)) return 0
  const weight = rps / (utilization + (Math.max(0, eps) / rps) * penalty)
  return weight > 0 && weight < Number.POSITIVE_INFINITY ? weight : 0
}

/** `application_utilization` where it is above 0, else the largest of `metrics` where above 0, else `cpu_utilization`, else 0. */
export function orcaUtilization(report: OrcaReport, metrics: readonly string[]): number {
  const { applicationUtilization = 0, cpuUtilization = 0 } = report
  if (applicationUtilization > 0) return applicationUtilization
  let largest = 0
  for (const metric of metrics) largest = Math.max(largest, metricOf(report, metric))
  return largest > 0 ? largest : cpuUtilization
}

function metricOf(report: OrcaReport, metric: string): number {
  if (metric === 'cpu_utilization') return report.cpuUtilization ?? 0
  if (metric === 'mem_utilization') return report.memUtilization ?? 0
  if (metric.startsWith('named_metrics.')) return report.namedMetrics.get(metric.slice('named_metrics.'.length)) ?? 0
  if (metric.startsWith('utilization.')) return report.utilization.get(metric.slice('utilization.'.length)) ?? 0
  return 0
}
