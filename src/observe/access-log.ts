/**
 * The access log of one worker: a line of JSON for every exchange, off the hot path.
 *
 * `write` turns an entry into one ASCII line in a 64 KiB chunk and returns; a chunk goes to the file when it is full or 250 ms
 * after its first line, one asynchronous write at a time. What waits is bounded by 1 MiB: past that the new line is dropped
 * and counted, so a slow disk or a reader that stopped costs lines, never memory or requests.
 *
 * Several workers append to one file. `O_APPEND` with whole lines per write keeps lines whole on a file system; on a pipe only
 * writes of up to 4096 bytes (`PIPE_BUF`) are indivisible, so pipes get slices of whole lines below that.
 */
import * as fs from 'node:fs'
import { jsonText } from './json-text.ts'

/** Bytes gathered before they are written. */
const CHUNK_BYTES = 64 * 1024
/** Bytes that may wait for the disk, the chunk being filled included. */
const BEHIND_BYTES = 1024 * 1024
/** A line waits at most this long. */
const FLUSH_MS = 250
/** POSIX: a write to a pipe of at most this many bytes is not mixed with those of others. Linux has 4096. */
const PIPE_BUF = 4096
/** Pause after a pipe said that it is full. */
const PIPE_FULL_MS = 20
/** Pause after a failed write or open: a full disk is not asked 4 times a second by each worker. */
const FAILED_MS = 1000
/** How long `close` waits for a destination that does not take its bytes. */
const CLOSE_MS = 2000
/** Texts of the config kept in quoted form; a bound only against mistakes, configs have fewer. */
const QUOTED_MAX = 4096

/** The part of the worker's plan that this module reads, with the worker's own number. */
export interface AccessLogOptions {
  /** `stdout` or a file's path. */
  readonly to: string
  /** Request header names in lower case that may be logged; what is not listed never is. */
  readonly requestHeaders: readonly string[]
  /** Whether the query may be logged. */
  readonly query: boolean
  readonly worker: number
  /** Told once when the log cannot be opened or written, and with null once it can again. */
  readonly onProblem?: (problem: string | null) => void
}

/**
 * One line's content: one reusable object per worker, filled before `AccessLog.write` and not kept by it.
 * Texts are '' and numbers -1 where there is nothing to say; both become null in the line.
 */
export class AccessEntry {
  /** `Date.now()` when the request head was complete. */
  timeMs = 0
  requestId = ''
  listener = ''
  route = ''
  pool = ''
  /** Id of the endpoint of the last attempt. */
  endpoint = ''
  clientAddress = ''
  method = ''
  host = ''
  /** As the client sent it, without the query. */
  path = ''
  /** Without the question mark; left out of the line unless the config allows it. */
  query = ''
  /** `1.0` or `1.1`. */
  httpVersion = ''
  /** What the client was told; 499 when it left before that; 101 for a tunnel. */
  status = 0
  /** An error code, '' when all went well. */
  error = ''
  /** From the complete request head to the last byte of the answer handed to the kernel. */
  durationMs = 0
  /** Time to connect upstream; 0 on a kept-alive connection, -1 when none was tried. */
  connectMs = -1
  /** From the complete request head to the first byte of the endpoint's answer. */
  firstByteMs = -1
  /** Attempts made at endpoints. */
  attempts = 0
  /** Bytes of this exchange from and to the client, heads included; received bodies without their chunk framing. */
  bytesReceived = 0
  bytesSent = 0
  /** By position in `AccessLog.headerNames`; null where the request had none. */
  readonly headerValues: (string | null)[] = []

  /** Back to the state of a new entry. */
  reset(): void {
    this.timeMs = 0
    this.requestId = ''
    this.listener = ''
    this.route = ''
    this.pool = ''
    this.endpoint = ''
    this.clientAddress = ''
    this.method = ''
    this.host = ''
    this.path = ''
    this.query = ''
    this.httpVersion = ''
    this.status = 0
    this.error = ''
    this.durationMs = 0
    this.connectMs = -1
    this.firstByteMs = -1
    this.attempts = 0
    this.bytesReceived = 0
    this.bytesSent = 0
    this.headerValues.length = 0
  }
}

