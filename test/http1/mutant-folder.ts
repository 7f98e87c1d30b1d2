/** Copies of the codec with a mutant's edits in them, to be imported. */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Mutant } from './strictness-mutants.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export class MutantFolder {
  readonly #path = mkdtempSync(join(tmpdir(), 'evenkeel-mutants-'))
  #built = 0

  constructor() {
    writeFileSync(join(this.#path, 'package.json'), '{"type":"module"}')
  }

  /** Builds the mutant; returns its folder, laid out as the project is. Fails when an edit's text is not found once. */
  build(mutant: Mutant): string {
    const folder = join(this.#path, String(this.#built++))
    for (const part of ['src/core/errors.ts', 'src/core/random.ts', 'src/http1', 'scripts/fuzz']) {
      cpSync(join(ROOT, part), join(folder, part), { recursive: true })
    }
    for (const { file, from, to } of mutant.edits) {
      const path = join(folder, 'src', 'http1', `${file}.ts`)
      const source = readFileSync(path, 'utf8')
      assert.equal(source.split(from).length - 1, 1, `${file}.ts is to hold this once: ${from}`)
      writeFileSync(
        path,
        source.replace(from, () => to),
      )
    }
    return folder
  }

  remove(): void {
    rmSync(this.#path, { recursive: true, force: true })
  }
}
