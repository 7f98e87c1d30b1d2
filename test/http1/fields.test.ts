import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { classify, FIELD_NAMES, FieldId, VARIANT_BIT } from '../../src/http1/fields.ts'

function classOf(name: string): number {
  const bytes = Buffer.from(`:${name}:`, 'latin1')
  return classify(bytes, 1, bytes.length - 1)
}

describe('the class of a field name', () => {
  it('has a name for every id', () => {
    for (const [constant, id] of Object.entries(FieldId)) {
      if (id !== FieldId.OTHER) assert.equal(FIELD_NAMES[id], constant.toLowerCase().replaceAll('_', '-'))
    }
    assert.equal(FIELD_NAMES.length, Object.keys(FieldId).length)
  })

  it('is its id in any case', () => {
    FIELD_NAMES.slice(1).forEach((name, i) => {
      for (const spelling of [name, name.toUpperCase(), mixedCase(name)])
        assert.equal(classOf(spelling), i + 1, spelling)
    })
  })

  it('is its id with a mark when any "-" is "_"', () => {
    FIELD_NAMES.slice(1).forEach((name, i) => {
      for (let at = name.indexOf('-'); at >= 0; at = name.indexOf('-', at + 1)) {
        assert.equal(classOf(`${name.slice(0, at)}_${name.slice(at + 1)}`), (i + 1) | VARIANT_BIT)
      }
    })
  })

  it('is other for every name that differs in one byte, is longer or is shorter', () => {
    const known = new Set(FIELD_NAMES)
    const tokens = "!#$%&'*+.^`|~09abyz"
    for (const name of FIELD_NAMES.slice(1)) {
      const others = [name.slice(1), name.slice(0, -1), `${name}s`, `x${name}`]
      for (let i = 0; i < name.length; i++) {
        for (const byte of tokens) if (byte !== name[i]) others.push(name.slice(0, i) + byte + name.slice(i + 1))
      }
      for (const other of others)
        if (!known.has(other) && other !== '') assert.equal(classOf(other), FieldId.OTHER, other)
    }
  })
})

function mixedCase(name: string): string {
  return [...name].map((letter, i) => (i % 2 === 0 ? letter.toUpperCase() : letter)).join('')
}
