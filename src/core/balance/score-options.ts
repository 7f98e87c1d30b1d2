import { type ScoreDefinition, withWeights } from '../signals/scorer.ts'

/** A score with the weights that the option `weights` gives instead of its own: `{ name: number }`. Throws a RangeError. */
export function scoreWithOptions(
  definition: ScoreDefinition,
  options: Readonly<Record<string, unknown>>,
  names: Readonly<Record<string, string>> = {},
): ScoreDefinition {
  const given = options['weights']
  if (given === undefined) return definition
  if (typeof given !== 'object' || given === null) {
    throw new RangeError(`weights is ${JSON.stringify(given)}, it must be an object of numbers by name`)
  }
  const weights: Record<string, number> = {}
  for (const [name, weight] of Object.entries(given)) {
    if (typeof weight !== 'number' || !(weight >= 0 && weight < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`weights.${name} is ${JSON.stringify(weight)}, it must be a number from 0`)
    }
    weights[names[name] ?? name] = weight
  }
  return withWeights(definition, weights)
}
