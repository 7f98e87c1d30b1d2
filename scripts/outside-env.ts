import { delimiter } from 'node:path'

/**
 * This environment as it is outside of npm's scripts: without what npm tells them about the checkout, and without the
 * folders that it puts on PATH.
 */
export function outsideEnv(): NodeJS.ProcessEnv {
  const outside = Object.entries(process.env).filter(([name]) => !/^(?:npm_|INIT_CWD$|NODE$)/i.test(name))
  const env = Object.fromEntries(outside)
  const folders = (env['PATH'] ?? '').split(delimiter)
  env['PATH'] = folders.filter((folder) => !/node_modules|node-gyp-bin/.test(folder)).join(delimiter)
  return env
}
