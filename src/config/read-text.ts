/** Reading JSON and YAML so that every value's line and column are known. */

import type { Document, Node } from 'yaml'
import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument } from 'yaml'
import type { Finding, PathStep, Problem } from './problem.ts'

/** A text read: its value, and how to find a finding's place in it. */
export interface ReadText {
  readonly value: unknown
  readonly problems: readonly Problem[]
  readonly place: (finding: Finding) => { readonly line: number; readonly column: number } | undefined
}

/** Reads a config's text. Syntax errors and keys that stand twice are problems; YAML 1.2 is read, with `<<` merges. */
export function readConfigText(text: string, format: 'json' | 'yaml'): ReadText {
  const source = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
  const lines = new LineCounter()
  // JSON is YAML: its places come from the same parser, its value and its strictness from JSON.parse.
  const document = parseDocument(source, { lineCounter: lines, prettyErrors: false, merge: format === 'yaml' })
  const place = (finding: Finding) => placeOf(document, lines, finding.path, finding.atKey === true)
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
  if (format === 'json') {
    const { value, problem } = readJson(source)
    if (problem !== undefined) return { value: undefined, problems: [problem], place }
    const repeated = document.errors.filter(({ code }) => code === 'DUPLICATE_KEY')
    return { value, problems: repeated.map((error) => syntaxProblem('the key stands twice', at(error.pos[0]))), place }
  }
  const problems = document.errors.map((error) =>
    syntaxProblem(
      error.code === 'DUPLICATE_KEY' ? 'the key stands twice' : sentence(error.message),
      at(error.pos[0]),
      yamlHint(error.code),
    ),
  )
  for (const warning of document.warnings) {
    problems.push({ ...syntaxProblem(sentence(warning.message), at(warning.pos[0])), severity: 'warning' })
  }
  if (document.errors.length > 0) return { value: undefined, problems, place }
  try {
    return { value: document.toJS({ maxAliasCount: 1000 }) as unknown, problems, place }
  } catch (error) {
    // Too many aliases ("billion laughs"), or one without its anchor.
    const message = sentence(error instanceof Error ? error.message : String(error))
    return { value: undefined, problems: [...problems, syntaxProblem(message, { line: 1, column: 1 })], place }
  }
}

function readJson(source: string): { value?: unknown; problem?: Problem } {
  try {
    return { value: JSON.parse(source) as unknown }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const position = / at position (\d+)/.exec(message)?.[1]
    const offset = position === undefined ? source.trimEnd().length : Number(position)
    const before = source.slice(0, offset).split('\n')
    const rest = source.slice(offset)
    const hint =
      rest.startsWith('/') || rest.startsWith('#')
        ? 'JSON has no comments: use a .yaml or .ts config for them'
        : /^[}\]]/.test(rest) && /,\s*$/.test(source.slice(0, offset))
          ? 'remove the comma before it'
          : undefined
    const reason = sentence(
      message
        .replace(/ in JSON at position.*$/s, '')
        .replace(/,? "(?:[^"\\]|\\.)*"(?:\.\.\.)? is not valid JSON$/s, ''),
    )
    return { problem: syntaxProblem(reason, { line: before.length, column: before.at(-1)!.length + 1 }, hint) }
  }
}

function syntaxProblem(message: string, at: { line: number; column: number }, hint?: string): Problem {
  return { path: '', message, ...(hint === undefined ? {} : { hint }), ...at, severity: 'error', code: 'syntax' }
}

function yamlHint(code: string): string | undefined {
  if (code === 'TAB_AS_INDENT') return 'YAML is indented with spaces'
  if (code === 'MULTIPLE_DOCS') return 'one document per file: remove the `---`'
  return undefined
}

/** The place of a path's value (or its key), else of the nearest that there is above it. */
function placeOf(document: Document, lines: LineCounter, path: readonly PathStep[], atKey: boolean) {
  let node: Node | null = document.contents
  let offset = node?.range?.[0] ?? 0
  for (const [index, step] of path.entries()) {
    while (isAlias(node)) node = node.resolve(document) ?? null
    let next: unknown
    let keyNode: unknown
    if (isSeq(node) && typeof step === 'number') next = node.items[step]
    else if (isMap(node)) {
      const pair = node.items.find(
        (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(step),
      )
      next = pair?.value
      keyNode = pair?.key
    }
    const isLast = index === path.length - 1
    const start = rangeStart(isLast && atKey ? keyNode : next) ?? rangeStart(keyNode)
    if (start === undefined) break
    offset = start
    node = next as Node | null
  }
  const { line, col } = lines.linePos(offset)
  return line === 0 ? undefined : { line, column: col }
}

function rangeStart(node: unknown): number | undefined {
  return (node as { range?: readonly number[] | null } | null | undefined)?.range?.[0]
}

/** Parsers write sentences; a problem's message is part of a line. */
function sentence(message: string): string {
  const first = message.split('\n')[0]!.replace(/[.:]\s*$/, '')
  return first.slice(0, 1).toLowerCase() + first.slice(1)
}
