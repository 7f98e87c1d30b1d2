/** Starting and ending the programs under test, and the kernel's own account of what they used. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface StartOptions {
  /** Cores it may run on, as `taskset -c` reads them. */
  readonly cores: string
  /** It is up once this port of loopback accepts. */
  readonly port: number
  readonly env?: Readonly<Record<string, string>>
}

/** A started program with whatever it started itself. */
export class Program {
  readonly child: ChildProcess
  /** The last of what it printed. */
  output = ''

  constructor(child: ChildProcess) {
    this.child = child
    const keep = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-8192)
    }
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
  }

  get pid(): number {
    return this.child.pid!
  }

  /** Asks with SIGTERM, insists with SIGKILL. Ends only what it started. */
  async stop(graceMs = 5000): Promise<void> {
    const { child } = this
    if (child.exitCode !== null || child.signalCode !== null) return
    const family = processTree(this.pid)
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    const timer = setTimeout(() => {
      for (const pid of family) signal(pid, 'SIGKILL')
    }, graceMs)
    await gone
    clearTimeout(timer)
  }
}

/** Starts a program on the given cores and waits until it listens. */
export async function start(command: string, args: readonly string[], options: StartOptions): Promise<Program> {
  const child = spawn('taskset', ['-c', options.cores, command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Where Debian puts nginx and haproxy, which is not on everybody's path.
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, ...options.env },
  })
  const program = new Program(child)
  const deadline = performance.now() + 15_000
  while (!(await accepts(options.port))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      await program.stop()
      throw new Error(`${command} did not start listening on ${options.port}; it printed:\n${program.output}`)
    }
    await sleep(50)
  }
  return program
}

function accepts(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect({ port, host: '127.0.0.1' })
  socket.once('connect', () => {
    resolve(true)
    socket.destroy()
  })
  socket.once('error', () => {
    resolve(false)
  })
  return promise
}

/** Ports of loopback that nobody listened on a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // Gone already.
  }
}

/** The process and all its descendants. */
export function processTree(pid: number): number[] {
  const children = new Map<number, number[]>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    const stat = readOr(`/proc/${entry}/stat`)
    // "pid (name, which may hold anything) state ppid …"
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)])
  }
  const tree = [pid]
  for (const member of tree) tree.push(...(children.get(member) ?? []))
  return tree
}

/**
 * CPU time in nanoseconds that a program has used up to now: the sum of what each living thread was on a core
 * (first number of schedstat). Exact where /proc/PID/stat counts ticks of 10 ms. A thread that ends takes its share with
 * it, so the difference is only right for programs that end no thread meanwhile; all of ours keep theirs.
 */
export function cpuNanoseconds(pid: number): number {
  let sum = 0
  for (const member of processTree(pid)) {
    for (const thread of directory(`/proc/${member}/task`)) {
      sum += Number(readOr(`/proc/${member}/task/${thread}/schedstat`).split(' ')[0])
    }
  }
  return sum
}

export interface Memory {
  readonly rssBytes: number
  /** Shared pages counted by their share: what a program of several processes really holds. */
  readonly pssBytes: number
}

export function memoryOf(pid: number): Memory {
  let rssBytes = 0
  let pssBytes = 0
  for (const member of processTree(pid)) {
    const text = readOr(`/proc/${member}/smaps_rollup`)
    rssBytes += kibibytes(text, 'Rss') * 1024
    pssBytes += kibibytes(text, 'Pss') * 1024
  }
  return { rssBytes, pssBytes }
}

function kibibytes(text: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0)
}

/** Open descriptors of a process by what they are: `socket`, `anon_inode:[eventpoll]`, a file's path. */
export function descriptorsOf(pid: number): Map<string, number> {
  const counts = new Map<string, number>()
  for (const fd of directory(`/proc/${pid}/fd`)) {
    let target: string
    try {
      target = readlinkSync(`/proc/${pid}/fd/${fd}`)
    } catch {
      continue
    }
    // "socket:[12345]" and "pipe:[12345]" without their numbers.
    const kind = target.replace(/^(socket|pipe):\[\d+\]$/, '$1')
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  return counts
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function directory(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
