/** The files that a config module is made of, and a hash that changes when one of them does. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname, extname, relative, resolve } from 'node:path'

export interface ModuleGraph {
  /** First 16 hexadecimal digits of SHA-256 over every file's path (from the entry) and bytes. */
  readonly hash: string
  /** Absolute paths, the entry first. Files that are imported but missing are among them: they may appear. */
  readonly files: readonly string[]
  /** The entry's text. */
  readonly source: string
}

/** Enough for any config; beyond it something is imported that is no config. */
const MOST_FILES = 1000

/**
 * Follows the relative imports of a module from file to file, as text: `from './x.ts'`, `import './x.ts'`,
 * `import('./x.json')`. Packages are not followed; what a module reads by other means is not seen.
 */
export async function readModuleGraph(entry: string): Promise<ModuleGraph> {
  const files = [resolve(entry)]
  const digest = createHash('sha256')
  let source = ''
  for (let index = 0; index < files.length && index < MOST_FILES; index++) {
    const file = files[index]!
    const bytes = index === 0 ? await readFile(file) : await readFile(file).catch(() => null)
    digest.update(`${relative(dirname(files[0]!), file)}\0${bytes === null ? 'missing' : bytes.length}\0`)
    if (bytes === null) continue
    digest.update(bytes)
    if (index === 0) source = bytes.toString('utf8')
    if (/^\.[mc]?[jt]s$/.test(extname(file))) {
      for (const specifier of relativeImports(bytes.toString('utf8'))) {
        const imported = resolve(dirname(file), specifier.replace(/[?#].*$/, ''))
        if (!files.includes(imported)) files.push(imported)
      }
    }
  }
  return { hash: digest.digest('hex').slice(0, 16), files, source }
}

/** The relative specifiers a source names. One that stands in a comment is taken too: harmless. */
export function relativeImports(source: string): string[] {
  const found = source.matchAll(/\b(?:from|import)\s*\(?\s*(['"])(\.{1,2}\/[^'"\n]+)\1/g)
  return [...found].map((match) => match[2]!)
}
