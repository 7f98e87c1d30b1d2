/** What `evenkeel doctor` makes of the facts it gathered: pure, so that every verdict can be tested. */

export type Verdict = 'ok' | 'warn' | 'fail'

/** One line of the doctor's report. */
export interface Check {
  readonly name: string
  readonly verdict: Verdict
  readonly message: string
  /** What to do about it; absent when all is well. */
  readonly advice?: string
}

/** What was found on this machine; null where it cannot be known here. */
export interface DoctorFacts {
  readonly platform: string
  readonly nodeVersion: string
  readonly isRoot: boolean
  readonly cpus: number
  /** Soft limit; Node raises it to the hard one when it starts. */
  readonly maxOpenFiles: number | null
  readonly somaxconn: number | null
  readonly tcpMaxSynBacklog: number | null
  readonly localPortRange: readonly [number, number] | null
  /** Null on kernels before 5.14. */
  readonly tcpMigrateReq: number | null
  readonly unprivilegedPortStart: number | null
  readonly availableMemoryBytes: number
  readonly totalMemoryBytes: number
  readonly config: ConfigFacts | null
  readonly balancers: readonly BalancerFacts[]
  /** Why the state directory cannot be used, null when it can. */
  readonly stateProblem: string | null
  readonly stateDirectory: string
}

export interface ConfigFacts {
  readonly file: string
  /** One line each, with file and place. */
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
  /** Null when the config cannot be used. */
  readonly needs: ConfigNeeds | null
}

/** What a usable config asks of the machine. */
export interface ConfigNeeds {
  /** Sum of the listeners' connection limits. */
  readonly connections: number
  /** Idle upstream connections that may be kept: endpoints × workers × maxIdle. */
  readonly idleUpstream: number
  readonly workers: number
  readonly lowestPort: number | null
  readonly hasAdmin: boolean
}

export interface BalancerFacts {
  /** Null: it has no admin API, so nothing more is known of it. */
  readonly url: string | null
  /** Null when only its address is known. */
  readonly pid: number | null
  /** Its state in words, or why it does not answer. */
  readonly state: string
  readonly answers: boolean
  /** What it reports of its config: a reload that was refused, an admin API that could not listen. */
  readonly problems: readonly string[]
}

const NODE_MAJOR = 24
const MIB = 1024 * 1024
/** Listeners' default: what is assumed without a config. */
const DEFAULT_CONNECTIONS = 10_000
/** Files, sockets and pipes that are there beside connections: generous. */
const OTHER_DESCRIPTORS = 200

/** Every check, in the order of the report. */
export function judge(facts: DoctorFacts): Check[] {
  return [
    node(facts),
    platform(facts),
    privileges(facts),
    ...ports(facts),
    openFiles(facts),
    ...kernel(facts),
    memory(facts),
    ...workers(facts),
    state(facts),
    ...config(facts),
    ...balancers(facts),
  ]
}

function node({ nodeVersion }: DoctorFacts): Check {
  const major = Number(/^v?(\d+)/.exec(nodeVersion)?.[1] ?? 0)
  if (major >= NODE_MAJOR) return ok('node', `Node.js ${nodeVersion}`)
  return fail('node', `Node.js ${nodeVersion} is too old`, `install Node.js ${NODE_MAJOR} or newer`)
}

function platform({ platform: name }: DoctorFacts): Check {
  if (name === 'linux') return ok('platform', 'Linux')
  return warn(
    'platform',
    `on ${name} one worker listens: connections cannot be shared between several`,
    'use Linux where the load needs more than one core',
  )
}

function privileges({ isRoot }: DoctorFacts): Check {
  if (!isRoot) return ok('privileges', 'not root')
  return warn(
    'privileges',
    'running as root: a flaw in the balancer would be a flaw of the whole machine',
    'run as a user of its own; for ports below 1024 use AmbientCapabilities=CAP_NET_BIND_SERVICE',
  )
}

