import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually, sleep } from '../pool/servers.ts'

interface Child {
  readonly pid: number
  readonly output: () => string
  readonly signal: (signal: NodeJS.Signals) => void
  /** The exit code, null when a signal ended it. */
  readonly ended: Promise<number | null>
}

function run(context: TestContext, fixture: URL): Child {
  const state = mkdtempSync(join(tmpdir(), 'evenkeel-process-'))
  const child = spawn(process.execPath, [fileURLToPath(fixture)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, EVENKEEL_STATE_DIR: state },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => {
      output += text
    })
  }
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  context.after(async () => {
    child.kill('SIGKILL')
    await ended
    rmSync(state, { recursive: true })
  })
  return { pid: child.pid!, output: () => output, signal: (signal) => void child.kill(signal), ended }
}

test('a program that embeds two balancers and stops them ends by itself, with nothing installed or left', async (context) => {
  const child = run(context, new URL('./fixtures/embedding.ts', import.meta.url))
  let code: number | null | undefined
  void child.ended.then((ended) => {
    code = ended
  })
  await eventually(() => code !== undefined, 'it ends by itself', 20_000)
  assert.equal(code, 0, child.output())
  const said = JSON.parse(child.output().trim()) as { answers: string[]; newHandlers: number; left: string[] }
  assert.deepEqual(said.answers, ['hello', 'hello'])
  assert.equal(said.newHandlers, 0)
  assert.deepEqual(
    said.left.filter((resource) => resource === 'Timeout' || resource === 'MessagePort' || resource === 'Worker'),
    [],
  )
})

test('a process that is stopped for 5 s and continued loses no worker', async (context) => {
  if (process.platform === 'win32') return context.skip('there is no SIGSTOP')
  const child = run(context, new URL('./fixtures/paused.ts', import.meta.url))
  await eventually(() => child.output().includes('ready'), 'it serves', 15_000)
  for (const pauseMs of [5000, 100, 100]) {
    child.signal('SIGSTOP')
    await sleep(pauseMs)
    child.signal('SIGCONT')
    await sleep(400)
  }
  await sleep(1000)
  child.signal('SIGTERM')
  assert.equal(await child.ended, 0)
  assert.equal(child.output().trim(), 'ready\nstopped')
})
