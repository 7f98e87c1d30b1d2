/** Reading JSON and YAML so that every value's line and column are known. */

import type { Document, Node, YAMLParseError } from 'yaml'
import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml'
import { jsonFault } from './json-fault.ts'
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
  const document = parseDocument(source, {
    lineCounter: lines,
    prettyErrors: false,
    merge: format === 'yaml',
    keepSourceTokens: true,
  })
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
  const problems = dependableErrors(document).map((error) => {
    const { message, offset, hint } = yamlSlip(document, error)
    return syntaxProblem(message, at(offset), hint)
  })
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
    const offset = position === undefined ? Math.min(jsonFault(source), source.trimEnd().length) : Number(position)
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

/** After the first slip the parser is out of step, and what else it finds follows from that. Keys that stand twice do not. */
function dependableErrors({ errors }: Document): YAMLParseError[] {
  const inOrder = errors.toSorted((a, b) => a.pos[0] - b.pos[0])
  const first = inOrder.findIndex(({ code }) => code !== 'DUPLICATE_KEY')
  return first < 0 ? inOrder : inOrder.slice(0, first + 1)
}

interface Slip {
  readonly message: string
  readonly offset: number
  readonly hint?: string
}

/** The parser's error in our words, at the place that is to be mended: not where it noticed, but what it missed the end of. */
function yamlSlip(document: Document, { code, message, pos: [offset] }: YAMLParseError): Slip {
  switch (code) {
    case 'DUPLICATE_KEY':
      return { message: 'the key stands twice', offset }
    case 'TAB_AS_INDENT':
      return { message: sentence(message), offset, hint: 'YAML is indented with spaces' }
    case 'MULTIPLE_DOCS':
      return { message: sentence(message), offset, hint: 'one document per file: remove the `---`' }
    default:
      break
  }
  if (/^Flow (?:map|sequence) in block collection/.test(message)) {
    const open = unclosed(document, offset)
    if (open !== undefined) {
      const [opening, closing] = open.isMap ? ['{', '}'] : ['[', ']']
      return { message: `this '${opening}' is not closed`, offset: open.offset, hint: `add '${closing}'` }
    }
  }
  if (code === 'MISSING_CHAR' && message.startsWith('Missing closing')) {
    const quoted = quotedUpTo(document, offset)
    if (quoted !== undefined) return { message: 'this quote is not closed', offset: quoted }
  }
  const unexpected = /^Unexpected .* token in YAML stream: "(.+)"$/s.exec(message)?.[1]
  if (unexpected !== undefined) return { message: `unexpected '${unexpected.split('\n')[0]}'`, offset }
  return { message: sentence(message), offset }
}

/** The innermost `[` or `{` before the offset that has no end of its own. */
function unclosed(
  document: Document,
  before: number,
): { readonly offset: number; readonly isMap: boolean } | undefined {
  let found: { offset: number; isMap: boolean } | undefined
  visit(document, {
    Collection(_, node) {
      const token = node.srcToken
      if (token?.type !== 'flow-collection' || token.offset > before) return
      const isMapping = token.start.type === 'flow-map-start'
      const isClosed = token.end.some(
        ({ type, source }) => type === (isMapping ? 'flow-map-end' : 'flow-seq-end') && source !== '',
      )
      if (!isClosed && (found === undefined || token.offset > found.offset)) {
        found = { offset: token.offset, isMap: isMapping }
      }
    },
  })
  return found
}

/** Where the quoted text begins that runs up to the offset. */
function quotedUpTo(document: Document, offset: number): number | undefined {
  let found: number | undefined
  visit(document, {
    Scalar(_, { type, range }) {
      const isQuoted = type === 'QUOTE_DOUBLE' || type === 'QUOTE_SINGLE'
      if (isQuoted && range && range[0] < offset && range[1] >= offset - 1) found = range[0]
    },
  })
  return found
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
