import { FieldFlag } from './fields.ts'
import type { MessageHead } from './head.ts'
import { latin1 } from './latin1.ts'

/**
 * The fields of a head that are passed on, as text: neighbours that stay are sliced in one run,
 * what is hop-by-hop, spelled with `_` for `-`, or in `cut` (by `FieldId`) is left out.
 */
export function keptFields(head: MessageHead, cut: Uint8Array): string {
  const { bytes, count, flags, id, nameStart, nameEnd, valueStart, valueEnd } = head
  let text = ''
  let runStart = -1
  for (let i = 0; i < count; i++) {
    const flag = flags[i]!
    const isKept = (flag & (FieldFlag.HOP | FieldFlag.VARIANT)) === 0 && cut[id[i]!] !== 1
    if (isKept && (flag & FieldFlag.IRREGULAR) === 0) {
      if (runStart < 0) runStart = nameStart[i]!
      continue
    }
    if (runStart >= 0) {
      text += latin1(bytes, runStart, nameStart[i]!)
      runStart = -1
    }
    if (isKept)
      text += `${latin1(bytes, nameStart[i]!, nameEnd[i]!)}: ${latin1(bytes, valueStart[i]!, valueEnd[i]!)}\r\n`
  }
  // A regular field ends with CRLF right behind its value.
  if (runStart >= 0) text += latin1(bytes, runStart, valueEnd[count - 1]! + 2)
  return text
}
