/** The command line: composes the commands, each of which is one file. The launcher in bin/ calls `run`. */
import { Command } from 'commander'
import { productVersion } from '../control/product-version.ts'
import { printable } from './admin-client.ts'
import { register as registerCheck } from './check.ts'
import { register as registerDemo } from './demo.ts'
import { register as registerDoctor } from './doctor.ts'
import { register as registerDrain } from './drain.ts'
import { register as registerExplain } from './explain.ts'
import { nearestCommands } from './nearest-command.ts'
import { register as registerProxy } from './proxy.ts'
import { reportError } from './report-error.ts'
import { register as registerSimulate } from './simulate.ts'
import { register as registerStart } from './start.ts'
import { register as registerStatus } from './status.ts'
import { register as registerWeight } from './weight.ts'

/** In the order in which the help lists them. */
const COMMANDS: readonly ((program: Command) => void)[] = [
  registerDemo,
  registerStart,
  registerProxy,
  registerCheck,
  registerStatus,
  registerDrain,
  registerWeight,
  registerExplain,
  registerDoctor,
  registerSimulate,
]

/** Runs one command and sets the process's exit code. Never rejects. */
export async function run(argv: readonly string[]): Promise<void> {
  // A reader that has seen enough (`| head`), a full disk, a closed terminal: no reason for a balancer to end.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  const asJson = argv.includes('--json')
  process.on('uncaughtException', (error) => {
    process.exitCode = reportError(error, asJson)
    process.exit()
  })
  try {
    await makeProgram().parseAsync([...argv])
  } catch (error) {
    process.exitCode = reportError(error, asJson)
  }
}

/** The program with all its commands. */
export function makeProgram(): Command {
  const program = new Command('evenkeel')
    .description('A programmable load balancer.')
    .version(productVersion(), '-V, --version')
    .showHelpAfterError('(evenkeel --help, or --help after a command, says what there is)')
    .configureHelp({ showGlobalOptions: false })
    .exitOverride()
    .addHelpText(
      'after',
      '\nExamples:\n  evenkeel demo\n  evenkeel proxy --from :8080 --to http://127.0.0.1:9001 --to http://127.0.0.1:9002\n  evenkeel start evenkeel.config.ts\n\nExit codes: 0 done, 1 a problem, 2 a command line that makes no sense.',
    )
  for (const register of COMMANDS) register(program)
  // Commander counts edits alone, and means `start` by `stat`.
  program.on('command:*', ([word = '']: readonly string[]) => {
    const near = nearestCommands(
      word,
      program.commands.map((command) => command.name()),
    )
    const hint =
      near.length === 0 ? '' : `\n(Did you mean ${near.length === 1 ? near[0] : `one of ${near.join(', ')}`}?)`
    program.error(`error: unknown command '${printable(word)}'${hint}`, { code: 'commander.unknownCommand' })
  })
  for (const command of program.commands) {
    command.exitOverride().showHelpAfterError(`(evenkeel ${command.name()} --help says how it is used)`)
  }
  return program
}
