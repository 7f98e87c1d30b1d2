/** A balancer as a process of its own: start, signals, reload, stop. Shared by `start` and `proxy`. */
import { type LoadedConfig, loadConfig } from '../config/load.ts'
import type { Problem } from '../config/problem.ts'
import type { Settings } from '../config/schema.ts'
import { type Balancer, createBalancer, type ReloadResult, type StartReport } from '../control/balancer.ts'
import { StartError } from '../control/balancer-errors.ts'
import { productVersion } from '../control/product-version.ts'
import { formatAddress } from '../core/address.ts'
import { placeProblem } from './place-problems.ts'
import { nearPath, readableProblem } from './problem-lines.ts'
import { ProcessLog } from './process-log.ts'
import { QuietNote } from './quiet-note.ts'
import { CommandError } from './report-error.ts'
import { type FileWatch, watchFiles } from './watch-files.ts'

export interface RunSource {
  readonly settings: Settings
  readonly warnings: readonly Problem[]
  /** Null: the config came from the command line, there is nothing to reload. */
  readonly file: string | null
  readonly hash?: string
  readonly moduleFiles: readonly string[]
  /** Where a path of the config stands in the file. */
  readonly place?: LoadedConfig['place']
}

/** After a stop, what still keeps the process alive is given this long. */
const EXIT_GRACE_MS = 1000

/**
 * Runs until a signal stops it.
 *
 * SIGTERM and SIGINT drain, a second one cuts off; SIGHUP reloads; SIGUSR1 reopens the log files. Rejects with the
 * balancer's own errors when it cannot start.
 */
export async function runBalancer(
  source: RunSource,
  options: { readonly json: boolean; readonly early?: HeldSignals },
): Promise<void> {
  const log = new ProcessLog(options.json)
  for (const warning of source.warnings) sayProblem(log, warning)
  let reloader: Reloader | null = null
  const balancer = createBalancer(source.settings, {
    configFile: source.file,
    ...(source.hash === undefined ? {} : { configHash: source.hash }),
    ...(source.file === null ? {} : { onReloadCall: () => reloader!.reload('the admin API asked for it') }),
  })
  balancer.on('log', (record) => log.record(record))
  if (source.file !== null) reloader = new Reloader(balancer, source.file, source, log)

  const stop = stopOnSignals(balancer, log)
  const reload = { isPossible: false, isAsked: options.early?.isReloadAsked === true }
  const onHangUp = () => {
    if (reloader === null) log.say('warn', 'reload-refused', 'SIGHUP: there is no config file to read again')
    else if (reload.isPossible) void reloader.reload('SIGHUP', true)
    else reload.isAsked = true
  }
  // Both would end the process by default, also one that is still starting.
  process.on('SIGHUP', onHangUp)
  process.on('SIGUSR1', () => balancer.reopenLogs())
  options.early?.release()
  const report = await balancer.start().catch((error: unknown) => {
    // Stopped while it was starting: that is what was asked for.
    if (stop.isAsked) return null
    throw inFile(error, source)
  })
  if (report === null) {
    await stop.done
    return
  }
  const note = new QuietNote(source.file)
  note.update(balancer.settings.admin !== false)
  balancer.on('reloaded', () => note.update(balancer.settings.admin !== false))
  sayStart(report, balancer, source, log)
  reloader?.watch(balancer.settings.reload.watch)
  reload.isPossible = true
  if (reload.isAsked) onHangUp()
  await stop.done
  note.remove()
  reloader?.close()
}

/** A start that failed for what the config says is told with its file, its path and its line, as `check` tells it. */
function inFile(error: unknown, { file, place, settings }: RunSource): unknown {
  if (file === null || place === undefined || !(error instanceof StartError) || error.problems.length === 0)
    return error
  const problems = error.problems.map((problem) => ({ file, ...placeProblem(problem, { settings, place }) }))
  return new CommandError('the balancer cannot start', { problems, cause: error })
}

/** SIGHUP and SIGUSR1 from before there is anything to reload or reopen. */
export interface HeldSignals {
  readonly isReloadAsked: boolean
  release(): void
}

