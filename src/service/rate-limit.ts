/** A token bucket per address, for a bounded number of addresses. */
export class RateLimit {
  readonly #perSecond: number
  readonly #burst: number
  readonly #addresses: number
  /** Insertion order is order of last use: the first is evicted. */
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>()

  /**
   * @param perSecond tokens that come back in a second.
   * @param burst tokens of a full bucket.
   * @param addresses buckets kept; the one unused for longest makes room, which gives its address a full one later.
   */
  constructor(perSecond: number, burst: number, addresses: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#addresses = addresses
  }

  /** Takes a token; false: none is left. `nowMs` is a clock that never goes back. */
  take(address: string, nowMs: number): boolean {
    const known = this.#buckets.get(address)
    const bucket = known ?? { tokens: this.#burst, atMs: nowMs }
    bucket.tokens = Math.min(this.#burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * this.#perSecond)
    bucket.atMs = nowMs
    this.#buckets.delete(address)
    if (known === undefined && this.#buckets.size >= this.#addresses) {
      const oldest = this.#buckets.keys().next()
      if (oldest.done !== true) this.#buckets.delete(oldest.value)
    }
    this.#buckets.set(address, bucket)
    if (bucket.tokens < 1) return false
    bucket.tokens--
    return true
  }

  /** Buckets held now. */
  get size(): number {
    return this.#buckets.size
  }
}
