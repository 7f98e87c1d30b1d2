/** What changed between two settings, said by names and ids rather than by positions. */
import type { Settings } from './schema.ts'

/** One change. A list's members are known by name or id, so an endpoint moved within its pool is no change. */
export interface SettingsChange {
  /** `pools.web.endpoints[127.0.0.1:9001].weight` */
  readonly path: string
  readonly kind: 'added' | 'removed' | 'changed'
  readonly before: unknown
  readonly after: unknown
  /** True where a running balancer cannot follow: the number of workers and the sizes of shared memory. */
  readonly needsRestart: boolean
}

/**
 * Lists the changes from one settings to another, in the order of the keys; empty when nothing differs.
 * The order of routes is part of their meaning: when it changes, one change with the path `routes` gives the names.
 * O(size).
 */
export function diffSettings(before: Settings, after: Settings): SettingsChange[] {
  const changes: SettingsChange[] = []
  compare('', before, after, changes)
  const order = [before, after].map(({ routes }) => routes.map(({ name }) => name)) as [string[], string[]]
  const kept = [order[0].filter((name) => order[1].includes(name)), order[1].filter((name) => order[0].includes(name))]
  if (kept[0]!.some((name, index) => name !== kept[1]![index])) note('routes', 'changed', order[0], order[1], changes)
  return changes
}

function compare(path: string, before: unknown, after: unknown, changes: SettingsChange[]): void {
  if (Object.is(before, after)) return
  const isBoth = isObject(before) && isObject(after) && Array.isArray(before) === Array.isArray(after)
  if (!isBoth) {
    const kind = before === undefined ? 'added' : after === undefined ? 'removed' : 'changed'
    note(path, kind, before, after, changes)
    return
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    const key = memberKey(before, after)
    if (key === null) {
      if (JSON.stringify(before) !== JSON.stringify(after)) note(path, 'changed', before, after, changes)
      return
    }
    compareMembers(membersBy(before, key), membersBy(after, key), changes, (name) => `${path}[${name}]`)
    return
  }
  // A socket address changes as a whole.
  if ('kind' in before && 'kind' in after) {
    if (!hasSameFields(before, after)) note(path, 'changed', before, after, changes)
    return
  }
  compareFields(path, before as Fields, after as Fields, changes)
}

type Fields = Readonly<Record<string, unknown>>

/** Of objects whose values are plain. */
function hasSameFields(before: Fields, after: Fields): boolean {
  for (const name in before) if (!Object.is(before[name], after[name])) return false
  for (const name in after) if (!(name in before)) return false
  return true
}

/** Makes no path where nothing differs: with 10 000 endpoints that is nearly everywhere. */
function compareFields(path: string, before: Fields, after: Fields, changes: SettingsChange[]): void {
  // A listener's `address` is its `bind` as read: a change of that is one change.
  const isBound = 'bind' in before
  for (const name in before) {
    if (Object.is(before[name], after[name]) || (isBound && name === 'address')) continue
    compare(path === '' ? name : `${path}.${name}`, before[name], after[name], changes)
  }
  for (const name in after) {
    if (name in before || (isBound && name === 'address')) continue
    compare(path === '' ? name : `${path}.${name}`, undefined, after[name], changes)
  }
}

function compareMembers(
  before: ReadonlyMap<string, unknown>,
  after: ReadonlyMap<string, unknown>,
  changes: SettingsChange[],
  pathOf: (name: string) => string,
): void {
  for (const [name, value] of before) compare(pathOf(name), value, after.get(name), changes)
  for (const [name, value] of after) if (!before.has(name)) compare(pathOf(name), undefined, value, changes)
}

/** What a list's members are known by: endpoints by id, listeners and routes by name, else nothing (compared whole). */
function memberKey(before: readonly unknown[], after: readonly unknown[]): 'id' | 'name' | null {
  const sample = before[0] ?? after[0]
  if (!isObject(sample)) return null
  if ('id' in sample) return 'id'
  // The headers of a match have names too, but there the pair is the thing.
  return 'name' in sample && !('value' in sample) ? 'name' : null
}

function membersBy(list: readonly unknown[], key: 'id' | 'name'): Map<string, unknown> {
  return new Map(list.map((member) => [String((member as Record<string, unknown>)[key]), member]))
}

function note(
  path: string,
  kind: SettingsChange['kind'],
  before: unknown,
  after: unknown,
  changes: SettingsChange[],
): void {
  changes.push({ path, kind, before, after, needsRestart: path === 'workers' || path.startsWith('memory.') })
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
