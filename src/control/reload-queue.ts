/** Steps one after the other; of the reloads that wait only the latest is applied, and all who asked hear of that one. */
import type { Settings } from '../config/schema.ts'

/** What became of a reload, and the tag of the one that was really applied: the caller's, or a later one that replaced it. */
export interface QueuedResult<T, R> {
  readonly tag: T
  readonly result: R
}

interface Waiting<T, R> {
  settings: Settings
  tag: T
  readonly promise: Promise<QueuedResult<T, R>>
}

export class ReloadQueue<T, R> {
  readonly #apply: (settings: Settings) => Promise<R>
  #waiting: Waiting<T, R> | null = null
  #last: Promise<unknown> = Promise.resolve()

  constructor(apply: (settings: Settings) => Promise<R>) {
    this.#apply = apply
  }

  reload(settings: Settings, tag: T): Promise<QueuedResult<T, R>> {
    if (this.#waiting !== null) {
      this.#waiting.settings = settings
      this.#waiting.tag = tag
      return this.#waiting.promise
    }
    const promise = this.inTurn(async (): Promise<QueuedResult<T, R>> => {
      const latest = this.#waiting!
      this.#waiting = null
      return { tag: latest.tag, result: await this.#apply(latest.settings) }
    })
    this.#waiting = { settings, tag, promise }
    return promise
  }

  /** Work that no reload may come between. */
  inTurn<W>(work: () => W | Promise<W>): Promise<W> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => {})
    return turn
  }
}
