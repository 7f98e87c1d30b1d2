/** Importing a config module anew: its default export, or the problem in the user's own words and lines. */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { basename, extname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import type { ModuleGraph } from './module-graph.ts'
import type { Problem } from './problem.ts'

/** A config that waits for something longer than this (top-level await) is given up. */
const IMPORT_TIMEOUT_MS = 10_000

/** Our own package, as a config may import it wherever it lies: also beside no `node_modules` (a global install). */
const OWN_PACKAGE = 'evenkeel'

export type ImportedModule = { readonly value: unknown } | { readonly problem: Problem }

/**
 * Imports the graph's first file and gives its default export.
 *
 * The hash stands in the URL of every file of the graph, so each state of the files is imported once per process; Node
 * never lets go of a module, so each state leaks its few kilobytes.
 */
export async function importModule(graph: ModuleGraph): Promise<ImportedModule> {
  const entry = graph.files[0]!
  const attempt = failures.get(graph.hash) ?? 0
  const query = `?v=${graph.hash}${attempt === 0 ? '' : `.${attempt}`}`
  const hooks = registerHooks({
    resolve(specifier, context, nextResolve) {
      if (context.parentURL?.endsWith(query) !== true) return nextResolve(specifier, context)
      if (specifier === OWN_PACKAGE || specifier.startsWith(`${OWN_PACKAGE}/`)) {
        const own = ownModule(specifier)
        if (own !== null) return { url: own, shortCircuit: true }
      }
      const resolved = nextResolve(specifier, context)
      const isOurs = /^\.{1,2}\//.test(specifier) && resolved.url.startsWith('file:') && !resolved.url.includes('?')
      return isOurs ? { ...resolved, url: resolved.url + query } : resolved
    },
  })
  let timer: NodeJS.Timeout | undefined
  try {
    const late = new Promise<typeof LATE>((resolve) => {
      timer = setTimeout(resolve, IMPORT_TIMEOUT_MS, LATE)
    })
    const module: unknown = await Promise.race([import(pathToFileURL(entry).href + query), late])
    if (module === LATE) return { problem: lateProblem(entry) }
    const exported = module as Readonly<Record<string, unknown>>
    if (!('default' in exported)) return { problem: noDefault(entry, Object.keys(exported)) }
    return { value: exported['default'] }
  } catch (error) {
    failures.set(graph.hash, attempt + 1)
    return { problem: await problemOf(error, graph) }
  } finally {
    clearTimeout(timer)
    hooks.deregister()
  }
}

const LATE = Symbol('late')

/**
 * How often the import of a state of the files has failed. Node remembers a failed import under its URL for ever, and the
 * reason may lie outside of the files: a package that is installed by now, something that the module reads.
 */
const failures = new Map<string, number>()

function lateProblem(file: string): Problem {
  return {
    path: '',
    message: `the module was still waiting for something after ${IMPORT_TIMEOUT_MS / 1000} s`,
    hint: 'look for an `await` at its top level',
    file,
    severity: 'error',
    code: 'module-error',
  }
}

function noDefault(file: string, names: readonly string[]): Problem {
  return {
    path: '',
    message: `the module has no default export${names.length === 0 ? '' : ` (it exports ${names.join(', ')})`}`,
    hint: 'write `export default defineConfig({ … })`',
    file,
    severity: 'error',
    code: 'module-error',
  }
}

/** The running program's own module of that name, so that a config and the program that reads it are one version. */
function ownModule(specifier: string): string | null {
  try {
    const url = import.meta.resolve(specifier)
    return existsSync(fileURLToPath(url)) ? url : null
  } catch {
    return null
  }
}

async function problemOf(error: unknown, graph: ModuleGraph): Promise<Problem> {
  const entry = graph.files[0]!
  if (!(error instanceof Error)) {
    return {
      path: '',
      message: `the module threw ${String(error)}`,
      file: entry,
      severity: 'error',
      code: 'module-error',
    }
  }
  const code: unknown = (error as NodeJS.ErrnoException).code
  const isSyntax = error instanceof SyntaxError
  const place = placeInStack(error.stack ?? '', graph.files) ?? (isSyntax ? await placeByCheck(graph.files) : null)
  const hint = hintFor(code, error.message, graph)
  return {
    path: '',
    message: isSyntax ? lowerFirst(stripPaths(error.message)) : `${error.name}: ${stripPaths(error.message)}`,
    ...(hint === undefined ? {} : { hint }),
    ...(place ?? placeOfImport(error.message, graph.files) ?? { file: entry }),
    severity: 'error',
    code: isSyntax ? 'syntax' : 'module-error',
  }
}

/** The first place in a stack that is in one of the files; Node's own frames and ours are passed over. */
function placeInStack(stack: string, files: readonly string[]): { file: string; line: number; column?: number } | null {
  const lines = stack.split('\n')
  for (const [index, line] of lines.entries()) {
    for (const file of files) {
      const at = Math.max(line.lastIndexOf(`${pathToFileURL(file).href}?`), line.lastIndexOf(`${file}:`))
      if (at < 0) continue
      const match = /(?:\?v=[0-9a-f.]+)?:(\d+)(?::(\d+))?\)?$/.exec(line.slice(at))
      if (!match) continue
      if (match[2] !== undefined) return { file, line: Number(match[1]), column: Number(match[2]) }
      // The form before a syntax error: the source, and below it a caret under the offending place (Node cuts the source's
      // first lines away, so its own line is the last above the caret).
      const caret = lines.slice(index + 1).findIndex((each) => /^\s*\^+\s*$/.test(each))
      const column = caret < 0 ? undefined : lines[index + 1 + caret]!.indexOf('^') + 1
      return { file, line: Number(match[1]), ...(column === undefined ? {} : { column }) }
    }
  }
  return null
}

