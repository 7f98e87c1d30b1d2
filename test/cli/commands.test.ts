import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, test } from 'node:test'
import { makeProgram } from '../../src/cli/main.ts'
import { nearestCommands } from '../../src/cli/nearest-command.ts'
import { evenkeel } from './evenkeel-process.ts'

const page = readFileSync(resolve(import.meta.dirname, '../../docs/reference/commands.md'), 'utf8')
const { version } = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../package.json'), 'utf8')) as {
  version: string
}

describe('every command', () => {
  const { commands } = makeProgram()

  test('has --json, and help with a summary and an example', () => {
    for (const command of commands) {
      assert.ok(
        command.options.some(({ long }) => long === '--json'),
        command.name(),
      )
      assert.ok(command.summary().length > 10, command.name())
      let help = ''
      command.configureOutput({ writeOut: (text) => (help += text) })
      command.outputHelp()
      assert.match(help, new RegExp(`Example:\n  evenkeel ${command.name()}`), command.name())
    }
  })

  test('is in the reference with all its options, and the reference has no other', () => {
    const sections = new Map(page.split(/^## /m).map((section) => [section.split('\n')[0]!, section]))
    const documented = [...sections.keys()]
      .filter((title) => title.startsWith('evenkeel '))
      .map((title) => title.slice('evenkeel '.length))
    assert.deepEqual(documented.sort(), commands.map((command) => command.name()).sort())
    for (const command of commands) {
      const section = sections.get(`evenkeel ${command.name()}`)!
      for (const { long } of command.options) {
        if (long !== '--json') assert.ok(section.includes(`\`${long}\``), `${command.name()} ${long}`)
      }
      for (const [, option] of section.matchAll(/`(--[a-z-]+)`/g)) {
        assert.ok(
          command.options.some(({ long }) => long === option),
          `${command.name()} has no ${option}`,
        )
      }
    }
  })
})

describe('the exit code', () => {
  test('is 0 for help and version', async () => {
    const [help, version_, command] = await Promise.all([
      evenkeel(['--help']),
      evenkeel(['--version']),
      evenkeel(['check', '--help']),
    ])
    assert.deepEqual([help.code, version_.code, command.code], [0, 0, 0])
    assert.match(help.stdout, /Exit codes: 0/)
    assert.equal(version_.stdout, `${version}\n`)
    assert.match(command.stdout, /Usage: evenkeel check/)
  })

  test('is 2 for a command line that makes no sense, with the nearest that does', async () => {
    const wrong: readonly (readonly [args: readonly string[], says: RegExp])[] = [
      [[], /Usage: evenkeel/],
      [['chekc'], /Did you mean check\?/],
      [['stat'], /unknown command 'stat'\n\(Did you mean status\?\)/],
      [['check', '--jsn'], /Did you mean --json\?/],
      [['proxy', '--from', ':1'], /required option '--to/],
      [['proxy', '--from', ':1', '--to', 'a:1', '--workers', 'x'], /number or 'auto'/],
      [['demo', '--port', '99999'], /1 to 65535/],
    ]
    await Promise.all(
      wrong.map(async ([args, says]) => {
        const { code, stderr } = await evenkeel(args)
        assert.equal(code, 2, `${args.join(' ')}: ${stderr}`)
        assert.match(stderr, says)
        assert.doesNotMatch(stderr, /^\s+at /m)
      }),
    )
  })

  test('names the command that a word begins before one that is spelled like it', () => {
    const names = ['start', 'status', 'check', 'weight']
    assert.deepEqual(
      ['stat', 'sta', 'WE', 'chekc', 'zzzzz', ''].map((word) => nearestCommands(word, names)),
      [['status'], ['start', 'status'], ['weight'], ['check'], [], []],
    )
  })

  test('is 1 for a problem, with what to do and without a stack trace', async () => {
    const wrong: readonly (readonly [args: readonly string[], says: RegExp])[] = [
      [['start'], /no config in .*\n.*evenkeel\.config\.ts/],
      [['start', '--config', 'nothing.yaml'], /cannot be used\n {2}nothing\.yaml: there is no such file/],
      [['proxy', '--from', '8080', '--to', 'https://a'], /--from: the port stands alone.*\n.*--to: TLS/],
      [
        ['proxy', '--from', '127.0.0.1:0', '--to', 'a:1', '--balance', 'round-robbin'],
        /--balance: .*did you mean 'round-robin'/,
      ],
      [['status'], /error: /],
    ]
    await Promise.all(
      wrong.map(async ([args, says]) => {
        const { code, stderr } = await evenkeel(args)
        assert.equal(code, 1, `${args.join(' ')}: ${stderr}`)
        assert.match(stderr, says)
        assert.doesNotMatch(stderr, /^\s+at /m)
      }),
    )
  })

  test('comes with the reason as JSON when that is asked for', async () => {
    const { code, stdout, stderr } = await evenkeel(['start', '--json', '--config', 'nothing.yaml'])
    assert.deepEqual([code, stderr], [1, ''])
    const { ok, problems } = JSON.parse(stdout) as { ok: boolean; problems: { code: string }[] }
    assert.deepEqual([ok, problems[0]?.code], [false, 'unreadable'])
  })
})
