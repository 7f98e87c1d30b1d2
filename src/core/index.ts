/** `evenkeel/core`: pickers alone, without I/O, clocks or Node; they run in a browser too. */
export type { Accept, Members, Picker, PickerDeps, PickerEntry } from './balance/picker.ts'
export type { PickerName } from './balance/registry.ts'
export { PICKERS } from './balance/registry.ts'
export { createRandom } from './random.ts'
