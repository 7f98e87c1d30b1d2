/**
 * Holds the arrows between the folders of src/. A new folder gets its row in FOLDERS, with a reason where it is not
 * plain; an arrow that is not there is a design decision, not an edit of this file.
 */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'

interface Folder {
  /** Other folders of src/ that it may import. */
  readonly imports: readonly string[]
  /** npm packages that it may import. */
  readonly packages?: readonly string[]
  /** Which `node:` modules it may import: all, none, or all but those that open sockets. */
  readonly node: 'all' | 'none' | 'no-sockets'
}

const FOLDERS: Readonly<Record<string, Folder>> = {
  core: { imports: [], node: 'none' },
  config: { imports: ['core'], packages: ['zod', 'yaml'], node: 'no-sockets' },
  http1: { imports: ['core'], node: 'no-sockets' },
  memory: { imports: ['core'], node: 'no-sockets' },
  observe: { imports: ['core', 'memory'], node: 'no-sockets' },
  pool: { imports: ['core', 'config', 'memory'], node: 'all' },
  edge: { imports: ['core', 'http1', 'memory', 'observe', 'pool'], node: 'all' },
  service: {
    imports: ['core', 'config', 'memory', 'observe', 'pool'],
    packages: ['hono', '@hono/node-server', 'zod'],
    node: 'all',
  },
  // The composition root: it starts workers and the service thread, whose protocol's types it needs.
  control: { imports: ['core', 'config', 'http1', 'memory', 'observe', 'pool', 'edge', 'service'], node: 'all' },
  // The simulator is to run in a browser too: files and progress belong to the command.
  lab: { imports: ['core'], node: 'none' },
  cli: {
    imports: ['core', 'config', 'http1', 'memory', 'observe', 'pool', 'edge', 'service', 'control', 'lab', 'index'],
    packages: ['commander'],
    node: 'all',
  },
  /** src/index.ts, the package's public face. */
  index: { imports: ['core', 'config', 'control', 'pool', 'memory', 'observe', 'service'], node: 'none' },
}

const SOCKET_MODULES = new Set(['net', 'tls', 'http', 'https', 'http2', 'dgram', 'dns', 'dns/promises', 'cluster'])
/** What src/core must be given instead of taking it: time, timers, chance, the environment. */
const IMPURE =
  /\b(?:Date\.now|new Date\b|performance\.|Math\.random|setTimeout|setInterval|setImmediate|process\.|crypto\.)/

const root = resolve(import.meta.dirname, '..')

/** Source text by path below the project's root. */
type Sources = ReadonlyMap<string, string>

function readSources(pattern: string): Sources {
  return new Map(globSync(pattern, { cwd: root }).map((path) => [path, readFileSync(join(root, path), 'utf8')]))
}

/**
 * The text without comments, and with the contents of strings kept only when `keepStrings`.
 * Knows strings, templates (without looking into `${}`) and comments; a regular expression literal that holds a quote
 * may confuse it, which is why a test below compares the outcome with the compiler's.
 */
function withoutComments(text: string, keepStrings: boolean): string {
  const token = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`/g
  return text.replace(token, (found) => {
    if (found.startsWith('/')) return ' '
    return keepStrings && !found.startsWith('`') ? found : "''"
  })
}

