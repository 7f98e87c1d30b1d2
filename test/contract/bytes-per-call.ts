import { GCProfiler } from 'node:v8'

/** Nothing on the heap is smaller: what stays below half of it per call does not allocate in every call. */
export const SMALLEST_OBJECT_BYTES = 16

/**
 * Heap bytes that one call leaves behind, once the compiler has settled: the least of several rounds, as the compiler, the
 * test runner and the collector disturb single ones. A method that allocates does so in every round.
 */
export function bytesPerCall(run: (calls: number) => void): number {
  const calls = 50_000
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < 40 && least > 0.1; round++) {
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
