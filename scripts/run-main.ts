/** How the scripts of scripts/ and bench/ end: an exit code, and a failure as a sentence instead of a stack trace. */

/** The command line makes no sense: exit 2, as the product's own commands do. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/**
 * Runs a script's main function and sets the exit code: what it returns (nothing is 0), 2 where the arguments make no sense,
 * 1 where it throws. `EVENKEEL_DEBUG=1` shows where. Never rejects.
 */
export async function runMain(main: () => Promise<number | void> | number | void): Promise<void> {
  try {
    process.exitCode = (await main()) ?? 0
  } catch (error) {
    process.exitCode = isUsage(error) ? 2 : 1
    const isDebugging = process.env['EVENKEEL_DEBUG'] === '1'
    console.error(error instanceof Error && !isDebugging ? error.message : error)
  }
}

function isUsage(error: unknown): boolean {
  const code: unknown = (error as NodeJS.ErrnoException | null)?.code
  // util.parseArgs: an option that there is not, a value that is missing.
  return error instanceof UsageError || (typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS_'))
}

/** Reads the number of an option. */
export function numberOption(name: string, text: string, least: number): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!(value >= least && Number.isFinite(value)))
    throw new UsageError(`--${name} is a number from ${least} on, not '${text}'`)
  return value
}
