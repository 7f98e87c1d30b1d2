/**
 * Where a value of a config stands in the source of its module, found by reading the source as text.
 *
 * A module computes its config, so the source shows a value's place only where it is written out: object and array
 * literals from `export default` down, through `defineConfig(…)`, parentheses, `as`, `satisfies` and constants of the
 * same file. Whatever leaves a doubt (a spread after the key, a call, an import, a constant that something else could have
 * changed, a literal that differs from the value that came out) has no place: a wrong line is worse than none.
 */
import type { Finding } from './problem.ts'
import { type Brackets, matchBrackets, type Token, tokensOf } from './script-tokens.ts'

export interface Place {
  readonly line: number
  readonly column: number
}

/** What of a finding says where it stands. */
export type Placed = Pick<Finding, 'path' | 'atKey'>

/**
 * Gives the place of a finding's value (or key) in the source of the module that made `config`; undefined in doubt.
 *
 * Never throws. The source is read once, at the first finding, in O(length); what is found out about it is remembered, so
 * that each further place costs about as much as its path has steps.
 */
export function placeInModule(source: string, config: unknown): (finding: Placed) => Place | undefined {
  let module: ModuleText | null | undefined
  return (finding) => {
    try {
      if (module === undefined) {
        // In case that it throws: it is not tried again.
        module = null
        module = ModuleText.read(source)
      }
      return module?.find(config, finding)
    } catch {
      // E.g. a getter of the config throws. The finding still counts, with its path alone.
      return undefined
    }
  }
}

/** Positions are indices of tokens. */
interface Entry {
  readonly key: number
  readonly value: number
  /** False: something after it may have replaced its value. */
  isSure: boolean
}

interface ObjectLiteral {
  readonly entries: ReadonlyMap<string, Entry>
  /** Are there spreads or computed keys, so that it may have keys which are not written here? */
  readonly isOpen: boolean
}

interface ArrayLiteral {
  /** Where each element begins, up to the first that may be several or none. */
  readonly elements: readonly number[]
  /** Are those all? */
  readonly isWhole: boolean
}

/** A chain of constants or parentheses longer than this is not followed. */
const MOST_LINKS = 20
/** Of brackets around a name. */
const MOST_NESTED = 100
/** A type longer than this is not passed over. */
const MOST_TYPE_TOKENS = 200

class ModuleText {
  readonly #tokens: readonly Token[]
  readonly #closing: Int32Array
  readonly #around: Int32Array
  /** Where each line begins. */
  readonly #lines: readonly number[]
  /** Columns of the first line do not count the byte order mark. */
  readonly #markLength: number
  /** Where each name stands that is no property's after a dot. */
  readonly #names = new Map<string, number[]>()
  /** Of the constants at the top of the file, by where their values begin. */
  readonly #constantsByValue = new Map<number, string>()
  readonly #exported: number | undefined
  readonly #isDefineConfigOurs: boolean
  // What has been found out, since findings share most of their way.
  readonly #objects = new Map<number, ObjectLiteral | null>()
  readonly #arrays = new Map<number, ArrayLiteral>()
  readonly #literals = new Map<number, number | undefined>()
  readonly #constants = new Map<string, number | undefined>()
  readonly #harmless = new Map<number, boolean>()

  /** Null where the source cannot be read. */
  static read(source: string): ModuleText | null {
    const tokens = tokensOf(source)
    const brackets = tokens === null ? null : matchBrackets(tokens)
    return tokens === null || brackets === null ? null : new ModuleText(source, tokens, brackets)
  }

