import type { Problem } from '../config/problem.ts'

/** The config cannot be used; every problem is in `problems`. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'CONFIG'
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    super(`the config cannot be used: ${problems.map((problem) => `${problem.path}: ${problem.message}`).join('; ')}`)
    this.problems = problems
  }
}

/** The balancer could not start. `code` is the system's (`EADDRINUSE`, `EACCES`), or `NOT_READY`, `CAPACITY`, `CONFIG`, `STATE`. */
export class StartError extends Error {
  override readonly name = 'StartError'
  readonly code: string
  readonly problems: readonly Problem[]

  constructor(code: string, message: string, problems: readonly Problem[] = []) {
    super(message)
    this.code = code
    this.problems = problems
  }
}
