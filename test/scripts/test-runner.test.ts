import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'

const script = resolve(import.meta.dirname, '../../scripts/test.ts')

interface Outcome {
  readonly code: number | null
  readonly text: string
}

/** Runs the script over a tree of test files: name → body of the file, with `test` in scope. */
function runTree(t: TestContext, tree: Readonly<Record<string, string>>, args: string[] = [], isCi = false): Outcome {
  const root = mkdtempSync(join(tmpdir(), 'evenkeel-runner-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  for (const [name, body] of Object.entries(tree)) {
    const file = join(root, 'test', name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, `import { test } from 'node:test'\n${body}\n`)
  }
  // A test's process is told that it is one; the runner in it must not believe to be one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const done = spawnSync(process.execPath, [script, '--root', root, ...args], {
    encoding: 'utf8',
    env: { ...env, CI: isCi ? 'true' : 'false' },
  })
  return { code: done.status, text: done.stdout + done.stderr }
}

test('passing files end with exit code 0 and the closing lines of node', (t) => {
  const { code, text } = runTree(t, {
    'a/one.test.ts': "test('x', () => {})",
    'edge/two.test.ts': "test('y', () => {})\ntest('z', () => {})",
  })
  assert.equal(code, 0, text)
  assert.match(text, /✔ test\/edge\/two\.test\.ts 2 tests, \d+ ms/)
  assert.match(
    text,
    /ℹ tests 3\n(?:.*\n)*ℹ pass 3\nℹ fail 0\nℹ cancelled 0\nℹ skipped 0\nℹ todo 0\nℹ duration_ms [\d.]+\n$/,
  )
})

test('a failing test fails the run and is shown with its error and the output of its file', (t) => {
  const { code, text } = runTree(t, {
    'a/bad.test.ts': "console.log('told before')\ntest('breaks', () => { throw new Error('this is why') })",
  })
  assert.equal(code, 1)
  assert.match(text, /breaks\n\s+Error: this is why/)
  assert.match(text, /\| told before/)
  assert.match(text, /ℹ fail 1/)
})

test('a file that dies, runs no test, or throws after its tests fails the run', (t) => {
  for (const body of [
    'process.exit(3)',
    'export {}',
    "test('early', () => { setTimeout(() => { throw new Error('late') }, 20) })",
  ]) {
    const { code, text } = runTree(t, { 'a/odd.test.ts': body })
    assert.equal(code, 1, `${body}\n${text}`)
  }
})

test('a skip is listed with its reason, and is a failure where CI is true', (t) => {
  const tree = { 'engines/x.test.ts': "test('needs it', { skip: 'redis is not installed' }, () => {})" }
  const local = runTree(t, tree)
  assert.equal(local.code, 0, local.text)
  assert.match(local.text, /test\/engines\/x\.test\.ts: needs it \(redis is not installed\)/)
  assert.equal(runTree(t, tree, [], true).code, 1)
})

test('filters choose files by a part of their path, and one that matches nothing fails', (t) => {
  const tree = { 'a/one.test.ts': "test('x', () => {})", 'b/two.test.ts': "test('y', () => { throw new Error() })" }
  const chosen = runTree(t, tree, ['a/one'])
  assert.equal(chosen.code, 0, chosen.text)
  assert.match(chosen.text, /ℹ tests 1\n/)
  assert.equal(runTree(t, tree, ['nothing-like-that']).code, 1)
})
