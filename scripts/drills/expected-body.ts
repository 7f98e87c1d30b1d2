/** The one body that belongs to a text: origins make it, clients compare with it byte by byte. */
export function expectedBody(text: string, bytes: number): Buffer {
  return Buffer.alloc(bytes, `${text} · `, 'utf8')
}
