import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { CONFIG_FILE_NAMES } from '../config/load.ts'
import { CommandError } from './report-error.ts'

/** The options that every command about a config file has. */
export interface ConfigOptions {
  readonly config?: string
}

/** Adds `[file]` and `--config FILE`, two ways to say the same. */
export function withConfig(command: Command): Command {
  return command
    .argument('[file]', 'the config; default: evenkeel.config.{ts,js,mjs,json,yaml,yml} in this directory')
    .option('-c, --config <file>', 'the same')
}

/** What the command line says of a config, if it says anything. Two different files make no sense. */
export function givenConfig(command: Command, file: string | undefined, { config }: ConfigOptions): string | undefined {
  if (file !== undefined && config !== undefined && resolve(file) !== resolve(config)) {
    command.error(`error: there are two configs: ${file} and --config ${config}`)
  }
  return file ?? config
}

/** The config file asked for, or the one in the working directory. Two there are a question, not a choice. */
export function findConfig(given: string | undefined): string {
  if (given !== undefined) return resolve(given)
  const found = configsHere()
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

/** The names in the working directory that `start` would take for a config. */
export function configsHere(): string[] {
  return CONFIG_FILE_NAMES.filter((name) => existsSync(name))
}
