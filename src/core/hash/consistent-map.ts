/** Who may own keys: entry i of both arrays is member i. */
export interface MapMembers {
  /** Names that are the same on every instance; each at most once among those with weight. */
  readonly ids: readonly string[]
  /** Shares of the keys are in proportion. A member whose weight is not above 0 or not finite is left out. */
  readonly weights: ArrayLike<number>
}

/** Whether member `index` may take the key now. Without side effects, and the same answer for the whole of one `find`. */
export type AcceptMember = (index: number) => boolean

/**
 * Says which member owns a key, so that every instance with the same members says the same and changes of membership
 * move few keys. The order of the members does not matter: ties are settled by id (compared by UTF-16 code units).
 *
 * Keys are 32-bit hashes, as a `HashFunction` gives them; a number in the Int32 range counts as the uint32 of the same
 * bits. Weak hashes are good enough: all maps but the slot ring mix the key first.
 */
export interface ConsistentMap {
  /** How many members have weight. */
  readonly size: number
  /** Memory of the tables, in bytes: without the ids, which belong to the caller. */
  readonly bytes: number
  /** The index of the member that owns the key; -1 when no member has weight. Allocates nothing. */
  owner(key: number): number
  /**
   * The owner, or where it is refused the next in this key's own fixed order of members that is accepted; -1 when none
   * is. The keys of a refused member spread over the others, the keys of the others stay. Allocates nothing; the work is
   * bounded whatever is refused, and stated by each map.
   */
  find(key: number, accept: AcceptMember): number
}
