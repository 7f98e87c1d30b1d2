/** The note of a balancer without an admin API: it cannot be asked, but it can be found. */
import { keepInstance } from '../service/instances.ts'
import { defaultTokenFile, stateDirectory } from '../service/state-directory.ts'

/** Where the admin API is on, its own thread leaves the note; this one is there exactly while it is off. */
export class QuietNote {
  readonly #configFile: string | null
  readonly #startedAtMs: number = Date.now()
  #remove: (() => void) | null = null

  constructor(configFile: string | null) {
    this.#configFile = configFile
  }

  /** Writes the note or takes it away. A state directory that cannot be written costs only the note. */
  update(hasAdmin: boolean): void {
    if (hasAdmin) {
      this.remove()
      return
    }
    if (this.#remove !== null) return
    const { pid } = process
    const note = {
      pid,
      url: null,
      tokenFile: defaultTokenFile(),
      configFile: this.#configFile,
      startedAtMs: this.#startedAtMs,
    }
    try {
      this.#remove = keepInstance(stateDirectory(), note, 'no admin API')
    } catch {
      // `evenkeel status` will say that it found nothing, as it would without notes.
    }
  }

  remove(): void {
    if (this.#remove === null) return
    try {
      this.#remove()
    } catch {
      // The next command that looks removes notes of processes that are gone.
    }
    this.#remove = null
  }
}
