/**
 * Runs the tests: `npm test`, or `npm test -- http1 edge/timeouts` for the files whose path holds one of the words.
 *
 * node:test does the work, one process per file, two files at a time. Files that start balancers or real engines and
 * judge time run alone, afterwards. Printed: a line per file with its time, the output of files that fail, the slowest
 * files, every skip with its reason (with CI=true a skip is a failure: a missing engine must not look like a pass), and
 * node's own closing lines. Options: `--verbose` (output of all files), `--list`, `--coverage`.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { availableParallelism, constants } from 'node:os'
import { relative, resolve } from 'node:path'
import { run } from 'node:test'
import { inspect, parseArgs, styleText } from 'node:util'

/** Folders of `test/` whose files run one at a time. */
const SERIAL = ['bench', 'cli', 'control', 'e2e', 'edge', 'engines', 'issues', 'wire']
/** A file that takes longer hangs: it is killed and counted as failed. */
const FILE_TIMEOUT_MS = 300_000
const SLOWEST_SHOWN = 10
const OUTPUT_LINES_SHOWN = 200
/** What was started has this long to end after a signal. */
const END_GRACE_MS = 1500

const { values: options, positionals: filters } = parseArgs({
  allowPositionals: true,
  options: {
    verbose: { type: 'boolean' },
    list: { type: 'boolean' },
    coverage: { type: 'boolean' },
    /** Where `test/` is looked for; for the test of this script. */
    root: { type: 'string', default: resolve(import.meta.dirname, '..') },
  },
})
const { root } = options

interface FileResult {
  readonly path: string
  /** Tests and suites that reported an end. */
  ran: number
  skipped: number
  durationMs: number
  readonly failures: { readonly name: string; readonly error: Error }[]
  readonly output: string[]
}

interface Counts {
  tests: number
  suites: number
  passed: number
  failed: number
  cancelled: number
  skipped: number
  todo: number
}

const results = new Map<string, FileResult>()
const skips: { readonly file: string; readonly name: string; readonly reason: string }[] = []
const total: Counts = { tests: 0, suites: 0, passed: 0, failed: 0, cancelled: 0, skipped: 0, todo: 0 }

const files = globSync('test/**/*.test.ts', { cwd: root })
  .filter((file) => !file.includes('fixtures/'))
  .filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)))
  .sort()
if (files.length === 0) {
  console.error(filters.length === 0 ? 'no test files found' : `no test file matches ${filters.join(', ')}`)
  process.exit(1)
}
if (options.list === true) {
  for (const file of files) console.log(file)
  process.exit(0)
}

const ended = new AbortController()
let endedBy: NodeJS.Signals | null = null
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => endRun(signal))

if (options.coverage === true) process.exit(await coverage())

const started = performance.now()
const serial = files.filter((file) => SERIAL.includes(file.split('/')[1]!))
const parallel = files.filter((file) => !serial.includes(file))
await runFiles(parallel, Math.min(2, availableParallelism()))
await runFiles(serial, 1)
process.exitCode = report(performance.now() - started)

async function runFiles(batch: readonly string[], concurrency: number): Promise<void> {
  if (batch.length === 0 || endedBy !== null) return
  const stream = run({
    files: batch.map((file) => resolve(root, file)),
    cwd: root,
    concurrency,
    timeout: FILE_TIMEOUT_MS,
    signal: ended.signal,
  })
  for await (const event of stream) {
    switch (event.type) {
      // `test:pass` and `test:fail` come in the order of the files, `test:complete` when it happens.
      case 'test:complete': {
        const { data } = event
        const result = resultOf(data)
        const isFile = isWholeFile(data)
        if (!isFile) result.ran += 1
        noteSkip(result, data)
        const { error } = data.details
        // Of a suite or file that failed only its failed tests say something new, and a todo may fail.
        const isEcho = (error as { failureType?: string } | undefined)?.failureType === 'subtestsFailed'
        if (error !== undefined && !isEcho && data.todo === undefined) {
          result.failures.push({ name: isFile ? 'the process of this file failed' : data.name, error })
        }
        if (isFile) {
          result.durationMs = data.details.duration_ms
          printFile(result)
        }
        break
      }
      case 'test:stdout':
      case 'test:stderr':
        resultOf(event.data).output.push(event.data.message)
        if (options.verbose === true) process.stdout.write(event.data.message)
        break
      case 'test:diagnostic':
        // Seeds, and what a test threw after its end: told here and nowhere else.
        if (event.data.file !== undefined) resultOf(event.data).output.push(`${event.data.message}\n`)
        break
      case 'test:summary': {
        // Without a file: the batch as a whole.
        if (event.data.file !== undefined) break
        const { counts } = event.data
        total.tests += counts.tests
        total.suites += counts.suites
        total.passed += counts.passed
        total.cancelled += counts.cancelled
        total.skipped += counts.skipped
        total.todo += counts.todo
        total.failed += counts.tests - counts.passed - counts.cancelled - counts.skipped - counts.todo
        break
      }
      default:
    }
  }
}

/** Ends with everything that was started: the files' processes, and the balancers and servers that those started. */
function endRun(signal: NodeJS.Signals): void {
  // The second time it is not waited for anything.
  if (endedBy !== null) process.exit(exitCodeOf(endedBy))
  endedBy = signal
  console.error(`${signal}: ends what runs`)
  const running = descendants(process.pid)
  ended.abort()
  for (const pid of running) kill(pid, 'SIGTERM')
  // A balancer may drain for long.
  setTimeout(() => {
    for (const pid of running) kill(pid, 'SIGKILL')
    process.exit(exitCodeOf(signal))
  }, END_GRACE_MS)
}

function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}

