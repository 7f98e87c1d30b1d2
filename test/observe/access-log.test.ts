import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { AccessEntry, AccessLog } from '../../src/observe/access-log.ts'

let folder: string
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'evenkeel-access-log-'))
})
after(() => fs.rmSync(folder, { recursive: true, force: true }))

const plain = { requestHeaders: [], query: false, worker: 0 }

function entry(id: number | string): AccessEntry {
  const made = new AccessEntry()
  made.timeMs = 1_700_000_000_123
  made.requestId = String(id)
  made.method = 'GET'
  made.path = '/a'
  made.status = 200
  return made
}

function linesOf(text: string): Record<string, unknown>[] {
  assert.ok(text === '' || text.endsWith('\n'), 'the text ends with a whole line')
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

function read(file: string): Record<string, unknown>[] {
  return linesOf(fs.readFileSync(file, 'utf8'))
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (condition()) return
    await delay(10)
  }
  assert.fail(`never happened: ${what}`)
}

/** Waits until that many lines are written. */
async function caughtUp(log: AccessLog, lines: number): Promise<void> {
  log.flush()
  await until(() => log.written === lines, `${lines} lines are written`)
}

test('a line says everything about an exchange, in the order of the reference page', async () => {
  const file = path.join(folder, 'one.log')
  const log = new AccessLog({ to: file, requestHeaders: ['User-Agent', 'accept'], query: true, worker: 3 })
  assert.deepEqual(log.headerNames, ['user-agent', 'accept'])
  const made = entry('r-1')
  Object.assign(made, {
    listener: 'public',
    route: 'api',
    pool: 'web',
    endpoint: '127.0.0.1:9001',
    clientAddress: '::1',
    host: 'example.com',
    query: 'a=1',
    httpVersion: '1.1',
    status: 502,
    error: 'EK_CONNECT_FAILED',
    durationMs: 12.3456,
    connectMs: 0,
    firstByteMs: -1,
    attempts: 2,
    bytesReceived: 100,
    bytesSent: 200,
  })
  made.headerValues[0] = 'curl/8'
  made.headerValues[1] = null
  log.write(made)
  await log.close()
  const expected = {
    time: '2023-11-14T22:13:20.123Z',
    request_id: 'r-1',
    listener: 'public',
    route: 'api',
    pool: 'web',
    endpoint: '127.0.0.1:9001',
    client_address: '::1',
    method: 'GET',
    host: 'example.com',
    path: '/a',
    query: 'a=1',
    http_version: '1.1',
    status: 502,
    error: 'EK_CONNECT_FAILED',
    duration_ms: 12.345,
    connect_ms: 0,
    first_byte_ms: null,
    attempts: 2,
    bytes_received: 100,
    bytes_sent: 200,
    worker: 3,
    request_headers: { 'user-agent': 'curl/8' },
  }
  const [line] = read(file)
  assert.deepEqual(line, expected)
  assert.deepEqual(Object.keys(line ?? {}), Object.keys(expected))
})

test('the reference page lists the fields of a line, in order', async () => {
  const file = path.join(folder, 'fields.log')
  const log = new AccessLog({ to: file, requestHeaders: ['accept'], query: true, worker: 0 })
  log.write(entry(1))
  await log.close()
  const page = fs.readFileSync(new URL('../../docs/reference/access-log.md', import.meta.url), 'utf8')
  const documented = [...page.matchAll(/^\| `([a-z0-9_]+)` \|/gm)].map((match) => match[1])
  assert.deepEqual(documented, Object.keys(read(file)[0] ?? {}))
})

test('a header or query that is not listed cannot be logged', async () => {
  const file = path.join(folder, 'unlisted.log')
  const log = new AccessLog({ to: file, ...plain })
  const made = entry(1)
  made.query = 'token=secret'
  made.headerValues[0] = 'Bearer secret'
  log.write(made)
  await log.close()
  assert.doesNotMatch(fs.readFileSync(file, 'utf8'), /secret|query|request_headers/)
})

test('any text parses back to itself, and a line is printable ASCII', async () => {
  const file = path.join(folder, 'hostile.log')
  const texts: string[] = []
  for (let code = 0; code < 0x300; code++) texts.push(`a${String.fromCharCode(code)}b`)
  texts.push(
    '\u2028',
    '\u2029',
    '\ud800',
    '\udfff\ud800',
    '"},{"a":"',
    '\\u0041',
    '\r\n{"status":200}\r\n',
    '\u001b[2J',
    '😀',
  )
  const kinds = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
    fc.array(fc.integer({ min: 0, max: 0xff })).map((units) => String.fromCharCode(...units)),
  )
  texts.push(...fc.sample(kinds, { numRuns: 2000, seed: 7 }))
  const log = new AccessLog({ to: file, requestHeaders: ['x'], query: true, worker: 0 })
  for (const [i, text] of texts.entries()) {
    // What waits is bounded.
    if (i % 100 === 0) await caughtUp(log, i)
    const made = entry('')
    // One from the config, whose literals are cached, and those that clients choose.
    Object.assign(made, { route: text, host: text, path: text, query: text, method: text, requestId: text })
    made.headerValues[0] = text
    log.write(made)
  }
  await log.close()
  const bytes = fs.readFileSync(file, 'latin1')
  assert.match(bytes, /^[\x20-\x7e\n]*$/)
  const lines = linesOf(bytes)
  assert.equal(lines.length, texts.length)
  for (const [i, line] of lines.entries()) {
    const text = texts[i]!
    const field = text === '' ? null : text
    for (const key of ['route', 'host', 'path', 'query', 'method', 'request_id']) assert.equal(line[key], field)
    assert.equal((line['request_headers'] as Record<string, string>)['x'], text)
  }
})

