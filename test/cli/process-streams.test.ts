import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { LAUNCHER } from './evenkeel-process.ts'

async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

async function freePort(): Promise<number> {
  const server = createTcpServer()
  const port = await listen(server)
  await new Promise<void>((resolve) => void server.close(() => resolve()))
  return port
}

/** Starts a balancer with that standard error, has it say much, and asks it whether it still serves. */
async function servesThough(context: TestContext, stderr: number | 'pipe'): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-streams-'))
  const origin = createServer((_, response) => {
    response.setHeader('connection', 'close')
    response.end('here')
  })
  const port = await freePort()
  const file = join(folder, 'c.json')
  writeFileSync(
    file,
    JSON.stringify({
      version: 1,
      workers: 1,
      listeners: [{ bind: `127.0.0.1:${port}` }],
      routes: [{ pool: 'web' }],
      pools: { web: { endpoints: [`http://127.0.0.1:${await listen(origin)}`] } },
    }),
  )
  const child = spawn(process.execPath, [LAUNCHER, 'start', '--config', file], {
    env: { ...process.env, EVENKEEL_STATE_DIR: folder, EVENKEEL_DEBUG: '1' },
    stdio: ['ignore', 'ignore', stderr],
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  context.after(async () => {
    child.kill('SIGKILL')
    await ended
    origin.close()
    rmSync(folder, { recursive: true })
  })
  // Whoever read it is gone: from here on each write fails with EPIPE.
  child.stderr?.destroy()
  const serves = () =>
    fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } }).then(
      (response) => response.text(),
      () => null,
    )
  for (let waited = 0; waited < 15_000 && (await serves()) === null; waited += 50) await sleep(50)
  for (let each = 0; each < 5; each++) {
    child.kill('SIGHUP')
    await sleep(100)
  }
  assert.equal(child.exitCode, null, 'it runs')
  assert.equal(await serves(), 'here')
  child.kill('SIGTERM')
  assert.equal(await ended, 0, 'and it ends as always')
}

test('a standard error that nobody reads any more costs lines, not the process', (context) =>
  servesThough(context, 'pipe'))

test(
  'a standard error on a full disk costs lines, not the process',
  {
    skip: !existsSync('/dev/full') && 'there is no /dev/full',
  },
  (context) => servesThough(context, openSync('/dev/full', 'w')),
)
