/** Every error of the table is acted out by some test of this folder. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ERROR_CODES } from '../../src/core/errors.ts'

/** With the reason why no bytes can cause it. */
const NOT_FROM_OUTSIDE: Readonly<Record<string, string>> = {
  EK_INTERNAL: 'stands for a fault of our own: test/edge/internal-errors.test.ts makes some',
}

test('every error code is named by a wire test', () => {
  const text = globSync('*.test.ts', { cwd: import.meta.dirname })
    .filter((file) => file !== 'error-codes.test.ts')
    .map((file) => readFileSync(join(import.meta.dirname, file), 'utf8'))
    .join('\n')
  const missing = ERROR_CODES.filter((code) => !new RegExp(`\\b${code}\\b`).test(text) && !(code in NOT_FROM_OUTSIDE))
  assert.deepEqual(missing, [])
})
