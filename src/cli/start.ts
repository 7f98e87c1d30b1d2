/** `evenkeel start`: runs a balancer from a config file. */
import type { Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import { findConfig } from './find-config.ts'
import { nearPath } from './problem-lines.ts'
import { CommandError } from './report-error.ts'
import { holdSignals, runBalancer } from './run-balancer.ts'

export function register(program: Command): void {
  program
    .command('start')
    .summary('run a balancer from a config file')
    .description(
      'Runs in the foreground until SIGTERM or SIGINT, which let running exchanges finish (a second one cuts them off).\nSIGHUP, or a change of the file, reloads it; a broken one is refused and the config before stays. SIGUSR1 reopens logs.',
    )
    .option('-c, --config <file>', 'the config; default: evenkeel.config.{ts,js,mjs,json,yaml,yml} in this directory')
    .option('--json', 'say what happens as one JSON object per line')
    .addHelpText('after', '\nExample:\n  evenkeel start --config evenkeel.config.ts')
    .action(async (options: { config?: string; json?: true }) => {
      // By default both end the process or open its inspector, also while the config is still being read.
      const early = holdSignals()
      const file = findConfig(options.config)
      const loaded = await loadConfig(file)
      if (loaded.problems !== undefined) {
        throw new CommandError(`${nearPath(file)} cannot be used`, { problems: loaded.problems })
      }
      await runBalancer({ ...loaded, file }, { json: options.json === true, early })
    })
}
