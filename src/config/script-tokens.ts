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

/** A longer source is data rather than a config that somebody wrote; reading it would hold up the thread. */
const MOST_UNITS = 1_000_000
/** Templates within templates. */
const MOST_NESTED = 100

// Loops over one class each: an alternation within a loop costs V8's regexp stack for each turn, which overflows.
const SPACE = /\s+/y
const NAME = /[\p{ID_Start}$_#@][\p{ID_Continue}$\u200c\u200d]*/uy
const NUMBER = /(?:\d|\.\d)[\w.]*/y
const MARK = /\.\.\.|=>|[^]/y

/** They end a line for the language, but not for everybody who counts lines. */
const ODD_LINE_END = /\r(?!\n)|[\u2028\u2029]/

/** After these comes an operand, so that a slash begins a regular expression. */
const BEFORE_OPERAND =
  /^(?:return|typeof|case|in|void|await|default|delete|do|else|instanceof|new|throw|yield|extends)$/

/**
 * The tokens without white space and comments; null where something does not end, is nested too deep or can be read in two
 * ways, and for a source of more than a million units. Never throws. O(length): nothing is read again, since the first token
 * that cannot be read ends it.
 */
export function tokensOf(source: string): readonly Token[] | null {
  if (source.length > MOST_UNITS || ODD_LINE_END.test(source)) return null
  return new Scanner(source).read()
}

/** A template that has not ended yet. */
interface Template {
  readonly offset: number
  readonly isFirstOfLine: boolean
  /** How many tokens stand before it; those in its `${}` are only read to find where it ends. */
  readonly before: number
  /** That are open within its `${}`. */
  braces: number
}

class Scanner {
  readonly #source: string
  readonly #tokens: Token[] = []
  readonly #templates: Template[] = []
  /** Of each open `(`: is it the head of a statement, e.g. `if (`? */
  readonly #parentheses: boolean[] = []
  #isAfterHead = false
  #isFirstOfLine = true
  #at = 0

  constructor(source: string) {
    this.#source = source
  }

  read(): readonly Token[] | null {
    if (this.#source.startsWith('#!')) this.#at = this.#lineEnd()
    while (this.#skipSpace()) {
      if (this.#at >= this.#source.length) return this.#templates.length === 0 ? this.#tokens : null
      if (!this.#readToken()) return null
    }
    return null
  }

  #lineEnd(): number {
    const end = this.#source.indexOf('\n', this.#at)
    return end < 0 ? this.#source.length : end
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    return pattern.exec(this.#source)?.[0]
  }

  /** False where a comment does not end. */
  #skipSpace(): boolean {
    for (;;) {
      const start = this.#at
      const space = this.#match(SPACE)
      if (space !== undefined) this.#at += space.length
      else if (this.#source.startsWith('//', start)) this.#at = this.#lineEnd()
      else if (this.#source.startsWith('/*', start)) {
        const end = this.#source.indexOf('*/', start + 2)
        if (end < 0) return false
        this.#at = end + 2
      } else return true
      this.#isFirstOfLine ||= this.#source.slice(start, this.#at).includes('\n')
    }
  }

  #readToken(): boolean {
    const character = this.#source[this.#at]!
    const template = this.#templates.at(-1)
    if (character === '`') return this.#beginTemplate()
    if (character === '}' && template?.braces === 0) {
      this.#at++
      return this.#readTemplate(template)
    }
    if (character === "'" || character === '"') return this.#pushLiteral(stringEnd(this.#source, this.#at))
    // An escape in a name: the name is another than it looks.
    if (character === '\\') return false
    const name = this.#match(NAME)
    if (name !== undefined) return this.#push('name', name)
    const number = this.#match(NUMBER)
    if (number !== undefined) {
      const value = Number(number.replaceAll('_', ''))
      return Number.isNaN(value) ? this.#push('literal', number) : this.#push('literal', number, value)
    }
    if (character === '/') {
      const isRegExp = this.#isBeforeOperand(this.#tokens.length)
      if (isRegExp === undefined) return false
      if (isRegExp) {
        const end = regExpEnd(this.#source, this.#at)
        return end >= 0 && this.#push('literal', this.#source.slice(this.#at, end))
      }
    }
    return this.#readMark(this.#match(MARK)!, template)
  }

  #readMark(mark: string, template: Template | undefined): boolean {
    if (mark === '(') this.#parentheses.push(this.#isHead())
    else if (mark === ')') this.#isAfterHead = this.#parentheses.pop() ?? false
    else if (template !== undefined && mark === '{') template.braces++
    else if (template !== undefined && mark === '}') template.braces--
    return this.#push('mark', mark)
  }

  #push(kind: Token['kind'], text: string, value?: string | number): boolean {
    const token = { kind, text, offset: this.#at, isFirstOfLine: this.#isFirstOfLine }
    this.#tokens.push(value === undefined ? token : { ...token, value })
    this.#at += text.length
    this.#isFirstOfLine = false
    return true
  }

  #pushLiteral(end: number): boolean {
    if (end < 0) return false
    const text = this.#source.slice(this.#at, end)
    return text.includes('\\') ? this.#push('literal', text) : this.#push('literal', text, text.slice(1, -1))
  }

  #beginTemplate(): boolean {
    if (this.#templates.length >= MOST_NESTED) return false
    const template = {
      offset: this.#at,
      isFirstOfLine: this.#isFirstOfLine,
      before: this.#tokens.length,
      braces: 0,
    }
    this.#templates.push(template)
    this.#at++
    return this.#readTemplate(template)
  }

  /** The text of a template up to its end, which makes it a token, or into its next `${`. */
  #readTemplate(template: Template): boolean {
    const source = this.#source
    for (; this.#at < source.length; this.#at++) {
      const character = source[this.#at]
      if (character === '\\') this.#at++
      else if (character === '$' && source[this.#at + 1] === '{') return this.#push('mark', '${')
      else if (character === '`') {
        const end = this.#at + 1
        this.#templates.pop()
        this.#tokens.length = template.before
        this.#at = template.offset
        this.#isFirstOfLine = template.isFirstOfLine
        const text = source.slice(this.#at, end)
        // Of one within another nobody asks for the value.
        const isPlain = this.#templates.length === 0 && !/[\\$]/.test(text)
        return isPlain ? this.#push('literal', text, text.slice(1, -1)) : this.#push('literal', text)
      }
    }
    return false
  }

  /** Before an opening parenthesis: does what follows the closing one begin a statement? */
  #isHead(): boolean {
    const last = this.#keyword(this.#tokens.length - 1)
    if (last === 'await') return this.#keyword(this.#tokens.length - 2) === 'for'
    return last !== undefined && /^(?:if|while|for|with)$/.test(last)
  }

  /** A name that is no property's. */
  #keyword(at: number): string | undefined {
    const token = this.#tokens[at]
    const isProperty = this.#tokens[at - 1]?.text === '.'
    return token?.kind === 'name' && !isProperty ? token.text : undefined
  }

  /** Must an operand come after the first `length` tokens? Undefined where only a grammar could tell. */
  #isBeforeOperand(length: number): boolean | undefined {
    const last = this.#tokens[length - 1]
    if (last === undefined) return true
    if (last.kind === 'literal') return false
    if (last.kind === 'name') {
      const keyword = this.#keyword(length - 1)
      if (keyword === 'of') return undefined
      return keyword !== undefined && BEFORE_OPERAND.test(keyword)
    }
    switch (last.text) {
      case ']':
        return false
      case ')':
        return this.#isAfterHead
      // The end of a block or of an object; of a type, or a comparison.
      case '}':
      case '>':
        return undefined
      // `a++ / b`
      case '+':
      case '-':
        return this.#tokens[length - 2]?.text === last.text ? undefined : true
      // `!/a/` or, after a value, `a! / b`
      case '!':
        return isBeforeNot(this.#tokens[length - 2]) ? true : undefined
      default:
        return true
    }
  }
}

/** Is an exclamation mark after this surely a negation? */
function isBeforeNot(token: Token | undefined): boolean {
  if (token === undefined) return true
  if (token.kind === 'mark') return !/^[)\]}>.]$/.test(token.text)
  return token.kind === 'name' && BEFORE_OPERAND.test(token.text)
}

