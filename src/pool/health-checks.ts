/**
 * Active health checks and passive marks: which endpoints are fit, judged in control, written into the endpoint table.
 *
 * One 50 ms tick drives everything, however many endpoints there are: it measures its own lateness, looks for passive
 * marks that workers set, starts the checks that are due and ages those that run. So thousands of endpoints cost one timer
 * and one heap, and a check costs a socket only while it runs.
 *
 * Two rules keep our own slowness from being taken for an endpoint's (measured before: a loop blocked for 700 ms counted
 * 200 of 200 good probes as timeouts):
 * - a check's age counts time in which this loop ran, at most two ticks' worth per tick, and a timeout is judged only after
 *   one more poll for data;
 * - a check that saw a late tick and failed in a way that lateness can cause is void and repeated.
 */
import type { SocketAddress } from '../core/address.ts'
import { numberAt, signalSteps } from '../core/signals/json-path.ts'
import { type EndpointTable, Fitness } from '../memory/endpoint-table.ts'
import { sharedNowMs } from '../memory/shared-clock.ts'
import { DueHeap } from './due-heap.ts'
import { type HealthState, observeHealth, unknownHealth, Verdict } from './health-state.ts'
import { Probe, type ProbeOutcome, probeRequestBytes } from './probe.ts'

/** How often control looks. A passive mark is noticed within this, a timeout judged to within this. */
const TICK_MS = 50
/** A tick that comes later than this makes the round void. */
const LATE_MS = 100
/** A loop that is always late must not keep a silent endpoint in use for ever: after so many void checks one is judged. */
const MAX_VOID = 3
/** Local trouble (no descriptors, no memory) and a queue that cannot keep up are said once in this time. */
const SAY_AGAIN_MS = 60_000

/** How one endpoint is checked; the settings' `health` has this shape. */
export interface HealthCheckSettings {
  readonly path: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  /** Null: the endpoint's own address. */
  readonly host: string | null
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly rise: number
  readonly fall: number
  readonly statuses: readonly StatusRange[]
  /** Signals by name and where in the answer's JSON their numbers stand, as `SIGNAL_PATH` says. Absent: none. */
  readonly signals?: Readonly<Record<string, string>>
}

/** Inclusive. */
export interface StatusRange {
  readonly from: number
  readonly to: number
}

/** An endpoint as health checks see it. */
export interface CheckedEndpoint {
  readonly slot: number
  readonly generation: number
  /** Where to connect; null while its name does not resolve: then nothing is checked. */
  readonly address: SocketAddress | null
  /** What the Host field says unless the settings do. */
  readonly authority: string
  /** Null: no active check. */
  readonly health: HealthCheckSettings | null
  /** How long a passive mark holds where there is no check. */
  readonly holdMs: number
  /** In maintenance: not checked. */
  readonly isPaused: boolean
}

/** The last completed check in words. */
export interface LastCheck {
  readonly ok: boolean
  /** `Date.now()`. */
  readonly atMs: number
  readonly detail: string
}

/** What became of an endpoint: `isFit` as far as health goes. */
export interface HealthChange {
  readonly slot: number
  readonly kind: 'healthy' | 'unhealthy' | 'passive' | 'passive-cleared'
  readonly detail: string
}

export interface HealthChecksDeps {
  readonly table: EndpointTable
  /** In [0, 1): spreads checks. */
  readonly random: () => number
  /** A verdict or a passive mark changed; the table already says so. */
  readonly onChange: (change: HealthChange) => void
  /** A check was completed, whatever it said. */
  readonly onCheck: (slot: number) => void
  readonly onTrouble: (event: 'health-local-error' | 'health-behind', message: string) => void
}

interface Watched {
  endpoint: CheckedEndpoint
  request: Buffer
  /** Null: the answer's body is not read. */
  signals: readonly SignalPlace[] | null
  readonly state: HealthState
  lastCheck: LastCheck | null
  running: Running | null
  /** A passive mark waits for its probe. */
  isUrgent: boolean
  /** Checked at least once at a spread time: the first check is at once, the second anywhere in the interval. */
  isSpread: boolean
  voidCount: number
  dueAt: number
  heapIndex: number
}

interface SignalPlace {
  readonly name: string
  readonly steps: readonly (string | number)[]
}