/** Catches what would end the process by default, or open Node's inspector (SIGUSR1), until `release`. */
export function holdSignals(): HeldSignals {
  const held = {
    isReloadAsked: false,
    release(): void {
      process.off('SIGHUP', onHangUp)
      process.off('SIGUSR1', ignore)
    },
  }
  const onHangUp = (): void => {
    held.isReloadAsked = true
  }
  const ignore = (): void => {}
  process.on('SIGHUP', onHangUp)
  process.on('SIGUSR1', ignore)
  return held
}

/** What a signal has asked for, and when it is done. */
interface Stop {
  isAsked: boolean
  readonly done: Promise<void>
}

function stopOnSignals(balancer: Balancer, log: ProcessLog): Stop {
  const { promise, resolve } = Promise.withResolvers<void>()
  const stop: Stop = { isAsked: false, done: promise }
  let signals = 0
  const onSignal = (signal: NodeJS.Signals) => {
    signals++
    stop.isAsked = true
    if (signals === 1) {
      const { drainMs } = balancer.settings.stop
      log.say(
        'info',
        'stopping',
        `${signal}: no new connections; what runs may take ${drainMs / 1000} s to finish (a second signal cuts it off)`,
        {
          signal,
          drainMs,
        },
      )
    } else log.say('warn', 'stopping-now', `${signal}: cutting off what is left`, { signal })
    void balancer.stop(signals === 1 ? {} : { drainMs: 0 }).then(({ cutOff, tookMs }) => {
      if (signals < 0) return
      signals = Number.NEGATIVE_INFINITY
      const rest =
        cutOff === 0 ? 'everything had finished' : `${cutOff} connection${cutOff === 1 ? ' was' : 's were'} cut off`
      log.say('info', 'stopped', `stopped after ${(tookMs / 1000).toFixed(1)} s; ${rest}`, { cutOff, tookMs })
      setTimeout(() => process.exit(), EXIT_GRACE_MS).unref()
      resolve()
    })
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return stop
}

/** Reads the config again and applies it; one at a time, and what comes meanwhile is done once more afterwards. */
class Reloader {
  readonly #balancer: Balancer
  readonly #file: string
  readonly #log: ProcessLog
  #moduleFiles: readonly string[]
  /** Of the config in force. */
  #hash: string | undefined
  /** Said already: a file that stays broken is not told of again at every event. */
  #lastRefusal = ''
  #running: Promise<ReloadResult> | null = null
  #queued: Promise<ReloadResult> | null = null
  #watch: FileWatch | null = null

  constructor(balancer: Balancer, file: string, source: RunSource, log: ProcessLog) {
    this.#balancer = balancer
    this.#file = file
    this.#log = log
    this.#moduleFiles = source.moduleFiles
    this.#hash = source.hash
  }

  watch(isWanted: boolean): void {
    if (isWanted && this.#watch === null) {
      this.#watch = watchFiles(this.#moduleFiles, () => void this.reload('the file changed'))
      // It was read before it was watched, e.g. ahead of a start that took its time: read again, which says nothing if it is the same.
      void this.reload('the file changed')
    } else if (!isWanted) this.close()
  }

  close(): void {
    this.#watch?.close()
    this.#watch = null
  }

  /** `isAsked`: say the outcome also when nothing changed. */
  reload(why: string, isAsked = false): Promise<ReloadResult> {
    if (this.#running === null) {
      this.#running = this.#reload(why, isAsked).finally(() => {
        this.#running = null
      })
      return this.#running
    }
    this.#queued ??= this.#running.then(() => {
      this.#queued = null
      return this.reload(why, isAsked)
    })
    return this.#queued
  }

  async #reload(why: string, isAsked: boolean): Promise<ReloadResult> {
    const loaded = await loadConfig(this.#file)
    if (loaded.moduleFiles.join('\0') !== this.#moduleFiles.join('\0')) {
      this.#moduleFiles = loaded.moduleFiles
      this.#watch?.update(this.#moduleFiles)
      // Files that are new here were read before they were watched, as above.
      if (this.#watch !== null) void this.reload('the file changed')
    }
    if (loaded.problems !== undefined) {
      this.#balancer.refuseReload(loaded.problems)
      this.#refuse(why, loaded.problems, isAsked)
      return { ok: false, problems: loaded.problems }
    }
    if (loaded.hash === this.#hash && !isAsked) {
      this.#lastRefusal = ''
      if (this.#balancer.clearRefusal()) {
        this.#log.say('info', 'refusal-cleared', `the config in force is the file's again (${why}): nothing is refused`)
      }
      return { ok: true, version: this.#balancer.view().version, changes: [], warnings: [] }
    }
    const result = await this.#balancer.reload(loaded.settings, {
      configFile: this.#file,
      configHash: loaded.hash,
      place: (problem) => placeProblem(problem, loaded),
    })
    if (!result.ok) {
      this.#refuse(why, result.problems, isAsked)
      return result
    }
    this.#hash = loaded.hash
    this.#lastRefusal = ''
    for (const warning of loaded.warnings) sayProblem(this.#log, warning)
    const { changes, version } = result
    const what = changes.length === 0 ? 'nothing changed' : `${changes.length} change${changes.length === 1 ? '' : 's'}`
    this.#log.say('info', 'reloaded', `reloaded (${why}): ${what}`, {
      version,
      changes: changes.map(({ path, kind }) => ({ path, kind })),
    })
    for (const { path, kind, needsRestart } of changes.slice(0, 20)) {
      this.#log.note(`  ${kind} ${path}${needsRestart ? ' (takes effect after a restart)' : ''}`)
    }
    if (changes.length > 20) this.#log.note(`  and ${changes.length - 20} more`)
    this.watch(this.#balancer.settings.reload.watch)
    return result
  }

  #refuse(why: string, problems: readonly Problem[], isAsked: boolean): void {
    const text = JSON.stringify(problems)
    if (text === this.#lastRefusal && !isAsked) return
    this.#lastRefusal = text
    const errors = problems.filter(({ severity }) => severity === 'error').length
    this.#log.say(
      'error',
      'reload-refused',
      `reload refused (${why}): ${errors} problem${errors === 1 ? '' : 's'}; the config before stays in force`,
      { problems },
    )
    for (const problem of problems) this.#log.note(`  ${readableProblem(problem, process.stderr)}`)
  }
}

