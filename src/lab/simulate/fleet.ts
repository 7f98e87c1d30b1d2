import { Outcome } from '../../core/balance/picker.ts'
import type { Xoshiro128 } from '../../core/random.ts'
import { type AttemptPool, AttemptState } from './attempt-pool.ts'
import { exponential } from './distributions.ts'
import { EventKind } from './event-kind.ts'
import type { EventQueue } from './event-queue.ts'
import { KeyCaches } from './key-caches.ts'
import { hashOfKey } from './keys.ts'
import { RecentResponses } from './recent-responses.ts'
import type { Change, EndpointGroup, Scenario } from './scenario.ts'
import { endpointCount, speedOf } from './scenario.ts'

/** What an endpoint does with what comes. */
const Life = { UP: 0, CRASHED: 1, SILENT: 2 } as const

/** What the fleet needs of those around it. */
export interface FleetHost {
  /** The answer is on its way back from now on. */
  answer(attempt: number, now: number): void
  /** It got a place to be worked on, having waited since it came. */
  started(attempt: number, waitMs: number): void
}

export interface FleetDeps {
  readonly events: EventQueue
  readonly attempts: AttemptPool
  readonly host: FleetHost
  /** For failures by chance. */
  readonly failures: Xoshiro128
  /** For antagonists. */
  readonly antagonists: Xoshiro128
}

/**
 * All endpoints: their slots, waiting lines, speeds and troubles.
 *
 * Each has a clock of its own that shows how much work one request in service has got: it runs at `speed` while requests have a slot each,
 * and at speed × slots / n when n share fewer slots. A request that starts at clock V with work w is done at V + w whatever the
 * speed does in between. So a change of speed, or of those who share, moves one event and touches no request.
 */
export class Fleet {
  readonly size: number
  readonly groupOf: Int32Array
  readonly slots: Int32Array
  /** Without antagonists. */
  readonly speed: Float64Array
  readonly isShared: Uint8Array
  /** In service, and waiting. */
  readonly inService: Int32Array
  readonly waiting: Int32Array
  /** Slot-milliseconds worked so far. */
  readonly busyMs: Float64Array
  /** Work, at speed 1, that could have been done so far by those that were there and answered; antagonists by their mean. */
  readonly capacityMs: Float64Array
  /** Begun by balancers and not heard of since, over all balancers: the truth that no balancer knows. */
  readonly assigned: Int32Array
  /** Since the start; for reports. */
  readonly answers: Float64Array
  readonly failed: Float64Array
  readonly responseMs: Float64Array

  readonly #deps: FleetDeps
  readonly #groups: readonly EndpointGroup[]
  readonly #life: Uint8Array
  readonly #isThere: Uint8Array
  readonly #capacityAt: Float64Array
  readonly #antagonistSpeed: Float64Array
  readonly #failRatio: Float64Array
  readonly #served: Float64Array
  readonly #clock: Float64Array
  readonly #clockAt: Float64Array
  readonly #departAt: Float64Array
  readonly #lineHead: Int32Array
  readonly #lineTail: Int32Array
  /** Per endpoint a binary heap of attempts in service by `finishClock`. */
  readonly #heaps: Int32Array[]
  readonly #caches: KeyCaches | null
  readonly #hitFactor: number
  readonly #groupStart: Int32Array
  /** For probes; null until somebody probes. */
  #responses: RecentResponses | null = null
  hits = 0
  misses = 0

