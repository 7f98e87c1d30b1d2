/** A picker's option that is a number; throws a RangeError that says what it must be. */
export function numberOption(
  options: Readonly<Record<string, unknown>>,
  name: string,
  preset: number,
  least: number,
  most: number,
): number {
  const value = options[name]
  if (value === undefined) return preset
  if (typeof value === 'number' && value >= least && value <= most) return value
  throw new RangeError(`${name} is ${JSON.stringify(value)}, it must be a number from ${least} to ${most}`)
}

/** One that is true or false. */
export function booleanOption(options: Readonly<Record<string, unknown>>, name: string): boolean {
  const value = options[name]
  if (value === undefined) return false
  if (typeof value === 'boolean') return value
  throw new RangeError(`${name} is ${JSON.stringify(value)}, it must be true or false`)
}
