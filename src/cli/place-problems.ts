/** Problems that show when a config is applied, with their lines: control knows listeners by name, the file by position. */
import type { LoadedConfig } from '../config/load.ts'
import type { Problem } from '../config/problem.ts'

/** Gives a problem its line in the file that the config came from; leaves it alone where that is not known. */
export function placeProblem(problem: Problem, loaded: Pick<LoadedConfig, 'settings' | 'place'>): Problem {
  if (problem.line !== undefined) return problem
  const index = loaded.settings.listeners.findIndex(({ name }) => problem.path === `listeners[${name}].bind`)
  const place = index < 0 ? undefined : loaded.place(['listeners', index, 'bind'])
  return place === undefined ? problem : { ...problem, ...place }
}
