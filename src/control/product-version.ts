import { readFileSync } from 'node:fs'

/** The version in package.json, which lies two folders above this file in the checkout and in the package alike. */
export function productVersion(): string {
  try {
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version?: unknown
    }
    return typeof manifest.version === 'string' ? manifest.version : 'unknown'
  } catch {
    // Bundled into another program: it still has to run.
    return 'unknown'
  }
}
