/** Bytes as text, one character a byte: the only way heads are read as strings, and written back unchanged. */
export function latin1(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('latin1', start, end)
}
