/**
 * `npm run sbom`: what the published package brings along, as CycloneDX made by npm: build/sbom.cdx.json.
 *
 * It is made in a folder of its own, from the published package.json and this lockfile: `npm sbom --omit=dev` here
 * leaves out a dependency that a development tool shares (npm 11.19 lost yaml and zod that way).
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { type Manifest, publishedManifest } from './pack.ts'

const root = resolve(import.meta.dirname, '..')
// npm names the component after its folder.
const stage = join(root, 'build/sbom/evenkeel')

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
rmSync(stage, { recursive: true, force: true })
mkdirSync(stage, { recursive: true })
writeFileSync(join(stage, 'package.json'), JSON.stringify(publishedManifest(manifest)))
cpSync(join(root, 'package-lock.json'), join(stage, 'package-lock.json'))
// Prunes the copied lockfile; everything it needs to know stands there.
npm('install', '--package-lock-only', '--ignore-scripts', '--offline')
const text = npm('sbom', '--package-lock-only', '--sbom-format=cyclonedx')
writeFileSync(join(root, 'build/sbom.cdx.json'), text)

const { components } = JSON.parse(text) as {
  readonly components: readonly { readonly name: string; readonly version: string }[]
}
const missing = Object.keys(manifest.dependencies).filter((name) => !components.some((part) => part.name === name))
console.log(`build/sbom.cdx.json: ${components.map(({ name, version }) => `${name} ${version}`).join(', ')}`)
if (missing.length > 0) {
  console.error(`sbom: npm left out ${missing.join(', ')}`)
  process.exit(1)
}

function npm(...args: readonly string[]): string {
  const done = spawnSync('npm', args, { cwd: stage, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  if (done.status !== 0) {
    console.error(`sbom: npm ${args[0] ?? ''} failed`)
    process.exit(1)
  }
  return done.stdout
}
