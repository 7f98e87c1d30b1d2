import { AskedMembers } from './asked-members.ts'
import type { AcceptMember, ConsistentMap, MapMembers } from './consistent-map.ts'
import { murmur3 } from './murmur3.ts'
import { checkWhole, rankById } from './ranked-members.ts'

const DEFAULT_SLOTS = 512
const MOST_SLOTS = 65_536
const DEFAULT_VIRTUAL_NODES = 9
/** What one member can ask for; the sum of them stays exact. */
const MOST_WANTED = 2 ** 31

export interface SlotRingOptions {
  /** Slots of the ring, and the most members with weight. 1 to 65 536, default 512. */
  readonly slots?: number
  /** Slots of a member of weight 1; those of another are in proportion, rounded, at least one. 1 to 65 536, default 9. */
  readonly virtualNodes?: number
  /**
   * Slot of a request with key `i`, taken modulo `slots`; called on every lookup. Default H(i) = i² + 2i + 17. The built-in
   * formulas reduce i modulo `slots` before they square it, which gives the same slot and stays exact.
   */
  readonly requestHash?: (i: number, slots: number) => number
  /** Slot of virtual node `j`, from 0, of the server with number `i`, modulo `slots`. Default Φ(i, j) = i² + j² + 2j + 25. */
  readonly virtualHash?: (i: number, j: number, slots: number) => number
  /**
   * A whole number from 0 for an id. Default: the number at its end where those are its only digits and at most nine
   * (`3`, `server-3`), and else its murmur3 hash.
   */
  readonly numberOf?: (id: string) => number
}

/**
 * The ring of the distributed load balancer of document 003: 512 slots, 9 virtual nodes per server, quadratic hashes.
 *
 * Collisions: servers are placed in order of their numbers (then ids), each with its virtual nodes from j = 0 up; a slot
 * that is taken passes the node on to the next free slot clockwise. A request goes to the first occupied slot at or
 * clockwise of its own. Where weights ask for more slots than there are, all counts shrink in proportion, to one at
 * least.
 *
 * Kept for compatibility: i² + 2i + 17 modulo 512 reaches 87 of 512 slots, and shares of 0 % and 80 % of the requests
 * are usual. Refusing a member moves only its keys; when it leaves, nodes that it had displaced return to their own
 * slots, so some keys of others move too.
 * Memory: 6 bytes a slot, 1 a member. Lookup O(1); `find` looks at each slot once at most.
 */
export class SlotRing implements ConsistentMap {
  readonly size: number
  readonly #slots: number
  readonly #requestHash: (i: number, slots: number) => number
  /** By slot: 1 + index of the member whose virtual node is there; 0: free. */
  readonly #nodes: Uint32Array
  /** By slot: the first occupied slot at or clockwise of it. */
  readonly #next: Uint16Array
  readonly #asked: AskedMembers

  /**
   * O(slots + n log n), with very full rings up to O(slots²). Throws a RangeError for an option or a formula's result out
   * of range, when there are more members with weight than slots, or when two of them have one id.
   */
  constructor(members: MapMembers, options: SlotRingOptions = {}) {
    const slots = options.slots ?? DEFAULT_SLOTS
    const virtualNodes = options.virtualNodes ?? DEFAULT_VIRTUAL_NODES
    checkWhole('slots', slots, 1, MOST_SLOTS)
    checkWhole('virtualNodes', virtualNodes, 1, MOST_SLOTS)
    this.#slots = slots
    this.#requestHash = options.requestHash ?? requestSlot
    this.#nodes = new Uint32Array(slots)
    this.#next = new Uint16Array(slots)
    this.#asked = new AskedMembers(members.ids.length)
    const servers = numberServers(members, options.numberOf ?? serverNumber)
    this.size = servers.length
    if (servers.length > slots) {
      throw new RangeError(`a slot ring of ${slots} slots holds at most ${slots} members, not ${servers.length}`)
    }
    const wanted = servers.map(({ index }) => wantedSlots(virtualNodes * members.weights[index]!))
    const counts = fitted(wanted, slots)
    const virtualHash = options.virtualHash ?? virtualSlot
    for (let rank = 0; rank < servers.length; rank++) {
      const { index, number } = servers[rank]!
      for (let j = 0; j < counts[rank]!; j++) this.#place(virtualHash(number, j, slots), index)
    }
    this.#link()
  }

