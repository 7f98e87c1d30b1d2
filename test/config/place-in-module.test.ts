import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { placeInModule } from '../../src/config/place-in-module.ts'
import type { PathStep } from '../../src/config/problem.ts'
import { matchBrackets, tokensOf } from '../../src/config/script-tokens.ts'

/** `line:column` of a path in a source that gives `config`; `none` where there is a doubt. */
function placed(source: string, config: unknown, path: readonly PathStep[], atKey = false): string {
  const place = placeInModule(source, config)({ path, atKey })
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
        const place = placeInModule(source, { a: [1] })({ path: ['a', 0] })
        assert.ok(place === undefined || place.line <= source.split('\n').length)
        const tokens = tokensOf(source)
        if (tokens !== null) matchBrackets(tokens)
        // Nothing but white space and comments is left out.
        for (const { text, offset } of tokens ?? []) assert.equal(source.slice(offset, offset + text.length), text)
      }),
      { numRuns: 2000 },
    )
  })

  test('is not given for a constant that is another than it looks', () => {
    const web = '{ web: { wieght: 1 } }'
    const config = { pools: { web: { wieght: 1 } } }
    const key = ['pools', 'web', 'wieght']
    const own = `const pools = ${web}\n`
    assert.equal(placed(`${own}export default { pools }`, config, key, true), '1:24')
    assert.equal(placed(`${own}const all = { pools }\nexport default all`, config, key, true), '1:24')
    assert.equal(placed(`${own}const id = x.pools\nexport default { pools }`, config, key, true), '1:24')
    const inner = `const pools = ${web}`
    for (const before of [
      // Bound elsewhere, and the constant stands within something.
      `import { pools } from './pools.ts'\nfunction unused() { ${inner}; return [pools] }`,
      `import { x, pools } from './pools.ts'\nfunction unused() { ${inner} }`,
      `import type { pools }\nfrom './pools.ts'\n${inner}`,
      `const { pools } = await load()\n{ ${inner}; use([pools]) }`,
      `const { x: [pools] } = await load()\n{ ${inner} }`,
      `namespace N { ${inner} }`,
      `const make = () => { ${inner}\n  return { pools } }`,
      `for (${inner}; ;) {}`,
      // Bound once more.
      `${own}const make = ({ pools }) => 1`,
      `${own}const make = ([pools], x) => 1`,
      `${own}function make(pools) {}`,
      `${own}function make({ a: pools }: X) {}`,
      `${own}const make = (pools: X, b) => 1`,
      `${own}{ let pools = 1 }`,
      `${own}{ var [pools] = x }`,
      `${own}{ function pools() {} }`,
      `${own}{ class pools {} }`,
      `${own}try {} catch ({ pools }) {}`,
      // Given to something that may change it.
      `${own}change({ pools })`,
      `${own}const other = { pools }\nother.pools.web = 1`,
      `${own}let other = { pools }`,
      `${own};[pools].forEach(change)`,
      `${own}for (const each of [pools]) change(each)`,
      `${own}change(\`\${pools}\`, pools)`,
      // Declared, with the next statement's value.
      `declare const pools: X\nconst other = ${web}`,
      // A name with an escape is another than it looks.
      `${own}p\\u006fols.web = 1`,
    ]) {
      assert.equal(placed(`${before}\nexport default { pools }`, config, key, true), 'none', before)
    }
    const foreign = "import { x } from 'evenkeel'\nimport { defineConfig } from './mine.ts'\n"
    assert.equal(placed(`${foreign}export default defineConfig({ a: 2 })`, { a: 2 }, ['a']), 'none')
  })

  test('is not given where it is not sure which element is which', () => {
    const list = [{ limit: 0 }, { limit: -1 }, { limit: -1 }]
    const limit = (source: string, index: number, config: unknown = { list }) =>
      placed(source, config, ['list', index, 'limit'])
    const typed = 'export default { list: [{ limit: 0 } as Record<string, unknown>, { limit: -1 }, { limit: -1 }] }'
    assert.equal(limit(typed, 0), '1:34')
    assert.equal(limit(typed, 1), 'none')
    assert.equal(limit(typed, 2), 'none')
    assert.equal(limit('export default { list: [make<A, B>(1), { limit: -1 }, { limit: -1 }] }', 2), 'none')
    assert.equal(limit("export default { list: ['<', { limit: -1 }, f(1 < 2)] }", 1), '1:39')
    assert.equal(limit('export default { list: [{ limit: 0 }, { limit: -1 }] }', 1), 'none', 'one was added')
    assert.equal(limit('export default { list: [{ limit: 0 }, { limit: -1 }, ...more] }', 1), '1:48')
    for (const first of ['{ limit: 0 } as X ? a : b', '{ limit: 0 } as X || b', '{ limit: 0 }\n in b']) {
      assert.equal(limit(`export default { list: [${first}] }`, 0, { list: [{ limit: 0 }] }), 'none', first)
    }
  })

  test('is not given where a slash can be read in two ways, and counts lines as editors do', () => {
    const at = (source: string) => placed(source, { a: 2 }, ['a'])
    assert.equal(at("const f = (x) => { if (x) /'{/.test(x) }\nexport default { a: 2 }"), '2:21')
    assert.equal(at(`const half = (1 + 2) / 2, b = \`\${/[\`}/]/.test(x)}\` / 2\nexport default { a: 2 }`), '2:21')
    for (const doubtful of ['{} /x/', 'a! / b', 'a++ / b', 'a as B<C> / 2', 'of /x/']) {
      assert.equal(at(`${doubtful}\nexport default { a: 2 }`), 'none', doubtful)
    }
    assert.equal(at("#!/usr/bin/env 'node\nexport default { a: 2 }"), '2:21')
    assert.equal(at('\uFEFFexport default { a: 2 }'), '1:21')
    assert.equal(at('// x\r\nexport default { a: 2 }'), '2:21')
    assert.equal(at('// x\rexport default { a: 2 }'), 'none')
    assert.equal(at('/* \u2028 */ export default { a: 2 }'), 'none')
  })

  test('is not given where the config throws when it is read', () => {
    const config = {
      get a(): number {
        throw new Error('no')
      },
      b: 2,
    }
    const place = placeInModule('export default { a: 1, b: 2 }', config)
    assert.equal(place({ path: ['a'] }), undefined)
    assert.deepEqual(place({ path: ['b'] }), { line: 1, column: 27 })
  })

  test('is found for thousands of findings while the source is read once', () => {
    const count = 2000
    const endpoint = "{ url: 'http://a', wieght: 3, note: '0123456789 0123456789 0123456789 0123456789' },\n"
    const source = `const web = [\n${endpoint.repeat(count)}]\nexport default { pools: { web } }\n`
    const config = { pools: { web: Array.from({ length: count }, () => ({ url: 'http://a', wieght: 3 })) } }
    assert.ok(source.length > 150_000)
    const start = performance.now()
    const place = placeInModule(source, config)
    for (let index = 0; index < count; index++) {
      const found = place({ path: ['pools', 'web', index, 'wieght'], atKey: true })
      assert.deepEqual(found, { line: index + 2, column: 20 })
    }
    const tookMs = performance.now() - start
    assert.ok(tookMs < 1500, `it took ${tookMs} ms`)
  })

  test('takes linear time and bounded memory for whatever there is to read', () => {
    const count = 150_000
    const end = '\nexport default { a: 2 }'
    for (const [name, source] of [
      ['a string', `const x = '${'x'.repeat(9_000_000)}'${end}`],
      ['spaces', ' '.repeat(9_000_000) + end],
      ['a comment', `/*${'x'.repeat(9_000_000)}*/${end}`],
      ['a long string within bounds', `const x = '${'\\x'.repeat(400_000)}'`],
      ['spaces within bounds', ' '.repeat(900_000)],
      ['line comments', '// x\n'.repeat(150_000)],
      ['regular expressions', `x = ${'/['.repeat(count)}`],
      ['slashes', `x = ${'/[\n'.repeat(count)}`],
      ['strings in a template', `x = \`\${${'"\\'.repeat(count)}`],
      ['comments in a template', `x = \`\${${'/*'.repeat(count)}`],
      ['templates', `x = ${'`${'.repeat(count)}`],
      ['templates that end', `x = ${'`${'.repeat(count)}${'}`'.repeat(count)}`],
      ['brackets', `export default ${'['.repeat(count)}${']'.repeat(count)}`],
      ['parentheses', `export default ${'('.repeat(count)}{ a: 2 }${')'.repeat(count)}`],
      ['a name', `const a = {}\nexport default ${'[a,'.repeat(count)}${']'.repeat(count)}`],
      [
        'aliases',
        `${Array.from({ length: 20_000 }, (_, i) => `const a${i} = { a: a${i + 1} }\n`).join('')}export default a0`,
      ],
      ['types', `export default [${'a as '.repeat(count)}]`],
      ['constants', `${'const a: B\n'.repeat(count / 2)}export default a`],
    ] as const) {
      const start = performance.now()
      const place = placeInModule(source, { a: 2 })
      for (let i = 0; i < 50; i++) place({ path: ['a', 'a', 'a'] })
      assert.doesNotThrow(() => tokensOf(source), name)
      const tookMs = performance.now() - start
      assert.ok(tookMs < 3000, `${name}: it took ${tookMs} ms`)
      if (source.length > 1_000_000) assert.equal(place({ path: ['a'] }), undefined, name)
    }
  })
})
