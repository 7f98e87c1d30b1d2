/** `evenkeel explain`: which route, pool and endpoint a request would get, and why; without a running balancer. */
import type { Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import type { Settings } from '../config/schema.ts'
import { Planner } from '../control/plan.ts'
import type { Explanation } from '../core/balance/picker.ts'
import { errorAt } from '../core/errors.ts'
import { EdgeWorker } from '../edge/edge-worker.ts'
import { Http1Upstream } from '../edge/http1-upstream.ts'
import { WorkerPool } from '../edge/pick-endpoint.ts'
import { RouteTable } from '../edge/route-table.ts'
import type { RequestHead } from '../http1/head.ts'
import { ParseStatus } from '../http1/parse-status.ts'
import { RequestHeadParser } from '../http1/request-head-parser.ts'
import { Cursors } from '../memory/cursors.ts'
import { EndpointTable } from '../memory/endpoint-table.ts'
import { createSharedMemory } from '../memory/shared-memory.ts'
import { WorkerBoard } from '../memory/worker-board.ts'
import { WORKER_COUNTERS } from '../observe/counters.ts'
import { ExitCode } from './exit-code.ts'
import { type ConfigOptions, findConfig, givenConfig, withConfig } from './find-config.ts'
import { readableProblem } from './problem-lines.ts'
import { CommandError } from './report-error.ts'

interface Options extends ConfigOptions {
  readonly request: string
  readonly header: readonly string[]
  readonly client: string
  readonly listener?: string
  readonly json?: true
}

/** What a request would get. */
interface Told {
  readonly listener: string
  readonly route: string | null
  readonly pool: string | null
  readonly picker: string | null
  /** Eight hexadecimal digits; null: the picker goes by none. */
  readonly key: string | null
  readonly pick: string | null
  readonly reason: string
  readonly candidates: readonly {
    readonly endpoint: string
    readonly weight: number
    readonly isVetoed: boolean
    readonly cost: number | null
    readonly parts: Readonly<Record<string, number>>
  }[]
  readonly others: number
}

export function register(program: Command): void {
  withConfig(
    program
      .command('explain')
      .summary('say where a request would go, and why')
      .description(
        'Says which route, pool and endpoint a request would get by a config, and why. Nothing is started: every endpoint counts as healthy and idle, and nothing was learnt.',
      ),
  )
    .requiredOption('--request <line>', "method and target: 'GET /path?query'")
    .option('--header <field>', "a header field: 'name: value'; may be repeated", collect, [])
    .option('--client <address>', "the client's address", '192.0.2.1')
    .option('--listener <name>', 'the listener that the request comes in by; default: the first')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      "\nExample:\n  evenkeel explain --config evenkeel.config.ts --request 'GET /cart' --header 'x-user: 7'",
    )
    .action(async (given: string | undefined, options: Options, command: Command) => {
      const loaded = await loadConfig(findConfig(givenConfig(command, given, options)))
      if (loaded.settings === undefined) {
        for (const problem of loaded.problems) console.error(readableProblem(problem, process.stderr))
        process.exitCode = ExitCode.PROBLEM
        return
      }
      const told = await explainRequest(loaded.settings, options)
      console.log(options.json ? JSON.stringify(told, null, 2) : textOf(told))
      process.exitCode = told.pick === null ? ExitCode.PROBLEM : ExitCode.OK
    })
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value]
}

