import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import {
  blockOf,
  evenKeys,
  measureShares,
  pickerTable,
  shareRow,
  sharesOf003,
  unmix32,
  VARIANTS,
  withBlock,
  worstOfRing,
} from '../../scripts/balancing-tables.ts'
import { BALANCING_FILE } from '../../scripts/measure-balancing.ts'
import { mix32 } from '../../src/core/hash/index.ts'

const page = readFileSync(BALANCING_FILE, 'utf8')

describe('docs/balancing.md', () => {
  test('has the pickers of the registry, and when to use each', () => {
    assert.equal(blockOf(page, 'pickers'), pickerTable(), 'run: npm run measure:balancing -- --pickers')
  })

  test('has the shares and moved keys that are measured today', () => {
    const section = blockOf(page, 'shares')
      .split('### ')
      .find((each) => each.startsWith('10 endpoints\n'))
    for (const name of [
      'ring, 150',
      'slot ring (003), 9 virtual nodes',
      'rendezvous',
      'jump',
      'ring, 150, load bound 1.05',
    ]) {
      const variant = VARIANTS.find((each) => each.name === name)!
      assert.ok(section?.includes(shareRow(variant, 10)), name)
    }
  })

  test("has the shares of 003's formulas and the virtual nodes that a ring needs", () => {
    const slots = blockOf(page, 'slots')
    for (const servers of [3, 5, 10]) {
      const shares = sharesOf003(servers).map((share) => `${share.toFixed(1)} %`)
      assert.ok(slots.includes(`| 1 to ${servers} | ${shares.join(', ')} |`))
    }
    const nodes = blockOf(page, 'virtual nodes')
    assert.ok(nodes.includes(`| 400 | ${worstOfRing(3, 400).toFixed(3)} | ${worstOfRing(10, 400).toFixed(3)} |`))
  })

  test('says of the claims what its tables say', () => {
    const of = (name: string, size: number): ReturnType<typeof measureShares> =>
      measureShares(VARIANTS.find((variant) => variant.name === name)!, size)
    const ring = of('ring, 150', 100)
    assert.ok(ring.worst > 1.05 && ring.deviation > 0.05, 'less than 5 % deviation is false')
    assert.ok(ring.hotRatio < 0.01)
    assert.ok(of('ring, 150', 3).ownMovedRatio > 0.1, 'less than 10 % moved is false for few')
    assert.ok(worstOfRing(100, 4000) < 1.05 && worstOfRing(100, 2000) > 1.05)
    assert.ok(of('Maglev, 65 537 entries', 100).worst < 1.05)
    assert.ok(of('slot ring (003), 9 virtual nodes', 100).othersMovedRatio > 0.1)
  })
})

describe('the measurement', () => {
  test('has keys that lie evenly on the positions of a ring', () => {
    for (const key of [0, 1, 42, 0x7fff_ffff, 0xdead_beef, 0xffff_ffff]) assert.equal(unmix32(mix32(key)), key)
    const positions = Float64Array.from(evenKeys(1024, 2), (key) => mix32(key)).sort()
    for (const [i, position] of positions.entries()) assert.equal(position - positions[0]!, i * 2 ** 22)
  })

  test('writes into its own block only', () => {
    const text = 'a\n<!-- x: written by npm run measure:balancing -->\nold\n<!-- end of x -->\nb'
    assert.equal(blockOf(withBlock(text, 'x', 'new'), 'x'), 'new')
    assert.equal(withBlock(text, 'x', 'old'), text)
    assert.throws(() => withBlock(text, 'y', ''), /no block y/)
  })
})
