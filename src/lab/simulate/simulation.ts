import { Outcome, type Picker } from '../../core/balance/picker.ts'
import { combine } from '../../core/hash/mix.ts'
import { createRandom, Xoshiro128 } from '../../core/random.ts'
import { Backoff } from '../../core/resilience/backoff.ts'
import { Histogram } from '../../core/signals/histogram.ts'
import { type ArrivalStream, createStream } from './arrivals.ts'
import { AttemptPool, AttemptState } from './attempt-pool.ts'
import { Balancer, type CreatePicker } from './balancer.ts'
import { createSampler, exponential } from './distributions.ts'
import { EventKind } from './event-kind.ts'
import { EventQueue } from './event-queue.ts'
import { Fleet } from './fleet.ts'
import { createKeySampler, hashOfKey } from './keys.ts'
import { Probes } from './probes.ts'
import { Reports } from './reports.ts'
import { RequestPool } from './request-pool.ts'
import { Ending, type GroupResult, type RunResult } from './result.ts'
import type { Scenario } from './scenario.ts'
import { rateOf, scenarioProblems } from './scenario.ts'
import { endpointIds, TimelineCounter } from './timeline.ts'

/** A picker by the name it has in results. */
export interface PickerChoice {
  readonly label: string
  readonly create: CreatePicker
}

/** Pickers take a time of 0 for "never". */
const CLOCK_START_MS = 1
/** What is under way when arrivals end gets so many times the duration to be finished. */
const DRAIN_FACTOR = 20
/** A picker that wants more at once is told later. */
const PROBES_PER_PICK_MAX = 64
const DEFAULT_ONE_WAY_MS = 0.25
const DEFAULT_DETECT_MS = 5000
const DEFAULT_REPORT_MS = 1000
const DEFAULT_FAILURE_MS = 10_000

/** Generators are apart, so that every picker meets the same requests at the same times, and antagonists at the same times. */
const Chance = {
  ARRIVALS: 1,
  WORK: 2,
  KEYS: 3,
  ROUTES: 4,
  NETWORK: 5,
  FAILURES: 6,
  ANTAGONISTS: 7,
  LATENESS: 8,
  BACKOFF: 9,
  PICKERS: 10,
} as const

interface Worker {
  readonly balancer: Balancer
  readonly picker: Picker
}

/**
 * One run: a scenario, a picker, a seed. The same three give the same result, event by event, everywhere.
 *
 * The pickers are the ones of the data plane, fed as the data plane feeds them: `update` with members, `pick` with a veto, `began` and
 * `ended`, probes and reports; only the clock, the network and the endpoints are made up.
 */
export class Simulation {
  readonly #scenario: Scenario
  readonly #label: string
  readonly #seed: number
  readonly #events = new EventQueue()
  readonly #attempts = new AttemptPool()
  readonly #requests: RequestPool
  readonly #fleet: Fleet
  readonly #reports: Reports
  readonly #probes: Probes
  readonly #balancers: Balancer[]
  readonly #workers: Worker[] = []
  readonly #workersEach: number
  readonly #timeline: TimelineCounter
  #now = 0

  // Traffic.
  readonly #streams: ArrivalStream[]
  readonly #rate: number
  #rateFactor = 1
  #streamsOpen: number
  readonly #work: () => number
  readonly #key: (() => number) | null
  readonly #keyChance: Xoshiro128
  /** Keys have other places with every seed, or an interval over seeds would not show how much of a result is their luck. */
  readonly #salt: number
  readonly #routeChance: Xoshiro128
  /** Sums of the balancers' shares of the traffic; null: all the same. */
  readonly #shares: Float64Array | null
  readonly #networkChance: Xoshiro128
  readonly #oneWayMs: number
  readonly #jitterMs: number

  // Rules.
  readonly #requestMs: number
  readonly #perTryMs: number
  readonly #hedgeMs: number
  readonly #attemptsMax: number
  readonly #backoff: Backoff
  readonly #backoffChance: Xoshiro128
  readonly #warmupMs: number
  readonly #durationMs: number
  readonly #failureMs: number