interface Running {
  readonly watched: Watched
  readonly startedAt: number
  /** The same by `Date.now()`, to be compared with the time of a passive mark. */
  readonly startedAtMs: number
  readonly isUrgent: boolean
  probe: Probe
  /** Time that counts against the timeout. */
  ageMs: number
  sawLate: boolean
}

/** Checks endpoints until `stop`. */
export class HealthChecks {
  readonly #deps: HealthChecksDeps
  #maxConcurrent: number
  readonly #watched = new Map<number, Watched>()
  readonly #due = new DueHeap<Watched>()
  readonly #running = new Set<Running>()
  /** By slot: 1 when the passive mark there is known. */
  readonly #passiveKnown: Uint8Array
  #timer: NodeJS.Timeout | null = null
  #lastTickAt = 0
  readonly #said = new Map<string, number>()

  constructor(deps: HealthChecksDeps, options: { readonly maxConcurrent: number }) {
    this.#deps = deps
    this.#maxConcurrent = options.maxConcurrent
    this.#passiveKnown = new Uint8Array(deps.table.fitness.length)
  }

  /** Checks that run now; never more than `maxConcurrent`. */
  get running(): number {
    return this.#running.size
  }

  start(): void {
    if (this.#timer !== null) return
    this.#lastTickAt = performance.now()
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    this.#launch(this.#lastTickAt)
  }

  /** Ends everything; no callback comes afterwards. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    for (const running of this.#running) running.probe.abandon()
    this.#running.clear()
    this.#due.clear()
    this.#watched.clear()
  }

  setMaxConcurrent(maxConcurrent: number): void {
    this.#maxConcurrent = maxConcurrent
  }

  /** The endpoints there are from now on. What is known of one is kept as long as its slot and generation are the same. */
  update(endpoints: readonly CheckedEndpoint[]): void {
    const present = new Set<number>()
    for (const endpoint of endpoints) {
      present.add(endpoint.slot)
      const watched = this.#watched.get(endpoint.slot)
      if (watched !== undefined && watched.endpoint.generation === endpoint.generation) this.#change(watched, endpoint)
      else {
        if (watched !== undefined) this.#forget(watched)
        this.#add(endpoint)
      }
    }
    for (const [slot, watched] of this.#watched) if (!present.has(slot)) this.#forget(watched)
    if (this.#timer !== null) this.#launch(performance.now())
  }

  /** The same for one of those that are there already. */
  updateOne(endpoint: CheckedEndpoint): void {
    const watched = this.#watched.get(endpoint.slot)
    if (watched === undefined || watched.endpoint.generation !== endpoint.generation) return
    this.#change(watched, endpoint)
    if (this.#timer !== null) this.#launch(performance.now())
  }

  /** Says that an endpoint cannot be checked because its name does not resolve: it is unfit, with the reason shown. */
  markUnresolved(slot: number, detail: string): void {
    const watched = this.#watched.get(slot)
    if (watched === undefined) return
    watched.lastCheck = { ok: false, atMs: Date.now(), detail }
    if (watched.state.verdict === Verdict.UNHEALTHY) return
    this.#settle(watched, Verdict.UNHEALTHY)
    this.#deps.onChange({ slot, kind: 'unhealthy', detail })
  }

  /** Null where none was completed. */
  lastCheck(slot: number): LastCheck | null {
    return this.#watched.get(slot)?.lastCheck ?? null
  }

  #add(endpoint: CheckedEndpoint): void {
    const watched: Watched = {
      endpoint,
      request: requestOf(endpoint),
      signals: signalsOf(endpoint),
      state: unknownHealth(),
      lastCheck: null,
      running: null,
      isUrgent: false,
      isSpread: false,
      voidCount: 0,
      dueAt: 0,
      heapIndex: -1,
    }
    this.#watched.set(endpoint.slot, watched)
    this.#passiveKnown[endpoint.slot] = 0
    // A row that was given back before it was freed still has the last verdict: it holds where checks go on, and only there.
    if (endpoint.health === null) this.#settle(watched, Verdict.UNKNOWN)
    else watched.state.verdict = this.#deps.table.checked[endpoint.slot] as Verdict
    this.#schedule(watched, 0)
  }

  #change(watched: Watched, endpoint: CheckedEndpoint): void {
    const before = watched.endpoint
    const wasChecked = isChecked(before)
    watched.endpoint = endpoint
    if (before.health !== endpoint.health || before.authority !== endpoint.authority) {
      watched.request = requestOf(endpoint)
      watched.signals = signalsOf(endpoint)
    }
    const isElsewhere = !isSameAddress(before.address, endpoint.address)
    if (isElsewhere || (wasChecked && !isChecked(endpoint))) {
      this.#cancel(watched)
      this.#due.delete(watched)
    }
    if (isElsewhere || (!wasChecked && isChecked(endpoint)) || (before.health !== null && endpoint.health === null)) {
      // Another address, back from maintenance, or no check any more: what was known does not hold, so it is eligible until checked.
      watched.isSpread = false
      watched.voidCount = 0
      this.#settle(watched, Verdict.UNKNOWN)
      if (isElsewhere) this.#clearPassive(watched)
      // A mark that is already known is not noted again: it is this check that has to lift it.
      watched.isUrgent = isChecked(endpoint) && this.#isMarked(endpoint.slot)
      if (endpoint.health === null) watched.lastCheck = null
      this.#schedule(watched, 0)
    } else if (isChecked(endpoint) && watched.running === null && before.health !== endpoint.health) {
      // A shorter interval counts from now; an unchanged one keeps its time.
      const latest = performance.now() + this.#spread(endpoint.health!.intervalMs)
      if (watched.dueAt > latest) this.#schedule(watched, latest)
    }
  }

  #forget(watched: Watched): void {
    this.#cancel(watched)
    this.#due.delete(watched)
    this.#watched.delete(watched.endpoint.slot)
  }

  #cancel(watched: Watched): void {
    if (watched.running === null) return
    watched.running.probe.abandon()
    this.#running.delete(watched.running)
    watched.running = null
  }

