/**
 * Follows the frame headers of one direction of a WebSocket (RFC 6455 section 5.2) without looking at payloads,
 * to know at any time whether the next byte begins a frame. State: the header bytes seen so far and the payload left.
 */
export class WebSocketFrames {
  /** Payload bytes of the current frame still to come. */
  #left = 0
  /** Bytes of the current header still to come; 0: between header and payload, or between frames. */
  #headerLeft = 0
  #headerBytes = 0
  /** Payload length, as far as the header told it. */
  #length = 0
  /** Where in the header the extended length ends and the mask begins. */
  #extendedEnd = 2
  /** A Close frame has begun: nothing may follow it. */
  hasClosed = false

  /** True when everything passed on so far ends with a whole frame. */
  get isBetweenFrames(): boolean {
    return this.#left === 0 && this.#headerLeft === 0 && this.#headerBytes === 0
  }

  follow(bytes: Buffer, start: number, end: number): void {
    let at = start
    while (at < end) {
      if (this.#left > 0) {
        const skip = Math.min(this.#left, end - at)
        this.#left -= skip
        at += skip
        continue
      }
      this.#header(bytes[at]!)
      at++
    }
  }

  #header(byte: number): void {
    const position = this.#headerBytes++
    if (position === 0) {
      if ((byte & 0x0f) === 0x8) this.hasClosed = true
      this.#headerLeft = 1
      return
    }
    if (position === 1) {
      const short = byte & 0x7f
      const extended = short === 126 ? 2 : short === 127 ? 8 : 0
      const mask = (byte & 0x80) === 0 ? 0 : 4
      this.#length = extended === 0 ? short : 0
      this.#extendedEnd = 2 + extended
      this.#headerLeft = extended + mask
    } else {
      // Multiplied, not shifted: lengths pass 2^32. What passes 2^53 never ends, as far as anybody can tell.
      if (position < this.#extendedEnd) this.#length = this.#length * 256 + byte
      this.#headerLeft--
    }
    if (this.#headerLeft === 0) {
      this.#left = this.#length
      this.#headerBytes = 0
    }
  }
}
