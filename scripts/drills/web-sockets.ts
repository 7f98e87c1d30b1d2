/** Open WebSockets that echo when they are told to, and remember when they are closed on. */
import { once } from 'node:events'
import { WebSocket } from 'ws'

const OPEN_AT_ONCE = 25
const ECHO_MS = 5000
const WORKER_ID_LENGTH = 12

export interface OpenSocket {
  readonly number: number
  readonly socket: WebSocket
  /** The worker that the tunnel runs through. */
  readonly worker: string
  /** The server that it ends at. */
  readonly server: string
  /** Null while it is open. */
  closed: { readonly code: number; readonly at: number } | null
}

export class WebSockets {
  readonly all: OpenSocket[] = []
  /** What came back as it was sent. */
  echoes = 0
  readonly failures: string[] = []
  #isClosing = false

  /** Opens so many more. */
  async open(count: number, port: number): Promise<void> {
    for (let left = count; left > 0; left -= OPEN_AT_ONCE)
      await Promise.all(Array.from({ length: Math.min(left, OPEN_AT_ONCE) }, () => this.#open(port)))
  }

  /** Every open one sends a text and gets it back. */
  async echo(): Promise<void> {
    await Promise.all(this.all.filter(({ closed }) => closed === null).map((one) => this.#echo(one)))
  }

  get lost(): OpenSocket[] {
    return this.all.filter(({ closed }) => closed !== null)
  }

  async close(): Promise<void> {
    this.#isClosing = true
    await Promise.all(
      this.all
        .filter(({ closed }) => closed === null)
        .map(async ({ socket }) => {
          const gone = once(socket, 'close')
          socket.close()
          await gone
        }),
    )
  }

  terminate(): void {
    this.#isClosing = true
    for (const { socket } of this.all) socket.terminate()
  }

  async #open(port: number): Promise<void> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/socket`, {
      perMessageDeflate: false,
      handshakeTimeout: ECHO_MS,
    })
    const [hello] = (await once(socket, 'message')) as [Buffer]
    const { server, requestId } = JSON.parse(hello.toString()) as { server: string; requestId: string }
    const worker = requestId.slice(0, WORKER_ID_LENGTH)
    const one: OpenSocket = { number: this.all.length, socket, worker, server, closed: null }
    this.all.push(one)
    socket.on('error', () => {}) // 'close' follows
    socket.on('close', (code) => {
      if (!this.#isClosing) one.closed = { code, at: performance.now() }
    })
  }

  async #echo(one: OpenSocket): Promise<void> {
    const text = `${one.number} at ${performance.now()}`
    const { promise, resolve } = Promise.withResolvers<string>()
    const onMessage = (message: Buffer): void => resolve(message.toString())
    const onClose = (): void => resolve('a close')
    const timer = setTimeout(() => resolve('nothing'), ECHO_MS)
    one.socket.once('message', onMessage)
    one.socket.once('close', onClose)
    one.socket.send(text, () => {})
    const got = await promise
    clearTimeout(timer)
    one.socket.off('message', onMessage)
    one.socket.off('close', onClose)
    if (got === text) this.echoes += 1
    else this.failures.push(`WebSocket ${one.number} to ${one.server} sent "${text}" and got ${got}`)
  }
}
