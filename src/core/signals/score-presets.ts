import { complement, inverse, linear, ratio, share } from './normaliser.ts'
import type { ScoreDefinition } from './scorer.ts'

/** How long a measured signal is believed without news: six health answers of 10 s. */
export const DEFAULT_SIGNAL_TTL_MS = 60_000

/**
 * Document 000's adaptive score, high is good: 0.3 · (1 − load) + 0.25 / (1 + latency / 100 ms) + 0.2 · reliability
 * + 0.15 · availableCapacity / totalCapacity + 0.1 · proximity.
 *
 * Signals: `load` 0..1, `latency` ms, `reliability` 0..1, `availableCapacity` over `totalCapacity` (any unit), `proximity`
 * 0..1 with 1 for near (000 gives no formula for it: the caller makes it of zones or distances). Reliability, capacity and
 * proximity hold until told otherwise. The weights may be replaced with `withWeights`.
 */
export const ADAPTIVE_SCORE: ScoreDefinition = {
  name: 'adaptive',
  best: 'highest',
  signals: [
    { name: 'load', weight: 0.3, normaliser: complement(), ttlMs: DEFAULT_SIGNAL_TTL_MS },
    { name: 'latency', weight: 0.25, normaliser: inverse(100), ttlMs: DEFAULT_SIGNAL_TTL_MS },
    { name: 'reliability', weight: 0.2, normaliser: share(), ttlMs: Number.POSITIVE_INFINITY },
    {
      name: 'availableCapacity',
      weight: 0.15,
      normaliser: ratio('totalCapacity'),
      ttlMs: Number.POSITIVE_INFINITY,
    },
    { name: 'proximity', weight: 0.1, normaliser: share(), ttlMs: Number.POSITIVE_INFINITY },
  ],
}

/**
 * Document 001's resource-based choice, high is good: the free share of CPU and memory. 001 names the two and gives no
 * formula; equal weights are ours. Signals: `cpu`, `memory`, both 0..1.
 */
export const RESOURCE_SCORE: ScoreDefinition = {
  name: 'resource',
  best: 'highest',
  signals: [
    { name: 'cpu', weight: 0.5, normaliser: complement(), ttlMs: DEFAULT_SIGNAL_TTL_MS },
    { name: 'memory', weight: 0.5, normaliser: complement(), ttlMs: DEFAULT_SIGNAL_TTL_MS },
  ],
}

/** At what values 004's open-ended signals count as full load. 004 says "normalised" without saying against what. */
export interface NodeLoadScales {
  /** Default 500. */
  readonly latencyMs?: number
  /** Messages behind; default 1 000. */
  readonly lag?: number
  /** Default 10 000. */
  readonly connections?: number
}

/**
 * Document 004's load of a node, low is good: 0.4 CPU + 0.4 memory + 0.1 latency + 0.05 lag + 0.05 connections.
 *
 * Signals: `cpu`, `memory` 0..1, `latency` ms, `lag` messages, `connections`; the last three are divided by fixed scales, and
 * not by the fleet's largest value, so that one node's load does not move because another's did.
 */
export function nodeLoadScore(scales: NodeLoadScales = {}): ScoreDefinition {
  const { latencyMs = 500, lag = 1000, connections = 10_000 } = scales
  return {
    name: 'node-load',
    best: 'lowest',
    signals: [
      { name: 'cpu', weight: 0.4, normaliser: share(), ttlMs: DEFAULT_SIGNAL_TTL_MS },
      { name: 'memory', weight: 0.4, normaliser: share(), ttlMs: DEFAULT_SIGNAL_TTL_MS },
      { name: 'latency', weight: 0.1, normaliser: linear(0, latencyMs), ttlMs: DEFAULT_SIGNAL_TTL_MS },
      { name: 'lag', weight: 0.05, normaliser: linear(0, lag), ttlMs: DEFAULT_SIGNAL_TTL_MS },
      { name: 'connections', weight: 0.05, normaliser: linear(0, connections), ttlMs: DEFAULT_SIGNAL_TTL_MS },
    ],
  }
}
