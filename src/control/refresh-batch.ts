/** Gathers the pools whose weights or states changed, so that many changes are one message to the workers. */

/** A drain or a removal is sent at once, everything else after this. */
export const GATHER_MS = 50

interface Batch {
  readonly pools: Set<string>
  readonly version: Promise<number>
  readonly send: () => void
}

export class RefreshBatch {
  readonly #send: (pools: readonly string[]) => number
  #batch: Batch | null = null
  #timer: NodeJS.Timeout | null = null

  /** `send` tells the workers, and gives the version that says so. */
  constructor(send: (pools: readonly string[]) => number) {
    this.#send = send
  }

  /** Has the workers read weights and states anew; resolves with the version that says they did. */
  ask(pools: readonly string[], isUrgent: boolean): Promise<number> {
    this.#batch ??= this.#open()
    const { pools: dirty, version, send } = this.#batch
    for (const pool of pools) dirty.add(pool)
    if (isUrgent) send()
    return version
  }

  /** Sends what waits. */
  flush(): void {
    this.#batch?.send()
  }

  #open(): Batch {
    const { promise, resolve } = Promise.withResolvers<number>()
    const pools = new Set<string>()
    const send = (): void => {
      if (this.#timer !== null) clearTimeout(this.#timer)
      this.#timer = null
      this.#batch = null
      resolve(this.#send([...pools]))
    }
    this.#timer = setTimeout(send, GATHER_MS)
    return { pools, version: promise, send }
  }
}
