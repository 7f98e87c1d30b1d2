/**
 * Exceptions on the request path: bugs of ours. One costs the connection that it met (see `docs/life-of-a-request.md`),
 * is counted as EK_INTERNAL there, and is told here with its stack: the first at once, then at most one a minute, as a
 * request that meets a bug may come a thousand times a second.
 */
const TOLD_EVERY_MS = 60_000

export class InternalErrors {
  readonly #tell: (message: string) => void
  readonly #now: () => number
  #toldAt = Number.NEGATIVE_INFINITY
  #untold = 0

  constructor(tell: (message: string) => void, now: () => number) {
    this.#tell = tell
    this.#now = now
  }

  report(error: unknown): void {
    const nowMs = this.#now()
    if (nowMs - this.#toldAt < TOLD_EVERY_MS) {
      this.#untold++
      return
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const more = this.#untold === 0 ? '' : ` (and ${this.#untold} more since the last report)`
    this.#toldAt = nowMs
    this.#untold = 0
    this.#tell(`EK_INTERNAL: a bug ended a connection${more}: ${text}`)
  }
}