  constructor(scenario: Scenario, deps: FleetDeps) {
    const size = endpointCount(scenario)
    this.size = size
    this.#deps = deps
    this.#groups = scenario.groups
    this.groupOf = new Int32Array(size)
    this.slots = new Int32Array(size)
    this.speed = new Float64Array(size)
    this.isShared = new Uint8Array(size)
    this.inService = new Int32Array(size)
    this.waiting = new Int32Array(size)
    this.busyMs = new Float64Array(size)
    this.assigned = new Int32Array(size)
    this.answers = new Float64Array(size)
    this.failed = new Float64Array(size)
    this.responseMs = new Float64Array(size)
    this.capacityMs = new Float64Array(size)
    this.#life = new Uint8Array(size)
    this.#isThere = new Uint8Array(size).fill(1)
    this.#capacityAt = new Float64Array(size)
    this.#antagonistSpeed = new Float64Array(size).fill(1)
    this.#failRatio = new Float64Array(size)
    // Those that are there at the beginning are warm.
    this.#served = new Float64Array(size).fill(Number.POSITIVE_INFINITY)
    this.#clock = new Float64Array(size)
    this.#clockAt = new Float64Array(size)
    this.#departAt = new Float64Array(size).fill(Number.POSITIVE_INFINITY)
    this.#lineHead = new Int32Array(size).fill(-1)
    this.#lineTail = new Int32Array(size).fill(-1)
    this.#heaps = Array.from({ length: size }, () => new Int32Array(4))
    this.#caches = scenario.cache === undefined ? null : new KeyCaches(size, scenario.cache.capacity)
    this.#hitFactor = scenario.cache?.hitFactor ?? 1
    this.#groupStart = new Int32Array(scenario.groups.length + 1)
    let endpoint = 0
    for (const [index, group] of scenario.groups.entries()) {
      const { count, slots = 2, speed = 1, discipline, failRatio = 0 } = group
      this.#groupStart[index] = endpoint
      for (const end = endpoint + count; endpoint < end; endpoint++) {
        this.groupOf[endpoint] = index
        this.slots[endpoint] = slots
        this.speed[endpoint] = speed
        this.isShared[endpoint] = discipline === 'shared' ? 1 : 0
        this.#failRatio[endpoint] = failRatio
        if (group.isAbsent === true) this.#isThere[endpoint] = 0
        if (group.antagonist !== undefined) this.#startAntagonist(endpoint, group.antagonist)
      }
    }
    this.#groupStart[scenario.groups.length] = endpoint
  }

  /** The endpoints that a change is about. */
  concerned(change: Change): number[] {
    const found: number[] = []
    if (change.rateFactor !== undefined) return found
    for (const [index, group] of this.#groups.entries()) {
      if (change.group !== undefined && group.name !== change.group) continue
      if (change.zone !== undefined && group.zone !== change.zone) continue
      for (let endpoint = this.#groupStart[index]!; endpoint < this.#groupStart[index + 1]!; endpoint++) {
        found.push(endpoint)
      }
    }
    return change.first === undefined ? found : found.slice(0, change.first)
  }

  /** Makes it happen. */
  change(change: Change, now: number): void {
    for (const endpoint of this.concerned(change)) {
      this.settle(endpoint, now)
      this.settleCapacity(endpoint, now)
      if (change.state === 'join') this.#isThere[endpoint] = 1
      if (change.state === 'leave') this.#isThere[endpoint] = 0
      if (change.speed !== undefined) this.speed[endpoint] = change.speed
      if (change.failRatio !== undefined) this.#failRatio[endpoint] = change.failRatio
      switch (change.state) {
        case 'crash':
          this.#life[endpoint] = Life.CRASHED
          this.#empty(endpoint, now)
          break
        case 'silent':
          this.#life[endpoint] = Life.SILENT
          this.#empty(endpoint, now)
          break
        case 'join':
        case 'recover':
          this.#life[endpoint] = Life.UP
          this.#served[endpoint] = 0
          this.#caches?.clear(endpoint)
          break
        case 'leave':
        case undefined:
      }
      this.#schedule(endpoint, now)
    }
  }

