import { nearest } from '../config/nearest.ts'

/** The commands that a wrong word may mean: those that it begins, else the one that is spelled most like it. */
export function nearestCommands(word: string, names: readonly string[]): readonly string[] {
  const begun = word === '' ? [] : names.filter((name) => name.startsWith(word.toLowerCase()))
  if (begun.length > 0) return begun
  const near = nearest(word, names)
  return near === undefined ? [] : [near]
}
