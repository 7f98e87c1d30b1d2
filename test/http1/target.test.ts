import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { requestOutcome } from './outcome.ts'

function messageOf(target: string, host = 'a.example'): Record<string, unknown> {
  const method = target === '*' ? 'OPTIONS' : 'GET'
  const outcome = requestOutcome(`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
  assert.equal(outcome.status, 'done', target)
  return outcome.status === 'done' ? outcome.message : {}
}

function holds(normal: Readonly<Record<string, string | null>>): void {
  for (const [target, path] of Object.entries(normal)) assert.equal(messageOf(target)['normalPath'], path, target)
}

describe('the normal path', () => {
  it('is the path itself, without its query, when there is nothing to change', () => {
    holds({
      '/': '/',
      '/a/b.c/d-e_f~g': '/a/b.c/d-e_f~g',
      '/a/': '/a/',
      '/a?b/../c': '/a',
      '/?': '/',
      '/a;b=c': '/a;b=c',
    })
  })

  it('decodes unreserved characters once, and writes other encodings in upper case', () => {
    holds({
      '/%61%2D%2e%5F%7e%39': '/a-._~9',
      '/%2541': '/%2541',
      '/a%2fb%2Fc': '/a%2Fb%2Fc',
      '/%c3%a4': '/%C3%A4',
      '/%0a%20%5c': '/%0A%20%5C',
      '/a%3Fb?c': '/a%3Fb',
    })
  })

  it('removes dot segments, encoded or not', () => {
    holds({
      '/./a': '/a',
      '/a/../b': '/b',
      '/a/b/..': '/a/',
      '/a/.': '/a/',
      '/a/..': '/',
      '/a/%2e%2E/b': '/b',
      '/a/%2e/b': '/a/b',
      '/.hidden/a..b/...': '/.hidden/a..b/...',
      '/a/%2e%2e%2fb': '/a/..%2Fb',
    })
  })

  it('counts slashes that follow each other as one', () => {
    holds({ '//a': '/a', '/a///b//': '/a/b/', '//': '/' })
  })

  it('is refused where two origins would see two paths', () => {
    holds({
      '/a\\b': null,
      '/\\..\\a': null,
      '/%00': null,
      '/a%': null,
      '/a%4': null,
      '/a%4/b': null,
      '/%zz': null,
      '/%%41': null,
      '/..': null,
      '/../a': null,
      '/a/../../b': null,
      '/%2e%2e/a': null,
      '/./..': null,
      '/a/..;/b': null,
      '/a/..;x=y/b': null,
      '/a/.;/b': null,
      '/a/%2e%2e;/b': null,
      '/a//../b': null,
      '//..': null,
    })
  })

  it('of an absolute target without a path is the root, and of an asterisk itself', () => {
    holds({ 'http://h': '/', 'http://h?q': '/', 'http://h/a/../b?q': '/b', '*': '*' })
  })
})

describe('the normal host', () => {
  it('is in lower case, without port and without the root dot', () => {
    const hosts = {
      'A.Example': 'a.example',
      'a.example.': 'a.example',
      'a.EXAMPLE.:80': 'a.example',
      'a:': 'a',
      '[FE80::1]:80': '[fe80::1]',
      '127.0.0.1:8080': '127.0.0.1',
    }
    for (const [host, normal] of Object.entries(hosts)) assert.equal(messageOf('/', host)['normalHost'], normal, host)
  })

  it('is that of an absolute target where there is one', () => {
    assert.equal(messageOf('http://B.example:81/', 'a.example')['normalHost'], 'b.example')
  })

  it('is empty when an HTTP/1.0 request names none', () => {
    const outcome = requestOutcome('GET / HTTP/1.0\r\n\r\n')
    assert.equal(outcome.status === 'done' && outcome.message['normalHost'], '')
  })
})
