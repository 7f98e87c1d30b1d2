/**
 * What was changed by hand on endpoints, laid over what the file says: effective = base + overlay. It outlives reloads for as
 * long as the file has the endpoint, and ends with the balancer.
 *
 * A value that equals the file's is no overlay: whoever writes into the file what was set by hand has the file decide again.
 */
import type { EndpointState } from '../service/protocol.ts'
import type { EndpointOverlay, EndpointRecord } from './plan.ts'

/** Sentences of one kind that a reload says; the rest is counted. */
const SAID_MAX = 20

/** Null takes the hand off: the file's value holds again. */
export interface OverlayEdit {
  readonly weight?: number | null
  readonly state?: EndpointState | null
}

export class Overlay {
  readonly #byKey = new Map<string, EndpointOverlay & { readonly id: string }>()

  /** By endpoint key. */
  get entries(): ReadonlyMap<string, EndpointOverlay> {
    return this.#byKey
  }

  /** Changes one endpoint; its record as it is from now on. */
  edit(record: EndpointRecord, { weight, state }: OverlayEdit): EndpointRecord {
    const { key, id, base } = record
    const { weight: weightBefore, state: stateBefore } = record.overlay
    const overlay = overlayOver(base, {
      ...onlyDefined('weight', weight === undefined ? weightBefore : (weight ?? undefined)),
      ...onlyDefined('state', state === undefined ? stateBefore : (state ?? undefined)),
    })
    if (Object.keys(overlay).length === 0) this.#byKey.delete(key)
    else this.#byKey.set(key, { ...overlay, id })
    return { ...record, overlay, ...effective(base, overlay) }
  }

  /**
   * A reload is in force: what was changed on endpoints that are gone is forgotten, as is what the file says itself by now. Says
   * what was lost, and what stays although the file says otherwise.
   */
  settle(get: (key: string) => EndpointRecord | undefined, isShared: (id: string) => boolean): string[] {
    const gone: string[] = []
    const kept: string[] = []
    for (const [key, { id }] of this.#byKey) {
      const record = get(key)
      if (record === undefined) {
        this.#byKey.delete(key)
        gone.push(`endpoint '${id}' is gone, and what was changed on it by hand with it`)
        continue
      }
      const { overlay, base, pools } = record
      const which = isShared(id) ? `${id} --pool ${pools[0]!}` : id
      if (overlay.weight !== undefined)
        kept.push(
          `weight of ${id} stays ${overlay.weight}, set by hand; the file says ${base.weight} (undo: evenkeel weight ${which} --undo)`,
        )
      if (overlay.state !== undefined) {
        const undo =
          base.state === 'active'
            ? `evenkeel drain ${which} --undo`
            : `DELETE /api/v1/endpoints/${encodeURIComponent(id)}/state`
        kept.push(`state of ${id} stays ${overlay.state}, set by hand; the file says ${base.state} (undo: ${undo})`)
      }
      if (Object.keys(overlay).length === 0) this.#byKey.delete(key)
      else this.#byKey.set(key, { ...overlay, id })
    }
    return [
      ...bounded(gone, 'endpoints are gone with what was changed on them'),
      ...bounded(kept, 'values set by hand stay'),
    ]
  }
}

/** What of an overlay differs from the file. */
export function overlayOver(base: EndpointRecord['base'], { weight, state }: EndpointOverlay): EndpointOverlay {
  return {
    ...onlyDefined('weight', weight === base.weight ? undefined : weight),
    ...onlyDefined('state', state === base.state ? undefined : state),
  }
}

/** What holds in the end. */
export function effective(base: EndpointRecord['base'], { weight, state }: EndpointOverlay): EndpointRecord['base'] {
  return { weight: weight ?? base.weight, state: state ?? base.state }
}

function onlyDefined<K extends string, V>(key: K, value: V | undefined): { readonly [key in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [key in K]?: V })
}

function bounded(sentences: readonly string[], rest: string): string[] {
  if (sentences.length <= SAID_MAX) return [...sentences]
  return [...sentences.slice(0, SAID_MAX), `${sentences.length - SAID_MAX} more ${rest}`]
}
