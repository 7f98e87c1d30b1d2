/** Which config is in force, where it came from, and why the latest one was refused. */
import { setImmediate as turn } from 'node:timers/promises'
import { diffSettings, type SettingsChange } from '../config/diff.ts'
import { formatProblem, type Problem } from '../config/problem.ts'
import type { Settings } from '../config/schema.ts'
import type { MemorySizes } from '../memory/shared-memory.ts'
import type { BalancerView } from '../service/protocol.ts'
import type { Announcer } from './announcer.ts'
import type { Applier, ApplyResult } from './apply.ts'
import type { ReloadResult, ReloadSource } from './balancer.ts'
import { hashOf } from './read-settings.ts'
import { restartWarnings } from './start-report.ts'

/** What travels with a reload. */
export interface Origin {
  readonly configFile: string | null
  readonly configHash: string
  /** What is doubtful about the config, where nobody has said so yet. */
  readonly warnings: readonly string[]
  readonly place?: ReloadSource['place']
}

export interface ReloadsDeps {
  readonly announcer: Announcer
  readonly applier: Applier<Origin>
  /** Fixed at the start. */
  readonly sizes: MemorySizes
  readonly workerCount: (settings: Settings) => number
  /** Other settings are in force; views are out of date. */
  readonly onAdopted: (before: Settings, after: Settings) => void
  /** A config was refused, or a refusal stands no longer; views are out of date. */
  readonly onRefusal: () => void
}

export class Reloads {
  readonly #deps: ReloadsDeps
  readonly #told = new WeakMap<ApplyResult, ReloadResult>()
  #origin: Origin
  #loadedAtMs = Date.now()
  #refusal: readonly string[] = []

  constructor(deps: ReloadsDeps, origin: Origin) {
    this.#deps = deps
    this.#origin = origin
  }

  /** For the view. */
  get config(): BalancerView['config'] {
    const { configFile, configHash } = this.#origin
    return { file: configFile, hash: configHash, loadedAtMs: this.#loadedAtMs, problems: this.#refusal }
  }

  /** Never rejects. */
  async apply(
    settings: Settings,
    { configFile, configHash, place }: ReloadSource,
    warnings: readonly string[] = [],
  ): Promise<ReloadResult> {
    const startedAt = performance.now()
    const { tag, result } = await this.#deps.applier.reload(settings, {
      configFile: configFile === undefined ? this.#origin.configFile : configFile,
      configHash: configHash ?? hashOf(settings),
      warnings,
      ...(place === undefined ? {} : { place }),
    })
    // Of 10 000 endpoints the difference takes some milliseconds: a turn of its own.
    await turn()
    // Of several callers whose reloads became one, the first to be back tells of it.
    let told = this.#told.get(result)
    if (told === undefined) {
      told = result.ok ? this.#adopted(tag, result, startedAt) : this.refuse(inFile(result.problems, tag), startedAt)
      this.#told.set(result, told)
    }
    return told
  }

  refuse(problems: readonly Problem[], startedAt = performance.now()): ReloadResult {
    this.#refusal = problems.filter(({ severity }) => severity === 'error').map(formatProblem)
    this.#deps.announcer.reloadRefused(problems, this.#refusal, this.#reload(startedAt))
    this.#deps.onRefusal()
    return { ok: false, problems }
  }

  /** The file says again what is in force: a refusal stands no longer. False: there was none. */
  clearRefusal(): boolean {
    if (this.#refusal.length === 0) return false
    this.#refusal = []
    this.#deps.onRefusal()
    return true
  }

  #adopted(origin: Origin, result: ApplyResult & { readonly ok: true }, startedAt: number): ReloadResult {
    const { announcer, sizes, workerCount, onAdopted } = this.#deps
    const { before, after, version } = result
    const changes: SettingsChange[] = diffSettings(before, after)
    const warnings = [...origin.warnings, ...result.warnings, ...restartWarnings(after, workerCount(after), sizes)]
    // Without `place`, which holds the text of the file.
    const { configFile, configHash } = origin
    this.#origin = { configFile, configHash, warnings: [] }
    this.#loadedAtMs = Date.now()
    this.#refusal = []
    onAdopted(before, after)
    announcer.reloaded(version, changes, warnings, this.#reload(startedAt))
    return { ok: true, version, changes, warnings }
  }

  #reload(startedAt: number): { readonly file: string | null; readonly hash: string; readonly durationMs: number } {
    const { configFile, configHash } = this.#origin
    return { file: configFile, hash: configHash, durationMs: performance.now() - startedAt }
  }
}

/** What control finds wrong has a path and no place, but the file is known, and whoever read it may know the line. */
function inFile(problems: readonly Problem[], { configFile, place }: Origin): Problem[] {
  return problems.map((problem) => {
    if (configFile === null || problem.path === '' || problem.file !== undefined) return problem
    const found = { ...problem, file: configFile }
    return place === undefined ? found : place(found)
  })
}
