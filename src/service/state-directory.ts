/**
 * Where a balancer leaves what has to outlive it or be found by the command line: the admin API's write token, and a note
 * for each running instance.
 *
 * | first that applies | directory |
 * |---|---|
 * | `EVENKEEL_STATE_DIR` is set | that |
 * | `STATE_DIRECTORY` is set (systemd's `StateDirectory=`) | its first entry |
 * | `XDG_STATE_HOME` is set | `$XDG_STATE_HOME/evenkeel` |
 * | started by root | `/var/lib/evenkeel` |
 * | else | `~/.local/state/evenkeel` |
 *
 * Relative paths are ignored, as the XDG specification asks. The directory is made with mode 0700.
 */
import { homedir, tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/** Where a service that root or systemd started keeps its state. */
export const SYSTEM_STATE_DIRECTORY = '/var/lib/evenkeel'

/** The directory for a process with this environment. */
export function stateDirectory(
  env: Readonly<Record<string, string | undefined>> = process.env,
  isRoot: boolean = process.getuid?.() === 0,
): string {
  const given = absolute(env['EVENKEEL_STATE_DIR']) ?? absolute(env['STATE_DIRECTORY']?.split(':')[0])
  if (given !== null) return given
  const xdg = absolute(env['XDG_STATE_HOME'])
  if (xdg !== null) return join(xdg, 'evenkeel')
  return isRoot ? SYSTEM_STATE_DIRECTORY : join(home(), '.local', 'state', 'evenkeel')
}

/** Where the command line looks for running instances: its own directory, then the system's. */
export function searchedStateDirectories(
  env: Readonly<Record<string, string | undefined>> = process.env,
  isRoot: boolean = process.getuid?.() === 0,
): string[] {
  const own = stateDirectory(env, isRoot)
  // Whoever names a directory means that one alone.
  if (absolute(env['EVENKEEL_STATE_DIR']) !== null || own === SYSTEM_STATE_DIRECTORY) return [own]
  return [own, SYSTEM_STATE_DIRECTORY]
}

/** The token's file unless the caller says otherwise: `EVENKEEL_TOKEN_FILE`, else `token` in the state directory. */
export function defaultTokenFile(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return absolute(env['EVENKEEL_TOKEN_FILE']) ?? join(stateDirectory(env), 'token')
}

/** A container may run a user that has neither HOME nor an entry in the user database. */
function home(): string {
  try {
    return homedir()
  } catch {
    return join(tmpdir(), `evenkeel-${process.getuid?.() ?? 'user'}`)
  }
}

function absolute(path: string | undefined): string | null {
  return path !== undefined && isAbsolute(path) ? path : null
}
