import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isGlob, matchesGlob } from '../../src/edge/glob.ts'

for (const [pattern, yes, no] of [
  ['/a/*', ['/a/', '/a/b', '/a/b.c'], ['/a', '/a/b/', '/a/b/c', '/b/a']],
  ['/*.png', ['/.png', '/a.png', '/a.png.png'], ['/a/b.png', '/a.pn', '/a.png/', '/a.pngx']],
  ['/a/**', ['/a/', '/a/b', '/a/b/c/'], ['/a', '/b/a/']],
  ['/**/z', ['//z', '/a/z', '/a/b/z', '/z/z'], ['/z', '/a/z/', '/a/zz']],
  ['/a*b*c', ['/abc', '/a1b2c', '/abbcc', '/abcbc'], ['/ab/c', '/acb', '/abcd']],
  ['/**a*b', ['/ab', '/x/y/axb', '/a/ab'], ['/a/b', '/x/a/b', '/ab/']],
  ['**', ['', '/', '/a/b'], []],
  ['*', ['', 'a'], ['/', 'a/']],
  ['***', ['', '/', '/a/b'], []],
  ['/plain', ['/plain'], ['/plain/', '/plai', '/plainx', '']],
  ['/x.y+(z)', ['/x.y+(z)'], ['/xay+(z)', '/x.yy(z)']],
] as const)
  test(`${pattern} matches what it says`, () => {
    for (const path of yes) assert.equal(matchesGlob(pattern, path), true, path)
    for (const path of no) assert.equal(matchesGlob(pattern, path), false, path)
  })

test('matches as the definition says, for any pattern and path', () => {
  const letters = (alphabet: string): fc.Arbitrary<string> =>
    fc.array(fc.constantFrom(...alphabet), { maxLength: 9 }).map((all) => all.join(''))
  fc.assert(
    fc.property(letters('ab/****'), letters('aaab//'), (pattern, path) => {
      assert.equal(matchesGlob(pattern, path), byDefinition(tokens(pattern), path))
    }),
    { seed: 1, numRuns: 30_000 },
  )
})

test('no path makes it slow', () => {
  const long = 'a'.repeat(8000)
  const began = performance.now()
  for (const pattern of ['/**a*b', '/**a*a*a*a*b', '/*a*a*a*a*a*b', '/**a**a**a*b', '/**/a*/**/a*/b'])
    for (const path of [`/${long}`, `/${long}/`, `/${'a/'.repeat(4000)}`, `/${'aaaa/'.repeat(1600)}c`])
      assert.equal(matchesGlob(pattern, path), false)
  const ms = performance.now() - began
  assert.ok(ms < 1000, `${ms} ms for 20 paths of 8000 characters`)
})

test('a pattern without a star is no glob', () => {
  assert.equal(isGlob('/a/b'), false)
  assert.equal(isGlob('/a/*'), true)
})

function tokens(pattern: string): string[] {
  return pattern.match(/\*\*|[^]/g) ?? []
}

function byDefinition(pattern: readonly string[], path: string): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return path === ''
  if (first === '*' || first === '**') {
    if (byDefinition(rest, path)) return true
    return path !== '' && (first === '**' || path[0] !== '/') && byDefinition(pattern, path.slice(1))
  }
  return path[0] === first && byDefinition(rest, path.slice(1))
}