function ports({ config: found, isRoot, unprivilegedPortStart }: DoctorFacts): Check[] {
  const port = found?.needs?.lowestPort ?? null
  const start = unprivilegedPortStart ?? 1024
  if (port === null || port === 0 || port >= start) return []
  if (isRoot) return [ok('low ports', `port ${port} may be bound`)]
  return [
    warn(
      'low ports',
      `port ${port} is below ${start}: this user may bind it only with CAP_NET_BIND_SERVICE`,
      `systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE; or sysctl -w net.ipv4.ip_unprivileged_port_start=${port}`,
    ),
  ]
}

function openFiles({ maxOpenFiles, config: found }: DoctorFacts): Check {
  const name = 'open files'
  if (maxOpenFiles === null) return ok(name, 'the limit cannot be seen on this platform')
  const connections = found?.needs?.connections ?? DEFAULT_CONNECTIONS
  // A connection of a client and one to an endpoint for it, beside those kept idle.
  const needed = connections * 2 + (found?.needs?.idleUpstream ?? 0) + OTHER_DESCRIPTORS
  const whose =
    found?.needs == null
      ? `${group(DEFAULT_CONNECTIONS)} connections (the default)`
      : `${group(connections)} connections`
  if (maxOpenFiles >= needed) return ok(name, `${group(maxOpenFiles)}, enough for ${whose}`)
  const advice = `LimitNOFILE=${needed} in the unit, or ulimit -n ${needed}; or lower listeners[].limits.connections`
  const message = `${group(maxOpenFiles)}, but ${whose} may need ${group(needed)}`
  return maxOpenFiles < 1024 ? fail(name, message, advice) : warn(name, message, advice)
}

function kernel(facts: DoctorFacts): Check[] {
  if (facts.platform !== 'linux') return []
  const checks = [
    atLeast(
      'net.core.somaxconn',
      facts.somaxconn,
      1024,
      'connections that wait to be accepted; a burst beyond it is refused or delayed by a second',
    ),
    atLeast(
      'net.ipv4.tcp_max_syn_backlog',
      facts.tcpMaxSynBacklog,
      1024,
      'handshakes under way; a burst beyond it is delayed, or served with SYN cookies',
    ),
  ]
  const range = facts.localPortRange
  if (range !== null) {
    const count = range[1] - range[0] + 1
    const name = 'net.ipv4.ip_local_port_range'
    const message = `${range[0]} to ${range[1]}: ${group(count)} connections at once to one endpoint`
    checks.push(
      count >= 20_000
        ? ok(name, message)
        : warn(name, message, `sysctl -w net.ipv4.ip_local_port_range="15000 60999"; keep-alive needs fewer`),
    )
  }
  return [...checks, migrateRequests(facts.tcpMigrateReq)]
}

/** Linux 5.14: https://docs.kernel.org/networking/ip-sysctl.html, tcp_migrate_req. */
function migrateRequests(value: number | null): Check {
  const name = 'net.ipv4.tcp_migrate_req'
  if (value === null) {
    return ok(name, 'not known to this kernel (5.14 and later have it); when a worker ends, what waits for it is reset')
  }
  if (value === 1) return ok(name, '1: when a worker ends, connections that wait for it go to another')
  return warn(
    name,
    '0: each worker has its own listening socket, and when one ends, connections that wait for it are reset',
    'sysctl -w net.ipv4.tcp_migrate_req=1 lets the kernel give them to another worker',
  )
}

function atLeast(name: string, value: number | null, least: number, what: string): Check {
  if (value === null) return ok(name, 'cannot be seen here')
  if (value >= least) return ok(name, String(value))
  return warn(name, `${value}: ${what}`, `sysctl -w ${name}=4096`)
}