/** What a file imports or re-exports, types included, statically or by `import('…')`, in order of appearance. */
function importsOf(text: string): string[] {
  const code = withoutComments(text, true)
  const found: [number, string][] = []
  const patterns = [
    /^[ \t]*(?:import|export)\b(?:[^'"`;()=]|\{[^}]*\})*?\bfrom\s*['"]([^'"\n]+)['"]/gm,
    /^[ \t]*import\s*['"]([^'"\n]+)['"]/gm,
    /\bimport\(\s*['"]([^'"\n]+)['"]/g,
  ]
  for (const pattern of patterns) for (const match of code.matchAll(pattern)) found.push([match.index, match[1]!])
  return found.sort((a, b) => a[0] - b[0]).map(([, specifier]) => specifier)
}

function folderOf(path: string): string {
  const [, first = '', second] = path.split('/')
  return second === undefined ? first.replace(/\.ts$/, '') : first
}

/** Every broken rule, as a sentence. */
function violations(sources: Sources): string[] {
  const found: string[] = []
  for (const [path, text] of sources) {
    const from = folderOf(path)
    const folder = FOLDERS[from]
    if (folder === undefined) {
      found.push(`${path}: the folder ${from} has no row in test/architecture.test.ts`)
      continue
    }
    for (const specifier of importsOf(text)) {
      if (specifier.startsWith('node:')) {
        const name = specifier.slice('node:'.length)
        if (folder.node === 'none') found.push(`${path}: ${from} may not import ${specifier}`)
        if (folder.node === 'no-sockets' && SOCKET_MODULES.has(name)) {
          found.push(`${path}: ${from} opens no sockets, so it may not import ${specifier}`)
        }
      } else if (specifier.startsWith('.')) {
        const target = join(dirname(path), specifier)
        if (!target.startsWith('src/')) found.push(`${path}: ${specifier} is outside src/`)
        else if (!sources.has(target)) found.push(`${path}: ${specifier} does not exist`)
        else {
          const to = folderOf(target)
          if (to !== from && !folder.imports.includes(to)) found.push(`${path}: ${from} may not import ${to}`)
        }
      } else {
        const name = specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/')
        if (folder.packages?.includes(name) !== true) found.push(`${path}: ${from} may not import the package ${name}`)
      }
    }
    if (from === 'core') {
      const impure = IMPURE.exec(withoutComments(text, false))
      if (impure !== null) found.push(`${path}: core takes ${impure[0]} as an argument, it does not call it`)
    }
  }
  return found
}

/** The first cycle of folders by what is imported in fact (not by what is allowed), or null. */
function folderCycle(sources: Sources): string[] | null {
  const arrows = new Map<string, Set<string>>()
  for (const [path, text] of sources) {
    const from = folderOf(path)
    const to = arrows.get(from) ?? new Set()
    arrows.set(from, to)
    for (const specifier of importsOf(text)) {
      if (!specifier.startsWith('.')) continue
      const target = folderOf(join(dirname(path), specifier))
      if (target !== from) to.add(target)
    }
  }
  const finished = new Set<string>()
  const walk = (folder: string, trail: readonly string[]): string[] | null => {
    if (trail.includes(folder)) return [...trail.slice(trail.indexOf(folder)), folder]
    if (finished.has(folder)) return null
    for (const next of arrows.get(folder) ?? []) {
      const cycle = walk(next, [...trail, folder])
      if (cycle !== null) return cycle
    }
    finished.add(folder)
    return null
  }
  for (const folder of arrows.keys()) {
    const cycle = walk(folder, [])
    if (cycle !== null) return cycle
  }
  return null
}

/** Folders whose files may know each other's types in a circle, each for its reason. What runs forms no circle anywhere. */
const TYPE_CIRCLES: Readonly<Record<string, string>> = {
  config: 'the normal form is described by the schema, which ends by calling for it',
  memory: 'the layout of shared memory names its columns, and each column the memory that it lies in',
  control: 'the balancer and its parts',
}

/** The text without imports and re-exports that are types only, as they are gone when the program runs. */
function withoutTypeImports(text: string): string {
  const typeOnly =
    /^[ \t]*(?:import|export)\s+(?:type\b[^'"`;()=]*?|\{\s*(?:type\s+[\w$]+(?:\s+as\s+[\w$]+)?\s*,?\s*)+\}\s*)from\s*['"][^'"\n]+['"]/gm
  return withoutComments(text, true).replace(typeOnly, '')
}

/** The first cycle of files by their imports, or null. `counts`: is this import of that file looked at? */
function fileCycle(sources: Sources, counts: (from: string, to: string) => boolean): string[] | null {
  const finished = new Set<string>()
  const walk = (path: string, trail: readonly string[]): string[] | null => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
    if (finished.has(path)) return null
    for (const specifier of importsOf(sources.get(path) ?? '')) {
      const target = join(dirname(path), specifier)
      if (!specifier.startsWith('.') || !sources.has(target) || !counts(path, target)) continue
      const cycle = walk(target, [...trail, path])
      if (cycle !== null) return cycle
    }
    finished.add(path)
    return null
  }
  for (const path of sources.keys()) {
    const cycle = walk(path, [])
    if (cycle !== null) return cycle
  }
  return null
}

const sources = readSources('src/**/*.ts')

test('files import each other in layers: no circle of what runs, and none of types but where it is said why', () => {
  const running = new Map([...sources].map(([path, text]) => [path, withoutTypeImports(text)]))
  assert.equal(fileCycle(running, () => true)?.join(' → '), undefined)
  const isHeld = (from: string, to: string): boolean =>
    folderOf(from) === folderOf(to) && !(folderOf(from) in TYPE_CIRCLES)
  assert.equal(fileCycle(sources, isHeld)?.join(' → '), undefined)
})

test('a circle of files is found, and one of types alone is told apart', () => {
  const values: Sources = new Map([
    ['src/edge/a.ts', "import { b } from './b.ts'"],
    ['src/edge/b.ts', "import { type X, c } from './c.ts'"],
    ['src/edge/c.ts', "export { a } from './a.ts'"],
  ])
  assert.deepEqual(
    fileCycle(values, () => true),
    ['a', 'b', 'c', 'a'].map((name) => `src/edge/${name}.ts`),
  )
  for (const form of [
    "import type { A } from './a.ts'",
    "import { type A, type B as C } from './a.ts'",
    "export type { A } from './a.ts'",
  ]) {
    const types = new Map([...values, ['src/edge/c.ts', form]])
    assert.notEqual(
      fileCycle(types, () => true),
      null,
    )
    const running = new Map([...types].map(([path, text]) => [path, withoutTypeImports(text)]))
    assert.equal(
      fileCycle(running, () => true),
      null,
    )
  }
})

test('every import between the folders of src/ follows an allowed arrow', () => {
  assert.deepEqual(violations(sources), [])
})

test('the folders of src/ form no cycle', () => {
  assert.equal(folderCycle(sources)?.join(' → '), undefined)
})

test('the allowed arrows themselves form no cycle', () => {
  const allowed = Object.entries(FOLDERS).map(([name, { imports }]): [string, string] => [
    `src/${name}/all.ts`,
    imports.map((to) => `import '../${to}/all.ts'`).join('\n'),
  ])
  assert.equal(folderCycle(new Map(allowed))?.join(' → '), undefined)
})

test('enough files and imports are read for the rules to mean something', () => {
  const imports = [...sources.values()].reduce((sum, text) => sum + importsOf(text).length, 0)
  assert.ok(sources.size >= 60, `${sources.size} files`)
  assert.ok(imports >= 2 * sources.size, `${imports} imports`)
  for (const folder of Object.keys(FOLDERS)) {
    assert.ok(
      [...sources.keys()].some((path) => folderOf(path) === folder),
      `nothing in ${folder}`,
    )
  }
})

test('the import parser reads what the TypeScript compiler reads', () => {
  for (const [path, text] of [...sources, ...readSources('{test,scripts,bench,examples}/**/*.ts')]) {
    if (path === 'test/architecture.test.ts') continue
    const expected = ts.preProcessFile(text, true, true).importedFiles.map((file) => file.fileName)
    assert.deepEqual(new Set(importsOf(text)), new Set(expected), path)
  }
})

test('the import parser knows every form and is not fooled by comments and strings', () => {
  const text = `
import a from './a.ts'
import type { B } from "./b.ts"
import {
  c, // from './wrong-1.ts'
  type D,
} from './c.ts'
import './side-effect.ts'
export * from './e.ts'
export { f } from './f.ts'
export type { G } from './g.ts'
/* import h from './wrong-2.ts' */
// import i from './wrong-3.ts'
const text = "import j from './wrong-4.ts'"
const template = \`
import k from './wrong-5.ts'
\`
export const l = 1
const m = await import('./m.ts')
type N = import('./n.ts').N
`
  const names = ['a', 'b', 'c', 'side-effect', 'e', 'f', 'g', 'm', 'n']
  assert.deepEqual(
    importsOf(text),
    names.map((name) => `./${name}.ts`),
  )
})

test('a tree that breaks every rule is caught rule by rule', () => {
  const wrong: Sources = new Map([
    ['src/core/clock.ts', "import { EventEmitter } from 'node:events'\nexport const now = () => Date.now()"],
    ['src/core/up.ts', "import type { Plan } from '../pool/plan.ts'"],
    ['src/pool/plan.ts', "import { ledger } from '../edge/ledger.ts'\nexport {} from '../core/missing.ts'"],
    ['src/edge/ledger.ts', "import { z } from 'zod'\nimport '../pool/plan.ts'"],
    ['src/http1/parser.ts', "import { Socket } from 'node:net'"],
    ['src/memory/table.ts', "import x from '../../bench/x.ts'"],
    ['src/control/main.ts', "await import('../cli/main.ts')"],
    ['src/cli/main.ts', "import { serve } from '@hono/node-server'"],
    ['src/misc/helpers.ts', ''],
  ])
  assert.deepEqual(violations(wrong), [
    'src/core/clock.ts: core may not import node:events',
    'src/core/clock.ts: core takes Date.now as an argument, it does not call it',
    'src/core/up.ts: core may not import pool',
    'src/pool/plan.ts: pool may not import edge',
    'src/pool/plan.ts: ../core/missing.ts does not exist',
    'src/edge/ledger.ts: edge may not import the package zod',
    'src/http1/parser.ts: http1 opens no sockets, so it may not import node:net',
    'src/memory/table.ts: ../../bench/x.ts is outside src/',
    'src/control/main.ts: control may not import cli',
    'src/cli/main.ts: cli may not import the package @hono/node-server',
    'src/misc/helpers.ts: the folder misc has no row in test/architecture.test.ts',
  ])
  assert.deepEqual(folderCycle(wrong), ['pool', 'edge', 'pool'])
})
