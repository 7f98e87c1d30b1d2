import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { EvenkeelProcess } from './evenkeel-process.ts'

function scratch(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-watch-'))
  context.after(() => rmSync(folder, { recursive: true }))
  return folder
}

function config(weight: number): string {
  return JSON.stringify({
    version: 1,
    workers: 1,
    listeners: [{ name: 'main', bind: '127.0.0.1:0' }],
    routes: [{ pool: 'web' }],
    pools: { web: { endpoints: [{ url: 'http://127.0.0.1:9', weight }] } },
  })
}

function changesOf(event: Record<string, unknown>): string[] {
  return (event['changes'] as { path: string }[]).map(({ path }) => path)
}

test('a config that is saved while the balancer starts is in force soon after', async (context) => {
  const file = join(scratch(context), 'evenkeel.config.mjs')
  // It saves itself anew while it is read for the first time: later than that, and earlier than anybody watches.
  const next = `export default ${config(2)}\n`
  writeFileSync(
    file,
    `import { writeFileSync } from 'node:fs'\nwriteFileSync(import.meta.filename, ${JSON.stringify(next)})\nexport default ${config(1)}\n`,
  )
  await using running = new EvenkeelProcess(['start', '--config', file, '--json'])
  await running.event('stderr', 'started')
  assert.deepEqual(changesOf(await running.event('stderr', 'reloaded')), ['pools.web.endpoints[127.0.0.1:9].weight'])
})

test('a config behind links is read again when one of them is swapped, as for a mounted ConfigMap', async (context) => {
  const folder = scratch(context)
  for (const [version, weight] of [
    ['..v1', 1],
    ['..v2', 2],
  ] as const) {
    mkdirSync(join(folder, version, 'etc'), { recursive: true })
    writeFileSync(join(folder, version, 'etc', 'config.json'), config(weight))
  }
  symlinkSync('..v1', join(folder, '..data'))
  symlinkSync('..data/etc', join(folder, 'etc'))
  await using running = new EvenkeelProcess(['start', '--config', join(folder, 'etc', 'config.json'), '--json'])
  await running.event('stderr', 'started')
  symlinkSync('..v2', join(folder, '..tmp'))
  renameSync(join(folder, '..tmp'), join(folder, '..data'))
  assert.deepEqual(changesOf(await running.event('stderr', 'reloaded')), ['pools.web.endpoints[127.0.0.1:9].weight'])
})
