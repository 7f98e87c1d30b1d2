/** `evenkeel doctor`: is this machine ready for a balancer, and is the one that runs well? */
import fs from 'node:fs'
import os from 'node:os'
import { styleText } from 'node:util'
import type { Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import { formatProblem } from '../config/problem.ts'
import type { Settings } from '../config/schema.ts'
import { parseBind } from '../core/address.ts'
import { findInstances } from '../service/instances.ts'
import { descriptorLimit } from '../service/scrape.ts'
import { searchedStateDirectories, stateDirectory } from '../service/state-directory.ts'
import type { StatusDocument } from '../service/status.ts'
import {
  AdminClient,
  type AdminOptions,
  findBalancer,
  isReachable,
  printable,
  withAdminOptions,
} from './admin-client.ts'
import {
  type BalancerFacts,
  type Check,
  type ConfigFacts,
  type DoctorFacts,
  judge,
  type Verdict,
} from './doctor-checks.ts'
import { ExitCode } from './exit-code.ts'
import { type ConfigOptions, configsHere, givenConfig, withConfig } from './find-config.ts'
import { nearPath } from './problem-lines.ts'

type DoctorOptions = AdminOptions & ConfigOptions

export function register(program: Command): void {
  withAdminOptions(
    withConfig(
      program
        .command('doctor')
        .summary('look for what would keep a balancer from running well')
        .description(
          'Looks at this machine, the config (where there is one) and running balancers, and says what to do.\nExit 1 when something fails.',
        ),
    ),
  )
    .addHelpText('after', '\nExample:\n  evenkeel doctor /etc/evenkeel/evenkeel.config.yaml')
    .action(async (given: string | undefined, options: DoctorOptions, command: Command) => {
      const checks = judge(await gather(givenConfig(command, given, options), options))
      const isOk = checks.every(({ verdict }) => verdict !== 'fail')
      console.log(
        options.json === true ? JSON.stringify({ ok: isOk, checks }, null, 2) : reportLines(checks).join('\n'),
      )
      process.exitCode = isOk ? ExitCode.OK : ExitCode.PROBLEM
    })
}

const MARKS: Readonly<Record<Verdict, readonly [string, Parameters<typeof styleText>[0]]>> = {
  ok: ['✓', 'green'],
  warn: ['!', 'yellow'],
  fail: ['✗', 'red'],
}

/** A line per check, its advice below, a summary at the end. */
export function reportLines(checks: readonly Check[]): string[] {
  const paint = (style: Parameters<typeof styleText>[0], text: string): string =>
    styleText(style, text, { stream: process.stdout })
  const width = Math.max(...checks.map(({ name }) => name.length))
  const lines = checks.flatMap(({ name, verdict, message, advice }) => {
    const [mark, style] = MARKS[verdict]
    const line = `${paint(style, mark)} ${name.padEnd(width)}  ${printable(message)}`
    return advice === undefined ? [line] : [line, `${' '.repeat(width + 4)}${paint('dim', `→ ${printable(advice)}`)}`]
  })
  const failures = checks.filter(({ verdict }) => verdict === 'fail').length
  const warnings = checks.filter(({ verdict }) => verdict === 'warn').length
  const summary =
    failures + warnings === 0
      ? paint('green', 'all is well')
      : [
          `${failures} ${failures === 1 ? 'failure' : 'failures'}`,
          `${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`,
        ].join(', ')
  return [...lines, '', summary]
}

async function gather(config: string | undefined, options: AdminOptions): Promise<DoctorFacts> {
  const directory = stateDirectory()
  return {
    platform: process.platform,
    nodeVersion: process.version,
    isRoot: process.getuid?.() === 0,
    cpus: os.availableParallelism(),
    maxOpenFiles: descriptorLimit(),
    somaxconn: sysctl('net/core/somaxconn')?.[0] ?? null,
    tcpMaxSynBacklog: sysctl('net/ipv4/tcp_max_syn_backlog')?.[0] ?? null,
    localPortRange: portRange(),
    tcpMigrateReq: sysctl('net/ipv4/tcp_migrate_req')?.[0] ?? null,
    unprivilegedPortStart: sysctl('net/ipv4/ip_unprivileged_port_start')?.[0] ?? null,
    availableMemoryBytes: process.availableMemory(),
    // In a container the limit is what counts.
    totalMemoryBytes: Math.min(os.totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY),
    config: await configFacts(config),
    balancers: await balancerFacts(options),
    stateProblem: stateProblem(directory),
    stateDirectory: directory,
  }
}

function sysctl(name: string): number[] | null {
  try {
    return fs.readFileSync(`/proc/sys/${name}`, 'utf8').trim().split(/\s+/).map(Number)
  } catch {
    return null
  }
}

function portRange(): readonly [number, number] | null {
  const [low, high] = sysctl('net/ipv4/ip_local_port_range') ?? []
  return low === undefined || high === undefined ? null : [low, high]
}

async function configFacts(given: string | undefined): Promise<ConfigFacts | null> {
  const file = given ?? configsHere()[0]
  if (file === undefined) return null
  const loaded = await loadConfig(file)
  const all = loaded.problems ?? loaded.warnings
  const said = (severity: string): string[] => {
    const chosen = all.filter((problem) => problem.severity === severity)
    return chosen.map((problem) => formatProblem({ ...problem, file: nearPath(problem.file ?? file) }))
  }
  return {
    file: nearPath(fs.existsSync(file) ? fs.realpathSync(file) : file),
    problems: said('error'),
    warnings: said('warning'),
    needs: loaded.settings === undefined ? null : needsOf(loaded.settings),
  }
}

function needsOf(settings: Settings): NonNullable<ConfigFacts['needs']> {
  const workers = settings.workers === 'auto' ? os.availableParallelism() : settings.workers
  const ports = settings.listeners.flatMap(({ bind }) => {
    const reading = parseBind(bind)
    return reading.ok && reading.value.kind === 'ip' ? [reading.value.port] : []
  })
  return {
    connections: settings.listeners.reduce((sum, { limits }) => sum + limits.connections, 0),
    idleUpstream: Object.values(settings.pools).reduce(
      (sum, { endpoints, connections }) => sum + endpoints.length * workers * connections.maxIdle,
      0,
    ),
    workers,
    lowestPort: ports.length === 0 ? null : Math.min(...ports),
    hasAdmin: settings.admin !== false,
  }
}

async function balancerFacts(options: AdminOptions): Promise<BalancerFacts[]> {
  if (options.admin !== undefined) {
    const client = findBalancer(options)
    return [{ url: client.url, pid: null, ...(await stateOf(client)) }]
  }
  const instances = findInstances(searchedStateDirectories()).filter(
    (instance) => instance.url === null || isReachable(instance),
  )
  return Promise.all(
    instances.map(async (instance) => {
      const { url, pid } = instance
      if (url === null) return { url, pid, state: 'unknown', answers: false, problems: [] }
      return { url, pid, ...(await stateOf(new AdminClient(url, instance, options.tokenFile ?? null))) }
    }),
  )
}

async function stateOf(client: AdminClient): Promise<Pick<BalancerFacts, 'state' | 'answers' | 'problems'>> {
  try {
    const { state, config } = (await client.get('/api/v1/status')) as StatusDocument
    return { state, answers: true, problems: config.problems }
  } catch (error) {
    return { state: (error as Error).message, answers: false, problems: [] }
  }
}

/** Can this user make and read files there, or make the directory? */
function stateProblem(directory: string): string | null {
  try {
    let nearest = directory
    while (!fs.existsSync(nearest)) nearest = nearest.slice(0, Math.max(1, nearest.lastIndexOf('/')))
    fs.accessSync(nearest, fs.constants.W_OK | fs.constants.X_OK)
    return null
  } catch (error) {
    return (error as Error).message
  }
}
