import type { Accept, ExplainedCandidate, Explanation } from './picker.ts'
import { EXPLAINED_CANDIDATES } from './picker.ts'

/** What is told of a pick that was made: how each member stood just before it. */
export interface PickStory {
  /** As picked. */
  readonly position: number
  readonly reason: string
  /** Positions that were looked at. */
  readonly looked: readonly number[]
  /** All members with weight. */
  readonly size: number
  readonly accept: Accept
  weightOf(position: number): number
  /** Null: nothing is compared. */
  costOf: ((position: number) => number) | null
  partsOf(position: number): Record<string, number>
}

/** An explanation: the picked one first, then by cost, and by position where nothing is compared. */
export function explain(story: PickStory): Explanation {
  const { position, reason, looked, size, accept, costOf } = story
  const rank = (candidate: number): number =>
    candidate === position ? Number.NEGATIVE_INFINITY : costOf === null ? candidate : costOf(candidate)
  const shown = looked.map((candidate) => ({ candidate, rank: rank(candidate) }))
  shown.sort((a, b) => (a.rank === b.rank ? a.candidate - b.candidate : a.rank - b.rank))
  const candidates = shown.slice(0, EXPLAINED_CANDIDATES).map(
    ({ candidate }): ExplainedCandidate => ({
      position: candidate,
      weight: story.weightOf(candidate),
      isVetoed: !accept(candidate),
      cost: costOf === null ? null : costOf(candidate),
      parts: story.partsOf(candidate),
    }),
  )
  return { position, reason, candidates, others: Math.max(0, size - candidates.length) }
}

/** Positions with weight. */
export function weightedPositions(weights: Float64Array, count: number): number[] {
  const positions: number[] = []
  for (let position = 0; position < count; position++) if (isWeight(weights[position]!)) positions.push(position)
  return positions
}

/** True for weights that take part. */
export function isWeight(weight: number): boolean {
  return weight > 0 && weight < Number.POSITIVE_INFINITY
}

/** A share as a percentage for a sentence. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}
