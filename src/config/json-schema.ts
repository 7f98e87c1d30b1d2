/** The JSON Schema of a config: for editors, for the reference page, and for saying what a wrong value should have been. */
import { z } from 'zod'
import type { PathStep } from './problem.ts'
import { configSchema } from './schema.ts'

/** The part of JSON Schema (2020-12) that zod makes of our schema. */
export interface JsonSchema {
  readonly $schema?: string
  readonly $id?: string
  readonly title?: string
  readonly description?: string
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly default?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly pattern?: string
  readonly anyOf?: readonly JsonSchema[]
  readonly items?: JsonSchema
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly propertyNames?: JsonSchema
  readonly additionalProperties?: boolean | JsonSchema
}

let cached: JsonSchema | undefined

/** The schema of what may be written (`Config`), as JSON Schema 2020-12. Made once, on first use. */
export function configJsonSchema(): JsonSchema {
  cached ??= z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' }) as JsonSchema
  return cached
}

/** All the schemas that a value at this path may have: more than one where a union stands on the way. */
export function schemasAt(path: readonly PathStep[]): readonly JsonSchema[] {
  let current = alternatives(configJsonSchema())
  for (const step of path) {
    current = current.flatMap((schema) => {
      if (typeof step === 'number') return schema.items === undefined ? [] : alternatives(schema.items)
      const property = schema.properties?.[step]
      if (property !== undefined) return alternatives(property)
      return typeof schema.additionalProperties === 'object' ? alternatives(schema.additionalProperties) : []
    })
  }
  return current
}

/** The keys that an object at this path may have. */
export function keysAt(path: readonly PathStep[]): readonly string[] {
  return schemasAt(path).flatMap((schema) => Object.keys(schema.properties ?? {}))
}

function alternatives(schema: JsonSchema): readonly JsonSchema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(alternatives)
}
