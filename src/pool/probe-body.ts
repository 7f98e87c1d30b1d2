/** Most of a health answer that is read for its signals, head included. */
const MOST_BYTES = 64 * 1024
const HEAD_END = Buffer.from('\r\n\r\n')

/**
 * Reads the rest of a health answer behind its status line. As checks ask for `connection: close`, an answer of no stated
 * length ends with the connection. What is too long or malformed has no text; the status counts all the same.
 */
export class BodyReader {
  #bytes: Buffer = Buffer.alloc(0)
  #isTooLong = false
  #hasEnded = false
  /** Where the body begins; -1 while the head goes on. */
  #bodyStart = -1
  /** Null: as long as the connection lasts. */
  #length: number | null = null
  #isChunked = false
  #text: string | null = null

  /** True when the answer is complete, or nothing more of it is wanted. */
  feed(bytes: Buffer): boolean {
    if (this.#bytes.length + bytes.length > MOST_BYTES) {
      this.#isTooLong = true
      return true
    }
    this.#bytes = this.#bytes.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#bytes, bytes])
    if (this.#bodyStart < 0) this.#readHead()
    if (this.#bodyStart < 0) return false
    if (this.#isChunked) {
      this.#text = dechunked(this.#bytes, this.#bodyStart)
      return this.#text !== null
    }
    return this.#length !== null && this.#bytes.length - this.#bodyStart >= this.#length
  }

  /** The connection ended. */
  end(): void {
    this.#hasEnded = true
  }

  /** Null where there is none that is whole. */
  text(): string | null {
    if (this.#isTooLong || this.#bodyStart < 0) return null
    if (this.#isChunked) return this.#text
    if (this.#length === null) return this.#hasEnded ? this.#bytes.toString('utf8', this.#bodyStart) : null
    const end = this.#bodyStart + this.#length
    return this.#bytes.length < end ? null : this.#bytes.toString('utf8', this.#bodyStart, end)
  }

  #readHead(): void {
    // The line before has ended, so a head without fields is its blank line alone.
    const isEmpty = this.#bytes.length >= 2 && this.#bytes[0] === 0x0d && this.#bytes[1] === 0x0a
    const end = isEmpty ? -2 : this.#bytes.indexOf(HEAD_END)
    if (end === -1) return
    this.#bodyStart = end + 4
    for (const line of this.#bytes.toString('latin1', 0, Math.max(0, end)).split('\r\n')) {
      const [, name = '', value = ''] = /^([^:]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? []
      if (/^content-length$/i.test(name)) this.#length = /^\d{1,9}$/.test(value) ? Number(value) : null
      else if (/^transfer-encoding$/i.test(name)) this.#isChunked = true
    }
  }
}

/** The chunks from `start` put together; null while the last one is missing, or where they make no sense. */
function dechunked(bytes: Buffer, start: number): string | null {
  const pieces: Buffer[] = []
  let at = start
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) return null
    const [, digits] = /^([0-9a-fA-F]{1,6})[ \t]*(?:;.*)?$/.exec(bytes.toString('latin1', at, lineEnd)) ?? []
    if (digits === undefined) return null
    const size = Number.parseInt(digits, 16)
    if (size === 0) return Buffer.concat(pieces).toString('utf8')
    const end = lineEnd + 2 + size
    if (end + 2 > bytes.length) return null
    pieces.push(bytes.subarray(lineEnd + 2, end))
    at = end + 2
  }
}
