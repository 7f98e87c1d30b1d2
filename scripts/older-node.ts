/** A Node that is too old for us, to see what we say there: from the registry, as the checkout's own Node is. */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The last release of the line before ours. */
const OLDER_VERSION = '20.20.2'

/**
 * Installs it below `folder`, which gets a node_modules of its own, and gives the path of its binary.
 * Throws where the registry has none for this platform.
 */
export function installOlderNode(folder: string, env: NodeJS.ProcessEnv): string {
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const name = `node-${platform}-${process.arch}`
  // Without one npm looks for it further up, and would install there.
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  execFileSync(
    'npm',
    [
      'install',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--prefer-offline',
      '--loglevel=error',
      `${name}@${OLDER_VERSION}`,
    ],
    { cwd: folder, env, stdio: ['ignore', 'ignore', 'inherit'] },
  )
  return join(folder, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
}