test('times and durations that make no sense become null or the epoch, never broken JSON', async () => {
  const file = path.join(folder, 'numbers.log')
  const log = new AccessLog({ to: file, ...plain })
  for (const ms of [Number.NaN, Number.POSITIVE_INFINITY, -1, 0, 0.0004, 0.9999, 999.9999, 1e13]) {
    const made = entry(ms)
    made.timeMs = ms
    made.durationMs = ms
    log.write(made)
  }
  await log.close()
  assert.deepEqual(
    read(file).map((line) => line['duration_ms']),
    [null, null, null, 0, 0, 0.999, 999.999, null],
  )
  for (const line of read(file)) assert.ok(!Number.isNaN(Date.parse(line['time'] as string)), String(line['time']))
})

test('a line is on disk 250 ms after it was written, without a flush', async () => {
  const file = path.join(folder, 'timer.log')
  const log = new AccessLog({ to: file, ...plain })
  log.write(entry(1))
  assert.equal(fs.readFileSync(file, 'utf8'), '')
  // Unref'd timers do not keep a test alive; `delay` does.
  await until(() => read(file).length === 1, 'the line arrives')
  await log.close()
})

test('rotation by rename and reopen loses no line and splits none', async () => {
  const file = path.join(folder, 'rotated.log')
  const log = new AccessLog({ to: file, ...plain })
  let id = 0
  for (let turn = 0; turn < 5; turn++) {
    for (let i = 0; i < 400; i++) log.write(entry(id++))
    if (turn % 2 === 0) log.flush() // a write may be under way while the file is swapped
    fs.renameSync(file, `${file}.${turn}`)
    log.reopen()
    await delay(turn * 3)
  }
  await log.close()
  const files = [0, 1, 2, 3, 4].map((turn) => `${file}.${turn}`).concat(file)
  const ids = files.flatMap((name) => read(name).map((line) => Number(line['request_id'])))
  assert.deepEqual(
    ids.toSorted((a, b) => a - b),
    Array.from({ length: id }, (_, i) => i),
  )
  assert.equal(log.dropped, 0)
  assert.equal(log.written, id)
})

test('reopen closes the descriptor it replaces', async () => {
  const file = path.join(folder, 'descriptors.log')
  const log = new AccessLog({ to: file, ...plain })
  const open = (): number => fs.readdirSync('/proc/self/fd').length
  const atStart = open()
  for (let i = 0; i < 20; i++) {
    log.write(entry(i))
    log.reopen()
    await delay(2)
  }
  await until(() => open() <= atStart, 'descriptors return to their number')
  await log.close()
  assert.equal(read(file).length, 20)
})

test('several writers append whole lines to one file', async () => {
  const file = path.join(folder, 'shared.log')
  const logs = [0, 1, 2].map((worker) => new AccessLog({ to: file, ...plain, worker }))
  for (let i = 0; i < 3000; i++) {
    for (const log of logs) log.write(entry(i))
    if (i % 500 === 499) for (const log of logs) await caughtUp(log, i + 1)
  }
  await Promise.all(logs.map((log) => log.close()))
  assert.equal(read(file).length, 9000)
})

test('a line longer than the buffer stays one line', async () => {
  const file = path.join(folder, 'long.log')
  const log = new AccessLog({ to: file, ...plain })
  const made = entry(1)
  made.path = `/${'\u0001'.repeat(30_000)}`
  log.write(entry(0))
  log.write(made)
  log.write(entry(2))
  await log.close()
  assert.deepEqual(
    read(file).map((line) => line['request_id']),
    ['0', '1', '2'],
  )
  assert.equal(read(file)[1]?.['path'], made.path)
})

