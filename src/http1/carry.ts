/**
 * The part of an unfinished head that earlier chunks brought, so that a chunk is free as soon as `feed` returns.
 * Grown by doubling, so a head costs O(n) copies however it is split; the parser bounds what is appended.
 */
export class Carry {
  bytes: Buffer = NO_BYTES
  length = 0

  append(source: Buffer, start: number, end: number): void {
    const needed = this.length + end - start
    if (needed > this.bytes.length) {
      // Not from Node's shared pool: a slice there would keep 8 KiB alive for as long as the connection.
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2, FIRST_BYTES))
      this.bytes.copy(larger, 0, 0, this.length)
      this.bytes = larger
    }
    source.copy(this.bytes, this.length, start, end)
    this.length = needed
  }

  /** Forgets the bytes; a buffer of usual size is kept for the next head. */
  clear(): void {
    this.length = 0
    if (this.bytes.length > KEPT_BYTES) this.bytes = NO_BYTES
  }

  /** Forgets the bytes and the buffer. */
  release(): void {
    this.length = 0
    this.bytes = NO_BYTES
  }
}

const NO_BYTES = Buffer.alloc(0)
const FIRST_BYTES = 512
/** Holds a browser's head; above it the next head grows its own, so that one large head does not cost memory for ever. */
const KEPT_BYTES = 2048
