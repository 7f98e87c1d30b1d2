import type { BackoffOptions } from '../../core/resilience/backoff.ts'
import type { RetryBudgetOptions } from '../../core/resilience/retry-budget.ts'
import type { Arrivals } from './arrivals.ts'
import { arrivalsProblem } from './arrivals.ts'
import type { Distribution } from './distributions.ts'
import { distributionProblem, meanOf } from './distributions.ts'
import { type KeySpec, keysProblem } from './keys.ts'

/** Endpoints that are alike. */
export interface EndpointGroup {
  /** Unique in the scenario. */
  readonly name: string
  readonly count: number
  /** Requests that it works on at a time; default 2. What comes on top waits, first come first served. */
  readonly slots?: number
  /**
   * `fifo` (default): each of the slots works on one request, further ones wait. `shared`: all requests are worked on at once and share
   * the slots (processor sharing, as threads on cores); nobody waits.
   */
  readonly discipline?: 'fifo' | 'shared'
  /** Work per time: 0.1 is ten times slower. Default 1. */
  readonly speed?: number
  /** What the picker is told. Default 1. */
  readonly weight?: number
  readonly zone?: string
  /** It is not there before a change says `join`. */
  readonly isAbsent?: boolean
  /** With `fifo`: so many may wait, further ones are refused at once. Default: without bound. */
  readonly queueMax?: number
  /** After `join` and `recover` work takes `factor` times as long at first; the excess falls by 1/e per `requests` served. */
  readonly cold?: { readonly factor: number; readonly requests: number }
  /** Other programs on the machine: for `onMs` it has only a speed drawn from [slowest, fastest], then for `offMs` all of its own (means of exponential times). */
  readonly antagonist?: {
    readonly slowest: number
    readonly fastest: number
    readonly onMs: number
    readonly offMs: number
  }
  /** This share of requests fails after `failMs` (default 1), without being worked on. Default 0. */
  readonly failRatio?: number
  readonly failMs?: number
}

/**
 * Something that happens. `join`: it is added; `leave`: it is taken out and finishes what it has; `crash`: what it has and what comes fails;
 * `recover`: a crashed or silent one is back; `silent`: it takes everything and answers nothing.
 */
export interface Change {
  readonly atMs: number
  /** To which endpoints: those of this group, of this zone, or all; of them the first so many. */
  readonly group?: string
  readonly zone?: string
  readonly first?: number
  readonly state?: 'join' | 'leave' | 'crash' | 'recover' | 'silent'
  readonly speed?: number
  readonly weight?: number
  readonly failRatio?: number
  /** Times the scenario's rate of arrivals, from now on; it concerns no endpoint. */
  readonly rateFactor?: number
}

/** A fleet, its traffic, and what happens to it. */
export interface Scenario {
  /** In kebab case. */
  readonly name: string
  /** What is asked, in a sentence. */
  readonly summary: string
  /** Where it comes from. */
  readonly source?: string
  readonly groups: readonly EndpointGroup[]
  /** Each with its own view: own pickers, own counts. Default 1. */
  readonly balancers?: number
  /** Pickers per balancer that share counts and cursor, as workers do. Default 1. */
  readonly workers?: number
  /** How much of the traffic each balancer has, relative to the others. Default: the same. */
  readonly balancerShares?: readonly number[]
  /** Default: Poisson. */
  readonly arrivals?: Arrivals
  /** Requests per second, or the share of the capacity at the beginning that they need. One of the two, unless arrivals are a trace. */
  readonly ratePerSecond?: number
  readonly utilisation?: number
  /** Work of a request on an endpoint of speed 1. */
  readonly service: Distribution
  /** Without it every request has a key of its own. */
  readonly keys?: KeySpec
  /** Endpoints remember `capacity` keys; a request for one of them is `hitFactor` of the work. Needs `keys`. */
  readonly cache?: { readonly capacity: number; readonly hitFactor: number }
  /** One way, balancer to endpoint and back; default 0.25 ms. `jitterMs`: the mean of an exponential addition, default 0. */
  readonly network?: { readonly oneWayMs: number; readonly jitterMs?: number }
  readonly changes?: readonly Change[]
  /** A balancer learns of `join`, `leave` and weights after `discoveryMs` (default 0), of `crash`, `silent` and `recover` after `detectMs` on average (default 5 000), each between half and one and a half times that. */
  readonly health?: { readonly detectMs?: number; readonly discoveryMs?: number }
  /** Default: none. A request that is not answered by its deadline has failed. */
  readonly timeouts?: { readonly perTryMs?: number; readonly requestMs?: number }
  /** So many further attempts after failures and timeouts of a try. Budget and backoff as in `core/resilience`. */
  readonly retries?: {
    readonly max: number
    readonly budget?: RetryBudgetOptions
    readonly backoff?: BackoffOptions
  }
  /** A second attempt elsewhere when there is no answer after so long; the first answer wins. It takes from the retry budget. */
  readonly hedge?: { readonly afterMs: number }
  /** What an endpoint does with a request that was given up: works on it all the same (default), drops it while it waits, or drops it in any case. */
  readonly givenUp?: 'served' | 'dropped-waiting' | 'dropped'
  /** A balancer gives an endpoint at most `maxInFlight`; what finds none waits in a CoDel queue. */
  readonly queue?: {
    readonly maxInFlight: number
    readonly capacity: number
    readonly targetMs?: number
    readonly intervalMs?: number
    readonly maxWaitMs?: number
    readonly whenOverloaded?: 'fifo' | 'lifo'
  }
  /** How often endpoints report CPU, memory and the like, where a picker wants it. Default 1 000. */
  readonly reportMs?: number
  /** What a request that failed counts as in the latencies, unless it took longer: default `timeouts.requestMs`, or 10 000. */
  readonly failureMs?: number
  /** Requests that come before this are not counted. Default a tenth of `durationMs`. */
  readonly warmupMs?: number
  /** No more requests come after this. What is in flight then is finished. */
  readonly durationMs: number
  /** Whose share of the traffic is asked for, from when on. */
  readonly focus?: { readonly group: string; readonly fromMs: number }
  /** It turns on keys that go where they went before: judged among hash pickers. */
  readonly isAffinity?: boolean
}

