import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { generatedFiles } from '../../scripts/generate-reference.ts'
import { configJsonSchema, type JsonSchema } from '../../src/config/json-schema.ts'
import { parseConfig } from '../../src/config/parse.ts'

/** Every schema below one, with the path that leads there. */
function* walk(schema: JsonSchema, path = ''): Generator<readonly [path: string, schema: JsonSchema]> {
  yield [path, schema]
  for (const each of schema.anyOf ?? []) yield* walk(each, path)
  if (schema.items !== undefined) yield* walk(schema.items, `${path}[]`)
  if (typeof schema.additionalProperties === 'object') yield* walk(schema.additionalProperties, `${path}.*`)
  for (const [key, each] of Object.entries(schema.properties ?? {}))
    yield* walk(each, path === '' ? key : `${path}.${key}`)
}

describe('the reference', () => {
  test('is what the schema would write today', () => {
    for (const [file, text] of generatedFiles()) {
      assert.equal(readFileSync(file, 'utf8'), text, 'run: npm run docs:config')
    }
  })

  test('says of every key what it means', () => {
    for (const [path, schema] of walk(configJsonSchema())) {
      for (const [key, property] of Object.entries(schema.properties ?? {})) {
        const text = property.description ?? ''
        assert.ok(text.length > 15 && /[.)]$/.test(text), `${path}.${key}: '${text}'`)
      }
    }
  })

  test('names every duration in Ms and every size in Bytes, in whole numbers with a range', () => {
    for (const [path, schema] of walk(configJsonSchema())) {
      for (const [key, property] of Object.entries(schema.properties ?? {})) {
        assert.doesNotMatch(key, /seconds|Secs?$|minutes|Millis|Kb$|Mb$/i, path)
        if (!/(Ms|Bytes)$/.test(key)) continue
        assert.equal(property.type, 'integer', `${path}.${key}`)
        assert.ok(property.minimum !== undefined && property.maximum !== undefined, `${path}.${key}`)
      }
    }
  })
})

describe('the JSON Schema', () => {
  test('refuses unknown keys everywhere but in the options of a picker', () => {
    for (const [path, schema] of walk(configJsonSchema())) {
      if (schema.properties === undefined) continue
      const isOpen = schema.additionalProperties !== false
      assert.equal(isOpen, path === 'pools.*.balance', path)
    }
  })

  test('takes the keys that may be left out as such', () => {
    assert.deepEqual(configJsonSchema().required, ['version', 'listeners', 'pools'])
  })

  test('has defaults that the check itself accepts', () => {
    // What stands in the schema as a default, written out, must change nothing.
    const smallest = {
      version: 1,
      listeners: [{ bind: ':1' }],
      routes: [{ pool: 'a' }],
      pools: { a: { endpoints: [] } },
    }
    const schema = configJsonSchema()
    const listener = fill(schema.properties!['listeners']!.items!)
    const pool = fill(schema.properties!['pools']!.additionalProperties as JsonSchema)
    const written = {
      ...fill(schema),
      ...smallest,
      listeners: [{ ...listener, bind: ':1' }],
      pools: { a: { ...pool, endpoints: [] } },
    }
    assert.deepEqual(parseConfig(written).settings, parseConfig(smallest).settings)
  })
})

/** An object with every default of a schema. */
function fill(schema: JsonSchema): Record<string, unknown> {
  const entries = Object.entries(schema.properties ?? {}).filter(([, property]) => property.default !== undefined)
  return Object.fromEntries(
    entries.map(([key, property]) => [key, property.properties === undefined ? property.default : fill(property)]),
  )
}
