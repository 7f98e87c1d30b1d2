/** Real balancers over real servers, ended with the test that made them. */
import assert from 'node:assert/strict'
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'
import {
  type Balancer,
  type BalancerOptions,
  type Config,
  createBalancer,
  type LogRecord,
  type Settings,
} from '../../src/index.ts'

export interface Origin {
  readonly name: string
  readonly url: string
  readonly id: string
  readonly port: number
  /** Requests that were not health checks. */
  readonly seen: { requests: number; checks: number }
  close(): Promise<void>
}

/** A server that answers with its name unless `handle` says otherwise. */
export async function startOrigin(
  context: TestContext,
  name: string,
  handle: (request: IncomingMessage, response: ServerResponse) => void = (_, response) => void response.end(name),
  where: { readonly host?: string; readonly port?: number } = {},
): Promise<Origin> {
  const { host = '127.0.0.1' } = where
  const seen = { requests: 0, checks: 0 }
  const server = createServer((incoming, response) => {
    if (incoming.headers['user-agent'] === 'evenkeel-health-check') {
      seen.checks += 1
      response.end()
      return
    }
    seen.requests += 1
    handle(incoming, response)
  })
  // The balancer keeps connections for as long as it likes: the origin must not be the one that closes.
  server.keepAliveTimeout = 600_000
  await new Promise<void>((resolve) => server.listen(where.port ?? 0, host, resolve))
  const close = (): Promise<void> => {
    server.closeAllConnections()
    return new Promise((resolve) => void server.close(() => resolve()))
  }
  context.after(close)
  const { port } = server.address() as { port: number }
  return { name, url: `http://${host}:${port}`, id: `${host}:${port}`, port, seen, close }
}

/** One listener, one pool. */
export function configOf(
  endpoints: Config['pools'][string]['endpoints'],
  more: Partial<Config> = {},
  pool: Partial<Config['pools'][string]> = {},
): Config {
  return {
    version: 1,
    workers: 2,
    listeners: [{ name: 'public', bind: '127.0.0.1:0' }],
    routes: [{ pool: 'web' }],
    pools: { web: { endpoints, ...pool } },
    memory: { addresses: 1024 },
    ...more,
  }
}

export interface Started {
  readonly balancer: Balancer
  readonly log: LogRecord[]
  readonly port: number
  readonly origin: string
}

export async function startBalancer(
  context: TestContext,
  config: Config | Settings,
  options: BalancerOptions = {},
): Promise<Started> {
  const balancer = createBalancer(config, { workerHeapMb: 128, ...options })
  const log: LogRecord[] = []
  balancer.on('log', (record) => log.push(record))
  context.after(() => balancer.stop({ drainMs: 0 }))
  await balancer.start()
  const port = portOf(balancer)
  return { balancer, log, port, origin: `http://127.0.0.1:${port}` }
}

/** The port of a listener on loopback, 0 for a unix socket. */
export function portOf(balancer: Balancer, listener = 'public'): number {
  const address = balancer.address(listener)
  assert.ok(address !== null)
  return address.kind === 'ip' ? address.port : 0
}

export interface Answer {
  readonly status: number
  readonly body: string
}

/** One request on a connection of its own unless an agent is given. */
export function get(
  port: number,
  path = '/',
  options: { readonly agent?: Agent; readonly method?: string; readonly socketPath?: string } = {},
): Promise<Answer> {
  const { agent = false, method = 'GET', socketPath } = options
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const where = socketPath === undefined ? { host: '127.0.0.1', port } : { socketPath }
  const outgoing = request({ ...where, path, method, agent }, (response) => {
    let body = ''
    response.setEncoding('utf8')
    response.on('data', (part: string) => {
      body += part
    })
    response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    response.on('error', reject)
  })
  outgoing.on('error', reject)
  outgoing.end()
  return promise
}

export interface Load {
  readonly done: { requests: number; byBody: Record<string, number>; failures: string[] }
  readonly stop: () => Promise<void>
}

/** Requests in a row on `clients` kept-alive connections, half of them POST, until stopped. */
export function load(context: TestContext, port: number, clients: number): Load {
  const done: Load['done'] = { requests: 0, byBody: {}, failures: [] }
  let isRunning = true
  const agents: Agent[] = []
  const runs = Array.from({ length: clients }, async (_, client) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    agents.push(agent)
    while (isRunning) {
      try {
        const { status, body } = await get(port, '/', { agent, method: client % 2 === 0 ? 'GET' : 'POST' })
        done.requests += 1
        done.byBody[body] = (done.byBody[body] ?? 0) + 1
        if (status !== 200) done.failures.push(`status ${status}: ${body}`)
      } catch (error) {
        done.failures.push((error as NodeJS.ErrnoException).code ?? String(error))
        // A listener that is gone is not asked in a tight loop.
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
  })
  const stop = async (): Promise<void> => {
    isRunning = false
    await Promise.all(runs)
    for (const agent of agents) agent.destroy()
  }
  context.after(stop)
  return { done, stop }
}
