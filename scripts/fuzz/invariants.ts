/** What must be true of every head that the codec accepts, seen from the bytes alone. */
import { Framing, type MessageHead, RequestHead } from '../../src/http1/head.ts'
import type { FirstMessage } from './reader.ts'
import type { ReferenceMessage } from './reference.ts'

const CR = 0x0d
const LF = 0x0a
const HOP = 4

/** The broken invariant, or null. */
export function brokenInvariant(head: MessageHead): string | null {
  const { bytes, start, end } = head
  let lines = 0
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte === 0) return 'a NUL in a head'
    if (byte === CR && bytes[i + 1] !== LF) return 'a bare CR in a head'
    if (byte === LF && bytes[i - 1] !== CR) return 'a bare LF in a head'
    if (byte === LF) lines++
    if (byte < 0x20 && byte !== CR && byte !== LF && byte !== 0x09) return 'a control byte in a head'
    if (byte === 0x7f) return 'a DEL in a head'
  }
  if (lines !== head.count + 2) return `${lines} lines for ${head.count} fields`
  let lineStart = head.fieldsStart
  for (let i = 0; i < head.count; i++) {
    const nameStart = head.nameStart[i]!
    const nameEnd = head.nameEnd[i]!
    const valueStart = head.valueStart[i]!
    const valueEnd = head.valueEnd[i]!
    if (nameStart !== lineStart) return 'a field that does not begin with its line'
    if (nameEnd <= nameStart || bytes[nameEnd] !== 0x3a) return 'a name that does not end at a colon'
    if (valueStart <= nameEnd || valueEnd < valueStart) return 'a value that is not behind its name'
    for (let at = nameStart; at < valueEnd; at++)
      if (bytes[at] === LF || bytes[at] === CR) return 'a field over two lines'
    for (let at = nameStart; at < nameEnd; at++)
      if (bytes[at]! <= 0x20 || bytes[at]! >= 0x7f) return 'a name that is no token'
    for (lineStart = valueEnd; bytes[lineStart] !== LF; lineStart++) {
      const byte = bytes[lineStart]
      if (byte !== 0x20 && byte !== 0x09 && byte !== CR) return 'a value that was cut'
    }
    lineStart++
  }
  return lineStart === end - 2 ? null : 'fields that do not fill the head'
}

/** What of an accepted message differs from what the reference reads, or null. */
export function differenceFrom(reference: ReferenceMessage, message: FirstMessage): string | null {
  const { head, body, trailers } = message
  const line =
    head instanceof RequestHead
      ? [
          head.text(head.methodStart, head.methodEnd),
          head.text(head.targetStart, head.targetEnd),
          String(head.versionMinor),
        ]
      : [String(head.versionMinor), String(head.status), head.text(head.reasonStart, head.reasonEnd)]
  if (!isEqual(line, reference.line)) return 'the start line'
  if (!isEqual(fieldsOf(head), reference.fields)) return 'the fields'
  if (framingName(head.framing) !== reference.framing) return 'the framing'
  if (head.keepAlive !== reference.keepAlive) return 'keepAlive'
  if (head.upgrade !== reference.upgrade) return 'upgrade'
  const hop = Array.from({ length: head.count }, (_, i) => (head.flags[i]! & HOP) !== 0)
  if (!isEqual(hop, reference.hop)) return 'the hop-by-hop fields'
  if (body !== reference.body) return 'the body'
  if (!isEqual(trailers === null ? [] : fieldsOf(trailers), reference.trailers)) return 'the trailers'
  return message.end === reference.end ? null : 'the end'
}

function fieldsOf(head: MessageHead): [string, string][] {
  return Array.from({ length: head.count }, (_, i) => [head.name(i), head.value(i)])
}

function framingName(framing: number): string {
  switch (framing) {
    case Framing.LENGTH:
      return 'length'
    case Framing.CHUNKED:
      return 'chunked'
    case Framing.CLOSE:
      return 'close'
    default:
      return 'none'
  }
}

function isEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
