/**
 * `npm run drive`: real clients through a real Evenkeel, as a reader of the README would use it: curl, ab, wrk, a
 * WebSocket client, a browser; once through `npm start`, once through `evenkeel proxy`. Exit 1 when one of them saw
 * something wrong. `-- --short` moves less data, `-- --through demo` or `proxy` takes one of the two.
 *
 * Needs curl, ab, wrk and Chromium (Debian: scripts/install-engines.sh).
 */
import { type ChildProcess, execFile, fork, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs, promisify } from 'node:util'
import { chromium } from 'playwright-core'
import { WebSocket } from 'ws'
import { needProgram } from '../bench/peers/balancers.ts'
import { freePorts } from '../bench/peers/processes.ts'
import { parseWrk } from '../bench/peers/wrk.ts'
import { runMain } from './run-main.ts'

const root = resolve(import.meta.dirname, '..')
const run = promisify(execFile)
const CHROMIUM = '/usr/bin/chromium'
/** A browser in a container, that asks nobody outside for anything. */
const CHROMIUM_FLAGS =
  '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync --disable-background-networking --disable-component-update'

export type Through = 'demo' | 'proxy'

export interface DriveOptions {
  readonly isShort: boolean
  readonly log: (line: string) => void
}

interface Sizes {
  readonly uploadMiB: number
  readonly abRequests: number
  readonly wrkSeconds: number
  readonly echoes: number
}

const FULL: Sizes = { uploadMiB: 64, abRequests: 20_000, wrkSeconds: 5, echoes: 1000 }
const SHORT: Sizes = { uploadMiB: 8, abRequests: 1000, wrkSeconds: 1, echoes: 200 }

interface Step {
  readonly name: string
  /** Says what was seen; throws when that is wrong. */
  readonly drive: (url: string, sizes: Sizes, folder: string) => Promise<string>
}

export const STEPS: readonly Step[] = [
  { name: 'curl --http1.0', drive: (url) => curlStatus(url, '--http1.0') },
  { name: 'curl --http1.1', drive: (url) => curlStatus(url, '--http1.1') },
  { name: 'curl upload', drive: upload },
  { name: 'curl -N', drive: firstEvent },
  { name: 'ab -k', drive: ab },
  { name: 'wrk', drive: wrk },
  { name: 'ws', drive: webSocketEchoes },
  { name: 'Chromium', drive: page },
]

/** What must be installed; empty when all is there. */
export function missingClients(): string[] {
  const missing = [needProgram('curl', 'curl'), needProgram('ab', 'apache2-utils'), needProgram('wrk', 'wrk')]
  if (!existsSync(CHROMIUM)) missing.push(`${CHROMIUM} is not installed (Debian: apt-get install chromium)`)
  return missing.filter((one) => one !== null)
}

/** Starts what the clients go through, drives them all, ends it. Resolves to what went wrong, one line each. */
export async function drive(through: Through, { isShort, log }: DriveOptions): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-clients-'))
  const sizes = isShort ? SHORT : FULL
  const failures: string[] = []
  const started = through === 'demo' ? await startDemo(folder) : await startProxy(folder)
  try {
    for (const step of STEPS) {
      const began = performance.now()
      try {
        const seen = await step.drive(started.url, sizes, folder)
        log(`✔ ${through}: ${step.name}: ${seen} (${Math.round(performance.now() - began)} ms)`)
      } catch (error) {
        const failure = `✖ ${through}: ${step.name}: ${(error as Error).message}`
        failures.push(failure)
        log(failure)
      }
    }
  } finally {
    const ended = await started.stop()
    if (ended !== null) {
      failures.push(`✖ ${through}: ${ended}`)
      log(failures.at(-1)!)
    }
    rmSync(folder, { recursive: true, force: true })
  }
  return failures
}

interface Started {
  readonly url: string
  /** Null when it ended in good order, else what happened. */
  readonly stop: () => Promise<string | null>
}

/** `npm start`, on whatever port it finds. */
async function startDemo(folder: string): Promise<Started> {
  const child = launch('npm', ['start'], folder)
  const output = collect(child)
  const url = await waitFor(output, /http:\/\/(?:127\.0\.0\.1|localhost):\d+/)
  // It promises no 503 in its first second, so nothing is waited for.
  return { url, stop: () => stop(child) }
}

