/** `evenkeel start`: runs a balancer from a config file. */
import type { Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import { type ConfigOptions, findConfig, givenConfig, withConfig } from './find-config.ts'
import { nearPath } from './problem-lines.ts'
import { CommandError } from './report-error.ts'
import { holdSignals, runBalancer } from './run-balancer.ts'

export function register(program: Command): void {
  withConfig(
    program
      .command('start')
      .summary('run a balancer from a config file')
      .description(
        'Runs in the foreground until SIGTERM or SIGINT, which let running exchanges finish (a second one cuts them off).\nSIGHUP, or a change of the file, reloads it; a broken one is refused and the config before stays. SIGUSR1 reopens logs.',
      ),
  )
    .option('--json', 'say what happens as one JSON object per line')
    .addHelpText('after', '\nExample:\n  evenkeel start evenkeel.config.ts')
    .action(async (given: string | undefined, options: ConfigOptions & { readonly json?: true }, command: Command) => {
      // By default both end the process or open its inspector, also while the config is still being read.
      const early = holdSignals()
      const file = findConfig(givenConfig(command, given, options))
      const loaded = await loadConfig(file)
      if (loaded.problems !== undefined) {
        throw new CommandError(`${nearPath(file)} cannot be used`, { problems: loaded.problems })
      }
      await runBalancer({ ...loaded, file }, { json: options.json === true, early })
    })
}
