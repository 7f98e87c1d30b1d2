/** `evenkeel drain ID`: no new requests for an endpoint, those that run are finished. */
import { setTimeout as delay } from 'node:timers/promises'
import { styleText } from 'node:util'
import { type Command, InvalidArgumentError } from 'commander'
import type { ChangedEndpoint } from '../service/protocol.ts'
import type { EndpointStatus, StatusDocument } from '../service/status.ts'
import {
  type AdminClient,
  type AdminOptions,
  endpointPath,
  findBalancer,
  inPools,
  printable,
  withAdminOptions,
} from './admin-client.ts'
import { CommandError } from './report-error.ts'

const POLL_MS = 250

interface DrainOptions extends AdminOptions {
  readonly pool?: string
  readonly undo?: true
  readonly wait?: true
  readonly timeout: number
}

export function register(program: Command): void {
  withAdminOptions(
    program
      .command('drain')
      .summary('let an endpoint finish what runs and give it nothing new')
      .description(
        'Sets an endpoint to draining, in every pool that has it, or with --undo back to active.\nIt stays over reloads, until --undo, or until the balancer restarts.',
      )
      .argument('<id>', "the endpoint's id, as `evenkeel status` shows it")
      .option('--undo', 'give it new requests again')
      .option('--wait', 'return when nothing runs on it any more')
      .option('--timeout <seconds>', 'with --wait: give up after this (exit 1)', seconds, 300)
      .option(
        '--pool <name>',
        'where several pools have different endpoints of this id: whose; one that pools share changes in all of them',
      ),
  )
    .addHelpText('after', '\nExample:\n  evenkeel drain 127.0.0.1:9001 --wait && systemctl restart app1')
    .action((id: string, options: DrainOptions) => drain(id, options))
}

async function drain(id: string, options: DrainOptions): Promise<void> {
  if (options.undo === true && options.wait === true) throw new CommandError('--wait makes no sense with --undo')
  const client = findBalancer(options)
  const state = options.undo === true ? 'active' : 'draining'
  const change = options.pool === undefined ? { state } : { state, pool: options.pool }
  const answer = (await client.post(endpointPath(id), change)) as ChangedEndpoint & { readonly version: number }
  const { version, pools } = answer
  const start = performance.now()
  const isIdle = options.wait === true
  if (isIdle) await waitUntilIdle(client, id, options)
  if (options.json === true) {
    const waitedMs = isIdle ? { waitedMs: Math.round(performance.now() - start) } : {}
    console.log(JSON.stringify({ ok: true, id, state, pools, version, ...waitedMs }))
  } else {
    const said =
      state === 'active' ? 'gets new requests again' : isIdle ? 'is drained: nothing runs on it' : 'is draining'
    console.log(`${styleText('green', '✓', { stream: process.stdout })} ${printable(id)} ${said}${inPools(pools)}`)
  }
}

/** Watches the running attempts go down to 0; says so on a terminal. */
async function waitUntilIdle(client: AdminClient, id: string, options: DrainOptions): Promise<void> {
  const deadline = performance.now() + options.timeout * 1000
  const isShown = options.json !== true && process.stderr.isTTY
  for (;;) {
    const status = (await client.get('/api/v1/status')) as StatusDocument
    const found = endpointsOf(status, id, options.pool)
    // An endpoint that left the config while we waited has nothing running either.
    const running = Math.max(0, ...found.map(({ inFlight }) => inFlight))
    if (isShown) process.stderr.write(`\r${printable(id)}: ${running} running \x1b[K${running === 0 ? '\r\x1b[K' : ''}`)
    if (running === 0) return
    if (performance.now() >= deadline) {
      if (isShown) process.stderr.write('\n')
      throw new CommandError(`${running} still running on ${printable(id)} after ${options.timeout} s`, {
        hint: 'it stays draining; `evenkeel status` shows it, --undo takes it back',
      })
    }
    await delay(POLL_MS)
  }
}

function endpointsOf(status: StatusDocument, id: string, pool: string | undefined): EndpointStatus[] {
  return status.pools
    .filter(({ name }) => pool === undefined || name === pool)
    .flatMap(({ endpoints }) => endpoints.filter((endpoint) => endpoint.id === id))
}

function seconds(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value <= 86_400)) throw new InvalidArgumentError('it must be a number of seconds up to 86400.')
  return value
}
