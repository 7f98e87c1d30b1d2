/**
 * What is to be added to this thread's `performance.now()` so that all threads of the process read one clock: each thread's
 * own counts from its start. By the monotonic clock of the system, not by `performance.timeOrigin`, which is wall time as each
 * thread found it, so that a step of the clock between two starts would part them.
 */
export const SHARED_CLOCK_OFFSET_MS: number = Number(process.hrtime.bigint()) / 1e6 - performance.now()

/** Milliseconds above 0, monotonic, the same in every thread of the process. */
export function sharedNowMs(): number {
  return performance.now() + SHARED_CLOCK_OFFSET_MS
}