async function startProxy(folder: string): Promise<Started> {
  const origin = fork(join(root, 'bench/soak/origin.ts'), [], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  const [line] = (await once(origin.stdout!, 'data')) as [Buffer]
  const { ports } = JSON.parse(line.toString()) as { readonly ports: readonly number[] }
  const [port] = (await freePorts(1)) as [number]
  const endpoints = ports.flatMap((endpoint) => ['--to', `http://127.0.0.1:${endpoint}`])
  const args = ['run', '-s', 'evenkeel', '--', 'proxy', '--from', `127.0.0.1:${port}`, ...endpoints]
  const child = launch('npm', args, folder)
  const output = collect(child)
  const url = `http://127.0.0.1:${port}`
  try {
    await waitUntilUp(url, child, output)
  } catch (error) {
    await stop(child)
    origin.kill()
    throw error
  }
  return {
    url,
    stop: async () => {
      const ended = await stop(child)
      origin.kill()
      return ended
    },
  }
}

/** In a process group of its own, so that npm and what it started can be ended together. */
function launch(command: string, args: readonly string[], folder: string): ChildProcess {
  return spawn(command, args, {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, EVENKEEL_STATE_DIR: join(folder, 'state') },
  })
}

interface Output {
  text: string
  readonly child: ChildProcess
}

function collect(child: ChildProcess): Output {
  const output: Output = { text: '', child }
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output.text += chunk.toString()
    })
  }
  return output
}

async function waitFor(output: Output, pattern: RegExp): Promise<string> {
  for (let tries = 0; tries < 300; tries++) {
    const found = pattern.exec(output.text)
    if (found !== null) return found[0]
    if (output.child.exitCode !== null) break
    await sleep(50)
  }
  throw new Error(`it did not say where it listens; it printed:\n${output.text}`)
}

async function waitUntilUp(url: string, child: ChildProcess, output: Output): Promise<void> {
  for (let tries = 0; tries < 300 && child.exitCode === null; tries++) {
    try {
      await fetch(url)
      return
    } catch {
      await sleep(50)
    }
  }
  throw new Error(`it did not start; it printed:\n${output.text}`)
}

/** Ends the whole group; not only npm must be gone, but what it started as well. */
async function stop(child: ChildProcess): Promise<string | null> {
  const group = -child.pid!
  const hasEnded = child.exitCode !== null || child.signalCode !== null
  const problem = hasEnded ? `it ended by itself (${child.exitCode ?? child.signalCode})` : null
  signal(group, 'SIGTERM')
  for (let tries = 0; tries < 150; tries++) {
    if (!signal(group, 0)) return problem
    await sleep(100)
  }
  signal(group, 'SIGKILL')
  return problem ?? 'it did not end within 15 s of SIGTERM'
}

/** False when there is nobody to hear it. */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, name)
    return true
  } catch {
    return false
  }
}

async function curlStatus(url: string, version: string): Promise<string> {
  const format = ['-o', '/dev/null', '-w', '%{http_code} HTTP/%{http_version} %{size_download}']
  const { stdout } = await run('curl', ['-sS', '--max-time', '10', version, ...format, `${url}/`])
  const [status, , bytes] = stdout.split(' ')
  if (status !== '200' || Number(bytes) === 0) throw new Error(`answered ${stdout} bytes`)
  return `${stdout} bytes`
}

async function upload(url: string, { uploadMiB }: Sizes, folder: string): Promise<string> {
  const bytes = randomBytes(uploadMiB * 1024 * 1024)
  const file = join(folder, 'upload')
  writeFileSync(file, bytes)
  const { stdout } = await run('curl', ['-sS', '--max-time', '60', '-T', file, '-X', 'POST', `${url}/upload`])
  const { sha256 } = JSON.parse(stdout) as { readonly sha256: string }
  const expected = createHash('sha256').update(bytes).digest('hex')
  if (sha256 !== expected) throw new Error(`${uploadMiB} MiB arrived as ${sha256}, not ${expected}`)
  return `${uploadMiB} MiB arrived unchanged, by SHA-256`
}

