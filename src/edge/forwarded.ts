/**
 * What an endpoint is told about where a request came from, and what of a client's own claims is believed:
 * only a trusted proxy's fields are kept or extended, everybody else's are left out (also spelled with `_` for `-`).
 * Fields: X-Forwarded-For, -Proto, -Host; Forwarded (RFC 7239); Via (RFC 9110 section 7.6.3); x-request-id.
 */
import { FieldId } from '../http1/fields.ts'
import type { RequestHead } from '../http1/head.ts'
import { cutTable } from '../http1/write-request.ts'
import type { IdentityPlan } from '../pool/plan.ts'
import type { Exchange } from './exchange.ts'
import { isRequestId, type RequestIds } from './request-ids.ts'
import type { DownstreamStream } from './streams.ts'

/** What is the same for every request of a connection, as long as the settings are. */
export interface ForwardedCache {
  readonly identity: IdentityPlan
  readonly text10: string
  readonly text11: string
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
export function cutFor(downstream: DownstreamStream, versionMinor: 0 | 1): Uint8Array {
  if (versionMinor === 0) return downstream.isTrusted ? CUT_OF_OLD_TRUSTED : CUT_OF_OLD_STRANGERS
  return downstream.isTrusted ? CUT_OF_TRUSTED : CUT_OF_STRANGERS
}

/** Our own fields for this request; notes the request's id in the exchange. */
export function forwardedFields(
  exchange: Exchange,
  head: RequestHead,
  identity: IdentityPlan,
  requestIds: RequestIds,
): string {
  const { downstream } = exchange
  if (downstream.isTrusted) return trustedFields(exchange, head, identity, requestIds)
  let cache = downstream.forwardedCache
  if (cache === null || cache.identity !== identity) {
    cache = makeCache(downstream, identity)
    downstream.forwardedCache = cache
  }
  const requestId = requestIds.make()
  exchange.requestId = requestId
  const own = head.versionMinor === 1 ? cache.text11 : cache.text10
  const host = hostOf(head)
  const { xForwarded, standard } = identity.forwarded
  const xHost = xForwarded && host !== '' ? `x-forwarded-host: ${host}\r\n` : ''
  const text = `${own}${xHost}x-request-id: ${requestId}\r\n`
  return standard ? text + standardField(downstream, host) : text
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

function trustedFields(exchange: Exchange, head: RequestHead, identity: IdentityPlan, requestIds: RequestIds): string {
  const { downstream } = exchange
  const { xForwarded, standard, via } = identity.forwarded
  const host = hostOf(head)
  const claimed = head.find('x-request-id')
  const claimedId = claimed < 0 ? '' : head.value(claimed)
  exchange.requestId = isRequestId(claimedId) ? claimedId : requestIds.make()
  let text = `x-request-id: ${exchange.requestId}\r\n`
  const chain = valuesOf(head, FieldId.X_FORWARDED_FOR)
  if (xForwarded) chain.push(downstream.clientAddress)
  const origin = chain.filter((one) => one !== '').join(', ')
  if (origin !== '') text += `x-forwarded-for: ${origin}\r\n`
  if (xForwarded) {
    if (!has(head, FieldId.X_FORWARDED_PROTO)) text += `x-forwarded-proto: ${downstream.scheme}\r\n`
    if (host !== '' && !has(head, FieldId.X_FORWARDED_HOST)) text += `x-forwarded-host: ${host}\r\n`
  }
  if (standard) text += standardField(downstream, host)
  if (via) text += `via: 1.${head.versionMinor} ${identity.via}\r\n`
  return text
}

function makeCache(downstream: DownstreamStream, identity: IdentityPlan): ForwardedCache {
  const { clientAddress, scheme } = downstream
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
function standardField(downstream: DownstreamStream, host: string): string {
  const { clientAddress, scheme } = downstream
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
