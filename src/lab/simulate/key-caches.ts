import { mix32 } from '../../core/hash/mix.ts'

/** Places that a key may be in. */
const WAYS = 16
/** The set must not follow from what chose the endpoint. */
const SALT = 0x5bd1_e995

/**
 * What every endpoint has in its cache: keys, the least recently used go. Sets of sixteen, as in processors: nearly as
 * good as one long list, with a bounded search and 4 bytes per key.
 */
export class KeyCaches {
  readonly #sets: number
  /** Per endpoint `sets` times `WAYS` keys + 1, the most recent first; 0: empty. */
  readonly #keys: Int32Array

  /** `capacity`: keys per endpoint, rounded up to a multiple of sixteen. Throws a RangeError when all together are too many. */
  constructor(endpoints: number, capacity: number) {
    this.#sets = Math.ceil(capacity / WAYS)
    const total = endpoints * this.#sets * WAYS
    if (!(total <= 2 ** 27)) throw new RangeError(`caches of ${total} keys in all`)
    this.#keys = new Int32Array(total)
  }

  /** Was the key there? It is afterwards. `hash`: of the key, uint32. */
  touch(endpoint: number, key: number, hash: number): boolean {
    const keys = this.#keys
    const first = (endpoint * this.#sets + (mix32(hash ^ SALT) % this.#sets)) * WAYS
    const wanted = key + 1
    let at = first
    const last = first + WAYS - 1
    while (at < last && keys[at] !== wanted) at++
    const isHit = keys[at] === wanted
    for (; at > first; at--) keys[at] = keys[at - 1]!
    keys[first] = wanted
    return isHit
  }

  /** It starts anew. */
  clear(endpoint: number): void {
    const length = this.#sets * WAYS
    this.#keys.fill(0, endpoint * length, (endpoint + 1) * length)
  }
}
