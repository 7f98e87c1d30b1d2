import assert from 'node:assert/strict'
import { randomFillSync } from 'node:crypto'
import { test } from 'node:test'
import * as ws from 'ws'
import { WebSocketFrames } from '../../src/edge/websocket-frames.ts'

interface FrameOptions {
  readonly fin: boolean
  readonly opcode: number
  readonly mask: boolean
  readonly readOnly: boolean
  readonly rsv1: boolean
}
// The part of ws that writes frames; it is exported, but not in the types.
const { Sender } = ws as unknown as { Sender: { frame(data: Buffer, options: FrameOptions): Buffer[] } }

const Opcode = { CONTINUATION: 0, TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 } as const

function frame(opcode: number, size: number, options: Partial<FrameOptions> = {}): Buffer {
  const data = randomFillSync(Buffer.alloc(size))
  return Buffer.concat(Sender.frame(data, { fin: true, opcode, mask: false, readOnly: false, rsv1: false, ...options }))
}

const SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, 100_000]

/** The offsets between frames, told by the follower when it gets the bytes cut at `cuts`. */
function boundaries(bytes: Buffer, pieceBytes: number): number[] {
  const frames = new WebSocketFrames()
  const found: number[] = []
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    const end = Math.min(at + pieceBytes, bytes.length)
    // From within a larger buffer, as a read buffer would be.
    frames.follow(bytes, at, end)
    if (frames.isBetweenFrames) found.push(end)
  }
  return found
}

test('byte by byte it knows every boundary between frames, for every length and with or without a mask', () => {
  for (const mask of [false, true]) {
    const frames = SIZES.flatMap((size) => [frame(Opcode.BINARY, size, { mask }), frame(Opcode.TEXT, 3, { mask })])
    const wanted: number[] = []
    let at = 0
    for (const one of frames) {
      at += one.length
      wanted.push(at)
    }
    assert.deepEqual(boundaries(Buffer.concat(frames), 1), wanted)
  }
})

test('split at every byte it ends between frames', () => {
  for (const mask of [false, true]) {
    const bytes = Buffer.concat([
      frame(Opcode.TEXT, 5, { mask, fin: false }),
      frame(Opcode.PING, 0, { mask }),
      frame(Opcode.CONTINUATION, 126, { mask }),
      frame(Opcode.BINARY, 300, { mask, rsv1: true }),
    ])
    for (let cut = 0; cut <= bytes.length; cut++) {
      const frames = new WebSocketFrames()
      frames.follow(bytes, 0, cut)
      frames.follow(bytes, cut, bytes.length)
      assert.equal(frames.isBetweenFrames, true, `cut at ${cut}`)
      assert.equal(frames.hasClosed, false)
    }
  }
})

test('all in one piece, or in pieces of any size, it comes to the same end', () => {
  const bytes = Buffer.concat(
    [...SIZES, 7, 200, 66_000].map((size) => frame(Opcode.BINARY, size, { mask: size % 2 === 0 })),
  )
  for (const pieceBytes of [1, 2, 3, 13, 127, 4096, 65_536, bytes.length])
    assert.equal(boundaries(bytes, pieceBytes).at(-1), bytes.length, `${pieceBytes}`)
})

test('within a header and within a payload it is not between frames', () => {
  const bytes = frame(Opcode.BINARY, 70_000, { mask: true })
  const frames = new WebSocketFrames()
  assert.equal(frames.isBetweenFrames, true)
  for (let at = 0; at < bytes.length - 1; at++) {
    frames.follow(bytes, at, at + 1)
    assert.equal(frames.isBetweenFrames, false, `${at}`)
  }
  frames.follow(bytes, bytes.length - 1, bytes.length)
  assert.equal(frames.isBetweenFrames, true)
})

test('it notices a Close frame from its first byte', () => {
  const frames = new WebSocketFrames()
  const ping = frame(Opcode.PING, 8)
  frames.follow(ping, 0, ping.length)
  assert.equal(frames.hasClosed, false)
  const close = frame(Opcode.CLOSE, 2)
  frames.follow(close, 0, 1)
  assert.equal(frames.hasClosed, true)
  frames.follow(close, 1, close.length)
  assert.equal(frames.hasClosed, true)
  assert.equal(frames.isBetweenFrames, true)
})

test('a payload byte that looks like a Close frame is none', () => {
  const frames = new WebSocketFrames()
  const bytes = Buffer.concat([Buffer.from([0x82, 3]), Buffer.from([0x88, 0x88, 0x88])])
  frames.follow(bytes, 0, bytes.length)
  assert.equal(frames.hasClosed, false)
  assert.equal(frames.isBetweenFrames, true)
})

test('a length beyond all bounds never ends, and breaks nothing', () => {
  const frames = new WebSocketFrames()
  const header = Buffer.from([0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
  frames.follow(header, 0, header.length)
  const payload = Buffer.alloc(100_000)
  for (let i = 0; i < 100; i++) frames.follow(payload, 0, payload.length)
  assert.equal(frames.isBetweenFrames, false)
})
