/** `evenkeel weight ID N`: an endpoint's share of the work, while the balancer runs; `--undo`: what the config says again. */
import { styleText } from 'node:util'
import { type Command, InvalidArgumentError } from 'commander'
import type { ChangedEndpoint } from '../service/protocol.ts'
import { type AdminOptions, endpointPath, findBalancer, inPools, printable, withAdminOptions } from './admin-client.ts'

const WEIGHT_MAX = 1_000_000

interface WeightOptions extends AdminOptions {
  readonly pool?: string
  readonly undo?: true
}

export function register(program: Command): void {
  withAdminOptions(
    program
      .command('weight')
      .summary("change an endpoint's weight")
      .description(
        "Sets an endpoint's share of the work relative to the others of its pool; 0 gives it nothing new.\nIt stays over reloads, until --undo, or until the balancer restarts.",
      )
      .argument('<id>', "the endpoint's id, as `evenkeel status` shows it")
      .argument('[weight]', `0 to ${WEIGHT_MAX}, fractions are fine`, weight)
      .option('--undo', 'back to the weight that the config says')
      .option(
        '--pool <name>',
        'where several pools have different endpoints of this id: whose; one that pools share changes in all of them',
      ),
  )
    .addHelpText('after', '\nExample:\n  evenkeel weight 127.0.0.1:9001 0.5\n  evenkeel weight 127.0.0.1:9001 --undo')
    .action(async (id: string, value: number | undefined, options: WeightOptions, command: Command) => {
      if (options.undo === true && value !== undefined)
        command.error('error: give a weight or --undo, not both', { exitCode: 2 })
      if (options.undo !== true && value === undefined)
        command.error("error: missing required argument 'weight'", { exitCode: 2 })
      await changeWeight(id, value ?? null, options)
    })
}

/** Null: the config's again. */
async function changeWeight(id: string, wanted: number | null, options: WeightOptions): Promise<void> {
  const { pool, json } = options
  const client = findBalancer(options)
  const path = endpointPath(id)
  const answer = (
    wanted === null
      ? await client.delete(`${path}/weight${pool === undefined ? '' : `?pool=${encodeURIComponent(pool)}`}`)
      : await client.post(path, { weight: wanted, ...(pool === undefined ? {} : { pool }) })
  ) as ChangedEndpoint & { readonly version: number }
  const { version, weight: now, pools } = answer
  if (json === true) {
    console.log(JSON.stringify({ ok: true, id, weight: now, pools, version }))
    return
  }
  const again = wanted === null ? ' again, as the config says' : ''
  console.log(
    `${styleText('green', '✓', { stream: process.stdout })} ${printable(id)} has weight ${now}${again}${inPools(pools)}`,
  )
}

function weight(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= 0 && value <= WEIGHT_MAX)) {
    throw new InvalidArgumentError(`it must be a number from 0 to ${WEIGHT_MAX}.`)
  }
  return value
}