/** Bytes of whole lines on their way to the destination. */
interface Chunk {
  readonly bytes: Buffer
  used: number
  /** How much of it was written. */
  written: number
  lines: number
}

/** Where lines go now. An interrupted write keeps its own, so that a reopen in between does not mix them. */
interface Destination {
  readonly fd: number
  /** True where other writers share the stream and only small writes are indivisible. */
  readonly pipe: boolean
  /** Standard output belongs to the process and is never closed. */
  readonly owned: boolean
  writing: boolean
}

export class AccessLog {
  /** Lines lost since the start. */
  dropped = 0
  /** Lines written whole since the start. */
  written = 0
  /** Why lines are being lost, null while all is well. */
  problem: string | null = null
  /** Lower case; `AccessEntry.headerValues` follows its order. */
  readonly headerNames: readonly string[]

  readonly #options: AccessLogOptions
  readonly #headerKeys: readonly string[]
  readonly #workerEnd: string
  readonly #quoted = new Map<string, string>()
  #destination: Destination | null
  #isWriting = false
  #filling: Chunk | null = null
  /** Sealed chunks, oldest first. */
  #waiting: Chunk[] = []
  #behindBytes = 0
  #spare: Buffer | null = null
  #flushTimer: NodeJS.Timeout | null = null
  #retryTimer: NodeJS.Timeout | null = null
  #closed = false
  #whenIdle: (() => void) | null = null
  #second = -1
  #secondText = ''

  constructor(options: AccessLogOptions) {
    this.#options = options
    this.headerNames = options.requestHeaders.map((name) => name.toLowerCase())
    this.#headerKeys = this.headerNames.map((name) => `${jsonText(name)}:`)
    this.#workerEnd = `,"worker":${options.worker}`
    this.#destination = this.#open()
  }

  /** Adds a line, or counts it as dropped. Never throws, never waits. */
  write(entry: AccessEntry): void {
    const line = this.#line(entry)
    // Pure ASCII, so characters are bytes.
    const bytes = line.length
    let chunk = this.#filling
    if (chunk === null || chunk.used + bytes > chunk.bytes.length) {
      if (this.#closed || this.#behindBytes + Math.max(bytes, CHUNK_BYTES) > BEHIND_BYTES) {
        this.dropped++
        return
      }
      if (chunk !== null) this.#seal(chunk)
      chunk = this.#startChunk(bytes)
    }
    chunk.bytes.write(line, chunk.used, 'latin1')
    chunk.used += bytes
    chunk.lines++
  }

