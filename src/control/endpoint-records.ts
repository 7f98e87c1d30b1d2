/** The endpoints in force, by key and by row, and what a change of them means in words. */
import { formatAddress } from '../core/address.ts'
import type { EndpointRecord } from './plan.ts'
import { eachInSteps } from './slices.ts'

/** What became of an endpoint. */
export interface EndpointEdit {
  readonly what: 'added' | 'removed' | 'weight' | 'state' | 'address'
  readonly detail: string
}

export type OnEndpointEdit = (record: EndpointRecord, edit: EndpointEdit) => void

export class EndpointRecords implements Iterable<EndpointRecord> {
  #byKey = new Map<string, EndpointRecord>()
  #bySlot = new Map<number, EndpointRecord>()

  get(key: string): EndpointRecord | undefined {
    return this.#byKey.get(key)
  }

  /** In the order of the config. */
  [Symbol.iterator](): Iterator<EndpointRecord> {
    return this.#byKey.values()
  }

  bySlot(slot: number): EndpointRecord | null {
    return this.#bySlot.get(slot) ?? null
  }

  /** Exchanges one record for a newer one of the same endpoint. */
  set(record: EndpointRecord): void {
    this.#byKey.set(record.key, record)
    this.#bySlot.set(record.slot, record)
  }

  /** Takes over all records of a new plan, and the map of them; returns what was there. */
  replace(byKey: Map<string, EndpointRecord>): ReadonlyMap<string, EndpointRecord> {
    const before = this.#byKey
    this.#byKey = byKey
    this.#bySlot = new Map()
    for (const record of byKey.values()) this.#bySlot.set(record.slot, record)
    return before
  }

  /** Do all endpoints that were found at this address by this name count as failing? False where there is none. */
  everyAt(host: string, address: string, isFailing: (slot: number) => boolean): boolean {
    let isAny = false
    for (const { configured, address: actual, slot } of this.#byKey.values()) {
      if (configured.kind !== 'ip' || configured.host !== host || actual?.kind !== 'ip' || actual.host !== address)
        continue
      if (!isFailing(slot)) return false
      isAny = true
    }
    return isAny
  }
}

/** Tells what differs between the endpoints of two plans, in steps. */
export function* tellDifferences(
  before: ReadonlyMap<string, EndpointRecord>,
  records: readonly EndpointRecord[],
  tell: OnEndpointEdit,
): Generator<void, void> {
  const kept = new Set<string>()
  yield* eachInSteps(records, (record) => {
    const known = before.get(record.key)
    if (known === undefined) tell(record, { what: 'added', detail: formatAddress(record.configured) })
    else {
      kept.add(record.key)
      tellEdits(known, record, tell)
    }
  })
  yield* eachInSteps(before.values(), (record) => {
    if (!kept.has(record.key)) tell(record, { what: 'removed', detail: formatAddress(record.configured) })
  })
}

/** Tells what differs between two states of one endpoint. */
export function tellEdits(before: EndpointRecord, after: EndpointRecord, tell: OnEndpointEdit): void {
  if (before.weight !== after.weight) tell(after, { what: 'weight', detail: `${after.weight}, was ${before.weight}` })
  if (before.state !== after.state) tell(after, { what: 'state', detail: `${after.state}, was ${before.state}` })
  if (before.address === after.address) return
  const [from, to] = [before, after].map(({ address }) => (address === null ? 'none' : formatAddress(address)))
  if (from !== to) tell(after, { what: 'address', detail: `${to}, was ${from}` })
}
