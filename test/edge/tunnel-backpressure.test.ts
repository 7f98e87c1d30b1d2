/** A tunnel with a slow reader: what is in between stays bounded, and every byte arrives in its order. */
import assert from 'node:assert/strict'
import { createHash, type Hash } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type Edge, get, type Lab, sleep, type Wire, wire } from '../wire/harness.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const SIZE = 48 * 1024 * 1024
/** What the kernel's buffers of two sockets take, and a buffer of ours each way. */
const BETWEEN_BYTES = 24 * 1024 * 1024
/** Of a prime length, so that no lost or doubled buffer goes unnoticed. */
const PATTERN = Buffer.from(Array.from({ length: 65_521 }, (_, index) => (index * 31 + (index >> 8)) & 0xff))

async function tunnel(lab: Lab): Promise<{ client: Wire; upstream: Wire; edge: Edge }> {
  const origin = await lab.origin(async (upstream) => {
    await upstream.requestHead()
    upstream.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n')
    await upstream.ending()
  })
  const edge = await lab.edge({ origins: [origin] })
  const client = await edge.connect()
  client.write(get('/', 'Connection: Upgrade\r\nUpgrade: raw\r\n'))
  assert.equal((await client.answerHead()).status, 101)
  return { client, upstream: origin.wires[0]!, edge }
}

/** Bytes of buffers that somebody holds on to: garbage is collected first. */
function buffersInUse(): number {
  collectGarbage()
  return process.memoryUsage().arrayBuffers
}

function patternHash(): Hash {
  const hash = createHash('sha1')
  for (let sent = 0; sent < SIZE; sent += PATTERN.length) hash.update(PATTERN.subarray(0, SIZE - sent))
  return hash
}

for (const slow of ['client', 'endpoint'] as const)
  wire(`a ${slow} that reads late holds back the other side, and gets everything`, async (lab) => {
    const { client, upstream } = await tunnel(lab)
    const [reader, writer] = slow === 'client' ? [client, upstream] : [upstream, client]
    reader.stopReading()
    const before = buffersInUse()
    const poured = writer.pour(PATTERN, SIZE)
    const taken = (): number => writer.socket.bytesWritten - writer.socket.writableLength
    for (let last = -1; last !== taken(); await sleep(150)) last = taken()
    assert.ok(taken() < BETWEEN_BYTES, `${taken()} bytes were taken with nobody to read them`)
    const grown = buffersInUse() - before
    assert.ok(grown < 1024 * 1024, `${grown} bytes of buffers`)
    const hash = createHash('sha1')
    reader.socket.on('data', (bytes: Buffer) => hash.update(bytes))
    // What the test's own reader had before it stopped: nothing but the handshake.
    const had = reader.receivedBytes
    reader.discard()
    reader.startReading()
    await poured
    await reader.until(() => reader.receivedBytes - had >= SIZE, 'everything')
    assert.equal(reader.receivedBytes - had, SIZE)
    assert.equal(hash.digest('hex'), patternHash().digest('hex'))
  })
