/**
 * The codec a second time, as short as it can be written: whole strings, regular expressions, the grammar of RFC 9112
 * line by line, no state, no speed. What it accepts the codec must accept, and the other way round. Sizes are not
 * limited here: the fuzzer's inputs are smaller than every limit.
 */

export interface ReferenceMessage {
  readonly line: readonly string[]
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly framing: 'none' | 'length' | 'chunked' | 'close'
  readonly keepAlive: boolean
  readonly upgrade: boolean
  readonly hop: readonly boolean[]
  readonly body: string
  readonly trailers: readonly (readonly [name: string, value: string])[]
  /** Where the message ends in the text. */
  readonly end: number
}

/** `incomplete`: cut off, and perhaps already wrong. */
export type ReferenceResult = ReferenceMessage | 'refused' | 'incomplete'

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
const FIELD = new RegExp(
  `^(${TOKEN}):[ \\t]*((?:[\\x21-\\x7e\\x80-\\xff](?:[\\t\\x20-\\x7e\\x80-\\xff]*[\\x21-\\x7e\\x80-\\xff])?)?)[ \\t]*$`,
)
const REQUEST_LINE = new RegExp(`^(${TOKEN}) (\\S+) HTTP/1\\.([01])$`)
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?$/
const PATH = /^(?:\/[\x21\x24-\x3b\x3d\x3f-\x7e]*|)$/
const QUERY = /^[\x21\x22\x24-\x7e]*$/
const QUOTED = '"(?:[\\t\\x20\\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\[\\t\\x20-\\x7e\\x80-\\xff])*"'
const CHUNK_LINE = new RegExp(
  `^([0-9A-Fa-f]{1,15})((?:[ \\t]*;[ \\t]*${TOKEN}(?:[ \\t]*=[ \\t]*(?:${TOKEN}|${QUOTED}))?)*)$`,
)
const NAME_OR_IPV4 = /^[A-Za-z0-9\-_~]+(?:\.[A-Za-z0-9\-_~]+)*\.?$/
const HOP_BY_HOP = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'proxy-authorization',
  'proxy-authenticate',
]
const MAY_NOT_BE_NAMED =
  /^(?:host|content-length|transfer-encoding|expect|via|forwarded|x-forwarded-.*|x-real-ip|x-request-id)$/
const REFUSED_TRAILERS =
  /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|expect|keep-alive|proxy-connection|proxy-authorization|proxy-authenticate|via|forwarded|x-forwarded-.*|x-real-ip|x-request-id|authorization|cookie|set-cookie|www-authenticate|content-(?:type|encoding|range|location)|range|location|max-forwards|cache-control|pragma|if-.*|age|date|expires|retry-after|vary|warning)$/

export function referenceRequest(text: string): ReferenceResult {
  const start = /^(?:\r\n)*/.exec(text)![0].length
  const split = headLines(text, start)
  if (split === null) return 'incomplete'
  const match = REQUEST_LINE.exec(split.lines[0]!)
  const fields = readFields(split.lines.slice(1))
  if (match === null || fields === null) return 'refused'
  const [, method, target, minor] = match
  const host = valuesOf(fields, 'host')
  const form = formOf(method!, target!)
  if (form === null || host.length > 1 || (host.length === 0 && minor === '1')) return 'refused'
  if (host.length === 1 && host[0] !== '' && !isAuthority(host[0]!)) return 'refused'
  if (host[0] === '' && form !== 'absolute' && form !== 'authority') return 'refused'
  const expect = valuesOf(fields, 'expect')
  if (expect.length > 1 || (expect.length === 1 && expect[0]!.toLowerCase() !== '100-continue')) return 'refused'
  return readMessage(text, split, [method!, target!, minor!], fields, minor!, null)
}

export function referenceResponse(text: string, isHead: boolean): ReferenceResult {
  const split = headLines(text, 0)
  if (split === null) return 'incomplete'
  const match = STATUS_LINE.exec(split.lines[0]!)
  const fields = readFields(split.lines.slice(1))
  if (match === null || fields === null) return 'refused'
  const [, minor, status, reason] = match
  return readMessage(text, split, [minor!, status!, reason ?? ''], fields, minor!, { status: Number(status), isHead })
}

interface Split {
  readonly lines: readonly string[]
  readonly end: number
}

/** The lines of a head or trailer section, up to the first empty one. */
function headLines(text: string, start: number): Split | null {
  const end = text.indexOf('\r\n\r\n', start)
  return end < 0 ? null : { lines: text.slice(start, end).split('\r\n'), end: end + 4 }
}

function readFields(lines: readonly string[]): [string, string][] | null {
  const fields: [string, string][] = []
  for (const one of lines) {
    const match = FIELD.exec(one)
    if (match === null) return null
    fields.push([match[1]!, match[2]!])
  }
  return fields
}

function valuesOf(fields: readonly (readonly [string, string])[], name: string): string[] {
  return fields.filter(([one]) => one.toLowerCase() === name).map(([, value]) => value)
}

