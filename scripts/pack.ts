/**
 * `npm run pack`: makes the published package, build/evenkeel-VERSION.tgz.
 *
 * The checkout pins its own Node binary through optional dependencies; the package must not: whoever installs it has
 * a Node already, and the binary weighs more than everything else together. In the checkout `evenkeel` is the sources, so
 * that a config or a program that imports it needs no build; in the package it is what was built. So what is packed is not
 * this folder but build/package, with a package.json that keeps only what a user of the package needs and whose
 * `exports` are those of `publishConfig`.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { build } from './build.ts'
import { runMain } from './run-main.ts'

const root = resolve(import.meta.dirname, '..')
const stage = resolve(root, 'build/package')

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly files: readonly string[]
  readonly dependencies: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly publishConfig: { readonly exports: Readonly<Record<string, unknown>> }
  readonly [key: string]: unknown
}

/** The package.json of the published package. */
export function publishedManifest(manifest: Manifest): Record<string, unknown> {
  const {
    scripts,
    devDependencies,
    overrides,
    private: isPrivate,
    publishConfig: { exports },
    optionalDependencies = {},
    ...rest
  } = manifest
  const kept = { ...rest, exports }
  const optional = Object.entries(optionalDependencies).filter(([name]) => !name.startsWith('node-linux-'))
  return optional.length === 0 ? kept : { ...kept, optionalDependencies: Object.fromEntries(optional) }
}

/** The path of the tarball. */
export function pack(): string {
  build()
  const manifest = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as Manifest
  rmSync(stage, { recursive: true, force: true })
  mkdirSync(stage, { recursive: true })
  for (const path of manifest.files) cpSync(resolve(root, path), resolve(stage, path), { recursive: true })
  writeFileSync(resolve(stage, 'package.json'), `${JSON.stringify(publishedManifest(manifest), null, 2)}\n`)

  const done = spawnSync('npm', ['pack', '--json', '--pack-destination', '..', '--ignore-scripts'], {
    cwd: stage,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (done.status !== 0) throw new Error('npm pack failed')
  const [packed] = packedOf(JSON.parse(done.stdout))
  if (packed === undefined) throw new Error('npm pack made nothing')
  const binary = packed.files.find((file) => /(^|\/)node(\.exe)?$/.test(file.path) || file.size > 1_000_000)
  if (binary !== undefined) throw new Error(`${binary.path} (${binary.size} bytes) has no place in the package`)
  console.log(`${packed.filename}: ${packed.files.length} files, ${Math.round(packed.size / 1024)} KiB packed`)
  return resolve(root, 'build', packed.filename)
}

interface Packed {
  readonly filename: string
  readonly size: number
  readonly files: readonly { readonly path: string; readonly size: number }[]
}

/** npm 12 answers with an object by name where npm 11 answers with a list. */
function packedOf(answer: unknown): readonly Packed[] {
  return (Array.isArray(answer) ? answer : Object.values(answer as object)) as readonly Packed[]
}

if (import.meta.main) {
  await runMain(() => {
    pack()
  })
}
