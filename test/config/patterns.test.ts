import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  parseFieldName,
  parseFieldValue,
  parseHostPattern,
  parseMethod,
  parsePathPattern,
  parseStatusRange,
} from '../../src/config/patterns.ts'
import type { Reading } from '../../src/core/address.ts'

function good<T>(reading: Reading<T>): T {
  assert.ok(reading.ok, reading.ok ? '' : reading.reason)
  return reading.value
}

function refused(reading: Reading<unknown>, text: string, hint?: RegExp): void {
  assert.ok(!reading.ok, `${text} should be refused`)
  if (hint !== undefined) assert.match(reading.hint ?? '', hint, text)
}

describe('a host pattern', () => {
  test('has one normal form: lower case without a trailing dot', () => {
    assert.equal(good(parseHostPattern('Shop.Example.COM.')), 'shop.example.com')
    assert.equal(good(parseHostPattern('*.Example.com')), '*.example.com')
    assert.equal(good(parseHostPattern('[::1]')), '[::1]')
    assert.equal(good(parseHostPattern('127.0.0.1')), '127.0.0.1')
  })

  test('is refused where it could never match, with what was meant', () => {
    refused(parseHostPattern('*'), '*')
    refused(parseHostPattern('a.com:80'), 'a.com:80', /'a\.com'/)
    refused(parseHostPattern('http://a.com/x'), 'http://a.com/x', /'a\.com'/)
    refused(parseHostPattern('a.com/x'), 'a.com/x', /'a\.com'/)
    refused(parseHostPattern('a.*.com'), 'a.*.com', /\*\.example/)
    refused(parseHostPattern('bücher.de'), 'bücher.de', /xn--bcher-kva\.de/)
    refused(parseHostPattern('a..com'), 'a..com')
    refused(parseHostPattern(''), '')
    refused(parseHostPattern('[::1]:80'), '[::1]:80', /\[::1\]/)
  })
})

describe('a path pattern', () => {
  test('is exact, a prefix or a glob', () => {
    for (const text of ['/', '/a', '/a/*', '/*', '/**', '/a/**/z', '/*.js', '/a%2Fb', '/a:b@c;d=e']) {
      assert.equal(good(parsePathPattern(text)), text)
    }
  })

  test('is refused where it could never match, with what was meant', () => {
    refused(parsePathPattern('api'), 'api', /'\/api'/)
    refused(parsePathPattern('*'), '*', /'\/\*'/)
    refused(parsePathPattern('/a?b=1'), '/a?b=1', /'\/a'/)
    refused(parsePathPattern('/a#b'), '/a#b', /'\/a'/)
    refused(parsePathPattern('/a/../b'), '/a/../b')
    refused(parsePathPattern('/./b'), '/./b')
    refused(parsePathPattern('/a\\b'), '/a\\b')
    refused(parsePathPattern('/a***'), '/a***')
    refused(parsePathPattern('/[ab]'), '/[ab]')
    refused(parsePathPattern('/{a,b}'), '/{a,b}')
    refused(parsePathPattern('/a b'), '/a b', /'\/a%20b'/)
    refused(parsePathPattern('/ä'), '/ä', /'\/%C3%A4'/)
    refused(parsePathPattern('/%41'), '/%41', /'\/A'/)
    refused(parsePathPattern('/a%2fb'), '/a%2fb', /'\/a%2Fb'/)
    refused(parsePathPattern('/100%'), '/100%')
    refused(parsePathPattern('http://a/b'), 'http://a/b')
  })

  test('never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        parsePathPattern(text)
        parsePathPattern(`/${text}`)
        parseHostPattern(text)
      }),
    )
  })
})

test('a method is a token in the case in which it is sent', () => {
  assert.equal(good(parseMethod('GET')), 'GET')
  assert.equal(good(parseMethod('PURGE')), 'PURGE')
  refused(parseMethod('get'), 'get', /'GET'/)
  refused(parseMethod('CONNECT'), 'CONNECT')
  refused(parseMethod('GET '), 'GET ')
  refused(parseMethod(''), '')
})

test('a header name is a token, its case does not matter; a value has no control bytes', () => {
  assert.equal(good(parseFieldName('X-Debug')), 'x-debug')
  refused(parseFieldName('x debug'), 'x debug')
  assert.equal(good(parseFieldValue('a b')), 'a b')
  refused(parseFieldValue('a\r\nb'), 'a\r\nb')
  refused(parseFieldValue(' a'), ' a', /'a'/)
})

test('statuses are single, a range, or a class', () => {
  assert.deepEqual(good(parseStatusRange('204')), { from: 204, to: 204 })
  assert.deepEqual(good(parseStatusRange('200-399')), { from: 200, to: 399 })
  assert.deepEqual(good(parseStatusRange('2xx')), { from: 200, to: 299 })
  for (const text of ['100', '600', '399-200', '20', 'ok', '1xx', '6xx', '-200']) refused(parseStatusRange(text), text)
})
