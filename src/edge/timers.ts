/**
 * Timeouts of the data plane: two hashed wheels per worker instead of a timer per request.
 * The coarse wheel (250 ms) carries nearly everything; the fine one (4 ms) carries what is due within a second and runs
 * only while it holds something. A deadline is linked into a wheel once and re-armed by one assignment:
 * when its place comes round and it is due later, it moves on (Varghese and Lauck, scheme 6, with lazy re-insertion).
 */

const COARSE_TICK_MS = 250
const COARSE_SLOTS = 512 // 128 s a round; what is due later goes round again
const FINE_TICK_MS = 4
const FINE_SLOTS = 512 // 2 s a round
const FINE_BELOW_MS = 1000
const FINE_LATE_MS = 50

/** Something that may expire. Owned by one connection or exchange; `expire` runs at most once per arming. */
export abstract class Deadline {
  /** When to expire, on the wheel's clock; Infinity: disarmed. */
  dueAt = Number.POSITIVE_INFINITY
  wheel: TimerWheel | null = null
  slot = -1
  previous: Deadline | null = null
  next: Deadline | null = null
  /** Chains what expires in one tick; apart from `next`, which a re-arming overwrites. */
  nextDue: Deadline | null = null
  abstract expire(): void
}

export class TimerWheel {
  readonly tickMs: number
  readonly #slots: (Deadline | null)[]
  readonly #startMs: number
  #tick = 0
  linked = 0

  constructor(tickMs: number, slots: number, nowMs: number) {
    this.tickMs = tickMs
    this.#slots = new Array<Deadline | null>(slots).fill(null)
    this.#startMs = nowMs
  }

  /** The wheel's clock: the start of the tick that was last worked through. */
  get nowMs(): number {
    return this.#startMs + this.#tick * this.tickMs
  }

  /** An empty wheel may stand still; before it is used again its clock is set without a round of work. */
  catchUp(nowMs: number): void {
    if (this.linked === 0) this.#tick = Math.floor((nowMs - this.#startMs) / this.tickMs)
  }

  /** At most two ticks late; never early as long as `nowMs` is true. */
  arm(deadline: Deadline, delayMs: number, nowMs: number): void {
    const dueAt = nowMs + delayMs
    const wasDueAt = deadline.dueAt
    deadline.dueAt = dueAt
    if (deadline.wheel === null) this.#link(deadline)
    else if (dueAt < wasDueAt && dueAt < this.#placeTime(deadline)) {
      this.#unlink(deadline)
      this.#link(deadline)
    }
  }

  /** Takes the deadline off the wheel, so that nothing holds on to its owner. */
  remove(deadline: Deadline): void {
    if (deadline.wheel === this) this.#unlink(deadline)
    deadline.dueAt = Number.POSITIVE_INFINITY
  }

