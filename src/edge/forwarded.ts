/**
 * What an endpoint is told about where a request came from, and what of a client's own claims is believed:
 * only a trusted proxy's fields are kept or extended, everybody else's are left out (also spelled with `_` for `-`).
 * Fields: X-Forwarded-For, -Proto, -Host; Forwarded (RFC 7239); Via (RFC 9110 section 7.6.3); x-request-id.
 */
import { FieldId } from '../http1/fields.ts'
import type { RequestHead } from '../http1/head.ts'
import { cutTable } from '../http1/write-request.ts'
import type { IdentityPlan } from '../pool/plan.ts'
import { isRequestId, type RequestIds } from './request-ids.ts'

/** What is the same for every request of a connection, as long as the settings are. */
export interface ForwardedCache {
  readonly identity: IdentityPlan
  readonly text10: string
  readonly text11: string
}

/** Who sent a request. */
export interface Client {
  /** In text, '' for unix sockets. */
  readonly clientAddress: string
  /** It is a proxy whose word about the request's origin counts. */
  readonly isTrusted: boolean
  /** How it speaks to us. */
  readonly scheme: 'http' | 'https'
  /** What is remembered here about it from one request to the next. */
  forwardedCache: ForwardedCache | null
}

const ORIGIN_FIELDS = [
  FieldId.FORWARDED,
  FieldId.X_FORWARDED_FOR,
  FieldId.X_FORWARDED_PROTO,
  FieldId.X_FORWARDED_HOST,
  FieldId.X_FORWARDED_PORT,
  FieldId.X_REAL_IP,
  FieldId.X_REQUEST_ID,
]
const CUT_OF_STRANGERS = cutTable(ORIGIN_FIELDS)
/** Of a trusted peer, what we extend is written anew and the rest stays. */
const EXTENDED_FIELDS = [FieldId.X_FORWARDED_FOR, FieldId.X_REQUEST_ID]
const CUT_OF_TRUSTED = cutTable(EXTENDED_FIELDS)
/** RFC 9110 section 10.1.1: in HTTP/1.0 an expectation means nothing, and what we send on is HTTP/1.1. */
const CUT_OF_OLD_STRANGERS = cutTable([...ORIGIN_FIELDS, FieldId.EXPECT])
const CUT_OF_OLD_TRUSTED = cutTable([...EXTENDED_FIELDS, FieldId.EXPECT])

/** Is this (`FieldId`) a claim about where a request came from, believed of trusted peers alone? */
export function isClaim(id: number): boolean {
  return CUT_OF_STRANGERS[id] === 1
}

/** The `cut` of `writeRequestHead`. */
export function cutFor(client: Client, versionMinor: 0 | 1): Uint8Array {
  if (versionMinor === 0) return client.isTrusted ? CUT_OF_OLD_TRUSTED : CUT_OF_OLD_STRANGERS
  return client.isTrusted ? CUT_OF_TRUSTED : CUT_OF_STRANGERS
}

/** The id that a trusted peer gave the request, or a new one. */
export function requestIdOf(client: Client, head: RequestHead, requestIds: RequestIds): string {
  if (!client.isTrusted) return requestIds.make()
  const claimed = head.find('x-request-id')
  const claimedId = claimed < 0 ? '' : head.value(claimed)
  return isRequestId(claimedId) ? claimedId : requestIds.make()
}

/** Our own fields for this request. */
export function forwardedFields(client: Client, head: RequestHead, identity: IdentityPlan, requestId: string): string {
  if (client.isTrusted) return trustedFields(client, head, identity, requestId)
  let cache = client.forwardedCache
  if (cache === null || cache.identity !== identity) {
    cache = makeCache(client, identity)
    client.forwardedCache = cache
  }
  const own = head.versionMinor === 1 ? cache.text11 : cache.text10
  const host = hostOf(head)
  const { xForwarded, standard } = identity.forwarded
  const xHost = xForwarded && host !== '' ? `x-forwarded-host: ${host}\r\n` : ''
  const text = `${own}${xHost}x-request-id: ${requestId}\r\n`
  return standard ? text + standardField(client, host) : text
}

/** True when a Via field names us: the request has come round. */
export function isLoop(head: RequestHead, via: string): boolean {
  for (let i = 0; i < head.count; i++)
    if (
      head.id[i] === FieldId.VIA &&
      head
        .value(i)
        .split(/[\s,]+/)
        .includes(via)
    )
      return true
  return false
}

function trustedFields(client: Client, head: RequestHead, identity: IdentityPlan, requestId: string): string {
  const { xForwarded, standard, via } = identity.forwarded
  const host = hostOf(head)
  let text = `x-request-id: ${requestId}\r\n`
  const chain = valuesOf(head, FieldId.X_FORWARDED_FOR)
  if (xForwarded) chain.push(client.clientAddress)
  const origin = chain.filter((one) => one !== '').join(', ')
  if (origin !== '') text += `x-forwarded-for: ${origin}\r\n`
  if (xForwarded) {
    if (!has(head, FieldId.X_FORWARDED_PROTO)) text += `x-forwarded-proto: ${client.scheme}\r\n`
    if (host !== '' && !has(head, FieldId.X_FORWARDED_HOST)) text += `x-forwarded-host: ${host}\r\n`
  }
  if (standard) text += standardField(client, host)
  if (via) text += `via: 1.${head.versionMinor} ${identity.via}\r\n`
  return text
}

function makeCache(client: Client, identity: IdentityPlan): ForwardedCache {
  const { clientAddress, scheme } = client
  const { xForwarded, via } = identity.forwarded
  let text = ''
  if (xForwarded) {
    if (clientAddress !== '') text += `x-forwarded-for: ${clientAddress}\r\n`
    text += `x-forwarded-proto: ${scheme}\r\n`
  }
  return {
    identity,
    text10: via ? `${text}via: 1.0 ${identity.via}\r\n` : text,
    text11: via ? `${text}via: 1.1 ${identity.via}\r\n` : text,
  }
}

/** RFC 7239 section 4; section 6: IPv6 in brackets and quotes, an unknown client has a name for that. */
function standardField(client: Client, host: string): string {
  const { clientAddress, scheme } = client
  const node = clientAddress === '' ? 'unknown' : clientAddress.includes(':') ? `"[${clientAddress}]"` : clientAddress
  return `forwarded: for=${node};proto=${scheme}${host === '' ? '' : `;host="${host}"`}\r\n`
}

function hostOf(head: RequestHead): string {
  return head.text(head.authorityStart, head.authorityEnd)
}

function has(head: RequestHead, id: number): boolean {
  for (let i = 0; i < head.count; i++) if (head.id[i] === id && isPlain(head, i)) return true
  return false
}

function valuesOf(head: RequestHead, id: number): string[] {
  const values: string[] = []
  for (let i = 0; i < head.count; i++) if (head.id[i] === id && isPlain(head, i)) values.push(head.value(i))
  return values
}

function isPlain(head: RequestHead, index: number): boolean {
  return !head.name(index).includes('_')
}
