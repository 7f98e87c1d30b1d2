/** Where a number stands in a JSON value: `$`, then keys after dots and indices in brackets. `$.load.cpu`, `$.disks[0].busy`. */
export const SIGNAL_PATH = /^\$(?:\.[A-Za-z0-9_-]{1,64}|\[\d{1,6}\]){1,16}$/

/** The steps of a path that `SIGNAL_PATH` allows. */
export function signalSteps(path: string): readonly (string | number)[] {
  return Array.from(path.matchAll(/\.([A-Za-z0-9_-]+)|\[(\d+)\]/g), ([, key, index]) => key ?? Number(index))
}

/** The finite number that stands there, null when there is none. */
export function numberAt(value: unknown, steps: readonly (string | number)[]): number | null {
  let here = value
  for (const step of steps) {
    if (typeof here !== 'object' || here === null) return null
    if (Array.isArray(here) !== (typeof step === 'number') || !Object.hasOwn(here, step)) return null
    here = (here as Readonly<Record<string | number, unknown>>)[step]
  }
  return typeof here === 'number' && Number.isFinite(here) ? here : null
}
