import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  findInstances,
  type Instance,
  keepInstance,
  removeInstance,
  writeInstance,
} from '../../src/service/instances.ts'

const root = fs.mkdtempSync(path.join(os.tmpdir(), 'evenkeel-instances-'))
after(() => fs.rmSync(root, { recursive: true }))

function scratch(): string {
  return fs.mkdtempSync(path.join(root, 'test-'))
}

const alive: Instance = {
  pid: process.pid,
  url: 'http://127.0.0.1:9090',
  tokenFile: '/t',
  configFile: null,
  startedAtMs: 1000,
}

test('a running instance is found until its note is removed', () => {
  const folder = scratch()
  const file = writeInstance(folder, alive, '127.0.0.1:9090')
  const found = findInstances([folder])
  assert.equal(found.length, 1)
  assert.deepEqual(found[0], { ...alive, file, uid: process.getuid?.() })
  removeInstance(file)
  removeInstance(file)
  assert.deepEqual(findInstances([folder]), [])
})

test('the newest of several comes first, two of one process included', () => {
  const folder = scratch()
  writeInstance(folder, alive, 'a')
  writeInstance(folder, { ...alive, url: 'unix:/b', startedAtMs: 2000 }, 'b')
  assert.deepEqual(
    findInstances([folder]).map(({ url }) => url),
    ['unix:/b', 'http://127.0.0.1:9090'],
  )
})

test('the next service thread of the same balancer overwrites its predecessor’s note', () => {
  const folder = scratch()
  writeInstance(folder, alive, '127.0.0.1:0')
  writeInstance(folder, { ...alive, url: 'http://127.0.0.1:2' }, '127.0.0.1:0')
  assert.deepEqual(
    findInstances([folder]).map(({ url }) => url),
    ['http://127.0.0.1:2'],
  )
})

test('notes of dead processes are removed, broken ones ignored, missing folders no problem', () => {
  const folder = scratch()
  const dead = spawnSync(process.execPath, ['-e', '']).pid
  const file = writeInstance(folder, { ...alive, pid: dead }, 'dead')
  const broken = ['{', 'null', '[]', '{"pid":"1"}', '{"pid":-1,"url":"","tokenFile":"","startedAtMs":1}', '{"pid":1}']
  for (const [i, text] of broken.entries()) {
    fs.writeFileSync(path.join(folder, 'instances', `${i}.json`), text)
  }
  fs.mkdirSync(path.join(folder, 'instances', 'folder.json'))
  assert.deepEqual(findInstances([path.join(folder, 'nothing'), folder]), [])
  assert.ok(!fs.existsSync(file))
})

/** Changes who a note says that it was written by. */
function rewrite(file: string, writer: Record<string, unknown>): void {
  const note = JSON.parse(fs.readFileSync(file, 'utf8')) as { writer: Record<string, unknown> }
  fs.writeFileSync(file, JSON.stringify({ ...note, writer: { ...note.writer, ...writer } }))
}

function age(file: string, ms: number): void {
  const then = new Date(Date.now() - ms)
  fs.utimesSync(file, then, then)
}

const ELSEWHERE = { processes: 'another-boot pid:[1]' }

test('a note from another pid namespace is neither judged by its pid nor removed; it counts while it is kept fresh', () => {
  const folder = scratch()
  const dead = spawnSync(process.execPath, ['-e', '']).pid
  const file = writeInstance(folder, { ...alive, pid: dead }, 'container')
  rewrite(file, ELSEWHERE)
  assert.deepEqual(
    findInstances([folder]).map(({ pid }) => pid),
    [dead],
  )
  age(file, 10 * 60_000)
  assert.deepEqual(findInstances([folder]), [], 'nobody has freshened it')
  assert.ok(fs.existsSync(file), 'its writer may only be held up')
  age(file, 8 * 24 * 3_600_000)
  findInstances([folder])
  assert.ok(!fs.existsSync(file), 'it was forgotten')
})

