/** The head of an answer as it goes to the client, on the same terms as a request's. */
import { FieldId } from './fields.ts'
import type { MessageHead, ResponseHead } from './head.ts'
import { keptFields } from './kept-fields.ts'
import { latin1 } from './latin1.ts'

const CUT_NOTHING = new Uint8Array(256)
/** RFC 9110 section 8.6: no Content-Length in 1xx and 204. */
const CUT_LENGTH = new Uint8Array(256)
CUT_LENGTH[FieldId.CONTENT_LENGTH] = 1

const REGULAR_REASON_OFFSET = 'HTTP/1.1 200 '.length

/** `addition`: our own fields, each with its CRLF. The result ends with the blank line. */
export function writeResponseHead(head: ResponseHead, addition: string): string {
  const { bytes, status } = head
  const hasRegularLine = head.versionMinor === 1 && head.reasonStart === head.start + REGULAR_REASON_OFFSET
  const isBare = status < 200 || status === 204
  if (hasRegularLine && head.regular && !isBare) return `${latin1(bytes, head.start, head.end - 2)}${addition}\r\n`
  const line = hasRegularLine
    ? latin1(bytes, head.start, head.fieldsStart)
    : `HTTP/1.1 ${status} ${latin1(bytes, head.reasonStart, head.reasonEnd)}\r\n`
  return `${line}${keptFields(head, isBare ? CUT_LENGTH : CUT_NOTHING)}${addition}\r\n`
}

/** The end of a chunked body: the last chunk and the trailer section. */
export function writeLastChunk(trailers: MessageHead | null): string {
  if (trailers === null || trailers.count === 0) return '0\r\n\r\n'
  return `0\r\n${keptFields(trailers, CUT_NOTHING)}\r\n`
}
