import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { AddressSet, addressKey, plainAddress } from '../../src/edge/client-address.ts'

function keyOf(address: string): string {
  const key = new Uint8Array(16).fill(0xee)
  assert.equal(addressKey(address, key), true, address)
  return Buffer.from(key).toString('hex')
}

test('an IPv4 address on a socket for both families is an IPv4 address', () => {
  assert.equal(plainAddress('::ffff:192.0.2.1'), '192.0.2.1')
  for (const same of ['192.0.2.1', '::1', '2001:db8::1', '::ffff:1', '::ffff:c000:201', ''])
    assert.equal(plainAddress(same), same)
})

test('IPv4 addresses are counted one by one', () => {
  assert.equal(keyOf('192.0.2.1'), '00000000000000000000ffffc0000201')
  assert.equal(new Set(['192.0.2.1', '192.0.2.2', '0.0.0.0', '255.255.255.255'].map(keyOf)).size, 4)
})

test('IPv6 addresses are counted by their /64', () => {
  const same = [
    '2001:db8:1:2::1',
    '2001:db8:1:2:ffff:ffff:ffff:ffff',
    '2001:0DB8:0001:0002::',
    '2001:db8:1:2:0:0:1.2.3.4',
  ]
  assert.equal(new Set(same.map(keyOf)).size, 1)
  assert.equal(keyOf(same[0]!), '20010db8000100020000000000000000')
  assert.notEqual(keyOf('2001:db8:1:3::1'), keyOf(same[0]!))
})

test('every way to write the same IPv6 address has the same key', () => {
  const groups = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 })
  fc.assert(
    fc.property(groups, fc.nat(7), fc.nat(7), (all, a, b) => {
      const from = Math.min(a, b)
      const to = Math.max(a, b)
      // Zeros from `from` up to `to`, so that they may be left out.
      const zeroed = all.map((group, index) => (index >= from && index < to ? 0 : group))
      const full = zeroed.map((group) => group.toString(16).padStart(4, '0')).join(':')
      const short = `${zeroed.slice(0, from).map(hex).join(':')}::${zeroed.slice(to).map(hex).join(':')}`
      const wanted = Buffer.alloc(16)
      for (let i = 0; i < 4; i++) wanted.writeUInt16BE(zeroed[i]!, 2 * i)
      assert.equal(keyOf(full), wanted.toString('hex'))
      if (to - from >= 2) assert.equal(keyOf(short), wanted.toString('hex'), short)
    }),
    { seed: 5 },
  )
})

test('a zone does not matter, and what is no address has no key', () => {
  assert.equal(keyOf('fe80::1%eth0'), keyOf('fe80::2'))
  for (const none of ['', 'localhost', '1.2.3', '1.2.3.4.5', '::g', '/run/x.sock'])
    assert.equal(addressKey(none, new Uint8Array(16)), false, none)
})

test('a set holds single addresses and blocks of both families', () => {
  const set = new AddressSet(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1', 'fe80::/10'])
  for (const inside of ['10.0.0.0', '10.255.255.255', '192.0.2.7', '2001:db8:ffff::1', '::1', 'fe80::1'])
    assert.equal(set.has(inside), true, inside)
  for (const outside of ['11.0.0.0', '192.0.2.8', '2001:db9::1', '::2', '', '::'])
    assert.equal(set.has(outside), false, outside)
})

test('an empty set holds nothing, /0 everything of its family', () => {
  assert.equal(new AddressSet([]).has('127.0.0.1'), false)
  const all = new AddressSet(['0.0.0.0/0'])
  assert.equal(all.has('203.0.113.9'), true)
  assert.equal(all.has('2001:db8::1'), false)
})

function hex(group: number): string {
  return group.toString(16)
}
