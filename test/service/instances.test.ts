import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { findInstances, type Instance, removeInstance, writeInstance } from '../../src/service/instances.ts'

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