/** The time from the start of curl to the first event in its output: a balancer that gathers answers would show. */
async function firstEvent(url: string): Promise<string> {
  let best = Number.POSITIVE_INFINITY
  // curl's own start is part of it, and on a busy machine one start may be slow.
  for (let tries = 0; tries < 3 && best > 100; tries++) {
    const began = performance.now()
    const child = spawn('curl', ['-sSN', '--max-time', '10', `${url}/sse`], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    for await (const chunk of child.stdout) {
      text += String(chunk)
      if (text.includes('data:')) break
    }
    if (text.includes('data:')) best = Math.min(best, performance.now() - began)
    child.kill()
  }
  if (best > 100) throw new Error(`the first event was seen after ${best.toFixed(0)} ms`)
  return `the first event was seen after ${best.toFixed(0)} ms`
}

async function ab(url: string, { abRequests }: Sizes): Promise<string> {
  const { stdout } = await run('ab', ['-k', '-l', '-q', '-n', String(abRequests), '-c', '20', `${url}/health`])
  const count = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(stdout)?.[1] ?? 0)
  const [complete, failed, bad, keptAlive] = [
    count('Complete requests'),
    count('Failed requests'),
    count('Non-2xx responses'),
    count('Keep-Alive requests'),
  ]
  if (complete !== abRequests || failed > 0 || bad > 0) {
    throw new Error(`${complete} of ${abRequests} complete, ${failed} failed, ${bad} not 2xx`)
  }
  if (keptAlive < abRequests * 0.9) throw new Error(`only ${keptAlive} of ${abRequests} on kept-alive connections`)
  return `${complete} requests, ${keptAlive} of them on kept-alive connections, none failed`
}

async function wrk(url: string, { wrkSeconds }: Sizes): Promise<string> {
  const { stdout } = await run('wrk', ['--latency', '-t1', '-c32', `-d${wrkSeconds}s`, `${url}/health`])
  const { requests, requestsPerSecond, errors } = parseWrk(stdout)
  if (errors > 0 || requests === 0) throw new Error(`${errors} errors in ${requests} requests`)
  return `${requests} requests (${Math.round(requestsPerSecond)}/s), 0 errors`
}

async function webSocketEchoes(url: string, { echoes }: Sizes): Promise<string> {
  const socket = new WebSocket(`${url.replace('http:', 'ws:')}/ws`, { handshakeTimeout: 5000 })
  await once(socket, 'open')
  for (let turn = 0; turn < echoes; turn++) {
    // Every length encoding of a frame: up to 125, up to 65 535, beyond.
    const message = randomBytes(turn % 100 === 0 ? 70_000 : turn % 10 === 0 ? 1000 : 50)
    socket.send(message)
    const [echo] = (await once(socket, 'message', { signal: AbortSignal.timeout(5000) })) as [Buffer]
    if (!message.equals(echo)) throw new Error(`echo ${turn} differs`)
  }
  socket.close()
  const [code] = (await once(socket, 'close')) as [number]
  if (code !== 1005 && code !== 1000) throw new Error(`closed with ${code}`)
  return `${echoes} echoes, each as sent, closed in good order`
}

async function page(url: string): Promise<string> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_FLAGS.split(' ') })
  try {
    const tab = await browser.newPage()
    const errors: string[] = []
    tab.on('pageerror', (error) => errors.push(error.message))
    const answer = await tab.goto(url, { timeout: 15_000 })
    if (answer?.status() !== 200) throw new Error(`the page was answered with ${answer?.status()}`)
    const heading = await tab.locator('h1').first().innerText()
    // As text: what runs in the page has other globals than what runs here.
    const fromPage = await tab.evaluate(`(async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => fetch('/health').then((got) => got.status)))
      const socket = new WebSocket('ws://' + location.host + '/ws')
      const echo = await new Promise((resolve, reject) => {
        socket.onopen = () => socket.send('from the page')
        socket.onmessage = (event) => (typeof event.data === 'string' ? resolve(event.data) : event.data.text().then(resolve))
        socket.onerror = () => reject(new Error('the WebSocket failed'))
      })
      socket.close()
      return { answers, echo }
    })()`)
    const { answers, echo } = fromPage as { readonly answers: readonly number[]; readonly echo: string }
    if (heading === '' || echo !== 'from the page' || answers.some((status) => status !== 200)) {
      throw new Error(`heading ${heading}, statuses ${answers.join()}, echo ${echo}`)
    }
    if (errors.length > 0) throw new Error(`the page threw: ${errors.join('; ')}`)
    return `the page "${heading}", 20 fetches and a WebSocket echo from within it`
  } finally {
    await browser.close()
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { short: { type: 'boolean', default: false }, through: { type: 'string' } },
  })
  const missing = missingClients()
  if (missing.length > 0) {
    console.error(missing.join('\n'))
    return 1
  }
  const failures: string[] = []
  for (const through of ['demo', 'proxy'] as const) {
    if (values.through !== undefined && values.through !== through) continue
    failures.push(...(await drive(through, { isShort: values.short, log: console.log })))
  }
  console.log(failures.length === 0 ? 'every client was served as it should be' : `failed: ${failures.length}`)
  return failures.length === 0 ? 0 : 1
}

if (import.meta.main) await runMain(main)
