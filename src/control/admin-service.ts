/** The service thread as the config asks for it: started, moved and ended one step after the other, with what went wrong. */
import type { Settings } from '../config/schema.ts'
import type { BalancerView, CallResult, ServiceBoot, ServiceCall } from '../service/protocol.ts'
import type { Announcer } from './announcer.ts'
import { listenReason } from './listening.ts'
import { ServiceThread } from './service-thread.ts'

/** The admin API is waited for this long; it may also come later. */
const LISTENING_MS = 5000

export interface AdminServiceDeps {
  /** Null: there is none, whatever the config says. */
  readonly url: URL | null
  readonly announcer: Announcer
  readonly boot: () => Omit<ServiceBoot, 'admin' | 'signs'>
  /** Must not reject. */
  readonly onCall: (call: ServiceCall) => Promise<CallResult>
  /** `url` or `problem` changed. */
  readonly onChange: () => void
}

export class AdminService {
  readonly #deps: AdminServiceDeps
  #thread: ServiceThread | null = null
  #last: Promise<void> = Promise.resolve()
  #isStopping = false
  /** Ends the wait for a thread that is not to listen any more. */
  #stopWaiting: () => void = () => {}
  #url: string | null = null
  #problem: string | null = null

  constructor(deps: AdminServiceDeps) {
    this.#deps = deps
  }

  /** Where it listens; null while it does not. */
  get url(): string | null {
    return this.#url
  }

  /** Why it cannot listen. */
  get problem(): string | null {
    return this.#problem
  }

  /** Replaces what runs by what the config asks for. Resolves when it listens, cannot, or takes long. Never rejects. */
  restart(admin: Settings['admin']): Promise<void> {
    // One after the other: two reloads in a row must not leave two service threads.
    this.#last = this.#last.then(() => this.#restart(admin))
    return this.#last
  }

  /** The view changed. */
  send(make: () => BalancerView): void {
    this.#thread?.send(make)
  }

  /** Sends the latest view now. */
  flush(): void {
    this.#thread?.flush()
  }

  /** Resolves when every thread there was is gone: also the old one of a restart that is under way. */
  async stop(): Promise<void> {
    this.#isStopping = true
    this.#stopWaiting()
    await Promise.all([this.#last, this.#end()])
  }

  async #restart(admin: Settings['admin']): Promise<void> {
    const { onChange } = this.#deps
    await this.#end()
    this.#problem = null
    if (!this.#isStopping && admin !== false) await this.#start(admin)
    onChange()
  }

  async #end(): Promise<void> {
    const thread = this.#thread
    this.#thread = null
    this.#url = null
    await thread?.stop()
  }

  async #start({ bind, allowWorkerKill }: Exclude<Settings['admin'], false>): Promise<void> {
    const { url, announcer, boot, onCall, onChange } = this.#deps
    if (url === null) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#stopWaiting = resolve
    const thread = new ServiceThread({
      url,
      boot: () => ({ ...boot(), admin: { bind, allowWorkerKill } }),
      onListening: (listening) => {
        this.#url = listening
        this.#problem = null
        announcer.adminListening(listening)
        resolve()
      },
      onListenFailed: (code, message) => {
        this.#url = null
        this.#problem = `the admin API cannot listen on ${bind}: ${listenReason(code, message)}`
        announcer.log('error', 'service', 'admin-listen-failed', this.#problem, { code, bind })
        onChange()
        resolve()
      },
      onWarning: (message) => announcer.log('warn', 'service', 'service-warning', message),
      onCall,
      onExit: (detail, replacedInMs) => {
        this.#url = null
        const message = `the service thread ended: ${detail}; it is replaced, traffic is not touched`
        announcer.log('error', 'service', 'service-exit', message, { detail, replacedInMs })
      },
      onStuck: (message) => announcer.log('error', 'service', 'service-stuck', message),
    })
    this.#thread = thread
    thread.start()
    const timer = setTimeout(() => {
      const message = `the admin API does not listen after ${LISTENING_MS / 1000} s`
      announcer.log('warn', 'service', 'admin-late', message)
      resolve()
    }, LISTENING_MS)
    await promise
    clearTimeout(timer)
  }
}
