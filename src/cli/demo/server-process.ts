/** A demo server as its parent sees it: started, killed, started again on the same port. */
import { type ChildProcess, spawn } from 'node:child_process'
import { request } from 'node:http'
import { fileURLToPath } from 'node:url'
import type { DemoServerTraits } from './cast.ts'
import type { ServerMessage } from './server.ts'

export type ServerState = 'stopped' | 'starting' | 'up'

const START_TIMEOUT_MS = 10_000

export class ServerProcess {
  readonly traits: DemoServerTraits
  /** Zero before the first start; kept from then on, because the balancer's config names it. */
  port = 0
  state: ServerState = 'stopped'
  #child: ChildProcess | null = null

  constructor(traits: DemoServerTraits) {
    this.traits = traits
  }

  get id(): string {
    return this.traits.name
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Resolves when it answers a health check; rejects when it does not come up. `onExit` hears of an end that nobody asked for. */
  async start(onExit: (detail: string) => void): Promise<void> {
    if (this.state !== 'stopped') return
    this.state = 'starting'
    const file = fileURLToPath(new URL(`./server${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url))
    const { name, baseMs } = this.traits
    const child = spawn(process.execPath, [file, name, String(this.port), String(baseMs)], {
      // The channel is what tells the child that its parent is gone.
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      // Options meant for this process (a debugger, a profiler) are not for its children.
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    this.#child = child
    let said = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-2000)
    })
    child.once('exit', (code, signal) => {
      if (this.#child !== child) return
      const wasUp = this.state === 'up'
      this.#child = null
      this.state = 'stopped'
      if (wasUp) onExit(signal === null ? `it exited with ${code}` : `it was ended by ${signal}`)
    })
    try {
      this.port = await listening(child, () => said)
      await answersHealth(this.port)
      this.state = 'up'
    } catch (error) {
      this.kill()
      throw error
    }
  }

  /** Ends it at once, as a crash would. */
  kill(): void {
    const child = this.#child
    this.#child = null
    this.state = 'stopped'
    child?.kill('SIGKILL')
  }
}

function listening(child: ChildProcess, said: () => string): Promise<number> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('it did not start in time')), START_TIMEOUT_MS)
    const settle = () => clearTimeout(late)
    child.once('message', (message: ServerMessage) => {
      settle()
      if (message.type === 'listening') resolve(message.port)
      else reject(new Error(`it could not listen on port ${message.port} (${message.detail})`))
    })
    child.once('error', (error) => {
      settle()
      reject(error)
    })
    child.once('exit', (code, signal) => {
      settle()
      const last = said().trim().split('\n').at(-1) ?? ''
      reject(new Error(`it ended while starting (${signal ?? code})${last === '' ? '' : `: ${last}`}`))
    })
  })
}

function answersHealth(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const asking = request({ host: '127.0.0.1', port, path: '/health', agent: false, timeout: 2000 }, (response) => {
      response.resume()
      if (response.statusCode === 200) resolve()
      else reject(new Error(`its health check says ${response.statusCode}`))
    })
    asking.on('timeout', () => asking.destroy(new Error('its health check took too long')))
    asking.on('error', reject)
    asking.end()
  })
}
