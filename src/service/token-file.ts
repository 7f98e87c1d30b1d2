/** The secret that writes to the admin API need: a file only its owner can read, made once, replaced by editing it. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'

/** 256 bits: guessing is not a way in, whatever the rate limit. */
const TOKEN_BYTES = 32
/** What an operator may put in the file instead of ours: one word that can stand in a header. */
const TOKEN_SYNTAX = /^[A-Za-z0-9._~+/=-]{16,512}$/
/** Group write, and anything for everybody else. Group read is allowed: that is how orchestrators mount secrets. */
const TOO_OPEN = 0o027

/** A token's text, or why there is none. */
export type TokenReading =
  | { readonly ok: true; readonly token: string }
  | { readonly ok: false; readonly reason: string }

/** Reads the token, making the file (0600) and its directory (0700) where they are missing. Never throws. */
export function readOrMakeToken(file: string): TokenReading {
  try {
    const existing = readOwnToken(file)
    if (existing !== null) return existing
    makeToken(file)
    return readOwnToken(file) ?? { ok: false, reason: `${file} vanished after it was made` }
  } catch (error) {
    return { ok: false, reason: `cannot make the token file ${file}: ${(error as Error).message}` }
  }
}

/** The balancer's side: a token that another user could have put there is none. Root's files are everybody's to trust. */
function readOwnToken(file: string): TokenReading | null {
  const uid = process.getuid?.()
  if (uid === undefined) return readToken(file)
  const own = readToken(file, uid)
  if (own === null || own.ok || uid === 0) return own
  const roots = readToken(file, 0)
  return roots?.ok === true ? roots : own
}

/**
 * Reads the token; null where there is no file. Refuses a file that others could read or change.
 * @param owner the uid that must own the file, where the caller was told its name by that user.
 */
export function readToken(file: string, owner?: number): TokenReading | null {
  let text: string
  try {
    // Not blocking: somebody may have put a pipe there, and nobody ever writes into it.
    const fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
    try {
      const stat = fs.fstatSync(fd)
      if (!stat.isFile()) return { ok: false, reason: `the token file ${file} is not a file` }
      const { mode, uid } = stat
      if (owner !== undefined && uid !== owner) {
        return { ok: false, reason: `the token file ${file} belongs to another user than the balancer that names it` }
      }
      if (process.platform !== 'win32' && (mode & TOO_OPEN) !== 0) {
        const shown = (mode & 0o777).toString(8).padStart(3, '0')
        return {
          ok: false,
          reason: `the token file ${file} has mode ${shown}, others could use it: chmod 600 and change it`,
        }
      }
      text = fs.readFileSync(fd, 'utf8').trim()
    } finally {
      fs.closeSync(fd)
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    return { ok: false, reason: `cannot read the token file ${file}: ${(error as Error).message}` }
  }
  if (!TOKEN_SYNTAX.test(text)) {
    return { ok: false, reason: `the token file ${file} must hold one word of 16 to 512 letters, digits or ._~+/=-` }
  }
  return { ok: true, token: text }
}

/**
 * Makes the file with its content in one step: written under another name, then linked, which fails where the file exists.
 * So two balancers that start at once agree on one token, and nobody reads half of one.
 */
function makeToken(file: string): void {
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
  const unfinished = `${file}.${process.pid}.${randomBytes(6).toString('hex')}`
  const fd = fs.openSync(unfinished, fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_WRONLY, 0o600)
  try {
    fs.writeFileSync(fd, `${randomBytes(TOKEN_BYTES).toString('base64url')}\n`)
    fs.linkSync(unfinished, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    fs.closeSync(fd)
    fs.unlinkSync(unfinished)
  }
}

/** Checks tokens against the file, which is read again when it changed. */
export class TokenFile {
  readonly path: string
  #stamp = ''
  #reading: TokenReading = { ok: false, reason: 'not read yet' }
  #digest: Buffer | null = null

  constructor(file: string) {
    this.path = file
    this.refresh()
  }

  /** Why no token can be right at the moment, null while one can. */
  get problem(): string | null {
    return this.#reading.ok ? null : this.#reading.reason
  }

  /** Looks at the file again; one `stat` while it is unchanged. */
  refresh(): void {
    const stamp = stampOf(this.path)
    if (stamp !== '' && stamp === this.#stamp) return
    this.#reading = readOrMakeToken(this.path)
    // From before the reading, so that a change in between is seen next time; a file just made has none yet.
    this.#stamp = stamp
    this.#digest = this.#reading.ok ? digest(this.#reading.token) : null
  }

  /** Is this the token? Takes the same time for every wrong one. */
  matches(candidate: string): boolean {
    this.refresh()
    return this.#digest !== null && timingSafeEqual(this.#digest, digest(candidate))
  }
}

/** `timingSafeEqual` wants equal lengths: digests have them, and tell nothing about the token's own. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function stampOf(file: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = fs.statSync(file, { bigint: true })
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`
  } catch {
    return ''
  }
}