/** Past the quote that closes a string; -1 where its line ends first. */
function stringEnd(source: string, start: number): number {
  const quote = source[start]
  for (let at = start + 1; at < source.length; at++) {
    const character = source[at]
    if (character === quote) return at + 1
    if (character === '\n') return -1
    if (character === '\\') at++
  }
  return -1
}

/** Past a regular expression and its flags; -1 where its line ends first. */
function regExpEnd(source: string, start: number): number {
  let isInClass = false
  for (let at = start + 1; at < source.length; at++) {
    const character = source[at]
    if (character === '\n') return -1
    if (character === '\\') at++
    else if (character === '[') isInClass = true
    else if (character === ']') isInClass = false
    else if (character === '/' && !isInClass) {
      let end = at + 1
      while (end < source.length && /[a-z]/.test(source[end]!)) end++
      return end
    }
  }
  return -1
}

/** Indices of tokens, for each token. */
export interface Brackets {
  /** Of an opening bracket, where it closes; of another token, the token itself. */
  readonly closing: Int32Array
  /** The opening bracket of what the token stands in; -1 at the top. */
  readonly around: Int32Array
}

/** Null where the brackets do not pair. O(tokens). */
export function matchBrackets(tokens: readonly Token[]): Brackets | null {
  const closing = new Int32Array(tokens.length)
  const around = new Int32Array(tokens.length)
  const open: number[] = []
  for (const [index, { kind, text }] of tokens.entries()) {
    closing[index] = index
    if (kind === 'mark' && (text === ')' || text === ']' || text === '}')) {
      const opening = open.pop()
      if (opening === undefined || PAIRS[tokens[opening]!.text] !== text) return null
      closing[opening] = index
    }
    around[index] = open.at(-1) ?? -1
    if (kind === 'mark' && (text === '(' || text === '[' || text === '{')) open.push(index)
  }
  return open.length === 0 ? { closing, around } : null
}

const PAIRS: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' }