  /** Works through every tick up to `nowMs`. */
  advance(nowMs: number): void {
    const target = Math.floor((nowMs - this.#startMs) / this.tickMs)
    // After a long pause one round visits every slot: more rounds would find nothing new.
    if (target - this.#tick > this.#slots.length) this.#tick = target - this.#slots.length
    while (this.#tick < target) {
      this.#tick++
      this.#visit(this.#tick % this.#slots.length)
    }
  }

  #visit(slot: number): void {
    let deadline = this.#slots[slot] ?? null
    if (deadline === null) return
    // The list is taken off whole, so that what expires may arm and remove at will.
    this.#slots[slot] = null
    const now = this.nowMs
    let due: Deadline | null = null
    while (deadline !== null) {
      const next: Deadline | null = deadline.next
      deadline.previous = null
      deadline.next = null
      deadline.wheel = null
      this.linked--
      if (deadline.dueAt <= now) {
        deadline.nextDue = due
        due = deadline
      } else if (deadline.dueAt !== Number.POSITIVE_INFINITY) this.#link(deadline)
      deadline = next
    }
    while (due !== null) {
      const next: Deadline | null = due.nextDue
      due.nextDue = null
      // It may have been removed or re-armed by one that expired before it.
      if (due.wheel === null && due.dueAt <= now) {
        due.dueAt = Number.POSITIVE_INFINITY
        due.expire()
      }
      due = next
    }
  }

  #placeTime(deadline: Deadline): number {
    const slots = this.#slots.length
    const ahead = (((deadline.slot - this.#tick) % slots) + slots) % slots
    return this.nowMs + (ahead === 0 ? slots : ahead) * this.tickMs
  }

  #link(deadline: Deadline): void {
    const slots = this.#slots.length
    const ticks = Math.ceil((deadline.dueAt - this.nowMs) / this.tickMs)
    const ahead = ticks < 1 ? 1 : ticks >= slots ? slots - 1 : ticks
    const slot = (this.#tick + ahead) % slots
    const head = this.#slots[slot] ?? null
    deadline.slot = slot
    deadline.wheel = this
    deadline.previous = null
    deadline.next = head
    if (head !== null) head.previous = deadline
    this.#slots[slot] = deadline
    this.linked++
  }

  #unlink(deadline: Deadline): void {
    const { previous, next } = deadline
    if (previous !== null) previous.next = next
    else this.#slots[deadline.slot] = next
    if (next !== null) next.previous = previous
    deadline.previous = null
    deadline.next = null
    deadline.wheel = null
    this.linked--
  }
}

/** The pair of wheels of a worker, and the interval timers that turn them. */
export class Timers {
  readonly #now: () => number
  readonly #coarse: TimerWheel
  readonly #fine: TimerWheel
  /** The clock as last read by anyone here: exact to the event that is being handled. */
  nowMs: number
  #coarseInterval: NodeJS.Timeout | null
  #fineInterval: NodeJS.Timeout | null = null

  /** `onTick` runs with every coarse tick and is told how many milliseconds late it is, if it is. */
  constructor(now: () => number, onTick: (lateMs: number) => void) {
    this.#now = now
    this.nowMs = now()
    this.#coarse = new TimerWheel(COARSE_TICK_MS, COARSE_SLOTS, now())
    this.#fine = new TimerWheel(FINE_TICK_MS, FINE_SLOTS, now())
    this.#coarseInterval = this.#every(COARSE_TICK_MS, (lateMs) => {
      this.#turn(this.#coarse, lateMs > COARSE_TICK_MS)
      onTick(lateMs)
    })
  }

  /** Milliseconds, monotonic. */
  clock(): number {
    this.nowMs = this.#now()
    return this.nowMs
  }

  /** Expires `delayMs` from now; 0 disarms. Replaces what was armed before. */
  arm(deadline: Deadline, delayMs: number): void {
    if (delayMs <= 0) this.disarm(deadline)
    else if (delayMs >= FINE_BELOW_MS) {
      if (deadline.wheel === this.#fine) this.#fine.remove(deadline)
      this.#coarse.arm(deadline, delayMs, this.nowMs)
    } else this.#armFine(deadline, delayMs)
  }

  /** Stays on its wheel until its place comes round, so that the next arming is cheap. Its owner is held until then. */
  disarm(deadline: Deadline): void {
    deadline.dueAt = Number.POSITIVE_INFINITY
  }

  /** For an owner that is done: nothing holds on to it afterwards. */
  remove(deadline: Deadline): void {
    if (deadline.wheel !== null) deadline.wheel.remove(deadline)
    else deadline.dueAt = Number.POSITIVE_INFINITY
  }

  stop(): void {
    if (this.#coarseInterval !== null) clearInterval(this.#coarseInterval)
    if (this.#fineInterval !== null) clearInterval(this.#fineInterval)
    this.#coarseInterval = null
    this.#fineInterval = null
  }

  /** Turns the loop every `tickMs`, and says how much later than that it came round; 0 when it was in time. */
  #every(tickMs: number, turn: (lateMs: number) => void): NodeJS.Timeout {
    let turnedAt = this.nowMs
    return setInterval(() => {
      const lateMs = Math.max(0, this.clock() - turnedAt - tickMs)
      turnedAt = this.nowMs
      turn(lateMs)
    }, tickMs)
  }

  /**
   * A worker that was held up (a pause of the machine, a long collection) finds its timers due before it has seen what
   * came meanwhile: answers and connects that were in time. So a late turn waits for one poll.
   */
  #turn(wheel: TimerWheel, isLate: boolean): void {
    if (!isLate) wheel.advance(this.nowMs)
    else
      setImmediate(() => {
        if (this.#coarseInterval !== null) wheel.advance(this.clock())
      })
  }

  #armFine(deadline: Deadline, delayMs: number): void {
    if (deadline.wheel === this.#coarse) this.#coarse.remove(deadline)
    if (this.#fineInterval === null) {
      this.#fine.catchUp(this.clock())
      this.#fineInterval = this.#every(FINE_TICK_MS, (lateMs) => {
        this.#turn(this.#fine, lateMs > FINE_LATE_MS)
        if (this.#fine.linked > 0 || this.#fineInterval === null) return
        clearInterval(this.#fineInterval)
        this.#fineInterval = null
      })
    }
    this.#fine.arm(deadline, delayMs, this.nowMs)
  }
}
