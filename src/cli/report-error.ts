/** How errors reach a person: what went wrong, why, what to do. A stack trace only when EVENKEEL_DEBUG asks for one. */
import { styleText } from 'node:util'
import { CommanderError } from 'commander'
import type { Problem } from '../config/problem.ts'
import { ExitCode } from './exit-code.ts'
import { readableProblem } from './problem-lines.ts'

/** A failure that a command expects and explains. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  /** What to do about it. */
  readonly hint: string | undefined
  readonly problems: readonly Problem[]

  constructor(
    message: string,
    details: { readonly hint?: string; readonly problems?: readonly Problem[]; readonly cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? {} : { cause: details.cause })
    this.hint = details.hint
    this.problems = details.problems ?? []
  }
}

/**
 * Says an error on standard error (as JSON on standard output when `asJson`) and gives the exit code.
 * Commander has said usage errors itself.
 */
export function reportError(error: unknown, asJson: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE
  if (process.env['EVENKEEL_DEBUG'] === '1' && error instanceof Error) console.error(error)
  const { message, hint, problems } = explain(error)
  if (asJson) {
    console.log(JSON.stringify({ ok: false, message, ...(hint === undefined ? {} : { hint }), problems }))
    return ExitCode.PROBLEM
  }
  console.error(`${styleText('red', 'error:', { stream: process.stderr })} ${message}`)
  // A start that fails has its reasons in its message and as its problems.
  const further = problems.filter((problem) => !message.includes(problem.message))
  for (const problem of further) console.error(`  ${readableProblem(problem, process.stderr)}`)
  if (hint !== undefined) console.error(`  ${hint}`)
  return ExitCode.PROBLEM
}

function explain(error: unknown): { message: string; hint?: string; problems: readonly Problem[] } {
  if (error instanceof CommandError) {
    return {
      message: error.message,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      problems: error.problems,
    }
  }
  // Errors of the library name themselves: they carry a code, and problems where there are several.
  if (error instanceof Error && 'code' in error) {
    const problems = 'problems' in error && Array.isArray(error.problems) ? (error.problems as readonly Problem[]) : []
    const message = problems.length > 0 && error.name === 'ConfigError' ? 'the config cannot be used' : error.message
    const same = problems.find((problem) => message.includes(problem.message))
    const hint = hintFor(String(error.code)) ?? same?.hint
    return { message, ...(hint === undefined ? {} : { hint }), problems }
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return {
    message: `something unexpected happened: ${message}`,
    hint: 'EVENKEEL_DEBUG=1 shows where; please report it',
    problems: [],
  }
}

function hintFor(code: string): string | undefined {
  switch (code) {
    case 'EADDRINUSE':
      return 'another program listens there: stop it, or bind another port'
    case 'EACCES':
      return 'ports below 1024 need a privilege: use a higher port, or give CAP_NET_BIND_SERVICE (see the operations guide)'
    case 'EADDRNOTAVAIL':
      return "`ip addr` lists the machine's addresses; 0.0.0.0 (or :PORT) is all of them, 127.0.0.1 this machine alone"
    case 'EAFNOSUPPORT':
      return "this machine has no IPv6: bind '0.0.0.0:PORT' instead of ':PORT'"
    default:
      return undefined
  }
}
