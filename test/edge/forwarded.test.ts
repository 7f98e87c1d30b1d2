/** The fields of our own, written from heads that no HTTP/1.1 parser made. The wire tests act out the same on sockets. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cutFor, type ForwardedCache, forwardedFields, isClaim, isLoop, requestIdOf } from '../../src/edge/forwarded.ts'
import { RequestIds } from '../../src/edge/request-ids.ts'
import { FieldId } from '../../src/http1/fields.ts'
import type { IdentityPlan } from '../../src/pool/plan.ts'
import { type RequestParts, requestHead } from './heads.ts'

interface Client {
  readonly clientAddress: string
  readonly isTrusted: boolean
  readonly scheme: 'http' | 'https'
  forwardedCache: ForwardedCache | null
}

function client(more: Partial<Client> = {}): Client {
  return { clientAddress: '192.0.2.1', isTrusted: false, scheme: 'http', forwardedCache: null, ...more }
}

const ALL: IdentityPlan = { via: 'me', forwarded: { xForwarded: true, standard: true, via: true } }
const NONE: IdentityPlan = { via: 'me', forwarded: { xForwarded: false, standard: false, via: false } }

/** The lines that are added, without the id of a request that brings none. */
function added(who: Client, request: RequestParts, identity: IdentityPlan): string[] {
  const head = requestHead(request)
  const requestId = requestIdOf(who, head, new RequestIds('aaaaaaaaaaaa'))
  const lines = forwardedFields(who, head, identity, requestId).split('\r\n')
  assert.equal(lines.pop(), '')
  assert.ok(lines.includes(`x-request-id: ${requestId}`))
  return lines.filter((line) => !line.startsWith('x-request-id: aaaaaaaaaaaa'))
}

test('a stranger is described, whatever it claims', () => {
  const fields = [
    ['x-forwarded-for', '1.1.1.1'],
    ['x-forwarded-proto', 'https'],
    ['x-request-id', 'mine'],
  ] as const
  assert.deepEqual(added(client(), { fields }, ALL).sort(), [
    'forwarded: for=192.0.2.1;proto=http;host="test.example"',
    'via: 1.1 me',
    'x-forwarded-for: 192.0.2.1',
    'x-forwarded-host: test.example',
    'x-forwarded-proto: http',
  ])
})

test('a trusted peer is believed and added', () => {
  const fields = [
    ['x-forwarded-for', '1.1.1.1, 2.2.2.2'],
    ['x-forwarded-for', '3.3.3.3'],
    ['x-forwarded-proto', 'https'],
    ['x-request-id', 'mine'],
  ] as const
  assert.deepEqual(added(client({ isTrusted: true }), { fields }, ALL).sort(), [
    'forwarded: for=192.0.2.1;proto=http;host="test.example"',
    'via: 1.1 me',
    'x-forwarded-for: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.1',
    'x-forwarded-host: test.example',
    'x-request-id: mine',
  ])
})

test('with everything off a stranger adds its id alone, and a trusted peer keeps its chain', () => {
  assert.deepEqual(added(client(), {}, NONE), [])
  const fields = [['x-forwarded-for', '1.1.1.1']] as const
  assert.deepEqual(added(client({ isTrusted: true }), { fields }, NONE), ['x-forwarded-for: 1.1.1.1'])
})

test('what is remembered of a client follows the settings', () => {
  const who = client({ scheme: 'https' })
  assert.ok(added(who, {}, ALL).includes('x-forwarded-proto: https'))
  const before = who.forwardedCache
  added(who, {}, ALL)
  assert.equal(who.forwardedCache, before, 'the same settings, the same text')
  assert.deepEqual(added(who, {}, NONE), [])
  assert.notEqual(who.forwardedCache, before)
})

test('IPv6 clients stand in brackets and quotes, clients without an address have none', () => {
  assert.ok(
    added(client({ clientAddress: '2001:db8::1' }), {}, ALL).includes(
      'forwarded: for="[2001:db8::1]";proto=http;host="test.example"',
    ),
  )
  const unix = added(client({ clientAddress: '' }), {}, ALL)
  assert.ok(unix.includes('forwarded: for=unknown;proto=http;host="test.example"'))
  assert.ok(!unix.some((line) => line.startsWith('x-forwarded-for')))
})

test('a loop is our name as a whole word of any Via field', () => {
  const loops = (via: string): boolean =>
    isLoop(
      requestHead({
        fields: [
          ['via', '1.1 x'],
          ['Via', via],
        ],
      }),
      'me',
    )
  for (const via of ['1.1 me', '1.0 a, 1.1 me', '1.1 me (comment), 1.1 b', 'HTTP/1.1\tme,1.1 b'])
    assert.ok(loops(via), via)
  for (const via of ['1.1 mew', '1.1 a-me', '1.1 you']) assert.ok(!loops(via), via)
})

test('what is cut: of strangers every claim, of trusted peers what is written anew, of HTTP/1.0 its expectation too', () => {
  const stranger = client()
  const trusted = client({ isTrusted: true })
  const claims = [
    FieldId.FORWARDED,
    FieldId.X_FORWARDED_FOR,
    FieldId.X_FORWARDED_PORT,
    FieldId.X_REAL_IP,
    FieldId.X_REQUEST_ID,
  ]
  for (const id of claims) {
    assert.equal(cutFor(stranger, 1)[id], 1)
    assert.equal(isClaim(id), true)
  }
  assert.equal(cutFor(trusted, 1)[FieldId.X_REAL_IP], 0)
  assert.equal(cutFor(trusted, 1)[FieldId.X_FORWARDED_FOR], 1)
  for (const who of [stranger, trusted]) {
    assert.equal(cutFor(who, 1)[FieldId.EXPECT], 0)
    assert.equal(cutFor(who, 0)[FieldId.EXPECT], 1)
    for (const id of [FieldId.OTHER, FieldId.HOST, FieldId.VIA, FieldId.CONTENT_LENGTH])
      assert.equal(cutFor(who, 1)[id], 0)
  }
  assert.equal(isClaim(FieldId.OTHER), false)
})
