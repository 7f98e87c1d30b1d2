/** `evenkeel check [FILE]`: says everything that is wrong with a config. */
import { styleText } from 'node:util'
import type { Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import type { Problem } from '../config/problem.ts'
import type { Settings } from '../config/schema.ts'
import { ExitCode } from './exit-code.ts'
import { type ConfigOptions, findConfig, givenConfig, withConfig } from './find-config.ts'
import { nearPath, readableProblem } from './problem-lines.ts'

export function register(program: Command): void {
  withConfig(
    program
      .command('check')
      .summary('say everything that is wrong with a config')
      .description('Checks a config without starting anything. Exit 0: it is good; 1: it is not.'),
  )
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  evenkeel check evenkeel.config.yaml')
    .action(async (given: string | undefined, options: ConfigOptions & { readonly json?: true }, command: Command) => {
      const file = findConfig(givenConfig(command, given, options))
      const loaded = await loadConfig(file)
      const all = loaded.problems ?? loaded.warnings
      const errors = all.filter(({ severity }) => severity === 'error')
      const warnings = all.filter(({ severity }) => severity === 'warning')
      if (options.json) {
        const summary = loaded.settings === undefined ? null : summarise(loaded.settings)
        console.log(
          JSON.stringify({ ok: loaded.settings !== undefined, file, problems: errors, warnings, summary }, null, 2),
        )
      } else print(file, loaded.settings, errors, warnings)
      process.exitCode = loaded.settings === undefined ? ExitCode.PROBLEM : ExitCode.OK
    })
}

function print(
  file: string,
  settings: Settings | undefined,
  errors: readonly Problem[],
  warnings: readonly Problem[],
): void {
  for (const problem of [...errors, ...warnings]) console.log(readableProblem(problem, process.stdout))
  if (settings === undefined) {
    console.log(
      `${styleText('red', '✗')} ${nearPath(file)}: ${plural(errors.length, 'problem')}${warnings.length > 0 ? `, ${plural(warnings.length, 'warning')}` : ''}`,
    )
    return
  }
  const { listeners, routes, pools, endpoints } = summarise(settings)
  const what = [
    plural(listeners, 'listener'),
    plural(routes, 'route'),
    plural(pools, 'pool'),
    plural(endpoints, 'endpoint'),
  ].join(', ')
  console.log(
    `${styleText('green', '✓')} ${nearPath(file)} is good: ${what}${warnings.length > 0 ? `; ${plural(warnings.length, 'warning')}` : ''}`,
  )
}

function summarise(settings: Settings) {
  const pools = Object.values(settings.pools)
  return {
    listeners: settings.listeners.length,
    routes: settings.routes.length,
    pools: pools.length,
    endpoints: pools.reduce((sum, pool) => sum + pool.endpoints.length, 0),
  }
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
