import type { Reading } from '../address.ts'

/** What of a request a hash picker goes by. */
export type RequestKey =
  | { readonly kind: 'path' | 'url' | 'host' | 'client' }
  | { readonly kind: 'header' | 'cookie' | 'query'; readonly name: string }

const PLAIN = ['path', 'url', 'host', 'client'] as const
const NAMED = ['header', 'cookie', 'query'] as const

/** What a picker goes by when nothing is named: the path (002), or what its own name says. */
export function defaultRequestKey(picker: string): string {
  return picker === 'ip-hash' ? 'client' : 'path'
}

/** A header's or a cookie's name (RFC 9110 section 5.6.2, RFC 6265 section 4.1.1). */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/
/** A parameter's name as it stands in a query. */
const PARAMETER = /^[!$%'()*+,\-./0-9:;?@A-Z[\]_a-z~]{1,128}$/

/** Reads `path`, `url`, `host`, `client`, `header:NAME`, `cookie:NAME` or `query:NAME`. Header names come out in lower case. */
export function parseRequestKey(text: string): Reading<RequestKey> {
  for (const kind of PLAIN) if (text === kind) return { ok: true, value: { kind } }
  const colon = text.indexOf(':')
  const word = colon < 0 ? text : text.slice(0, colon)
  const kind = NAMED.find((each) => each === word)
  if (kind === undefined) {
    return {
      ok: false,
      reason: `there is no key '${text}'`,
      hint: 'one of path, url, host, client, header:NAME, cookie:NAME, query:NAME',
    }
  }
  const name = colon < 0 ? '' : text.slice(colon + 1)
  if (name === '') return { ok: false, reason: `the key '${text}' names no ${kind}`, hint: `${kind}:NAME` }
  const isName = kind === 'query' ? PARAMETER.test(name) : TOKEN.test(name)
  if (!isName) return { ok: false, reason: `'${name}' cannot be the name of a ${WORDS[kind]}` }
  return { ok: true, value: { kind, name: kind === 'header' ? name.toLowerCase() : name } }
}

const WORDS = { header: 'header field', cookie: 'cookie', query: 'query parameter' } as const
