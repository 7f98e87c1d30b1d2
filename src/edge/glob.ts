/** Path globs: `*` stands for any characters within a segment, `**` for any characters. Everything else is itself. */

export function isGlob(pattern: string): boolean {
  return pattern.includes('*')
}

/**
 * Matches in O(pattern × path) at worst: on a mismatch only the last `*` of the segment is widened, and when that hits a
 * slash the last `**`, never both in turn for the same place (no exponential backtracking).
 */
export function matchesGlob(pattern: string, path: string): boolean {
  let p = 0
  let s = 0
  let star = -1
  let starAt = 0
  let deep = -1
  let deepAt = 0
  while (s < path.length) {
    if (pattern[p] === '*') {
      if (pattern[p + 1] === '*') {
        p += 2
        deep = p
        deepAt = s
        star = -1
      } else {
        p += 1
        star = p
        starAt = s
      }
      continue
    }
    if (p < pattern.length && pattern[p] === path[s]) {
      p++
      s++
    } else if (star >= 0 && path[starAt] !== '/') {
      starAt++
      s = starAt
      p = star
    } else if (deep >= 0) {
      deepAt++
      s = deepAt
      p = deep
      star = -1
    } else return false
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}
