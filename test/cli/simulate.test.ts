import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { PICKERS } from '../../src/core/balance/registry.ts'
import { SCENARIOS } from '../../src/lab/simulate/scenarios/index.ts'
import { evenkeel } from './evenkeel-process.ts'

const folder = mkdtempSync(join(tmpdir(), 'evenkeel-simulate-'))
after(() => rmSync(folder, { recursive: true, force: true }))

describe('evenkeel simulate', () => {
  test('lists every scenario and every picker', async () => {
    const { code, stdout } = await evenkeel(['simulate', '--list'])
    assert.equal(code, 0)
    for (const { name, summary } of SCENARIOS) assert.ok(stdout.includes(name) && stdout.includes(summary), name)
    for (const name of Object.keys(PICKERS)) assert.ok(stdout.includes(name), name)
    const listed = JSON.parse((await evenkeel(['simulate', '--list', '--json'])).stdout) as { scenarios: unknown[] }
    assert.equal(listed.scenarios.length, SCENARIOS.length)
  })

  test('prints a table, says how far it is on standard error, and writes the report', async () => {
    const report = join(folder, 'report.html')
    const { code, stdout, stderr } = await evenkeel([
      ...['simulate', 'equal', 'recovery', '--pickers', 'p2c,random,oracle', '--seeds', '2', '--out', report],
    ])
    assert.equal(code, 0, stderr)
    assert.match(stdout, /equal {2}10 balancers/)
    assert.match(stdout, /picker +p99 ÷ best +p50/)
    assert.match(stdout, /p2c +1\.00/)
    assert.match(stdout, /1 equal, 2 recovery/)
    assert.match(stdout, /12 runs in /)
    assert.match(stderr, /equal: done in .*\nrecovery: done in /)
    const html = readFileSync(report, 'utf8')
    assert.match(html, /evenkeel simulate equal recovery --pickers p2c,random,oracle --seeds 2/)
  })

  test('gives the same figures as JSON, each time', async () => {
    const args = ['simulate', 'equal', '--pickers', 'p2c,least-requests:exact=true', '--seeds', '2', '--json']
    const [one, other] = await Promise.all([evenkeel(args), evenkeel(args)])
    assert.equal(one.stdout, other.stdout)
    const { ok, results } = JSON.parse(one.stdout) as {
      ok: boolean
      results: { scenario: string; best: string; pickers: { picker: string; p50: number; p99: { median: number } }[] }[]
    }
    assert.equal(ok, true)
    assert.deepEqual([results[0]!.scenario, results[0]!.best], ['equal', 'least-requests:exact=true'])
    for (const { p50, p99 } of results[0]!.pickers) assert.ok(p50 > 10 && p99.median > p50)
  })

  test('judges, and writes Markdown', async () => {
    const report = join(folder, 'judgement.md')
    const args = ['simulate', '--judge', 'equal', 'speeds', '--pickers', 'p2c,random', '--seeds', '6', '--out', report]
    const { code, stdout } = await evenkeel(args)
    assert.equal(code, 0)
    assert.match(stdout, /picker +worst +in +1 +2\n/)
    assert.match(readFileSync(report, 'utf8'), /\| \*\*worst\*\* \| \*\*1\.00 \[1\.00 1\.00\]\*\* \|/)
  })

  test('plays an access log', async () => {
    const log = join(folder, 'access.log')
    const lines = Array.from({ length: 400 }, (_, index) =>
      JSON.stringify({ time: new Date(1.7e12 + index * 25).toISOString(), path: `/${index % 7}`, first_byte_ms: 20 }),
    )
    writeFileSync(log, `${lines.join('\n')}\nnot a line of a log\n`)
    const args = ['simulate', '--trace', log, '--endpoints', '3', '--pickers', 'round-robin', '--seeds', '1', '--json']
    const { code, stdout, stderr } = await evenkeel(args)
    assert.equal(code, 0, stderr)
    assert.match(stderr, /^1 lines have no request/m)
    const { results } = JSON.parse(stdout) as { results: { pickers: { p50: number; errorRatio: number }[] }[] }
    const { p50, errorRatio } = results[0]!.pickers[0]!
    assert.ok(Math.abs(p50 - 20.5) < 0.5 && errorRatio === 0, `${p50}`)
  })

  test('says what is wrong with what it was asked', async () => {
    const empty = join(folder, 'empty.log')
    writeFileSync(empty, '\n')
    const wrong: readonly (readonly [args: readonly string[], code: number, says: RegExp])[] = [
      [['one-slo'], 2, /no scenario 'one-slo', did you mean one-slow\?\n.*--list/],
      [['--pickers', 'p2d'], 2, /no picker 'p2d', did you mean p2c\?/],
      [['--pickers', 'p2c:exact'], 2, /no option=value/],
      [['--seeds', '0'], 2, /whole number from 1 to 1000/],
      [['--out', 'report.pdf'], 2, /a \.html or a \.md file/],
      [['--trace', 'nothing.log'], 1, /nothing\.log cannot be read: ENOENT/],
      [['--trace', empty], 1, /has no requests to play/],
      [['equal', '--trace', empty], 2, /a scenario or --trace, not both/],
      [['equal', '--pickers', 'p2c', '--seeds', '1', '--out', join(folder, 'no', 'report.md')], 1, /cannot be written/],
    ]
    await Promise.all(
      wrong.map(async ([args, expected, says]) => {
        const { code, stderr } = await evenkeel(['simulate', ...args])
        assert.equal(code, expected, `${args.join(' ')}: ${stderr}`)
        assert.match(stderr, says)
        assert.doesNotMatch(stderr, /^\s+at /m)
      }),
    )
  })
})
