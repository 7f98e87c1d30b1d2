import { PICKERS } from '../core/balance/registry.ts'

/** The names of the built-in pickers, as a config may give them. */
export const PICKER_NAMES: readonly string[] = Object.keys(PICKERS)
