/**
 * A hash of text or bytes with 32 bits of result: how request keys become numbers for a `ConsistentMap`. A user's own
 * function is an object of the same shape.
 *
 * None of these is keyed: whoever chooses the text can choose collisions. For tables that an attacker fills there is
 * `HalfSipHash`.
 */
export interface HashFunction {
  /** The name in configurations. */
  readonly name: string
  /** When to use it, in one sentence. */
  readonly summary: string
  /** Where it is defined. */
  readonly source: string
  /**
   * The hash of the text's UTF-8 bytes, a whole number in [0, 2^32). A surrogate without its partner counts as U+FFFD, as
   * in every encoder of the platform. O(length).
   */
  ofString(text: string): number
  /**
   * The hash of bytes [start, end), equal to `ofString` of the text they encode. Needs 0 ≤ start ≤ end ≤ bytes.length,
   * which is not checked. O(end - start).
   */
  ofBytes(bytes: Uint8Array, start: number, end: number): number
}