  /** Hands everything gathered so far to the destination; returns before it is written. */
  flush(): void {
    if (this.#filling !== null) this.#seal(this.#filling)
  }

  /**
   * Opens the path anew: for log rotation, after the file was renamed. Lines that wait go to the new file; a write under way
   * ends in the old one. Where the new one cannot be opened, the old one stays.
   */
  reopen(): void {
    if (this.#closed) return
    this.flush()
    const next = this.#open()
    if (next === null) return
    const before = this.#destination
    this.#destination = next
    // A write under way closes its own descriptor when it is done.
    if (before !== null && !before.writing) closeDestination(before)
    this.#writeNext()
  }

  /** Writes what is left, for at most 2 s, then counts the rest as dropped. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.flush()
    this.#closed = true
    if (this.#waiting.length > 0) {
      await new Promise<void>((resolve) => {
        const deadline = setTimeout(resolve, CLOSE_MS)
        this.#whenIdle = () => {
          clearTimeout(deadline)
          resolve()
        }
        if (this.#waiting.length === 0) this.#whenIdle()
      })
    }
    if (this.#flushTimer !== null) clearTimeout(this.#flushTimer)
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer)
    this.#dropWaiting()
    const destination = this.#destination
    this.#destination = null
    if (destination !== null && !destination.writing) closeDestination(destination)
  }

  /** The entry as one line, in the order of docs/reference/access-log.md. */
  #line(entry: AccessEntry): string {
    let line =
      `{"time":"${this.#time(entry.timeMs)}","request_id":${textOrNull(entry.requestId)}` +
      `,"listener":${this.#configText(entry.listener)},"route":${this.#configText(entry.route)}` +
      `,"pool":${this.#configText(entry.pool)},"endpoint":${this.#configText(entry.endpoint)}` +
      `,"client_address":${textOrNull(entry.clientAddress)},"method":${textOrNull(entry.method)}` +
      `,"host":${textOrNull(entry.host)},"path":${textOrNull(entry.path)}`
    if (this.#options.query) line += `,"query":${textOrNull(entry.query)}`
    line +=
      `,"http_version":${textOrNull(entry.httpVersion)},"status":${entry.status},"error":${textOrNull(entry.error)}` +
      `,"duration_ms":${milliseconds(entry.durationMs)},"connect_ms":${milliseconds(entry.connectMs)}` +
      `,"first_byte_ms":${milliseconds(entry.firstByteMs)},"attempts":${entry.attempts}` +
      `,"bytes_received":${entry.bytesReceived},"bytes_sent":${entry.bytesSent}` +
      this.#workerEnd
    if (this.#headerKeys.length > 0) line += this.#headers(entry)
    return `${line}}\n`
  }

  #headers(entry: AccessEntry): string {
    let text = ',"request_headers":{'
    let first = true
    for (let i = 0; i < this.#headerKeys.length; i++) {
      const value = entry.headerValues[i]
      if (value === undefined || value === null) continue
      text += (first ? '' : ',') + this.#headerKeys[i] + jsonText(value)
      first = false
    }
    return `${text}}`
  }

  /** RFC 3339 in UTC with milliseconds; everything but those is made once a second. */
  #time(timeMs: number): string {
    const second = Math.floor(timeMs / 1000)
    if (second !== this.#second) {
      // A clock that was never set shows as the start of the epoch rather than as an exception.
      const iso = Number.isFinite(second) && Math.abs(second) < 8.64e12 ? new Date(second * 1000).toISOString() : EPOCH
      this.#second = second
      this.#secondText = iso.slice(0, -5)
    }
    return `${this.#secondText}.${THOUSANDTHS[Math.floor(timeMs - second * 1000)] ?? '000'}Z`
  }

  /** Names that come from the config are few and repeat: their literals are kept. */
  #configText(text: string): string {
    const known = this.#quoted.get(text)
    if (known !== undefined) return known
    if (this.#quoted.size >= QUOTED_MAX) this.#quoted.clear()
    const quoted = textOrNull(text)
    this.#quoted.set(text, quoted)
    return quoted
  }

  #startChunk(lineBytes: number): Chunk {
    let bytes = this.#spare
    if (bytes === null || lineBytes > CHUNK_BYTES) bytes = Buffer.allocUnsafeSlow(Math.max(lineBytes, CHUNK_BYTES))
    else this.#spare = null
    const chunk: Chunk = { bytes, used: 0, written: 0, lines: 0 }
    this.#filling = chunk
    this.#behindBytes += bytes.length
    this.#flushTimer ??= setTimeout(() => {
      this.#flushTimer = null
      this.flush()
    }, FLUSH_MS).unref()
    return chunk
  }

  #seal(chunk: Chunk): void {
    this.#filling = null
    if (this.#flushTimer !== null) {
      clearTimeout(this.#flushTimer)
      this.#flushTimer = null
    }
    this.#waiting.push(chunk)
    this.#writeNext()
  }

  /** Starts the next write unless one runs or a pause is on. */
  #writeNext(): void {
    const chunk = this.#waiting[0]
    if (chunk === undefined) {
      this.#whenIdle?.()
      return
    }
    // One write at a time, over a reopen too: the chunk under way is still the first that waits.
    if (this.#retryTimer !== null || this.#isWriting) return
    const destination = this.#destination
    if (destination === null) {
      this.#destination = this.#open()
      if (this.#destination === null) this.#retryAfter(FAILED_MS)
      else this.#writeNext()
      return
    }
    this.#isWriting = true
    destination.writing = true
    const end = destination.pipe ? endOfSlice(chunk) : chunk.used
    fs.write(destination.fd, chunk.bytes, chunk.written, end - chunk.written, null, (error, bytes) => {
      this.#isWriting = false
      destination.writing = false
      if (destination !== this.#destination) closeDestination(destination)
      this.#afterWrite(chunk, error, bytes)
    })
  }

  #afterWrite(chunk: Chunk, error: NodeJS.ErrnoException | null, bytes: number): void {
    // Given up by `close` in the meantime.
    if (chunk !== this.#waiting[0]) return
    if (error !== null) {
      if (error.code === 'EAGAIN') {
        this.#retryAfter(PIPE_FULL_MS)
        return
      }
      this.#setProblem(`cannot write the access log ${this.#options.to}: ${error.message}`)
      // Nobody reads any more: what waits would only age.
      if (error.code === 'EPIPE') this.#dropWaiting()
      this.#retryAfter(FAILED_MS)
      return
    }
    this.#setProblem(null)
    chunk.written += bytes
    if (chunk.written >= chunk.used) {
      this.#waiting.shift()
      this.#release(chunk)
      this.written += chunk.lines
    }
    this.#writeNext()
  }

  #release(chunk: Chunk): void {
    this.#behindBytes -= chunk.bytes.length
    if (chunk.bytes.length === CHUNK_BYTES) this.#spare = chunk.bytes
  }

  #dropWaiting(): void {
    for (const chunk of this.#waiting) {
      this.dropped += chunk.lines
      this.#release(chunk)
    }
    this.#waiting = []
  }

  #retryAfter(ms: number): void {
    // Not left running for the process's sake, except while `close` waits for it.
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = null
      this.#writeNext()
    }, ms).unref()
  }

  #setProblem(problem: string | null): void {
    if (problem === this.problem) return
    this.problem = problem
    this.#options.onProblem?.(problem)
  }

  #open(): Destination | null {
    try {
      const destination = this.#options.to === 'stdout' ? openStdout() : openFile(this.#options.to)
      this.#setProblem(null)
      return destination
    } catch (error) {
      this.#setProblem(`cannot open the access log ${this.#options.to}: ${(error as Error).message}`)
      return null
    }
  }
}

