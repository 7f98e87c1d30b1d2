import { createHash } from 'node:crypto'
import { type ParsedConfig, parseConfig } from '../config/parse.ts'
import type { Config, Settings } from '../config/schema.ts'

/**
 * Checks a config; takes settings as they are. Those that `parseConfig` and `loadConfig` give are frozen and have addresses
 * that were read, which a config never has.
 */
export function readSettings(config: Config | Settings): ParsedConfig {
  const first = (config as { listeners?: readonly unknown[] } | null)?.listeners?.[0]
  const isSettings =
    typeof first === 'object' &&
    first !== null &&
    'address' in first &&
    Object.isFrozen(config) &&
    Object.isFrozen(first)
  return isSettings ? { settings: config as Settings, warnings: [] } : parseConfig(config)
}

/** Tells settings apart where the caller gave no hash of the file; as long as that. */
export function hashOf(settings: Settings): string {
  return createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 16)
}
