import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { evenkeel } from './evenkeel-process.ts'

const folder = mkdtempSync(join(tmpdir(), 'evenkeel-check-'))
after(() => rmSync(folder, { recursive: true }))

function write(name: string, text: string): void {
  writeFileSync(join(folder, name), text)
}

const good =
  'version: 1\nlisteners: [{ bind: ":8080" }]\nroutes: [{ pool: web }]\npools: { web: { endpoints: [http://a, http://b] } }\n'

describe('evenkeel check', () => {
  test('prints every problem with file, line, column, path, reason and what to do, and exits 1', async () => {
    write(
      'bad.yaml',
      'version: 1\nlisteners:\n  - bind: 8080\nroutes: [{ pool: wbe }]\npools:\n  web: { endpoints: [http://a], heatlh: {} }\n',
    )
    const { code, stdout } = await evenkeel(['check', 'bad.yaml'], { cwd: folder })
    assert.equal(code, 1)
    assert.deepEqual(stdout.split('\n'), [
      'bad.yaml:3:11: listeners[0].bind: it must be a text, not 8080',
      "bad.yaml:4:18: routes[0].pool: there is no pool 'wbe' (did you mean 'web'?)",
      "bad.yaml:6:33: pools.web.heatlh: unknown key 'heatlh' (did you mean 'health'?)",
      '✗ bad.yaml: 3 problems',
      '',
    ])
  })

  test('says that a good one is good, and what is doubtful about it', async () => {
    write('doubtful.yaml', `${good.replace('[{ pool: web }]', '[{ pool: web }, { match: { path: /a }, pool: web }]')}`)
    const { code, stdout } = await evenkeel(['check', 'doubtful.yaml'], { cwd: folder })
    assert.equal(code, 0)
    assert.match(stdout, /^doubtful\.yaml:3:25: warning: routes\[1\]: no request reaches this route/)
    assert.match(stdout, /✓ doubtful\.yaml is good: 1 listener, 2 routes, 1 pool, 2 endpoints; 1 warning/)
  })

  test('has the same as JSON', async () => {
    write('bad.ts', 'export default { version: 2 }\n')
    const { code, stdout } = await evenkeel(['check', '--json', 'bad.ts'], { cwd: folder })
    assert.equal(code, 1)
    const { ok, file, problems, summary } = JSON.parse(stdout) as {
      ok: boolean
      file: string
      problems: { path: string }[]
      summary: unknown
    }
    assert.deepEqual([ok, file, summary], [false, join(folder, 'bad.ts'), null])
    assert.deepEqual(
      problems.map(({ path }) => path),
      ['version', 'listeners', 'pools'],
    )
  })

  test('takes the config of the working directory, and asks where there are two', async () => {
    write('evenkeel.config.yaml', good)
    const one = await evenkeel(['check'], { cwd: folder })
    assert.deepEqual([one.code, one.stdout.startsWith('✓ evenkeel.config.yaml is good')], [0, true])
    write('evenkeel.config.json', '{}')
    const two = await evenkeel(['check'], { cwd: folder })
    assert.equal(two.code, 1)
    assert.match(two.stderr, /several configs here: evenkeel\.config\.json, evenkeel\.config\.yaml/)
  })

  test('tells what the module did wrong in its own lines, and the stack only when asked', async () => {
    write(
      'throws.ts',
      'const pools = null as unknown as { web: object }\nexport default { version: 1, pools: pools.web }\n',
    )
    const { code, stdout, stderr } = await evenkeel(['check', 'throws.ts'], { cwd: folder })
    assert.deepEqual([code, stderr], [1, ''])
    assert.match(stdout, /^throws\.ts:2:\d+: TypeError: Cannot read properties of null \(reading 'web'\)\n✗/)
  })
})
