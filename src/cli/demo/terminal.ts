/** The terminal as a canvas: a second screen for the time of the demo, keys one by one, everything put back at the end. */

const ENTER = '\x1b[?1049h\x1b[?25l'
const LEAVE = '\x1b[?25h\x1b[?1049l'

export class Terminal {
  #isOpen = false
  readonly #restore = () => this.close()

  /** Is there a terminal that can be drawn on? */
  static isAvailable(): boolean {
    return process.stdout.isTTY && process.env['TERM'] !== 'dumb'
  }

  /** Keys can only be read where the input is a terminal too. */
  static hasKeys(): boolean {
    return process.stdin.isTTY
  }

  open(onKey: (key: string) => void): void {
    this.#isOpen = true
    process.stdout.write(ENTER)
    // However the process ends, the person gets their screen and their cursor back.
    process.once('exit', this.#restore)
    if (Terminal.hasKeys()) {
      process.stdin.setRawMode(true)
      process.stdin.setEncoding('utf8')
      process.stdin.on('data', (text: string) => {
        // An escape sequence (an arrow, a pasted colour) is no key of ours.
        if (!text.startsWith('\x1b')) for (const key of text) onKey(key)
      })
      process.stdin.resume()
    }
  }

  get columns(): number {
    return process.stdout.columns
  }

  get rows(): number {
    return process.stdout.rows
  }

  /** Replaces what is shown; each line erases its own rest, so that nothing flickers. */
  draw(lines: readonly string[]): void {
    if (this.#isOpen) process.stdout.write(`\x1b[H${lines.map((line) => `${line}\x1b[K`).join('\r\n')}\r\n\x1b[J`)
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    process.removeListener('exit', this.#restore)
    process.stdout.write(LEAVE)
    if (Terminal.hasKeys()) {
      process.stdin.setRawMode(false)
      process.stdin.pause()
      process.stdin.removeAllListeners('data')
    }
  }
}
