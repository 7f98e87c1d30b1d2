/** Problems of a config, for a person at a terminal. */
import { relative } from 'node:path'
import { styleText } from 'node:util'
import type { Problem } from '../config/problem.ts'
import { formatProblem } from '../config/problem.ts'

/** One line; the file as seen from the working directory, colours where the stream has them. */
export function readableProblem(problem: Problem, stream: NodeJS.WritableStream): string {
  const shown = problem.file === undefined ? problem : { ...problem, file: nearPath(problem.file) }
  const line = formatProblem(shown)
  return problem.severity === 'warning' ? styleText('yellow', line, { stream }) : line
}

/** A path as short as it is clear: relative where it is below the working directory. */
export function nearPath(path: string): string {
  const near = relative(process.cwd(), path)
  return near === '' || near.startsWith('..') ? path : near
}
