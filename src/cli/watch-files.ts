/** Knowing when one of a few files changes, however it is written. */
import { type FSWatcher, lstatSync, readlinkSync, statSync, watch } from 'node:fs'
import { join, parse, resolve, sep } from 'node:path'

export interface FileWatch {
  /** Watches these files from now on; what is known of those that were watched before still holds. */
  update(files: readonly string[]): void
  close(): void
}

/** Quiet time after the last event of a save, which often comes as several. */
const SETTLE_MS = 100
/** Where the system gives no events (its limit of watches is used up): looking, seldom. */
const POLL_MS = 2000
/** As many links as Linux follows. */
const LINKS_MAX = 40

/**
 * Calls `onChange` after one of the files was written, replaced, removed or put back.
 *
 * Directories are watched, not files: editors and deployments replace a file by renaming another over it, and a watch on the
 * old one would go on watching what nobody sees any more. Where a directory on the way is a link, the one that holds the link
 * is watched too: Kubernetes changes a mounted ConfigMap, and others a release, by swapping such a link. What counts as a change
 * is the file's identity, size and time.
 */
export function watchFiles(files: readonly string[], onChange: () => void): FileWatch {
  /** What was last seen, by file. */
  let signatures = new Map<string, string>()
  /** By directory; one that was removed and made anew under its name is another. */
  const watchers = new Map<string, { readonly watcher: FSWatcher; readonly identity: string }>()
  let poll: NodeJS.Timeout | undefined
  let settle: NodeJS.Timeout | undefined

  const look = () => {
    // Links may lead elsewhere by now; watched first, so that nothing falls between looking and watching.
    follow()
    let isChanged = false
    for (const [file, before] of signatures) {
      const now = signatureOf(file)
      if (now === before) continue
      signatures.set(file, now)
      isChanged = true
    }
    if (isChanged) onChange()
  }
  const touched = () => {
    clearTimeout(settle)
    settle = setTimeout(look, SETTLE_MS)
    settle.unref()
  }
  const fallBack = () => {
    clearInterval(poll)
    poll = setInterval(look, POLL_MS)
    poll.unref()
  }
  /** Watches every directory that matters now, and no other. */
  const follow = () => {
    const wanted = new Set([...signatures.keys()].flatMap(directoriesOf))
    for (const [directory, { watcher, identity }] of watchers) {
      if (wanted.has(directory) && identityOf(directory) === identity) continue
      watcher.close()
      watchers.delete(directory)
    }
    for (const directory of wanted) {
      if (watchers.has(directory)) continue
      try {
        const identity = identityOf(directory)
        const watcher = watch(directory, { persistent: false }, touched)
        watcher.on('error', fallBack)
        watchers.set(directory, { watcher, identity })
      } catch {
        fallBack()
      }
    }
  }
  const close = () => {
    for (const { watcher } of watchers.values()) watcher.close()
    watchers.clear()
    clearInterval(poll)
    clearTimeout(settle)
  }
  const update = (next: readonly string[]) => {
    const known = signatures
    signatures = new Map(next.map((file) => resolve(file)).map((file) => [file, known.get(file) ?? signatureOf(file)]))
    follow()
  }
  update(files)
  return { update, close }
}

/**
 * The directories whose entries decide which file a path names: that of each link on the way, and the file's own; where the way
 * ends before, the last one there is.
 */
function directoriesOf(file: string): string[] {
  const directories = new Set<string>()
  let at = parse(file).root
  let rest = partsOf(file)
  for (let links = 0; rest.length > 0; ) {
    const path = join(at, rest[0]!)
    const found = entryAt(path)
    if (found === null || typeof found === 'string' || rest.length === 1) directories.add(at)
    if (found === null) break
    rest = rest.slice(1)
    if (typeof found === 'string') {
      links += 1
      if (links > LINKS_MAX) break
      const target = resolve(at, found)
      at = parse(target).root
      rest = [...partsOf(target), ...rest]
    } else at = path
  }
  return [...directories]
}

function partsOf(path: string): string[] {
  return path
    .slice(parse(path).root.length)
    .split(sep)
    .filter((part) => part !== '')
}

/** A link's target; true where there is something else; null where there is nothing, or nothing that we may see. */
function entryAt(path: string): string | true | null {
  try {
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (stat === undefined) return null
    return stat.isSymbolicLink() ? readlinkSync(path) : true
  } catch {
    return null
  }
}

function identityOf(directory: string): string {
  try {
    const stat = statSync(directory, { throwIfNoEntry: false, bigint: true })
    return stat === undefined ? 'missing' : `${stat.dev}:${stat.ino}`
  } catch {
    return 'unreadable'
  }
}

function signatureOf(file: string): string {
  try {
    const stat = statSync(file, { throwIfNoEntry: false, bigint: true })
    return stat === undefined ? 'missing' : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`
  } catch (error) {
    // A loop of links, a directory closed to us, a stale mount: a state like another, until it changes again.
    return (error as NodeJS.ErrnoException).code ?? 'unreadable'
  }
}