function memory({ availableMemoryBytes, totalMemoryBytes, config: found }: DoctorFacts): Check {
  const workerCount = found?.needs?.workers ?? 1
  // A worker's heap and buffers at rest have some 40 MiB, control and the service thread the same each.
  const needed = (workerCount + 2) * 40 * MIB
  const message = `${mebibytes(availableMemoryBytes)} of ${mebibytes(totalMemoryBytes)} available`
  if (availableMemoryBytes >= 2 * needed) return ok('memory', message)
  const advice = `${workerCount} ${workerCount === 1 ? 'worker needs' : 'workers need'} some ${mebibytes(needed)} at rest: free some, or set fewer workers`
  return availableMemoryBytes < needed ? fail('memory', message, advice) : warn('memory', message, advice)
}

function workers({ cpus, config: found }: DoctorFacts): Check[] {
  const count = found?.needs?.workers
  if (count === undefined) return []
  if (count <= cpus) return [ok('workers', `${count} on ${cpus} ${cpus === 1 ? 'processor' : 'processors'}`)]
  return [warn('workers', `${count} on ${cpus} processors: more threads than can run at once`, "set workers to 'auto'")]
}

function state({ stateDirectory, stateProblem }: DoctorFacts): Check {
  if (stateProblem === null) return ok('state directory', stateDirectory)
  return warn(
    'state directory',
    `${stateDirectory} cannot be used: ${stateProblem}`,
    'set EVENKEEL_STATE_DIR (systemd: StateDirectory=evenkeel), or changes by API and command line will not work',
  )
}

function config({ config: found }: DoctorFacts): Check[] {
  if (found === null) return [ok('config', 'none in this directory; name one with --config')]
  const { file, problems, warnings, needs } = found
  if (problems.length > 0 || needs === null) {
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
    return [
      fail(
        'config',
        `${problems[0] ?? `${file} cannot be used`}${more}`,
        'evenkeel check says everything that is wrong',
      ),
    ]
  }
  const checks: Check[] =
    warnings.length === 0
      ? [ok('config', `${file} is good`)]
      : [
          warn(
            'config',
            `${warnings[0]}${warnings.length > 1 ? ` (and ${warnings.length - 1} more)` : ''}`,
            'evenkeel check says all',
          ),
        ]
  if (!needs.hasAdmin) {
    checks.push(
      warn('admin API', `${file} opens none: no status, metrics or drain`, 'add `admin: {}` for 127.0.0.1:9090'),
    )
  }
  return checks
}

function balancers({ balancers: found }: DoctorFacts): Check[] {
  if (found.length === 0) return [ok('balancer', 'none is running here, or none that this user can see')]
  return found.map(({ url, pid, state: words, answers, problems }) => {
    if (url === null) {
      return warn('balancer', `pid ${pid} has no admin API to ask`, 'add `admin: {}` to its config and reload it')
    }
    const which = pid === null ? url : `${url} (pid ${pid})`
    if (!answers) {
      return fail(
        'balancer',
        `${which} does not answer: ${words}`,
        'look at its log; a replaced process has another note',
      )
    }
    const [problem] = problems
    if (words === 'ready' && problem !== undefined) {
      const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
      return warn(
        'balancer',
        `${which} is ready, with a config before the newest; refused was: ${problem}${more}`,
        'mend the config (evenkeel check says all), or take the edit back; it is read again when it is saved',
      )
    }
    if (words === 'ready') return ok('balancer', `${which} is ready`)
    return warn('balancer', `${which} is not ready: ${words}`, 'evenkeel status shows more')
  })
}

function ok(name: string, message: string): Check {
  return { name, verdict: 'ok', message }
}

function warn(name: string, message: string, advice: string): Check {
  return { name, verdict: 'warn', message, advice }
}

function fail(name: string, message: string, advice: string): Check {
  return { name, verdict: 'fail', message, advice }
}

function mebibytes(bytes: number): string {
  return `${group(Math.round(bytes / MIB))} MiB`
}

function group(value: number): string {
  return value.toLocaleString('en-US')
}
