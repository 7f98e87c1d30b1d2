import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { murmur3 } from '../../src/core/hash/murmur3.ts'
import { parseRequestKey } from '../../src/core/hash/request-key.ts'
import { type KeyClient, keyReader } from '../../src/edge/request-key.ts'
import { type RequestParts, requestHead } from './heads.ts'

const RANDOM = 0.75
const MISSING = (RANDOM * 2 ** 32) | 0

function client(address: string, isTrusted = false, trusted: readonly string[] = []): KeyClient {
  return { clientAddress: address, isTrusted, listener: { trusted: { has: (each) => trusted.includes(each) } } }
}

function keyOf(text: string, parts: RequestParts, from = client('192.0.2.1')): number {
  const reading = parseRequestKey(text)
  assert.ok(reading.ok)
  return keyReader(reading.value, murmur3, () => RANDOM)(requestHead(parts), from)
}

const hashOf = (text: string): number => murmur3.ofString(text) | 0

describe('the key of a request', () => {
  test('path: without the query, and one for all spellings', () => {
    assert.equal(keyOf('path', { path: '/a/b?c=d' }), hashOf('/a/b'))
    assert.equal(keyOf('path', { path: '/a/x/../b' }), hashOf('/a/b'))
    assert.equal(keyOf('path', { path: '/a/%62' }), hashOf('/a/b'))
    assert.notEqual(keyOf('path', { path: '/a/B' }), hashOf('/a/b'))
  })

  test('url: with the query, as it came', () => {
    assert.equal(keyOf('url', { path: '/a?c=d' }), hashOf('/a?c=d'))
  })

  test('host: without port and case', () => {
    assert.equal(keyOf('host', { authority: 'Shop.Example:8080' }), hashOf('shop.example'))
  })

  test('client: the address, and behind trusted proxies the one that none of them has', () => {
    assert.equal(keyOf('client', {}), hashOf('192.0.2.1'))
    const fields = [['x-forwarded-for', '203.0.113.9, 198.51.100.7, 10.0.0.2']] as const
    assert.equal(keyOf('client', { fields }), hashOf('192.0.2.1'), 'a stranger cannot choose')
    const proxy = client('10.0.0.1', true, ['10.0.0.1', '10.0.0.2'])
    assert.equal(keyOf('client', { fields }, proxy), hashOf('198.51.100.7'))
    assert.equal(keyOf('client', {}, proxy), hashOf('10.0.0.1'))
  })

  test('header: its value, whatever the case of the name; a claim only from who may make it', () => {
    assert.equal(keyOf('header:X-User', { fields: [['x-uSER', 'seven']] }), hashOf('seven'))
    const claim = { fields: [['x-forwarded-host', 'a.example']] } as const
    assert.equal(keyOf('header:x-forwarded-host', claim), MISSING)
    assert.equal(keyOf('header:x-forwarded-host', claim, client('10.0.0.1', true)), hashOf('a.example'))
  })

  test('cookie and query: the first of the whole name', () => {
    const fields = [
      ['cookie', 'xsid=1; side=2'],
      ['cookie', 'a=b; sid=three; sid=4'],
    ] as const
    assert.equal(keyOf('cookie:sid', { fields }), hashOf('three'))
    assert.equal(keyOf('query:id', { path: '/a?xid=1&idx=2&id=three&id=4' }), hashOf('three'))
  })

  test('is by chance where it is missing or empty', () => {
    for (const [key, parts] of [
      ['header:x-user', {}],
      ['header:x-user', { fields: [['x-user', '']] }],
      ['cookie:sid', { fields: [['cookie', 'sid=; a=b']] }],
      ['query:id', { path: '/a?id' }],
      ['query:id', { path: '/id=7' }],
      ['host', { authority: '' }],
    ] as const)
      assert.equal(keyOf(key, parts), MISSING, key)
  })
})

test('a key that means nothing is refused with a reason', () => {
  for (const text of ['paths', 'header', 'header:', 'header:a b', 'cookie:a=b', 'query:a&b', '', 'Path'])
    assert.equal(parseRequestKey(text).ok, false, text)
  assert.deepEqual(parseRequestKey('header:X-User'), { ok: true, value: { kind: 'header', name: 'x-user' } })
})
