/**
 * Resolves the endpoints' host names, so that plans carry literal addresses and nothing on the request path waits for a
 * lookup. `dns.lookup` is the system's own resolver (hosts file, nsswitch), which tells no TTL: every name is looked up
 * again each 30 s, and soon after its endpoint failed.
 */
import { lookup as systemLookup } from 'node:dns/promises'
import { isIP } from 'node:net'

const REFRESH_MS = 30_000
/** Retries of a name that does not resolve grow from here to `REFRESH_MS`. */
const RETRY_MS = 1000
/** A failing endpoint asks for its name at most this often. */
const ASK_AGAIN_MS = 1000
/**
 * Lookups run in libuv's pool of four threads, which the whole process shares with file access: two of them may hang in a
 * dead resolver without stopping the rest.
 */
const CONCURRENT = 2

export interface NamesDeps {
  /** All addresses in the system's order. Rejects when there are none. Default: `dns.lookup`. */
  readonly lookup?: (host: string) => Promise<readonly string[]>
  /** The name has another address now, or stopped or began to resolve. */
  readonly onChange: (host: string) => void
}

/** What is known of one name. */
export interface NameState {
  /** The literal in use; it stays when a later lookup fails. Null until one succeeded. */
  readonly address: string | null
  /** Why the last lookup failed; null when it did not, or none has ended yet. */
  readonly problem: string | null
}

interface Name {
  readonly host: string
  address: string | null
  /** The last answer. */
  addresses: readonly string[]
  problem: string | null
  failures: number
  /** Moves from one address to the next since `movesFrom`. */
  moves: number
  movesFrom: number
  dueAt: number
  lastAskedAt: number
  isRunning: boolean
}

/** Keeps a set of names resolved until `stop`. Literal addresses are their own answer and are never looked up. */
export class Names {
  readonly #lookup: (host: string) => Promise<readonly string[]>
  readonly #onChange: (host: string) => void
  readonly #names = new Map<string, Name>()
  #isFailing: (host: string, address: string) => boolean = () => false
  #timer: NodeJS.Timeout | null = null
  #running = 0
  #waiting: (() => void)[] = []
  #isStopped = false

  constructor(deps: NamesDeps) {
    this.#lookup = deps.lookup ?? lookupAll
    this.#onChange = deps.onChange
  }

  /**
   * `isFailing` says whether nothing that was found by this name works at this address. Then the name moves on to its next
   * address: one server that is down must not take those beside it away from an address where they work.
   */
  watch(isFailing: (host: string, address: string) => boolean): void {
    this.#isFailing = isFailing
  }

  /** The names there are from now on; new ones are looked up at once. */
  update(hosts: Iterable<string>): void {
    const wanted = new Set<string>()
    for (const host of hosts) if (isIP(host) === 0) wanted.add(host)
    for (const host of this.#names.keys()) if (!wanted.has(host)) this.#names.delete(host)
    for (const host of wanted) {
      if (this.#names.has(host)) continue
      this.#names.set(host, {
        host,
        address: null,
        addresses: [],
        problem: null,
        failures: 0,
        moves: 0,
        movesFrom: 0,
        dueAt: 0,
        lastAskedAt: 0,
        isRunning: false,
      })
    }
    this.#run()
  }

  get(host: string): NameState {
    if (isIP(host) !== 0) return { address: host, problem: null }
    const { address, problem } = this.#names.get(host) ?? { address: null, problem: null }
    return { address, problem }
  }

  /**
   * An endpoint of this name failed. Where the name has another address it moves on to that, and it is looked up: at once, or as
   * soon as a second has passed since it was looked up last.
   */
  ask(host: string): void {
    const name = this.#names.get(host)
    if (name === undefined) return
    if (this.#moveOn(name)) this.#onChange(host)
    if (name.isRunning) return
    name.dueAt = Math.min(name.dueAt, name.lastAskedAt + ASK_AGAIN_MS)
    this.#run()
  }

  /** Resolves when every name was tried once, or after `timeoutMs`. */
  async settled(timeoutMs: number): Promise<void> {
    if (this.#isSettled()) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, timeoutMs)
    this.#waiting.push(resolve)
    await promise
    clearTimeout(timer)
  }

  /** Nothing is called afterwards; a lookup that hangs in the system's resolver cannot be ended, only forgotten. */
  stop(): void {
    this.#isStopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#names.clear()
    this.#release()
  }

  #run(): void {
    if (this.#isStopped) return
    const now = performance.now()
    let nextAt = Number.POSITIVE_INFINITY
    for (const name of this.#names.values()) {
      if (name.isRunning) continue
      if (name.dueAt <= now && this.#running < CONCURRENT) void this.#resolve(name, now)
      else nextAt = Math.min(nextAt, name.dueAt)
    }
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    // With every place taken, whoever ends first looks again.
    if (nextAt < Number.POSITIVE_INFINITY && this.#running < CONCURRENT) {
      this.#timer = setTimeout(() => this.#run(), Math.max(1, nextAt - now))
    }
    if (this.#isSettled()) this.#release()
  }

  async #resolve(name: Name, now: number): Promise<void> {
    name.isRunning = true
    name.lastAskedAt = now
    this.#running += 1
    let addresses: readonly string[] = []
    let problem: string | null = null
    try {
      addresses = await this.#lookup(name.host)
      if (addresses.length === 0) problem = 'it has no address'
    } catch (error) {
      problem = wordsOf(error)
    }
    this.#running -= 1
    name.isRunning = false
    if (this.#names.get(name.host) === name) this.#settle(name, addresses, problem)
    this.#run()
  }

  #settle(name: Name, addresses: readonly string[], problem: string | null): void {
    const before = name.address
    const problemBefore = name.problem
    name.problem = problem
    if (problem === null) {
      name.failures = 0
      name.addresses = addresses
      // A resolver that rotates its answers must not move the endpoint each time.
      if (name.address === null || !addresses.includes(name.address)) name.address = addresses[0]!
      else this.#moveOn(name)
    } else name.failures += 1
    const delay = problem === null ? REFRESH_MS : Math.min(REFRESH_MS, RETRY_MS * 2 ** Math.min(name.failures - 1, 10))
    name.dueAt = performance.now() + delay
    if (name.address !== before || name.problem !== problemBefore) this.#onChange(name.host)
  }

  /**
   * Takes the next address when nothing works at the one in use; true when it did. Once around in the time of a refresh: where
   * all addresses are dead, each move makes the endpoint eligible again until it is checked.
   */
  #moveOn(name: Name): boolean {
    const { address, addresses, host } = name
    if (address === null || addresses.length < 2 || !this.#isFailing(host, address)) return false
    const now = performance.now()
    if (name.moves === 0 || now - name.movesFrom >= REFRESH_MS) {
      name.moves = 0
      name.movesFrom = now
    }
    if (name.moves >= addresses.length - 1) return false
    name.moves += 1
    name.address = addresses[(addresses.indexOf(address) + 1) % addresses.length]!
    return true
  }

  #isSettled(): boolean {
    for (const name of this.#names.values()) if (name.address === null && name.problem === null) return false
    return true
  }

  #release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

async function lookupAll(host: string): Promise<readonly string[]> {
  const found = await systemLookup(host, { all: true, order: 'verbatim' })
  return found.map(({ address }) => address)
}

function wordsOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOTFOUND') return 'the name does not resolve (ENOTFOUND)'
  if (code === 'EAI_AGAIN') return 'the resolver does not answer (EAI_AGAIN)'
  return error instanceof Error ? error.message : String(error)
}
