/**
 * Read buffers for large bodies. Small answers go through one buffer that all connections of a worker share and are copied
 * where they must be kept; a large body is read into a buffer of its own and written from it, without a copy.
 * Such a buffer is busy until the client's socket has taken it, so a slow client holds one, and all of them are bounded.
 * They are reused because fresh memory of this size costs more than the copy: page faults and garbage collection.
 */

/** Kept for reuse when nobody needs them. */
const MAX_IDLE = 16

/** Counted by its holders: the connection that reads into it, and every write under way from it. */
export class LeasedBuffer {
  readonly bytes: Buffer
  /** Undoes one `hold`; made once, so that a write needs no closure. */
  readonly release: () => void
  #holders = 0

  constructor(bytes: Buffer, onFree: (buffer: LeasedBuffer) => void) {
    this.bytes = bytes
    this.release = () => {
      if (--this.#holders === 0) onFree(this)
    }
  }

  hold(): void {
    this.#holders++
  }

  /** Somebody besides the reader still needs the bytes: they must not be overwritten. */
  get isShared(): boolean {
    return this.#holders > 1
  }
}

/** Buffers of one size, a bounded number of them out at a time. Used ones come first, as they are warm in the cache. */
export class LeasedBuffers {
  readonly bufferBytes: number
  readonly #maxBytesOut: number
  readonly #idle: LeasedBuffer[] = []
  #bytesOut = 0
  readonly #onFree = (buffer: LeasedBuffer): void => {
    this.#bytesOut -= this.bufferBytes
    if (this.#idle.length < MAX_IDLE) this.#idle.push(buffer)
  }

  constructor(bufferBytes: number, maxBytesOut: number) {
    this.bufferBytes = bufferBytes
    this.#maxBytesOut = maxBytesOut
  }

  /** Held by the caller; null when too much is out already. */
  take(): LeasedBuffer | null {
    if (this.#bytesOut + this.bufferBytes > this.#maxBytesOut) return null
    this.#bytesOut += this.bufferBytes
    const buffer = this.#idle.pop() ?? new LeasedBuffer(Buffer.allocUnsafeSlow(this.bufferBytes), this.#onFree)
    buffer.hold()
    return buffer
  }

  get bytesOut(): number {
    return this.#bytesOut
  }
}
