/** The real command line as a child process, for the tests of the commands. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stripVTControlCharacters } from 'node:util'

export const LAUNCHER: string = resolve(import.meta.dirname, '../../bin/evenkeel')

/** For tests on a machine that is busy with other tests. */
const PATIENCE_MS = 20_000

export class EvenkeelProcess implements AsyncDisposable {
  readonly child: ChildProcess
  /** Without colours. */
  stdout = ''
  stderr = ''
  readonly #exit: Promise<number | null>
  readonly #state: string

  constructor(
    args: readonly string[],
    options: {
      readonly cwd?: string
      readonly env?: Record<string, string>
      readonly nodeArgs?: readonly string[]
    } = {},
  ) {
    this.#state = mkdtempSync(join(tmpdir(), 'evenkeel-state-'))
    this.child = spawn(process.execPath, [...(options.nodeArgs ?? []), LAUNCHER, ...args], {
      cwd: options.cwd ?? this.#state,
      env: { ...process.env, EVENKEEL_STATE_DIR: this.#state, NO_COLOR: '1', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.child.stdout!.on('data', (chunk: Buffer) => {
      this.stdout += stripVTControlCharacters(chunk.toString())
    })
    this.child.stderr!.on('data', (chunk: Buffer) => {
      this.stderr += stripVTControlCharacters(chunk.toString())
    })
    this.#exit = once(this.child, 'close').then(([code]) => code as number | null)
  }

  /** Resolves to the exit code; null: it was ended by a signal. */
  async exited(): Promise<number | null> {
    const code = await Promise.race([
      this.#exit,
      sleep(PATIENCE_MS, undefined, { ref: false }).then(() => 'late' as const),
    ])
    assert.notEqual(code, 'late', `it does not end\n${this.#said()}`)
    return code as number | null
  }

  /** Waits until what it said on a stream matches. */
  async says(stream: 'stdout' | 'stderr', pattern: RegExp): Promise<RegExpExecArray> {
    const until = Date.now() + PATIENCE_MS
    for (;;) {
      const found = pattern.exec(this[stream])
      if (found !== null) return found
      if (Date.now() > until || this.child.exitCode !== null)
        assert.fail(`it never said ${pattern} on ${stream}\n${this.#said()}`)
      await sleep(20)
    }
  }

  /** The lines of a stream that are JSON objects. */
  json(stream: 'stdout' | 'stderr'): Record<string, unknown>[] {
    return this[stream].split('\n').flatMap((line) => {
      try {
        return [JSON.parse(line) as Record<string, unknown>]
      } catch {
        return []
      }
    })
  }

  /** Waits for a line of JSON with this `event`. */
  async event(stream: 'stdout' | 'stderr', name: string): Promise<Record<string, unknown>> {
    await this.says(stream, new RegExp(`"event":"${name}".*\n`))
    return this.json(stream).find(({ event }) => event === name)!
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL')
    await this.#exit
    rmSync(this.#state, { recursive: true, force: true })
  }

  #said(): string {
    return `stdout: ${this.stdout}\nstderr: ${this.stderr}`
  }
}

/** Runs a command to its end. */
export async function evenkeel(
  args: readonly string[],
  options: ConstructorParameters<typeof EvenkeelProcess>[1] = {},
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  await using running = new EvenkeelProcess(args, options)
  const code = await running.exited()
  return { code, stdout: running.stdout, stderr: running.stderr }
}

/** Where the `started` line of `start --json` or `proxy --json` says that it listens. */
export async function startedUrl(running: EvenkeelProcess): Promise<string> {
  const started = await running.event('stderr', 'started')
  const [listener] = started['listeners'] as readonly { readonly address: string }[]
  return `http://${listener!.address}`
}
