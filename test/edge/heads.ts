/** Heads made from objects, as a codec that never had HTTP/1.1 text would make them: what this shows is that none is needed. */
import { classify, FieldFlag, FieldId, IS_HOP, VARIANT_BIT } from '../../src/http1/fields.ts'
import { Framing, type MessageHead, RequestHead, ResponseHead, TargetFlag, TargetForm } from '../../src/http1/head.ts'
import { methodOf } from '../../src/http1/methods.ts'

export interface RequestParts {
  readonly method?: string
  readonly path?: string
  readonly authority?: string
  readonly fields?: readonly (readonly [name: string, value: string])[]
  /** A number: that many bytes; 'chunked': of unknown length; absent: none. */
  readonly body?: number | 'chunked'
}

export interface ResponseParts {
  readonly status?: number
  readonly fields?: readonly (readonly [name: string, value: string])[]
  readonly body?: number | 'chunked'
}

export function requestHead(parts: RequestParts): RequestHead {
  const { method = 'GET', path = '/', authority = 'test.example', fields = [], body } = parts
  const head = new RequestHead()
  // The one thing that a codec has to bring in this form is the request line.
  const line = `${method} ${path} HTTP/1.1\r\n`
  fill(head, line, [['host', authority], ...fields])
  head.methodStart = 0
  head.methodEnd = method.length
  head.method = methodOf(head.bytes, 0, method.length)
  head.targetStart = method.length + 1
  head.targetEnd = head.targetStart + path.length
  head.targetForm = TargetForm.ORIGIN
  head.pathStart = head.targetStart
  head.pathEnd = head.targetEnd
  const question = path.indexOf('?')
  head.queryStart = question < 0 ? head.pathEnd : head.pathStart + question
  head.hostIndex = 0
  head.authorityStart = head.valueStart[0]!
  head.authorityEnd = head.valueEnd[0]!
  head.targetFlags =
    (path.includes('%') ? TargetFlag.PERCENT : 0) |
    (path.includes('/.') ? TargetFlag.DOT_SEGMENT : 0) |
    (path.includes('\\') ? TargetFlag.BACKSLASH : 0) |
    (path.includes('//') ? TargetFlag.DOUBLE_SLASH : 0)
  head.upgrade = head.find('upgrade') >= 0
  frame(head, body, Framing.NONE)
  return head
}

export function responseHead(parts: ResponseParts): ResponseHead {
  const { status = 200, fields = [], body } = parts
  const head = new ResponseHead()
  const line = `HTTP/1.1 ${status} Fine\r\n`
  fill(head, line, fields)
  head.status = status
  head.reasonStart = 'HTTP/1.1 200 '.length
  head.reasonEnd = head.reasonStart + 'Fine'.length
  frame(head, body, status < 200 || status === 204 ? Framing.NONE : Framing.CLOSE)
  return head
}

function frame(head: MessageHead, body: number | 'chunked' | undefined, otherwise: Framing): void {
  head.framing = body === 'chunked' ? Framing.CHUNKED : body === undefined ? otherwise : Framing.LENGTH
  head.contentLength = typeof body === 'number' ? body : 0
}

/** Names and values anywhere in the bytes, without colons or line ends between them. */
function fill(head: MessageHead, line: string, fields: readonly (readonly [string, string])[]): void {
  const rest = fields.map(([name, value]) => `${name}${value}`).join('')
  head.bytes = Buffer.from(`${line}${rest}`, 'latin1')
  head.start = 0
  head.fieldsStart = line.length
  head.end = head.bytes.length
  head.regular = false
  let at = line.length
  for (const [name, value] of fields) {
    if (head.count === head.nameStart.length) head.grow(100)
    const index = head.count++
    head.nameStart[index] = at
    head.nameEnd[index] = at + name.length
    head.valueStart[index] = at + name.length
    at += name.length + value.length
    head.valueEnd[index] = at
    const id = classify(head.bytes, head.nameStart[index], head.nameEnd[index])
    const known = id & ~VARIANT_BIT
    head.id[index] = known
    let flags: number = FieldFlag.IRREGULAR
    if (id !== known) flags |= FieldFlag.VARIANT
    else if (known !== FieldId.OTHER && IS_HOP[known] === 1) flags |= FieldFlag.HOP
    head.flags[index] = flags
  }
}
