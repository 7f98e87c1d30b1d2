/** Long work in short turns, so that control's loop goes on: workers, checks and calls are heard in between. */
import { setImmediate as turn } from 'node:timers/promises'

/** Nothing in control blocks for 10 ms; a slice may be late by one step. */
const SLICE_MS = 4

/** How many items of a long list may go by before it is looked whether a slice is over. */
export const STEP_ITEMS = 256

/** Runs steps to their end, a few milliseconds at a time. */
export async function inSlices<R>(steps: Iterator<void, R>): Promise<R> {
  let startedAt = performance.now()
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
    if (performance.now() - startedAt < SLICE_MS) continue
    await turn()
    startedAt = performance.now()
  }
}

/** The same at once. */
export function atOnce<R>(steps: Iterator<void, R>): R {
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

/** `work` for each item, in steps. */
export function* eachInSteps<T>(items: Iterable<T>, work: (item: T) => void): Generator<void, void> {
  let count = 0
  for (const item of items) {
    work(item)
    count += 1
    if (count % STEP_ITEMS === 0) yield
  }
}
