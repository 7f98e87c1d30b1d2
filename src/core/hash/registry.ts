import { djb2 } from './djb2.ts'
import { fnv1a } from './fnv1a.ts'
import type { HashFunction } from './hash-function.ts'
import { md5 } from './md5.ts'
import { murmur3 } from './murmur3.ts'

/** The hash functions that a configuration can name. */
export const HASH_FUNCTIONS = { murmur3, fnv1a, djb2, md5 } as const satisfies Record<string, HashFunction>

export type HashName = keyof typeof HASH_FUNCTIONS

/** What is used when nothing is named: even on sequential keys and fast. */
export const DEFAULT_HASH: HashName = 'murmur3'
