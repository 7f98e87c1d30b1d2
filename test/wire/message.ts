/** A message as the tests read it: by its own small and strict reading, independent of src/http1. */
import assert from 'node:assert/strict'

export type BodyKind = 'none' | 'length' | 'chunked' | 'close'

export class Message {
  /** The head as it came, with its empty line. */
  readonly head: string
  readonly startLine: string
  /** In the order they came, names as spelled. */
  readonly fields: readonly (readonly [name: string, value: string])[]
  body: Buffer = Buffer.alloc(0)
  /** Of a chunked body, without the last. */
  readonly chunkSizes: number[] = []
  /** Lines with their CRLF. */
  trailers = ''

  constructor(head: string, startLine: string, fields: readonly (readonly [string, string])[]) {
    this.head = head
    this.startLine = startLine
    this.fields = fields
  }

  get isAnswer(): boolean {
    return this.startLine.startsWith('HTTP/')
  }

  get status(): number {
    return Number(this.startLine.split(' ')[1])
  }

  get method(): string {
    return this.startLine.split(' ')[0]!
  }

  get target(): string {
    return this.startLine.split(' ')[1]!
  }

  get text(): string {
    return this.body.toString('latin1')
  }

  /** Every value of a field, by its name in lower case. */
  all(name: string): string[] {
    return this.fields.filter(([one]) => one.toLowerCase() === name).map(([, value]) => value)
  }

  /** The value of a field that must not stand twice. */
  field(name: string): string | undefined {
    const values = this.all(name)
    assert.ok(values.length <= 1, `${name} stands ${values.length} times in\n${this.head}`)
    return values[0]
  }

  has(name: string): boolean {
    return this.all(name).length > 0
  }

  /** Every name in lower case, sorted. */
  get names(): string[] {
    return this.fields.map(([name]) => name.toLowerCase()).sort()
  }

  get contentLength(): number {
    const text = this.field('content-length')
    assert.match(text ?? '', /^\d+$/)
    return Number(text)
  }

  /** RFC 9112 section 6.3. `method`: of the request that an answer answers. */
  bodyKind(method: string): BodyKind {
    const coding = this.field('transfer-encoding')
    const length = this.field('content-length')
    assert.ok(coding === undefined || length === undefined, `both framings in\n${this.head}`)
    if (this.isAnswer && (this.status < 200 || this.status === 204 || this.status === 304 || method === 'HEAD'))
      return 'none'
    if (coding !== undefined) {
      assert.equal(coding, 'chunked')
      return 'chunked'
    }
    if (length !== undefined) return 'length'
    return this.isAnswer ? 'close' : 'none'
  }
}

/** Refuses whatever is not exactly `name: value` CRLF. */
export function parseHead(head: string): Message {
  const lines = head.split('\r\n')
  assert.equal(lines.pop(), '')
  assert.equal(lines.pop(), '')
  const startLine = lines.shift() ?? ''
  assert.match(startLine, /^(?:HTTP\/1\.1 [1-5]\d\d [^\r\n]*|[^ ]+ [^ ]+ HTTP\/1\.1)$/, 'a start line of HTTP/1.1')
  const fields = lines.map((line): [string, string] => {
    const match =
      /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ((?:[^\s\0-\x1f\x7f](?:[^\0-\x08\x0a-\x1f\x7f]*[^\s\0-\x1f\x7f])?)?)$/.exec(line)
    assert.ok(match, `a field line in its normal form, not ${JSON.stringify(line)}`)
    return [match[1]!, match[2]!]
  })
  return new Message(head, startLine, fields)
}

/** A chunked body with an extension in every chunk, of pieces that are given. */
export function chunked(pieces: readonly string[], options: { trailers?: string; extension?: string } = {}): string {
  const { trailers = '', extension = '' } = options
  const chunks = pieces.map((piece) => `${piece.length.toString(16)}${extension}\r\n${piece}\r\n`)
  return `${chunks.join('')}0${extension}\r\n${trailers}\r\n`
}