function readMessage(
  text: string,
  split: Split,
  line: readonly string[],
  fields: readonly (readonly [string, string])[],
  minor: string,
  response: { readonly status: number; readonly isHead: boolean } | null,
): ReferenceResult {
  const lengths = valuesOf(fields, 'content-length')
  const codings = valuesOf(fields, 'transfer-encoding')
  if (lengths.length + codings.length > 1) return 'refused'
  if (lengths.length === 1 && !/^(?:0|[1-9][0-9]{0,14})$/.test(lengths[0]!)) return 'refused'
  if (codings.length === 1 && (minor === '0' || codings[0]!.toLowerCase() !== 'chunked')) return 'refused'

  const options = valuesOf(fields, 'connection').flatMap((value) =>
    value.split(',').map((one) => one.replace(/^[ \t]+|[ \t]+$/g, '').toLowerCase()),
  )
  const named = options.filter((one) => one !== '')
  if (named.length > 32 || named.some((one) => !new RegExp(`^${TOKEN}$`).test(one))) return 'refused'
  const isRefusedName = (one: string) => (response === null ? MAY_NOT_BE_NAMED.test(one) : one === 'content-length')
  if (named.some(isRefusedName)) return 'refused'
  const isHop = (name: string) =>
    HOP_BY_HOP.includes(name) ||
    (named.includes(name) && !['close', 'keep-alive', 'upgrade', 'te'].includes(name)) ||
    // Ignored in HTTP/1.0 (RFC 9110 section 10.1.1), and we speak 1.1 with the endpoint.
    (response === null && minor === '0' && name === 'expect')
  const hop = fields.map(([name]) => isHop(name.toLowerCase()))
  let keepAlive = !named.includes('close') && (minor === '1' || named.includes('keep-alive'))
  const upgrade = minor === '1' && named.includes('upgrade') && valuesOf(fields, 'upgrade').length > 0

  let framing: ReferenceMessage['framing'] = codings.length === 1 ? 'chunked' : lengths.length === 1 ? 'length' : 'none'
  if (response !== null) {
    const hasNeverBody = response.status < 200 || response.status === 204
    if (hasNeverBody && Number(lengths[0] ?? 0) > 0) return 'refused'
    if (hasNeverBody && framing === 'chunked') keepAlive = false
    if (hasNeverBody || response.status === 304 || response.isHead) framing = 'none'
    else if (framing === 'none') framing = 'close'
    if (framing === 'close') keepAlive = false
  }
  const common = { line, fields, framing, keepAlive, upgrade, hop, trailers: [] }
  if (framing === 'none') return { ...common, body: '', end: split.end }
  if (framing === 'close') return { ...common, body: text.slice(split.end), end: text.length }
  if (framing === 'chunked') {
    const body = readChunks(text, split.end)
    return typeof body === 'string' ? body : { ...common, ...body }
  }
  const end = split.end + Number(lengths[0])
  return end > text.length ? 'incomplete' : { ...common, body: text.slice(split.end, end), end }
}

function readChunks(
  text: string,
  start: number,
): Pick<ReferenceMessage, 'body' | 'trailers' | 'end'> | 'refused' | 'incomplete' {
  let body = ''
  let position = start
  for (;;) {
    const lineEnd = text.indexOf('\r\n', position)
    if (lineEnd < 0) return 'incomplete'
    const match = CHUNK_LINE.exec(text.slice(position, lineEnd))
    if (
      match === null ||
      match[2]!.replace(/^[ \t]*;/, '').length > 256 ||
      !Number.isSafeInteger(Number.parseInt(match[1]!, 16))
    )
      return 'refused'
    const size = Number.parseInt(match[1]!, 16)
    position = lineEnd + 2
    if (size === 0) return readTrailers(text, position, body)
    if (position + size + 2 > text.length) return 'incomplete'
    if (text.slice(position + size, position + size + 2) !== '\r\n') return 'refused'
    body += text.slice(position, position + size)
    position += size + 2
  }
}

function readTrailers(
  text: string,
  position: number,
  body: string,
): Pick<ReferenceMessage, 'body' | 'trailers' | 'end'> | 'refused' | 'incomplete' {
  if (text.startsWith('\r\n', position)) return { body, trailers: [], end: position + 2 }
  const split = headLines(text, position)
  if (split === null) return 'incomplete'
  const trailers = readFields(split.lines)
  if (trailers === null) return 'refused'
  if (trailers.some(([name]) => REFUSED_TRAILERS.test(name.toLowerCase().replaceAll('_', '-')))) return 'refused'
  return { body, trailers, end: split.end }
}

function formOf(method: string, target: string): 'origin' | 'absolute' | 'asterisk' | 'authority' | null {
  if (method === 'CONNECT') return isAuthority(target) && /:[0-9]+$/.test(target) ? 'authority' : null
  if (target === '*') return method === 'OPTIONS' ? 'asterisk' : null
  const absolute = /^https?:\/\/([^/?]*)(.*)$/is.exec(target)
  if (absolute !== null) return isAuthority(absolute[1]!) && isPathAndQuery(absolute[2]!) ? 'absolute' : null
  return target.startsWith('/') && isPathAndQuery(target) ? 'origin' : null
}

function isPathAndQuery(text: string): boolean {
  const question = text.indexOf('?')
  if (question < 0) return PATH.test(text)
  return PATH.test(text.slice(0, question)) && QUERY.test(text.slice(question))
}

function isAuthority(text: string): boolean {
  const match = /^(\[[^\]]*\]|[^:[]*)(?::([0-9]{0,5}))?$/.exec(text)
  if (match === null || Number(match[2] ?? 0) > 65_535) return false
  const [, name] = match
  if (!name!.startsWith('[')) return NAME_OR_IPV4.test(name!)
  // The URL parser knows IPv6 addresses; it is given nothing that could be anything else.
  return /^\[[0-9A-Fa-f:.]+\]$/.test(name!) && URL.canParse(`http://${name}/`)
}
