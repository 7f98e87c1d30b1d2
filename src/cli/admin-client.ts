/** How commands reach the admin API of a running balancer: found by its note, or named with `--admin`. */
import http from 'node:http'
import { type Command, InvalidArgumentError } from 'commander'
import { parseIp } from '../core/address.ts'
import { type FoundInstance, findInstances } from '../service/instances.ts'
import { isLoopback } from '../service/request-guard.ts'
import { defaultTokenFile, searchedStateDirectories } from '../service/state-directory.ts'
import { readToken } from '../service/token-file.ts'
import { nearPath } from './problem-lines.ts'
import { CommandError } from './report-error.ts'

/** Longer than the service waits for control, so that its own answer is seen. */
const TIMEOUT_MS = 15_000
/** A status of 10 000 endpoints has some 8 MB. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024

/** The options that every command about a running balancer has. */
export interface AdminOptions {
  readonly admin?: string
  readonly tokenFile?: string
  readonly json?: true
}

/** Adds `--admin`, `--token-file` and `--json`. */
export function withAdminOptions(command: Command): Command {
  return command
    .option(
      '--admin <url>',
      'where the admin API is: http://host:port or unix:/path (default: the running balancer)',
      adminUrl,
    )
    .option('--token-file <file>', 'the file that holds its token (default: what the balancer says)')
    .option('--json', 'print one JSON object')
}

function adminUrl(text: string): string {
  if (/^unix:\/./.test(text)) return text
  const withScheme = /^[a-z]+:\/\//i.test(text) ? text : `http://${text}`
  if (URL.canParse(withScheme)) {
    const { protocol, pathname, search, host } = new URL(withScheme)
    if (protocol === 'http:' && pathname === '/' && search === '') return `http://${host}`
  }
  throw new InvalidArgumentError("write it as 'http://127.0.0.1:9090' or 'unix:/run/evenkeel.sock'.")
}

/** What the API said. */
export interface AdminAnswer {
  readonly status: number
  readonly body: unknown
}

/** One balancer's admin API. */
export class AdminClient {
  readonly url: string
  readonly #instance: FoundInstance | null
  readonly #tokenFile: string | null

  constructor(url: string, instance: FoundInstance | null, tokenFile: string | null) {
    this.url = url
    this.#instance = instance
    this.#tokenFile = tokenFile
  }

  /** Reads; sends the token only where it is asked for. */
  async get(path: string): Promise<unknown> {
    const first = await this.#ask('GET', path, null, null)
    const answer = first.status === 401 ? await this.#ask('GET', path, null, this.#token()) : first
    return this.#checked(answer)
  }

  /** Writes, with the token. */
  async post(path: string, body: unknown): Promise<unknown> {
    return this.#checked(await this.#ask('POST', path, JSON.stringify(body), this.#token()))
  }

  /** Takes something back, with the token. */
  async delete(path: string): Promise<unknown> {
    return this.#checked(await this.#ask('DELETE', path, null, this.#token()))
  }

  #token(): string {
    const instance = this.#instance
    const file = this.#tokenFile ?? instance?.tokenFile ?? defaultTokenFile()
    // A note of another user names a file of that user: nobody makes us read somebody else's and send it to them.
    const isTrusted =
      instance === null || this.#tokenFile !== null || instance.uid === 0 || instance.uid === process.getuid?.()
    const reading = isTrusted ? readToken(file) : readToken(file, instance.uid)
    if (reading === null) {
      throw new CommandError(`the token file ${file} is not there`, { hint: 'name it: --token-file FILE' })
    }
    if (!reading.ok) {
      throw new CommandError(reading.reason, {
        hint: 'run this as the user that the balancer runs as, or name a file: --token-file FILE',
      })
    }
    return reading.token
  }

  /** The body of a good answer; a problem becomes an error that says what the API said. */
  #checked({ status, body }: AdminAnswer): unknown {
    if (status >= 200 && status < 300) return body
    const { title, detail, hint } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>
    const said = typeof detail === 'string' ? detail : typeof title === 'string' ? title : `it answered ${status}`
    const details = typeof hint === 'string' ? { hint: `did you mean '${printable(hint)}'?` } : {}
    throw new CommandError(asLine(printable(said)), details)
  }

  async #ask(method: string, path: string, body: string | null, token: string | null): Promise<AdminAnswer> {
    const where = this.url.startsWith('unix:')
      ? { socketPath: this.url.slice('unix:'.length) }
      : { host: new URL(this.url).hostname.replace(/^\[|\]$/g, ''), port: new URL(this.url).port || 80 }
    const headers: http.OutgoingHttpHeaders = {
      host: this.url.startsWith('unix:') ? 'localhost' : new URL(this.url).host,
    }
    if (body !== null) headers['content-type'] = 'application/json'
    if (token !== null) headers['authorization'] = `Bearer ${token}`
    try {
      return await new Promise((resolve, reject) => {
        const request = http.request({ ...where, method, path, headers, agent: false }, (response) => {
          const chunks: Buffer[] = []
          let bytes = 0
          response.on('data', (chunk: Buffer) => {
            bytes += chunk.length
            if (bytes > ANSWER_BYTES_MAX) response.destroy(new Error('its answer is too long'))
            else chunks.push(chunk)
          })
          response.on('error', reject)
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body: parsed(Buffer.concat(chunks)) }))
        })
        const timer = setTimeout(
          () => request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)),
          TIMEOUT_MS,
        )
        request.on('close', () => clearTimeout(timer))
        request.on('error', reject)
        request.end(body ?? undefined)
      })
    } catch (error) {
      throw new CommandError(`no balancer answers at ${this.url}: ${(error as Error).message}`, {
        hint: "is it running, with 'admin' in its config? 'evenkeel doctor' looks",
        cause: error,
      })
    }
  }
}

