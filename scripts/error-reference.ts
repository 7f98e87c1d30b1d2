/** `npm run docs:errors`: writes docs/reference/errors.md from the one error table. A test holds the two together. */
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { ERROR_CODES, ERRORS, type RetryRule } from '../src/core/errors.ts'

export const ERROR_REFERENCE_FILE: string = resolve(import.meta.dirname, '../docs/reference/errors.md')

const RETRY_WORDS: Readonly<Record<RetryRule, string>> = {
  never: 'never',
  safe: 'any method',
  'if-reused': 'idempotent methods, or nothing written',
  'if-idempotent': 'idempotent methods',
}

/** The whole page, as text. */
export function errorReference(): string {
  const rows = ERROR_CODES.map((code) => {
    const { status, source, retry, message } = ERRORS[code]
    return `| \`${code}\` | ${status === 0 ? 'none' : status} | ${source} | ${RETRY_WORDS[retry]} | ${message} |`
  })
  return `# Errors

Made from \`src/core/errors.ts\` by \`npm run docs:errors\`; a test fails when the two differ.

Codes are API: they stand in the access log, in the metric \`code\` label and in the body of the answers that Evenkeel
itself gives. They are never renamed or reused.

- **Status** is what the client is told while nothing of an answer has been sent. After that an error can only cut the
  answer short: the connection is closed so that the client can tell. \`none\`: nobody is left to be told.
- **Source** is whose doing it is: \`downstream\` (the client), \`upstream\` (the endpoint), \`internal\` (Evenkeel or its limits).
  Only \`upstream\` errors count against an endpoint.
- **Retry** says when the attempt may be repeated, on another endpoint where there is one, within the pool's \`retries\`.

| code | status | source | retry | meaning |
|---|---|---|---|---|
${rows.join('\n')}
`
}

if (import.meta.main) {
  writeFileSync(ERROR_REFERENCE_FILE, errorReference())
  console.log(`${ERROR_CODES.length} errors written to docs/reference/errors.md`)
}
