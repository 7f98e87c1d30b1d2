/**
 * Notes of running balancers, `<state>/instances/*.json`: how the command line finds the admin API without being told.
 *
 * A note is a hint, not a promise: the process may have died without removing it. Whoever sees the same processes as its writer
 * (same boot, same pid namespace) judges by the pid and the time at which that process started. To anybody else, e.g. another
 * container with the same state directory, the pid means nothing: there a note counts while its writer keeps it fresh.
 */
import { createHash, randomBytes } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'

export interface Instance {
  readonly pid: number
  /** `http://127.0.0.1:9090` or `unix:/path`; null: it has no admin API. */
  readonly url: string | null
  readonly tokenFile: string
  readonly configFile: string | null
  readonly startedAtMs: number
}

/** Which processes a writer of notes sees, and which of them it is. Null where the system does not tell. */
interface Writer {
  /** Boot of the kernel and pid namespace. */
  readonly processes: string | null
  /** In clock ticks since the boot: a pid that was given to another process has another. */
  readonly startTicks: string | null
}

/** A writer says so often that it is still there. */
const FRESHEN_MS = 30_000
/** A note from elsewhere that is further from now than this is not believed, and one that is much older is removed. */
const STALE_MS = 120_000
const FORGOTTEN_MS = 7 * 24 * 3600 * 1000

/** An instance as found, with the file that told of it. */
export interface FoundInstance extends Instance {
  readonly file: string
  /** Owner of that file. */
  readonly uid: number
}

/** A note as read. */
interface Note {
  readonly instance: FoundInstance
  readonly writer: Writer
  /** Negative where the writer's clock is ahead of ours. */
  readonly ageMs: number
}

/** Writes a note; returns its path. The same balancer's next service thread writes to the same path. */
export function writeInstance(stateDirectory: string, instance: Instance, bind: string): string {
  const folder = path.join(stateDirectory, 'instances')
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 })
  // Two balancers may live in one process, so the pid alone is not a name.
  const which = createHash('sha256').update(`${bind} ${instance.startedAtMs}`).digest('hex').slice(0, 8)
  const file = path.join(folder, `${instance.pid}-${which}.json`)
  const unfinished = `${file}.${randomBytes(6).toString('hex')}.tmp`
  const writer: Writer = { processes: visibleProcesses(), startTicks: startTicks(instance.pid) }
  fs.writeFileSync(unfinished, `${JSON.stringify({ ...instance, writer }, null, 2)}\n`, { mode: 0o600, flag: 'wx' })
  fs.renameSync(unfinished, file)
  return file
}

/** Removes a note; no error where it is gone. */
export function removeInstance(file: string): void {
  fs.rmSync(file, { force: true })
}

/**
 * Writes a note and keeps it fresh until the returned function is called, which removes it. The timer keeps no process alive.
 * @throws the system's error when it cannot be written at first.
 */
export function keepInstance(
  stateDirectory: string,
  instance: Instance,
  bind: string,
  freshenMs: number = FRESHEN_MS,
): () => void {
  const file = writeInstance(stateDirectory, instance, bind)
  const timer = setInterval(() => {
    try {
      // Somebody who could not know better may have removed it, e.g. while this machine slept.
      if (fs.existsSync(file)) fs.utimesSync(file, new Date(), new Date())
      else writeInstance(stateDirectory, instance, bind)
    } catch {
      // A full disk or a changed mode costs the note, and the next time may be better.
    }
  }, freshenMs)
  timer.unref()
  return () => {
    clearInterval(timer)
    removeInstance(file)
  }
}

/**
 * Instances that run, newest first: those of processes that are seen from here, or, where there is none, those that say from
 * elsewhere that they run. Notes of dead ones are removed where that is allowed and certain.
 */
export function findInstances(stateDirectories: readonly string[]): FoundInstance[] {
  const here: FoundInstance[] = []
  const elsewhere: FoundInstance[] = []
  for (const directory of stateDirectories) {
    const folder = path.join(directory, 'instances')
    for (const name of entriesOf(folder)) {
      const file = path.join(folder, name)
      const note = readNote(file)
      if (note === null) continue
      const { instance, writer, ageMs } = note
      if (writer.processes !== visibleProcesses()) {
        if (Math.abs(ageMs) < STALE_MS) elsewhere.push(instance)
        else if (ageMs > FORGOTTEN_MS) tryRemove(file)
      } else if (isAlive(instance.pid) && isSameStart(startTicks(instance.pid), writer.startTicks)) here.push(instance)
      else tryRemove(file)
    }
  }
  return (here.length > 0 ? here : elsewhere).toSorted((a, b) => b.startedAtMs - a.startedAtMs)
}

function entriesOf(folder: string): string[] {
  try {
    return fs.readdirSync(folder).filter((name) => name.endsWith('.json'))
  } catch {
    // Missing, or another user's: nothing to find there.
    return []
  }
}

function readNote(file: string): Note | null {
  try {
    const { uid, mtimeMs } = fs.lstatSync(file)
    const value = JSON.parse(fs.readFileSync(file, 'utf8')) as
      | (Partial<Instance> & { readonly writer?: Partial<Writer> | null })
      | null
    if (
      typeof value?.pid !== 'number' ||
      !(value.pid > 0) ||
      (typeof value.url !== 'string' && value.url !== null) ||
      typeof value.tokenFile !== 'string' ||
      typeof value.startedAtMs !== 'number'
    ) {
      return null
    }
    const configFile = typeof value.configFile === 'string' ? value.configFile : null
    const { pid, url, tokenFile, startedAtMs } = value
    const { processes = null, startTicks: ticks = null } = value.writer ?? {}
    return {
      instance: { pid, url, tokenFile, configFile, startedAtMs, file, uid },
      writer: { processes, startTicks: ticks },
      ageMs: Date.now() - mtimeMs,
    }
  } catch {
    return null
  }
}

let processesSeen: string | null | undefined

/** Two processes with the same answer see each other under the same pids. */
function visibleProcesses(): string | null {
  if (processesSeen === undefined) {
    try {
      const boot = fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
      processesSeen = `${boot} ${fs.readlinkSync('/proc/self/ns/pid')}`
    } catch {
      // No Linux, or no /proc: then there are no containers either, or nothing to tell them apart by.
      processesSeen = null
    }
  }
  return processesSeen
}

/** When a process started; null where it is gone or the system does not tell. */
function startTicks(pid: number): string | null {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name, in brackets, may hold anything; what follows it starts with the third field, the time is the 22nd.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    return null
  }
}

/** Where either side was not told (`hidepid`, another user's process) the pid alone is believed. */
function isSameStart(now: string | null, then: string | null): boolean {
  return now === null || then === null || now === then
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