  #schedule(watched: Watched, dueAt: number): void {
    if (isChecked(watched.endpoint)) this.#due.set(watched, dueAt)
    else this.#due.delete(watched)
  }

  #tick(): void {
    const now = performance.now()
    const isLate = now - this.#lastTickAt - TICK_MS > LATE_MS
    const expired: Running[] = []
    for (const running of this.#running) {
      if (isLate) running.sawLate = true
      running.ageMs += Math.min(now - Math.max(this.#lastTickAt, running.startedAt), 2 * TICK_MS)
      if (running.ageMs >= running.watched.endpoint.health!.timeoutMs) expired.push(running)
    }
    this.#lastTickAt = now
    // Answers that are already here are read in the poll phase, which comes between timers and setImmediate.
    if (expired.length > 0) setImmediate(() => this.#judgeTimeouts(expired))
    this.#sweepPassive()
    this.#launch(now)
  }

  #judgeTimeouts(expired: readonly Running[]): void {
    for (const running of expired) {
      if (!this.#running.has(running)) continue
      const { timeoutMs } = running.watched.endpoint.health!
      const { status } = running.probe
      if (status > 0) {
        // It has answered; only the body with its signals does not end.
        running.probe.abandon()
        this.#finished(running, { kind: 'answer', status })
        continue
      }
      const detail = running.probe.isConnected ? `no answer in ${timeoutMs} ms` : `no connection in ${timeoutMs} ms`
      running.probe.abandon()
      this.#finished(running, { kind: 'failure', detail, isAbrupt: true })
    }
    if (this.#timer !== null) this.#launch(performance.now())
  }

  /** Marks are set by workers at any time; the column is small enough to be read whole (10 000 slots: some 20 µs). */
  #sweepPassive(): void {
    const { fitness } = this.#deps.table
    const known = this.#passiveKnown
    for (let slot = 0; slot < fitness.length; slot++) {
      const isMarked = (fitness[slot]! & Fitness.PASSIVE) !== 0
      if (!isMarked) {
        known[slot] = 0
        continue
      }
      const watched = this.#watched.get(slot)
      if (watched === undefined) continue
      if (known[slot] === 0) {
        known[slot] = 1
        this.#notePassive(watched)
      }
      if (
        !isChecked(watched.endpoint) &&
        Date.now() - this.#deps.table.passiveSince[slot]! >= watched.endpoint.holdMs
      ) {
        this.#clearPassive(watched)
        this.#deps.onChange({
          slot,
          kind: 'passive-cleared',
          detail: `${watched.endpoint.holdMs} ms passed since its connects failed`,
        })
      }
    }
  }

  #notePassive(watched: Watched): void {
    this.#deps.onChange({ slot: watched.endpoint.slot, kind: 'passive', detail: 'connects failed' })
    if (!isChecked(watched.endpoint)) return
    watched.isUrgent = true
    // A check that runs already began before the mark: its answer would be old news, so another follows it.
    if (watched.running === null) this.#schedule(watched, Number.NEGATIVE_INFINITY)
  }

  #launch(now: number): void {
    for (;;) {
      const watched = this.#due.peek()
      if (watched === undefined || watched.dueAt > now) return
      if (this.#running.size >= this.#maxConcurrent) {
        const behindMs = now - watched.dueAt
        if (watched.dueAt > 0 && behindMs > watched.endpoint.health!.intervalMs) this.#sayBehind(now, behindMs)
        return
      }
      this.#due.delete(watched)
      this.#begin(watched, now)
    }
  }

  #begin(watched: Watched, now: number): void {
    const { address } = watched.endpoint
    const running: Running = {
      watched,
      startedAt: now,
      startedAtMs: Date.now(),
      isUrgent: watched.isUrgent,
      ageMs: 0,
      sawLate: false,
      probe: new Probe(
        address!,
        watched.request,
        (outcome) => {
          if (!this.#running.has(running)) return
          this.#finished(running, outcome)
          // The next in line does not wait for a tick, nor for the slowest of its round.
          if (this.#timer !== null) this.#launch(performance.now())
        },
        watched.signals !== null,
      ),
    }
    watched.isUrgent = false
    watched.running = running
    this.#running.add(running)
  }

  #finished(running: Running, outcome: ProbeOutcome): void {
    const { watched } = running
    this.#running.delete(running)
    watched.running = null
    const now = performance.now()
    // Lateness of which no tick has told yet: this callback may run before the tick that is overdue.
    const isLate = running.sawLate || now - this.#lastTickAt - TICK_MS > LATE_MS
    if (
      outcome.kind === 'local' ||
      (outcome.kind === 'failure' && outcome.isAbrupt && isLate && watched.voidCount < MAX_VOID)
    ) {
      this.#void(running, outcome, now)
      return
    }
    watched.voidCount = 0
    this.#judge(running, outcome, now)
    const interval = watched.endpoint.health!.intervalMs
    if (watched.isUrgent) this.#schedule(watched, Number.NEGATIVE_INFINITY)
    else if (watched.isSpread) this.#schedule(watched, Math.max(now, running.startedAt + this.#spread(interval)))
    else {
      // All were checked at once at the start: from here on they are spread over the interval.
      watched.isSpread = true
      this.#schedule(watched, now + interval * this.#deps.random())
    }
  }

  #void(running: Running, outcome: ProbeOutcome, now: number): void {
    const { watched } = running
    if (running.isUrgent) watched.isUrgent = true
    if (outcome.kind === 'local') {
      // Trying again at once would make the shortage worse.
      this.#say('health-local-error', `health checks cannot be made: ${outcome.detail}`, now)
      this.#schedule(watched, now + Math.min(1000, watched.endpoint.health!.intervalMs))
      return
    }
    watched.voidCount += 1
    this.#schedule(watched, watched.isUrgent ? Number.NEGATIVE_INFINITY : now)
  }

  #judge(running: Running, outcome: Exclude<ProbeOutcome, { kind: 'local' }>, now: number): void {
    const { watched } = running
    const { slot, generation, health } = watched.endpoint
    const rule = health!
    const isGood =
      outcome.kind === 'answer' && rule.statuses.some(({ from, to }) => outcome.status >= from && outcome.status <= to)
    const detail =
      outcome.kind === 'failure'
        ? outcome.detail
        : `status ${outcome.status} ${isGood ? `in ${Math.round(now - running.startedAt)} ms` : 'is not one of the good ones'}`
    watched.lastCheck = { ok: isGood, atMs: Date.now(), detail }
    const hasTurned = observeHealth(watched.state, isGood, rule, running.isUrgent)
    if (hasTurned) this.#settle(watched, watched.state.verdict)
    const { table } = this.#deps
    if (isGood) table.connectSucceeded(slot, generation)
    if (isGood && watched.signals !== null) this.#noteSignals(slot, watched.signals, outcome.body ?? null)
    // A good probe lifts the mark; a bad one has just put UNHEALTHY in its place. Not while the mark is newer than the probe.
    if (running.isUrgent && !watched.isUrgent && (isGood || watched.state.verdict === Verdict.UNHEALTHY)) {
      this.#clearPassive(watched)
      if (isGood && !hasTurned) this.#deps.onChange({ slot, kind: 'passive-cleared', detail })
    } else if (isGood && this.#isMarked(slot) && running.startedAtMs > table.passiveSince[slot]!) {
      // Any good check that began after the mark says the same as its own probe would.
      const isTold = this.#passiveKnown[slot] === 1
      watched.isUrgent = false
      this.#clearPassive(watched)
      if (isTold && !hasTurned) this.#deps.onChange({ slot, kind: 'passive-cleared', detail })
    }
    if (hasTurned) this.#deps.onChange({ slot, kind: isGood ? 'healthy' : 'unhealthy', detail })
    this.#deps.onCheck(slot)
  }

  /** What cannot be read is as if it were not said: the signal ages. */
  #noteSignals(slot: number, signals: readonly SignalPlace[], body: string | null): void {
    if (body === null) return
    let value: unknown
    try {
      value = JSON.parse(body)
    } catch {
      return
    }
    const now = sharedNowMs()
    for (const { name, steps } of signals) {
      const number = numberAt(value, steps)
      if (number !== null) this.#deps.table.signals.report(name, slot, number, now)
    }
  }

  /** Writes a verdict where workers and readers see it. */
  #settle(watched: Watched, verdict: Verdict): void {
    const { table } = this.#deps
    const { slot } = watched.endpoint
    watched.state.verdict = verdict
    watched.state.contrary = 0
    Atomics.store(table.checked, slot, verdict)
    if (verdict === Verdict.UNHEALTHY) Atomics.or(table.fitness, slot, Fitness.UNHEALTHY)
    else if ((Atomics.and(table.fitness, slot, ~Fitness.UNHEALTHY) & Fitness.UNHEALTHY) !== 0)
      table.fitSince[slot] = sharedNowMs()
  }

  #isMarked(slot: number): boolean {
    return (Atomics.load(this.#deps.table.fitness, slot) & Fitness.PASSIVE) !== 0
  }

  #clearPassive(watched: Watched): void {
    const { slot } = watched.endpoint
    const { table } = this.#deps
    if ((Atomics.and(table.fitness, slot, ~Fitness.PASSIVE) & Fitness.PASSIVE) !== 0)
      table.fitSince[slot] = sharedNowMs()
    this.#passiveKnown[slot] = 0
  }

  /** The interval with a little jitter, so that checks of many balancers do not fall into step. */
  #spread(intervalMs: number): number {
    return intervalMs * (0.95 + 0.1 * this.#deps.random())
  }

  #sayBehind(now: number, behindMs: number): void {
    this.#say(
      'health-behind',
      `health checks are ${Math.round(behindMs)} ms behind: ${this.#maxConcurrent} at once are too few (health.maxConcurrent), or endpoints are slow`,
      now,
    )
  }

  #say(event: 'health-local-error' | 'health-behind', message: string, now: number): void {
    const last = this.#said.get(event)
    if (last !== undefined && now - last < SAY_AGAIN_MS) return
    this.#said.set(event, now)
    this.#deps.onTrouble(event, message)
  }
}

function isChecked(endpoint: CheckedEndpoint): boolean {
  return endpoint.health !== null && endpoint.address !== null && !endpoint.isPaused
}

function isSameAddress(a: SocketAddress | null, b: SocketAddress | null): boolean {
  if (a === null || b === null) return a === b
  if (a.kind === 'unix' || b.kind === 'unix')
    return a.kind === b.kind && 'path' in a && 'path' in b && a.path === b.path
  return a.host === b.host && a.port === b.port
}

function signalsOf({ health }: CheckedEndpoint): readonly SignalPlace[] | null {
  const places = Object.entries(health?.signals ?? {})
  return places.length === 0 ? null : places.map(([name, path]) => ({ name, steps: signalSteps(path) }))
}

function requestOf(endpoint: CheckedEndpoint): Buffer {
  const { health } = endpoint
  if (health === null) return Buffer.alloc(0)
  return probeRequestBytes({ ...health, host: health.host ?? endpoint.authority })
}