  // Counts.
  readonly #latency = new Histogram()
  readonly #endings = [0, 0, 0, 0, 0, 0]
  #begunTotal = 0
  #endedTotal = 0
  #waitSum = 0
  #waitCount = 0
  #okSum = 0
  #attemptCount = 0
  #retryCount = 0
  #hedgeCount = 0
  #eventCount = 0
  readonly #attemptsTo: Float64Array
  readonly #focusTo: Float64Array
  #busyAtStart: Float64Array
  #capacityAtStart: Float64Array
  #capacityAtFocus: Float64Array
  #hitsAtStart = 0
  #missesAtStart = 0
  #isMeasured = false
  #isFocused: boolean
  #isOver = false

  /** Throws a RangeError that names everything wrong with the scenario. */
  constructor(scenario: Scenario, choice: PickerChoice, seed: number) {
    const problems = scenarioProblems(scenario)
    if (problems.length > 0) throw new RangeError(`scenario ${scenario.name}: ${problems.join('; ')}`)
    this.#scenario = scenario
    this.#label = choice.label
    this.#seed = seed
    const chance = (purpose: number, index = 0): Xoshiro128 => new Xoshiro128(combine(combine(seed, purpose), index))

    const { balancers = 1, workers = 1, timeouts, retries, hedge, network } = scenario
    this.#attemptsMax = 1 + (retries?.max ?? 0) + (hedge === undefined ? 0 : 1)
    this.#requests = new RequestPool(this.#attemptsMax)
    this.#requestMs = timeouts?.requestMs ?? Number.POSITIVE_INFINITY
    this.#perTryMs = timeouts?.perTryMs ?? Number.POSITIVE_INFINITY
    this.#hedgeMs = hedge?.afterMs ?? Number.POSITIVE_INFINITY
    this.#backoff = new Backoff(retries?.backoff)
    this.#backoffChance = chance(Chance.BACKOFF)
    this.#durationMs = scenario.durationMs
    this.#warmupMs = scenario.warmupMs ?? scenario.durationMs / 10
    this.#failureMs = scenario.failureMs ?? timeouts?.requestMs ?? DEFAULT_FAILURE_MS
    this.#oneWayMs = network?.oneWayMs ?? DEFAULT_ONE_WAY_MS
    this.#jitterMs = network?.jitterMs ?? 0
    this.#networkChance = chance(Chance.NETWORK)

    this.#fleet = new Fleet(scenario, {
      events: this.#events,
      attempts: this.#attempts,
      host: {
        answer: (attempt, now) => this.#events.push(now + this.#travelMs(), EventKind.ANSWER, attempt),
        started: (attempt, waitMs) => this.#noteWait(attempt, waitMs),
      },
      failures: chance(Chance.FAILURES),
      antagonists: chance(Chance.ANTAGONISTS),
    })
    this.#reports = new Reports(this.#fleet)
    this.#probes = new Probes(this.#events, this.#fleet)
    this.#timeline = new TimelineCounter(scenario, this.#fleet.groupOf)
    this.#attemptsTo = new Float64Array(this.#fleet.size)
    this.#focusTo = new Float64Array(this.#fleet.size)
    this.#busyAtStart = new Float64Array(this.#fleet.size)
    this.#capacityAtStart = new Float64Array(this.#fleet.size)
    this.#capacityAtFocus = new Float64Array(this.#fleet.size)
    this.#isFocused = false

    // And so have the endpoints on a ring, which go by these names.
    const ids = endpointIds(scenario).map((id) => `${id}@${seed}`)
    const lateness = chance(Chance.LATENESS)
    this.#workersEach = workers
    this.#balancers = Array.from(
      { length: balancers },
      () => new Balancer(scenario, this.#fleet, this.#requests, ids, 0.5 + lateness.unit()),
    )
    const now = (): number => this.#now + CLOCK_START_MS
    for (const balancer of this.#balancers) {
      const cursor = new Int32Array(1)
      for (let index = 0; index < workers; index++) {
        const random = createRandom(combine(combine(seed, Chance.PICKERS), this.#workers.length))
        const picker = choice.create(
          { loads: balancer.loads, cursor, random, now, signals: this.#reports },
          this.#fleet,
        )
        this.#workers.push({ balancer, picker })
        balancer.pickers.push(picker)
        if (picker.wantsProbe !== undefined) this.#fleet.keepResponses()
      }
      balancer.update()
    }

    const { arrivals = { kind: 'poisson' } } = scenario
    const streams = arrivals.kind === 'bursts' && arrivals.apart === true ? balancers : 1
    this.#streams = Array.from({ length: streams }, (_, index) =>
      createStream(arrivals, chance(Chance.ARRIVALS, index)),
    )
    this.#streamsOpen = streams
    this.#rate = (rateOf(scenario) ?? 0) / streams
    this.#work = createSampler(scenario.service, chance(Chance.WORK))
    this.#keyChance = chance(Chance.KEYS)
    this.#salt = combine(seed, Chance.KEYS)
    this.#key = scenario.keys === undefined ? null : createKeySampler(scenario.keys, this.#keyChance)
    this.#routeChance = chance(Chance.ROUTES)
    this.#shares = scenario.balancerShares === undefined ? null : sumsOf(scenario.balancerShares)

    for (const [index, change] of (scenario.changes ?? []).entries()) {
      this.#events.push(change.atMs, EventKind.CHANGE, index)
    }
    if (this.#reports.isWanted) this.#events.push(scenario.reportMs ?? DEFAULT_REPORT_MS, EventKind.REPORT, 0)
    this.#events.push(this.#warmupMs, EventKind.WARM, 0)
    this.#events.push(this.#durationMs, EventKind.END, 0)
    const { focus } = scenario
    if (focus !== undefined) this.#events.push(Math.max(focus.fromMs, this.#warmupMs), EventKind.FOCUS, 0)
    for (let stream = 0; stream < streams; stream++) this.#scheduleArrival(stream)
  }

  /** Simulated time, in milliseconds. */
  get nowMs(): number {
    return this.#now
  }

  /** Works off at most so many events. False: it is over. */
  step(eventsMax: number): boolean {
    const events = this.#events
    for (let left = eventsMax; left > 0 && !this.#isOver; left--) {
      const kind = events.pop()
      if (kind < 0 || events.time > this.#durationMs * (1 + DRAIN_FACTOR)) this.#breakOff()
      else {
        this.#now = events.time
        this.#eventCount++
        this.#handle(kind, events.subject)
        if (this.#streamsOpen === 0 && this.#requests.live === 0 && this.#isMeasured) this.#isOver = true
      }
    }
    return !this.#isOver
  }

  /** Runs to the end. */
  run(): RunResult {
    while (this.step(1e6));
    return this.result()
  }

  #handle(kind: number, subject: number): void {
    const now = this.#now
    const { timeoutAt, cancelAt } = this.#attempts
    switch (kind) {
      case EventKind.ARRIVAL:
        this.#arrive(subject)
        break
      case EventKind.REACH:
        this.#fleet.reach(subject, now)
        break
      case EventKind.DEPART:
        this.#fleet.depart(subject, now)
        break
      case EventKind.ANSWER:
        this.#answer(subject)
        break
      case EventKind.TRY_TIMEOUT:
        if (timeoutAt[subject] === now) this.#tryTimedOut(subject)
        break
      case EventKind.CANCEL:
        if (cancelAt[subject] === now) this.#fleet.cancel(subject, now, this.#scenario.givenUp === 'dropped')
        break
      case EventKind.DEADLINE:
        if (this.#requests.deadlineAt[subject] === now) this.#end(subject, Ending.TIMED_OUT)
        break
      case EventKind.HEDGE:
        if (this.#requests.hedgeAt[subject] === now) this.#hedge(subject)
        break
      case EventKind.RETRY:
        if (this.#requests.retryAt[subject] === now) this.#dispatch(subject, true)
        break
      case EventKind.CHANGE:
        this.#change(subject)
        break
      case EventKind.LEARN:
        this.#learn(subject)
        break
      case EventKind.ANTAGONIST:
        this.#fleet.antagonist(subject, now)
        break
      case EventKind.REPORT:
        this.#reports.report(now, now + CLOCK_START_MS)
        this.#events.push(now + (this.#scenario.reportMs ?? DEFAULT_REPORT_MS), EventKind.REPORT, 0)
        break
      case EventKind.PROBE_REACH:
        this.#probes.reach(subject, now, now + this.#travelMs())
        break
      case EventKind.PROBE_BACK:
        this.#probes.back(subject, this.#tellProbe)
        break
      case EventKind.EXPIRE: {
        const balancer = this.#balancers[subject]!
        balancer.queue?.expire(now, this.#shed)
        break
      }
      case EventKind.WARM:
        this.#busyAtStart = this.#settled(this.#fleet.busyMs)
        this.#capacityAtStart = this.#fleet.capacityMs.slice()
        this.#hitsAtStart = this.#fleet.hits
        this.#missesAtStart = this.#fleet.misses
        break
      case EventKind.FOCUS:
        this.#settled(this.#fleet.busyMs)
        this.#capacityAtFocus = this.#fleet.capacityMs.slice()
        this.#isFocused = true
        break
      case EventKind.END:
        this.#measure()
        break
      default:
        throw new Error(`an event of kind ${kind}`)
    }
  }

  readonly #tellProbe = (worker: number, slot: number, load: number, latencyMs: number): void => {
    this.#workers[worker]!.picker.probed?.(slot, load, latencyMs)
  }

  readonly #shed = (request: number): void => {
    this.#requests.ticket[request] = -1
    this.#end(request, Ending.SHED)
  }

  // ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #scheduleArrival(stream: number): void {
    const at = this.#streams[stream]!.next(this.#now, this.#rate * this.#rateFactor)
    if (at < this.#durationMs) this.#events.push(at, EventKind.ARRIVAL, stream)
    else this.#streamsOpen--
  }

  #arrive(stream: number): void {
    const now = this.#now
    this.#scheduleArrival(stream)
    this.#begunTotal++
    // Drawn whatever becomes of it, so that all pickers meet the same.
    const work = this.#work()
    const key = this.#key === null ? this.#keyChance.int32() : this.#key()
    const worker = this.#route(stream)
    const requests = this.#requests
    const request = requests.take()
    if (request < 0) {
      this.#count(now, Ending.REFUSED)
      return
    }
    requests.startMs[request] = now
    requests.work[request] = work
    requests.key[request] = key
    requests.worker[request] = worker
    if (this.#requestMs < Number.POSITIVE_INFINITY) {
      requests.deadlineAt[request] = now + this.#requestMs
      this.#events.push(now + this.#requestMs, EventKind.DEADLINE, request)
    }
    this.#workers[worker]!.balancer.budget.onRequest(now)
    this.#dispatch(request, false)
    if (this.#hedgeMs < Number.POSITIVE_INFINITY && requests.running[request]! > 0) {
      requests.hedgeAt[request] = now + this.#hedgeMs
      this.#events.push(now + this.#hedgeMs, EventKind.HEDGE, request)
    }
  }

  #route(stream: number): number {
    const { length } = this.#balancers
    let balancer = stream
    if (this.#streams.length === 1) {
      const unit = this.#routeChance.unit()
      balancer = this.#shares === null ? Math.floor(unit * length) : firstAbove(this.#shares, unit)
    }
    return balancer * this.#workersEach + this.#routeChance.below(this.#workersEach)
  }

  /** Sends it somewhere, or lets it wait, or ends it. */
  #dispatch(request: number, isBudgeted: boolean): void {
    const { balancer } = this.#workers[this.#requests.worker[request]!]!
    this.#requests.retryAt[request] = Number.NaN
    if (this.#attempt(request, isBudgeted)) return
    if (isBudgeted) balancer.budget.onRetryEnd()
    const { queue } = balancer
    if (queue === null || this.#requests.tries[request]! > 0) {
      this.#end(request, this.#requests.tries[request]! > 0 ? Ending.FAILED : Ending.REFUSED)
      return
    }
    const ticket = queue.push(request, this.#now)
    if (ticket < 0) {
      this.#end(request, Ending.SHED)
      return
    }
    this.#requests.ticket[request] = ticket
    const { maxWaitMs } = this.#scenario.queue ?? {}
    if (maxWaitMs !== undefined) {
      this.#events.push(this.#now + maxWaitMs, EventKind.EXPIRE, this.#balancers.indexOf(balancer))
    }
  }

  /** Picks and begins; false: nobody may be picked. */
  #attempt(request: number, isBudgeted: boolean): boolean {
    const requests = this.#requests
    const workerIndex = requests.worker[request]!
    const { balancer, picker } = this.#workers[workerIndex]!
    const hash = this.#key === null ? requests.key[request]! >>> 0 : hashOfKey(requests.key[request]!, this.#salt)
    balancer.request = requests.tries[request]! > 0 ? request : -1
    let position = picker.pick(hash, balancer.accept)
    if (position < 0 && balancer.request >= 0 && requests.running[request] === 0) {
      // All were tried: one that failed once is better than none.
      balancer.request = -1
      position = picker.pick(hash, balancer.accept)
    }
    if (position < 0) return false
    const attempt = this.#attempts.take()
    if (attempt < 0) return false
    const slot = balancer.slots[position]!
    const now = this.#now
    balancer.loads[slot] = balancer.loads[slot]! + 1
    this.#fleet.assigned[slot] = this.#fleet.assigned[slot]! + 1
    picker.began?.(slot)
    this.#askProbes(workerIndex, picker)

    const attempts = this.#attempts
    attempts.request[attempt] = request
    attempts.worker[attempt] = workerIndex
    attempts.endpoint[attempt] = slot
    attempts.key[attempt] = requests.key[request]!
    attempts.beganMs[attempt] = now
    attempts.work[attempt] = requests.work[request]!
    attempts.isBudgeted[attempt] = isBudgeted ? 1 : 0
    const tries = requests.tries[request]!
    requests.tried[request * requests.stride + tries] = slot
    requests.attempts[request * requests.stride + tries] = attempt
    requests.tries[request] = tries + 1
    requests.running[request] = requests.running[request]! + 1
    if (this.#perTryMs < Number.POSITIVE_INFINITY) {
      attempts.timeoutAt[attempt] = now + this.#perTryMs
      this.#events.push(now + this.#perTryMs, EventKind.TRY_TIMEOUT, attempt)
    }
    this.#events.push(now + this.#travelMs(), EventKind.REACH, attempt)

    if (now >= this.#warmupMs && now < this.#durationMs) {
      this.#attemptCount++
      this.#attemptsTo[slot] = this.#attemptsTo[slot]! + 1
      if (this.#isFocused) this.#focusTo[slot] = this.#focusTo[slot]! + 1
    }
    this.#timeline.count(slot, now)
    return true
  }

  #askProbes(worker: number, picker: Picker): void {
    if (picker.wantsProbe === undefined) return
    for (let left = PROBES_PER_PICK_MAX; left > 0; left--) {
      const slot = picker.wantsProbe()
      if (slot < 0) return
      this.#probes.send(worker, slot, this.#now + this.#travelMs())
    }
  }

  #answer(attempt: number): void {
    const attempts = this.#attempts
    const request = attempts.request[attempt]!
    // Nobody waits any more: its place at the balancer was given back when it was given up.
    if (request < 0) {
      attempts.release(attempt)
      return
    }
    const outcome = attempts.outcome[attempt]!
    this.#settle(attempt, outcome)
    attempts.release(attempt)
    if (outcome === Outcome.OK) this.#end(request, Ending.OK)
    else this.#failed(request, Ending.FAILED)
  }

  /** The balancer's side of an attempt is over. */
  #settle(attempt: number, outcome: number): void {
    const attempts = this.#attempts
    const requests = this.#requests
    const { balancer, picker } = this.#workers[attempts.worker[attempt]!]!
    const slot = attempts.endpoint[attempt]!
    const request = attempts.request[attempt]!
    balancer.loads[slot] = balancer.loads[slot]! - 1
    this.#fleet.assigned[slot] = this.#fleet.assigned[slot]! - 1
    picker.ended?.(slot, this.#now - attempts.beganMs[attempt]!, outcome)
    if (attempts.isBudgeted[attempt] === 1) balancer.budget.onRetryEnd()
    attempts.timeoutAt[attempt] = Number.NaN
    attempts.request[attempt] = -1
    const first = request * requests.stride
    for (let at = first; at < first + requests.tries[request]!; at++) {
      if (requests.attempts[at] === attempt) requests.attempts[at] = -1
    }
    requests.running[request] = requests.running[request]! - 1
    if (balancer.queue !== null && balancer.queue.size > 0 && balancer.hasRoom(slot)) this.#takeFromQueue(balancer)
  }

  #takeFromQueue(balancer: Balancer): void {
    const request = balancer.queue!.take(this.#now, this.#shed)
    if (request === undefined) return
    this.#requests.ticket[request] = -1
    this.#dispatch(request, false)
  }

  /** Nobody waits for this attempt any more: its answer will be thrown away. */
  #giveUp(attempt: number, outcome: number): void {
    const attempts = this.#attempts
    this.#settle(attempt, outcome)
    const { givenUp = 'served' } = this.#scenario
    if (attempts.state[attempt] === AttemptState.LOST) attempts.release(attempt)
    else if (givenUp !== 'served') {
      const at = this.#now + this.#travelMs()
      attempts.cancelAt[attempt] = at
      this.#events.push(at, EventKind.CANCEL, attempt)
    }
  }

  #tryTimedOut(attempt: number): void {
    const request = this.#attempts.request[attempt]!
    this.#giveUp(attempt, Outcome.FAILED)
    this.#failed(request, Ending.TIMED_OUT)
  }

  /** An attempt has failed: others may still run, or there is another try, or that was it. */
  #failed(request: number, ending: number): void {
    const requests = this.#requests
    if (requests.running[request]! > 0) return
    const tries = requests.tries[request]!
    const { balancer } = this.#workers[requests.worker[request]!]!
    if (tries >= this.#attemptsMax || this.#scenario.retries === undefined || !balancer.budget.tryTake(this.#now)) {
      this.#end(request, ending)
      return
    }
    if (requests.startMs[request]! >= this.#warmupMs) this.#retryCount++
    requests.hedgeAt[request] = Number.NaN
    const at = this.#now + this.#backoff.delayMs(tries - 1, this.#backoffChance.unit())
    requests.retryAt[request] = at
    this.#events.push(at, EventKind.RETRY, request)
  }

  #hedge(request: number): void {
    const requests = this.#requests
    requests.hedgeAt[request] = Number.NaN
    if (requests.running[request] !== 1 || requests.tries[request]! >= this.#attemptsMax) return
    const { balancer } = this.#workers[requests.worker[request]!]!
    if (!balancer.budget.tryTake(this.#now)) return
    if (!this.#attempt(request, true)) balancer.budget.onRetryEnd()
    else if (requests.startMs[request]! >= this.#warmupMs) this.#hedgeCount++
  }

  #end(request: number, ending: number): void {
    const requests = this.#requests
    const { balancer } = this.#workers[requests.worker[request]!]!
    // A retry that waits for its time has taken from the budget.
    if (!Number.isNaN(requests.retryAt[request]!)) balancer.budget.onRetryEnd()
    if (requests.ticket[request]! >= 0) balancer.queue?.remove(requests.ticket[request]!)
    const startMs = requests.startMs[request]!
    const first = request * requests.stride
    // A deadline speaks against the endpoint, a hedge that lost does not.
    const outcome = ending === Ending.TIMED_OUT ? Outcome.FAILED : Outcome.CANCELLED
    for (let at = first; requests.running[request]! > 0 && at < first + requests.tries[request]!; at++) {
      if (requests.attempts[at]! >= 0) this.#giveUp(requests.attempts[at]!, outcome)
    }
    requests.release(request)
    this.#count(startMs, ending)
  }

  #count(startMs: number, ending: number): void {
    this.#endedTotal++
    if (startMs < this.#warmupMs) return
    const elapsed = this.#now - startMs
    this.#endings[ending] = this.#endings[ending]! + 1
    this.#latency.record(ending === Ending.OK ? elapsed : Math.max(elapsed, this.#failureMs))
    if (ending === Ending.OK) this.#okSum += elapsed
  }

  #noteWait(attempt: number, waitMs: number): void {
    const beganMs = this.#attempts.beganMs[attempt]!
    if (beganMs < this.#warmupMs || beganMs >= this.#durationMs) return
    this.#waitSum += waitMs
    this.#waitCount++
  }

  #travelMs(): number {
    return this.#jitterMs === 0 ? this.#oneWayMs : this.#oneWayMs + this.#jitterMs * exponential(this.#networkChance)
  }

  // ── what happens to the fleet ─────────────────────────────────────────────────────────────────────────────────────

  #change(index: number): void {
    const change = this.#scenario.changes![index]!
    this.#fleet.change(change, this.#now)
    if (change.rateFactor !== undefined) this.#rateFactor = change.rateFactor
    if (change.state === undefined && change.weight === undefined) return
    const { detectMs = DEFAULT_DETECT_MS, discoveryMs = 0 } = this.#scenario.health ?? {}
    const isDetected = change.state === 'crash' || change.state === 'silent' || change.state === 'recover'
    const delay = isDetected ? detectMs : discoveryMs
    for (const [at, balancer] of this.#balancers.entries()) {
      this.#events.push(this.#now + delay * balancer.lateness, EventKind.LEARN, index * this.#balancers.length + at)
    }
  }

  #learn(subject: number): void {
    const change = this.#scenario.changes![Math.floor(subject / this.#balancers.length)]!
    const balancer = this.#balancers[subject % this.#balancers.length]!
    let isUpdated = change.weight !== undefined
    for (const endpoint of this.#fleet.concerned(change)) {
      if (change.weight !== undefined) balancer.setWeight(endpoint, change.weight)
      switch (change.state) {
        case 'join':
        case 'leave':
          balancer.setPresent(endpoint, change.state === 'join')
          isUpdated = true
          break
        case 'crash':
        case 'silent':
          balancer.setFit(endpoint, false)
          break
        case 'recover':
          balancer.setFit(endpoint, true)
          break
        case undefined:
      }
    }
    if (isUpdated) balancer.update()
  }

  // ── results ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** All that is left ends here. */
  #breakOff(): void {
    if (!this.#isMeasured) {
      this.#now = Math.max(this.#now, this.#durationMs)
      this.#measure()
    }
    const { isLive } = this.#requests
    for (let request = 0; request < isLive.length; request++) {
      if (isLive[request] === 1) this.#end(request, Ending.UNFINISHED)
    }
    this.#isOver = true
  }

  #settled(column: Float64Array): Float64Array<ArrayBuffer> {
    for (let endpoint = 0; endpoint < this.#fleet.size; endpoint++) {
      this.#fleet.settle(endpoint, this.#now)
      this.#fleet.settleCapacity(endpoint, this.#now)
    }
    return Float64Array.from(column)
  }

  #busyInTime = new Float64Array(0)
  #capacityInTime = new Float64Array(0)
  #capacityInFocus = new Float64Array(0)
  #hitRatio: number | null = null

  #measure(): void {
    const busy = this.#settled(this.#fleet.busyMs)
    const capacity = this.#fleet.capacityMs
    this.#busyInTime = busy.map((ms, endpoint) => ms - this.#busyAtStart[endpoint]!)
    this.#capacityInTime = Float64Array.from(capacity, (ms, endpoint) => ms - this.#capacityAtStart[endpoint]!)
    this.#capacityInFocus = Float64Array.from(capacity, (ms, endpoint) => ms - this.#capacityAtFocus[endpoint]!)
    const hits = this.#fleet.hits - this.#hitsAtStart
    const misses = this.#fleet.misses - this.#missesAtStart
    this.#hitRatio = this.#scenario.cache === undefined || hits + misses === 0 ? null : hits / (hits + misses)
    this.#isMeasured = true
  }

  /** What came of it. Only when it is over. */
  result(): RunResult {
    if (!this.#isOver) throw new Error('the simulation is not over')
    const scenario = this.#scenario
    const fleet = this.#fleet
    const windowMs = this.#durationMs - this.#warmupMs
    const groups = scenario.groups.map((group, index): GroupResult => {
      const mine = (column: Float64Array): number => sumWhere(column, fleet.groupOf, index)
      return {
        name: group.name,
        endpoints: group.count,
        share: mine(this.#attemptsTo) / sum(this.#attemptsTo),
        fairShare: mine(this.#capacityInTime) / sum(this.#capacityInTime),
        utilisation: mine(this.#busyInTime) / (group.count * (group.slots ?? 2) * windowMs),
      }
    })
    const used = Array.from(this.#busyInTime, (ms, endpoint) => ms / (fleet.slots[endpoint]! * windowMs)).filter(
      (_, endpoint) => scenario.groups[fleet.groupOf[endpoint]!]!.isAbsent !== true,
    )
    const mean = used.reduce((total, each) => total + each, 0) / used.length
    const peak = used.reduce((most, each) => Math.max(most, each), 0)
    const deviation = Math.sqrt(used.reduce((total, each) => total + (each - mean) ** 2, 0) / used.length)
    const focus =
      scenario.focus === undefined ? -1 : scenario.groups.findIndex(({ name }) => name === scenario.focus?.group)
    const okCount = this.#endings[Ending.OK]!
    return {
      scenario: scenario.name,
      picker: this.#label,
      seed: this.#seed,
      requests: this.#latency.count,
      endings: [...this.#endings],
      begunTotal: this.#begunTotal,
      endedTotal: this.#endedTotal,
      latency: this.#latency,
      waitMs: this.#waitSum / this.#waitCount,
      okMs: this.#okSum / okCount,
      perSecond: (okCount * 1000) / windowMs,
      groups,
      utilisation: mean,
      peakUtilisation: peak,
      utilisationDeviation: deviation,
      imbalance: peak / mean,
      focusShare: focus < 0 ? null : sumWhere(this.#focusTo, fleet.groupOf, focus) / sum(this.#focusTo),
      focusFairShare:
        focus < 0 ? null : sumWhere(this.#capacityInFocus, fleet.groupOf, focus) / sum(this.#capacityInFocus),
      attempts: this.#attemptCount,
      retries: this.#retryCount,
      hedges: this.#hedgeCount,
      probes: this.#probes.sent,
      hitRatio: this.#hitRatio,
      timeline: this.#timeline.timeline,
      events: this.#eventCount,
    }
  }
}

function sum(column: Float64Array): number {
  return column.reduce((total, value) => total + value, 0)
}

function sumWhere(column: Float64Array, groupOf: Int32Array, group: number): number {
  return column.reduce((total, value, index) => total + (groupOf[index] === group ? value : 0), 0)
}

/** Running sums, scaled to end at 1. */
function sumsOf(shares: readonly number[]): Float64Array {
  const total = shares.reduce((all, share) => all + share, 0)
  let sumSoFar = 0
  return Float64Array.from(shares, (share) => {
    sumSoFar += share
    return sumSoFar / total
  })
}

/** The first index whose running sum is above `unit`. */
function firstAbove(sums: Float64Array, unit: number): number {
  let low = 0
  let high = sums.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sums[middle]! > unit) high = middle
    else low = middle + 1
  }
  return low
}
