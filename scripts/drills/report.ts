/** What a drill found, and how it is told. */
import type { Sent } from './load.ts'

export interface Row {
  readonly what: string
  readonly seen: string
}

export interface DrillReport {
  readonly name: string
  readonly claim: string
  readonly rows: readonly Row[]
  /** What contradicts the claim, each with its cause. Empty: the drill went well. */
  readonly failures: readonly string[]
}

/** Gathers a report. */
export class Notes {
  readonly rows: Row[] = []
  readonly failures: string[] = []

  see(what: string, seen: string): void {
    this.rows.push({ what, seen })
  }

  /** Something that must hold. */
  check(isRight: boolean, otherwise: string): void {
    if (!isRight) this.failures.push(otherwise)
  }

  report(name: string, claim: string): DrillReport {
    return { name, claim, rows: this.rows, failures: this.failures }
  }
}

/** Like failures together, the most frequent first, with one example each. */
export function groupFailures(failed: readonly Sent[]): string[] {
  const groups = new Map<string, Sent[]>()
  for (const one of failed) {
    const { stage, cause } = one.failure!
    // Ids and the like differ between failures of one kind.
    const key = `${one.spec.method} ${one.spec.path}, ${stage}: ${cause.replaceAll(/request id: \S+/g, '').trim()}`
    groups.set(key, [...(groups.get(key) ?? []), one])
  }
  return [...groups]
    .toSorted(([, a], [, b]) => b.length - a.length)
    .map(([key, members]) => `${members.length} × ${key} (such as ${example(members[0]!)})`)
}

function example({ id, sentAt, endedAt, connection, failure }: Sent): string {
  const requestId = /request id: (\S+)/.exec(failure!.cause)?.[1]
  const took = sentAt === 0 ? 'never sent' : `after ${(endedAt - sentAt).toFixed(0)} ms`
  return `${id} on connection ${connection}, ${took}${requestId === undefined ? '' : `, request id ${requestId}`}`
}

export function tableOf(reports: readonly DrillReport[]): string {
  const width = Math.max(...reports.flatMap(({ rows }) => rows.map(({ what }) => what.length)))
  return reports
    .map(({ name, rows, failures }) => {
      const lines = rows.map(({ what, seen }) => `  ${what.padEnd(width)}  ${seen}`)
      const verdict = failures.length === 0 ? ['  ✔ as claimed'] : failures.map((failure) => `  ✖ ${failure}`)
      return [name, ...lines, ...verdict].join('\n')
    })
    .join('\n\n')
}
