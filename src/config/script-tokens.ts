/** JavaScript and TypeScript as a row of tokens: enough to find literals in a config, not a grammar. */

export interface Token {
  readonly kind: 'name' | 'literal' | 'mark'
  readonly text: string
  /** Of a string without escapes, or a number. */
  readonly value?: string | number
  /** In UTF-16 units from the beginning of the source. */
  readonly offset: number
  readonly isFirstOfLine: boolean
}

const SPACE = /(?:\s|\/\/[^\n]*|\/\*[^]*?\*\/)+/y
const NAME = /[\p{ID_Start}$_#@][\p{ID_Continue}$\u200c\u200d]*/uy
const NUMBER = /(?:\d|\.\d)[\w.]*/y
const STRING = /'(?:[^'\\\n]|\\[^])*'|"(?:[^"\\\n]|\\[^])*"/y
const REGEXP = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y
const MARK = /\.\.\.|=>|[^]/y

/** The tokens without white space and comments; null where a text or a comment does not end. O(length). */
export function tokensOf(source: string): readonly Token[] | null {
  const tokens: Token[] = []
  let at = 0
  let isFirstOfLine = true
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    return pattern.exec(source)?.[0]
  }
  while (at < source.length) {
    const space = match(SPACE)
    if (space !== undefined) {
      isFirstOfLine ||= space.includes('\n')
      at += space.length
      continue
    }
    const token = next()
    if (token === null) return null
    tokens.push({ ...token, offset: at, isFirstOfLine })
    at += token.text.length
    isFirstOfLine = false
  }
  return tokens

  function next(): Pick<Token, 'kind' | 'text' | 'value'> | null {
    const character = source[at]!
    if (character === '`') {
      const end = templateEnd(source, at)
      if (end === null) return null
      const text = source.slice(at, end)
      return /[\\$]/.test(text) ? { kind: 'literal', text } : { kind: 'literal', text, value: text.slice(1, -1) }
    }
    if (character === "'" || character === '"') {
      const text = match(STRING)
      if (text === undefined) return null
      return text.includes('\\') ? { kind: 'literal', text } : { kind: 'literal', text, value: text.slice(1, -1) }
    }
    const name = match(NAME)
    if (name !== undefined) return { kind: 'name', text: name }
    const number = match(NUMBER)
    if (number !== undefined) {
      const value = Number(number.replaceAll('_', ''))
      return Number.isNaN(value) ? { kind: 'literal', text: number } : { kind: 'literal', text: number, value }
    }
    if (source.startsWith('/*', at)) return null
    const regExp = character === '/' && !isAfterValue(tokens.at(-1)) ? match(REGEXP) : undefined
    if (regExp !== undefined) return { kind: 'literal', text: regExp }
    return { kind: 'mark', text: match(MARK)! }
  }
}

/** Of each opening bracket, the index of the one that closes it; null where they do not pair. */
export function matchBrackets(tokens: readonly Token[]): ReadonlyMap<number, number> | null {
  const closing = new Map<number, number>()
  const open: number[] = []
  for (const [index, { kind, text }] of tokens.entries()) {
    if (kind !== 'mark') continue
    if (text === '(' || text === '[' || text === '{') open.push(index)
    else if (text === ')' || text === ']' || text === '}') {
      const opening = open.pop()
      if (opening === undefined || PAIRS[tokens[opening]!.text] !== text) return null
      closing.set(opening, index)
    }
  }
  return open.length === 0 ? closing : null
}

const PAIRS: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' }

/** A slash after one of these divides; elsewhere it begins a regular expression. */
function isAfterValue(token: Token | undefined): boolean {
  if (token === undefined) return false
  if (token.kind === 'mark') return [')', ']', '}'].includes(token.text)
  return token.kind === 'literal' || !/^(?:return|typeof|case|in|of|void|await|default)$/.test(token.text)
}

/** Past the closing backtick; what stands in `${}` may hold templates, strings and comments of its own. */
function templateEnd(source: string, start: number): number | null {
  let at = start + 1
  while (at < source.length) {
    if (source[at] === '\\') at += 2
    else if (source[at] === '`') return at + 1
    else if (source.startsWith('${', at)) {
      const end = expressionEnd(source, at + 2)
      if (end === null) return null
      at = end
    } else at++
  }
  return null
}

/** Past the brace that closes what begins at `start`. */
function expressionEnd(source: string, start: number): number | null {
  let depth = 1
  for (let at = start; at < source.length; ) {
    const character = source[at]!
    SPACE.lastIndex = at
    STRING.lastIndex = at
    const skipped = SPACE.exec(source)?.[0] ?? STRING.exec(source)?.[0]
    if (skipped !== undefined) at += skipped.length
    else if (character === '`') {
      const end = templateEnd(source, at)
      if (end === null) return null
      at = end
    } else {
      if (character === '{') depth++
      else if (character === '}' && --depth === 0) return at + 1
      at++
    }
  }
  return null
}
