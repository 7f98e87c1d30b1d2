/**
 * The head of a request as it goes to an endpoint: the bytes that came, less what is cut, plus what we add.
 * Kept names and values keep their bytes, order, case and duplicates; spacing takes one normal form.
 */
import { FieldId } from './fields.ts'
import { type RequestHead, TargetForm } from './head.ts'
import { keptFields } from './kept-fields.ts'
import { latin1 } from './latin1.ts'

/**
 * `cut`: by `FieldId`, 1 for the fields that are left out besides the hop-by-hop ones.
 * `addition`: our own fields, each with its CRLF. The result lacks the blank line, so that an attempt can add to it.
 */
export function writeRequestHead(head: RequestHead, cut: Uint8Array, addition: string): string {
  const { bytes } = head
  if (head.targetForm === TargetForm.ORIGIN && head.versionMinor === 1) {
    // The usual case: the whole head in one slice.
    if (head.regular) return latin1(bytes, head.methodStart, head.end - 2) + addition
    return latin1(bytes, head.methodStart, head.fieldsStart) + keptFields(head, cut) + addition
  }
  const line = `${latin1(bytes, head.methodStart, head.methodEnd)} ${originTarget(head)} HTTP/1.1\r\n`
  if (head.targetForm !== TargetForm.ABSOLUTE) return line + keptFields(head, cut) + addition
  // RFC 9112 section 3.2.2: the authority of an absolute target replaces the Host field.
  const cutHost = cut.slice()
  cutHost[FieldId.HOST] = 1
  const authority = latin1(bytes, head.authorityStart, head.authorityEnd)
  return `${line}host: ${authority}\r\n${keptFields(head, cutHost)}${addition}`
}

/** The target in origin or asterisk form (RFC 9112 section 3.2). */
function originTarget(head: RequestHead): string {
  const path = latin1(head.bytes, head.pathStart, head.pathEnd)
  if (head.targetForm !== TargetForm.ABSOLUTE) return path
  if (path === '') return latin1(head.bytes, head.methodStart, head.methodEnd) === 'OPTIONS' ? '*' : '/'
  return path.charCodeAt(0) === 0x3f ? `/${path}` : path
}

/** A table for `cut`. */
export function cutTable(ids: readonly number[]): Uint8Array {
  const table = new Uint8Array(256)
  for (const id of ids) table[id] = 1
  return table
}