  /** An attempt is there. */
  reach(attempt: number, now: number): void {
    const { attempts, failures } = this.#deps
    const endpoint = attempts.endpoint[attempt]!
    attempts.reachedMs[attempt] = now
    attempts.loadBefore[attempt] = this.inService[endpoint]! + this.waiting[endpoint]!
    if (this.#life[endpoint] === Life.CRASHED) return this.#fail(attempt, now)
    if (this.#life[endpoint] === Life.SILENT) {
      if (attempts.request[attempt]! < 0) attempts.release(attempt)
      else attempts.state[attempt] = AttemptState.LOST
      return
    }
    const ratio = this.#failRatio[endpoint]!
    if (ratio > 0 && failures.unit() < ratio) {
      const { failMs = 1 } = this.#groups[this.groupOf[endpoint]!]!
      return this.#fail(attempt, now + failMs)
    }
    if (this.isShared[endpoint] === 1 || this.inService[endpoint]! < this.slots[endpoint]!) {
      this.settle(endpoint, now)
      this.#start(attempt, endpoint, now)
      this.#schedule(endpoint, now)
      return
    }
    const { queueMax } = this.#groups[this.groupOf[endpoint]!]!
    if (queueMax !== undefined && this.waiting[endpoint]! >= queueMax) return this.#fail(attempt, now)
    this.#line(attempt, endpoint)
  }

  /** A departure was due. What is no longer so is left alone. */
  depart(endpoint: number, now: number): void {
    if (this.#departAt[endpoint] !== now) return
    const { attempts, host } = this.#deps
    this.settle(endpoint, now)
    const attempt = this.#popService(endpoint)
    // The clock may be a rounding error short of it.
    this.#clock[endpoint] = Math.max(this.#clock[endpoint]!, attempts.finishClock[attempt]!)
    const response = now - attempts.reachedMs[attempt]!
    this.#served[endpoint] = this.#served[endpoint]! + 1
    this.answers[endpoint] = this.answers[endpoint]! + 1
    this.responseMs[endpoint] = this.responseMs[endpoint]! + response
    this.#responses?.note(endpoint, attempts.loadBefore[attempt]!, response, now)
    this.#startNext(endpoint, now)
    this.#schedule(endpoint, now)
    attempts.outcome[attempt] = Outcome.OK
    attempts.state[attempt] = AttemptState.TRAVELLING
    host.answer(attempt, now)
  }

  /** The endpoint hears that nobody waits for this one. `isServiceStopped`: also when it is worked on. */
  cancel(attempt: number, now: number, isServiceStopped: boolean): void {
    const { attempts } = this.#deps
    const endpoint = attempts.endpoint[attempt]!
    const state = attempts.state[attempt]!
    if (state === AttemptState.WAITING) {
      this.#unline(attempt, endpoint)
    } else if (state === AttemptState.SERVED && isServiceStopped) {
      this.settle(endpoint, now)
      this.#removeService(endpoint, attempt)
      this.#startNext(endpoint, now)
      this.#schedule(endpoint, now)
    } else {
      return
    }
    attempts.release(attempt)
  }

  /** An antagonist begins or ends. */
  antagonist(endpoint: number, now: number): void {
    const { antagonist } = this.#groups[this.groupOf[endpoint]!]!
    if (antagonist === undefined) return
    const { antagonists, events } = this.#deps
    const { slowest, fastest, onMs, offMs } = antagonist
    this.settle(endpoint, now)
    const isOn = this.#antagonistSpeed[endpoint] === 1
    this.#antagonistSpeed[endpoint] = isOn ? slowest + antagonists.unit() * (fastest - slowest) : 1
    this.#schedule(endpoint, now)
    events.push(now + exponential(antagonists) * (isOn ? onMs : offMs), EventKind.ANTAGONIST, endpoint)
  }

  /** The share of its speed that is left to it. */
  antagonistSpeed(endpoint: number): number {
    return this.#antagonistSpeed[endpoint]!
  }

  /** Requests there. */
  load(endpoint: number): number {
    return this.inService[endpoint]! + this.waiting[endpoint]!
  }

  /** The share of requests that fail there at once. */
  failRatio(endpoint: number): number {
    return this.#failRatio[endpoint]!
  }

  /** It can be probed. */
  isAnswering(endpoint: number): boolean {
    return this.#life[endpoint] === Life.UP
  }

  /** From now on response times are kept for probes. */
  keepResponses(): void {
    this.#responses ??= new RecentResponses(this.size)
  }

  /** What a probe is told: the mean of response times of late that met about as many requests as there are now; 0 when there were none. */
  responseEstimate(endpoint: number, now: number): number {
    return this.#responses?.estimate(endpoint, this.load(endpoint), now) ?? 0
  }

  /** Brings the endpoint's clock and its account of work up to now. */
  settle(endpoint: number, now: number): void {
    const elapsed = now - this.#clockAt[endpoint]!
    if (elapsed <= 0) return
    const inService = this.inService[endpoint]!
    if (inService > 0) {
      this.#clock[endpoint] = this.#clock[endpoint]! + elapsed * this.#rate(endpoint)
      const slots = this.slots[endpoint]!
      this.busyMs[endpoint] = this.busyMs[endpoint]! + elapsed * (inService < slots ? inService : slots)
    } else {
      // A fresh start keeps the clock's numbers small and exact.
      this.#clock[endpoint] = 0
    }
    this.#clockAt[endpoint] = now
  }

  /** Brings the account of what could have been done up to now. */
  settleCapacity(endpoint: number, now: number): void {
    const elapsed = now - this.#capacityAt[endpoint]!
    if (this.#isThere[endpoint] === 1 && this.#life[endpoint] === Life.UP) {
      const group = this.#groups[this.groupOf[endpoint]!]!
      const speed = speedOf({ ...group, speed: this.speed[endpoint]! })
      this.capacityMs[endpoint] = this.capacityMs[endpoint]! + elapsed * speed
    }
    this.#capacityAt[endpoint] = now
  }

  #startAntagonist(endpoint: number, antagonist: NonNullable<EndpointGroup['antagonist']>): void {
    const { antagonists, events } = this.#deps
    const { slowest, fastest, onMs, offMs } = antagonist
    const isOn = antagonists.unit() < onMs / (onMs + offMs)
    if (isOn) this.#antagonistSpeed[endpoint] = slowest + antagonists.unit() * (fastest - slowest)
    events.push(exponential(antagonists) * (isOn ? onMs : offMs), EventKind.ANTAGONIST, endpoint)
  }

  #rate(endpoint: number): number {
    const speed = this.speed[endpoint]! * this.#antagonistSpeed[endpoint]!
    const inService = this.inService[endpoint]!
    const slots = this.slots[endpoint]!
    return inService > slots ? (speed * slots) / inService : speed
  }

