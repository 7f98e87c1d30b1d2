/** Mutations that know the structure: they exchange, drop, double and swap pieces and lines, and only at times bytes. */
import type { Xoshiro128 } from '../../src/core/random.ts'
import { BAD, BAD_LINES, GOOD, GOOD_LINES, Kind, line, type Piece, SEEDS, type Seed } from './seeds.ts'

const LINE_PIECES = 4
/** Bytes that some parser takes for another. */
const SHARP_BYTES = '\0\x01\t\n\x0b\x0c\r \x1f"#,/0:;=@\\_\x7f\x80\x85\xa0\xff'

/** A message made from a seed by one to five mutations, most of them harmless; one byte a character. */
export function mutate(seed: Seed, random: Xoshiro128): string {
  const pieces = [...seed.pieces]
  let text: string | null = null
  const rounds = 1 + random.below(5)
  for (let round = 0; round < rounds; round++) {
    const dice = random.below(100)
    if (dice < 40) exchange(pieces, GOOD, random)
    else if (dice < 50) exchange(pieces, BAD, random)
    else if (dice < 68) insertLine(pieces, GOOD_LINES, random)
    else if (dice < 72) insertLine(pieces, BAD_LINES, random)
    else if (dice < 84) editLines(pieces, random)
    else if (dice < 89) append(pieces, seed.isRequest, random)
    // Bytes last: after them there are no pieces any more.
    else if (round === rounds - 1) text = editBytes(join(pieces), random)
  }
  return text ?? join(pieces)
}

function join(pieces: readonly Piece[]): string {
  let text = ''
  for (const { text: part } of pieces) text += part
  return text
}

function pick<T>(list: readonly T[], random: Xoshiro128): T {
  return list[random.below(list.length)]!
}

function exchange(pieces: Piece[], alternatives: readonly (readonly string[])[], random: Xoshiro128): void {
  const index = random.below(pieces.length)
  const { kind } = pieces[index]!
  pieces[index] = { kind, text: pick(alternatives[kind]!, random) }
}

/** The indices of the first pieces of field lines. */
function lineStarts(pieces: readonly Piece[]): number[] {
  const starts: number[] = []
  for (let i = 0; i < pieces.length; i++) if (pieces[i]!.kind === Kind.NAME) starts.push(i)
  return starts
}

function insertLine(pieces: Piece[], lines: readonly (readonly [string, string])[], random: Xoshiro128): void {
  const starts = lineStarts(pieces)
  if (starts.length === 0) return
  const [name, value] = pick(lines, random)
  pieces.splice(pick(starts, random), 0, ...line(name, value))
}

function editLines(pieces: Piece[], random: Xoshiro128): void {
  const starts = lineStarts(pieces)
  if (starts.length === 0) return
  const from = pick(starts, random)
  switch (random.below(3)) {
    case 0:
      pieces.splice(from, LINE_PIECES)
      break
    case 1:
      pieces.splice(from, 0, ...pieces.slice(from, from + LINE_PIECES))
      break
    default: {
      const to = pick(starts, random)
      for (let i = 0; i < LINE_PIECES; i++) {
        const moved = pieces[from + i]!
        pieces[from + i] = pieces[to + i]!
        pieces[to + i] = moved
      }
    }
  }
}

/** Another message behind this one, or, for a smuggler, in the place of its second half. */
function append(pieces: Piece[], isRequest: boolean, random: Xoshiro128): void {
  let other = pick(SEEDS, random)
  while (other.isRequest !== isRequest) other = pick(SEEDS, random)
  if (random.below(4) === 0) pieces.length = random.below(pieces.length)
  pieces.push(...other.pieces)
}

function editBytes(text: string, random: Xoshiro128): string {
  let edited = text
  const edits = 1 + random.below(2)
  for (let i = 0; i < edits; i++) {
    const at = random.below(edited.length + 1)
    const byte =
      random.below(3) === 0 ? String.fromCharCode(random.below(256)) : pick(SHARP_BYTES as unknown as string[], random)
    switch (random.below(4)) {
      case 0:
        edited = edited.slice(0, at) + byte + edited.slice(at)
        break
      case 1:
        edited = edited.slice(0, at) + edited.slice(at + 1)
        break
      case 2:
        edited = edited.slice(0, at)
        break
      default:
        edited = edited.slice(0, at) + byte + edited.slice(at + 1)
    }
  }
  return edited
}
