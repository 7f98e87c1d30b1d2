/** The least of RFC 6455 that a WebSocket server needs to echo: for the demo, to have something real behind a tunnel. */
import { createHash } from 'node:crypto'
import type { Duplex } from 'node:stream'

/** RFC 6455 §1.3. */
const ACCEPT_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const MOST_PAYLOAD_BYTES = 1_048_576

const Opcode = { CLOSE: 8, PING: 9, PONG: 10 } as const

/** Answers the handshake (RFC 6455 §4.2.2). `fields` are whole lines. */
export function acceptWebSocket(socket: Duplex, key: string, fields: string): void {
  const accept = createHash('sha1')
    .update(key + ACCEPT_GUID)
    .digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n${fields}\r\n`,
  )
}

/** Sends every data frame back as it came, answers pings, and closes when asked to. `head`: bytes read already. */
export function echoFrames(socket: Duplex, head: Buffer): void {
  let pending = head
  const read = (chunk: Buffer) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    for (;;) {
      const frame = readFrame(pending)
      if (frame === null) return
      if (frame === 'bad') {
        socket.end(makeFrame(0x80 | Opcode.CLOSE, Buffer.from([0x03, 0xea]))) // 1002: protocol error
        return
      }
      pending = pending.subarray(frame.length)
      const opcode = frame.first & 0x0f
      if (opcode === Opcode.CLOSE) {
        socket.end(makeFrame(frame.first, frame.payload))
        return
      }
      if (opcode === Opcode.PONG) continue
      socket.write(makeFrame(opcode === Opcode.PING ? 0x80 | Opcode.PONG : frame.first, frame.payload))
    }
  }
  socket.on('data', read)
  socket.on('end', () => socket.end())
  if (head.length > 0) {
    pending = Buffer.alloc(0)
    read(head)
  }
}

interface Frame {
  /** The first byte: FIN and opcode. */
  readonly first: number
  readonly payload: Buffer
  /** Of the whole frame. */
  readonly length: number
}

/** RFC 6455 §5.2; a client's frames are always masked. */
function readFrame(bytes: Buffer): Frame | 'bad' | null {
  if (bytes.length < 2) return null
  if ((bytes[1]! & 0x80) === 0) return 'bad'
  let size = bytes[1]! & 0x7f
  let at = 2
  if (size === 126) {
    if (bytes.length < 4) return null
    size = bytes.readUInt16BE(2)
    at = 4
  } else if (size === 127) {
    if (bytes.length < 10) return null
    size = Number(bytes.readBigUInt64BE(2))
    at = 10
  }
  if (size > MOST_PAYLOAD_BYTES) return 'bad'
  if (bytes.length < at + 4 + size) return null
  const mask = bytes.subarray(at, at + 4)
  const payload = Buffer.from(bytes.subarray(at + 4, at + 4 + size))
  for (let index = 0; index < size; index++) payload[index] = payload[index]! ^ mask[index & 3]!
  return { first: bytes[0]!, payload, length: at + 4 + size }
}

function makeFrame(first: number, payload: Buffer): Buffer {
  const size = payload.length
  const head =
    size < 126
      ? Buffer.from([first, size])
      : size < 65_536
        ? Buffer.from([first, 126, size >> 8, size & 0xff])
        : Buffer.concat([Buffer.from([first, 127]), lengthBytes(size)])
  return Buffer.concat([head, payload])
}

function lengthBytes(size: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(size))
  return bytes
}
