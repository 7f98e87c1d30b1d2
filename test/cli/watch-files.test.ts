import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { watchFiles } from '../../src/cli/watch-files.ts'

const root = mkdtempSync(join(tmpdir(), 'evenkeel-watch-'))
after(() => rmSync(root, { recursive: true }))

let folders = 0

/** A folder with a watched file, and a way to wait for a change. */
function setUp(name = 'config.yaml') {
  const folder = join(root, String(++folders))
  mkdirSync(folder)
  const file = join(folder, name)
  writeFileSync(file, 'first')
  let changes = 0
  const watch = watchFiles([file], () => changes++)
  // Nothing else keeps this process alive: the watch does not.
  const change = async (isExpected = true) => {
    const before = changes
    for (let waited = 0; waited < 5000 && changes === before; waited += 20) {
      if (!isExpected && waited > 400) break
      await sleep(20)
    }
    assert.equal(changes > before, isExpected)
    await sleep(250)
    return changes - before
  }
  return { folder, file, watch, change }
}

describe('a watched file', () => {
  test('is seen when it is written, several writes at once being one change', async () => {
    const { file, watch, change } = setUp()
    for (const text of ['a', 'ab', 'abc']) writeFileSync(file, text)
    assert.equal(await change(), 1)
    writeFileSync(file, 'more')
    assert.equal(await change(), 1)
    watch.close()
  })

  test('is seen when another is renamed over it, again and again', async () => {
    const { folder, file, watch, change } = setUp()
    for (const text of ['second', 'third']) {
      writeFileSync(join(folder, 'new'), text)
      renameSync(join(folder, 'new'), file)
      assert.equal(await change(), 1)
    }
    watch.close()
  })

  test('is seen when it goes, and when it comes back', async () => {
    const { file, watch, change } = setUp()
    unlinkSync(file)
    assert.equal(await change(), 1)
    writeFileSync(file, 'back')
    assert.equal(await change(), 1)
    watch.close()
  })

  test('is seen when a link above it is swapped, as Kubernetes does it', async () => {
    const folder = join(root, 'mounted')
    for (const version of ['v1', 'v2']) {
      mkdirSync(join(folder, version), { recursive: true })
      writeFileSync(join(folder, version, 'config.yaml'), version)
    }
    symlinkSync('v1', join(folder, '..data'))
    symlinkSync('..data/config.yaml', join(folder, 'config.yaml'))
    let changes = 0
    const watch = watchFiles([join(folder, 'config.yaml')], () => changes++)
    symlinkSync('v2', join(folder, '..tmp'))
    renameSync(join(folder, '..tmp'), join(folder, '..data'))
    for (let waited = 0; waited < 5000 && changes === 0; waited += 20) await sleep(20)
    assert.equal(changes, 1)
    watch.close()
  })

  test('is seen when a directory above it is a link that is swapped, again and again', async () => {
    // A mounted ConfigMap has its link beside the files; here, as in a release, the link is on the way to them.
    const folder = join(root, 'released')
    for (const version of ['v1', 'v2', 'v3']) {
      mkdirSync(join(folder, 'versions', version, 'etc'), { recursive: true })
      writeFileSync(join(folder, 'versions', version, 'etc', 'config.yaml'), version)
    }
    symlinkSync('versions/v1', join(folder, '..data'))
    symlinkSync('..data', join(folder, 'current'))
    let changes = 0
    const watch = watchFiles([join(folder, 'current', 'etc', 'config.yaml')], () => changes++)
    for (const version of ['v2', 'v3', 'v1']) {
      const before = changes
      symlinkSync(`versions/${version}`, join(folder, '..tmp'))
      renameSync(join(folder, '..tmp'), join(folder, '..data'))
      for (let waited = 0; waited < 3000 && changes === before; waited += 20) await sleep(20)
      assert.equal(changes, before + 1, version)
    }
    writeFileSync(join(folder, 'versions', 'v1', 'etc', 'config.yaml'), 'written where the links lead now')
    for (let waited = 0; waited < 3000 && changes === 3; waited += 20) await sleep(20)
    assert.equal(changes, 4)
    watch.close()
  })

  test('is seen when its directory is exchanged, or goes and comes back', async () => {
    const { folder, watch, change } = setUp()
    renameSync(folder, `${folder}.old`)
    assert.equal(await change(), 1)
    mkdirSync(folder)
    writeFileSync(join(folder, 'config.yaml'), 'in a new directory')
    assert.equal(await change(), 1)
    writeFileSync(join(folder, 'config.yaml'), 'again')
    assert.equal(await change(), 1)
    watch.close()
  })

  test('that was watched before is not looked at anew when others join it: a save in between is told', async () => {
    const { folder, file, watch, change } = setUp()
    writeFileSync(file, 'saved while the list of files was made')
    watch.update([file, join(folder, 'pools.ts')])
    await change()
    watch.close()
  })

  test('is not confused with others beside it', async () => {
    const { folder, watch, change } = setUp()
    writeFileSync(join(folder, 'access.log'), 'x')
    await change(false)
    watch.close()
  })

  test('is not told of any more after the watch has closed', async () => {
    const { file, watch, change } = setUp()
    watch.close()
    writeFileSync(file, 'unseen')
    await change(false)
  })

  test('may change to others', async () => {
    const { folder, file, watch, change } = setUp()
    const other = join(folder, 'deeper', 'pools.ts')
    mkdirSync(join(folder, 'deeper'))
    writeFileSync(other, 'a')
    watch.update([file, other])
    writeFileSync(other, 'b')
    await change()
    watch.close()
  })
})
