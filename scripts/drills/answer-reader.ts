/**
 * Reads answers from the bytes of one connection. Written apart from src/http1 on purpose: what the drills judge by must
 * not share the product's mistakes.
 */
export interface Answer {
  readonly status: number
  /** By lower-case name. */
  readonly fields: ReadonlyMap<string, string>
  readonly body: Buffer
}

const HEAD_END = '\r\n\r\n'

export class AnswerReader {
  #bytes: Buffer = Buffer.alloc(0)
  #head: { readonly status: number; readonly fields: ReadonlyMap<string, string>; readonly end: number } | null = null
  /** When the head of the answer that is being read was complete, `performance.now()`; 0 before. */
  headAt = 0

  /** Anything of an answer has come. */
  get hasBegun(): boolean {
    return this.#bytes.length > 0
  }

  /** The answer, once it is whole; throws when it is malformed. Interim answers are skipped. */
  feed(chunk: Buffer): Answer | null {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    this.#head ??= this.#readHead()
    if (this.#head === null) return null
    const { status, fields, end } = this.#head
    const body = fields.get('transfer-encoding') === 'chunked' ? this.#chunks(end) : this.#counted(end, fields)
    if (body === null) return null
    if (body.end < this.#bytes.length) throw new Error(`${this.#bytes.length - body.end} bytes behind the answer`)
    this.#bytes = Buffer.alloc(0)
    this.#head = null
    this.headAt = 0
    return { status, fields, body: body.bytes }
  }

  #readHead(): { status: number; fields: Map<string, string>; end: number } | null {
    for (;;) {
      const end = this.#bytes.indexOf(HEAD_END)
      if (end < 0) return null
      const [first = '', ...lines] = this.#bytes.toString('latin1', 0, end).split('\r\n')
      const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1])
      if (Number.isNaN(status)) throw new Error(`not a status line: ${first.slice(0, 60)}`)
      if (status < 200) {
        this.#bytes = this.#bytes.subarray(end + HEAD_END.length)
        continue
      }
      const fields = new Map<string, string>()
      for (const line of lines) {
        const colon = line.indexOf(':')
        fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
      }
      this.headAt = performance.now()
      return { status, fields, end: end + HEAD_END.length }
    }
  }

  #counted(start: number, fields: ReadonlyMap<string, string>): { bytes: Buffer; end: number } | null {
    const length = Number(fields.get('content-length') ?? Number.NaN)
    if (Number.isNaN(length)) throw new Error('an answer without a length')
    const end = start + length
    return this.#bytes.length < end ? null : { bytes: this.#bytes.subarray(start, end), end }
  }

  #chunks(start: number): { bytes: Buffer; end: number } | null {
    const parts: Buffer[] = []
    for (let at = start; ; ) {
      const line = this.#bytes.indexOf('\r\n', at)
      if (line < 0) return null
      const text = this.#bytes.toString('latin1', at, line)
      if (!/^[0-9a-f]+$/i.test(text)) throw new Error(`not a chunk size: ${text.slice(0, 30)}`)
      const size = Number.parseInt(text, 16)
      const end = line + 2 + size
      if (this.#bytes.length < end + 2) return null
      if (this.#bytes.toString('latin1', end, end + 2) !== '\r\n') throw new Error('a chunk without its end')
      if (size === 0) return { bytes: Buffer.concat(parts), end: end + 2 }
      parts.push(this.#bytes.subarray(line + 2, end))
      at = end + 2
    }
  }
}
