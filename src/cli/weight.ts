/** `evenkeel weight ID N`: an endpoint's share of the work, while the balancer runs. */
import { styleText } from 'node:util'
import { type Command, InvalidArgumentError } from 'commander'
import { type AdminOptions, endpointPath, findBalancer, printable, withAdminOptions } from './admin-client.ts'

const WEIGHT_MAX = 1_000_000

export function register(program: Command): void {
  withAdminOptions(
    program
      .command('weight')
      .summary("change an endpoint's weight")
      .description(
        "Sets an endpoint's share of the work relative to the others of its pool; 0 gives it nothing new.\nLasts until the balancer restarts.",
      )
      .argument('<id>', "the endpoint's id, as `evenkeel status` shows it")
      .argument('<weight>', `0 to ${WEIGHT_MAX}, fractions are fine`, weight)
      .option('--pool <name>', 'the pool, where several have the id'),
  )
    .addHelpText('after', '\nExample:\n  evenkeel weight 127.0.0.1:9001 0.5')
    .action(async (id: string, value: number, options: AdminOptions & { readonly pool?: string }) => {
      const change = options.pool === undefined ? { weight: value } : { weight: value, pool: options.pool }
      const { version } = (await findBalancer(options).post(endpointPath(id), change)) as { version: number }
      if (options.json === true) console.log(JSON.stringify({ ok: true, id, weight: value, version }))
      else console.log(`${styleText('green', '✓', { stream: process.stdout })} ${printable(id)} has weight ${value}`)
    })
}

function weight(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= 0 && value <= WEIGHT_MAX)) {
    throw new InvalidArgumentError(`it must be a number from 0 to ${WEIGHT_MAX}.`)
  }
  return value
}
