/** One thing that is wrong with a config, said so that it can be mended: where, what, and what to do. */
export interface Problem {
  /** Dotted path to the value, as it is written in the config: `pools.web.endpoints[1].weight`; empty for the whole. */
  readonly path: string
  readonly message: string
  /** What to do about it, where that is known: the nearest key, the right spelling. */
  readonly hint?: string
  /** The file, when the config came from one. */
  readonly file?: string
  /** One-based: the value's own place. Of a value in a module only where the source shows it beyond doubt. */
  readonly line?: number
  readonly column?: number
  /** A warning does not keep the config from being used. */
  readonly severity: 'error' | 'warning'
  readonly code: ProblemCode
}

/** What kind of problem it is; stable, for programs that read `evenkeel check --json`. */
export type ProblemCode =
  | 'unreadable'
  | 'syntax'
  | 'module-error'
  | 'unknown-file-type'
  | 'unknown-key'
  | 'missing'
  | 'wrong-type'
  | 'out-of-range'
  | 'bad-value'
  | 'unknown-name'
  | 'duplicate'
  | 'version'
  | 'unreachable'
  | 'empty'
  | 'doubtful'

/** A step into a config: a key or a position. */
export type PathStep = string | number

/** A problem before it has a place in a file. */
export interface Finding {
  readonly path: readonly PathStep[]
  readonly message: string
  readonly hint?: string
  readonly severity: 'error' | 'warning'
  readonly code: ProblemCode
  /** For an unknown key: the place is the key's, not the value's. */
  readonly atKey?: boolean
  /** For an unknown key: the one that was probably meant. That it is missing is no news then. */
  readonly meant?: string
}

/** `['pools', 'my web', 'endpoints', 1]` → `pools["my web"].endpoints[1]`. */
export function formatPath(path: readonly PathStep[]): string {
  let text = ''
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`
    else if (/^[\w$-]+$/.test(step)) text += text === '' ? step : `.${step}`
    else text += `[${JSON.stringify(step)}]`
  }
  return text
}

/** One problem as one line for a person: `file:3:5: pools.web.balnce: … (hint)`. */
export function formatProblem(problem: Problem): string {
  let where = problem.file ?? ''
  if (problem.line !== undefined) where += `:${problem.line}${problem.column === undefined ? '' : `:${problem.column}`}`
  const parts = [where, problem.severity === 'warning' ? 'warning' : '', problem.path].filter((part) => part !== '')
  const hint = problem.hint === undefined ? '' : ` (${problem.hint})`
  return `${parts.length === 0 ? '' : `${parts.join(': ')}: `}${problem.message}${hint}`
}
