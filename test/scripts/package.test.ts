import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join, normalize, resolve } from 'node:path'
import { test } from 'node:test'
import { type Manifest, publishedManifest } from '../../scripts/pack.ts'

const root = resolve(import.meta.dirname, '../..')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
const published = publishedManifest(manifest)

/** The files that npm would pack, `dist` only where it was built. */
function packedFiles(): ReadonlySet<string> {
  const done = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8' })
  assert.equal(done.status, 0, done.stderr)
  const answer = JSON.parse(done.stdout) as object
  const [packed] = Object.values(answer) as { readonly files: readonly { readonly path: string }[] }[]
  return new Set(packed!.files.map(({ path }) => path))
}

const files = packedFiles()

test('every page that a packed page links to is packed too', () => {
  const pages = [...files].filter((path) => path.endsWith('.md'))
  assert.ok(pages.includes('README.md') && pages.length > 15, pages.join())
  const missing: string[] = []
  for (const page of pages) {
    for (const [, target] of readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (target === undefined || /^[a-z]+:/.test(target)) continue
      const path = normalize(join(dirname(page), target)).replace(/\/$/, '')
      if (!files.has(path) && ![...files].some((file) => file.startsWith(`${path}/`)))
        missing.push(`${page}: ${target}`)
    }
  }
  assert.deepEqual(missing, [])
})

test('what the published package exports is packed, and the checkout exports the same names from its sources', () => {
  const exported = published['exports'] as Readonly<Record<string, unknown>>
  const here = manifest['exports'] as Readonly<Record<string, string>>
  assert.deepEqual(Object.keys(exported), Object.keys(here))
  for (const target of pathsIn(exported)) {
    if (target.startsWith('./dist/')) {
      const source = target.replace(/^\.\/dist\//, 'src/').replace(/(?:\.d\.ts|\.js)$/, '.ts')
      assert.ok(Object.values(here).includes(`./${source}`), `${target} is not made of what the checkout exports`)
    } else assert.ok(files.has(target.slice(2)), `${target} is not packed`)
  }
  assert.ok(files.has('evenkeel.schema.json') && './evenkeel.schema.json' in exported)
})

test('nothing of the checkout alone is packed', () => {
  const strays = [...files].filter(
    (path) => !/^(?:bin|dist|docs)\/|^[^/]+\.md$|^(?:LICENSE|package\.json|evenkeel\.schema\.json)$/.test(path),
  )
  assert.deepEqual(strays, [])
  for (const key of ['scripts', 'devDependencies', 'optionalDependencies', 'publishConfig', 'private', 'overrides']) {
    assert.ok(!(key in published), key)
  }
  assert.doesNotMatch(JSON.stringify(published), /src\//)
})

function pathsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(pathsIn) : []
}