test('a reader that stops costs lines and not memory, and what arrives later is whole', async () => {
  const fifo = path.join(folder, 'stuck.fifo')
  execFileSync('mkfifo', [fifo])
  const reader = fs.openSync(fifo, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
  const logs = [0, 1].map((worker) => new AccessLog({ to: fifo, ...plain, worker }))
  const memoryBefore = process.memoryUsage().arrayBuffers
  const total = 20_000
  for (let i = 0; i < total; i++) {
    for (const log of logs) log.write(entry(i))
    if (i % 1000 === 0) await delay(1)
  }
  for (const log of logs) assert.ok(log.dropped > 0, 'lines were dropped')
  // 1 MiB for each, and the pipe's own.
  assert.ok(process.memoryUsage().arrayBuffers - memoryBefore < 3 * 1024 * 1024)

  let text = ''
  const buffer = Buffer.alloc(65536)
  const drain = (): void => {
    try {
      for (let n = fs.readSync(reader, buffer); n > 0; n = fs.readSync(reader, buffer))
        text += buffer.toString('latin1', 0, n)
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN')
    }
  }
  const timer = setInterval(drain, 2)
  await Promise.all(logs.map((log) => log.close()))
  clearInterval(timer)
  drain()
  fs.closeSync(reader)
  const lines = linesOf(text)
  assert.equal(lines.length + logs[0]!.dropped + logs[1]!.dropped, 2 * total)
  assert.equal(logs[0]!.written + logs[1]!.written, lines.length)
})

test('close gives up on a reader that never reads, after two seconds, and counts what is lost', async () => {
  const fifo = path.join(folder, 'never.fifo')
  execFileSync('mkfifo', [fifo])
  const reader = fs.openSync(fifo, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
  const log = new AccessLog({ to: fifo, ...plain })
  for (let i = 0; i < 1000; i++) log.write(entry(i))
  const start = performance.now()
  await log.close()
  assert.ok(performance.now() - start < 4000)
  assert.ok(log.dropped > 0)
  log.write(entry(1))
  fs.closeSync(reader)
})

test('a reader that went away is a problem told once, and logging goes on when there is one again', async () => {
  const fifo = path.join(folder, 'gone.fifo')
  execFileSync('mkfifo', [fifo])
  const flags = fs.constants.O_RDONLY | fs.constants.O_NONBLOCK
  const problems: (string | null)[] = []
  const reader = fs.openSync(fifo, flags)
  const log = new AccessLog({ to: fifo, ...plain, onProblem: (problem) => problems.push(problem) })
  fs.closeSync(reader)
  log.write(entry(1))
  log.flush()
  await until(() => problems.length === 1, 'the problem is told')
  assert.match(problems[0] ?? '', /EPIPE/)
  const again = fs.openSync(fifo, flags)
  log.write(entry(2))
  log.flush()
  await until(() => problems.length === 2, 'the end of the problem is told')
  assert.deepEqual(problems.slice(1), [null])
  await log.close()
  fs.closeSync(again)
  assert.equal(log.dropped, 1)
})

test('a path that cannot be opened is a problem, not an exception, and is tried again', async () => {
  const file = path.join(folder, 'later', 'a.log')
  const problems: (string | null)[] = []
  const log = new AccessLog({ to: file, ...plain, onProblem: (problem) => problems.push(problem) })
  assert.match(problems[0] ?? '', /cannot open the access log .*ENOENT/)
  log.write(entry(1))
  log.flush()
  fs.mkdirSync(path.dirname(file))
  await until(() => fs.existsSync(file) && read(file).length === 1, 'the line arrives')
  assert.deepEqual(problems.slice(1), [null])
  await log.close()
})

test('standard output through a pipe that is read slowly gets every line whole', { timeout: 30_000 }, async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD], { stdio: ['ignore', 'pipe', 'inherit'] })
  await delay(400) // the pipe fills
  let text = ''
  for await (const data of child.stdout) text += String(data)
  assert.equal(linesOf(text).length, 2000)
})

const CHILD = `
  const { AccessLog, AccessEntry } = await import(${JSON.stringify(new URL('../../src/observe/access-log.ts', import.meta.url).href)})
  const log = new AccessLog({ to: 'stdout', requestHeaders: [], query: false, worker: 0 })
  const entry = new AccessEntry()
  for (let i = 0; i < 2000; i++) { entry.requestId = String(i); log.write(entry) }
  await log.close()
`

test('costs less than 2.5 µs for a line', async () => {
  const log = new AccessLog({ to: path.join(folder, 'cost.log'), ...plain })
  const made = entry('0123456789abcdef')
  Object.assign(made, { listener: 'public', route: 'api', pool: 'web', endpoint: '127.0.0.1:9001' })
  Object.assign(made, { clientAddress: '192.0.2.17', host: 'shop.example.com', httpVersion: '1.1' })
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 40; round++) {
    const start = performance.now()
    for (let i = 0; i < 1000; i++) {
      made.requestId = `0123456789abc${i}`
      made.path = `/api/items/${i}`
      made.timeMs = 1.7e12 + i
      made.durationMs = i * 1.234
      log.write(made)
    }
    best = Math.min(best, performance.now() - start)
    await delay(5)
  }
  await log.close()
  // The best round: the machine is shared, the code is not.
  console.log(`  access log: ${best.toFixed(2)} µs per line`)
  assert.ok(best < 2.5, `${best} µs`)
})
