import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

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

test('a signal ends it with the files that run and what those started', {
  skip: process.platform !== 'linux' && 'needs /proc',
}, async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'evenkeel-runner-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  mkdirSync(join(root, 'test/a'), { recursive: true })
  const pids = join(root, 'pids')
  writeFileSync(
    join(root, 'test/a/long.test.ts'),
    `import { test } from 'node:test'
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
test('x', async () => {
  // It does not go by SIGTERM, as a balancer that drains.
  const child = spawn(process.execPath, ['-e', "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); process.stdout.write('up')"])
  await new Promise((resolve) => child.stdout.once('data', resolve))
  writeFileSync(${JSON.stringify(pids)}, [process.pid, child.pid].join(' '))
  await new Promise((resolve) => setTimeout(resolve, 60_000))
})
`,
  )
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const runner = spawn(process.execPath, [script, '--root', root], { env, stdio: 'ignore' })
  t.after(() => runner.kill('SIGKILL'))
  const exit = once(runner, 'exit')
  for (const until = Date.now() + 20_000; !existsSync(pids) && Date.now() < until; ) await sleep(20)
  const started = readFileSync(pids, 'utf8').split(' ').map(Number)
  assert.equal(started.length, 2)
  runner.kill('SIGTERM')
  assert.deepEqual(await exit, [143, null])
  for (const until = Date.now() + 3000; started.some(isRunning) && Date.now() < until; ) await sleep(20)
  assert.deepEqual(started.map(isRunning), [false, false])
})

function isRunning(pid: number): boolean {
  try {
    // A zombie that nobody has waited for is no process any more.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
