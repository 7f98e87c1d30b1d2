/** `npm run build`: compiles src/ into dist/, and checks that package.json points at nothing that is missing. */
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, readFileSync, rmSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { runMain } from './run-main.ts'

const root = resolve(import.meta.dirname, '..')

/** Throws when the compiler complains or when a file named by package.json does not exist afterwards. */
export function build(): void {
  rmSync(resolve(root, 'dist'), { recursive: true, force: true })
  const compiler = resolve(root, 'node_modules/typescript/bin/tsc')
  const done = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' })
  if (done.status !== 0) throw new Error('tsc failed')

  const manifest = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as {
    readonly bin: Readonly<Record<string, string>>
    readonly exports: Readonly<Record<string, unknown>>
    readonly publishConfig: { readonly exports: Readonly<Record<string, unknown>> }
  }
  const { bin, exports, publishConfig } = manifest
  const missing = [...Object.values(bin), ...pathsIn(exports), ...pathsIn(publishConfig.exports)].filter(
    (path) => !existsSync(resolve(root, path)),
  )
  if (missing.length > 0) throw new Error(`package.json names files that the build did not make: ${missing.join(', ')}`)
}

function pathsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(pathsIn) : []
}

function main(): void {
  build()
  const files = globSync('dist/**/*.js', { cwd: root })
  const bytes = files.reduce((sum, file) => sum + statSync(resolve(root, file)).size, 0)
  console.log(`dist: ${files.length} modules, ${Math.round(bytes / 1024)} KiB of JavaScript`)
}

if (import.meta.main) await runMain(main)
