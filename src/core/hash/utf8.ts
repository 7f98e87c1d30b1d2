/** Longest text, in UTF-16 code units, that is encoded without allocating. */
const SCRATCH_UNITS = 1024
/** A code unit takes at most three bytes (two units of a pair take four). Filled and read within one call of `hashUtf8`. */
const scratch = new Uint8Array(3 * SCRATCH_UNITS)

/** Applies `ofBytes` to the UTF-8 bytes of `text`: the way of hash functions for text that is not all ASCII. */
export function hashUtf8(text: string, ofBytes: (bytes: Uint8Array, start: number, end: number) => number): number {
  const bytes = text.length <= SCRATCH_UNITS ? scratch : new Uint8Array(3 * text.length)
  return ofBytes(bytes, 0, writeUtf8(text, bytes))
}

/** Writes the UTF-8 bytes of `text` and returns how many. `TextEncoder.encodeInto` does the same but allocates its answer. */
function writeUtf8(text: string, bytes: Uint8Array): number {
  let at = 0
  for (let i = 0; i < text.length; i++) {
    let point = text.charCodeAt(i)
    if (point < 0x80) {
      bytes[at++] = point
      continue
    }
    if (point < 0x800) {
      bytes[at++] = 0xc0 | (point >>> 6)
      bytes[at++] = 0x80 | (point & 0x3f)
      continue
    }
    if ((point & 0xf800) === 0xd800) {
      const low = i + 1 < text.length ? text.charCodeAt(i + 1) : 0
      if (point < 0xdc00 && (low & 0xfc00) === 0xdc00) {
        i++
        point = 0x1_0000 + ((point & 0x3ff) << 10) + (low & 0x3ff)
        bytes[at++] = 0xf0 | (point >>> 18)
        bytes[at++] = 0x80 | ((point >>> 12) & 0x3f)
        bytes[at++] = 0x80 | ((point >>> 6) & 0x3f)
        bytes[at++] = 0x80 | (point & 0x3f)
        continue
      }
      point = 0xfffd
    }
    bytes[at++] = 0xe0 | (point >>> 12)
    bytes[at++] = 0x80 | ((point >>> 6) & 0x3f)
    bytes[at++] = 0x80 | (point & 0x3f)
  }
  return at
}
