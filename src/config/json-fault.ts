/**
 * Where a text stops being JSON (RFC 8259). V8 says the position of some faults and shows a piece of the text for others, so
 * the place is found here; what is wrong there V8 says.
 */

/** Of a scalar other than a string, sticky. */
const LITERAL = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
/** Of a string up to its first fault or closing quote. */
const STRING_PART = /(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4}))*/y
const SPACE = /[ \t\n\r]*/y

type Expected = 'value' | 'first-item' | 'first-key' | 'key' | 'colon' | 'separator' | 'end'

/** The offset of the first character that no JSON text can have there; the length of the text where it ends too early. O(n), no recursion. */
export function jsonFault(text: string): number {
  const open: ('[' | '{')[] = []
  let expected: Expected = 'value'
  let at = 0
  const skip = (pattern: RegExp): void => {
    pattern.lastIndex = at
    if (pattern.test(text)) at = pattern.lastIndex
  }
  const afterValue = (): Expected => (open.length === 0 ? 'end' : 'separator')
  for (;;) {
    skip(SPACE)
    const character = text[at]
    if (character === undefined) return text.length
    const inside = open.at(-1)
    const isKey: boolean = expected === 'key' || expected === 'first-key'
    if (expected === 'end') return at
    if (expected === 'colon') {
      if (character !== ':') return at
      at++
      expected = 'value'
    } else if (expected === 'separator' && character === ',') {
      at++
      expected = inside === '{' ? 'key' : 'value'
    } else if (character === (inside === '{' ? '}' : ']') && mayClose(expected)) {
      at++
      open.pop()
      expected = afterValue()
    } else if (expected === 'separator') return at
    else if (character === '"') {
      at++
      skip(STRING_PART)
      if (text[at] !== '"') return at
      at++
      expected = isKey ? 'colon' : afterValue()
    } else if (isKey) return at
    else if (character === '[' || character === '{') {
      at++
      open.push(character)
      expected = character === '[' ? 'first-item' : 'first-key'
    } else {
      const start = at
      skip(LITERAL)
      if (at === start) return at
      expected = afterValue()
    }
  }
}

function mayClose(expected: Expected): boolean {
  return expected === 'first-item' || expected === 'first-key' || expected === 'separator'
}
