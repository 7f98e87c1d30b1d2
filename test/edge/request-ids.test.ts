import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isRequestId, RequestIds } from '../../src/edge/request-ids.ts'

test('ids are different, of one length, and begin with the worker’s own part', () => {
  const ids = new RequestIds('abcdefabcdef')
  const made = Array.from({ length: 100_000 }, () => ids.make())
  assert.equal(new Set(made).size, made.length)
  for (const id of made) assert.match(id, /^abcdefabcdef[0-9a-z]{7}$/)
})

test('an id of ours is one that we would take over', () => {
  assert.equal(isRequestId(new RequestIds('0123456789ab').make()), true)
})

test('UUIDs, trace ids and the like are taken over', () => {
  for (const id of ['f058ebd6-02f7-4d3f-942e-904344e8cde5', '1', 'A.b_c:d/e+f=g@h', 'x'.repeat(128)])
    assert.equal(isRequestId(id), true, id)
})

test('what could break a field, a log or a header line is not', () => {
  for (const id of [
    '',
    ' ',
    'a b',
    'a\r\nb',
    'a\tb',
    'a"b',
    "a'b",
    'a,b',
    'a;b',
    'a<b',
    'a\\b',
    '\u00e4',
    '\0',
    'x'.repeat(129),
    'a\n',
  ])
    assert.equal(isRequestId(id), false, JSON.stringify(id))
})