function sayStart(report: StartReport, balancer: Balancer, source: RunSource, log: ProcessLog): void {
  const from = source.file === null ? 'the command line' : nearPath(source.file)
  const { workers, listeners, adminUrl, warnings } = report
  log.say(
    'info',
    'started',
    `evenkeel ${productVersion()} · pid ${process.pid} · ${workers} worker${workers === 1 ? '' : 's'} · config: ${from}`,
    {
      pid: process.pid,
      workers,
      listeners: listeners.map(({ name, address, everyInterface }) => ({
        name,
        address: formatAddress(address),
        everyInterface,
      })),
      adminUrl,
    },
  )
  for (const { name, address, everyInterface } of listeners) {
    const url = address.kind === 'unix' ? formatAddress(address) : `http://${formatAddress(address)}`
    const label = name === formatAddress(address) ? '' : ` (${name})`
    log.note(`  listening on ${url}${label}${everyInterface ? ', on every interface of this machine' : ''}`)
  }
  for (const [name, pool] of Object.entries(balancer.settings.pools)) {
    const { length } = pool.endpoints
    log.note(
      `  pool ${name}: ${length} endpoint${length === 1 ? '' : 's'}, ${pool.balance.name}${pool.health === false ? ', no health check' : `, checked at ${pool.health.path}`}`,
    )
  }
  if (adminUrl !== null) log.note(`  admin API on ${adminUrl} (evenkeel status)`)
  else if (balancer.settings.admin === false) log.note(`  ${adminIsOff(source.file)}`)
  for (const warning of warnings) log.say('warn', 'start-warning', warning)
}

/** Nothing that can change a balancer is open unless the config says so, and whoever looks for it must know. */
function adminIsOff(file: string | null): string {
  const what = 'evenkeel status, drain, weight and /metrics have nothing to ask'
  const how = file === null ? 'start it without --no-admin' : 'add `admin: {}` to the config for 127.0.0.1:9090'
  return `admin API off: ${what}; ${how}`
}

function sayProblem(log: ProcessLog, problem: Problem): void {
  log.say(
    problem.severity === 'warning' ? 'warn' : 'error',
    'config',
    readableProblem({ ...problem, severity: 'error' }, process.stderr),
    { problem },
  )
}
