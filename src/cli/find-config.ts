import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { CONFIG_FILE_NAMES } from '../config/load.ts'
import { CommandError } from './report-error.ts'

/** The config file asked for, or the one in the working directory. Two there are a question, not a choice. */
export function findConfig(given: string | undefined): string {
  if (given !== undefined) return resolve(given)
  const found = CONFIG_FILE_NAMES.filter((name) => existsSync(name))
  if (found.length > 1) {
    throw new CommandError(`there are several configs here: ${found.join(', ')}`, {
      hint: `say which: --config ${found[0]}`,
    })
  }
  if (found[0] === undefined) {
    throw new CommandError(`there is no config in ${process.cwd()}`, {
      hint: `write evenkeel.config.ts (or .js, .mjs, .json, .yaml, .yml), give one with --config FILE,\n  or do without: evenkeel proxy --from :8080 --to http://127.0.0.1:9001`,
    })
  }
  return resolve(found[0])
}