  /** The next departure, by how things are now. */
  #schedule(endpoint: number, now: number): void {
    const { attempts, events } = this.#deps
    let at = Number.POSITIVE_INFINITY
    if (this.inService[endpoint]! > 0) {
      const left = attempts.finishClock[this.#heaps[endpoint]![0]!]! - this.#clock[endpoint]!
      at = left > 0 ? now + left / this.#rate(endpoint) : now
    }
    if (at === this.#departAt[endpoint]) return
    this.#departAt[endpoint] = at
    if (at < Number.POSITIVE_INFINITY) events.push(at, EventKind.DEPART, endpoint)
  }

  #start(attempt: number, endpoint: number, now: number): void {
    const { attempts, host } = this.#deps
    let work = attempts.work[attempt]!
    if (this.#caches !== null) {
      const key = attempts.key[attempt]!
      if (this.#caches.touch(endpoint, key, hashOfKey(key))) {
        work *= this.#hitFactor
        this.hits++
      } else {
        this.misses++
      }
    }
    const { cold } = this.#groups[this.groupOf[endpoint]!]!
    if (cold !== undefined) work *= 1 + (cold.factor - 1) * Math.exp(-this.#served[endpoint]! / cold.requests)
    attempts.state[attempt] = AttemptState.SERVED
    attempts.finishClock[attempt] = this.#clock[endpoint]! + work
    this.#pushService(endpoint, attempt)
    host.started(attempt, now - attempts.reachedMs[attempt]!)
  }

  #startNext(endpoint: number, now: number): void {
    const attempt = this.#lineHead[endpoint]!
    if (attempt < 0 || this.inService[endpoint]! >= this.slots[endpoint]!) return
    this.#unline(attempt, endpoint)
    this.#start(attempt, endpoint, now)
  }

