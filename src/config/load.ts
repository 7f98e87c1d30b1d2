/** From a file to settings, or to every problem with its place in the file. */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, extname, resolve } from 'node:path'
import { importModule } from './import-module.ts'
import { readModuleGraph } from './module-graph.ts'
import { nearest } from './nearest.ts'
import { examine } from './parse.ts'
import { placeInModule } from './place-in-module.ts'
import type { Finding, PathStep, Problem } from './problem.ts'
import { formatPath } from './problem.ts'
import { readConfigText } from './read-text.ts'
import type { Config, Settings } from './schema.ts'

export interface LoadedConfig {
  readonly settings: Settings
  /** As the file says it; for `createBalancer`, which checks it again. */
  readonly config: Config
  readonly warnings: readonly Problem[]
  /** 16 hexadecimal digits; changes with the file, or with one that a module imports. */
  readonly hash: string
  /** Absolute paths of what to watch, the config itself first. */
  readonly moduleFiles: readonly string[]
  /** Where a path of the config stands in the file; undefined where that is not sure. */
  readonly place: (path: readonly PathStep[]) => { readonly line: number; readonly column: number } | undefined
  readonly problems?: undefined
}

export interface FailedLoad {
  readonly problems: readonly Problem[]
  /** What to watch for it to be mended. */
  readonly moduleFiles: readonly string[]
  readonly settings?: undefined
}

/** Of a module, the further problems have their path alone: nobody mends more at once. */
const MOST_PLACED = 50

/** The names that `evenkeel start` looks for, in this order. */
export const CONFIG_FILE_NAMES: readonly string[] = ['ts', 'js', 'mjs', 'json', 'yaml', 'yml'].map(
  (ending) => `evenkeel.config.${ending}`,
)

/**
 * Loads a config from a `.ts`, `.mts`, `.js`, `.mjs`, `.json`, `.yaml` or `.yml` file.
 *
 * Never throws: a file that cannot be read, parsed or imported is a problem like any other.
 */
export async function loadConfig(file: string): Promise<LoadedConfig | FailedLoad> {
  const path = resolve(file)
  try {
    switch (extname(path).toLowerCase()) {
      case '.json':
        return await loadText(path, 'json')
      case '.yaml':
      case '.yml':
        return await loadText(path, 'yaml')
      case '.ts':
      case '.mts':
      case '.js':
      case '.mjs':
        return await loadModule(path)
      default:
        return failed(path, {
          message: `a config is a .ts, .js, .mjs, .json, .yaml or .yml file, not '${basename(path)}'`,
          code: 'unknown-file-type',
        })
    }
  } catch (error) {
    return failed(path, await unreadable(path, error as NodeJS.ErrnoException))
  }
}

async function loadText(file: string, format: 'json' | 'yaml'): Promise<LoadedConfig | FailedLoad> {
  const bytes = await readFile(file)
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 16)
  const { value, problems, place } = readConfigText(bytes.toString('utf8'), format)
  const inText = problems.map((problem) => ({ ...problem, file }))
  if (inText.some(({ severity }) => severity === 'error') && value === undefined)
    return { problems: inText, moduleFiles: [file] }
  const { settings, findings } = examine(value)
  const all: Problem[] = [...inText, ...findings.map((finding) => ({ ...problemOf(finding), file, ...place(finding) }))]
  all.sort(byPlace)
  if (settings === undefined || inText.some(({ severity }) => severity === 'error'))
    return { problems: all, moduleFiles: [file] }
  return {
    settings,
    config: value as Config,
    warnings: all,
    hash,
    moduleFiles: [file],
    place: (path) => place({ ...ANY_FINDING, path }),
  }
}

async function loadModule(file: string): Promise<LoadedConfig | FailedLoad> {
  const graph = await readModuleGraph(file)
  const imported = await importModule(graph)
  if ('problem' in imported) return { problems: [imported.problem], moduleFiles: graph.files }
  const { settings, findings } = examine(imported.value)
  const place = placeInModule(graph.source, imported.value)
  const problems = findings.map((finding, index) => ({
    ...problemOf(finding),
    file,
    ...(index < MOST_PLACED ? place(finding) : undefined),
  }))
  if (settings === undefined) return { problems, moduleFiles: graph.files }
  return {
    settings,
    config: imported.value as Config,
    warnings: problems,
    hash: graph.hash,
    moduleFiles: graph.files,
    // Anew, so that what was found out about the source is not kept as long as the config is.
    place: (path) => placeInModule(graph.source, imported.value)({ path }),
  }
}

/** A place does not depend on what is wrong there. */
const ANY_FINDING = { message: '', severity: 'error', code: 'bad-value' } as const

/** Errors first, each kind from the top of the file to its end. */
function byPlace(a: Problem, b: Problem): number {
  if (a.severity !== b.severity) return a.severity === 'error' ? -1 : 1
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)
}

function problemOf(finding: Finding): Problem {
  const { path, message, hint, severity, code } = finding
  return { path: formatPath(path), message, ...(hint === undefined ? {} : { hint }), severity, code }
}

function failed(file: string, problem: Pick<Problem, 'message' | 'code' | 'hint'>): FailedLoad {
  return { problems: [{ path: '', file, severity: 'error', ...problem }], moduleFiles: [file] }
}

async function unreadable(
  file: string,
  error: NodeJS.ErrnoException,
): Promise<Pick<Problem, 'message' | 'code' | 'hint'>> {
  switch (error.code) {
    case 'ENOENT': {
      const beside = await readdir(dirname(file)).catch(() => null)
      if (beside === null) return { message: `there is no directory ${dirname(file)}`, code: 'unreadable' }
      const near = nearest(basename(file), beside)
      return {
        message: 'there is no such file',
        code: 'unreadable',
        ...(near === undefined ? {} : { hint: `did you mean '${near}'?` }),
      }
    }
    case 'EISDIR':
      return { message: 'it is a directory', code: 'unreadable', hint: 'give the config file in it' }
    case 'EACCES':
      return { message: 'it may not be read by this user', code: 'unreadable' }
    default:
      return { message: `it could not be read: ${error.message}`, code: 'unreadable' }
  }
}
