/**
 * The service thread: the admin API, metrics and probes, away from control, which may not wait, and from the workers.
 * It may be slow or die and be replaced; traffic does not notice.
 */
import type { Server } from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'
import { createAdaptorServer } from '@hono/node-server'
import { isLocal, listen, resolveAdminAddress } from './admin-socket.ts'
import { createApi } from './api.ts'
import { ControlCalls } from './control-calls.ts'
import { keepInstance } from './instances.ts'
import type { BalancerView, ServiceBoot, ServiceCommand, ServiceEvent } from './protocol.ts'
import { RateLimit } from './rate-limit.ts'
import { stateDirectory } from './state-directory.ts'
import { StatusReader } from './status.ts'
import { TokenFile } from './token-file.ts'

const CALL_TIMEOUT_MS = 10_000
/** Writes from one address: 50 a second, and no more at once. */
const WRITES_PER_SECOND = 50
const WRITE_ADDRESSES = 1024
const CONNECTIONS_MAX = 256
const HEAD_BYTES_MAX = 16 * 1024
const HEADERS_TIMEOUT_MS = 5_000
const REQUEST_TIMEOUT_MS = 10_000
const KEEP_ALIVE_MS = 15_000
/** A client that stopped reading its answer. */
const SOCKET_IDLE_MS = 30_000
/** How long answers may still be sent after a stop; control ends the thread itself after a second. */
const STOP_MS = 500
const TICK_MS = 500

if (parentPort === null) throw new Error('service.ts is the entry of a worker thread')
const control = parentPort
const boot = workerData as ServiceBoot
const send = (event: ServiceEvent): void => control.postMessage(event)
/** Control decides what becomes of it: a program that embeds us keeps its console to itself. */
const warn = (message: string): void => send({ type: 'warning', message })

let view: BalancerView = boot.view
let server: Server | null = null
let removeNote = (): void => {}
let lateMs = 0
const calls = new ControlCalls(send, CALL_TIMEOUT_MS)

control.on('message', (command: ServiceCommand) => {
  if (command.type === 'view') view = command.view
  else if (command.type === 'result') calls.result(command.id, command.result)
  else stop()
})
const stopTicks = startTicks()
if (boot.admin !== null) await start(boot.admin)

async function start(admin: NonNullable<ServiceBoot['admin']>): Promise<void> {
  try {
    const address = await resolveAdminAddress(admin.bind)
    const api = createApi(
      { view: () => view, reader: new StatusReader(boot.memory), calls, lateMs: () => lateMs, log: warn },
      {
        boundHost: address.kind === 'unix' ? null : address.host,
        readsNeedToken: !isLocal(address),
        token: new TokenFile(boot.tokenFile),
        writes: new RateLimit(WRITES_PER_SECOND, WRITES_PER_SECOND, WRITE_ADDRESSES),
        allowWorkerKill: admin.allowWorkerKill,
      },
    )
    const created = createAdaptorServer({
      fetch: (request, { incoming }) => api.fetch(request, { remoteAddress: incoming.socket.remoteAddress ?? 'unix' }),
      // For HTTP/1.0 probes without a Host field; the guard looks at the field itself.
      hostname: 'localhost',
      // This thread is ours, but the process may be a program that embeds us.
      overrideGlobalObjects: false,
      serverOptions: {
        maxHeaderSize: HEAD_BYTES_MAX,
        headersTimeout: HEADERS_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        keepAliveTimeout: KEEP_ALIVE_MS,
        connectionsCheckingInterval: 1_000,
      },
    }) as Server
    created.maxConnections = CONNECTIONS_MAX
    created.setTimeout(SOCKET_IDLE_MS)
    const url = await listen(created, address)
    created.on('error', (error) => warn(`admin API: ${error.message}`))
    server = created
    announce(url, admin.bind)
    send({ type: 'listening', url })
  } catch (error) {
    const { code = 'ERROR', message } = error as NodeJS.ErrnoException
    send({ type: 'listen-failed', code, message })
  }
}

/** Leaves a note for the command line. Without one everything works, but it has to be told where. */
function announce(url: string, bind: string): void {
  const { pid, startedAtMs, config } = boot.view
  const instance = { pid, url, tokenFile: boot.tokenFile, configFile: config.file, startedAtMs }
  try {
    removeNote = keepInstance(stateDirectory(), instance, bind)
  } catch (error) {
    warn(`admin API: the command line will need --admin ${url}: ${(error as Error).message}`)
  }
}

/** Ends the thread once running answers are sent, or after half a second. */
function stop(): void {
  calls.close()
  stopTicks()
  removeNote()
  // Without the port the thread ends when the server does.
  const release = (): void => control.close()
  if (server === null) {
    release()
    return
  }
  const cutOff = setTimeout(() => server?.closeAllConnections(), STOP_MS)
  server.close(() => {
    clearTimeout(cutOff)
    release()
  })
  server.closeIdleConnections()
}

/** Gives signs of life, and adds up by how much this thread's own timers are late. */
function startTicks(): () => void {
  const signs = new Int32Array(boot.signs)
  let due = performance.now() + TICK_MS
  const timer = setInterval(() => {
    Atomics.add(signs, 0, 1)
    const now = performance.now()
    lateMs += Math.max(0, now - due)
    due = now + TICK_MS
  }, TICK_MS)
  return () => clearInterval(timer)
}