/** V8 keeps the place of a syntax error to itself when a module is imported: `node --check` says it. */
async function placeByCheck(files: readonly string[]): Promise<{ file: string; line: number } | null> {
  for (const file of files) {
    if (!/^\.m?js$/.test(extname(file)) || !existsSync(file)) continue
    const output = await promisify(execFile)(process.execPath, ['--check', file], { timeout: 5000 }).then(
      () => '',
      (failure: { stderr?: string }) => failure.stderr ?? '',
    )
    const place = placeInStack(output, [file])
    if (place !== null) return place
  }
  return null
}

function hintFor(code: unknown, message: string, graph: ModuleGraph): string | undefined {
  switch (code) {
    case 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX':
      return 'Node strips types and does not compile: use a union or an object instead'
    case 'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING':
      return 'a config inside node_modules must be JavaScript'
    case 'ERR_MODULE_NOT_FOUND': {
      const missing = /Cannot find module '([^']+)'/.exec(message)?.[1]
      const name = missing === undefined ? undefined : basename(missing)
      if (name !== undefined && extname(name) === '') {
        const near = graph.files.map((file) => basename(file)).find((file) => file.startsWith(`${name}.`))
        return `write the file's ending, as './${near ?? `${name}.ts`}'`
      }
      const specifier = /Cannot find package '([^']+)'/.exec(message)?.[1]
      return specifier === undefined ? undefined : `install it: npm install ${specifier}`
    }
    default:
      return undefined
  }
}

/** `Cannot find module '/x/pools.ts' imported from /x/evenkeel.config.ts`: the line of that import. */
function placeOfImport(message: string, files: readonly string[]): { file: string; line?: number } | null {
  const match = /^Cannot find (?:module|package) '([^']+)'.* imported from (.+)$/s.exec(message)
  const file = files.find((each) => each === match?.[2])
  if (match === null || file === undefined) return null
  const name = basename(match[1]!)
  const lines = readFileSync(file, 'utf8').split('\n')
  const index = lines.findIndex((line) => /\b(?:from|import)\b/.test(line) && line.includes(name))
  return index < 0 ? { file } : { file, line: index + 1 }
}

function stripPaths(message: string): string {
  return message.replace(/ imported from .*$/s, '').split('\n')[0]!
}

/** Not for names such as TypeScript. */
function lowerFirst(text: string): string {
  return text.replace(/^[A-Z](?=[a-z]*\b)/, (letter) => letter.toLowerCase())
}
