import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { placeInModule } from '../../src/config/place-in-module.ts'
import type { Finding, PathStep } from '../../src/config/problem.ts'
import { matchBrackets, tokensOf } from '../../src/config/script-tokens.ts'

/** `line:column` of a path in a source that gives `config`; `none` where there is a doubt. */
function placed(source: string, config: unknown, path: readonly PathStep[], atKey = false): string {
  const finding: Finding = { path, message: '', severity: 'error', code: 'bad-value', atKey }
  const place = placeInModule(source, config, finding)
  return place === undefined ? 'none' : `${place.line}:${place.column}`
}

const imported = "import { defineConfig } from 'evenkeel'\n"

describe('the place of a value in a module', () => {
  const config = { version: 1, pools: { web: { endpoints: ['a', { url: 'b', weight: -1 }] } } }
  const literal = `{
  version: 1,
  pools: {
    'web': { endpoints: ['a', { url: \`b\`, weight: -1 }] },
  },
}`

  test('is that of its literal, however the config is wrapped', () => {
    for (const [source, line] of [
      [`export default ${literal}`, 4],
      [`export default (${literal} as const) satisfies object\n`, 4],
      [`${imported}export default defineConfig(${literal})\n`, 5],
      [`${imported}const config: Config<{ a: () => void }> = ${literal}\nexport default defineConfig(config)\n`, 5],
      [`const half = /[{/]/.test('}') ? 1 / 2 : \`\${'}'}{\` // {\n/* { */ export default ${literal}`, 5],
    ] as const) {
      assert.equal(placed(source, config, ['pools', 'web', 'endpoints', 0]), `${line}:26`, source)
      assert.equal(placed(source, config, ['pools', 'web', 'endpoints', 1, 'weight']), `${line}:51`, source)
      assert.equal(placed(source, config, ['pools', 'web', 'endpoints'], true), `${line}:14`, source)
      // Missing: the object that it is missing from.
      assert.equal(placed(source, config, ['pools', 'web', 'health']), `${line}:12`, source)
    }
  })

  test('is found in constants of the same file, and where the key is given for what is computed', () => {
    const source = `const web = { endpoints: list(), balance }\nconst pools = { web, other: web }\nexport default { pools, workers: Number(process.env.N) }\n`
    const made = { pools: { web: { endpoints: [], balance: 'x' }, other: {} }, workers: 99 }
    assert.equal(placed(source, made, ['pools', 'web', 'balance']), '1:34')
    assert.equal(placed(source, made, ['pools', 'web', 'endpoints']), '1:26')
    assert.equal(placed(source, made, ['workers']), '3:34')
    assert.equal(placed(source, made, ['pools', 'web', 'endpoints', 0]), 'none')
  })

  test('is not given where the source leaves a doubt', () => {
    const made = { a: 2, list: ['x', 'y'] }
    for (const [source, path] of [
      ['export default { a: 1 }', ['a']],
      ['export default { a: 2, ...rest }', ['a']],
      ['export default { a: 2, [key]: 3 }', ['a']],
      ['export default { ...rest }', ['missing']],
      ["export default { list: [...some, 'y'] }", ['list', 1]],
      ["export default { list: [, 'y'] }", ['list', 1]],
      ["export default { list: ['x', 'y'].toReversed() }", ['list', 0]],
      ['export default make({ a: 2 })', ['a']],
      ['export default defineConfig({ a: 2 })', ['a']],
      [`${imported}function defineConfig() {}\nexport default defineConfig({ a: 2 })`, ['a']],
      ['export default isIt ? { a: 2 } : { a: 2 }', ['a']],
      ['export default { get a() { return 2 } }', ['a']],
      ["export default { 'a\\x20': 2, a: 2 }", ['a']],
      ['const c = { a: 2 }\nc.a = 2\nexport default c', ['a']],
      ['const c = { a: 2 }\nObject.assign(c, more)\nexport default c', ['a']],
      ['let c = { a: 2 }\nexport default c', ['a']],
      ['{ const c = { a: 2 } }\nconst c = { a: 2 }\nexport default c', ['a']],
      ['const a = b, b = a\nexport default a', ['a']],
      ["import c from './c.ts'\nexport default c", ['a']],
      ['const c = { a: 2 }\nexport { c as default }', ['a']],
      ["export default { a: 'no end }", ['a']],
      ['export default { a: (2] }', ['a']],
    ] as const) {
      assert.equal(placed(source, made, path), 'none', source)
    }
    assert.equal(placed('export default { a: 2 }', made, []), 'none')
    assert.equal(placed('export default { b: 2 }', { c: 1 }, ['c'], true), 'none')
  })

  test('reading never throws, and ends, whatever the source', () => {
    const piece = fc.constantFrom(
      ...[
        'export default ',
        '{',
        '}',
        '[',
        ']',
        '(',
        ')',
        ',',
        ':',
        '...',
        'a',
        "'a'",
        '`',
        '${',
        '/',
        '//',
        '/*',
        '\n',
        '-',
        '1',
        'const a =',
        '\\',
        '"',
      ],
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const source = pieces.join('')
        const place = placeInModule(
          source,
          { a: [1] },
          { path: ['a', 0], message: '', severity: 'error', code: 'missing' },
        )
        assert.ok(place === undefined || place.line <= source.split('\n').length)
        const tokens = tokensOf(source)
        if (tokens !== null) matchBrackets(tokens)
        // Nothing but white space and comments is left out.
        for (const { text, offset } of tokens ?? []) assert.equal(source.slice(offset, offset + text.length), text)
      }),
      { numRuns: 2000 },
    )
  })
})
