import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { CONFIG_FILE_NAMES, loadConfig } from '../../src/config/load.ts'
import { relativeImports } from '../../src/config/module-graph.ts'
import { formatProblem, type Problem } from '../../src/config/problem.ts'

const folder = mkdtempSync(join(tmpdir(), 'evenkeel-config-'))
after(() => rmSync(folder, { recursive: true }))

function write(name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

async function problems(name: string, text: string): Promise<readonly Problem[]> {
  const loaded = await loadConfig(write(name, text))
  return loaded.problems ?? loaded.warnings
}

/** `line:column path` of each problem. */
async function places(name: string, text: string): Promise<string[]> {
  return (await problems(name, text)).map(({ line, column, path }) => `${line}:${column} ${path}`)
}

const smallest = {
  version: 1,
  listeners: [{ bind: ':8080' }],
  routes: [{ pool: 'web' }],
  pools: { web: { endpoints: ['http://a'] } },
}

describe('a config file', () => {
  test('is read from JSON, YAML, JavaScript and TypeScript to the same settings', async () => {
    const json = JSON.stringify(smallest)
    const files = [
      write('a.json', `\uFEFF${json}`),
      write(
        'a.yaml',
        'version: 1\nlisteners: [{ bind: ":8080" }]\nroutes:\n  - pool: web\npools:\n  web: { endpoints: [http://a] }\n',
      ),
      write('a.yml', json),
      write('a.mjs', `export default ${json}`),
      write(
        'a.ts',
        `import { defineConfig, type Config } from 'evenkeel'\nconst config: Config = ${json}\nexport default defineConfig(config)\n`,
      ),
    ]
    const all = await Promise.all(files.map((file) => loadConfig(file)))
    for (const [index, loaded] of all.entries()) {
      assert.ok(loaded.settings, `${files[index]}: ${JSON.stringify(loaded.problems)}`)
      assert.deepEqual(loaded.settings, all[0]!.settings)
      assert.deepEqual(loaded.moduleFiles, [files[index]])
      assert.match(loaded.hash, /^[0-9a-f]{16}$/)
    }
  })

  test('of another kind, or none, or a folder is a problem, never an exception', async () => {
    const message = async (file: string) => (await loadConfig(file)).problems?.[0]?.message
    assert.match((await message(join(folder, 'nothing.ts'))) ?? '', /no such file/)
    assert.match((await message(join(folder, 'nowhere', 'a.ts'))) ?? '', /no directory/)
    assert.match((await message(write('a.toml', ''))) ?? '', /\.yaml or \.yml file/)
    assert.match((await message(folder)) ?? '', /\.yml file/)
    assert.deepEqual(CONFIG_FILE_NAMES[0], 'evenkeel.config.ts')
    write('evenkeel.config.yaml', '')
    const missing = await loadConfig(join(folder, 'evenkeel.config.yml'))
    assert.match(missing.problems?.[0]?.hint ?? '', /evenkeel\.config\.yaml/)
  })
})

describe('a problem in YAML', () => {
  test('has the line and column of the value, or of the key where the key is wrong', async () => {
    const text = `version: 1
listeners:
  - bind: :8080
    timeouts: { headMs: 5s }
routes:
  - pool: wbe
    match:
      path: api
pools:
  web:
    balnce: p2c
    endpoints:
      - http://127.0.0.1:9001
      - url: http://127.0.0.1:9002/x
        weight: -1
  other: {}
admin:
`
    assert.deepEqual(await places('p.yaml', text), [
      '4:25 listeners[0].timeouts.headMs',
      '6:11 routes[0].pool',
      '8:13 routes[0].match.path',
      '11:5 pools.web.balnce',
      '14:14 pools.web.endpoints[1].url',
      '15:17 pools.web.endpoints[1].weight',
      // Missing: the object that it is missing from.
      '16:10 pools.other.endpoints',
      '17:7 admin',
    ])
  })

  test('is found through aliases and merges', async () => {
    const text = `version: 1
listeners: [{ bind: ":1" }]
routes: [{ match: { path: /b }, pool: b }, { pool: a }]
pools:
  a: &a
    endpoints: [bad]
  b: *a
`
    const seen = await places('alias.yaml', text)
    assert.ok(seen.includes('6:17 pools.a.endpoints[0]') && seen.includes('6:17 pools.b.endpoints[0]'), seen.join())
  })

  test('of its syntax is a problem with a place too', async () => {
    assert.deepEqual(await places('s1.yaml', 'version: 1\nversion: 1\n'), ['2:1 '])
    assert.match((await problems('s3.yaml', 'a:\n\t- 1\n'))[0]?.hint ?? '', /spaces/)
    assert.match(
      (
        await problems(
          's4.yaml',
          `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefg'
            .split('')
            .map((key, index) => `${key}: &${key} [${Array(9).fill(`*${'abcdef'[index]}`).join()}]`)
            .join('\n')}\n`,
        )
      )[0]?.message ?? '',
      /alias/i,
    )
  })
})

describe('one slip in YAML', () => {
  const rest = 'routes: [{ pool: web }]\npools:\n  web: { endpoints: [http://a] }\n'

  test('of a bracket or a quote is one problem, at what was left open', async () => {
    for (const [text, place, message] of [
      [`listeners: [{ bind: ":1" }\n${rest}`, '1:12', "this '[' is not closed"],
      [`listeners: [{ bind: ":1" ]\n${rest}`, '1:13', "this '{' is not closed"],
      [`listeners:\n  - { bind: ":1"\n${rest}`, '2:5', "this '{' is not closed"],
      ['routes: [\n  { pool: web },\n  { pool: api\npools: {}\n', '3:3', "this '{' is not closed"],
      ['pools:\n  web: { endpoints: [http://a, http://b }\nadmin: {}\n', '2:21', "this '[' is not closed"],
      [`listeners: { bind: ":1" }]\n${rest}`, '1:26', "unexpected ']'"],
      [`a: "b\n${rest}`, '1:4', 'this quote is not closed'],
      ['a: [1\nb: 2\n', '1:4', "this '[' is not closed"],
    ] as const) {
      const found = await problems('slip.yaml', text)
      assert.deepEqual(
        found.map(({ line, column, message }) => [`${line}:${column}`, message]),
        [[place, message]],
        text,
      )
    }
  })
})

describe('an endpoint that two pools have', () => {
  const head = 'version: 1\nlisteners: [{ bind: :8080 }]\nroutes: [{ match: { path: /b }, pool: b }, { pool: a }]\n'

  test('with two weights or states is a problem at the second, which names both pools', async () => {
    const text = `${head}pools:\n  a: { endpoints: [http://h:1, { url: http://h:2, state: draining }] }\n  b:\n    endpoints:\n      - { url: http://h:1, weight: 2 }\n      - http://h:2\n`
    const found = await problems('shared.yaml', text)
    assert.deepEqual(
      found.map(({ line, column, path, message, severity }) => [`${line}:${column}`, path, message, severity]),
      [
        [
          '8:36',
          'pools.b.endpoints[0].weight',
          "'h:1' has the weight 2 in pool 'b' and 1 in pool 'a': one endpoint has one weight",
          'error',
        ],
        [
          '9:9',
          'pools.b.endpoints[1]',
          "'h:2' has the state active in pool 'b' and draining in pool 'a': one endpoint has one state",
          'error',
        ],
      ],
    )
    assert.match(found[0]?.hint ?? '', /another 'id'/)
    const apart = text
      .replace('url: http://h:1,', 'id: other, url: http://h:1,')
      .replace('- http://h:2', '- http://h:3')
    assert.deepEqual(await problems('apart.yaml', apart), [])
  })

  test('and check differently is a warning once, however many they share', async () => {
    const pool = (path: string): string => `{ endpoints: [http://h:1, http://h:2], health: { path: ${path} } }`
    const [warning, ...more] = await problems('checks.yaml', `${head}pools:\n  a: ${pool('/a')}\n  b: ${pool('/b')}\n`)
    assert.deepEqual(more, [])
    assert.deepEqual([warning?.severity, warning?.line, warning?.path], ['warning', 6, 'pools.b.endpoints[0]'])
    assert.equal(warning?.message, "endpoint 'h:1' and 1 more are checked as pool 'a' says, not as pool 'b' does")
    const same = `${head}pools:\n  a: ${pool('/a')}\n  b: ${pool('/a, intervalMs: 5000')}\n`
    assert.deepEqual(await problems('same-checks.yaml', same), [])
  })
})

describe('a problem in JSON', () => {
  test('has its line and column, with tabs too', async () => {
    assert.deepEqual(
      await places(
        'p.json',
        '{\n\t"version": 1,\n\t"listeners": [{ "bind": "80" }],\n\t"routes": [{ "pool": "web" }],\n\t"pools": { "web": { "endpoints": ["http://a"] } }\n}',
      ),
      ['3:26 listeners[0].bind'],
    )
  })

  test('of its syntax says what to do', async () => {
    const [comma] = await problems('s1.json', '{\n  "version": 1,\n}')
    assert.deepEqual([comma?.line, comma?.column, comma?.hint], [3, 1, 'remove the comma before it'])
    assert.match((await problems('s2.json', '{ // no\n}'))[0]?.hint ?? '', /no comments/)
    assert.equal((await problems('s3.json', '{ "version": 1'))[0]?.line, 1)
    assert.equal((await problems('s4.json', ''))[0]?.code, 'syntax')
    const twice = await problems('s5.json', `{ "version": 1,\n  "version": 1, ${JSON.stringify(smallest).slice(1)}`)
    assert.match(twice[0]?.message ?? '', /twice/)
  })

  test('of its syntax has the place of the slip, also where V8 shows a piece of the text instead', async () => {
    const rest = `\n  "listeners": [{ "bind": ":8080" }],\n  "routes": [{ "pool": "web" }],\n  "pools": { "web": { "endpoints": ["http://a"] } }\n}\n`
    for (const [first, place] of [
      ['{ "version": one,', '1:14'],
      ["{ 'version': 1,", '1:3'],
      ['{ version: 1,', '1:3'],
      ['{ "version": 1 2,', '1:16'],
      ['{ "version": 1,,', '1:16'],
      ['{ "version": 01,', '1:15'],
      ['{ "version": "a\\q",', '1:16'],
      ['{ "version": "a', '1:16'],
      ['{ "version": [1, 2}, ', '1:19'],
      ['{ "version": undefined,', '1:14'],
      ['} "version": 1,', '1:1'],
    ] as const) {
      const [found] = await problems('slip.json', first + rest)
      const at = `${found?.line}:${found?.column}`
      // V8 points behind the backslash or at it, by version.
      if (first.includes('\\q')) assert.match(at, /^1:1[67]$/)
      else assert.equal(at, place, `${first}: ${found?.message}`)
    }
  })
})

describe('a config module', () => {
  const good = `export default ${JSON.stringify(smallest)}\n`

  test('is imported anew when it, or a file that it imports, has changed', async () => {
    const weights = (weight: number) => `export const weight: number = ${weight}\n`
    write('deep.ts', weights(1))
    write(
      'pools.ts',
      `import { weight } from './deep.ts'\nexport const pools = { web: { endpoints: [{ url: 'http://a', weight }] } }\n`,
    )
    const file = write(
      'graph.ts',
      `import { pools } from './pools.ts'\nexport default { ...${JSON.stringify(smallest)}, pools }\n`,
    )
    const weightOf = async () => {
      const loaded = await loadConfig(file)
      assert.ok(loaded.settings, JSON.stringify(loaded.problems))
      assert.deepEqual(
        loaded.moduleFiles,
        ['graph.ts', 'pools.ts', 'deep.ts'].map((name) => join(folder, name)),
      )
      return [loaded.settings.pools['web']!.endpoints[0]!.weight, loaded.hash] as const
    }
    const [first, firstHash] = await weightOf()
    const [again, againHash] = await weightOf()
    write('deep.ts', weights(7))
    const [second, secondHash] = await weightOf()
    assert.deepEqual([first, again, second], [1, 1, 7])
    assert.equal(firstHash, againHash)
    assert.notEqual(firstHash, secondHash)
  })

  test('has the place of what is written in it, and says no place where it cannot know', async () => {
    const text = `import { defineConfig } from 'evenkeel'
const more = ['nowhere']
export default defineConfig({
  version: 1,
  listners: [{ bind: ':1' }],
  routes: [{ pool: 'wbe' }],
  pools: { web: { endpoints: ['http://a', { url: 'http://b', weight: -1 }, ...more] } },
})
`
    assert.deepEqual(await places('places.ts', text), [
      '7:70 pools.web.endpoints[1].weight',
      'undefined:undefined pools.web.endpoints[2]',
      '5:3 listners',
      '6:20 routes[0].pool',
    ])
  })

  test('that does not parse has the place of the slip', async () => {
    const cases: readonly (readonly [name: string, text: string, place: string])[] = [
      ['s1.ts', 'const a: number = 1\nexport default {\n  x: [ }\n', '3:8 '],
      ['s1.mjs', 'const a = 1\nexport default {\n  x: [ }\n', '3:8 '],
      ['s2.ts', 'enum A { B }\nexport default {}\n', '1:1 '],
    ]
    for (const [name, text, place] of cases) {
      const [problem] = await problems(name, text)
      assert.equal(problem?.code, 'syntax', name)
      assert.equal(`${problem.line}:${problem.column} `, place, name)
      assert.equal(problem.file, join(folder, name))
      assert.doesNotMatch(formatProblem(problem), /\n|node:internal/)
    }
  })

  test('that throws has the place in the file that threw, and no stack trace', async () => {
    write('thrower.ts', `interface A { b: number }\nexport function pools(): A { throw new RangeError('no pools') }\n`)
    const [problem] = await problems(
      'throws.ts',
      `import { pools } from './thrower.ts'\nexport default { pools: pools() }\n`,
    )
    assert.deepEqual(
      { file: problem?.file, line: problem?.line, message: problem?.message, code: problem?.code },
      { file: join(folder, 'thrower.ts'), line: 2, message: 'RangeError: no pools', code: 'module-error' },
    )
    assert.match((await problems('string.ts', "throw 'just text'\n"))[0]?.message ?? '', /threw just text/)
  })

  test('gives a place to the first fifty problems, and to the rest their path', async () => {
    const endpoints = Array.from({ length: 60 }, (_, index) => ({ url: `http://a${index}`, wieght: 1 }))
    const config = { ...smallest, pools: { web: { endpoints } } }
    const found = await problems('many.mjs', `export default ${JSON.stringify(config, null, 1)}`)
    assert.equal(found.length, 60)
    assert.deepEqual(
      found.map(({ line }) => line !== undefined),
      found.map((_, index) => index < 50),
    )
    assert.equal(found[59]?.path, 'pools.web.endpoints[59].wieght')
  })

  test('whose source is too long or too deep to read still has its real problems, and is used where it only has warnings', async () => {
    const config = (more: object) => JSON.stringify({ ...smallest, ...more })
    for (const [name, before] of [
      ['long', `const note = '${'x'.repeat(9_000_000)}'\n`],
      ['deep', `const note = () => ${'`${'.repeat(500)}1${'}`'.repeat(500)}\n`],
    ] as const) {
      const [problem] = await problems(`${name}.mjs`, `${before}export default ${config({ wokers: 1 })}`)
      assert.deepEqual([problem?.path, problem?.code, problem?.line], ['wokers', 'unknown-key', undefined])
      const doubtful = { pools: { ...smallest.pools, unused: smallest.pools.web } }
      const loaded = await loadConfig(write(`${name}-2.mjs`, `${before}export default ${config(doubtful)}`))
      assert.ok(loaded.settings, JSON.stringify(loaded.problems))
      assert.deepEqual(
        loaded.warnings.map(({ severity, line }) => [severity, line]),
        [['warning', undefined]],
      )
    }
  })

  test('that imports what is not there has the line of the import, and a hint', async () => {
    const [missing] = await problems('m1.ts', `\nimport './gone.ts'\n${good}`)
    assert.deepEqual([missing?.line, missing?.code], [2, 'module-error'])
    assert.match((await problems('m2.ts', `import './a'\n${good}`))[0]?.hint ?? '', /file's ending/)
    assert.match(
      (await problems('m3.ts', `import 'no-such-package-here'\n${good}`))[0]?.hint ?? '',
      /npm install no-such-package-here/,
    )
    write('names.ts', 'export const a = 1\n')
    const [name] = await problems('m4.ts', `import { b } from './names.ts'\n${good}`)
    assert.match(name?.message ?? '', /does not provide an export named 'b'/)
    assert.equal(name?.line, 1)
  })

  test('that is mended by a file appearing is read again', async () => {
    const file = write('later.ts', `import config from './appears.ts'\nexport default config\n`)
    assert.equal((await loadConfig(file)).settings, undefined)
    write('appears.ts', good)
    assert.ok((await loadConfig(file)).settings)
  })

  test('that failed for a reason outside of its files is tried again', async () => {
    const data = write('data.txt', 'not a number')
    const file = write(
      'reads.ts',
      `import { readFileSync } from 'node:fs'\nif (Number.isNaN(Number(readFileSync(${JSON.stringify(data)}, 'utf8')))) throw new Error('no number')\n${good}`,
    )
    for (let attempt = 0; attempt < 3; attempt++) {
      const { problems: [problem] = [] } = await loadConfig(file)
      assert.deepEqual([problem?.message, problem?.line, problem?.file], ['Error: no number', 2, file])
    }
    write('data.txt', '7')
    assert.ok((await loadConfig(file)).settings)
  })

  test('without a default export says so', async () => {
    const [problem] = await problems('named.ts', 'export const config = {}\n')
    assert.match(problem?.message ?? '', /no default export \(it exports config\)/)
  })

  test('may await at its top level', async () => {
    assert.deepEqual(
      await problems('awaits.ts', `await new Promise((resolve) => setTimeout(resolve, 10))\n${good}`),
      [],
    )
  })
})

test('relative imports are found in every form', () => {
  const source = `
    import a from './a.ts'
    import { b,
      c } from "../b.js"
    import './side.mjs'
    export * from './star.ts'
    export { d } from './d.ts'
    const e = await import('./e.json', { with: { type: 'json' } })
    import fs from 'node:fs'
    import yaml from 'yaml'
  `
  assert.deepEqual(relativeImports(source), ['./a.ts', '../b.js', './side.mjs', './star.ts', './d.ts', './e.json'])
})
