/** Path globs: `*` stands for any characters within a segment, `**` for any characters. Everything else is itself. */

export function isGlob(pattern: string): boolean {
  return pattern.includes('*')
}

/**
 * Matches in O(pattern × path), whatever the path: no character is looked at twice. Every position of the pattern that the
 * characters so far may have led to is carried along (Thompson, "Regular expression search algorithm", 1968).
 */
export function matchesGlob(pattern: string, path: string): boolean {
  const end = pattern.length
  /** By position in the pattern, 1: what stands from there on may match the rest of the path. */
  const here = new Uint8Array(end + 1)
  reach(pattern, here, 0)
  for (let s = 0; s < path.length; s++) {
    const character = path[s]
    here[end] = 0
    let isAnywhere = false
    // Downwards: what is reached lies further up, and must not be gone through again for the same character.
    for (let p = end - 1; p >= 0; p--) {
      if (here[p] === 0) continue
      here[p] = 0
      const isStar = pattern[p] === '*'
      if (isStar ? character === '/' && pattern[p + 1] !== '*' : pattern[p] !== character) continue
      reach(pattern, here, isStar ? p : p + 1)
      isAnywhere = true
    }
    if (!isAnywhere) return false
  }
  return here[end] === 1
}

/** Marks a position, and those behind the stars that stand there, as a star may be nothing. */
function reach(pattern: string, here: Uint8Array, from: number): void {
  let p = from
  here[p] = 1
  while (pattern[p] === '*') {
    p += pattern[p + 1] === '*' ? 2 : 1
    here[p] = 1
  }
}
