import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WorkerPool } from '../../src/edge/pick-endpoint.ts'
import { RouteTable } from '../../src/edge/route-table.ts'
import type { RoutePlan } from '../../src/pool/plan.ts'
import { type RequestParts, requestHead } from './heads.ts'

// Routes carry their pool through; nothing here looks into it.
const POOLS = new Map([
  ['a', { name: 'pool a' } as unknown as WorkerPool],
  ['b', { name: 'pool b' } as unknown as WorkerPool],
])

function table(routes: readonly (RoutePlan['match'] & { pool?: string })[], listener = 'public'): RouteTable {
  const plans = routes.map(({ pool = 'a', ...match }, index) => ({ name: `route ${index}`, match, pool }))
  return new RouteTable(plans, listener, POOLS)
}

/** The number of the route that is taken, or null. */
function taken(routes: RouteTable, request: RequestParts): number | null {
  const route = routes.match(requestHead(request), false)
  return route === null ? null : Number(route.name.slice('route '.length))
}

test('an empty match takes everything, no route takes nothing', () => {
  assert.equal(taken(table([{}]), {}), 0)
  assert.equal(taken(table([]), {}), null)
})

test('routes for other listeners and for pools that are gone are not there', () => {
  const routes = table([{ listener: 'other' }, { pool: 'gone' }, { listener: 'public', pool: 'b' }])
  assert.equal(taken(routes, {}), 2)
  assert.equal(routes.match(requestHead({}), false)?.pool, POOLS.get('b'))
})

test('exact hosts and wildcards of one route stand side by side', () => {
  const routes = table([{ hosts: ['a.example', '*.b.example', 'c.example'] }])
  for (const authority of ['a.example', 'x.b.example', 'x.y.b.example:80', 'C.EXAMPLE'])
    assert.equal(taken(routes, { authority }), 0, authority)
  for (const authority of ['b.example', 'x.a.example', 'd.example'])
    assert.equal(taken(routes, { authority }), null, authority)
})

test('paths are matched in normal form, the query plays no part', () => {
  const routes = table([{ paths: ['/a/b', '/c/*', '/d/**/e'] }])
  for (const path of ['/a/b', '/a/b?x', '/a/./b', '/x/../a/%62', '/c/', '/c/x?/..', '/d/1/2/e', '//c//x'])
    assert.equal(taken(routes, { path }), 0, path)
  for (const path of ['/a/b/', '/a', '/c', '/x?/a/b', '/d/e', '/a%2Fb'])
    assert.equal(taken(routes, { path }), null, path)
})

test('a path that has no normal form matches no route that asks for one', () => {
  assert.equal(taken(table([{ paths: ['/**'] }]), { path: '/../x' }), null)
})

test('methods are told apart by case', () => {
  const routes = table([{ methods: ['POST', 'Custom'] }])
  assert.equal(taken(routes, { method: 'POST' }), 0)
  assert.equal(taken(routes, { method: 'Custom' }), 0)
  assert.equal(taken(routes, { method: 'custom' }), null)
  assert.equal(taken(routes, { method: 'GET' }), null)
})

test('every header has to match, in any of its lines', () => {
  const routes = table([
    {
      headers: [
        { name: 'x-a', value: '1' },
        { name: 'x-b', value: null },
      ],
    },
  ])
  assert.equal(
    taken(routes, {
      fields: [
        ['X-B', ''],
        ['x-a', '0'],
        ['X-A', '1'],
      ],
    }),
    0,
  )
  assert.equal(taken(routes, { fields: [['X-A', '1']] }), null)
  assert.equal(
    taken(routes, {
      fields: [
        ['X-A', '2'],
        ['X-B', '1'],
      ],
    }),
    null,
  )
})

test('it names every field that some route looks at, once', () => {
  const routes = table([
    { headers: [{ name: 'x-a', value: null }] },
    {
      headers: [
        { name: 'x-b', value: '1' },
        { name: 'x-a', value: '2' },
      ],
    },
    { headers: [{ name: 'x-c', value: '1' }], listener: 'other' },
  ])
  assert.deepEqual([...routes.headerNames].sort(), ['x-a', 'x-b'])
})