  get bytes(): number {
    return this.#nodes.byteLength + this.#next.byteLength + this.#asked.bytes
  }

  owner(key: number): number {
    return this.size === 0 ? -1 : this.#nodes[this.#next[this.#slotOf(key)]!]! - 1
  }

  find(key: number, accept: AcceptMember): number {
    const owner = this.owner(key)
    if (owner < 0 || accept(owner)) return owner
    const asked = this.#asked
    asked.begin()
    asked.add(owner)
    let left = this.size - 1
    let slot = this.#next[this.#slotOf(key)]!
    while (left > 0) {
      slot = this.#next[(slot + 1) % this.#slots]!
      const member = this.#nodes[slot]! - 1
      if (asked.has(member)) continue
      if (accept(member)) return member
      asked.add(member)
      left--
    }
    return -1
  }

  /** The member whose virtual node stands in a slot, by slot; -1: free. For reports and tests. */
  layout(): Int32Array {
    return Int32Array.from(this.#nodes, (node) => node - 1)
  }

  #slotOf(key: number): number {
    return wrapped(this.#requestHash(key >>> 0, this.#slots), this.#slots)
  }

  #place(value: number, index: number): void {
    if (!Number.isSafeInteger(value)) throw new RangeError(`virtualHash must give a whole number, not ${value}`)
    let slot = wrapped(value, this.#slots)
    while (this.#nodes[slot] !== 0) slot = (slot + 1) % this.#slots
    this.#nodes[slot] = index + 1
  }

  #link(): void {
    // Twice around, so that the first slots learn of those behind the end.
    let next = 0
    for (let step = 2 * this.#slots - 1; step >= 0; step--) {
      const slot = step % this.#slots
      if (this.#nodes[slot] !== 0) next = slot
      this.#next[slot] = next
    }
  }
}

/** 003's H(i) = i² + 2i + 17 modulo `slots`, for any whole i from 0. */
export function requestSlot(i: number, slots: number): number {
  const r = i % slots
  return (r * r + 2 * r + 17) % slots
}

/** 003's Φ(i, j) = i² + j² + 2j + 25 modulo `slots`, for any whole i and j from 0. */
export function virtualSlot(i: number, j: number, slots: number): number {
  const r = i % slots
  const s = j % slots
  return (r * r + s * s + 2 * s + 25) % slots
}

/** The default `numberOf`. */
export function serverNumber(id: string): number {
  const digits = /^\D*(\d{1,9})$/.exec(id)?.[1]
  return digits === undefined ? murmur3.ofString(id) : Number(digits)
}

interface Server {
  readonly index: number
  readonly number: number
}

/** In order of placement. */
function numberServers(members: MapMembers, numberOf: (id: string) => number): Server[] {
  const servers = rankById(members).map((index) => ({ index, number: numberOf(members.ids[index]!) }))
  for (const { index, number } of servers) {
    if (!Number.isSafeInteger(number) || number < 0) {
      throw new RangeError(
        `numberOf must give a whole number from 0, not ${number} for ${JSON.stringify(members.ids[index])}`,
      )
    }
  }
  return servers.sort((a, b) => a.number - b.number)
}

function wantedSlots(share: number): number {
  return Math.min(MOST_WANTED, Math.max(1, Math.round(share)))
}

/** Shrinks counts to at most `slots` in all, each to one at least. Needs no more counts than slots. */
function fitted(wanted: readonly number[], slots: number): readonly number[] {
  const total = wanted.reduce((sum, count) => sum + count, 0)
  if (total <= slots) return wanted
  const scale = (slots - wanted.length) / (total - wanted.length)
  return wanted.map((count) => 1 + Math.floor((count - 1) * scale))
}

/** A slot for any number; what is not a number goes to slot 0, as a lookup must not throw. */
function wrapped(value: number, slots: number): number {
  const slot = Math.trunc(value) % slots
  return (slot < 0 ? slot + slots : slot) | 0
}
