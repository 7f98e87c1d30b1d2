/** What the schema found, said for people: each issue of zod becomes a finding with a reason and, where there is one, a hint. */
import type { z } from 'zod'
import type { JsonSchema } from './json-schema.ts'
import { keysAt, schemasAt } from './json-schema.ts'
import { nearest } from './nearest.ts'
import type { Finding, PathStep } from './problem.ts'

type Issue = z.core.$ZodIssue

/** Turns the schema's issues into findings. `path` is where the issues' own paths begin. */
export function structureFindings(issues: readonly Issue[], path: readonly PathStep[] = []): Finding[] {
  return issues.flatMap((issue) => findingsOf(issue, [...path, ...(issue.path as PathStep[])]))
}

function findingsOf(issue: Issue, path: readonly PathStep[]): Finding[] {
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(path, key))
    case 'invalid_union':
      return unionFindings(issue, path)
    case 'invalid_type':
      return [issue.input === undefined ? missing(path) : wrongType(path, issue.input)]
    case 'invalid_value':
      return [wrongValue(path, issue.input)]
    case 'too_small':
    case 'too_big':
      return [outOfRange(issue, path)]
    case 'invalid_key': {
      const reason = issue.issues[0]?.message ?? 'it is malformed'
      return [
        { path, message: `the name is not allowed: ${reason}`, severity: 'error', code: 'bad-value', atKey: true },
      ]
    }
    case 'invalid_element':
      return structureFindings(issue.issues, path)
    case 'custom': {
      const hint: unknown = issue.params?.['hint']
      return [
        {
          path,
          message: issue.message,
          severity: 'error',
          code: 'bad-value',
          ...(typeof hint === 'string' ? { hint } : {}),
        },
      ]
    }
    default:
      return [{ path, message: issue.message, severity: 'error', code: 'bad-value' }]
  }
}

function unknownKey(path: readonly PathStep[], key: string): Finding {
  const known = keysAt(path)
  const near = nearest(key, known)
  return {
    path: [...path, key],
    message: `unknown key '${key}'`,
    hint: near === undefined ? `known here: ${known.join(', ')}` : `did you mean '${near}'?`,
    severity: 'error',
    code: 'unknown-key',
    atKey: true,
    ...(near === undefined ? {} : { meant: near }),
  }
}

/** Of a union's branches, the one that the value was meant for: the one whose kind of value it is. */
function unionFindings(issue: Extract<Issue, { code: 'invalid_union' }>, path: readonly PathStep[]): Finding[] {
  const meant = issue.errors.find((branch) => branch.every((each) => !isWholeMismatch(each)))
  if (meant !== undefined) return structureFindings(meant, path)
  return [issue.input === undefined ? missing(path) : wrongType(path, issue.input)]
}

/** Says this issue that the value is of another kind altogether? */
function isWholeMismatch(issue: Issue): boolean {
  return issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value')
}

function missing(path: readonly PathStep[]): Finding {
  if (path.length === 1 && path[0] === 'version') {
    return { path, message: 'the version is missing', hint: 'add `version: 1`', severity: 'error', code: 'version' }
  }
  const expected = expectation(path)
  return {
    path,
    message: `it is missing${expected === '' ? '' : `: it must be ${expected}`}`,
    severity: 'error',
    code: 'missing',
  }
}

function wrongType(path: readonly PathStep[], value: unknown): Finding {
  const expected = expectation(path)
  const hint = typeHint(path, value)
  return {
    path,
    message: `it must be ${expected === '' ? 'something else' : expected}, not ${kindOf(value)}`,
    ...(hint === undefined ? {} : { hint }),
    severity: 'error',
    code: 'wrong-type',
  }
}

function wrongValue(path: readonly PathStep[], value: unknown): Finding {
  if (path.length === 1 && path[0] === 'version') return wrongVersion(path, value)
  if (value === undefined) return missing(path)
  const allowed = schemasAt(path).flatMap((schema) => schema.enum ?? (schema.const === undefined ? [] : [schema.const]))
  const near =
    typeof value === 'string'
      ? nearest(
          value,
          allowed.filter((each) => typeof each === 'string'),
        )
      : undefined
  return {
    path,
    message: `it must be ${expectation(path)}, not ${kindOf(value)}`,
    ...(near === undefined ? {} : { hint: `did you mean '${near}'?` }),
    severity: 'error',
    code: 'bad-value',
  }
}

