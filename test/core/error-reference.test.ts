import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ERROR_REFERENCE_FILE, errorReference } from '../../scripts/error-reference.ts'
import { ERROR_CODES, ERROR_INDEX, ERRORS, errorAt } from '../../src/core/errors.ts'

const page = readFileSync(ERROR_REFERENCE_FILE, 'utf8')

test('the error reference is what the table would write today', () => {
  assert.equal(page, errorReference(), 'run: npm run docs:errors')
})

test('every error of the table is in the reference, and the reference names no other', () => {
  const documented = [...page.matchAll(/^\| `(EK_\w+)` \|/gm)].map((match) => match[1]!)
  assert.ok(documented.length > 30, `only ${documented.length} rows were found: the parsing of the page is wrong`)
  assert.deepEqual([...documented].sort(), [...ERROR_CODES].sort())
})

test('every row of the error table is usable', () => {
  const messages = new Set<string>()
  for (const code of ERROR_CODES) {
    const { status, source, retry, message } = ERRORS[code]
    assert.match(code, /^EK_[A-Z0-9_]+$/)
    assert.ok(status === 0 || (status >= 400 && status <= 599), `${code}: ${status}`)
    assert.equal(errorAt(ERROR_INDEX[code]), ERRORS[code])
    assert.ok(!messages.has(message), `${code} repeats the message of another`)
    messages.add(message)
    assert.match(message, /^[^A-Z|]|^(CONNECT|HTTP|Content|Connection|Transfer|Host)/, `${code}: one plain clause`)
    // A client's own mistake must never be tried on a second endpoint.
    if (source === 'downstream') assert.equal(retry, 'never', code)
  }
})