/** Goes the way of a request as far as the pick, with the data plane's own parts. */
async function explainRequest(settings: Settings, options: Options): Promise<Told> {
  const listener = settings.listeners.find(({ name }) => name === (options.listener ?? settings.listeners[0]!.name))
  if (listener === undefined) {
    throw new CommandError(`there is no listener '${options.listener}'`, {
      hint: `there is ${settings.listeners.map(({ name }) => name).join(', ')}`,
    })
  }
  const head = headOf(options)
  const pools = Object.keys(settings.pools).length
  const memory = createSharedMemory({
    endpoints: settings.memory.endpoints,
    workers: 1,
    pools: Math.max(1, pools),
    listeners: settings.listeners.length,
    addresses: 16,
    workerCounters: WORKER_COUNTERS,
  })
  const table = new EndpointTable(memory)
  const drafted = new Planner(memory, table, new WorkerBoard(memory)).draft({
    settings,
    listenAddresses: new Map(settings.listeners.map(({ name, address }) => [name, { address, reusePort: false }])),
    overlay: new Map(),
    // Nobody is connected to: a name is as good as an address.
    resolve: (host) => host,
  })
  if (!drafted.ok) throw new CommandError(drafted.problems.map(({ message }) => message).join('; '))
  drafted.draft.commit(1)
  const { plan } = drafted.draft
  const nothing = { ...plan, version: 1, listeners: [], routes: [], pools: [], accessLog: null }
  const worker = new EdgeWorker({ index: 0, memory, plan: nothing }, () => {})
  try {
    const cursors = new Cursors(memory)
    const made = new Map(
      plan.pools.map((pool) => [
        pool.name,
        new WorkerPool(
          worker.context,
          pool,
          cursors.cursor(pool.slot),
          (context, endpoint) => new Http1Upstream(context, endpoint),
        ),
      ]),
    )
    const route = new RouteTable(plan.routes, listener.name, made).match(head, false)
    if (route === null) return noRoute(listener.name)
    const { pool } = route
    const client = { clientAddress: options.client, isTrusted: false, listener: { trusted: { has: () => false } } }
    const hashKey = pool.keyOf === null ? 0 : pool.keyOf(head, client)
    const asked = { attempts: 0, hashKey, wasTried: () => false }
    const { endpoint, told } = pool.explainPick(asked)
    return {
      listener: listener.name,
      route: route.name,
      pool: pool.plan.name,
      picker: pool.plan.picker.name,
      key: pool.keyOf === null ? null : (hashKey >>> 0).toString(16).padStart(8, '0'),
      pick: endpoint?.id ?? null,
      reason: told.reason,
      candidates: candidatesOf(pool, told),
      others: told.others,
    }
  } finally {
    await worker.close()
  }
}

function candidatesOf(pool: WorkerPool, told: Explanation): Told['candidates'] {
  return told.candidates.map(({ position, weight, isVetoed, cost, parts }) => ({
    endpoint: pool.idAt(position),
    weight,
    isVetoed,
    cost,
    parts,
  }))
}

function noRoute(listener: string): Told {
  const none = { route: null, pool: null, picker: null, key: null, pick: null }
  return { listener, ...none, reason: 'no route matches: 404', candidates: [], others: 0 }
}

/** The request as a client would write it, read by the parser of the data plane. */
function headOf({ request, header }: Options): RequestHead {
  const [, method, target] = /^(\S+) +(\S+)$/.exec(request.trim()) ?? []
  if (method === undefined || target === undefined)
    throw new CommandError(`'${request}' is no method and target`, { hint: "--request 'GET /path'" })
  const hasHost = header.some((field) => /^host:/i.test(field))
  const fields = [...(hasHost ? [] : ['host: localhost']), ...header]
  const parser = new RequestHeadParser({ requestLineBytes: 65_536, headBytes: 131_072, fieldCount: 1000 })
  const bytes = Buffer.from([`${method} ${target} HTTP/1.1`, ...fields, '', ''].join('\r\n'), 'latin1')
  const status = parser.feed(bytes, 0, bytes.length)
  if (status === ParseStatus.ERROR)
    throw new CommandError(`the balancer would refuse this request: ${errorAt(parser.error).message}`)
  if (status !== ParseStatus.DONE) throw new CommandError('the request is not complete')
  return parser.head
}

function textOf(told: Told): string {
  const { listener, route, pool, picker, key, pick, reason, candidates, others } = told
  if (route === null) return `listener  ${listener}\nroute     none\n${reason}`
  const lines = [
    `listener  ${listener}`,
    `route     ${route}`,
    `pool      ${pool}`,
    `picker    ${picker}`,
    ...(key === null ? [] : [`key       ${key}`]),
    `pick      ${pick ?? 'none'}`,
    `reason    ${reason}`,
  ]
  for (const { endpoint, weight, isVetoed, cost, parts } of candidates) {
    const numbers = Object.entries(parts).map(([name, value]) => `${name} ${value}`)
    const about = [`weight ${weight}`, ...(cost === null ? [] : [`cost ${cost}`]), ...(isVetoed ? ['refused'] : [])]
    lines.push(`  ${endpoint}: ${[...about, ...numbers].join(', ')}`)
  }
  if (others > 0) lines.push(`  and ${others} more`)
  return lines.join('\n')
}
