import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isLocalUrl, printable } from '../../src/cli/admin-client.ts'
import { statusLines } from '../../src/cli/status.ts'
import { tableLines } from '../../src/cli/text-table.ts'
import { Fitness } from '../../src/memory/endpoint-table.ts'
import { writeInstance } from '../../src/service/instances.ts'
import { type StatusDocument, StatusReader } from '../../src/service/status.ts'
import { endpointView, Harness, memoryFor, viewOf } from '../service/harness.ts'

const launcher = fileURLToPath(new URL('../../bin/evenkeel', import.meta.url))

interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command as a user would, with the state directory of a harness. */
function evenkeel(service: Harness | string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Run> {
  const state = typeof service === 'string' ? service : path.join(service.folder, 'state')
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [launcher, ...args], {
      env: { ...process.env, EVENKEEL_STATE_DIR: state, NO_COLOR: '1', FORCE_COLOR: undefined, ...env },
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (data) => {
      stdout += String(data)
    })
    child.stderr.on('data', (data) => {
      stderr += String(data)
    })
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}

test('status finds the running balancer by itself and shows a table', async () => {
  await using service = await Harness.start()
  const [first, second] = service.view.pools[0]!.endpoints
  service.table.record(0, first!.slot, first!.generation, 200, 3, 1000, 100)
  Atomics.or(service.table.fitness, second!.slot, Fitness.DRAINING)
  const { code, stdout, stderr } = await evenkeel(service, ['status'])
  assert.equal(stderr, '')
  assert.equal(code, 0)
  assert.match(stdout, /Evenkeel 1\.2\.3 is ready, up for 1 min \d+ s/)
  assert.match(stdout, /^web {2}round-robin {2}1 of 2 fit$/m)
  assert.match(stdout, /^ {2}127\.0\.0\.1:9001 {2}fit +1 +0 +1 +0 +3\.0 ms/m)
  assert.match(stdout, /^ {2}127\.0\.0\.1:9002 {2}draining/m)
  assert.match(stdout, /it threw/)
  assert.doesNotMatch(stdout, /\u001b/)
  const coloured = await evenkeel(service, ['status'], { NO_COLOR: undefined, FORCE_COLOR: '1' })
  assert.match(coloured.stdout, /\u001b\[32m/)
})

test('status --json is the API’s document', async () => {
  await using service = await Harness.start()
  const { stdout } = await evenkeel(service, ['status', '--json'])
  assert.equal(JSON.parse(stdout).pools[0].endpoints[0].id, '127.0.0.1:9001')
})

test('drain, its undo and weight reach control, and say what is now', async () => {
  await using service = await Harness.start()
  const drained = await evenkeel(service, ['drain', '127.0.0.1:9001'])
  assert.equal(drained.stdout, '✓ 127.0.0.1:9001 is draining\n')
  const undone = await evenkeel(service, ['drain', '127.0.0.1:9001', '--undo', '--pool', 'web'])
  assert.equal(undone.stdout, '✓ 127.0.0.1:9001 gets new requests again\n')
  const weighed = await evenkeel(service, ['weight', '127.0.0.1:9002', '0.5', '--json'])
  assert.deepEqual(JSON.parse(weighed.stdout), {
    ok: true,
    id: '127.0.0.1:9002',
    weight: 0.5,
    pools: ['web'],
    version: 7,
  })
  assert.deepEqual(service.calls, [
    { name: 'set-endpoint', pool: null, id: '127.0.0.1:9001', state: 'draining' },
    { name: 'set-endpoint', pool: 'web', id: '127.0.0.1:9001', state: 'active' },
    { name: 'set-endpoint', pool: null, id: '127.0.0.1:9002', weight: 0.5 },
  ])
})

test('weight --undo takes the hand off, and says what holds again', async () => {
  await using service = await Harness.start()
  const undone = await evenkeel(service, ['weight', '127.0.0.1:9001', '--undo'])
  assert.equal(undone.stdout, '✓ 127.0.0.1:9001 has weight 1 again, as the config says\n')
  const named = await evenkeel(service, ['weight', '127.0.0.1:9001', '--undo', '--pool', 'web', '--json'])
  assert.deepEqual(JSON.parse(named.stdout), { ok: true, id: '127.0.0.1:9001', weight: 1, pools: ['web'], version: 7 })
  assert.deepEqual(service.calls, [
    { name: 'set-endpoint', pool: null, id: '127.0.0.1:9001', weight: null },
    { name: 'set-endpoint', pool: 'web', id: '127.0.0.1:9001', weight: null },
  ])
})

test('drain and weight say in which pools they act where that is more than one', async () => {
  await using service = await Harness.start({
    answer: () => ({ ok: true, version: 7, endpoint: { weight: 3, state: 'draining', pools: ['web', 'api'] } }),
  })
  const drained = await evenkeel(service, ['drain', '127.0.0.1:9001'])
  assert.equal(drained.stdout, '✓ 127.0.0.1:9001 is draining (in 2 pools: web, api)\n')
  const weighed = await evenkeel(service, ['weight', '127.0.0.1:9001', '3'])
  assert.equal(weighed.stdout, '✓ 127.0.0.1:9001 has weight 3 (in 2 pools: web, api)\n')
})

test('status marks what was set by hand, and which endpoints are in several pools', async () => {
  await using service = await Harness.start({
    view: (table) => {
      const shared = endpointView(table, 'a', {
        overlay: { weight: 5, state: 'draining' },
        pools: ['web', 'api'],
        healthPool: 'web',
      })
      table.weight[shared.slot] = 5
      Atomics.or(table.fitness, shared.slot, Fitness.DRAINING)
      return viewOf({ web: [shared], api: [shared, endpointView(table, 'b', { pools: ['api'] })] })
    },
  })
  const { stdout } = await evenkeel(service, ['status'])
  assert.match(stdout, /^ {2}a +draining \(by hand\) +5 \(by hand, file: 1\) /m)
  assert.match(stdout, /^ {2}b +fit +1 /m)
  assert.match(
    stdout,
    /^ {2}a is in api as well: its numbers are those of all of them together, and drain and weight act in all of them; the health check is that of web$/m,
  )
  assert.doesNotMatch(stdout, /b is in/)
})

test('drain --wait returns when nothing runs on the endpoint, or fails at its timeout', async () => {
  await using service = await Harness.start()
  const { slot, generation } = service.view.pools[0]!.endpoints[0]!
  service.table.acquire(0, slot, generation)
  const late = await evenkeel(service, ['drain', '127.0.0.1:9001', '--wait', '--timeout', '0.3'])
  assert.equal(late.code, 1)
  assert.match(late.stderr, /1 still running on 127\.0\.0\.1:9001 after 0\.3 s/)
  const waiting = evenkeel(service, ['drain', '127.0.0.1:9001', '--wait', '--json'])
  setTimeout(() => service.table.release(0, slot, generation), 900)
  const done = await waiting
  assert.equal(done.code, 0)
  assert.ok(JSON.parse(done.stdout).waitedMs >= 0)
})

test('an unknown endpoint is an error that names the nearest, without a stack trace', async () => {
  await using service = await Harness.start()
  const { code, stdout, stderr } = await evenkeel(service, ['drain', '127.0.0.1:9011'])
  assert.equal(code, 1)
  assert.equal(stdout, '')
  assert.equal(stderr, "error: there is no endpoint '127.0.0.1:9011'\n  did you mean '127.0.0.1:9001'?\n")
  const far = await evenkeel(service, ['drain', '29001'])
  assert.equal(far.stderr, "error: there is no endpoint '29001': there are '127.0.0.1:9001', '127.0.0.1:9002'\n")
  assert.doesNotMatch(stderr, /\n\s+at /)
  const json = await evenkeel(service, ['drain', '127.0.0.1:9011', '--json'])
  assert.equal(JSON.parse(json.stdout).ok, false)
})

test('no balancer, several, or one that does not answer: each says what to do', async () => {
  await using service = await Harness.start()
  const none = await evenkeel(path.join(service.folder, 'empty'), ['status'])
  assert.equal(none.code, 1)
  assert.match(none.stderr, /no running balancer was found\n.*--admin/)
  const state = path.join(service.folder, 'state')
  const { tokenFile } = service
  const other = { pid: process.pid, url: 'http://127.0.0.1:1', tokenFile, configFile: null, startedAtMs: 1 }
  writeInstance(state, other, 'other')
  const several = await evenkeel(service, ['status'])
  assert.equal(several.code, 1)
  assert.match(several.stderr, /2 balancers are running/)
  assert.ok(several.stderr.includes(`--admin ${service.url}`))
  assert.equal((await evenkeel(service, ['status', '--admin', service.url])).code, 0)
  const silent = await evenkeel(service, ['status', '--admin', '127.0.0.1:1'])
  assert.equal(silent.code, 1)
  assert.match(silent.stderr, /no balancer answers at http:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/)
})

test('where reads need the token it is sent, and a note cannot send us or the token elsewhere', async () => {
  await using service = await Harness.start({ bind: '0.0.0.0:0' })
  assert.equal((await evenkeel(service, ['status'])).code, 0)
  const lured = path.join(service.folder, 'lured')
  const note = { pid: process.pid, tokenFile: service.tokenFile, configFile: null, startedAtMs: 1 }
  writeInstance(lured, { ...note, url: 'http://192.0.2.1:9090' }, 'x')
  assert.match((await evenkeel(lured, ['status'])).stderr, /no running balancer was found/)
})

test('a unix socket works as an address', async () => {
  await using service = await Harness.start()
  await using second = await Harness.start({ bind: `unix:${path.join(service.folder, 'admin.sock')}` })
  const args = ['weight', '127.0.0.1:9001', '3', '--admin', second.url]
  assert.equal((await evenkeel(second, args)).code, 0)
  // Of a balancer without a note here, the token's file has to be named.
  const unknown = await evenkeel(path.join(service.folder, 'empty'), args)
  assert.match(unknown.stderr, /token file .* is not there/)
  const named = await evenkeel(path.join(service.folder, 'empty'), [...args, '--token-file', second.tokenFile])
  assert.equal(named.code, 0)
})

test('a command line that makes no sense exits with 2', async () => {
  const state = fs.mkdtempSync(path.join(os.tmpdir(), 'evenkeel-none-'))
  for (const args of [
    ['weight', 'a', 'x'],
    ['weight', 'a', '-1'],
    ['weight', 'a'],
    ['weight', 'a', '1', '--undo'],
    ['status', '--admin', 'ftp://x'],
    ['drain'],
  ]) {
    const { code, stderr } = await evenkeel(state, args)
    assert.equal(code, 2, args.join(' '))
    assert.doesNotMatch(stderr, /\n\s+at /)
  }
  fs.rmSync(state, { recursive: true })
})

test('doctor reports on a running balancer and a config, as lines and as JSON', async () => {
  await using service = await Harness.start()
  const file = path.join(service.folder, 'evenkeel.config.json')
  fs.writeFileSync(file, '{ "version": 1, "pools": {}, "rotues": [] }')
  const broken = await evenkeel(service, ['doctor', '--config', file])
  assert.equal(broken.code, 1)
  assert.match(broken.stdout, /✗ config .*evenkeel\.config\.json:1:1: listeners: .*\(and 1 more\)/)
  assert.match(broken.stdout, /✓ balancer .*is ready/)
  const json = await evenkeel(service, ['doctor', '--json'])
  assert.deepEqual(
    JSON.parse(json.stdout).checks.find(({ name }: { name: string }) => name === 'balancer').verdict,
    'ok',
  )
})

test('names from elsewhere cannot steer the terminal', () => {
  const evil = 'a\u001b[2J\r\nb\u009b31m\u202e'
  assert.equal(printable(evil), 'a�[2J��b�31m�')
  const lines = statusLines(statusOfNames(evil)).join('')
  assert.doesNotMatch(lines.replace(/\u001b\[\d+m/g, ''), /[\u0000-\u001f\u007f-\u009f\u202e]/)
})

/** A status whose every name is the given one. */
function statusOfNames(name: string): StatusDocument {
  const reader = new StatusReader(memoryFor(4, 1))
  const view = viewOf(
    { [name]: [endpointView(reader.table, name)] },
    {
      config: { file: name, hash: 'abc', loadedAtMs: 0, problems: [name] },
      workers: [{ index: 0, state: 'running', restarts: 1, lastExit: name }],
      listeners: [{ name, slot: 0, bind: name, port: null }],
    },
  )
  return reader.read(view, Date.now())
}

test('a table is as wide as its widest cells, whatever their colours', () => {
  const red = (text: string): string => `<${text}>`
  assert.deepEqual(
    tableLines(
      [
        { title: 'a', align: 'left' },
        { title: 'long title', align: 'right' },
        { title: 'c', align: 'left' },
      ],
      [
        [{ text: 'wide cell', paint: red }, { text: '1' }, { text: 'x' }],
        [{ text: '' }, { text: '22', paint: red }, { text: '' }],
      ],
    ),
    ['a          long title  c', '<wide cell>           1  x', '                   <22>'],
  )
})

test('only loopback literals and unix sockets count as local', () => {
  for (const url of ['http://127.0.0.1:1', 'http://[::1]:1', 'unix:/a']) assert.ok(isLocalUrl(url), url)
  for (const url of [
    'http://10.0.0.1:1',
    'http://localhost:1',
    'https://127.0.0.1',
    'http://127.0.0.1.evil.example',
    'file:///a',
    'x',
  ]) {
    assert.ok(!isLocalUrl(url), url)
  }
})