  private constructor(source: string, tokens: readonly Token[], { closing, around }: Brackets) {
    this.#tokens = tokens
    this.#closing = closing
    this.#around = around
    const lines = [0]
    for (let at = source.indexOf('\n'); at >= 0; at = source.indexOf('\n', at + 1)) lines.push(at + 1)
    this.#lines = lines
    this.#markLength = source.startsWith('\uFEFF') ? 1 : 0
    for (const [at, { kind, text }] of tokens.entries()) {
      if (kind !== 'name' || this.#isAt(at - 1, '.')) continue
      const places = this.#names.get(text)
      if (places === undefined) this.#names.set(text, [at])
      else places.push(at)
    }
    for (const at of this.#names.get('const') ?? []) {
      const value = around[at] === -1 ? this.#initialiser(at + 1) : undefined
      if (value !== undefined) this.#constantsByValue.set(value, tokens[at + 1]!.text)
    }
    const exports = (this.#names.get('export') ?? []).filter(
      (at) => around[at] === -1 && this.#isName(at + 1, 'default'),
    )
    this.#exported = exports.length === 1 ? exports[0]! + 2 : undefined
    const mentions = this.#names.get('defineConfig') ?? []
    const isDeclared = mentions.some((at) => DECLARE.some((word) => this.#isName(at - 1, word)))
    this.#isDefineConfigOurs = !isDeclared && mentions.some((at) => this.#isImportOfOurs(at))
  }

  find(config: unknown, { path, atKey }: Placed): Place | undefined {
    const at = this.#find(config, path, atKey === true)
    return at === undefined ? undefined : this.#place(this.#tokens[at]!.offset)
  }

  #place(offset: number): Place {
    let line = 0
    let end = this.#lines.length
    // The last line that begins at or before the offset.
    while (end - line > 1) {
      const middle = (line + end) >>> 1
      if (this.#lines[middle]! <= offset) line = middle
      else end = middle
    }
    const column = offset - this.#lines[line]! + 1 - (line === 0 ? this.#markLength : 0)
    return { line: line + 1, column }
  }

  #find(config: unknown, path: Placed['path'], atKey: boolean): number | undefined {
    let at = this.#exported
    let value = config
    for (const [index, step] of path.entries()) {
      const start = at === undefined ? undefined : this.#literal(at)
      if (start === undefined || typeof value !== 'object' || value === null) return undefined
      const has = Object.hasOwn(value, step)
      const inner = has ? (value as Readonly<Record<typeof step, unknown>>)[step] : undefined
      if (typeof step === 'number') {
        at = this.#isAt(start, '[') && Array.isArray(value) ? this.#element(start, step, value.length) : undefined
      } else {
        if (!this.#isAt(start, '{') || Array.isArray(value)) return undefined
        const object = this.#object(start)
        const entry = object?.entries.get(step)
        const isLast = index === path.length - 1
        if (entry === undefined) {
          // What is missing has the place of what it is missing from.
          return isLast && !atKey && object?.isOpen === false && !has ? start : undefined
        }
        if (isLast && atKey) return !entry.isSure || this.#agrees(entry.value, inner) ? entry.key : undefined
        at = entry.isSure ? entry.value : undefined
      }
      value = inner
    }
    return at !== undefined && path.length > 0 && this.#agrees(at, value) ? at : undefined
  }

  #isAt(at: number, text: string): boolean {
    const token = this.#tokens[at]
    return token?.kind === 'mark' && token.text === text
  }

  #isOneOf(at: number, marks: readonly string[]): boolean {
    const token = this.#tokens[at]
    return token?.kind === 'mark' && marks.includes(token.text)
  }

  #isName(at: number, text: string): boolean {
    const token = this.#tokens[at]
    return token?.kind === 'name' && token.text === text
  }

  /** The token after this one, past what it opens. */
  #after(at: number): number {
    return (this.#closing[at] ?? at) + 1
  }

  /** Where the object or array literal begins that an expression is, as far as the source shows it. */
  #literal(start: number): number | undefined {
    if (!this.#literals.has(start)) this.#literals.set(start, this.#readLiteral(start))
    return this.#literals.get(start)
  }