/** The API writes sentences with names as JSON; here they are parts of lines, as everything else that is said. */
function asLine(sentence: string): string {
  const line = sentence.replace(/\.$/, '').replace(/"([^"\\]*)"/g, "'$1'")
  return line.slice(0, 1).toLowerCase() + line.slice(1)
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return null
  }
}

/**
 * The balancer that a command is about: what `--admin` names, else the only one that runs.
 * @throws CommandError when there is none, or more than one.
 */
export function findBalancer(options: AdminOptions): AdminClient {
  const directories = searchedStateDirectories()
  const instances = findInstances(directories)
  const tokenFile = options.tokenFile ?? null
  const { admin } = options
  if (admin !== undefined) {
    return new AdminClient(admin, instances.find(({ url }) => url === admin) ?? null, tokenFile)
  }
  // Another user's note must not send us anywhere but to this machine.
  const local = instances.flatMap((instance) => (isReachable(instance) ? [instance] : []))
  const [only] = local
  if (only === undefined) {
    const quiet = instances.filter(({ url }) => url === null)
    if (quiet.length > 0) throw noAdminApi(quiet)
    throw new CommandError('no running balancer was found', {
      hint: `looked in ${directories.join(' and ')}; say where it is: --admin http://HOST:PORT`,
    })
  }
  if (local.length > 1) {
    const shown = local.map(
      ({ url, pid, configFile }) => `\n    --admin ${url}  (pid ${pid}${configFile === null ? '' : `, ${configFile}`})`,
    )
    throw new CommandError(`${local.length} balancers are running`, {
      hint: printable(`say which one:${shown.join('')}`, true),
    })
  }
  return new AdminClient(only.url, only, tokenFile)
}

/** An instance that a command may talk to. */
export type ReachableInstance = FoundInstance & { readonly url: string }

/** Has it an admin API, on this machine? */
export function isReachable(instance: FoundInstance): instance is ReachableInstance {
  return instance.url !== null && isLocalUrl(instance.url)
}

/** What is known of balancers that run here and cannot be asked. */
function noAdminApi(quiet: readonly FoundInstance[]): CommandError {
  const shown = quiet.map(({ pid, configFile }) => {
    const remedy =
      configFile === null
        ? 'it was started with --no-admin: start it without'
        : `add \`admin: {}\` to its config and reload it (kill -HUP ${pid})`
    return `pid ${pid}, ${configFile === null ? 'without a config file' : `config ${nearPath(configFile)}`}: ${remedy}`
  })
  const subject =
    quiet.length === 1
      ? 'an evenkeel runs here, without an admin API'
      : `${quiet.length} balancers run here, without an admin API`
  return new CommandError(subject, { hint: printable(shown.join('\n  '), true) })
}

/** A unix socket, or loopback by its literal. */
export function isLocalUrl(url: string): boolean {
  if (url.startsWith('unix:/')) return true
  if (!URL.canParse(url)) return false
  const { protocol, hostname } = new URL(url)
  const literal = hostname.replace(/^\[|\]$/g, '')
  return protocol === 'http:' && parseIp(literal) !== null && isLoopback(literal)
}

/** The path of an endpoint in the API. */
export function endpointPath(id: string): string {
  return `/api/v1/endpoints/${encodeURIComponent(id)}`
}

/** Where a change of an endpoint acts, said where that is more than the one pool that one thinks of. */
export function inPools(pools: readonly string[]): string {
  return pools.length > 1 ? ` (in ${pools.length} pools: ${printable(pools.join(', '))})` : ''
}

/** A text from elsewhere as it may go to a terminal: control characters would move its cursor. */
export function printable(text: string, keepLines = false): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (found) =>
    keepLines && found === '\n' ? found : '�',
  )
}
