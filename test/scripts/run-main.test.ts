import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { resolve } from 'node:path'
import { test } from 'node:test'

const helper = resolve(import.meta.dirname, '../../scripts/run-main.ts')

function run(body: string): { readonly status: number | null; readonly stderr: string } {
  const program = `import { numberOption, runMain, UsageError } from ${JSON.stringify(helper)}; import { parseArgs } from 'node:util'; await runMain(${body})`
  return spawnSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' })
}

test('a script ends with what its main function says, and failures are one line', () => {
  for (const [body, status, said] of [
    ['() => {}', 0, ''],
    ['async () => 3', 3, ''],
    ["() => { throw new Error('no wrk') }", 1, 'no wrk\n'],
    ["async () => { throw new UsageError('which row?') }", 2, 'which row?\n'],
    ["() => { parseArgs({ args: ['--x'], options: {} }) }", 2, /^Unknown option '--x'[^\n]*\n$/],
    ["() => { numberOption('rounds', 'many', 1) }", 2, "--rounds is a number from 1 on, not 'many'\n"],
    ["() => { numberOption('rounds', '', 0) }", 2, "--rounds is a number from 0 on, not ''\n"],
  ] as const) {
    const done = run(body)
    assert.equal(done.status, status, body)
    if (typeof said === 'string') assert.equal(done.stderr, said, body)
    else assert.match(done.stderr, said, body)
  }
})

test('every script and bench that has arguments refuses one that it does not know, with exit 2', () => {
  for (const script of [
    'scripts/drills.ts',
    'scripts/clients.ts',
    'scripts/fuzz.ts',
    'bench/peers.ts',
    'bench/profile.ts',
    'bench/soak.ts',
  ]) {
    const file = resolve(import.meta.dirname, '../..', script)
    const done = spawnSync(process.execPath, [file, '--no-such-option'], { encoding: 'utf8', timeout: 20_000 })
    assert.equal(done.status, 2, `${script}: ${done.stderr}`)
    assert.match(done.stderr, /no-such-option/)
  }
})
