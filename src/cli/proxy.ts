/** `evenkeel proxy`: a balancer without a config file. */
import { type Command, InvalidArgumentError } from 'commander'
import { parseConfig } from '../config/parse.ts'
import { PICKER_NAMES } from '../config/picker-names.ts'
import type { Problem } from '../config/problem.ts'
import type { Config } from '../config/schema.ts'
import { CommandError } from './report-error.ts'
import { runBalancer } from './run-balancer.ts'

interface ProxyOptions {
  readonly from: readonly string[]
  readonly to: readonly string[]
  readonly health?: string
  readonly balance: string
  readonly workers: number | 'auto'
  readonly admin: string | false
  readonly accessLog?: true
  readonly json?: true
}

export function register(program: Command): void {
  program
    .command('proxy')
    .summary('balance over a few endpoints, without a config file')
    .description('Forwards every request to one of the endpoints. Stops on SIGTERM or SIGINT as `start` does.')
    .requiredOption(
      '--from <bind...>',
      "where to listen: ':8080' (every interface), '127.0.0.1:8080', 'unix:/path'; may be repeated",
    )
    .requiredOption('--to <url...>', "an endpoint: 'http://host:port' or 'unix:/path'; may be repeated")
    .option('--health <path>', 'check the endpoints over HTTP at this path every 5 s')
    .option('--balance <picker>', PICKER_NAMES.join(', '), 'round-robin')
    .option('--workers <number>', 'threads that carry traffic, or auto: one per core', readWorkers, 'auto')
    .option(
      '--admin <bind>',
      'where the admin API listens; port 0: any free one, found by `evenkeel status`',
      '127.0.0.1:0',
    )
    .option('--no-admin', 'no admin API')
    .option('--access-log', 'one JSON line per exchange on standard output')
    .option('--json', 'say what happens as one JSON object per line')
    .addHelpText(
      'after',
      '\nExample:\n  evenkeel proxy --from :8080 --to http://127.0.0.1:9001 --to http://127.0.0.1:9002 --health /health',
    )
    .action(async (options: ProxyOptions) => {
      const parsed = parseConfig(proxyConfig(options))
      if (parsed.problems !== undefined) {
        throw new CommandError('the options cannot be used', { problems: parsed.problems.map(asOption) })
      }
      await runBalancer(
        { settings: parsed.settings, warnings: parsed.warnings.map(asOption), file: null, moduleFiles: [] },
        { json: options.json === true },
      )
    })
}

/** The config that the options stand for. */
export function proxyConfig(options: ProxyOptions): Config {
  return {
    version: 1,
    workers: options.workers,
    listeners: options.from.map((bind) => ({ bind })),
    routes: [{ name: 'everything', pool: 'endpoints' }],
    pools: {
      endpoints: {
        balance: options.balance,
        // `--to 127.0.0.1:9001` can only mean one thing.
        endpoints: options.to.map((url) => (/^[a-z+.-]+:\/|^unix:|^\//i.test(url) ? url : `http://${url}`)),
        health: options.health === undefined ? false : { path: options.health },
      },
    },
    admin: options.admin === false ? false : { bind: options.admin },
    accessLog: options.accessLog === true ? {} : false,
  }
}

/** Which option a path of the config came from. */
const OPTION_BY_PATH: readonly (readonly [RegExp, string])[] = [
  [/^listeners\[\d+\]/, '--from'],
  [/^pools\.endpoints\.endpoints\[\d+\]/, '--to'],
  [/^pools\.endpoints\.health/, '--health'],
  [/^pools\.endpoints\.balance/, '--balance'],
  [/^workers/, '--workers'],
  [/^admin/, '--admin'],
]

function asOption(problem: Problem): Problem {
  const option = OPTION_BY_PATH.find(([pattern]) => pattern.test(problem.path))?.[1]
  return option === undefined ? problem : { ...problem, path: option }
}

function readWorkers(text: string): number | 'auto' {
  if (text === 'auto') return 'auto'
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It must be a number or 'auto'.")
  return Number(text)
}
