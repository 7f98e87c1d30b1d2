/**
 * Gives the connections of a server sockets that read into one buffer of the worker.
 * Node offers that (`onread`) for sockets that a program opens, not for those a server accepts: each of their reads gets
 * 64 KiB of fresh memory, which costs a request about a microsecond. So the accepted handle is taken before node's server
 * wraps it. The two private names this needs stand in this file alone; where node does not have them as expected, its own
 * sockets serve as well, only dearer. Measured in docs/decisions/007-accepted-sockets.md.
 */
import * as net from 'node:net'

/** A larger read helps nobody: heads are small, and bodies are copied out of it. */
const READ_BUFFER_BYTES = 64 * 1024

/** One per worker thread: every byte is used or copied before the next read. */
const readBuffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)

/** What node calls with each connection that the kernel hands over, and what stands behind a `net.Socket`. */
interface ServerHandle {
  onconnection?: (this: ServerHandle, status: number, client: unknown) => void
}

interface OwnedServer {
  readonly _handle?: ServerHandle | null
}

/** `handle` is what node's own server gives; undocumented. */
type HandleOptions = net.SocketConstructorOpts & { readonly handle: net.SocketConstructorOpts['handle'] }

/**
 * From now on each connection of the server that listens goes to `accept`. The bytes of its `data` events are borrowed: they
 * are valid during the event alone. Half-open connections stay open.
 */
export function acceptWithSharedBuffer(server: net.Server, accept: (socket: net.Socket) => void): void {
  const handle = (server as unknown as OwnedServer)._handle
  const original = handle?.onconnection
  if (handle === undefined || handle === null || typeof original !== 'function') {
    server.on('connection', accept)
    return
  }
  handle.onconnection = function onConnection(status, client) {
    // A failed accept is node's to report.
    if (status !== 0 || !isStreamHandle(client)) original.call(this, status, client)
    else accept(socketOver(client))
  }
  // What node itself accepts after all.
  server.on('connection', accept)
}

function socketOver(handle: HandleOptions['handle']): net.Socket {
  const options: HandleOptions = {
    handle,
    allowHalfOpen: true,
    onread: {
      buffer: readBuffer,
      callback: (size) => {
        socket.emit('data', size === READ_BUFFER_BYTES ? readBuffer : readBuffer.subarray(0, size))
        return true
      },
    },
  }
  const socket = new net.Socket(options)
  return socket
}

function isStreamHandle(client: unknown): client is HandleOptions['handle'] {
  return typeof client === 'object' && client !== null && 'readStart' in client && 'useUserBuffer' in client
}
