import { GCProfiler } from 'node:v8'

/** Nothing on the heap is smaller: what stays below half of it per call does not allocate in every call. */
export const SMALLEST_OBJECT_BYTES = 16

/** After this long it is the call that allocates. */
const PATIENCE_MS = 3000

/**
 * Heap bytes that one call leaves behind, once the compiler has settled: the least of several rounds, as the compiler, the
 * test runner and the collector disturb single ones. A method that allocates does so in every round.
 */
export function bytesPerCall(run: (calls: number) => void): number {
  const calls = 50_000
  let least = Number.POSITIVE_INFINITY
  // On a busy machine the compiler may be late, and what it has not seen to boxes numbers.
  const giveUpAt = performance.now() + PATIENCE_MS
  while (least > 0.1 && performance.now() < giveUpAt) {
    const profiler = new GCProfiler()
    profiler.start()
    const before = process.memoryUsage().heapUsed
    run(calls)
    const grown = process.memoryUsage().heapUsed - before
    // Where the collector ran the round says nothing.
    if ((profiler.stop()?.statistics.length ?? 0) === 0) least = Math.min(least, grown / calls)
  }
  return least
}

/** Throws when a call of `run` allocates. */
export function assertAllocatesNothing(run: (calls: number) => void): void {
  const bytes = bytesPerCall(run)
  if (bytes >= SMALLEST_OBJECT_BYTES / 2) throw new Error(`${bytes} bytes per call`)
}
