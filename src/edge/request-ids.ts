/**
 * Request ids: 12 random characters of the worker's life and a counter. Unique without coordination, cheap, and short;
 * they are names for people and logs, not secrets.
 */
export class RequestIds {
  readonly #prefix: string
  #next = 0

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  make(): string {
    this.#next = (this.#next + 1) % 0x1_0000_0000
    return this.#prefix + (this.#next + 0x1_0000_0000).toString(36)
  }
}

/** What may be taken over from a trusted peer: visible ASCII of a sane length, nothing that could break a log or a field. */
export function isRequestId(text: string): boolean {
  return text.length <= 128 && /^[\w.:/+=@-]+$/.test(text)
}
