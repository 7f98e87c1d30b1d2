/** Questions to /metrics. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Stage } from './stage.ts'

/** Gauges that must be 0 when nobody is connected. */
const COUNTS_OF_OPEN = /^evenkeel_\w+_(?:open_\w+|in_flight_\w+)(?:\{|$)/

/** A metric over all its labels. */
export function sumOf(metrics: ReadonlyMap<string, number>, name: string): number {
  let sum = 0
  for (const [key, value] of metrics) if (key === name || key.startsWith(`${name}{`)) sum += value
  return sum
}

/** Errors that were counted, by code. */
export function errorsIn(metrics: ReadonlyMap<string, number>): string[] {
  const found: string[] = []
  for (const [key, value] of metrics) {
    const code = /^evenkeel_worker_errors_total\{.*code="(\w+)"/.exec(key)?.[1]
    if (code !== undefined && value > 0) found.push(`${value} × ${code}`)
  }
  return found
}

export interface Settled {
  /** From the call until every count was 0. */
  readonly tookMs: number
  /** What was not 0 in the end, with its value. */
  readonly left: readonly string[]
  readonly gauges: number
}

/** Waits until every count of something open is 0, at most so long; then once more, that it stays so. */
export async function settle(stage: Stage, withinMs: number): Promise<Settled> {
  const beganAt = performance.now()
  for (;;) {
    const { left, gauges } = await openCounts(stage)
    const tookMs = performance.now() - beganAt
    if (left.length > 0 && tookMs < withinMs) {
      await sleep(100)
      continue
    }
    await sleep(200)
    const again = left.length > 0 ? left : (await openCounts(stage)).left
    return { tookMs, left: again, gauges }
  }
}

async function openCounts(stage: Stage): Promise<{ readonly left: readonly string[]; readonly gauges: number }> {
  const open = [...(await stage.metrics())].filter(([key]) => COUNTS_OF_OPEN.test(key))
  return { left: open.filter(([, value]) => value !== 0).map(([key, value]) => `${key} ${value}`), gauges: open.length }
}