/** Endpoints in all. */
export function endpointCount(scenario: Scenario): number {
  return scenario.groups.reduce((sum, { count }) => sum + count, 0)
}

/** Work per millisecond that the endpoints present at the beginning can do, antagonists counted by their mean. */
export function capacityOf(scenario: Scenario): number {
  return scenario.groups.reduce((sum, group) => sum + (group.isAbsent === true ? 0 : group.count * speedOf(group)), 0)
}

/** Work per millisecond of one endpoint of a group. */
export function speedOf(group: EndpointGroup): number {
  const { slots = 2, speed = 1, antagonist } = group
  if (antagonist === undefined) return slots * speed
  const { slowest, fastest, onMs, offMs } = antagonist
  return (slots * speed * (((slowest + fastest) / 2) * onMs + offMs)) / (onMs + offMs)
}

/** Arrivals per millisecond. Undefined for a trace. */
export function rateOf(scenario: Scenario): number | undefined {
  if (scenario.ratePerSecond !== undefined) return scenario.ratePerSecond / 1000
  if (scenario.utilisation === undefined) return undefined
  return (scenario.utilisation * capacityOf(scenario)) / meanOf(scenario.service)
}

const ENDPOINTS_MAX = 2 ** 20
const BALANCERS_MAX = 10_000