  #fail(attempt: number, now: number): void {
    const { attempts, host } = this.#deps
    const endpoint = attempts.endpoint[attempt]!
    this.answers[endpoint] = this.answers[endpoint]! + 1
    this.failed[endpoint] = this.failed[endpoint]! + 1
    attempts.state[attempt] = AttemptState.TRAVELLING
    attempts.outcome[attempt] = Outcome.FAILED
    host.answer(attempt, now)
  }

  /** Everything there fails, or is never heard of again. */
  #empty(endpoint: number, now: number): void {
    const { attempts } = this.#deps
    const isSilent = this.#life[endpoint] === Life.SILENT
    for (;;) {
      let attempt = this.#lineHead[endpoint]!
      if (attempt >= 0) this.#unline(attempt, endpoint)
      else if (this.inService[endpoint]! > 0) attempt = this.#popService(endpoint)
      else return
      if (!isSilent) this.#fail(attempt, now)
      else if (attempts.request[attempt]! < 0) attempts.release(attempt)
      else attempts.state[attempt] = AttemptState.LOST
    }
  }

  #line(attempt: number, endpoint: number): void {
    const { attempts } = this.#deps
    const tail = this.#lineTail[endpoint]!
    attempts.state[attempt] = AttemptState.WAITING
    attempts.previous[attempt] = tail
    attempts.next[attempt] = -1
    if (tail < 0) this.#lineHead[endpoint] = attempt
    else attempts.next[tail] = attempt
    this.#lineTail[endpoint] = attempt
    this.waiting[endpoint] = this.waiting[endpoint]! + 1
  }

  #unline(attempt: number, endpoint: number): void {
    const { attempts } = this.#deps
    const previous = attempts.previous[attempt]!
    const next = attempts.next[attempt]!
    if (previous < 0) this.#lineHead[endpoint] = next
    else attempts.next[previous] = next
    if (next < 0) this.#lineTail[endpoint] = previous
    else attempts.previous[next] = previous
    this.waiting[endpoint] = this.waiting[endpoint]! - 1
  }

  #pushService(endpoint: number, attempt: number): void {
    let heap = this.#heaps[endpoint]!
    const size = this.inService[endpoint]!
    if (size === heap.length) {
      const larger = new Int32Array(size * 2)
      larger.set(heap)
      heap = larger
      this.#heaps[endpoint] = heap
    }
    this.inService[endpoint] = size + 1
    this.#rise(heap, size, attempt)
  }

  #popService(endpoint: number): number {
    const heap = this.#heaps[endpoint]!
    const attempt = heap[0]!
    const size = this.inService[endpoint]! - 1
    this.inService[endpoint] = size
    if (size > 0) this.#sink(heap, size, 0, heap[size]!)
    return attempt
  }

  #removeService(endpoint: number, attempt: number): void {
    const heap = this.#heaps[endpoint]!
    const size = this.inService[endpoint]! - 1
    const at = heap.indexOf(attempt)
    const last = heap[size]!
    this.inService[endpoint] = size
    if (at === size) return
    this.#sink(heap, size, at, last)
    if (heap[at] === last) this.#rise(heap, at, last)
  }

  #rise(heap: Int32Array, from: number, attempt: number): void {
    const { finishClock } = this.#deps.attempts
    const finish = finishClock[attempt]!
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (finishClock[heap[parent]!]! <= finish) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = attempt
  }

  #sink(heap: Int32Array, size: number, from: number, attempt: number): void {
    const { finishClock } = this.#deps.attempts
    const finish = finishClock[attempt]!
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      if (child + 1 < size && finishClock[heap[child + 1]!]! < finishClock[heap[child]!]!) child++
      if (finishClock[heap[child]!]! >= finish) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = attempt
  }
}