  #readLiteral(start: number): number | undefined {
    let at = start
    for (let links = 0; links < MOST_LINKS; links++) {
      const token = this.#tokens[at]
      if (token === undefined) return undefined
      if (this.#isOneOf(at, ['{', '['])) return this.#endsAt(this.#after(at)) ? at : undefined
      const isDefined = this.#isDefineConfigOurs && this.#isName(at, 'defineConfig') && this.#isAt(at + 1, '(')
      if (isDefined || this.#isAt(at, '(')) {
        const open = isDefined ? at + 1 : at
        if (!this.#endsAt(this.#after(open))) return undefined
        at = open + 1
        continue
      }
      if (token.kind !== 'name' || !this.#endsAt(at + 1)) return undefined
      const value = this.#constant(token.text)
      if (value === undefined) return undefined
      at = value
    }
    return undefined
  }

  /** Does an expression end before this token, but for `as` and `satisfies`? */
  #endsAt(at: number): boolean {
    const token = this.#tokens[at]
    if (token === undefined) return true
    if (token.kind === 'mark') return ENDS.includes(token.text)
    if (token.kind !== 'name') return false
    if (token.text === 'as' || token.text === 'satisfies') return this.#isTypeAt(at + 1)
    // The next statement where there are no semicolons; these are no statement's first word.
    return token.isFirstOfLine && !['in', 'instanceof', 'of', 'from'].includes(token.text)
  }

  /** Is there only a type until the expression ends? What follows it could make another value of the expression. */
  #isTypeAt(start: number): boolean {
    let at = start
    for (let passed = 0; passed < MOST_TYPE_TOKENS; passed++) {
      const token = this.#tokens[at]
      if (token === undefined) return true
      if (token.kind === 'mark' && ENDS.includes(token.text)) return true
      if (token.kind === 'name') {
        if (token.text === 'in' || token.text === 'instanceof') return false
        if (at > start && this.#isNextStatement(at)) return true
      } else if (token.kind === 'mark') {
        if (!TYPE_MARKS.includes(token.text)) return false
        // `||` and `&&` are operators, `|` and `&` make types.
        if ((token.text === '|' || token.text === '&') && this.#isAt(at + 1, token.text)) return false
      }
      at = this.#after(at)
    }
    return false
  }

  /** After a type: does the line begin something else? */
  #isNextStatement(at: number): boolean {
    const token = this.#tokens[at]
    if (token?.kind !== 'name' || !token.isFirstOfLine || token.text === 'as' || token.text === 'satisfies')
      return false
    return !this.#isOneOf(at - 1, [':', '|', '&', '<', '.', '=>'])
  }

  /** `import { defineConfig } from 'evenkeel'`: ours gives back what it is given, another of that name may not. */
  #isImportOfOurs(at: number): boolean {
    const open = this.#around[at]!
    const close = this.#closing[open] ?? -1
    const isClause = this.#isAt(open, '{') && this.#around[open] === -1 && this.#isName(close + 1, 'from')
    if (!isClause || this.#tokens[close + 2]?.value !== 'evenkeel' || !this.#isName(open - 1, 'import')) return false
    return this.#isOneOf(at - 1, ['{', ',']) && this.#isOneOf(at + 1, ['}', ','])
  }

  /** Where the value begins after `NAME =` or `NAME: Type =`. */
  #initialiser(name: number): number | undefined {
    if (this.#tokens[name]?.kind !== 'name') return undefined
    if (this.#isAt(name + 1, '=')) return name + 2
    if (!this.#isAt(name + 1, ':')) return undefined
    let at = name + 2
    for (let passed = 0; passed < MOST_TYPE_TOKENS; passed++) {
      if (this.#isAt(at, ';') || this.#isNextStatement(at)) return undefined
      if (this.#isAt(at, '=')) return at + 1
      at = this.#after(at)
    }
    return undefined
  }

  /**
   * The value of `const NAME = …` at the top of the file, where nothing else could have changed it since: each other time that
   * the name stands in the file it is a key, or it is put as it is into a literal of the config.
   */
  #constant(name: string, links = 0): number | undefined {
    if (this.#constants.has(name)) return this.#constants.get(name)
    // Until it is known: a constant that is a part of itself has no value.
    this.#constants.set(name, undefined)
    let value: number | undefined
    for (const at of this.#names.get(name) ?? []) {
      const isTop = this.#isName(at - 1, 'const') && this.#around[at] === -1 && value === undefined
      if (isTop) value = this.#initialiser(at)
      if (isTop ? value === undefined : links > MOST_LINKS || !this.#isOnlyRead(at, links)) return undefined
    }
    this.#constants.set(name, value)
    return value
  }

  /** Is the name here a key or a part of the config: nothing that binds it or could change what it names? */
  #isOnlyRead(at: number, links: number): boolean {
    const open = this.#around[at]!
    if (this.#isAt(at + 1, ':') && this.#isOneOf(at - 1, ['{', ',', ';'])) return this.#isAt(open, '{')
    if (this.#isName(at - 1, 'default')) return this.#endsAt(at + 1)
    const isValue =
      this.#isOneOf(at - 1, [':', ',', '[', '{', '...', '(']) && this.#isOneOf(at + 1, [',', ']', '}', ')'])
    return isValue && open !== -1 && this.#isHarmless(open, links, 0)
  }

  /** Does what this bracket opens become a part of the default export, and of nothing else? */
  #isHarmless(open: number, links: number, depth: number): boolean {
    const known = this.#harmless.get(open)
    if (known !== undefined) return known
    const isHarmless = depth < MOST_NESTED && this.#readHarmless(open, links, depth)
    this.#harmless.set(open, isHarmless)
    return isHarmless
  }

  #readHarmless(open: number, links: number, depth: number): boolean {
    if (!this.#endsAt(this.#after(open))) return false
    const isCall = this.#isDefineConfigOurs && this.#isAt(open, '(') && this.#isName(open - 1, 'defineConfig')
    const start = isCall ? open - 1 : open
    if (start === this.#exported) return true
    const outer = this.#around[open]!
    // A pattern in which a name is bound has no place here: it begins after `const`, `let`, `(` of a function, or ends before `=`.
    if (outer !== -1) {
      return this.#isOneOf(start - 1, [':', ',', '[', '{', '(', '...']) && this.#isHarmless(outer, links, depth + 1)
    }
    const name = this.#constantsByValue.get(start)
    return name !== undefined && this.#constant(name, links + 1) !== undefined
  }

  #object(open: number): ObjectLiteral | null {
    let object = this.#objects.get(open)
    if (object === undefined) {
      object = this.#readObject(open)
      this.#objects.set(open, object)
    }
    return object
  }

  #readObject(open: number): ObjectLiteral | null {
    const entries = new Map<string, Entry>()
    const sure: Entry[] = []
    let isOpen = false
    const end = this.#closing[open]!
    for (let at = open + 1; at < end; at++) {
      const token = this.#tokens[at]!
      if (this.#isAt(at, '...') || this.#isAt(at, '[')) {
        isOpen = true
        for (const entry of sure.splice(0)) entry.isSure = false
      } else {
        const key = token.kind === 'name' ? token.text : token.value === undefined ? undefined : String(token.value)
        const isShorthand = this.#isAt(at + 1, ',') || at + 1 === end
        // A getter, a method, an escaped key: not the plain `key: value` that is read here. `__proto__` is no key at all.
        if (key === undefined || key === '__proto__') return null
        if (!(isShorthand ? token.kind === 'name' : this.#isAt(at + 1, ':'))) return null
        const entry = { key: at, value: isShorthand ? at : at + 2, isSure: true }
        entries.set(key, entry)
        sure.push(entry)
      }
      at = this.#pastExpression(at, end)
    }
    return { entries, isOpen }
  }

  /** Where an element begins, of an array that came out with so many. */
  #element(open: number, index: number, length: number): number | undefined {
    let array = this.#arrays.get(open)
    if (array === undefined) {
      array = this.#readArray(open)
      this.#arrays.set(open, array)
    }
    const { elements, isWhole } = array
    return (isWhole ? elements.length === length : elements.length <= length) ? elements[index] : undefined
  }

  #readArray(open: number): ArrayLiteral {
    const elements: number[] = []
    const end = this.#closing[open]!
    for (let at = open + 1; at < end; at++) {
      if (this.#isOneOf(at, ['...', ','])) return { elements, isWhole: false }
      const next = this.#pastExpression(at, end)
      elements.push(at)
      // A comma after `<` may divide types instead of elements: this element begins here, but where is the next?
      for (let inner = at; inner < next; inner = this.#after(inner)) {
        if (this.#isAt(inner, '<')) return { elements, isWhole: false }
      }
      at = next
    }
    return { elements, isWhole: true }
  }

  /** The next comma of this level, or the end. */
  #pastExpression(from: number, end: number): number {
    let at = from
    while (at < end && !this.#isAt(at, ',')) at = this.#after(at)
    return at
  }

  /** Does what is written here agree with the value that came out? What is computed cannot contradict it. */
  #agrees(at: number, value: unknown): boolean {
    if (this.#isAt(at, '{')) return this.#endsAt(this.#after(at)) && isPlain(value)
    if (this.#isAt(at, '[')) return this.#endsAt(this.#after(at)) && Array.isArray(value)
    const isNegative = this.#isAt(at, '-')
    const token = this.#tokens[isNegative ? at + 1 : at]!
    if (!this.#endsAt(isNegative ? at + 2 : at + 1)) return true
    if (token.kind === 'name') return !Object.hasOwn(NAMED_VALUES, token.text) || NAMED_VALUES[token.text] === value
    if (token.value === undefined) return true
    return (isNegative ? -Number(token.value) : token.value) === value
  }
}

const DECLARE: readonly string[] = ['function', 'const', 'let', 'var', 'class']
/** Marks before which an expression ends. */
const ENDS: readonly string[] = [',', ')', ']', '}', ';']
/** Marks that may stand in a type. */
const TYPE_MARKS: readonly string[] = ['<', '>', '|', '&', '.', '[', '{', '(', '=>']

const NAMED_VALUES: Readonly<Record<string, unknown>> = { true: true, false: false, null: null }

function isPlain(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