function wrongVersion(path: readonly PathStep[], value: unknown): Finding {
  if (value === undefined) return missing(path)
  if (typeof value === 'number' && value > 1) {
    return {
      path,
      message: `the config is of version ${value}, and this program reads version 1`,
      hint: 'use a newer evenkeel',
      severity: 'error',
      code: 'version',
    }
  }
  return { path, message: `the version must be 1, not ${kindOf(value)}`, severity: 'error', code: 'version' }
}

function outOfRange(issue: Extract<Issue, { code: 'too_small' | 'too_big' }>, path: readonly PathStep[]): Finding {
  const finding = { path, severity: 'error', code: 'out-of-range' } as const
  if (issue.origin === 'array' || issue.origin === 'set') {
    return { ...finding, message: issue.code === 'too_small' ? 'the list may not be empty' : 'the list is too long' }
  }
  if (issue.origin === 'string') {
    return {
      ...finding,
      message: issue.code === 'too_small' ? 'the text may not be empty' : `the text is longer than ${issue.maximum}`,
    }
  }
  return { ...finding, message: `it must be ${expectation(path)}, not ${String(issue.input)}` }
}

/** What may stand at a path, in words: `a whole number from 1 to 64, or 'auto'`. */
function expectation(path: readonly PathStep[]): string {
  const words = [...new Set(schemasAt(path).map(describeSchema))].filter((word) => word !== '')
  return words.length > 2 ? `${words.slice(0, -1).join(', ')} or ${words.at(-1)}` : words.join(' or ')
}

function describeSchema(schema: JsonSchema): string {
  if (schema.const !== undefined) return literal(schema.const)
  if (schema.enum !== undefined)
    return schema.enum
      .map(literal)
      .join(', ')
      .replace(/, ([^,]*)$/, ' or $1')
  switch (schema.type) {
    case 'integer':
    case 'number': {
      const kind = schema.type === 'integer' ? 'a whole number' : 'a number'
      if (schema.minimum !== undefined && schema.maximum !== undefined)
        return `${kind} from ${schema.minimum} to ${schema.maximum}`
      return kind
    }
    case 'array':
      return 'a list'
    case 'object':
      return 'an object'
    case 'string':
      return 'a text'
    case 'boolean':
      return 'true or false'
    default:
      return ''
  }
}

function typeHint(path: readonly PathStep[], value: unknown): string | undefined {
  const allowed = schemasAt(path)
  const takesNumber = allowed.some((schema) => schema.type === 'integer' || schema.type === 'number')
  if (takesNumber && typeof value === 'string') {
    const converted = plainNumber(value, String(path.at(-1)))
    if (converted !== undefined) return `write ${converted}`
  }
  if (value === true && allowed.some((schema) => schema.type === 'object')) return 'write {} for the defaults'
  const lists = allowed.find((schema) => schema.type === 'array')
  if (lists !== undefined && (typeof value === 'string' || kindOf(value) === 'an object')) return 'put it in [ ]'
  if (value === null) return 'leave the key away for the default'
  return undefined
}

/** `'5s'` for a key in milliseconds, `'64k'` for one in bytes, `'3'` for any: the number that was meant. */
function plainNumber(value: string, key: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(value)
  if (!match) return undefined
  const unit = match[2]!.toLowerCase()
  const scales: Readonly<Record<string, number>> = key.endsWith('Ms')
    ? { '': 1, ms: 1, s: 1000, sec: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 }
    : key.endsWith('Bytes')
      ? {
          '': 1,
          b: 1,
          k: 1024,
          kb: 1024,
          kib: 1024,
          m: 1_048_576,
          mb: 1_048_576,
          mib: 1_048_576,
          g: 1_073_741_824,
          gb: 1_073_741_824,
        }
      : { '': 1 }
  const scale = scales[unit]
  return scale === undefined ? undefined : Math.round(Number(match[1]) * scale)
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value)
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  switch (typeof value) {
    case 'string':
      return value.length <= 60 ? `the text '${value}'` : 'a text'
    case 'number':
    case 'boolean':
    case 'bigint':
      return String(value)
    case 'object':
      return 'an object'
    case 'undefined':
      return 'nothing'
    default:
      return `a ${typeof value}`
  }
}
