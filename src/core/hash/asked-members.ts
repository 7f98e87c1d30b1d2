const ROUNDS = 255

/**
 * Which members have refused a key during one `find`: a byte for each, that holds the number of the round in which it was
 * marked, so that a new round costs nothing but one clearing in 255.
 */
export class AskedMembers {
  /** Round of the last mark, by index; 0: never. */
  readonly #rounds: Uint8Array
  #round = 0

  constructor(count: number) {
    this.#rounds = new Uint8Array(count)
  }

  get bytes(): number {
    return this.#rounds.byteLength
  }

  /** Forgets all marks. */
  begin(): void {
    if (this.#round === ROUNDS) {
      this.#rounds.fill(0)
      this.#round = 0
    }
    this.#round++
  }

  has(index: number): boolean {
    return this.#rounds[index] === this.#round
  }

  add(index: number): void {
    this.#rounds[index] = this.#round
  }
}
