/** Starts threads that hammer shared memory, and ends them: told to stop, or terminated in the middle of whatever they do. */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { SharedMemory } from '../../src/memory/shared-memory.ts'

/** What a thread does over and over; see `hammer-thread.ts`. */
export type HammerJob = 'ledger' | 'limit' | 'slots' | 'addresses'

export interface HammerTask {
  readonly job: HammerJob
  readonly memory: SharedMemory
  /** The thread's index in the memory. */
  readonly worker: number
  /** Rounds to make; 0: until told to stop. */
  readonly rounds: number
  readonly limit: number
  /** Shared words that threads and test talk by. */
  readonly words: HammerWords
}

export interface HammerWords {
  readonly stop: Int32Array
  /** Rounds made, by worker. */
  readonly rounds: Int32Array
  /** What each worker holds at its end, or thinks it does: worker × things. */
  readonly held: Int32Array
  /** Threads inside a limit, by thing: counted after getting in, before going out. */
  readonly inside: Int32Array
  /** How often a limit was seen exceeded, or a free slot in use. */
  readonly violations: Int32Array
  /** The generation to use, by slot: written by the test. */
  readonly generation: Int32Array
}

export function hammerWords(workers: number, things: number): HammerWords {
  const words = (count: number): Int32Array => new Int32Array(new SharedArrayBuffer(count * 4))
  return {
    stop: words(1),
    rounds: words(workers),
    held: words(workers * things),
    inside: words(things),
    violations: words(1),
    generation: words(things),
  }
}

/** Anything that runs a function when it is over: a test's context. */
export interface Scope {
  after(end: () => Promise<void>): void
}

/** A thread that does one job, and ends with the test at the latest: also with one that failed. */
export class Hammer {
  readonly #task: HammerTask
  readonly #thread: Worker
  readonly #exit: Promise<unknown>

  constructor(scope: Scope, task: HammerTask) {
    this.#task = task
    this.#thread = new Worker(new URL('./hammer-thread.ts', import.meta.url), { workerData: task })
    this.#exit = once(this.#thread, 'exit')
    scope.after(() => this.terminate())
  }

  /** Resolves when the thread is in the middle of its work. */
  async warm(): Promise<void> {
    while (Atomics.load(this.#task.words.rounds, this.#task.worker) === 0) {
      await Promise.race([delay(1), this.#exit])
    }
  }

  /** Kills the thread wherever it is. */
  async terminate(): Promise<void> {
    await this.#thread.terminate()
    await this.#exit
  }

  /** Waits for the thread to make its rounds or to see that it should stop. */
  async finish(): Promise<void> {
    const [code] = (await this.#exit) as [number]
    if (code !== 0) throw new Error(`the thread ended with code ${code}`)
  }
}