test('a note from elsewhere whose time is in the future does not count as fresh, but for a clock that is a little ahead', () => {
  const folder = scratch()
  const file = writeInstance(folder, alive, 'container')
  rewrite(file, ELSEWHERE)
  age(file, -10 * 60_000)
  assert.deepEqual(findInstances([folder]), [])
  assert.ok(fs.existsSync(file))
  age(file, -20_000)
  assert.equal(findInstances([folder]).length, 1)
})

test('a living process whose start one side was not told is believed by its pid', () => {
  const folder = scratch()
  const file = writeInstance(folder, alive, 'hidden from its writer')
  rewrite(file, { startTicks: null })
  assert.equal(findInstances([folder]).length, 1)
  assert.ok(fs.existsSync(file))
})

test('a living process whose start cannot be read from here is believed by its pid', (t) => {
  const folder = scratch()
  const file = writeInstance(folder, alive, 'hidden from here')
  rewrite(file, { startTicks: '1' })
  const read = fs.readFileSync
  // As with `hidepid` for another user's process; only root could mount a /proc like that.
  t.mock.method(fs, 'readFileSync', (...args: Parameters<typeof read>) => {
    if (args[0] === `/proc/${process.pid}/stat`) throw new Error('ENOENT')
    return read(...args)
  })
  assert.equal(findInstances([folder]).length, 1)
  assert.ok(fs.existsSync(file))
})

test('an instance that is seen from here comes before those of other containers', () => {
  const folder = scratch()
  rewrite(writeInstance(folder, { ...alive, url: 'http://127.0.0.1:2', startedAtMs: 5000 }, 'container'), ELSEWHERE)
  writeInstance(folder, alive, 'here')
  assert.deepEqual(
    findInstances([folder]).map(({ url }) => url),
    ['http://127.0.0.1:9090'],
  )
})

test('a pid that belongs to another process by now is dead', {
  skip: process.platform !== 'linux' && 'only Linux tells when a process started',
}, () => {
  const folder = scratch()
  const file = writeInstance(folder, alive, 'earlier')
  rewrite(file, { startTicks: '1' })
  assert.deepEqual(findInstances([folder]), [])
  assert.ok(!fs.existsSync(file))
})

test('a note is kept fresh, is written again where somebody removed it, and goes when told to', async () => {
  const folder = scratch()
  const remove = keepInstance(folder, alive, 'x', 20)
  const { file } = findInstances([folder])[0]!
  age(file, 10 * 60_000)
  await sleep(100)
  assert.ok(Date.now() - fs.statSync(file).mtimeMs < 60_000)
  fs.rmSync(file)
  await sleep(100)
  assert.ok(fs.existsSync(file))
  remove()
  await sleep(100)
  assert.ok(!fs.existsSync(file))
})

function inOtherNamespace(command: readonly string[]) {
  const [unshare, ...flags] = ['unshare', '--pid', '--fork', '--mount-proc'] as const
  return spawnSync(unshare, [...flags, ...command], { encoding: 'utf8' })
}

test('two pid namespaces that share a state directory leave each other’s notes alone', {
  skip: inOtherNamespace(['true']).status !== 0 && 'unshare is not there or not allowed',
}, () => {
  const folder = scratch()
  const file = writeInstance(folder, alive, 'outside')
  const module = new URL('../../src/service/instances.ts', import.meta.url).href
  const script = `import { findInstances, writeInstance } from '${module}'
    const found = findInstances(['${folder}']).map(({ url }) => url)
    writeInstance('${folder}', { pid: process.pid, url: 'http://127.0.0.1:3', tokenFile: '/t', configFile: null, startedAtMs: 1 }, 'inside')
    console.log(JSON.stringify([found, findInstances(['${folder}']).map(({ url }) => url)]))`
  const inside = inOtherNamespace([process.execPath, '--input-type=module', '-e', script])
  assert.deepEqual(JSON.parse(inside.stdout), [['http://127.0.0.1:9090'], ['http://127.0.0.1:3']], inside.stderr)
  assert.ok(fs.existsSync(file))
  assert.deepEqual(
    findInstances([folder]).map(({ url }) => url),
    ['http://127.0.0.1:9090'],
  )
  assert.equal(fs.readdirSync(path.join(folder, 'instances')).length, 2)
})
