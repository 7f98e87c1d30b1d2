/**
 * `evenkeel/core`: the parts that decide, without I/O, clocks or Node; they run in a browser too. Time, chance and counts are
 * arguments. The hash functions and consistent maps are in `evenkeel/ring`.
 */

// Pickers: which endpoint is taken.

export { createLocalDeps, type LocalDeps, LocalSignals } from './balance/local-deps.ts'
export {
  type Accept,
  type ExplainedCandidate,
  type Explanation,
  type Members,
  Outcome,
  type Picker,
  type PickerDeps,
  type PickerEntry,
  type SignalColumn,
  type SignalTable,
} from './balance/picker.ts'
export { PICKERS, type PickerName } from './balance/registry.ts'

// Load metrics: how loaded one is.

export type { LoadMetric, MetricEntry } from './balance/metrics/load-metric.ts'
export { METRICS } from './balance/metrics/registry.ts'

// Modifiers: what a picker gets to see.

export {
  type BalancedPickerSettings,
  createBalancedPicker,
  type ModifierOptions,
} from './balance/balanced-picker.ts'
export { explainBound, pickBound } from './balance/modifiers/stickiness.ts'

// Signals, scores and weights.

export { Ewma, EwmaColumns, type EwmaStorage } from './signals/ewma.ts'
export {
  complement,
  inverse,
  linear,
  type Normaliser,
  normalise,
  normaliserProblem,
  ratio,
  share,
} from './signals/normaliser.ts'
export {
  ORCA_FIELDS,
  type OrcaField,
  type OrcaProblem,
  type OrcaReport,
  type OrcaResult,
  parseOrcaReport,
} from './signals/orca-report.ts'
export {
  type OrcaWeightOptions,
  type OrcaWeightStorage,
  OrcaWeights,
  orcaUtilization,
  orcaWeight,
} from './signals/orca-weights.ts'
export { ADAPTIVE_SCORE, type NodeLoadScales, nodeLoadScore, RESOURCE_SCORE } from './signals/score-presets.ts'
export {
  freshnessAt,
  NEUTRAL_SCORE,
  type Score,
  type ScoreDefinition,
  type ScorePart,
  Scorer,
  type SignalColumns,
  type SignalReading,
  type SignalSettings,
  type SignalState,
  shrinkTowardsMean,
  withWeights,
} from './signals/scorer.ts'
export {
  type NodeSample,
  WeightController,
  type WeightControllerOptions,
  type WeightDecision,
  type WeightTrigger,
} from './signals/weight-controller.ts'
export { type WeightOptions, weightsFromLoads, wholeWeights } from './signals/weights.ts'

// Resilience: when to try, wait, queue or refuse.

export { Backoff, type BackoffOptions } from './resilience/backoff.ts'
export {
  BREAKER_TRANSITIONS,
  BREAKER_WORDS,
  BreakerEvent,
  type BreakerOptions,
  BreakerOutcome,
  BreakerState,
  Breakers,
} from './resilience/breaker.ts'
export { type CodelOptions, CodelQueue } from './resilience/codel.ts'
export { ConcurrencyLimit, type ConcurrencyLimitOptions } from './resilience/concurrency-limit.ts'
export { RetryBudget, type RetryBudgetOptions } from './resilience/retry-budget.ts'
export { TOKEN_BUCKET_WORDS, type TokenBucketOptions, TokenBuckets } from './resilience/token-bucket.ts'

// Measuring, and seeded chance.

export { createRandom } from './random.ts'
export { Histogram, type HistogramBucket, type HistogramShape } from './signals/histogram.ts'
