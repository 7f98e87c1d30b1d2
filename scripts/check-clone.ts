/**
 * `npm run check:clone`: what the README promises to whoever has just cloned: `npm ci && npm start`, here without
 * install scripts, with whichever Node and npm are on PATH, until the demo has answered a request; then it is stopped.
 * Then a program and a config that import `evenkeel`, which nobody has built.
 *
 * What is tried is a copy of the files that git would have, in a folder of its own.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { outsideEnv } from './outside-env.ts'
import { runMain } from './run-main.ts'

const root = resolve(import.meta.dirname, '..')
const PATIENCE_MS = 20_000
/** The demo takes the next free one. */
const PORT = 28_710

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-clone-'))
  const env = { ...outsideEnv(), EVENKEEL_STATE_DIR: join(folder, 'state') }
  try {
    copyCheckout(folder)
    const node = execFileSync('node', ['--version'], { env, encoding: 'utf8' }).trim()
    const began = performance.now()
    // Everything is in npm's cache where the checkout itself was installed.
    execFileSync('npm', ['ci', '--ignore-scripts', '--prefer-offline'], {
      cwd: folder,
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const installed = performance.now()
    await startDemo(folder, env)
    const seconds = [installed - began, performance.now() - installed].map((ms) => (ms / 1000).toFixed(1))
    console.log(
      `clone: npm ci (${seconds[0]} s) && npm start (${seconds[1]} s) answer a request, with node ${node} on PATH`,
    )
    importByName(folder, env)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function copyCheckout(folder: string): void {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  })
  for (const path of listed.split('\0')) {
    // A file that is deleted and not yet committed is still listed.
    if (path !== '' && existsSync(join(root, path))) cpSync(join(root, path), join(folder, path))
  }
}

async function startDemo(folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  const args = [
    'start',
    '--silent',
    '--',
    '--json',
    '--no-traffic',
    '--port',
    String(PORT),
    '--admin-port',
    String(PORT + 50),
  ]
  // A group of its own: a signal as from the terminal reaches npm, the demo and its servers alike.
  const child = spawn('npm', args, { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(child, 'exit')
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
  }
  try {
    const ready = await lineOf(
      () => said,
      /^\{"event":"ready".*$/m,
      () => child.exitCode,
    )
    const { url } = JSON.parse(ready) as { readonly url: string }
    const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) })
    assert.equal(response.status, 200, `the demo answered ${response.status}`)
    await response.arrayBuffer()
    process.kill(-child.pid!, 'SIGINT')
    const ended = await Promise.race([exited, sleep(PATIENCE_MS, null, { ref: false })])
    assert.ok(ended !== null, `the demo does not end on SIGINT; it said:\n${said}`)
  } finally {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL')
  }
}

async function lineOf(text: () => string, pattern: RegExp, exitCode: () => number | null): Promise<string> {
  for (const until = Date.now() + PATIENCE_MS; ; await sleep(50)) {
    const found = pattern.exec(text())
    if (found !== null) return found[0]
    assert.ok(exitCode() === null && Date.now() < until, `the demo did not start; it said:\n${text()}`)
  }
}

/** Nothing was built, and `evenkeel` must be there all the same. */
function importByName(folder: string, env: NodeJS.ProcessEnv): void {
  const config = `{ version: 1, listeners: [{ bind: '127.0.0.1:0' }], routes: [{ pool: 'web' }], pools: { web: { endpoints: ['http://127.0.0.1:9'] } } }`
  writeFileSync(
    join(folder, 'library.ts'),
    `import { createBalancer } from 'evenkeel'\nconst balancer = createBalancer(${config})\nconst { listeners } = await balancer.start()\nawait balancer.stop()\nconsole.log(listeners.length)\n`,
  )
  writeFileSync(
    join(folder, 'evenkeel.config.ts'),
    `import { defineConfig } from 'evenkeel'\nexport default defineConfig(${config})\n`,
  )
  const pinned = join(folder, 'node_modules/.bin/node')
  const node = existsSync(pinned) ? pinned : process.execPath
  const library = spawnSync(node, ['library.ts'], { cwd: folder, env, encoding: 'utf8' })
  assert.equal(library.stdout.trim(), '1', `a program that imports evenkeel: ${library.stderr}`)
  const checked = spawnSync('npm', ['run', '--silent', 'evenkeel', '--', 'check'], {
    cwd: folder,
    env,
    encoding: 'utf8',
  })
  assert.equal(checked.status, 0, `a config that imports evenkeel: ${checked.stdout}${checked.stderr}`)
  console.log('clone: a program and a config import evenkeel without a build')
}

await runMain(main)
