import type { HashFunction } from '../hash/hash-function.ts'
import { DEFAULT_HASH, HASH_FUNCTIONS } from '../hash/registry.ts'

type Options = Readonly<Record<string, unknown>>

/** An option that is a whole number, or undefined where it is not given. Throws a RangeError that says what it must be. */
export function wholeOption(options: Options, name: string, least: number, most: number): number | undefined {
  const value = options[name]
  if (value === undefined) return undefined
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value
  throw new RangeError(`${name} is ${shown(value)}, it must be a whole number from ${least} to ${most}`)
}

/** The option `hash`: the name of a function, or an object of the shape of `HashFunction`. Throws a RangeError. */
export function hashOption(options: Options): HashFunction {
  const value = options['hash'] ?? DEFAULT_HASH
  if (typeof value === 'string') {
    for (const [name, hash] of Object.entries<HashFunction>(HASH_FUNCTIONS)) if (name === value) return hash
  } else if (isHashFunction(value)) return value
  throw new RangeError(
    `hash is ${shown(value)}, it must be one of ${Object.keys(HASH_FUNCTIONS).join(', ')}, or a hash function of your own`,
  )
}

/** An option that is a function of whole numbers, or undefined. Throws a RangeError when it is none. */
export function formulaOption<Formula extends (...args: never[]) => number>(
  options: Options,
  name: string,
  isFormula: (value: unknown) => value is Formula,
): Formula | undefined {
  const value = options[name]
  if (value === undefined) return undefined
  if (isFormula(value)) return value
  throw new RangeError(`${name} is ${shown(value)}, it must be a function`)
}

function isHashFunction(value: unknown): value is HashFunction {
  return (
    typeof value === 'object' &&
    value !== null &&
    'ofString' in value &&
    typeof value.ofString === 'function' &&
    'ofBytes' in value &&
    typeof value.ofBytes === 'function'
  )
}

function shown(value: unknown): string {
  // JSON has no functions.
  return typeof value === 'function' ? 'a function' : JSON.stringify(value)
}