/** Every process below one, by /proc; elsewhere only the runner's own children are ended, by the runner. */
function descendants(root: number): number[] {
  if (!existsSync('/proc/self/stat')) return []
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      // The name of the program stands in brackets and may have spaces and brackets itself.
      const parent = Number(
        readFileSync(`/proc/${name}/stat`, 'utf8')
          .replace(/^.*\) \S /s, '')
          .split(' ')[0],
      )
      children.set(parent, [...(children.get(parent) ?? []), Number(name)])
    } catch {
      // It has ended meanwhile.
    }
  }
  const below = (pid: number): number[] => (children.get(pid) ?? []).flatMap((child) => [child, ...below(child)])
  return below(root)
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended already.
  }
}

interface EventSource {
  readonly file?: string | undefined
  /** The file given to the runner, where the test itself was defined by a helper. Not in the types yet. */
  readonly entryFile?: string
}

/** node:test reports each file's process as a test of its own, named after the file. */
function isWholeFile(data: EventSource & { readonly name: string }): boolean {
  return data.name === data.file && data.entryFile === undefined
}

function noteSkip(result: FileResult, data: { readonly name: string; readonly skip?: string | boolean }): void {
  if (data.skip === undefined || data.skip === false) return
  result.skipped += 1
  skips.push({ file: result.path, name: data.name, reason: typeof data.skip === 'string' ? data.skip : '' })
}

function resultOf(source: EventSource): FileResult {
  const file = source.entryFile ?? source.file ?? '(unknown)'
  const path = relative(root, file)
  let result = results.get(path)
  if (result === undefined) {
    result = { path, ran: 0, skipped: 0, durationMs: 0, failures: [], output: [] }
    results.set(path, result)
  }
  return result
}

function printFile(result: FileResult): void {
  const isFailed = result.failures.length > 0 || result.ran === 0
  const mark = isFailed ? styleText('red', '✖') : styleText('green', '✔')
  const notes = [result.ran === 1 ? '1 test' : `${result.ran} tests`]
  if (result.failures.length > 0) notes.push(`${result.failures.length} failed`)
  if (result.skipped > 0) notes.push(`${result.skipped} skipped`)
  notes.push(seconds(result.durationMs))
  console.log(`${mark} ${result.path} ${styleText('gray', notes.join(', '))}`)
}

function report(durationMs: number): number {
  const failedFiles = [...results.values()].filter((result) => result.failures.length > 0)
  for (const result of failedFiles) {
    console.log(`\n${styleText('red', `✖ ${result.path}`)}`)
    if (options.verbose !== true && result.output.length > 0) {
      const lines = result.output.join('').trimEnd().split('\n')
      if (lines.length > OUTPUT_LINES_SHOWN)
        console.log(`  (${lines.length - OUTPUT_LINES_SHOWN} lines of output left out)`)
      for (const line of lines.slice(-OUTPUT_LINES_SHOWN)) console.log(`  | ${line}`)
    }
    for (const { name, error } of result.failures) {
      const shown = error.cause instanceof Error ? error.cause : error
      console.log(`  ${styleText('red', name)}`)
      // An assertion's message shows the difference; its fields would show both sides once more.
      const isAssertion = (shown as { code?: unknown }).code === 'ERR_ASSERTION'
      const text = isAssertion
        ? (shown.stack ?? shown.message)
        : inspect(shown, { colors: process.stdout.isTTY, depth: 6 })
      console.log(indent(text, '    '))
    }
  }

  const bySlowness = [...results.values()].sort((a, b) => b.durationMs - a.durationMs).slice(0, SLOWEST_SHOWN)
  console.log('\nSlowest files:')
  for (const result of bySlowness) console.log(`  ${seconds(result.durationMs).padStart(8)}  ${result.path}`)

  // A file that ran no test, or died before its first, proves nothing.
  const silent = files.filter((file) => {
    const result = results.get(file)
    return result === undefined || result.ran === 0
  })
  for (const file of silent) console.log(styleText('red', `no test ran in ${file}`))

  const isCi = process.env['CI'] === 'true'
  if (skips.length > 0) {
    console.log(`\nSkipped${isCi ? ' (with CI=true this is a failure)' : ''}:`)
    for (const skip of skips)
      console.log(`  ${skip.file}: ${skip.name}${skip.reason === '' ? '' : ` (${skip.reason})`}`)
  }

  console.log('')
  console.log(`ℹ tests ${total.tests}`)
  console.log(`ℹ suites ${total.suites}`)
  console.log(`ℹ pass ${total.passed}`)
  console.log(`ℹ fail ${total.failed}`)
  console.log(`ℹ cancelled ${total.cancelled}`)
  console.log(`ℹ skipped ${total.skipped}`)
  console.log(`ℹ todo ${total.todo}`)
  console.log(`ℹ duration_ms ${durationMs.toFixed(3)}`)

  const isFailed = failedFiles.length > 0 || total.failed > 0 || total.cancelled > 0 || silent.length > 0
  return isFailed || (isCi && skips.length > 0) ? 1 : 0
}

/** The share of src/ that tests touch, by node's own counting; the files run as one batch, so this takes longer. */
async function coverage(): Promise<number> {
  const child = spawn(
    process.execPath,
    [
      '--test',
      '--test-concurrency=1',
      '--experimental-test-coverage',
      '--test-coverage-include=src/**',
      '--test-coverage-exclude=src/cli/**',
      ...files,
    ],
    { cwd: root, stdio: 'inherit' },
  )
  const [code] = (await once(child, 'exit')) as [number | null]
  return code ?? 1
}

function seconds(ms: number): string {
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}

function indent(text: string, by: string): string {
  return text
    .split('\n')
    .map((line) => by + line)
    .join('\n')
}
