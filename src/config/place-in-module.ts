/**
 * Where a value of a config stands in the source of its module, found by reading the source as text.
 *
 * A module computes its config, so the source shows a value's place only where it is written out: object and array
 * literals from `export default` down, through `defineConfig(…)`, parentheses, `as`, `satisfies` and constants of the
 * same file. Whatever leaves a doubt (a spread after the key, a call, an import, a literal that differs from the value
 * that came out) has no place: a wrong line is worse than none.
 */
import { valueAt } from './parse.ts'
import type { Finding } from './problem.ts'
import { matchBrackets, type Token, tokensOf } from './script-tokens.ts'

export interface Place {
  readonly line: number
  readonly column: number
}

/** The place of a finding's value (or key) in the source of the module that made `config`; undefined in doubt. */
export function placeInModule(source: string, config: unknown, finding: Finding): Place | undefined {
  const tokens = tokensOf(source)
  const closing = tokens === null ? null : matchBrackets(tokens)
  if (tokens === null || closing === null) return undefined
  const token = new ModuleText(tokens, closing).find(config, finding)
  return token === undefined ? undefined : placeOf(source, token.offset)
}

function placeOf(source: string, offset: number): Place {
  const before = source.slice(0, offset).split('\n')
  return { line: before.length, column: before.at(-1)!.length + 1 }
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

/** A chain of constants longer than this is not followed. */
const MOST_NAMES = 20

class ModuleText {
  readonly #tokens: readonly Token[]
  /** Of each opening bracket, where it closes. */
  readonly #closing: ReadonlyMap<number, number>

  constructor(tokens: readonly Token[], closing: ReadonlyMap<number, number>) {
    this.#tokens = tokens
    this.#closing = closing
  }

  find(config: unknown, { path, atKey }: Finding): Token | undefined {
    let at = this.#exported()
    for (const [index, step] of path.entries()) {
      const start = at === undefined ? undefined : this.#literal(at)
      if (start === undefined) return undefined
      if (typeof step === 'number') {
        at = this.#isAt(start, '[') ? this.#elements(start)[step] : undefined
        continue
      }
      if (!this.#isAt(start, '{')) return undefined
      const object = this.#object(start)
      const entry = object?.entries.get(step)
      const isLast = index === path.length - 1
      if (isLast && atKey === true) return entry === undefined ? undefined : this.#tokens[entry.key]
      if (entry === undefined) {
        // What is missing has the place of what it is missing from.
        const isMissing = isLast && object?.isOpen === false && valueAt(config, path) === undefined
        return isMissing ? this.#tokens[start] : undefined
      }
      at = entry.isSure ? entry.value : undefined
    }
    if (at === undefined || path.length === 0) return undefined
    return this.#agrees(at, valueAt(config, path)) ? this.#tokens[at] : undefined
  }

  #isAt(at: number, text: string): boolean {
    const token = this.#tokens[at]
    return token?.kind === 'mark' && token.text === text
  }

  #isName(at: number, text: string): boolean {
    const token = this.#tokens[at]
    return token?.kind === 'name' && token.text === text
  }

  /** The expression after the only `export default`. */
  #exported(): number | undefined {
    const found: number[] = []
    for (let at = 0; at < this.#tokens.length; at = this.#after(at)) {
      if (this.#isName(at, 'export') && this.#isName(at + 1, 'default')) found.push(at + 2)
    }
    return found.length === 1 ? found[0] : undefined
  }

  /** The token after this one, past what it opens. */
  #after(at: number): number {
    return (this.#closing.get(at) ?? at) + 1
  }

  /** Where the object or array literal begins that an expression is, as far as the source shows it. */
  #literal(start: number): number | undefined {
    let at = start
    for (let names = 0; names < MOST_NAMES; names++) {
      const token = this.#tokens[at]
      if (token === undefined) return undefined
      if (this.#isAt(at, '{') || this.#isAt(at, '[')) return this.#endsAt(this.#after(at)) ? at : undefined
      const isDefined = this.#isName(at, 'defineConfig') && this.#isAt(at + 1, '(') && this.#importsDefineConfig()
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

  /** Does an expression end before this token? */
  #endsAt(at: number): boolean {
    const token = this.#tokens[at]
    if (token === undefined) return true
    if (token.kind === 'mark') return [',', ')', ']', '}', ';'].includes(token.text)
    // `as`, `satisfies`, or the next statement where there are no semicolons.
    return token.kind === 'name' && (token.isFirstOfLine || token.text === 'as' || token.text === 'satisfies')
  }

  /** Our `defineConfig` gives back what it is given; another function of that name may not. */
  #importsDefineConfig(): boolean {
    const isImported = this.#tokens.some((token, at) => token.value === 'evenkeel' && this.#isName(at - 1, 'from'))
    const isDeclared = this.#tokens.some(
      (_, at) =>
        this.#isName(at, 'defineConfig') && (this.#isName(at - 1, 'function') || this.#isName(at - 1, 'const')),
    )
    return isImported && !isDeclared
  }

  /** The value of `const NAME = …` at the top of the file, where nothing else could have changed it since. */
  #constant(name: string): number | undefined {
    let value: number | undefined
    for (let at = 0; at < this.#tokens.length; at++) {
      if (!this.#isName(at, name) || this.#isAt(at - 1, '.')) continue
      if (this.#isName(at - 1, 'const')) {
        if (value !== undefined) return undefined
        let equals = at + 1
        while (equals < this.#tokens.length && !this.#isAt(equals, '=')) equals = this.#after(equals)
        value = equals + 1
      } else if (!this.#isOnlyRead(at)) return undefined
    }
    return value
  }

  /** Is the name here a key, a value in a literal, or what is exported: nothing that could change what it names? */
  #isOnlyRead(at: number): boolean {
    if (this.#isAt(at + 1, ':')) return true
    if (this.#isName(at - 1, 'default')) return this.#endsAt(at + 1)
    if (this.#isAt(at - 1, '(')) return this.#isName(at - 2, 'defineConfig') && this.#isAt(at + 1, ')')
    const isValue = [':', ',', '[', '{', '...'].some((mark) => this.#isAt(at - 1, mark))
    return isValue && [',', ']', '}'].some((mark) => this.#isAt(at + 1, mark))
  }

  #object(open: number): ObjectLiteral | null {
    const entries = new Map<string, Entry>()
    let isOpen = false
    const end = this.#closing.get(open)!
    for (let at = open + 1; at < end; at++) {
      const token = this.#tokens[at]!
      if (this.#isAt(at, '...') || this.#isAt(at, '[')) {
        isOpen = true
        for (const entry of entries.values()) entry.isSure = false
      } else {
        const key = token.kind === 'name' ? token.text : token.value === undefined ? undefined : String(token.value)
        const isShorthand = this.#isAt(at + 1, ',') || at + 1 === end
        // A getter, a method, an escaped key: not the plain `key: value` that is read here.
        if (key === undefined || !(isShorthand ? token.kind === 'name' : this.#isAt(at + 1, ':'))) return null
        entries.set(key, { key: at, value: isShorthand ? at : at + 2, isSure: true })
      }
      at = this.#pastExpression(at, end)
    }
    return { entries, isOpen }
  }

  /** Where each element begins, up to the first that may be several or none. */
  #elements(open: number): number[] {
    const elements: number[] = []
    const end = this.#closing.get(open)!
    for (let at = open + 1; at < end; at++) {
      if (this.#isAt(at, '...') || this.#isAt(at, ',')) break
      elements.push(at)
      at = this.#pastExpression(at, end)
    }
    return elements
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

const NAMED_VALUES: Readonly<Record<string, unknown>> = { true: true, false: false, null: null }

function isPlain(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
