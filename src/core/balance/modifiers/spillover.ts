/** Envoy's: an endpoint set is as good as whole while 1 / 1.4 = 71 % of it is fit. */
export const OVERPROVISIONING = 1.4

/**
 * How requests spread over priority tiers, the first one first: entries [0, count) of `out`, which sum to 1 (all 0 when nobody
 * is fit).
 *
 * With r the fit share of a tier's weight, its health is h = min(1, factor · r), S = min(1, Σ h); from the first on each tier
 * takes min(what is left, h / S). Source: Envoy, "Priority levels".
 */
export function tierLoads(
  fit: Float64Array,
  total: Float64Array,
  count: number,
  factor: number,
  out: Float64Array,
): void {
  let sum = 0
  for (let tier = 0; tier < count; tier++) {
    out[tier] = total[tier]! > 0 ? Math.min(1, (factor * fit[tier]!) / total[tier]!) : 0
    sum += out[tier]!
  }
  const scale = sum > 0 ? 1 / Math.min(1, sum) : 0
  let left = 1
  for (let tier = 0; tier < count; tier++) {
    const load = Math.min(left, out[tier]! * scale)
    out[tier] = load
    left -= load
  }
}

/**
 * How the requests of one tier spread over zones: entries [0, count) of `out`, which sum to 1 (all 0 when nobody is fit).
 * `own` is the caller's zone, -1 where it has nobody here: then by fit weight.
 *
 * With C the zone's share of all weight, p the share of all callers that are in the zone, r the fit share of its weight:
 * the own zone takes min(1, C / p · min(1, factor · r)), that is all of its callers' requests as far as its capacity and health allow.
 * What is left goes to the others in proportion to their spare room, max(0, share of all fit weight - p), so that what spills does not
 * push another zone over; where no zone has any, by fit weight. Source: Envoy, "Zone aware routing", with its health factor
 * instead of a switch to everywhere once the own zone is unhealthy.
 */
export function zoneShares(
  fit: Float64Array,
  total: Float64Array,
  callers: Float64Array,
  count: number,
  own: number,
  factor: number,
  out: Float64Array,
): void {
  let fitSum = 0
  let totalSum = 0
  for (let zone = 0; zone < count; zone++) {
    fitSum += fit[zone]!
    totalSum += total[zone]!
  }
  if (!(fitSum > 0)) {
    out.fill(0, 0, count)
    return
  }
  let local = 0
  let spare = 0
  if (own >= 0) {
    const health = Math.min(1, (factor * fit[own]!) / total[own]!)
    local = fit[own] === fitSum ? 1 : fit[own]! > 0 ? Math.min(1, (total[own]! / totalSum / callers[own]!) * health) : 0
    for (let zone = 0; zone < count; zone++) {
      if (zone !== own) spare += Math.max(0, fit[zone]! / fitSum - callers[zone]!)
    }
  }
  const ownFit = own >= 0 ? fit[own]! : 0
  for (let zone = 0; zone < count; zone++) {
    if (zone === own) out[zone] = local
    else if (fit[zone] === 0) out[zone] = 0
    else {
      const part =
        spare > 0
          ? Math.max(0, fit[zone]! / fitSum - callers[zone]!) / spare
          : fitSum > ownFit
            ? fit[zone]! / (fitSum - ownFit)
            : 0
      out[zone] = (1 - local) * part
    }
  }
}
