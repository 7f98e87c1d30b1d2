/**
 * The entry file of a thread, beside or above this file: `.ts` in the checkout, `.js` in the published package.
 * `path` is relative to this file and has no suffix.
 */
export function threadUrl(path: string): URL {
  const suffix = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
  return new URL(`${path}${suffix}`, import.meta.url)
}
