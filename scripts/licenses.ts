/**
 * `npm run check:licenses`: every package in the lockfile must have an integrity hash and a licence on the list: what its own
 * package.json says where it is installed, else (binaries of other platforms) what the lockfile noted from the registry.
 * Prints them by licence. Exit 1 on a licence that is missing or not on the list.
 */
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'

/** SPDX ids that ask for no more than attribution. */
const ALLOWED = new Set([
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT-0',
  'Unlicense',
])
/** Packages whose package.json says nothing useful, each read by hand: name → what its licence file says. */
const READ_BY_HAND: Readonly<Record<string, string>> = {}

const root = resolve(import.meta.dirname, '..')
const lock = JSON.parse(readFileSync(resolve(root, 'package-lock.json'), 'utf8')) as {
  readonly packages: Readonly<
    Record<string, { readonly version?: string; readonly integrity?: string; readonly license?: string }>
  >
}

const byLicense = new Map<string, string[]>()
const problems: string[] = []
let notInstalled = 0
for (const [path, entry] of Object.entries(lock.packages)) {
  if (path === '') continue
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
  if (entry.integrity === undefined) problems.push(`${name}: the lockfile has no integrity field for it`)
  const file = resolve(root, path, 'package.json')
  const isInstalled = existsSync(file)
  if (!isInstalled) notInstalled += 1
  const stated = isInstalled ? licenseOf(JSON.parse(readFileSync(file, 'utf8'))) : (entry.license ?? 'none stated')
  const license = READ_BY_HAND[name] ?? stated
  if (!isAllowed(license)) problems.push(`${name}@${entry.version ?? '?'}: ${license}`)
  const names = byLicense.get(license) ?? []
  names.push(name)
  byLicense.set(license, names)
}

for (const [license, names] of [...byLicense].sort((a, b) => b[1].length - a[1].length)) {
  console.log(`${license}: ${names.length > 20 ? `${names.length} packages` : names.sort().join(', ')}`)
}
console.log(`(${notInstalled} of them are for other platforms: read from the lockfile)`)
if (problems.length > 0) {
  console.error(`\nnot allowed:\n  ${problems.join('\n  ')}`)
  process.exit(1)
}

function licenseOf(manifest: unknown): string {
  const { license } = manifest as { readonly license?: unknown }
  if (typeof license === 'string') return license
  if (typeof license === 'object' && license !== null && 'type' in license) return String(license.type)
  return 'none stated'
}

/** Understands `A OR B` (one is enough) and `A AND B` (both are needed). */
function isAllowed(expression: string): boolean {
  const bare = expression.replaceAll(/[()]/g, '')
  return bare.split(/ OR /i).some((choice) => choice.split(/ AND /i).every((id) => ALLOWED.has(id.trim())))
}
