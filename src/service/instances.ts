/**
 * Notes of running balancers, `<state>/instances/*.json`: how the command line finds the admin API without being told.
 *
 * A note is a hint, not a promise: the process may have died without removing it, and a pid may belong to another by now.
 */
import { createHash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'

export interface Instance {
  readonly pid: number
  /** `http://127.0.0.1:9090` or `unix:/path`. */
  readonly url: string
  readonly tokenFile: string
  readonly configFile: string | null
  readonly startedAtMs: number
}

/** An instance as found, with the file that told of it. */
export interface FoundInstance extends Instance {
  readonly file: string
  /** Owner of that file. */
  readonly uid: number
}

/** Writes a note; returns its path. The same balancer's next service thread writes to the same path. */
export function writeInstance(stateDirectory: string, instance: Instance, bind: string): string {
  const folder = path.join(stateDirectory, 'instances')
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
  // Two balancers may live in one process, so the pid alone is not a name.
  const which = createHash('sha256').update(`${bind} ${instance.startedAtMs}`).digest('hex').slice(0, 8)
  const file = path.join(folder, `${instance.pid}-${which}.json`)
  const unfinished = `${file}.${randomBytes(6).toString('hex')}.tmp`
  fs.writeFileSync(unfinished, `${JSON.stringify(instance, null, 2)}\n`, { mode: 0o600, flag: 'wx' })
  fs.renameSync(unfinished, file)
  return file
}

/** Removes a note; no error where it is gone. */
export function removeInstance(file: string): void {
  fs.rmSync(file, { force: true })
}

/** Instances whose process is alive, newest first. Notes of dead ones are removed where that is allowed. */
export function findInstances(stateDirectories: readonly string[]): FoundInstance[] {
  const found: FoundInstance[] = []
  for (const directory of stateDirectories) {
    const folder = path.join(directory, 'instances')
    for (const name of entriesOf(folder)) {
      const file = path.join(folder, name)
      const instance = readInstance(file)
      if (instance === null) continue
      if (isAlive(instance.pid)) found.push(instance)
      else tryRemove(file)
    }
  }
  return found.toSorted((a, b) => b.startedAtMs - a.startedAtMs)
}

function entriesOf(folder: string): string[] {
  try {
    return fs.readdirSync(folder).filter((name) => name.endsWith('.json'))
  } catch {
    // Missing, or another user's: nothing to find there.
    return []
  }
}

function readInstance(file: string): FoundInstance | null {
  try {
    const { uid } = fs.lstatSync(file)
    const value = JSON.parse(fs.readFileSync(file, 'utf8')) as Partial<Instance> | null
    if (
      typeof value?.pid !== 'number' ||
      !(value.pid > 0) ||
      typeof value.url !== 'string' ||
      typeof value.tokenFile !== 'string' ||
      typeof value.startedAtMs !== 'number'
    ) {
      return null
    }
    const configFile = typeof value.configFile === 'string' ? value.configFile : null
    const { pid, url, tokenFile, startedAtMs } = value
    return { pid, url, tokenFile, configFile, startedAtMs, file, uid }
  } catch {
    return null
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It is there, but somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function tryRemove(file: string): void {
  try {
    removeInstance(file)
  } catch {
    // Another user's folder: its owner cleans up.
  }
}
