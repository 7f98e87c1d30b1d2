import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { diffSettings } from '../../src/config/diff.ts'
import { parseConfig } from '../../src/config/parse.ts'
import type { Config, Settings } from '../../src/config/schema.ts'

const base: Config = {
  version: 1,
  workers: 2,
  listeners: [{ name: 'public', bind: ':8080' }],
  routes: [
    { name: 'api', match: { path: '/api/*', headers: { a: '1' } }, pool: 'web' },
    { name: 'rest', pool: 'web' },
  ],
  pools: { web: { endpoints: ['http://a:1', { url: 'http://b:1', weight: 2 }] } },
}

function settings(config: Config): Settings {
  const parsed = parseConfig(config)
  assert.ok(parsed.settings, JSON.stringify(parsed.problems))
  return parsed.settings
}

function changes(after: Partial<Config>): string[] {
  return diffSettings(settings(base), settings({ ...base, ...after })).map(
    ({ path, kind, needsRestart }) => `${kind} ${path}${needsRestart ? ' !' : ''}`,
  )
}

describe('the difference between two settings', () => {
  test('is empty when they say the same', () => {
    assert.deepEqual(changes({}), [])
    assert.deepEqual(diffSettings(settings(base), settings(structuredClone(base))), [])
  })

  test('knows endpoints by id, so that moving one within its pool is no change', () => {
    assert.deepEqual(changes({ pools: { web: { endpoints: [{ url: 'http://b:1', weight: 2 }, 'http://a:1'] } } }), [])
    assert.deepEqual(changes({ pools: { web: { endpoints: ['http://b:1', 'http://c:1'] } } }), [
      'removed pools.web.endpoints[a:1]',
      'changed pools.web.endpoints[b:1].weight',
      'added pools.web.endpoints[c:1]',
    ])
  })

  test('tells what came, went and changed, with the values', () => {
    assert.deepEqual(
      changes({
        listeners: [
          { name: 'public', bind: ':8081' },
          { name: 'other', bind: ':8082' },
        ],
      }),
      ['changed listeners[public].bind', 'added listeners[other]'],
    )
    assert.deepEqual(changes({ pools: { web: { ...base.pools['web']!, health: {} }, b: { endpoints: [] } } }), [
      'changed pools.web.health',
      'added pools.b',
    ])
    const [change] = diffSettings(settings(base), settings({ ...base, stop: { drainMs: 1 } }))
    assert.deepEqual(change, { path: 'stop.drainMs', kind: 'changed', before: 30_000, after: 1, needsRestart: false })
  })

  test('says what a running balancer cannot follow', () => {
    assert.deepEqual(changes({ workers: 3, memory: { addresses: 2048 } }), [
      'changed workers !',
      'changed memory.addresses !',
    ])
  })

  test('has a change of the order of routes as one', () => {
    const [api, rest] = base.routes as [NonNullable<Config['routes']>[number], NonNullable<Config['routes']>[number]]
    assert.deepEqual(changes({ routes: [rest, api] }), ['changed routes'])
    assert.deepEqual(changes({ routes: [rest] }), ['removed routes[api]'])
    assert.deepEqual(changes({ routes: [{ name: 'new', match: { path: '/n' }, pool: 'web' }, api, rest] }), [
      'added routes[new]',
    ])
    assert.deepEqual(changes({ routes: [{ ...api, match: { path: '/api/*', headers: { a: '2' } } }, rest] }), [
      'changed routes[api].match.headers',
    ])
  })
})
