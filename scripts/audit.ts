/**
 * `npm run check:audit`: known vulnerabilities of what the package brings along (`npm audit --omit=dev`).
 * Exit 1 on one of high or critical severity. A registry that does not answer audits is reported, not failed:
 * the outcome would say something about the registry only.
 */
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'

interface Answer {
  readonly metadata?: { readonly vulnerabilities?: Readonly<Record<string, number>> }
  readonly vulnerabilities?: Readonly<Record<string, { readonly severity: string }>>
  readonly message?: string
  readonly error?: { readonly summary?: string }
}

const done = spawnSync('npm', ['audit', '--omit=dev', '--json'], {
  cwd: resolve(import.meta.dirname, '..'),
  encoding: 'utf8',
  timeout: 60_000,
})

let answer: Answer = {}
try {
  answer = JSON.parse(done.stdout) as Answer
} catch {
  // npm printed no JSON: handled as no answer.
}

const counts = answer.metadata?.vulnerabilities
if (counts === undefined) {
  const why = answer.message ?? answer.error?.summary ?? done.stderr.trim().split('\n').at(-1) ?? 'no answer'
  console.log(`audit: the registry could not answer (${why === '' ? 'no answer' : why}); nothing was checked`)
} else {
  const found = Object.entries(answer.vulnerabilities ?? {})
  for (const [name, { severity }] of found) console.log(`audit: ${name}: ${severity}`)
  console.log(`audit: the registry answered, ${found.length} vulnerable packages`)
  if ((counts['high'] ?? 0) + (counts['critical'] ?? 0) > 0) process.exit(1)
}
