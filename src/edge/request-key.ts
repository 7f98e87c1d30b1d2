/**
 * The key by which a hash picker chooses: 32 bits of what the pool's `key` names, from the bytes of the head.
 * A request that lacks it gets a key by chance, so that all of those do not fall on one endpoint.
 */
import type { HashFunction } from '../core/hash/hash-function.ts'
import type { RequestKey } from '../core/hash/request-key.ts'
import { FieldId } from '../http1/fields.ts'
import { type RequestHead, TargetForm } from '../http1/head.ts'
import { normalHost, normalPath } from '../http1/target.ts'
import { isClaim } from './forwarded.ts'

/** Who sent the request, as far as keys go. */
export interface KeyClient {
  readonly clientAddress: string
  readonly isTrusted: boolean
  readonly listener: { readonly trusted: { has(address: string): boolean } }
}

/** The key of a request as a signed whole number of 32 bits, which V8 does not box. */
export type KeyReader = (head: RequestHead, client: KeyClient) => number

/** `random` in [0, 1). */
export function keyReader(key: RequestKey, hash: HashFunction, random: () => number): KeyReader {
  const missing = (): number => (random() * 0x1_0000_0000) | 0
  switch (key.kind) {
    case 'path':
      return (head) => pathKey(head, hash)
    case 'url':
      return (head) =>
        head.pathStart === head.pathEnd
          ? hash.ofString('/') | 0
          : hash.ofBytes(head.bytes, head.pathStart, head.pathEnd) | 0
    case 'host':
      return (head) => {
        const host = normalHost(head) ?? ''
        return host === '' ? missing() : hash.ofString(host) | 0
      }
    case 'client':
      return (head, client) => {
        const address = client.isTrusted ? originOf(head, client) : client.clientAddress
        return address === '' ? missing() : hash.ofString(address) | 0
      }
    case 'header':
      return (head, client) => {
        const { name } = key
        for (let i = head.find(name); i >= 0; i = head.find(name, i + 1)) {
          // A stranger must not choose its way by what only a proxy may say.
          if (!client.isTrusted && isClaim(head.id[i]!)) continue
          return rangeKey(hash, head, head.valueStart[i]!, head.valueEnd[i]!) ?? missing()
        }
        return missing()
      }
    case 'cookie': {
      const name = Buffer.from(key.name, 'latin1')
      return (head) => cookieKey(head, name, hash) ?? missing()
    }
    case 'query': {
      const name = Buffer.from(key.name, 'latin1')
      return (head) => queryKey(head, name, hash) ?? missing()
    }
  }
}

/** Spellings of one path are one key. */
function pathKey(head: RequestHead, hash: HashFunction): number {
  const isPlain = head.targetFlags === 0 && head.targetForm !== TargetForm.ASTERISK && head.queryStart > head.pathStart
  if (isPlain) return hash.ofBytes(head.bytes, head.pathStart, head.queryStart) | 0
  return hash.ofString(normalPath(head) ?? '') | 0
}

/** What is empty is as good as missing. */
function rangeKey(hash: HashFunction, head: RequestHead, start: number, end: number): number | null {
  return start < end ? hash.ofBytes(head.bytes, start, end) | 0 : null
}

/** `name=value; name=value` in any number of fields; the first one of the name. */
function cookieKey(head: RequestHead, name: Buffer, hash: HashFunction): number | null {
  for (let i = head.find('cookie'); i >= 0; i = head.find('cookie', i + 1)) {
    const key = pairKey(head, head.valueStart[i]!, head.valueEnd[i]!, SEMICOLON, name, hash)
    if (key !== null) return key
  }
  return null
}

/** `name=value&name=value` behind the `?`, as the bytes stand: nothing is decoded. */
function queryKey(head: RequestHead, name: Buffer, hash: HashFunction): number | null {
  return pairKey(head, head.queryStart + 1, head.pathEnd, AMPERSAND, name, hash)
}

const SEMICOLON = 0x3b
const AMPERSAND = 0x26
const EQUALS = 0x3d
const SPACE = 0x20

function pairKey(
  head: RequestHead,
  from: number,
  to: number,
  separator: number,
  name: Buffer,
  hash: HashFunction,
): number | null {
  const { bytes } = head
  let start = from
  while (start < to) {
    while (start < to && bytes[start] === SPACE) start++
    let end = bytes.indexOf(separator, start)
    if (end < 0 || end > to) end = to
    const value = start + name.length + 1
    if (value <= end && bytes[value - 1] === EQUALS && startsWith(bytes, start, name)) {
      return rangeKey(hash, head, value, end)
    }
    start = end + 1
  }
  return null
}

function startsWith(bytes: Buffer, start: number, name: Buffer): boolean {
  for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name[i]) return false
  return true
}

/** The last address of X-Forwarded-For that no trusted proxy has; where all are trusted, the first. */
function originOf(head: RequestHead, client: KeyClient): string {
  let origin = client.clientAddress
  for (let i = head.count - 1; i >= 0; i--) {
    if (head.id[i] !== FieldId.X_FORWARDED_FOR || head.name(i).includes('_')) continue
    const chain = head.value(i).split(',')
    for (let place = chain.length - 1; place >= 0; place--) {
      const address = chain[place]!.trim()
      if (address === '') continue
      origin = address
      if (!client.listener.trusted.has(address)) return origin
    }
  }
  return origin
}
