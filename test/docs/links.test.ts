import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'

const root = resolve(import.meta.dirname, '../..')
const pages = [...globSync('*.md', { cwd: root }), ...globSync('docs/**/*.md', { cwd: root })]
/** Pages that a long measurement writes: linked before it has run for the first time. */
const WRITTEN_LATER = new Set(['docs/evidence/drills.md', 'docs/evidence/peers.md', 'docs/evidence/soak.md'])

test('every link between pages leads to a file that is there', () => {
  const broken: string[] = []
  let links = 0
  for (const page of pages) {
    for (const [, target] of readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)#\s]+)[^)]*\)/g)) {
      if (target === undefined || /^[a-z]+:/.test(target)) continue
      links += 1
      const path = join(dirname(page), target)
      if (!existsSync(join(root, path)) && !WRITTEN_LATER.has(path)) broken.push(`${page}: ${target}`)
    }
  }
  assert.ok(links >= 20, `only ${links} links were found: the reading of them is wrong`)
  assert.deepEqual(broken, [])
})

test('every npm script that a page names exists', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly scripts: Readonly<Record<string, string>>
  }
  const unknown = pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/\bnpm run (?:-s )?([\w:]+)/g)]
      .map((match) => match[1]!)
      .filter((name) => scripts[name] === undefined)
      .map((name) => `${page}: npm run ${name}`),
  )
  assert.deepEqual(unknown, [])
})

test('every script of package.json leads to a file that is there', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly scripts: Readonly<Record<string, string>>
  }
  for (const [name, command] of Object.entries(scripts)) {
    const file = /^node (\S+)/.exec(command)?.[1]
    if (file !== undefined) assert.ok(existsSync(join(root, file)), `npm run ${name}: ${file} is missing`)
  }
})