/** What is wrong with a scenario, each with its place. */
export function scenarioProblems(scenario: Scenario): string[] {
  const problems: string[] = []
  const check = (isGood: boolean, text: string): void => {
    if (!isGood) problems.push(text)
  }
  const isCount = (value: number, max: number): boolean => Number.isInteger(value) && value >= 1 && value <= max
  const isShare = (value: number): boolean => value >= 0 && value <= 1
  const isTime = (value: number): boolean => value >= 0 && Number.isFinite(value)

  const names = new Set<string>()
  const zones = new Set<string>()
  for (const group of scenario.groups) {
    const at = `groups.${group.name}`
    const { count, slots = 2, speed = 1, weight = 1, failRatio = 0, antagonist, cold } = group
    check(!names.has(group.name), `${at}: there are two`)
    names.add(group.name)
    if (group.zone !== undefined) zones.add(group.zone)
    check(isCount(count, ENDPOINTS_MAX), `${at}.count is ${count}`)
    check(isCount(slots, 1e6), `${at}.slots is ${slots}`)
    check(speed > 0 && Number.isFinite(speed), `${at}.speed is ${speed}, it must be above 0`)
    check(isTime(weight), `${at}.weight is ${weight}`)
    check(isShare(failRatio), `${at}.failRatio is ${failRatio}, it must be from 0 to 1`)
    check(isTime(group.failMs ?? 1), `${at}.failMs is ${group.failMs}`)
    if (cold !== undefined)
      check(cold.factor >= 1 && cold.requests > 0, `${at}.cold is ${cold.factor}, ${cold.requests}`)
    if (antagonist !== undefined) {
      const { slowest, fastest, onMs, offMs } = antagonist
      check(slowest > 0 && fastest >= slowest, `${at}.antagonist is from ${slowest} to ${fastest}`)
      check(onMs > 0 && offMs > 0, `${at}.antagonist is on for ${onMs} and off for ${offMs}`)
    }
  }
  check(names.size > 0 && endpointCount(scenario) <= ENDPOINTS_MAX, `groups: 1 to ${ENDPOINTS_MAX} endpoints`)

  const { balancers = 1, workers = 1, balancerShares: shares } = scenario
  check(isCount(balancers, BALANCERS_MAX), `balancers is ${balancers}`)
  check(isCount(workers, 1024), `workers is ${workers}`)
  if (shares !== undefined) {
    const isGood =
      shares.length === balancers && shares.every((share) => isTime(share)) && shares.some((share) => share > 0)
    check(isGood, 'balancerShares: one number >= 0 for each balancer')
  }

  const { arrivals = { kind: 'poisson' } } = scenario
  const arrivalProblem = arrivalsProblem(arrivals)
  check(arrivalProblem === null, `arrivals: ${arrivalProblem}`)
  const rate = rateOf(scenario)
  const isRated = rate !== undefined && rate > 0 && Number.isFinite(rate)
  check(isRated || arrivals.kind === 'trace', 'ratePerSecond or utilisation: how many requests come')
  const isSaidTwice = scenario.ratePerSecond !== undefined && scenario.utilisation !== undefined
  check(!isSaidTwice, 'ratePerSecond and utilisation: one of the two')
  const serviceProblem = distributionProblem(scenario.service)
  check(serviceProblem === null, `service: ${serviceProblem}`)
  if (scenario.keys !== undefined) {
    const keyProblem = keysProblem(scenario.keys)
    check(keyProblem === null, `keys: ${keyProblem}`)
  }
  if (scenario.cache !== undefined) {
    check(scenario.keys !== undefined, 'cache: there are no keys')
    check(isCount(scenario.cache.capacity, 2 ** 24), `cache.capacity is ${scenario.cache.capacity}`)
    check(isShare(scenario.cache.hitFactor), `cache.hitFactor is ${scenario.cache.hitFactor}`)
  }
  const { network, timeouts, retries, hedge, queue } = scenario
  check(isTime(network?.oneWayMs ?? 0) && isTime(network?.jitterMs ?? 0), 'network: times from 0')
  check((timeouts?.perTryMs ?? 1) > 0 && (timeouts?.requestMs ?? 1) > 0, 'timeouts: above 0')
  check(isCount((retries?.max ?? 0) + 1, 8), `retries.max is ${retries?.max}, it must be from 0 to 7`)
  check((hedge?.afterMs ?? 1) > 0, `hedge.afterMs is ${hedge?.afterMs}`)
  check(isCount(queue?.maxInFlight ?? 1, 1e6), `queue.maxInFlight is ${queue?.maxInFlight}`)
  check((scenario.reportMs ?? 1) > 0, `reportMs is ${scenario.reportMs}`)
  check(isTime(scenario.failureMs ?? 0), `failureMs is ${scenario.failureMs}`)

  const { durationMs, warmupMs = 0 } = scenario
  check(durationMs > 0 && Number.isFinite(durationMs), `durationMs is ${durationMs}`)
  check(warmupMs >= 0 && warmupMs < durationMs, `warmupMs is ${warmupMs}, it must be below durationMs`)
  for (const [index, change] of (scenario.changes ?? []).entries()) {
    const at = `changes[${index}]`
    check(isTime(change.atMs), `${at}.atMs is ${change.atMs}`)
    check(change.group === undefined || names.has(change.group), `${at}.group: there is no ${change.group}`)
    check(change.zone === undefined || zones.has(change.zone), `${at}.zone: there is no ${change.zone}`)
    check((change.speed ?? 1) > 0, `${at}.speed is ${change.speed}, it must be above 0`)
    check(isTime(change.weight ?? 1), `${at}.weight is ${change.weight}`)
    check(isShare(change.failRatio ?? 0), `${at}.failRatio is ${change.failRatio}`)
    check((change.rateFactor ?? 1) > 0, `${at}.rateFactor is ${change.rateFactor}, it must be above 0`)
  }
  if (scenario.focus !== undefined) {
    check(names.has(scenario.focus.group), `focus.group: there is no ${scenario.focus.group}`)
  }
  return problems
}
