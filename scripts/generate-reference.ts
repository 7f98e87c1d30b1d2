/**
 * `node scripts/generate-reference.ts`: writes docs/reference/config.md and evenkeel.schema.json from the one config
 * schema. A test holds them together.
 */
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { configJsonSchema, type JsonSchema } from '../src/config/json-schema.ts'
import type { PickerEntry } from '../src/core/balance/picker.ts'
import { PICKERS } from '../src/core/balance/registry.ts'

const root = resolve(import.meta.dirname, '..')

/** Each generated file with what must stand in it. */
export function generatedFiles(): ReadonlyMap<string, string> {
  return new Map([
    [resolve(root, 'docs/reference/config.md'), configReference()],
    [resolve(root, 'evenkeel.schema.json'), `${JSON.stringify(configJsonSchema(), null, 2)}\n`],
  ])
}

/** The reference page of the config, as Markdown. */
export function configReference(): string {
  const sections: string[] = []
  addSection('', configJsonSchema(), 'The whole', sections)
  return `# Config

Made from \`src/config/schema.ts\` by \`node scripts/generate-reference.ts\`; a test fails when the two differ.

A config is a TypeScript or JavaScript module with a default export (\`evenkeel.config.ts\`), or a JSON or YAML file with
the same keys. \`evenkeel check FILE\` says everything that is wrong with one, with line and column (of a module: where the
source writes the value out). For completion in an editor, JSON and YAML files may name the schema: \`"$schema": "./node_modules/evenkeel/evenkeel.schema.json"\`.

\`\`\`ts
import { defineConfig } from 'evenkeel'

export default defineConfig({
  version: 1,
  listeners: [{ name: 'public', bind: ':8080' }],
  routes: [
    { match: { host: 'shop.example.com', path: '/api/*' }, pool: 'api' },
    { pool: 'web' },
  ],
  pools: {
    web: { endpoints: ['http://127.0.0.1:9001', 'http://127.0.0.1:9002'], health: { path: '/health' } },
    api: { balance: 'least-requests', endpoints: [{ url: 'http://127.0.0.1:9003', weight: 2 }] },
  },
})
\`\`\`

Durations end in \`Ms\` and are whole milliseconds; sizes end in \`Bytes\`. A key that is not listed here is an error. An
object of which every key has a default may be left out. **Required** keys have no default.

${sections.join('\n')}
## Pickers

What \`balance\` may name. Weights count with every one of them.

| picker | when to use it | cost per pick | state kept | source | options |
|---|---|---|---|---|---|
${Object.values<PickerEntry>(PICKERS).map(pickerRow).join('\n')}
`
}

function pickerRow({ name, summary, cost, state, source, options }: PickerEntry): string {
  const listed = Object.entries(options).map(([key, meaning]) => `\`${key}\`: ${meaning}`)
  return `| \`${name}\` | ${[summary, cost, state, source, listed.join('; ') || 'none'].map(cell).join(' | ')} |`
}

function addSection(path: string, schema: JsonSchema, title: string, sections: string[]): void {
  const inner: (() => void)[] = []
  const rows = Object.entries(schema.properties ?? {}).map(([key, property]) => {
    const below = path === '' ? key : `${path}.${key}`
    for (const [suffix, each] of objectsIn(property)) {
      inner.push(() => addSection(`${below}${suffix}`, each, property.description ?? '', sections))
    }
    const isRequired = schema.required?.includes(key) === true && property.default === undefined
    return `| \`${key}\` | ${cell(typeOf(property))} | ${isRequired ? '**required**' : defaultOf(property)} | ${cell(property.description ?? '')} |`
  })
  const level = '#'.repeat(path === '' ? 2 : Math.min(4, 1 + path.replace('.NAME', '').split('.').length))
  const intro = path === '' ? '' : `${title}\n\n`
  const further =
    typeof schema.additionalProperties === 'object' && schema.properties !== undefined
      ? '\nFurther keys are allowed: they are options.\n'
      : ''
  sections.push(
    `${level} ${path === '' ? 'Top level' : `\`${path}\``}\n\n${intro}| key | value | default | meaning |\n|---|---|---|---|\n${rows.join('\n')}\n${further}`,
  )
  for (const add of inner) add()
}

/** The objects with keys of their own that a value may hold, with how one gets there. */
function objectsIn(schema: JsonSchema): [suffix: string, schema: JsonSchema][] {
  if (schema.anyOf !== undefined) return schema.anyOf.flatMap(objectsIn)
  if (schema.items !== undefined) return objectsIn(schema.items).map(([suffix, each]) => [`[]${suffix}`, each])
  if (schema.properties !== undefined) return [['', schema]]
  if (typeof schema.additionalProperties === 'object') {
    return objectsIn(schema.additionalProperties).map(([suffix, each]) => [`.NAME${suffix}`, each])
  }
  return []
}

function typeOf(schema: JsonSchema): string {
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeOf))].join(' or ')
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum !== undefined) return schema.enum.map((each) => `\`${JSON.stringify(each)}\``).join(', ')
  switch (schema.type) {
    case 'array':
      return `list of ${schema.items === undefined ? 'values' : typeOf(schema.items)}`
    case 'object':
      return schema.properties === undefined && typeof schema.additionalProperties === 'object'
        ? `object by name: ${typeOf(schema.additionalProperties)}`
        : 'object'
    case 'integer':
    case 'number':
      return `${schema.type === 'integer' ? 'whole number' : 'number'}${rangeOf(schema)}`
    case 'string':
      return 'text'
    default:
      return schema.type ?? 'any'
  }
}

function rangeOf({ minimum, maximum }: JsonSchema): string {
  if (minimum === undefined || maximum === undefined) return ''
  return maximum === Number.MAX_SAFE_INTEGER || maximum === 2_147_483_647
    ? `, ${minimum} or more`
    : `, ${minimum} to ${maximum}`
}

function defaultOf(schema: JsonSchema): string {
  if (schema.default === undefined) return ''
  const text = JSON.stringify(schema.default)
  return text === '{}' ? '' : `\`${text}\``
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}

if (import.meta.main) {
  for (const [file, text] of generatedFiles()) {
    writeFileSync(file, text)
    console.log(`written: ${file.slice(root.length + 1)}`)
  }
}
