/**
 * One end of a connection, seen as bytes: what a test writes, what came, and how it ended (FIN or RST).
 * Every wait has an upper bound and says at the end what it waited for and what there was instead.
 */
import assert from 'node:assert/strict'
import * as net from 'node:net'
import { type BodyKind, type Message, parseHead } from './message.ts'

/** Generous: it is there so that a hang becomes a message, not to judge speed. */
export const PATIENCE_MS = 10_000

/** The other side ended before what was waited for had come. */
export class WireEnded extends Error {
  constructor(what: string, wire: Wire) {
    super(`${what}: the connection ended (${wire.ended}) with ${wire.glimpse()} unread`)
  }
}

export type Ended = 'open' | 'fin' | 'reset'

export class Wire {
  readonly socket: net.Socket
  /** How the other side ended, so far. */
  ended: Ended = 'open'
  /** Both directions are over. */
  isClosed = false
  /** Bytes that came, read or not. */
  receivedBytes = 0
  #unread: Buffer = Buffer.alloc(0)
  #isDiscarding = false
  #waiters = new Set<() => void>()

  constructor(socket: net.Socket) {
    this.socket = socket
    socket.on('connect', () => this.#changed())
    socket.on('data', (bytes) => {
      this.receivedBytes += bytes.length
      if (!this.#isDiscarding) this.#unread = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes])
      this.#changed()
    })
    socket.on('end', () => {
      if (this.ended === 'open') this.ended = 'fin'
      this.#changed()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') this.ended = 'reset'
      this.#changed()
    })
    socket.on('close', () => {
      if (this.ended === 'open') this.ended = 'fin'
      this.isClosed = true
      this.#changed()
    })
  }

  static async connect(address: net.NetConnectOpts, before?: (socket: net.Socket) => void): Promise<Wire> {
    const socket = net.connect({ ...address, allowHalfOpen: true, noDelay: true, autoSelectFamily: false })
    before?.(socket)
    const wire = new Wire(socket)
    await wire.until(() => socket.readyState === 'open' || wire.isClosed, 'connecting')
    return wire
  }

  // ------------------------------------------------------------------ writing

  /** Strings are bytes, one character each. */
  write(bytes: string | Uint8Array): boolean {
    return typeof bytes === 'string' ? this.socket.write(bytes, 'latin1') : this.socket.write(bytes)
  }

  /** Piece by piece, each in a turn of its own, so that the other side most likely reads them one by one. */
  async writeSlowly(pieces: Iterable<string | Uint8Array>, pauseMs = 2): Promise<void> {
    for (const piece of pieces) {
      this.write(piece)
      // Everything is in one process: a turn of the loop lets the other side read.
      if (pauseMs === 0) await new Promise((resolve) => setImmediate(resolve))
      else await sleep(pauseMs)
    }
  }

  /** As much of `totalBytes` as the other side takes, waiting for it; ends when the connection does. */
  async pour(piece: Uint8Array, totalBytes: number): Promise<void> {
    const { socket } = this
    for (let sent = 0; sent < totalBytes && !socket.destroyed; sent += piece.length) {
      const bytes = totalBytes - sent < piece.length ? piece.subarray(0, totalBytes - sent) : piece
      if (socket.write(bytes)) continue
      await new Promise<void>((resolve) => {
        const done = (): void => {
          socket.off('drain', done)
          socket.off('close', done)
          resolve()
        }
        socket.on('drain', done)
        socket.on('close', done)
      })
    }
  }

  /** FIN: nothing more comes from here. */
  end(): void {
    this.socket.end()
  }

  /** RST; a unix socket has none and closes. */
  reset(): void {
    if (this.socket.remoteAddress === undefined) this.socket.destroy()
    else this.socket.resetAndDestroy()
  }

  close(): void {
    this.socket.destroy()
  }

  // ------------------------------------------------------------------ reading

  stopReading(): void {
    this.socket.pause()
  }

  startReading(): void {
    this.socket.resume()
  }

  /** From now on bytes are counted and thrown away. */
  discard(): void {
    this.#isDiscarding = true
    this.#unread = Buffer.alloc(0)
  }

  /** What came and was not read yet, without taking it. */
  peek(): string {
    return this.#unread.toString('latin1')
  }

  async bytes(count: number): Promise<Buffer> {
    await this.until(() => this.#unread.length >= count || this.ended !== 'open', `${count} bytes`)
    if (this.#unread.length < count) throw new WireEnded(`${count} bytes`, this)
    return this.#take(count)
  }

  async text(count: number): Promise<string> {
    return (await this.bytes(count)).toString('latin1')
  }

  /** Everything up to and with `mark`. */
  async through(mark: string): Promise<string> {
    const wanted = Buffer.from(mark, 'latin1')
    await this.until(
      () => this.#unread.includes(wanted) || this.ended !== 'open',
      `something that ends with ${JSON.stringify(mark)}`,
    )
    const at = this.#unread.indexOf(wanted)
    if (at < 0) throw new WireEnded(`something that ends with ${JSON.stringify(mark)}`, this)
    return this.#take(at + wanted.length).toString('latin1')
  }

  /** Everything up to the end of the connection. */
  async rest(): Promise<string> {
    await this.until(() => this.ended !== 'open', 'the end of the connection')
    return this.#take(this.#unread.length).toString('latin1')
  }

  /** How the other side ended. */
  async ending(): Promise<Ended> {
    await this.until(() => this.ended !== 'open', 'the end of the connection')
    return this.ended
  }

  /** Nothing comes for that long, and the connection stays open. */
  async silence(ms: number): Promise<void> {
    await sleep(ms)
    assert.equal(this.peek(), '', 'bytes came where none were due')
    assert.equal(this.ended, 'open', 'the connection ended where it should have stayed open')
  }

  // ------------------------------------------------------------------ messages

  /** The next request, whole. */
  async request(): Promise<Message> {
    const head = parseHead(await this.through('\r\n\r\n'))
    return this.body(head)
  }

  /** The head of the next request; the body is the test's to read. */
  async requestHead(): Promise<Message> {
    return parseHead(await this.through('\r\n\r\n'))
  }

  /** The next answer, whole; interim ones count. `method` is that of the request. */
  async answer(method = 'GET'): Promise<Message> {
    const head = await this.answerHead()
    return this.body(head, method)
  }

  async answerHead(): Promise<Message> {
    return parseHead(await this.through('\r\n\r\n'))
  }

  /** Reads what belongs to a head; throws `WireEnded` when that does not come whole. */
  async body(head: Message, method = 'GET'): Promise<Message> {
    const kind: BodyKind = head.bodyKind(method)
    if (kind === 'length') head.body = await this.bytes(head.contentLength)
    else if (kind === 'close') {
      head.body = Buffer.from(await this.rest(), 'latin1')
      if (this.ended === 'reset') throw new WireEnded('a body until the close', this)
    } else if (kind === 'chunked') await this.#chunks(head)
    return head
  }

  async #chunks(head: Message): Promise<void> {
    const pieces: Buffer[] = []
    for (;;) {
      const line = await this.through('\r\n')
      assert.match(line, /^(0|[1-9a-f][0-9a-f]*)\r\n$/, 'a chunk size in one normal form, without extensions')
      const size = Number.parseInt(line, 16)
      if (size === 0) break
      head.chunkSizes.push(size)
      pieces.push(await this.bytes(size))
      assert.equal(await this.text(2), '\r\n')
    }
    head.body = Buffer.concat(pieces)
    for (;;) {
      const line = await this.through('\r\n')
      if (line === '\r\n') return
      head.trailers += line
    }
  }

  // ------------------------------------------------------------------ waiting

  async until(condition: () => boolean, what: string | (() => string)): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS
    while (!condition()) {
      const leftMs = deadline - performance.now()
      if (leftMs <= 0) {
        const wanted = typeof what === 'string' ? what : what()
        throw new Error(`waited ${PATIENCE_MS} ms for ${wanted}; there is ${this.glimpse()}`)
      }
      await this.#change(Math.min(leftMs, 50))
    }
  }

  glimpse(): string {
    const text = this.peek()
    return text.length <= 300 ? JSON.stringify(text) : `${JSON.stringify(text.slice(0, 300))}… (${text.length} bytes)`
  }

  #take(count: number): Buffer {
    const taken = this.#unread.subarray(0, count)
    this.#unread = this.#unread.subarray(count)
    return taken
  }

  #change(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiters.delete(done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      this.#waiters.add(done)
    })
  }

  #changed(): void {
    for (const waiter of [...this.#waiters]) waiter()
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

/** Polls for something that has no event to wait for. */
export async function eventually(condition: () => boolean, what: string | (() => string)): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!condition()) {
    if (performance.now() > deadline)
      throw new Error(`waited ${PATIENCE_MS} ms: ${typeof what === 'string' ? what : what()}`)
    await sleep(5)
  }
}