const EPOCH = '1970-01-01T00:00:00.000Z'

/** `000` to `999`: a lookup instead of padding. */
const THOUSANDTHS: readonly string[] = Array.from({ length: 1000 }, (_, i) => String(i).padStart(3, '0'))

function textOrNull(text: string): string {
  return text === '' ? 'null' : jsonText(text)
}

/** With three decimals; JSON has no NaN, and a negative time means that there was none. */
function milliseconds(ms: number): string {
  if (!(ms >= 0) || ms > 1e12) return 'null'
  const whole = Math.floor(ms)
  return `${whole}.${THOUSANDTHS[Math.floor((ms - whole) * 1000)]}`
}

/** The end of the whole lines that fit `PIPE_BUF`; a longer line goes alone and may be mixed with others on the way. */
function endOfSlice(chunk: Chunk): number {
  if (chunk.used - chunk.written <= PIPE_BUF) return chunk.used
  const newline = chunk.bytes.lastIndexOf(0x0a, chunk.written + PIPE_BUF - 1)
  if (newline >= chunk.written) return newline + 1
  return chunk.bytes.indexOf(0x0a, chunk.written + PIPE_BUF) + 1
}

function openFile(path: string): Destination {
  // Addresses of clients are personal data: readable by the group, not by everybody. O_NONBLOCK matters for a FIFO only.
  const fd = fs.openSync(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, 0o640)
  return { fd, pipe: !fs.fstatSync(fd).isFile(), owned: true, writing: false }
}

/**
 * Standard output. A pipe or terminal is opened anew where the system has `/proc`, because a write to a full pipe would else
 * block one of the few threads that all workers share for files, and because O_NONBLOCK set on descriptor 1 itself would be
 * seen by every process that shares it. A regular file keeps descriptor 1, whose position all writers share.
 */
function openStdout(): Destination {
  const isFile = fs.fstatSync(1).isFile()
  if (!isFile) {
    try {
      return {
        fd: fs.openSync('/proc/self/fd/1', O_WRONLY | O_APPEND | O_NONBLOCK),
        pipe: true,
        owned: true,
        writing: false,
      }
    } catch {
      // A socket (systemd's journal) or no /proc: descriptor 1 as it is.
    }
  }
  return { fd: 1, pipe: !isFile, owned: false, writing: false }
}

const { O_WRONLY, O_CREAT, O_APPEND, O_NONBLOCK } = fs.constants

function closeDestination(destination: Destination): void {
  if (destination.owned) fs.close(destination.fd, () => {})
}
