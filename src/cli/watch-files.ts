/** Knowing when one of a few files changes, however it is written. */
import { type FSWatcher, statSync, watch } from 'node:fs'
import { dirname, resolve } from 'node:path'

export interface FileWatch {
  /** Watches these files from now on. */
  update(files: readonly string[]): void
  close(): void
}

/** Quiet time after the last event of a save, which often comes as several. */
const SETTLE_MS = 100
/** Where the system gives no events (its limit of watches is used up): looking, seldom. */
const POLL_MS = 2000

/**
 * Calls `onChange` after one of the files was written, replaced, removed or put back.
 *
 * The directories are watched, not the files: editors and deployments replace a file by renaming another over it, and
 * a watch on the old one would go on watching what nobody sees any more. What counts as a change is the file's
 * identity, size and time, so links swapped above it (as Kubernetes does for a mounted ConfigMap) are seen too.
 */
export function watchFiles(files: readonly string[], onChange: () => void): FileWatch {
  let watched: readonly string[] = []
  let watchers: FSWatcher[] = []
  let poll: NodeJS.Timeout | undefined
  let settle: NodeJS.Timeout | undefined
  let signature = ''

  const look = () => {
    const now = signatureOf(watched)
    if (now === signature) return
    signature = now
    onChange()
  }
  const touched = () => {
    clearTimeout(settle)
    settle = setTimeout(look, SETTLE_MS)
    settle.unref()
  }
  const stop = () => {
    for (const watcher of watchers) watcher.close()
    watchers = []
    clearInterval(poll)
    clearTimeout(settle)
  }
  const fallBack = () => {
    clearInterval(poll)
    poll = setInterval(look, POLL_MS)
    poll.unref()
  }
  const update = (next: readonly string[]) => {
    stop()
    watched = next.map((file) => resolve(file))
    signature = signatureOf(watched)
    for (const directory of new Set(watched.map((file) => dirname(file)))) {
      try {
        const watcher = watch(directory, { persistent: false }, touched)
        watcher.on('error', fallBack)
        watchers.push(watcher)
      } catch {
        fallBack()
      }
    }
  }
  update(files)
  return { update, close: stop }
}

function signatureOf(files: readonly string[]): string {
  return files
    .map((file) => {
      try {
        const stat = statSync(file, { throwIfNoEntry: false, bigint: true })
        return stat === undefined ? 'missing' : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`
      } catch (error) {
        // A loop of links, a directory closed to us, a stale mount: a state like another, until it changes again.
        return (error as NodeJS.ErrnoException).code ?? 'unreadable'
      }
    })
    .join('|')
}
